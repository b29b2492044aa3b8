#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
# Two hosts on a four-queue link, a router with two workers, a thousand sessions whose clients
# change their ports while the sessions, with what the workers know of them, are moved from worker to worker from
# the command line. Then a TCP service of the same router with two backends, one of which is killed and started again, while
# sessions are moved between them. Ends with
#   demo tcp: sent=N answered=N errors=N lost=0 reordered=0
#   demo: sent=N received=N lost=0 duplicated=0 misrouted=0 reordered=0
# and exit 0 only if that is so, each request was answered or covered by an error, and no session lost its state.
set -u
cd "$(dirname "$0")/.." || exit 1
XSR=$PWD/.out/xsr
NAME=xsr-demo
SERVER=xsr-demo-server CLIENT=xsr-demo-client
SESSIONS=1000
RATE=${DEMO_RATE:-20000}
SECONDS_LOAD=${DEMO_SECONDS:-15}
TCP_SESSIONS=200
TCP_SECONDS=${DEMO_TCP_SECONDS:-8}
TMP=$(mktemp -d)
ROUTER= MOVER= TCP_LOAD=
declare -A BACKENDS=() # name -> process

server() { nsenter --net=/var/run/netns/$SERVER "$@"; }
client() { nsenter --net=/var/run/netns/$CLIENT "$@"; }
xsr() { "$XSR" --name $NAME "$@"; }
say() { printf '%s\n' "$*"; }

end_process() {
	[ -n "$1" ] && kill "$1" 2>/dev/null && wait "$1" 2>/dev/null
}

cleanup() {
	trap '' INT TERM HUP
	local process
	for process in "$MOVER" "$TCP_LOAD" "$ROUTER" "${BACKENDS[@]}"; do
		end_process "$process"
	done
	if [ -e /var/run/netns/$SERVER ]; then
		server "$XSR" --name $NAME prog unload force 2>/dev/null
	fi
	ip netns del $SERVER 2>/dev/null
	ip netns del $CLIENT 2>/dev/null
	rm -rf "$TMP"
}

fail() {
	say "demo: $*" >&2
	exit 1
}

links() {
	ip netns add $SERVER && ip netns add $CLIENT && ip -n $SERVER link set lo up &&
		ip link add xd0 netns $SERVER numrxqueues 4 numtxqueues 4 type veth \
			peer name xd1 netns $CLIENT numrxqueues 4 numtxqueues 4 &&
		ip -n $SERVER addr add 10.66.0.1/24 dev xd0 && ip -n $CLIENT addr add 10.66.0.2/24 dev xd1 &&
		ip -n $SERVER link set xd0 up && ip -n $CLIENT link set xd1 up
}

# The k-th move of a session takes it to the worker (ID + k) modulo 2: so the generation on an answer
# tells who had to give it. Moves one session after another, some hundreds a second, until it is ended.
moves() {
	local id k
	for ((k = 1; ; k++)); do
		for ((id = 0; id < SESSIONS; id++)); do
			echo "$id worker $(((id + k) % 2))"
			((id % 2)) || sleep 0.004
		done
	done
}

# A number of a client's result.
field() { grep -o "\b$1=[0-9]*" "$TMP/${2:-result}" | cut -d= -f2; } # NAME [FILE]

# --- TCP ---

backend_start() { # NAME PORT
	nsenter --net=/var/run/netns/$SERVER "$XSR" --name $NAME exchange 10.66.0.1:"$2" >>"$TMP/backends" 2>&1 &
	BACKENDS[$1]=$!
}

backend_kill() { # NAME
	kill -KILL "${BACKENDS[$1]}"
	wait "${BACKENDS[$1]}" 2>/dev/null
}

# Of the TCP service, of all workers.
tcp_counter() { xsr --json service show orders | grep -o "\"$1\":[0-9]*" | head -n 1 | cut -d: -f2; }

tcp_mode() { xsr --json service show orders | grep -o '"mode_active":"[a-z]*"' | cut -d'"' -f4; }

# One session after another to the other backend, some hundreds a second, until it is ended.
tcp_moves() {
	local id k
	for ((k = 1; ; k++)); do
		for ((id = 1; id <= TCP_SESSIONS; id++)); do
			((id + k & 1)) && echo "$id backend one" || echo "$id backend two"
			sleep 0.004
		done
	done
}

