#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
# A TCP service among clients and backends that do not behave: garbage, frames that never become whole, a crowd, ends and
# resets at every point, readers that never read, backends that break the protocol or never answer. Clients that do behave
# are served all the time. Each connection is counted by how it ended; descriptors come back, and memory stays bounded.
# In mode epoll; other stories set MODE and source this one.
MODE=${MODE:-epoll}
. "$(dirname "$0")/lib.sh"

[ -z "${XSR_VM:-}" ] || skip "what happens between connections is the router's own matter; gateway_modes runs here"
[ $MODE != frames ] || kernel_can_frames || skip "mode frames needs Linux 6.2"

ADDRESS=10.77.0.1
HEARTBEAT=1500
MUTE=200
CROWD=10000
[ $MODE != splice ] || CROWD=8500 # each has another connection behind it
[ "$(ulimit -Hn)" -ge 19000 ] || CROWD=2000
PLACES=$((CROWD * 55 / 100)) # of each worker
[ $MODE = splice ] && ID=none IDLE=3 || ID=xsr IDLE=60
LANES=$([ $MODE = epoll ] && say 0 || say $((2 * 4 * 1024))) # KiB that workers read what the kernel does not decide to

count() { json_number "$1" "$(xsr --json service show "${2:-gateway}")"; }
closed() { xsr --json service show "${1:-gateway}" | grep -o '"closed_[a-z_]*":[0-9]*' | awk -F: '{ n += $2 } END { print n }'; }
router_fds() { ls "/proc/$ROUTER/fd" | wc -l; }
# Without those of a backend that is being tried, and is not there.
fds_at_rest() {
	local i
	for ((i = 0; i < 20; i++)); do
		router_fds
		sleep 0.02
	done | sort -n | head -n 1
}
router_kib() { awk '/^VmRSS/ { print $2 }' "/proc/$ROUTER/status"; }

# What the kernel has for sockets, KiB: those of the service's clients, or all of a host.
sockets_kib() { # HOST [FILTER]
	"$1" ss -Htamn "${@:2}" | grep -o 'skmem:([^)]*)' | sed 's/[^0-9,]//g' |
		awk -F, '{ n += $1 + $3 + $5 + $6 } END { print int(n / 1024) }'
}

