#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
# A router that sleeps between messages wakes up for each: one message a second, for a minute, while an idle session is
# moved once a second. No answer is late, and every move ends soon.
. "$(dirname "$0")/lib.sh"
[ -z "${XSR_VM:-}" ] || skip "how late an emulated machine wakes up says nothing"

SECONDS_LOAD=60
IDLE=100
BUSY_PERCENT=10 # of the time that something waited for a core

# Microseconds that any thread of this host had to wait for a core; 0 where the kernel does not tell.
waited_us() {
	local total
	total=$(sed -n 's/^some .* total=//p' /proc/pressure/cpu 2>/dev/null)
	say "${total:-0}"
}

hosts_make
router_start <<YAML
devices: [xe0]
transport: xdp
workers: 2
services:
  - { name: game, address: "10.77.0.1:5000", id: xsr, default: drop, stamp: on }
YAML
routes_import game 1
routes_import game 1 $IDLE

step "one message a second, one move a second"
start=$(milliseconds) waited=$(waited_us)
load_start slow 10.77.0.1:5000 --sessions 1 --rate 1 --seconds $SECONDS_LOAD
# A move waits for a grace period, which is the kernel's: how long those were is measured meanwhile.
${CC:-cc} -O -o "$TMP/grace" tests/e2e/grace.c || skip "no C compiler to build tests/e2e/grace.c"
"$TMP/grace" >"$TMP/grace_ms" 9>&- &
JOBS+=($!)
move_ms=0 n=0
while kill -0 "${LOADERS[slow]}" 2>/dev/null; do
	try xsr --json session move game $IDLE worker $(((n + 1) % 2))
	n=$((n + 1))
	assert_eq "status of move $n ($ERR)" 0 "$STATUS"
	assert_eq "moved by move $n" 1 "$(json_number moved "$OUT")"
	took=$(json_number time_ms "$OUT")
	move_ms=$((took > move_ms ? took : move_ms))
	sleep 0.9$((n % 10)) # not in step with the messages
done
load_wait slow
kill -TERM "${JOBS[0]}" && wait "${JOBS[0]}"
grace_ms=$(<"$TMP/grace_ms")
busy=$((($(waited_us) - waited) / 10 / ($(milliseconds) - start)))
assert_load_exact
gap=$(json_number gap_max_ms "$LOAD") stall=$(json_number stall_max_ms "$LOAD")
say "    $SENT messages, $n moves; the longest time between two answers $gap ms, the longest move $move_ms ms, grace period $grace_ms ms"
assert_ge "messages" $((SECONDS_LOAD - 1)) "$SENT"
assert_ge "moves" $((SECONDS_LOAD / 2)) $n
assert_handoffs $n

# Two answers are a second apart, and what the second was late, and the first was not. Who misses a wake-up sleeps for a
# second: that shows on a busy host, too.
if [ $busy -lt $BUSY_PERCENT ]; then
	step "no answer is late, no move takes long"
	late_ms=$((5 + stall)) moves_ms=$((grace_ms > 50 ? 50 + grace_ms : 100))
else
	step "no wake-up is missed; more cannot be told of a host where something waited for a core $busy % of the time"
	late_ms=500 moves_ms=900
fi
assert_le "milliseconds between two answers" $((1000 + late_ms)) "$gap"
assert_le "milliseconds of a move" $moves_ms $move_ms
router_stop
