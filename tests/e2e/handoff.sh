#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
# A million messages as fast as they are answered, on a thousand sessions that move meanwhile: nothing is lost, doubled,
# out of order or misrouted, and every session knows at its new worker how many messages it has had. With both tables of
# routes and every way in; with sessions whose messages come by several sockets and queues; with sockets that change
# their ports.
. "$(dirname "$0")/lib.sh"

SESSIONS=1000
N_HANDOFFS=0

router_with() { # KEY: VALUE...
	{
		printf '%s\n' "$@"
		cat <<-YAML
			devices: [xe0]
			workers: 2
			idle: 0
			services:
			  - { name: hashed, address: "10.77.0.1:5000", id: xsr, default: pass, stamp: on }
			  - { name: dense, address: "[fd77::1]:5000", id: xsr, default: pass, stamp: on, dense: 65536 }
		YAML
	} | router_start
	N_HANDOFFS=0
	for service in hashed dense; do
		done_quietly xsr route flush $service
		routes_import $service $SESSIONS
	done
}

# Each session to the next worker: from then on a worker knows the generation of each, with transport udp, too, until it
# forgets the session for being idle. Here it does not: a slow machine needs longer than any time to have them all moved.
all_move_once() { # SERVICE
	local id
	for ((id = 0; id < SESSIONS; id++)); do
		echo "$id worker $(((id + 1) % 2))"
	done | xsr session move "$1" - >"$TMP/moved" || wrong "session move: status $?"
	assert_has "moved before there was any message" "moved $SESSIONS sessions in" "$(<"$TMP/moved")"
	N_HANDOFFS=$((N_HANDOFFS + SESSIONS))
}

moves_under_load() { # SERVICE ADDRESS:PORT MESSAGES OPTION...
	local messages=$(($3 / (SLOWER * SLOWER))) moves=$((1000 / SLOWER)) made
	step "$KIND, $1 routes, $messages messages${4:+, ${*:4}}"
	load "$2" --sessions $SESSIONS --window 512 --messages $messages --owners 2 \
		--service "$1" --moves $((500 * 1000000 / $3 / SLOWER)) --move-count $moves "${@:4}"
	assert_load_exact
	say "    $(json_number answered_per_s "$LOAD") answers/s, handoffs p50 $(json_number handoff_p50_us "$LOAD") us," \
		"p99 $(json_number handoff_p99_us "$LOAD") us"
	assert_eq "messages sent" $messages "$SENT"
	made=$(json_number moves "$LOAD")
	# An emulated machine has its messages answered before all sessions had their turn.
	assert_ge "moves" $((SLOWER > 1 ? moves / 10 : moves)) "$made"
	assert_eq "moves done" "$made" "$(json_number moves_done "$LOAD")"
	assert_eq "moves without state" 0 "$(json_number moves_without_state "$LOAD")"
	assert_ge "handoffs that answers have shown" $((SLOWER > 1 ? 1 : moves * 9 / 10)) "$(json_number handoffs "$LOAD")"
	assert_eq "messages served before their session was to move" 0 "$(json_number weird "$LOAD")"
	N_HANDOFFS=$((N_HANDOFFS + made))
	assert_handoffs $N_HANDOFFS
}

MILLION=1000000 SOME=250000 # enough to be under way while the sessions move
hosts_make

KIND="transport xdp"
router_with "transport: xdp"
assert_has "log" "mode native xdp" "$(<"$TMP/router.log")"
moves_under_load hashed 10.77.0.1:5000 $MILLION
moves_under_load dense "[fd77::1]:5000" $SOME
moves_under_load hashed 10.77.0.1:5000 $SOME --sources 4 --roam 50
moves_under_load dense "[fd77::1]:5000" $MILLION --sources 4 --roam 50
router_stop

KIND="generic mode"
router_with "transport: xdp" "mode: generic"
assert_has "log" "mode generic xdp" "$(<"$TMP/router.log")"
moves_under_load hashed 10.77.0.1:5000 $SOME
moves_under_load dense "[fd77::1]:5000" $MILLION --sources 4 --roam 50
router_stop

KIND="transport udp"
router_with "transport: udp"
all_move_once hashed
all_move_once dense
moves_under_load dense "[fd77::1]:5000" $SOME
moves_under_load hashed 10.77.0.1:5000 $MILLION --sources 4 --roam 50
router_stop
