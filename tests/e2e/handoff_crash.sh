#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
# The router is killed, and told to end, while sessions move in a stream under load. Who asked for the moves is told; the
# routes are whole, and the next router serves every session where its route leads, and moves them on.
. "$(dirname "$0")/lib.sh"
[ -z "${XSR_VM:-}" ] || skip "who dies in the middle of moves does not depend on the kernel; crash and handoff run here"

SESSIONS=$((1000 / SLOWER))
SOCKET=/run/xsr/$NAME.sock
END_MS=$((3000 * SLOWER))

# Moves without end, as fast as they are taken: the k-th of a session to worker (ID + k) modulo 2.
stream_start() {
	awk -v n=$SESSIONS 'BEGIN { for (k = 1;; k++) for (i = 0; i < n; i++) print i, "worker", (i + k) % 2 }' 9>&- |
		nsenter --net=$SERVER_NET "$XSR" --name $NAME session move game - >"$TMP/moves" 2>"$TMP/moves.log" 9>&- &
	MOVER=$!
	wait_until handoffs_reach $((SESSIONS / 2)) || fail "the sessions do not move: $(<"$TMP/moves.log")"
}

handoffs_reach() { [ "$(workers_counter handoffs_in)" -ge "$1" ]; }

# What asked for them ends by itself, with one sentence.
stream_ended() { # TEXT
	wait "$MOVER"
	assert_eq "status of session move" 1 $?
	MOVER=
	assert_eq "lines of its message" 1 "$(wc -l <"$TMP/moves.log")"
	assert_has "its message" "$1" "$(<"$TMP/moves.log")"
}

# ID, worker and generation of each route to worker 0 or 1.
routes() {
	xsr --json route show game |
		grep -o '"id":"0x[0-9a-f]*","target":{"worker":[01]},"generation":[0-9]*' |
		sed 's/"id":"\(.*\)","target":{"worker":\(.\)},"generation":\(.*\)/\1 \2 \3/'
}

routes_lead_to() { xsr --json route show | grep -q "\"worker\":$1}"; }

# Each session has its route, with a worker and a generation that fit together.
routes_are_whole() {
	local id worker generation
	assert_eq "routes" $SESSIONS "$(xsr route export game | wc -l)"
	assert_eq "routes that are whole" $SESSIONS "$(routes | while read -r id worker generation; do
		((generation >= 1 && (id + generation - 1) % 2 == worker)) && echo "$((id))"
	done | sort -u | wc -l)"
}

sessions_are_served() {
	load 10.77.0.1:5000 --sessions $SESSIONS --messages $((SESSIONS * 5)) --window 256 --owners 2
	assert_load_exact
}

# All of them, once, to the other worker.
sessions_move() {
	routes | awk '{ print $1, "worker", 1 - $2 }' >"$TMP/all"
	try xsr --json session move game "$TMP/all"
	assert_eq "status of session move ($ERR)" 0 "$STATUS"
	assert_eq "moved" $SESSIONS "$(json_number moved "$OUT")"
	assert_eq "without state" 0 "$(json_number without_state "$OUT")"
}

all_is_well() {
	sessions_are_served
	sessions_move
	sessions_are_served
	routes_are_whole
}

hosts_make
router_start <<YAML
devices: [xe0]
transport: xdp
workers: 2
services:
  - { name: game, address: "10.77.0.1:5000", id: xsr, default: pass, stamp: on }
  - { name: hash, address: "10.77.0.1:5001", id: xsr, default: hash, stamp: on }
YAML
routes_import game $SESSIONS

for i in 1 2 3; do
	step "kill -9 in the middle of moves, $i"
	load_start game 10.77.0.1:5000 --sessions $SESSIONS --rate $RATE --owners 2 --seconds 300
	stream_start
	sleep 0.$i
	router_end KILL
	stream_ended "the router closed the connection"
	load_stop game
	say "    sent $SENT, answered $RECEIVED, $(json_number sessions_moved "$LOAD") changes of owner seen"
	[ $SLOWER -gt 1 ] || assert_ge "changes of owner" 1 "$(json_number sessions_moved "$LOAD")" # a slow guest may be killed before
	assert_eq "doubled" 0 "$(json_number duplicated "$LOAD")"
	assert_eq "misrouted" 0 "$(json_number misrouted "$LOAD")"
	routes_are_whole

	step "without a router a command says so, the socket of the dead one is there"
	[ -S $SOCKET ] || wrong "no $SOCKET"
	refused 1 "no router serves instance '$NAME'; start it with: xsr run CONFIG; to change a route" \
		xsr session move game 1 worker 0
	refused 1 "no router serves instance '$NAME'" xsr session show
	refused 1 "no router serves instance '$NAME'" xsr worker add

	step "the next router serves all sessions where their routes lead, and moves them"
	router_run
	routes_are_whole
	all_is_well
done

step "SIGTERM in the middle of moves under load"
router_stop
done_quietly xsr net detach xe0
router_run
load_start game 10.77.0.1:5000 --sessions $SESSIONS --rate $RATE --owners 2 --seconds 300
stream_start
start=$(milliseconds)
router_end TERM
took=$(($(milliseconds) - start))
assert_eq "the router's exit status ($(<"$TMP/router.log"))" 0 "$STATUS"
say "    it ended after $took ms"
assert_le "milliseconds to the end" $END_MS $took
stream_ended ""
assert_eq "program on the device, which the router attached" "" "$(xdp_on xe0)"
[ ! -e $SOCKET ] || wrong "$SOCKET is still there"
load_stop game
say "    sent $SENT, answered $RECEIVED"
assert_eq "doubled" 0 "$(json_number duplicated "$LOAD")"
assert_eq "misrouted" 0 "$(json_number misrouted "$LOAD")"
assert_eq "reordered" 0 "$(json_number reordered "$LOAD")"
assert_eq "sessions that lost their state" 0 "$(json_number state_lost "$LOAD")"
routes_are_whole
router_run
all_is_well

step "kill -9 while sessions are spread over one worker more"
load_start hash 10.77.0.1:5001 --sessions $SESSIONS --rate $RATE --seconds 300
sleep $((1 * SLOWER))
try xsr worker add
assert_eq "status of worker add ($ERR)" 0 "$STATUS"
nsenter --net=$SERVER_NET "$XSR" --name $NAME worker rebalance >/dev/null 2>"$TMP/moves.log" 9>&- &
MOVER=$!
wait_until routes_lead_to 2 || fail "no session moves to the new worker"
router_end KILL
{ wait "$MOVER"; } 2>/dev/null
MOVER=
load_stop hash
router_run
assert_has "log" "routes led to workers that do not run any more; they lead to others now" "$(<"$TMP/router.log")"
say "    $(grep -o '[0-9]* routes led to .*' "$TMP/router.log")"
routes_lead_to 2 && wrong "there are routes to worker 2 still"
for port in 5000 5001; do
	load 10.77.0.1:$port --sessions $SESSIONS --messages $((SESSIONS * 5)) --window 256
	assert_load_exact
done
router_stop
