#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
# The two ends of a TCP service without a router between them: every request of `xsr load tcp` is accounted for while
# connections are cut, dropped, read slowly, while the backend is killed and comes back; and what goes wrong is told.
. "$(dirname "$0")/lib.sh"

[ -z "${XSR_VM:-}" ] || skip "what happens between connections is the router's own matter; gateway_modes runs here"

ADDRESS=10.77.0.1:7000
ADDRESS6="[fd77::1]:7000"

# Fewer of everything where everything takes longer.
some() { say $(($1 / SLOWER)); }

exchange_number() { json_number "$1" "$EXCHANGE"; }
load_number() { json_number "$1" "$LOAD"; }

# Nothing else came to the backend than what the client sent: once, and what was sent again.
assert_exchange_agrees() {
	assert_ge "requests that the backend read, of $SENT" "$SENT" "$(exchange_number frames)"
	assert_eq "gaps" 0 "$(exchange_number gaps)"
	assert_eq "requests of sessions without a handshake" 0 "$(exchange_number no_handshake)"
}

hosts_make

step "what is wrong is refused"
refused 2 "expected ADDR:PORT" "$XSR" exchange
refused 2 "expected ADDR:PORT" "$XSR" load tcp
refused 2 "needs a value" "$XSR" exchange $ADDRESS --keep
refused 2 "unknown option '--nosuch'; see: xsr exchange help" "$XSR" exchange $ADDRESS --nosuch 1
refused 2 "--queue '0': expected 1 to" "$XSR" exchange $ADDRESS --queue 0
refused 2 "10.77.0.1" "$XSR" exchange 10.77.0.1
refused 1 "cannot listen" client "$XSR" exchange $ADDRESS
refused 2 "expected the address of one host" "$XSR" load tcp 0.0.0.0:7000
refused 2 "needs a value" "$XSR" load tcp $ADDRESS --window
refused 2 "unknown option '--nosuch'" "$XSR" load tcp $ADDRESS --nosuch 1
refused 2 "--size '23': expected 24 to" "$XSR" load tcp $ADDRESS --size 23
refused 2 "a PERF frame has at least 104 bytes" "$XSR" load tcp $ADDRESS --perf --size 103
refused 2 "--size is 200" "$XSR" load tcp $ADDRESS --size 200 --size-max 100
refused 2 "each has one" "$XSR" load tcp $ADDRESS --connections 8 --sessions 7
refused 2 "descriptors" "$XSR" load tcp $ADDRESS --connections 1000000 --sessions 1000000

exchange_start one $ADDRESS
for size in 24 25 31 32 33 104 1400 4096 65535 65536 65537 262144 1048576 1048580; do
	step "frames of $size bytes"
	tcp_load $ADDRESS --connections 2 --sessions 4 --size $size --messages "$(some 200)" --window 4
	assert_tcp_load_exact
done

step "frames of any length, cut anywhere"
tcp_load $ADDRESS --connections 10 --sessions 40 --size 24 --size-max 1048576 --messages "$(some 2000)" --window 4 --cut
assert_tcp_load_exact

step "by IPv6, PERF, IDs that the backend chooses"
exchange_start six "$ADDRESS6"
tcp_load "$ADDRESS6" --connections 4 --sessions 40 --perf --assign --messages "$(some 20000)" --threads 2
assert_tcp_load_exact
exchange_stop six
assert_exchange_agrees
assert_eq "sessions" 40 "$(exchange_number sessions)"

step "a rate is kept"
tcp_load $ADDRESS --connections 4 --sessions 100 --rate $((RATE / 2)) --seconds 2
assert_tcp_load_exact
assert_ge "requests in 2 s" $((RATE * 8 / 10)) "$SENT"
assert_le "requests in 2 s" $((RATE * 11 / 10)) "$SENT"

step "1000 connections"
tcp_load $ADDRESS --connections 1000 --sessions 4000 --messages "$(some 40000)" --window 2
assert_tcp_load_exact
assert_eq "connections" 1000 "$(load_number connected)"

step "readers that are slow keep nobody else waiting, and lose nothing"
tcp_load $ADDRESS --connections 8 --sessions 16 --size 20000 --slow-reader 4 --slow-rate 20000 --seconds 2
assert_tcp_load_exact
exchange_stop one
assert_exchange_agrees
assert_eq "sessions that said no goodbye" 0 "$(exchange_number sessions_now)"

