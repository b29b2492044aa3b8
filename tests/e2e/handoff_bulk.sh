#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
# Ten thousand sessions move in one command, there and back, while others are served; one session moves again and again in one
# list; and what a user can get wrong is said in a sentence and changes nothing else.
. "$(dirname "$0")/lib.sh"
[ -z "${XSR_VM:-}" ] || skip "ten thousand sessions at once are the router's own matter, and take minutes here"

MANY=$((10000 / SLOWER))
OTHERS=0x100000
COMMAND_MS=$((1000 * SLOWER))
AGAIN=$((100 / SLOWER + 1)) # odd

# Runs session move with the lines on stdin: status and output as of try().
moves_try() { # SERVICE [OPTION...]
	cat >"$TMP/lines"
	try nsenter --net=$SERVER_NET "$XSR" --name $NAME "${@:2}" session move "$1" - <"$TMP/lines"
}

lines_to() { # SHIFT: session ID to worker (ID + SHIFT) modulo 2
	awk -v n="$MANY" -v shift="$1" 'BEGIN { for (i = 0; i < n; i++) print i, "worker", (i + shift) % 2 }'
}

# All of them, in one command that takes not long.
many_move() { # SHIFT
	local start took
	start=$(milliseconds)
	moves_try game --json < <(lines_to "$1")
	took=$(($(milliseconds) - start))
	assert_eq "status ($ERR)" 0 "$STATUS"
	assert_eq "moved" $MANY "$(json_number moved "$OUT")"
	assert_eq "without state" 0 "$(json_number without_state "$OUT")"
	say "    $took ms, of which the router had $(json_number time_ms "$OUT")"
	assert_le "milliseconds of the command" $COMMAND_MS $took
	N_HANDOFFS=$((N_HANDOFFS + MANY))
}

