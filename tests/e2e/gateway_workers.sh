#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
# Connections of a TCP service's clients move between workers, thousands of times, while requests come, sessions move between
# backends, and clients come back elsewhere: each request is answered, once and in order, and no client notices.
. "$(dirname "$0")/lib.sh"

[ -z "${XSR_VM:-}" ] || skip "what happens between connections is the router's own matter; gateway_modes runs here"

ADDRESS=10.77.0.1:7000
CONNECTIONS=100
SESSIONS=$((400 / SLOWER))
MOVES=$((4000 / SLOWER))

gateway_start() { # MODE
	exchanges_start
	gateway_config "$1" 20000 | router_start
	assert_eq "active mode" "$1" "$(mode_active orders)"
	xsr route flush orders >/dev/null
}

# Each pass over the sessions takes all of them to the other worker.
worker_moves_write() { # N FIRST-ID
	awk -v n="$1" -v first="$2" -v sessions=$SESSIONS 'BEGIN {
		for (i = 0; i < n; i++)
			print first + i % sessions, "worker", int(i / sessions) % 2
	}'
}

# The same, and every other line takes another one to another backend.
mixed_moves_write() { # N FIRST-ID
	worker_moves_write "$1" "$2" | awk -v first="$2" -v sessions=$SESSIONS '{
		print
		split("one two three", names)
		id = first + ($1 - first + int(sessions / 2)) % sessions
		print id, "backend", names[(id + int(NR / sessions)) % 3 + 1]
	}'
}

moved_sum() {
	say $(($(json_number moved "$MOVED") + $(json_number unchanged "$MOVED") + $(json_number failed "$MOVED")))
}

moves_under_load() { # WRITER LINES FIRST-ID SIZE-MAX
	local start taken
	taken=$(service_counter orders taken_over)
	tcp_load_start only $ADDRESS --connections $CONNECTIONS --sessions $SESSIONS --first "$3" --size 24 --size-max "$4" --window 4 \
		--cut --seconds 600 --deadline $((20000 * SLOWER))
	sleep 1
	start=$(milliseconds)
	"$1" $MOVES "$3" | xsr --json session move orders - >"$TMP/moves" 2>"$TMP/moves.log"
	assert_eq "exit status of session move" 0 "${PIPESTATUS[1]}"
	assert_eq "messages" "" "$(<"$TMP/moves.log")"
	MOVED=$(<"$TMP/moves")
	load_stop only
	assert_tcp_load_exact
	assert_eq "moved, or came along before" "$2" "$(moved_sum)"
	assert_eq "failed" 0 "$(json_number failed "$MOVED")"
	taken=$(($(service_counter orders taken_over) - taken))
	assert_ge "connections that changed their worker" $((MOVES * CONNECTIONS / SESSIONS / 2)) $taken
	assert_eq "connections that went on" "$(service_counter orders handed_over)" "$(service_counter orders taken_over)"
	assert_eq "closed on the way" 0 "$(service_counter orders closed_handover)"
	assert_eq "reconnects" 0 "$(json_number reconnects "$LOAD")"
	assert_exchanges_in_order
	say "    $taken connections changed their worker in $(($(milliseconds) - start)) ms; $SENT requests, each answered"
}

# What is asked of a session whose client has just gone fails with a sentence.
moves_of_who_comes_back() {
	local first=200001
	tcp_load_start only $ADDRESS --connections 50 --sessions $SESSIONS --window 4 --reconnect 50 --seconds 600 \
		--first $first --deadline $((20000 * SLOWER))
	sleep 0.5
	worker_moves_write $((MOVES / 2)) $first | xsr --json session move orders - >"$TMP/moves" 2>/dev/null
	MOVED=$(<"$TMP/moves")
	load_stop only
	assert_tcp_load_exact
	assert_eq "moved, there already, or failed" $((MOVES / 2)) "$(moved_sum)"
	assert_ge "moved" $((MOVES / 50)) "$(json_number moved "$MOVED")"
	say "    $(json_number moved "$MOVED") moved, $(json_number failed "$MOVED") failed; $(json_number resumed "$LOAD") sessions" \
		"came back; $SENT requests, each answered"
}

