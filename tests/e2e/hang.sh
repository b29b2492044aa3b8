#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
# One worker stands still for seconds, as if its handler hung. The router says so. No session can be moved to it, and nothing
# is changed by the try; sessions that are moved away from it go on without their state; what it says when it wakes up is
# too late, and nothing is served twice. Its other sessions wait for it and lose nothing.
. "$(dirname "$0")/lib.sh"
[ -z "${XSR_VM:-}" ] || skip "what hangs for a second on an emulated machine need not hang"

STALL_MS=$((2500 * SLOWER))
CALM=100 WAITING=200 LEAVING=300 # the first IDs of three times ten sessions: at worker 0, at worker 1, at worker 1
SLOW=$((500 / SLOWER)) # messages a second: so few that the stalled worker's rings hold them

worker_thread() { # WORKER
	grep -l "^xsr-worker-$1\$" "/proc/$ROUTER"/task/*/comm | cut -d/ -f5
}

# Worker 1 stands still from now on.
stall() {
	: >"$TMP/stalled"
	"$TMP/stall" "$(worker_thread 1)" $STALL_MS >"$TMP/stalled" 2>"$TMP/stall.log" 9>&- &
	JOBS=($!)
	wait_until stalled_or_ended
	grep -q stalled "$TMP/stalled" && return
	wait "${JOBS[0]}"
	[ $? = 77 ] && skip "this system lets nobody stop a thread: $(<"$TMP/stall.log")"
	fail "$(<"$TMP/stall.log")"
}

stalled_or_ended() { grep -q stalled "$TMP/stalled" || ! kill -0 "${JOBS[0]}" 2>/dev/null; }

stall_over() {
	wait "${JOBS[0]}"
	assert_eq "status of stall ($(<"$TMP/stall.log"))" 0 $?
	JOBS=()
}

routes_to() { # WORKER FIRST
	local id
	for ((id = $2; id < $2 + 10; id++)); do
		say "$id worker $1"
	done
}

load_ten() { # NAME FIRST
	load_start "$1" 10.77.0.1:5000 --first "$2" --sessions 10 --rate $SLOW --seconds 300
}

all_late() { [ "$(worker_counter 0 late_fence)" = 10 ]; }

log_has() { grep -q "$1" "$TMP/router.log"; }

${CC:-cc} -O -o "$TMP/stall" tests/e2e/stall.c || skip "no C compiler to build tests/e2e/stall.c"
hosts_make
router_start <<YAML
devices: [xe0]
transport: xdp
workers: 2
services:
  - { name: game, address: "10.77.0.1:5000", id: xsr, default: drop, stamp: on }
YAML
{ routes_to 0 $CALM; routes_to 1 $WAITING; routes_to 1 $LEAVING; } | xsr route import game - >/dev/null || fail "cannot import"

step "worker 1 stands still under load"
load_ten calm $CALM
load_ten waiting $WAITING
load_ten leaving $LEAVING
sleep $((1 * SLOWER))
stall

step "to it nothing can be moved, and nothing is changed by the try"
routes=$(xsr --json route show game)
routes_to 0 $LEAVING >"$TMP/leaving"
nsenter --net=$SERVER_NET "$XSR" --name $NAME --json session move game "$TMP/leaving" >"$TMP/left" 2>"$TMP/left.log" 9>&- &
LEAVES=$!
JOBS+=("$LEAVES")
start=$(milliseconds)
try xsr session move game $CALM worker 1
took=$(($(milliseconds) - start))
assert_eq "status" 1 "$STATUS"
assert_eq "message" "xsr: session 0x64: the new owner does not answer: nothing was changed" "$ERR"
say "    said after $took ms"
assert_ge "milliseconds" 900 $took
assert_le "milliseconds" $((1500 * SLOWER)) $took
for ((id = CALM; id < CALM + 10; id++)); do
	assert_eq "route" "game $(printf 0x%x $id) worker 0 generation 1" "$(xsr route show game $id)"
done

step "from it sessions go on without their state"
wait $LEAVES
assert_eq "status of session move ($(<"$TMP/left.log"))" 0 $?
assert_eq "moved" 10 "$(json_number moved "$(<"$TMP/left")")"
assert_eq "without state" 10 "$(json_number without_state "$(<"$TMP/left")")"
say "    after $(json_number time_ms "$(<"$TMP/left")") ms"
assert_eq "no_fence" 10 "$(worker_counter 0 no_fence)"
for ((id = LEAVING; id < LEAVING + 10; id++)); do
	log_has "session $(printf 0x%x $id) of service game goes on at worker 0 without its state: its fence did not come in time" ||
		wrong "the log does not say that session $id lost its state"
done
wait_until log_has "worker 1 hangs" || wrong "the log does not say that worker 1 hangs"
kill -0 "${JOBS[0]}" 2>/dev/null || wrong "worker 1 goes on already: this machine is too slow"

step "it goes on"
stall_over
wait_until log_has "worker 1 goes on after" || wrong "the log does not say that worker 1 goes on"
say "    $(grep -o 'worker 1 goes on .*' "$TMP/router.log")"
wait_until all_late || wrong "late_fence: expected 10, found $(worker_counter 0 late_fence)"
sleep $((1 * SLOWER))
for name in calm waiting leaving; do
	load_stop $name
	assert_eq "lost of the $name sessions" 0 "$(json_number lost "$LOAD")"
	assert_eq "doubled of the $name sessions" 0 "$(json_number duplicated "$LOAD")"
	say "    $name: $SENT messages, the longest silence $(json_number gap_max_ms "$LOAD") ms"
	if [ $name = leaving ]; then
		assert_eq "sessions that lost their state" 10 "$(json_number state_lost "$LOAD")"
	else
		assert_load_exact
		assert_eq "answers of worker $([ $name = calm ] && say 0 || say 1)" "$SENT" \
			"$(load_answered "$([ $name = calm ] && say 0 || say 1)")"
	fi
done
assert_eq "handoffs_in" 10 "$(workers_counter handoffs_in)"
assert_eq "handoffs_out" 10 "$(workers_counter handoffs_out)"

step "each session is at one worker"
for ((id = CALM; id < CALM + 10; id++)); do
	assert_eq "session $id" "0x$(printf %x $id) 0 active" "$(xsr session show game $id | awk '$1 == "game" { print $2, $3, $4 }')"
done
for ((id = LEAVING; id < LEAVING + 10; id++)); do
	assert_eq "session $id" "0x$(printf %x $id) 0 active" "$(xsr session show game $id | awk '$1 == "game" { print $2, $3, $4 }')"
done

step "all can be moved again"
routes_to 1 $LEAVING >"$TMP/leaving"
routes_to 1 $CALM >>"$TMP/leaving"
try xsr --json session move game "$TMP/leaving"
assert_eq "status ($ERR)" 0 "$STATUS"
assert_eq "moved" 20 "$(json_number moved "$OUT")"
assert_eq "without state" 0 "$(json_number without_state "$OUT")"
load 10.77.0.1:5000 --first $LEAVING --sessions 10 --messages 100 --window 10
assert_load_exact
assert_eq "answers of worker 1" "$SENT" "$(load_answered 1)"
router_stop