# What the workers know of the sessions that move: in all, each with messages, handoffs and generation so many.
many_are() { # MESSAGES HANDOFFS GENERATION SHIFT
	local n
	n=$(xsr session show game | awk -v others=$((OTHERS)) -v messages="$1" -v handoffs="$2" -v generation="$3" -v shift="$4" '
		function number(hex, i, n) {
			for (i = 3; i <= length(hex); i++)
				n = n * 16 + index("0123456789abcdef", substr(hex, i, 1)) - 1
			return n
		}
		$1 != "game" || number($2) >= others { next }
		$3 == (number($2) + shift) % 2 && $4 == "active" && $5 == generation && $7 == messages && $8 == handoffs { n++ }
		END { print n + 0 }')
	assert_eq "sessions with $1 messages, $2 handoffs, generation $3 at their worker" $MANY "$n"
}

session_field() { # SERVICE ID FIELD
	json_number "$3" "$(xsr --json session show "$1" "$2")"
}

route_is() { # SERVICE ID WORKER GENERATION
	assert_eq "route" "$1 $2 worker $3 generation $4" "$(xsr route show "$1" "$2")"
}

handoffs_reach() { [ "$(workers_counter handoffs_in)" -ge "$1" ]; }

ended() { ! kill -0 "$1" 2>/dev/null; }

hosts_make
router_start <<YAML
devices: [xe0]
transport: xdp
workers: 2
services:
  - { name: game, address: "10.77.0.1:5000", id: xsr, default: drop, stamp: on }
  - { name: hash, address: "10.77.0.1:5001", id: xsr, default: hash, stamp: on }
YAML
routes_import game $MANY
routes_import game 200 $((OTHERS))
N_HANDOFFS=0

step "$MANY sessions in one command, while others are served"
load 10.77.0.1:5000 --sessions $MANY --messages $((MANY * 2)) --window 256 --owners 2
assert_load_exact
load_start others 10.77.0.1:5000 --first $((OTHERS)) --sessions 200 --owners 2 --rate $RATE --window 512 --seconds 300
sleep 0.5
many_move 1
many_are 2 1 2 1

step "and back"
many_move 0
many_are 2 2 3 0

step "and by one request of the client"
load 10.77.0.1:5000 --sessions $MANY --messages $((MANY * 30)) --window 256 --owners 2 \
	--service game --moves 1000000 --move-count $MANY
assert_load_exact
say "    handoffs p50 $(json_number handoff_p50_us "$LOAD") us, max $(json_number handoff_max_us "$LOAD") us"
assert_eq "moves done" $MANY "$(json_number moves_done "$LOAD")"
assert_eq "moves without state" 0 "$(json_number moves_without_state "$LOAD")"
N_HANDOFFS=$((N_HANDOFFS + MANY))
many_are 32 3 4 1

step "one session $AGAIN times in one list: it ends at the last one's worker, and its generation counts them"
moves_try game --json < <(awk -v n="$AGAIN" 'BEGIN { for (i = 0; i < n; i++) print 0, "worker", i % 2 }')
assert_eq "status ($ERR)" 0 "$STATUS"
assert_eq "moved" $AGAIN "$(json_number moved "$OUT")"
N_HANDOFFS=$((N_HANDOFFS + AGAIN))
route_is game 0x0 0 $((4 + AGAIN))
assert_eq "handoffs" $((3 + AGAIN)) "$(session_field game 0 handoffs)"
assert_eq "messages" 32 "$(session_field game 0 messages)"

step "to the worker that it is at"
try xsr session move game 0 worker 0
assert_eq "status ($ERR)" 0 "$STATUS"
assert_has "stdout" "moved 0 sessions in" "$OUT"
assert_has "stdout" "1 was there already" "$OUT"
route_is game 0x0 0 $((4 + AGAIN))

step "a worker that does not run: the others of the list move"
moves_try game <<<"0 worker 1
1 worker 5
2 worker 0"
assert_eq "status" 1 "$STATUS"
assert_eq "message" "xsr: session 0x1: no such worker runs, or it is drained" "$ERR"
assert_has "stdout" "moved 2 sessions in" "$OUT"
assert_has "stdout" "1 failed" "$OUT"
N_HANDOFFS=$((N_HANDOFFS + 2))
route_is game 0x1 0 4

step "a service that is none"
refused 1 "no service 'gone'" xsr session move gone 0 worker 1
moves_try gone <<<"0 worker 1"
assert_eq "status" 1 "$STATUS"
assert_has "message" "no service 'gone'" "$ERR"

step "lines that cannot be read are named"
for line in "x worker 1" "1 worker" "1" "1 worker 64" "1 worker -1" "1 socket 1" "18446744073709551616 worker 1" "1 worker 1 2" "{}"; do
	moves_try game <<<"# a comment

$line
3 worker 1"
	assert_eq "status of '$line'" 1 "$STATUS"
	assert_has "message of '$line'" "stdin:3: " "$ERR"
	assert_eq "lines of the message of '$line'" 1 "$(wc -l <<<"$ERR")"
done
route_is game 0x3 0 4
moves_try game <<<"2 worker 1
1 worker"
assert_has "what stood before the line" "moved 1 session in" "$OUT"
N_HANDOFFS=$((N_HANDOFFS + 1))
refused 1 "cannot read '$TMP/none'" xsr session move game "$TMP/none"
refused 1 "cannot read '$TMP'" xsr session move game "$TMP"
refused 2 "ID '18446744073709551616'" xsr session move game 18446744073709551616 worker 1

step "a session that nobody has heard of, with a route and without"
done_quietly xsr route add game 0xabcdef worker 0
try xsr --json session move game 0xabcdef worker 1
assert_eq "status ($ERR)" 0 "$STATUS"
assert_eq "moved" 1 "$(json_number moved "$OUT")"
assert_eq "without state" 0 "$(json_number without_state "$OUT")"
N_HANDOFFS=$((N_HANDOFFS + 1))
route_is game 0xabcdef 1 2
try xsr --json session move game 0xffffffffffffffff worker 1
assert_eq "status ($ERR)" 0 "$STATUS"
assert_eq "moved" 1 "$(json_number moved "$OUT")"
route_is game 0xffffffffffffffff 1 1
try xsr --json session move game 0xffffffffffffffff worker 0
assert_eq "moved" 1 "$(json_number moved "$OUT")"
N_HANDOFFS=$((N_HANDOFFS + 1))
route_is game 0xffffffffffffffff 0 2

step "a session that came by the hash default takes its state along"
load 10.77.0.1:5001 --sessions 32 --messages 96 --window 32
assert_load_exact
for ((id = 0; id < 32; id++)); do
	echo "$id worker $((1 - $(session_field hash $id worker)))"
done >"$TMP/hash"
moves_try hash --json <"$TMP/hash"
assert_eq "status ($ERR)" 0 "$STATUS"
assert_eq "moved" 32 "$(json_number moved "$OUT")"
N_HANDOFFS=$((N_HANDOFFS + 32))
assert_eq "sessions with their 3 messages" 32 \
	"$(xsr session show hash | awk '$1 == "hash" && $5 == 1 && $7 == 3 && $8 == 1 { n++ } END { print n + 0 }')"
assert_eq "routes" "$(awk '{ printf "0x%x %s %s\n", $1, $2, $3 }' "$TMP/hash" | sort)" "$(xsr route export hash | sort)"
load 10.77.0.1:5001 --sessions 32 --messages 96 --window 32
assert_load_exact
assert_eq "sessions with 6 messages" 32 "$(xsr session show hash | awk '$1 == "hash" && $7 == 6 { n++ } END { print n + 0 }')"

step "all this time the others were served"
load_stop others
assert_load_exact
say "    $SENT messages, the longest silence of a session $(json_number gap_max_ms "$LOAD") ms"
assert_handoffs $N_HANDOFFS

step "a service that is deleted while its sessions move leaves no route to the one that takes its place"
done_quietly xsr service add short udp 10.77.0.1:5002 id xsr default drop
routes_import short 1000
awk 'BEGIN { for (k = 1; k <= 20; k++) for (i = 0; i < 1000; i++) print i, "worker", (i + k) % 2 }' >"$TMP/short"
nsenter --net=$SERVER_NET "$XSR" --name $NAME session move short "$TMP/short" >"$TMP/shorts" 2>&1 9>&- &
JOBS=($!)
wait_until handoffs_reach $((N_HANDOFFS + 500)) || wrong "nothing moves"
done_quietly xsr service delete short
done_quietly xsr service add next udp 10.77.0.1:5003 id xsr default drop
wait_until ended "${JOBS[0]}" || wrong "the moves do not end"
JOBS=()
say "    $(tail -n 1 "$TMP/shorts")"
assert_has "what the moves ended with" "failed" "$(<"$TMP/shorts")"
assert_eq "routes of the new service" 0 "$(xsr route export next | wc -l)"
router_stop