worker_of() { json_number worker "$(xsr --json session show orders "$1")"; } # ID

one_is_moved() {
	local worker
	tcp_load_start only $ADDRESS --connections 1 --sessions 4 --first 300001 --rate 1000 --seconds 300
	sleep 1
	worker=$(worker_of 300001)
	try xsr session move orders 300001 worker $((1 - worker))
	assert_eq "status ($ERR)" 0 "$STATUS"
	assert_has "what it says" "moved 1 session in" "$OUT"
	assert_has "what it says of the others" ", 3 others along in its connection" "$OUT"
	for id in 300001 300002 300003 300004; do
		assert_eq "worker of session $id" $((1 - worker)) "$(worker_of $id)"
	done
	try xsr session move orders 300002 worker $((1 - worker))
	assert_has "what it says of one that came along" "1 was there already" "$OUT"
	OUT=$(xsr --json session move orders 300003 worker $worker)
	assert_eq "moved" 1 "$(json_number moved "$OUT")"
	assert_eq "along" 3 "$(json_number along "$OUT")"
	load_stop only
	assert_tcp_load_exact
	try xsr session move orders 300001 worker $((1 - worker))
	assert_eq "status of a move without client" 1 "$STATUS"
}

what_is_wrong_is_refused() {
	refused 1 "with a worker that takes clients" xsr session move orders 1 worker 2
	try xsr session move orders 999999 worker 1
	assert_eq "status of a move of what nobody has" 1 "$STATUS"
	assert_has "what it says of that" "no worker has it" "$ERR"
	refused 1 "no service 'nosuch'" xsr session move nosuch 1 worker 1
}

sessions_at() { xsr --json session show orders | grep -o "\"worker\":$1,[^}]*\"state\":\"active\"" | wc -l; } # WORKER

accepted_by() { # WORKER
	json_number accepted "$(xsr --json stats show | grep -o "\"service\":\"orders\",\"worker\":$1,\"counters\":{[^}]*")"
}

load_goes_on() {
	local before
	before=$(service_counter orders replies)
	sleep 0.3
	assert_ge "replies within 0.3 s" $((before + 100)) "$(service_counter orders replies)"
}

# All at one worker, then half of them at each, then all at the other one, and none comes back to the first.
workers_are_evened_out_and_drained() {
	local accepted
	tcp_load_start steady $ADDRESS --connections 100 --sessions 100 --first 500001 --window 4 --size 24 --size-max 3000 --cut --seconds 300
	sleep 1
	seq 500001 500100 | sed 's/$/ worker 0/' | done_quietly xsr session move orders -
	assert_eq "sessions at worker 0" 100 "$(sessions_at 0)"
	try xsr worker rebalance
	assert_eq "status ($ERR)" 0 "$STATUS"
	assert_has "what it says" "moved 50 sessions" "$OUT"
	assert_eq "sessions at worker 0" 50 "$(sessions_at 0)"
	assert_has "of nothing to do" "moved 0 sessions" "$(xsr worker rebalance)"
	try xsr worker drain 0
	assert_eq "status ($ERR)" 0 "$STATUS"
	assert_has "what it says" "moved 50 sessions" "$OUT"
	assert_eq "sessions at worker 0" 0 "$(sessions_at 0)"
	assert_eq "sessions at worker 1" 100 "$(sessions_at 1)"
	load_goes_on
	accepted=$(accepted_by 0)
	tcp_load $ADDRESS --connections 50 --sessions 50 --first 600001 --seconds 1
	assert_tcp_load_exact
	assert_eq "clients that worker 0 accepted meanwhile" 0 $(($(accepted_by 0) - accepted))
	refused 1 "last worker that takes clients" xsr worker drain 1
	refused 1 "no such worker" xsr worker drain 7
	refused 1 "a worker that takes clients" xsr session move orders 500001 worker 0
	load_stop steady
	assert_tcp_load_exact
	assert_eq "reconnects" 0 "$(json_number reconnects "$LOAD")"
}

