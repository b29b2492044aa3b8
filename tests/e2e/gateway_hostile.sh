#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
# A TCP service among clients and backends that do not behave: garbage, frames that never become whole, a crowd, ends and
# resets at every point, readers that never read, backends that break the protocol or never answer. Clients that do behave
# are served all the time. Each connection is counted by how it ended; descriptors come back, and memory stays bounded.
. "$(dirname "$0")/lib.sh"

[ -z "${XSR_VM:-}" ] || skip "what happens between connections is the router's own matter; gateway_modes runs here"

ADDRESS=10.77.0.1
HEARTBEAT=1500
MUTE=200
CROWD=10000
[ "$(ulimit -Hn)" -ge 15000 ] && [ -z "${XSR_VM:-}" ] || CROWD=$((2000 / SLOWER))
PLACES=$((CROWD * 55 / 100)) # of each worker

count() { json_number "$1" "$(xsr --json service show "${2:-gateway}")"; }
closed() { xsr --json service show "${1:-gateway}" | grep -o '"closed_[a-z_]*":[0-9]*' | awk -F: '{ n += $2 } END { print n }'; }
router_fds() { ls "/proc/$ROUTER/fd" | wc -l; }
router_kib() { awk '/^VmRSS/ { print $2 }' "/proc/$ROUTER/status"; }

# What the kernel has for the service's clients, KiB.
sockets_kib() {
	server ss -Htmn state established "sport = :7000" |
		grep -o 'skmem:([^)]*)' | sed 's/[^0-9,]//g' | awk -F, '{ n += $1 + $6 } END { print int(n / 1024) }'
}

hostile() { client "$TMP/hostile" "$1" $ADDRESS 7000 "${@:2}"; }

# In the background, until hostile_stop: its stdin ends then.
declare -A HOSTILES=() PIPES=()
hostile_start() { # NAME NETWORK ARGUMENT...
	local pipe
	mkfifo "$TMP/pipe.$1"
	nsenter --net="$2" "$TMP/hostile" "${@:3}" <"$TMP/pipe.$1" >"$TMP/hostile.$1" 2>"$TMP/hostile.$1.log" 9>&- &
	HOSTILES[$1]=$!
	JOBS+=($!)
	exec {pipe}>"$TMP/pipe.$1"
	PIPES[$1]=$pipe
}

hostile_stop() { # NAME
	local pipe=${PIPES[$1]}
	exec {pipe}>&-
	wait "${HOSTILES[$1]}"
	assert_eq "exit status of hostile $1 ($(<"$TMP/hostile.$1.log"))" 0 $?
	rm "$TMP/pipe.$1"
}

is_open() { grep -qs "^open" "$TMP/hostile.$1"; }
none_is_left() { [ "$(count connections)" = 0 ]; }

# Counters of how connections ended: what was added since the last call is in the array ADDED.
declare -A BEFORE=() ADDED=()
ends() {
	local key value
	none_left_soon
	while IFS=: read -r key value; do
		ADDED[$key]=$((value - ${BEFORE[$key]:-0}))
		BEFORE[$key]=$value
	done < <(xsr --json service show gateway | grep -o '"[a-z_]*":[0-9]*' | tr -d '"')
}

none_left_soon() { wait_until none_is_left || wrong "connections that are left: $(count connections)"; }

assert_ended() { # COUNTER N
	assert_eq "$1" "$2" "${ADDED[$1]:-0}"
}

# Somebody who behaves.
assert_good() {
	tcp_load $ADDRESS:7000 --connections 4 --sessions 8 --messages "${1:-400}" --window 2
	assert_tcp_load_exact
}

${CC:-cc} -O -o "$TMP/hostile" tests/e2e/hostile.c || skip "no C compiler to build tests/e2e/hostile.c"
hosts_make
ip -n $SERVER addr add 127.0.0.1/8 dev lo 2>/dev/null
exchange_start one 127.0.0.1:9001
router_start <<YAML
handler: gateway
workers: 2
connections: $PLACES
stream_memory: 16
queue: 64
sndbuf: 64
rcvbuf: 64
deadline: 1000
heartbeat: $HEARTBEAT
reconnect_max: 300
backends:
  - { name: one, address: "127.0.0.1:9001" }
  - { name: bad, address: "127.0.0.1:9002" }