# What the kernel has, KiB, and does not count as any socket's, process's or file's: there it is that it queues what is redirected. Of
# the whole machine: it says something if nothing else runs.
kernel_kib() {
	local all
	all=$(awk '{ kib[$1] = $2 }
		END { print kib["MemTotal:"] - kib["MemFree:"] - kib["Buffers:"] - kib["Cached:"] - kib["AnonPages:"] - kib["SReclaimable:"] - kib["VmallocUsed:"] }' \
		/proc/meminfo)
	say $((all - $(sockets_kib server) - $(sockets_kib client)))
}

hostile() { client "$TMP/hostile" "$1" $ADDRESS "${PORT:-7000}" "${@:2}"; }

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
none_is_left() { [ "$(count connections "${1:-gateway}")" = 0 ]; }
none_left_soon() { wait_until none_is_left "${1:-gateway}" || wrong "connections that are left: $(count connections "${1:-gateway}")"; }

# Counters of how connections ended: what was added since the last call is in the array ADDED.
declare -A BEFORE=() ADDED=()
ends() {
	local key value
	none_left_soon
	while IFS=: read -r key value; do
		ADDED[$key]=$((value - ${BEFORE[$key]:-0}))
		BEFORE[$key]=$value
	done < <(xsr --json service show gateway | grep -o '"[a-z_]*":[0-9]*' | tr -d '"')
	assert_eq "accepted, all closed" "$(count accepted)" "$(closed)"
}

added() { # COUNTER... -> their sum
	local counter sum=0
	for counter; do
		sum=$((sum + ${ADDED[$counter]:-0}))
	done
	say $sum
}

assert_ended() { # COUNTER N
	assert_eq "$1" "$2" "$(added "$1")"
}

# Somebody who behaves.
assert_good() {
	tcp_load $ADDRESS:7000 --connections 4 --sessions 8 --messages "${1:-400}" --window 2
	assert_tcp_load_exact
}

good_start() { # SECONDS
	tcp_load_start good $ADDRESS:7000 --connections 4 --rate $((RATE / 10)) --seconds "$1"
}

# --- the story ---

begin() {
	${CC:-cc} -O -o "$TMP/hostile" tests/e2e/hostile.c || skip "no C compiler to build tests/e2e/hostile.c"
	hosts_make
	exchange_start one 127.0.0.1:9001
	router_start <<-YAML
		handler: gateway
		workers: 2
		connections: $PLACES
		connection_idle: $IDLE
		stream_memory: 16
		queue: 64
		kernel_queue: 64
		sndbuf: 64
		rcvbuf: 64
		deadline: 1000
		heartbeat: $HEARTBEAT
		reconnect_max: 300
		backends:
		  - { name: one, address: "127.0.0.1:9001" }
		  - { name: bad, address: "127.0.0.1:9002" }
		services:
		  - { name: gateway, protocol: tcp, address: "$ADDRESS:7000", id: $ID, mode: $MODE, backends: [one] }
		  - { name: poor, protocol: tcp, address: "$ADDRESS:7001", id: $ID, mode: $MODE, backends: [bad] }
	YAML
	assert_eq "active mode" $MODE "$(mode_active gateway)"
	assert_good
	ends
	FDS=$(fds_at_rest)
	KIB=$(router_kib)
}

garbage() {
	step "$MODE: what is no frame"
	hostile garbage
	ends
	assert_ended accepted 30
	[ $MODE != splice ] || return # it is the backend that ends them
	assert_ended closed_bad_len 25
	assert_ended closed_bad_version 2
	assert_ended closed_bad_type 3
}

cuts() {
	step "$MODE: resets and ends at every point of handshake and request"
	hostile reset
	ends
	assert_ended accepted 101
	assert_ge "resets" 90 "$(added closed_reset)"
	assert_good
	ends
	hostile finish
	ends
	assert_ended accepted 101
	if [ $MODE = splice ]; then
		assert_eq "ended by a client, or the backend" 101 "$(added closed_by_peer closed_backend)"
	else
		assert_ended closed_half_frame 98
		assert_ended closed_by_peer 3
		assert_ended requests 1
	fi
	hostile last 20 65516
	ends
	assert_ended closed_by_peer 20
}

drip() {
	step "$MODE: frames that come byte by byte"
	good_start 3
	if [ $MODE = splice ]; then
		hostile trickle 100 3000 >/dev/null
	else
		hostile drip 100 >/dev/null
	fi
	load_wait good
	assert_tcp_load_exact
	ends
	assert_ended accepted 104
	[ $MODE = splice ] || assert_ended closed_slow 100
}

crowd() {
	local closed=closed_slow
	[ $MODE != splice ] || closed=closed_idle
	step "$MODE: a crowd that says nothing: $((CROWD * 12 / 10)) connections, of which $((2 * PLACES)) have a place"
	hostile_start crowd $CLIENT_NET crowd $ADDRESS 7000 $((CROWD * 12 / 10))
	wait_until is_open crowd || wrong "the crowd is not complete"
	say "    $(count connections) connections, $(router_fds) descriptors, $(($(router_kib) / 1024)) MiB"
	none_left_soon
	hostile_stop crowd
	ends
	assert_eq "accepted, or refused" $((CROWD * 12 / 10)) "$(added accepted refused)"
	assert_ge "refused" 1 "$(added refused)"
	assert_ended $closed "$(added accepted)"
	assert_good
}

# What stays is the least of the second half of the time: others on this machine only ever add to it.
mute() {
	local i now most=0 most_sockets=0 least=$((1 << 40)) before
	step "$MODE: readers that never read, for $MUTE_S s"
	before=$(kernel_kib)
	good_start $((MUTE_S + 1))
	hostile_start mute $CLIENT_NET mute $ADDRESS 7000 $MUTE 4000
	wait_until is_open mute || wrong "the readers are not there"
	for ((i = 0; i < 2 * MUTE_S; i++)); do
		sleep 0.5
		now=$(router_kib)
		[ "$now" -le $most ] || most=$now
		now=$(sockets_kib server state established "sport = :7000")
		[ "$now" -le $most_sockets ] || most_sockets=$now
		now=$(kernel_kib)
		[ $i -lt "$MUTE_S" ] || [ "$now" -ge $least ] || least=$now
	done
	say "    $((most / 1024)) MiB, $((most_sockets / 1024)) MiB in the sockets, $(((least - before) / 1024)) MiB more elsewhere in the kernel"
	assert_le "KiB of the router" $((KIB + 2 * 16 * 1024 + 8 * 1024 + LANES)) $most
	assert_le "KiB of $MUTE sockets" $((MUTE * 2 * 128 + 4096)) $most_sockets
	[ -z "${XSR_SOAK:-}" ] || assert_le "KiB more elsewhere in the kernel" $((MUTE * 128 + 4096)) $((least - before))
	load_wait good
	assert_tcp_load_accounted
	hostile_stop mute
	ends
}

fds_are_back() { [ "$(router_fds)" = "$FDS" ]; }
fds_come_back() { wait_until fds_are_back || wrong "descriptors: expected $FDS, found $(router_fds)"; }

as_before() {
	local first
	step "$MODE: all is as it was"
	assert_good
	ends
	fds_come_back
	first=$(router_kib)
	hostile_start again $CLIENT_NET crowd $ADDRESS 7000 "$CROWD"
	wait_until is_open again || wrong "the crowd is not complete"
	hostile garbage
	hostile_stop again
	ends
	assert_le "KiB after a second round" $((first + 2048)) "$(router_kib)"
}

bad_is_up() { [ "$(count backends poor)" = 2 ]; }

# A link is left; it comes back when there is a backend that behaves.
bad_links() {
	local how failed
	step "$MODE: backends that break the protocol, or never answer"
	for how in silent garbage reset half; do
		failed=$(($(count backend_failed poor) + $(count backend_lost poor)))
		hostile_start "$how" $SERVER_NET "backend-$how" 127.0.0.1 9002
		sleep 0.7
		assert_ge "times that backend '$how' was left" 1 $(($(count backend_failed poor) + $(count backend_lost poor) - failed))
		hostile_stop "$how"
	done
	hostile_start hole $SERVER_NET backend-hole 127.0.0.1 9002
	wait_until bad_is_up || wrong "the backend is not up"
	tcp_load $ADDRESS:7001 --connections 2 --sessions 2 --messages 16 --window 4
	assert_tcp_load_accounted
	assert_eq "errors" "$SENT" "$ERRORS"
	hostile_stop hole
	assert_good
}

# Each client has a backend's connection: it ends with that.
bad_ends() {
	local how
	step "$MODE: backends that end, reset or never answer"
	for how in silent garbage reset half hole short; do
		hostile_start "$how" $SERVER_NET "backend-$how" 127.0.0.1 9002
		wait_until port_is_open 9002
		PORT=7001 hostile finish
		[ "$how" != short ] || PORT=7001 hostile hear 50
		hostile_stop "$how"
		none_left_soon poor
	done
	assert_eq "accepted, all closed" "$(count accepted poor)" "$(closed poor)"
	assert_ge "closed because the backend was reset" 80 "$(count closed_backend poor)"
	PORT=7001 hostile finish # there is none
	none_left_soon poor
	assert_good
}

end() {
	local count
	kill -0 "$ROUTER" 2>/dev/null || wrong "the router has ended"
	fds_come_back
	router_stop
	if [ $MODE != splice ]; then
		exchange_stop one
		return
	fi
	exchange_end one TERM # which got what the clients sent, and says so
	for count in inversions gaps torn again; do
		assert_eq "$count at the backend" 0 "$(json_number $count "$EXCHANGE")"
	done
}

begin
garbage
cuts
drip
crowd
mute
as_before
if [ $MODE = splice ]; then bad_ends; else bad_links; fi
end
