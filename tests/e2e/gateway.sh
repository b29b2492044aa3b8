#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
# A TCP gateway before three backends, by epoll and by the kernel: every byte arrives once and in order, clients that
# come back from elsewhere go on where they were, routes and the configuration change meanwhile, and it ends in time.
. "$(dirname "$0")/lib.sh"

[ -z "${XSR_VM:-}" ] || skip "what happens between connections is the router's own matter; gateway_modes runs here"

ADDRESS=10.77.0.1:7000
BULK=$((BULK_BYTES / 140000)) # frames: they have some 155,000 bytes, most of them few

gateway_start() { # MODE
	exchanges_start
	gateway_config "$1" 20000 | router_start
	assert_eq "active mode" "$1" "$(mode_active orders)"
}

gateway_stop() {
	router_stop
	exchanges_stop
}

added() { say $(($(service_counter orders "$1") - $(json_number "$1" "$2"))); } # COUNTER BEFORE

every_byte_arrives() {
	local before bytes
	step "$MODE: 200 connections, frames of up to a megabyte, cut anywhere"
	before=$(xsr --json service show orders)
	tcp_load $ADDRESS --connections 200 --sessions 400 --size 24 --size-max 1048580 --cut --window 2 --messages $BULK \
		--deadline $((30000 * SLOWER))
	assert_tcp_load_exact
	assert_exchanges_in_order
	bytes=$(json_number bytes "$LOAD")
	assert_ge "bytes" "$BULK_BYTES" "$bytes"
	assert_eq "requests" "$SENT" "$(added requests "$before")"
	assert_eq "replies" "$SENT" "$(added replies "$before")"
	assert_eq "reply bytes" "$bytes" "$(added reply_bytes "$before")"
	assert_eq "request bytes" "$bytes" "$(added request_bytes "$before")" # an answer is as long as its request
	say "    $bytes bytes each way, $(json_number mb_per_s "$LOAD") MB/s"
}

# By FIN, by reset, with half a frame under way; to whichever worker the kernel gives them.
clients_come_back() {
	step "$MODE: clients that come back take their sessions along"
	tcp_load $ADDRESS --connections 40 --sessions 400 --size 24 --size-max 4000 --cut --window 8 --reconnect 100 \
		--seconds 4 --deadline $((20000 * SLOWER))
	assert_tcp_load_exact
	assert_ge "connections that were made again" $((100 / SLOWER)) "$(json_number reconnects "$LOAD")"
	assert_ge "sessions that came back" $((400 / SLOWER)) "$(json_number resumed "$LOAD")"
}

# What they asked before is answered all the same, whether the kernel has the connection by then or not.
clients_close_one_way() {
	local cut
	step "$MODE: clients that close their way get all their replies"
	cut=$(service_counter orders closed_half_frame)
	try client "$TMP/leave" 10.77.0.1 7000 $((400 / SLOWER))
	assert_eq "exit status ($ERR)" 0 "$STATUS"
	assert_eq "those that were taken for cut off" "$cut" "$(service_counter orders closed_half_frame)"
}

frames_at() { # BACKEND
	exchange_now "$1"
	json_number frames "$EXCHANGE"
}

more_frames_at() { [ "$(frames_at "$1")" -gt "$2" ]; } # BACKEND N

route_is_followed() {
	local backend before start
	step "$MODE: a live session follows its route"
	tcp_load_start only $ADDRESS --connections 1 --first 77 --window 1 --seconds 300
	for backend in one two three one; do
		before=$(frames_at $backend)
		start=$(milliseconds)
		done_quietly xsr route replace orders 77 backend $backend
		wait_until more_frames_at $backend "$before" || wrong "no request came to backend $backend"
		assert_le "ms until requests came to backend $backend" $((1000 * SLOWER)) $(($(milliseconds) - start))
	done
	load_stop only
	assert_tcp_load_exact
	done_quietly xsr route delete orders 77
}

service_is() { xsr service show "$1" >/dev/null 2>&1; }     # NAME
service_is_no_more() { ! service_is "$1"; }

configuration_changes() {
	step "$MODE: a backend and a service come, and go again"
	tcp_load_start steady $ADDRESS --connections 20 --sessions 100 --rate $((RATE / 4)) --seconds 300
	exchange_start four 10.77.0.1:9004
	cp "$TMP/router.yaml" "$TMP/before.yaml"
	sed -i 's/^backends:/&\n  - { name: four, address: "10.77.0.1:9004" }/' "$TMP/router.yaml"
	cat >>"$TMP/router.yaml" <<-YAML
		  - { name: quotes, protocol: tcp, address: "10.77.0.1:7001", id: xsr, backends: [four], mode: $MODE }
	YAML
	kill -HUP $ROUTER
	wait_until service_is quotes || wrong "the service did not come: $(<"$TMP/router.log")"
	wait_until port_is_open 7001
	tcp_load 10.77.0.1:7001 --connections 10 --sessions 20 --seconds 1
	assert_tcp_load_exact
	assert_eq "active mode" "$MODE" "$(mode_active quotes)"
	assert_ge "requests at the new backend" "$SENT" "$(frames_at four)"
	cp "$TMP/before.yaml" "$TMP/router.yaml"
	kill -HUP $ROUTER
	wait_until service_is_no_more quotes || wrong "the service did not go: $(<"$TMP/router.log")"
	assert_has_not "backends" four "$(xsr backend show)"
	load_stop steady
	assert_tcp_load_exact
	exchange_stop four
}

# The load waits for the next one, and its sessions come back.
ends_under_load() {
	local start
	step "$MODE: ends in time under load, and another takes its place"
	tcp_load_start only $ADDRESS --connections 100 --sessions 400 --size 24 --size-max 20000 --seconds 300
	sleep 1
	start=$(milliseconds)
	router_stop
	assert_le "ms until the router ended" $((3000 * SLOWER)) $(($(milliseconds) - start))
	say "    ended in $(($(milliseconds) - start)) ms"
	router_run
	assert_eq "active mode" "$MODE" "$(mode_active orders)"
	sleep 1
	load_stop only
	assert_tcp_load_accounted
	assert_ge "sessions that came back" 400 "$(json_number resumed "$LOAD")"
}

${CC:-cc} -O -o "$TMP/leave" tests/e2e/leave.c || skip "no C compiler to build tests/e2e/leave.c"
hosts_make
for MODE in $(gateway_modes); do
	gateway_start $MODE
	every_byte_arrives
	clients_come_back
	clients_close_one_way
	route_is_followed
	configuration_changes
	ends_under_load
	gateway_stop
done
