#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
# Sessions of a TCP service move between three backends, thousands of times, while their requests come: each request is
# answered, once and in order, and each backend reads what it gets of a session in order and without a gap.
. "$(dirname "$0")/lib.sh"

[ -z "${XSR_VM:-}" ] || skip "what happens between connections is the router's own matter; gateway_modes runs here"

ADDRESS=10.77.0.1:7000
SESSIONS=$((1000 / SLOWER))
MOVES=$((10000 / SLOWER))

# The k-th move of a session takes it to backend (ID + k) modulo 3, so each one takes it to another.
moves_write() { # N FIRST-ID
	awk -v n="$1" -v first="$2" -v sessions=$SESSIONS 'BEGIN {
		split("one two three", names)
		for (i = 0; i < n; i++) {
			id = first + i % sessions
			print id, "backend", names[(id + int(i / sessions)) % 3 + 1]
		}
	}'
}

gateway_start() { # MODE
	exchanges_start
	gateway_config "$1" 20000 | router_start
	assert_eq "active mode" "$1" "$(mode_active orders)"
	xsr route flush orders >/dev/null
}

# Whatever carries traffic moves, in one stream of commands, as fast as they are done.
moves_under_load() {
	local moves_before start
	moves_before=$(service_counter orders moves)
	tcp_load_start only $ADDRESS --connections 100 --sessions $SESSIONS --size 24 --size-max 2000 --window 4 --cut \
		--seconds 600 --deadline $((20000 * SLOWER))
	sleep 1
	start=$(milliseconds)
	moves_write $MOVES 1 | xsr --json session move orders - >"$TMP/moves" 2>"$TMP/moves.log"
	assert_eq "exit status of session move" 0 "${PIPESTATUS[1]}"
	say "    $MOVES moves in $(($(milliseconds) - start)) ms"
	load_stop only
	assert_tcp_load_exact
	MOVED=$(<"$TMP/moves")
	assert_eq "messages" "" "$(<"$TMP/moves.log")"
	assert_eq "moved" $MOVES "$(json_number moved "$MOVED")"
	assert_eq "failed" 0 "$(json_number failed "$MOVED")"
	assert_eq "moves that the workers counted" $((moves_before + MOVES)) "$(service_counter orders moves)"
	assert_exchanges_in_order
	say "    $SENT requests, each answered"
}

# Clients come back to any worker meanwhile: a move that meets that may fail, and says so. The sessions are others: backends that
# the first ones left by a move still know those.
moves_of_who_comes_back() {
	local first=100001 count
	tcp_load_start only $ADDRESS --connections 50 --sessions $SESSIONS --window 4 --reconnect 50 --seconds 600 \
		--first $first --deadline $((20000 * SLOWER))
	sleep 0.5
	moves_write $((MOVES / 4)) $first | xsr --json session move orders - >"$TMP/moves" 2>/dev/null
	load_stop only
	MOVED=$(<"$TMP/moves")
	assert_eq "moved, there already, or failed" $((MOVES / 4)) \
		$(($(json_number moved "$MOVED") + $(json_number unchanged "$MOVED") + $(json_number failed "$MOVED")))
	assert_ge "moved" $((MOVES / 8)) "$(json_number moved "$MOVED")"
	# In mode frames a backend that had a session before may repeat a reply that another one gave meanwhile.
	assert_eq "answered and errors, of $SENT sent" "$SENT" $(($(json_number answered "$LOAD") + $(json_number errors "$LOAD")))
	for count in lost torn not_opened early; do
		assert_eq $count 0 "$(json_number $count "$LOAD")"
	done
	[ $MODE = frames ] || assert_eq duplicated 0 "$(json_number duplicated "$LOAD")"
	assert_exchanges_in_order
	say "    $(json_number moved "$MOVED") moved, $(json_number failed "$MOVED") failed; $(json_number resumed "$LOAD") sessions" \
		"came back; $SENT requests, $(json_number errors "$LOAD") answered by an error"
}

what_is_wrong_is_refused() {
	refused 1 "with a backend of the service" xsr session move orders 1 backend nosuch
	refused 1 "or [ID, worker]" xsr session move orders 1 worker 2
	refused 1 "" xsr session move nosuch 1 backend one
}

hosts_make
for MODE in $(gateway_modes); do
	gateway_start $MODE
	step "$MODE: $MOVES moves under load"
	moves_under_load
	step "$MODE: moves of sessions whose clients come back elsewhere"
	moves_of_who_comes_back
	step "$MODE: what is wrong is refused"
	what_is_wrong_is_refused
	step "$MODE: one session"
	try xsr session move orders 5 backend two
	try xsr session move orders 5 backend one
	assert_eq "status ($ERR)" 0 "$STATUS"
	assert_has "what it says" "moved 1 session" "$OUT"
	assert_has "its route" "backend one" "$(xsr route show orders 5)"
	step "$MODE: nothing came out of order to any backend"
	router_stop
	exchanges_stop
done
