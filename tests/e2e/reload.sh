#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
# A new program takes the old one's place under traffic, again and again, while routes move: nothing is lost, doubled
# or misrouted, the device is never without a program, and services and routes stay.
. "$(dirname "$0")/lib.sh"

SESSIONS=200
RELOADS=$((SLOWER > 1 ? 6 : 20)) # a program takes its time to load on a slow guest

# Writes down what runs on the device, as fast as ip tells it.
watch_start() {
	while [ -e $SERVER_NET ]; do
		xdp_on xe0
	done >"$TMP/watch" 9>&- &
	WATCH=$!
	JOBS=($WATCH)
}

watch_stop() {
	{ kill "$WATCH" && wait "$WATCH"; } 2>/dev/null
	JOBS=()
}

reloads() {
	local before i
	for ((i = 0; i < RELOADS; i++)); do
		before=$(xdp_on xe0)
		try xsr prog load
		assert_eq "stdout" "loaded $PINS, services and routes kept, exchanged on 1 device(s)" "$OUT"
		[ "$(xdp_on xe0)" != "$before" ] || wrong "the old program still runs: $before"
	done
}

hosts_make
router_start <<YAML
devices: [xe0]
transport: xdp
workers: 2
services:
  - { name: game, address: "10.77.0.1:5000", id: xsr, default: drop, stamp: on, dense: 100 }
YAML
routes_import game $SESSIONS

step "reloads and moves under traffic"
watch_start
moves_start game $SESSIONS
load_start game 10.77.0.1:5000 --sessions $SESSIONS --sockets 8 --owners 2 --rate $RATE --seconds 300
reloads
load_stop game
watch_stop
moves_stop
assert_load_exact
assert_ge "changes of owner that answers have shown" $RELOADS "$(json_number sessions_moved "$LOAD")"
assert_eq "route_worker" "$SENT" "$(service_counter game route_worker)"

step "the device was never without a program"
assert_ge "looks at the device" 20 "$(wc -l <"$TMP/watch")"
assert_eq "looks that saw none, or generic mode" 0 "$(grep -cv '^xdp [0-9]' "$TMP/watch")"
assert_ge "different programs seen" $((RELOADS / 2)) "$(sort -u "$TMP/watch" | wc -l)"

step "services and routes stay as they are"
services=$(xsr service show) routes=$(xsr --json route show)
done_quietly xsr prog load
assert_eq "services" "$services" "$(xsr service show)"
assert_eq "routes" "$routes" "$(xsr --json route show)"

step "other sizes are refused"
id=$(xdp_on xe0)
refused 1 "xsr_dense has 1048576 entries and keeps them across a reload" xsr prog load dense 4096
refused 1 "xsr_routes has 1048576 entries and keeps them across a reload" xsr prog load routes 4096
assert_eq "the old program stays" "$id" "$(xdp_on xe0)"
done_quietly xsr prog load dense 1048576 routes 1048576

step "no unloading while a device runs the program"
refused 1 "the program runs on 'xe0'; detach it first: xsr --name $NAME net detach xe0" xsr prog unload
load 10.77.0.1:5000 --sessions $SESSIONS --rate $RATE --seconds 0.2
assert_load_exact

step "what a killed loader left is no obstacle"
mkdir "$PINS-loading" && ln "$PINS/xsr_stats" "$PINS-loading/xsr_stats" || fail "cannot make $PINS-loading"
done_quietly xsr prog load
[ ! -e "$PINS-loading" ] || wrong "$PINS-loading is still there"

step "a loader killed at any moment leaves a whole instance"
for ((i = 0; i < 20; i++)); do
	nsenter --net=$SERVER_NET "$XSR" --name $NAME prog load >/dev/null 9>&- &
	sleep 0.00$((i % 10))$((i / 10 * 5))
	{ kill -KILL $! && wait $!; } 2>/dev/null
	assert_eq "routes" "$routes" "$(xsr --json route show)"
done
done_quietly xsr prog load
load 10.77.0.1:5000 --sessions $SESSIONS --rate $RATE --seconds 0.2
assert_load_exact
router_stop
assert_eq "program on the device" "" "$(xdp_on xe0)"