tcp_demo() {
	local moved
	nsenter --net=/var/run/netns/$CLIENT "$XSR" --name $NAME load tcp 10.66.0.1:7000 --connections 20 --sessions $TCP_SESSIONS \
		--window 4 --rate "$((RATE / 4))" --seconds "$TCP_SECONDS" >"$TMP/tcp" 2>"$TMP/tcp.log" &
	TCP_LOAD=$!
	tcp_moves | "$XSR" --name $NAME session move orders - >/dev/null 2>&1 & # some fail: their backend is not there
	MOVER=$!
	sleep "$((TCP_SECONDS / 3))"
	say "7. backend one is killed, and started again a second later"
	backend_kill one
	sleep 1
	backend_start one 9001
	wait "$TCP_LOAD"
	TCP_STATUS=$?
	end_process "$MOVER"
	MOVER='' TCP_LOAD=''
	moved=$(tcp_counter moves)
	[ "$TCP_STATUS" = 0 ] || cat "$TMP/tcp.log" "$TMP/tcp" >&2
	[ "$moved" -gt 0 ] || { say "demo: no session moved" >&2; TCP_STATUS=1; }
	[ "$(field sent tcp)" = $(($(field answered tcp) + $(field errors tcp))) ] || TCP_STATUS=1
	TCP_LINE="demo tcp: sent=$(field sent tcp) answered=$(field answered tcp) errors=$(field errors tcp)"
	TCP_LINE+=" lost=$(field lost tcp) reordered=$(field reordered tcp)"
	say "moved: $moved times a session went to the other backend; mode $(tcp_mode)"
}

[ "$(id -u)" = 0 ] || fail "needs root: it makes network namespaces; run: sudo make demo"
[ -x "$XSR" ] || fail "$XSR is not built; run: sudo make demo"
trap cleanup EXIT
trap 'exit 130' INT
trap 'exit 143' TERM HUP
ip netns del $SERVER 2>/dev/null
ip netns del $CLIENT 2>/dev/null
rm -rf "/sys/fs/bpf/xsr/$NAME" 2>/dev/null

say "1. two hosts, joined by a link with four queues"
links || fail "cannot make the network namespaces"
say "2. the program: loaded and pinned by xsr, attached by ip link"
server "$XSR" --name $NAME prog load || fail "cannot load the program"
server ip link set dev xd0 xdp pinned /sys/fs/bpf/xsr/$NAME/steer || fail "cannot attach the program"
say "3. the router: two workers, each with a socket on all four queues; two backends of a TCP service"
backend_start one 9001
backend_start two 9002
cat > "$TMP/demo.yaml" <<YAML
devices: [xd0]
transport: xdp
workers: 2
services:
  - name: demo
    address: 10.66.0.1:5000
    id: xsr
    default: drop
    stamp: on
    dense: 65536
  - name: orders
    protocol: tcp
    address: 10.66.0.1:7000
    id: xsr
    backends: [one, two]
backends:
  - { name: one, address: "10.66.0.1:9001" }
  - { name: two, address: "10.66.0.1:9002" }
YAML
# Not through a function: $! has to be the router itself.
nsenter --net=/var/run/netns/$SERVER "$XSR" --name $NAME run "$TMP/demo.yaml" 2> "$TMP/router.log" &
ROUTER=$!
for _ in $(seq 50); do
	grep -q 'is served' "$TMP/router.log" && break
	kill -0 $ROUTER 2>/dev/null || { cat "$TMP/router.log" >&2; fail "the router ended"; }
	sleep 0.1
done
seq 0 $((SESSIONS - 1)) | awk '{ print $1, "worker", $1 % 2 }' | xsr route import demo - || fail "cannot import the routes"
say "4. $SESSIONS sessions over 8 sockets that change their ports; they move from worker to worker meanwhile"
moves | "$XSR" --name $NAME session move demo - >/dev/null 2>"$TMP/mover.log" &
MOVER=$! # what asks the router; without it the moves end by themselves
client "$XSR" load udp 10.66.0.1:5000 --sessions $SESSIONS --sockets 8 --roam 100 --rate "$RATE" \
	--seconds "$SECONDS_LOAD" --owners 2 > "$TMP/result"
STATUS=$?
end_process "$MOVER"
MOVER=
say "5. what the kernel's program and the workers counted"
xsr stats show
[ -s "$TMP/mover.log" ] && cat "$TMP/mover.log" >&2
say "moved: $(field sessions_moved) changes of owner seen in answers, $(field sockets_moved) changes of port;" \
	"$(field state_lost) sessions lost their state"
say "6. $TCP_SESSIONS sessions over 20 TCP connections, whose requests go to two backends; they move from one to the other meanwhile"
tcp_demo
say "$TCP_LINE"
say "demo: $(cut -d' ' -f1-6 "$TMP/result")"
[ "$TCP_STATUS" = 0 ] || exit 1
exit $STATUS
