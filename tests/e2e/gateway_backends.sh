#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
# Backends of a TCP service are killed, come back, and stand still: every request is answered, or an error says in
# time that it will not be; sessions that are free to go are served by those that are up.
. "$(dirname "$0")/lib.sh"

[ -z "${XSR_VM:-}" ] || skip "what happens between connections is the router's own matter; gateway_modes runs here"

ADDRESS=10.77.0.1:7000
DEADLINE=$((1000 * SLOWER)) # ms that a request may wait for its reply
PINNED=50                   # sessions 1 .. PINNED have a route to backend one, the others have none
FREE=$((PINNED + 1))

gateway_start() { # MODE
	exchanges_start --service-us 500
	gateway_config "$1" $DEADLINE | router_start
	assert_eq "active mode" "$1" "$(mode_active orders)"
	seq $PINNED | sed 's/$/ backend one/' | xsr route import orders - >/dev/null || fail "cannot import the routes"
}

errors() { service_counter orders err_no_backend; }
more_errors() { [ "$(errors)" -gt "$1" ]; }
backends_up() { [ "$(service_counter orders backends)" = "$1" ]; } # N, of both workers together

# A session of this load that hears nothing for a second while it waits is given up, and its requests are lost.
killed() {
	local before start
	step "$MODE: a backend is killed: errors come at once"
	before=$(errors)
	tcp_load_start only $ADDRESS --connections 20 --sessions 200 --window 4 --rate $((RATE / 4)) --seconds 600 \
		--deadline $((1000 * SLOWER))
	sleep 1
	start=$(milliseconds)
	exchange_end one KILL
	wait_until more_errors "$before" || wrong "no request was answered by an error"
	assert_le "ms until the first error" $((1000 * SLOWER)) $(($(milliseconds) - start))
	wait_until backends_up 4 || wrong "the router does not know that the backend is gone"
	sleep 1
	load_stop only
	assert_tcp_load_accounted
	assert_ge "errors by no backend" 1 "$(json_number error_no_backend "$LOAD")"
	say "    $SENT requests, $ERRORS answered by an error"
}

the_others_serve() {
	step "$MODE: sessions without a route go to those that are up"
	tcp_load $ADDRESS --connections 10 --sessions 100 --first $FREE --seconds 1
	assert_tcp_load_exact
	step "$MODE: those that have one to it are told to come again"
	tcp_load $ADDRESS --connections 5 --sessions $PINNED --seconds 1 --deadline $((1000 * SLOWER))
	assert_eq "sent" 0 "$SENT"
	assert_eq "sessions that were not opened" $PINNED "$(json_number not_opened "$LOAD")"
	assert_ge "handshakes that were refused" $PINNED "$(json_number refused "$LOAD")"
}

comes_back() {
	step "$MODE: it comes back, and its sessions with it"
	exchange_start one 10.77.0.1:9001 --service-us 500
	wait_until backends_up 6 || wrong "the router does not find the backend again"
	tcp_load $ADDRESS --connections 5 --sessions $PINNED --seconds 1
	assert_tcp_load_exact
	exchange_now one
	assert_eq "requests at the backend" "$SENT" "$(json_number frames "$EXCHANGE")"
}

# Three times in one load, whose sessions live on.
killed_again_and_again() {
	local i
	step "$MODE: killed and back, again and again, under load"
	tcp_load_start only $ADDRESS --connections 20 --sessions 200 --size 24 --size-max 20000 --window 8 --cut --seconds 600 \
		--deadline $((10000 * SLOWER))
	for ((i = 0; i < 3; i++)); do
		sleep 0.7
		exchange_end one KILL
		sleep 0.7
		exchange_start one 10.77.0.1:9001 --service-us 500
		wait_until backends_up 6 || wrong "the router does not find the backend again"
	done
	sleep 0.5
	load_stop only
	assert_tcp_load_accounted
	say "    $SENT requests, $ERRORS answered by an error"
}

# Its connections stay: the time that a request may wait is what tells.
stands_still() {
	local before
	step "$MODE: a backend stands still for two seconds"
	before=$(service_counter orders err_deadline)
	tcp_load_start only $ADDRESS --connections 20 --sessions 200 --window 4 --rate $((RATE / 4)) --seconds 600 \
		--deadline $((DEADLINE + 1000 * SLOWER))
	sleep 0.5
	kill -STOP "${EXCHANGES[two]}"
	sleep $((2 * SLOWER))
	kill -CONT "${EXCHANGES[two]}"
	sleep 1
	load_stop only
	assert_tcp_load_accounted
	assert_ge "errors by the deadline" 1 "$(($(service_counter orders err_deadline) - before))"
	assert_eq "the others have none" "$ERRORS" \
		$(($(json_number error_deadline "$LOAD") + $(json_number error_overflow "$LOAD")))
	tcp_load $ADDRESS --connections 10 --sessions 100 --seconds 1
	assert_tcp_load_exact
}

hosts_make
for MODE in $(gateway_modes); do
	gateway_start $MODE
	killed
	the_others_serve
	comes_back
	killed_again_and_again
	stands_still
	router_stop
	exchanges_stop
done
