#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
# A router that sleeps between messages wakes up for each: one message a second, for a minute, while an idle session is
# moved once a second. No answer is late, and every move ends soon.
. "$(dirname "$0")/lib.sh"
[ -z "${XSR_VM:-}" ] || skip "how late an emulated machine wakes up says nothing"

SECONDS_LOAD=60
IDLE=100
LATE_MS=5
MOVE_MS=100

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
load_start slow 10.77.0.1:5000 --sessions 1 --rate 1 --seconds $SECONDS_LOAD
most=0 n=0
while kill -0 "${LOADERS[slow]}" 2>/dev/null; do
	try xsr --json session move game $IDLE worker $(((n + 1) % 2))
	n=$((n + 1))
	assert_eq "status of move $n ($ERR)" 0 "$STATUS"
	assert_eq "moved by move $n" 1 "$(json_number moved "$OUT")"
	took=$(json_number time_ms "$OUT")
	assert_le "milliseconds of move $n" $MOVE_MS "$took"
	most=$((took > most ? took : most))
	sleep 0.9$((n % 10)) # not in step with the messages
done
load_wait slow
assert_load_exact
gap=$(json_number gap_max_ms "$LOAD") stall=$(json_number stall_max_ms "$LOAD")
say "    $SENT messages, $n moves; the longest time between two answers $gap ms, the longest move $most ms"
assert_ge "messages" $((SECONDS_LOAD - 1)) "$SENT"
assert_ge "moves" $((SECONDS_LOAD / 2)) $n
# Two answers are a second apart, and what the second was late, and the first was not.
assert_le "milliseconds between two answers" $((1000 + LATE_MS + stall)) "$gap"
assert_handoffs $n
router_stop