# Under load and while clients come and go: workers come, take their share, and end; their numbers are used again.
workers_come_and_go() {
	local i
	tcp_load_start steady $ADDRESS --connections 90 --sessions 90 --first 800001 --window 4 --size 24 --size-max 3000 --cut --seconds 300
	tcp_load_start roaming $ADDRESS --connections 20 --sessions 20 --first 810001 --window 2 --reconnect 20 --seconds 300
	sleep 1
	assert_eq "the first that is added" "added worker 2" "$(xsr worker add)"
	assert_eq "the next one" "added worker 3" "$(xsr worker add cpu 0)"
	for ((i = 0; i < 10; i++)); do
		done_quietly xsr worker rebalance
		assert_ge "sessions at worker 2" 15 "$(sessions_at 2)"
		done_quietly xsr worker remove 2
		assert_eq "sessions at worker 2" 0 "$(sessions_at 2)"
		assert_eq "the number is used again" "added worker 2" "$(xsr worker add)"
	done
	done_quietly xsr worker drain 1
	done_quietly xsr worker remove 1
	refused 1 "no such worker" xsr worker drain 1
	refused 1 "it speaks for all services" xsr worker remove 0
	load_stop roaming
	assert_tcp_load_exact
	load_stop steady
	assert_tcp_load_exact
	assert_eq "reconnects" 0 "$(json_number reconnects "$LOAD")"
	assert_eq "connections that are left" 0 "$(service_counter orders connections)"
	say "    $SENT requests, each answered; $(service_counter orders taken_over) connections changed their worker"
}

# Its sessions are at a backend that hangs: they stay, and go when it goes on.
who_cannot_go_stays() {
	tcp_load_start only $ADDRESS --connections 4 --sessions 4 --first 700001 --window 1 --seconds 300 --deadline 60000
	sleep 0.5
	seq 700001 700004 | sed 's/$/ backend one/' | done_quietly xsr session move orders -
	seq 700001 700004 | sed 's/$/ worker 1/' | done_quietly xsr session move orders -
	kill -STOP "${EXCHANGES[one]}"
	refused 1 "4 connections of worker 1 could not be moved, and stay there" xsr worker drain 1
	kill -CONT "${EXCHANGES[one]}"
	try xsr worker drain 1
	assert_has "what it says" "moved 4 sessions" "$OUT"
	load_stop only
	assert_tcp_load_accounted
}

# In the middle of thousands of moves, under load; another one takes its place.
ends_while_connections_move() {
	local start
	tcp_load_start only $ADDRESS --connections $CONNECTIONS --sessions $SESSIONS --first 400001 --window 4 --seconds 300
	sleep 1
	worker_moves_write 1000000 400001 | xsr session move orders - >/dev/null 2>&1 9>&- &
	JOBS+=($!)
	sleep 1
	start=$(milliseconds)
	router_stop
	assert_le "ms until the router ended" $((5000 * SLOWER)) $(($(milliseconds) - start))
	router_run
	sleep 1
	load_stop only
	assert_tcp_load_accounted
	assert_ge "sessions that came back" $SESSIONS "$(json_number resumed "$LOAD")"
}

hosts_make
gateway_start epoll
step "$MOVES moves to the other worker under load"
moves_under_load worker_moves_write $MOVES 1 3000
step "the same with frames of up to 60000 bytes, while sessions move between backends"
moves_under_load mixed_moves_write $((2 * MOVES)) 100001 60000
step "clients come back elsewhere meanwhile"
moves_of_who_comes_back
step "a connection that carries four sessions"
one_is_moved
step "what is wrong is refused"
what_is_wrong_is_refused
step "workers are evened out, and one is drained, under load"
workers_are_evened_out_and_drained
router_stop
router_run
step "workers come and go under load"
workers_come_and_go
router_stop
router_run
step "what cannot go stays, and goes later"
who_cannot_go_stays
router_stop
router_run
step "the router ends while connections move"
ends_while_connections_move
router_stop
exchanges_stop

if kernel_can_frames; then
	step "what the kernel moves stays where it is"
	gateway_start frames
	refused 1 "service 'orders' runs in mode frames" xsr session move orders 1 worker 1
	refused 1 "in mode epoll only" xsr worker drain 0
	refused 1 "in mode epoll only" xsr worker rebalance
	router_stop
	exchanges_stop
fi