step "connections that are dropped: their sessions come back"
exchange_start one $ADDRESS --service-us 200 --jitter-us 1000
tcp_load $ADDRESS --connections 20 --sessions 100 --size 24 --size-max 30000 --window 8 --cut --reconnect 50 --seconds 3
assert_tcp_load_exact
assert_ge "connections that were made again" "$(some 20)" "$(load_number reconnects)"
assert_ge "sessions that came back" "$(some 20)" "$(load_number resumed)"
assert_eq "sessions that the backend forgot" 0 "$(load_number forgotten)"
exchange_stop one
assert_exchange_agrees
assert_ge "replies that were sent again" 1 "$(exchange_number resent)"

step "replies that are not kept: errors say so"
exchange_start one $ADDRESS --keep 1 --service-us 2000
tcp_load $ADDRESS --connections 10 --window 32 --reconnect 50 --seconds 2
assert_tcp_load_accounted
assert_ge "errors" 1 "$ERRORS"
assert_eq "errors by overflow" "$ERRORS" "$(load_number error_overflow)"
exchange_stop one

# It forgets its sessions: what it served without the client knowing it serves again.
step "a backend that is killed and comes back"
exchange_start one $ADDRESS --service-us 500
tcp_load_start only $ADDRESS --connections 20 --sessions 200 --size 24 --size-max 10000 --window 8 --seconds 4
for ((i = 0; i < 3; i++)); do
	sleep 1
	exchange_end one KILL
	assert_eq "exit status of what was killed" 137 "$STATUS"
	exchange_start one $ADDRESS --service-us 500
done
load_wait only
assert_tcp_load_exact
assert_ge "sessions that the backend forgot" 200 "$(load_number forgotten)"
assert_ge "requests that were sent again" 1 "$(load_number resent)"
exchange_stop one
assert_eq "gaps" 0 "$(exchange_number gaps)"

step "a backend that stays away: what it has not answered is lost"
exchange_start one $ADDRESS --service-us 500
tcp_load_start only $ADDRESS --connections 4 --window 8 --seconds 1.5 --deadline 1000
sleep 1
exchange_end one KILL
load_wait only
assert_eq "exit status of xsr load tcp" 1 "$STATUS"
assert_eq "sessions that were given up" 4 "$(load_number given_up)"
assert_ge "lost" 1 "$(load_number lost)"
assert_eq "all that was sent" "$SENT" $(($(load_number answered) + $(load_number lost)))

step "a backend that stops reading: the same"
exchange_start one $ADDRESS --stall-after 100000
tcp_load $ADDRESS --connections 2 --seconds 1 --deadline 1000
assert_eq "exit status of xsr load tcp" 1 "$STATUS"
assert_eq "sessions that were given up" 2 "$(load_number given_up)"
assert_eq "all that was sent" "$SENT" $(($(load_number answered) + $(load_number lost)))
exchange_stop one

step "a backend that is not there"
tcp_load $ADDRESS --connections 2 --seconds 1 --deadline 500
assert_eq "exit status of xsr load tcp" 1 "$STATUS"
assert_eq "sent" 0 "$SENT"
assert_eq "sessions that were not opened" 2 "$(load_number not_opened)"
assert_ge "connections that failed" 2 "$(load_number connect_failures)"

step "sending ends at a signal, and what is under way is waited for"
exchange_start one $ADDRESS --service-us 100000
tcp_load_start only $ADDRESS --seconds 600
sleep 1
load_stop only
assert_tcp_load_exact

step "what the backend says when it is asked, and in the end"
kill -USR1 "${EXCHANGES[one]}"
said() { [ "$(wc -l <"$TMP/exchange.one")" = "$1" ]; }
wait_until said 1 || wrong "nothing at SIGUSR1"
kill -USR1 "${EXCHANGES[one]}"
wait_until said 2 || wrong "nothing at the second SIGUSR1"
exchange_stop one
assert_eq "lines" 3 "$(wc -l <<<"$EXCHANGE")"
assert_has "the last line" '{"schema":"xsr/1","exchange":{"frames":' "$(tail -n 1 <<<"$EXCHANGE")"
try server "$XSR" exchange $ADDRESS --seconds 0.1
assert_eq "status after its time" 0 "$STATUS"
assert_eq "its line" "exchange: frames=0 bytes=0 inversions=0 gaps=0 sessions=0" "${OUT%% torn=*}"
try client "$XSR" load tcp $ADDRESS --seconds 0.1 --deadline 1
assert_eq "the client's line" "sent=0 answered=0 errors=0 lost=0 duplicated=0 reordered=0 torn=0" "${OUT%% error_*}"
assert_eq "its messages, in a pipe" "" "$ERR"