services:
  - { name: gateway, protocol: tcp, address: "$ADDRESS:7000", id: xsr, mode: epoll, backends: [one] }
  - { name: poor, protocol: tcp, address: "$ADDRESS:7001", id: xsr, mode: epoll, backends: [bad] }
YAML
assert_good
ends
FDS=$(router_fds)
KIB=$(router_kib)

step "what is no frame"
hostile garbage
ends
assert_ended closed_bad_len 25
assert_ended closed_bad_version 2
assert_ended closed_bad_type 3
assert_ended accepted 30

step "resets and ends at every point of handshake and request"
hostile reset
assert_good
hostile finish
ends
assert_eq "frames that were cut" 98 "${ADDED[closed_half_frame]}"
assert_ge "resets" 90 "${ADDED[closed_reset]}"

step "frames that come byte by byte"
tcp_load_start good $ADDRESS:7000 --connections 4 --rate $((RATE / 10)) --seconds 3
hostile drip 100 >"$TMP/drip"
load_wait good
assert_tcp_load_exact
ends
assert_ended closed_slow 100

step "a crowd that says nothing: $((CROWD * 12 / 10)) connections, of which $((2 * PLACES)) have a place"
hostile_start crowd $CLIENT_NET crowd $ADDRESS 7000 $((CROWD * 12 / 10))
wait_until is_open crowd || wrong "the crowd is not complete"
say "    $(count connections) connections, $(router_fds) descriptors, $(($(router_kib) / 1024)) MiB"
none_left_soon
hostile_stop crowd
ends
assert_eq "accepted, or refused" $((CROWD * 12 / 10)) $((ADDED[accepted] + ADDED[refused]))
assert_ge "refused" 1 "${ADDED[refused]}"
assert_ended closed_slow "${ADDED[accepted]}"
assert_good

step "readers that never read"
tcp_load_start good $ADDRESS:7000 --connections 4 --rate $((RATE / 10)) --seconds 5
hostile_start mute $CLIENT_NET mute $ADDRESS 7000 $MUTE 4000
wait_until is_open mute || wrong "the readers are not there"
MOST=0 MOST_SOCKETS=0
for ((i = 0; i < 6; i++)); do
	sleep 0.6
	now=$(router_kib) sockets=$(sockets_kib)
	[ "$now" -le $MOST ] || MOST=$now
	[ "$sockets" -le $MOST_SOCKETS ] || MOST_SOCKETS=$sockets
done
say "    $((MOST / 1024)) MiB, and $((MOST_SOCKETS / 1024)) MiB in the sockets"
assert_le "KiB of the router" $((KIB + 2 * 16 * 1024 + 8 * 1024)) $MOST
assert_le "KiB of $MUTE sockets" $((MUTE * 2 * 128 + 4096)) $MOST_SOCKETS
load_wait good
assert_tcp_load_accounted
hostile_stop mute
ends

step "all is as it was"
assert_good
ends
assert_eq "descriptors" "$FDS" "$(router_fds)"
assert_eq "accepted, all closed" "$(count accepted)" "$(closed)"
FIRST=$(router_kib)
hostile_start again $CLIENT_NET crowd $ADDRESS 7000 "$CROWD"
wait_until is_open again || wrong "the crowd is not complete"
hostile garbage
hostile_stop again
ends
assert_le "KiB after a second round" $((FIRST + 2048)) "$(router_kib)"

step "backends that break the protocol, or never answer"
for how in silent garbage reset half; do
	failed=$(($(count backend_failed poor) + $(count backend_lost poor)))
	hostile_start "$how" $SERVER_NET "backend-$how" 127.0.0.1 9002
	sleep 0.7
	assert_ge "times that backend '$how' was left" 1 $(($(count backend_failed poor) + $(count backend_lost poor) - failed))
	hostile_stop "$how"
done
hostile_start hole $SERVER_NET backend-hole 127.0.0.1 9002
bad_is_up() { [ "$(count backends poor)" = 2 ]; }
wait_until bad_is_up || wrong "the backend is not up"
tcp_load $ADDRESS:7001 --connections 2 --sessions 2 --messages 16 --window 4
assert_tcp_load_accounted
assert_eq "errors" "$SENT" "$ERRORS"
hostile_stop hole
assert_good

kill -0 "$ROUTER" 2>/dev/null || wrong "the router has ended"
fds_are_back() { [ "$(router_fds)" = "$FDS" ]; }
wait_until fds_are_back || wrong "descriptors: expected $FDS, found $(router_fds)"
router_stop
exchange_stop one
