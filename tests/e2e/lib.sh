# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
# What the stories share: two hosts on a link with four queues, a router, a client that checks every answer, and
# assertions that say what they found. A story sources this file, names what it does with step(), and ends with status 0
# if every assertion held, 1 if one did not, 77 after skip(). An assertion that fails lets the story go on; fail() ends it.
#
#   server   network namespace xsr-e2e-a, device xe0, 10.77.0.1 and fd77::1
#   client   network namespace xsr-e2e-b, device xe1, 10.77.0.2 and fd77::2
#
# XSR_E2E=WORD in the environment takes the place of xsr-e2e in all names: for two runs on one machine.
set -u
shopt -s lastpipe # what a pipe ends in may set variables
cd "$(dirname "${BASH_SOURCE[0]}")/../.." || exit 1
export LC_ALL=C
XSR=$(realpath -m "${XSR:-.out/xsr}")
NAME=${XSR_E2E:-xsr-e2e}
SERVER=$NAME-a CLIENT=$NAME-b
SERVER_NET=/var/run/netns/$SERVER CLIENT_NET=/var/run/netns/$CLIENT
PINS=/sys/fs/bpf/xsr/$NAME
STORY=$(basename "$0" .sh)
STEP=
ROUTER=
declare -A LOADERS=() # name -> process
declare -A EXCHANGES=()
MOVER=
JOBS=() # other processes in the background

# Messages a second, seconds to wait for something at most, and how much longer things take; an emulated machine is slow.
if [ -n "${XSR_VM:-}" ]; then
	RATE=400 WAIT_S=120 SLOWER=10
else
	RATE=10000 WAIT_S=20 SLOWER=1
fi

# How much the stories of TCP move, and for how long readers do not read.
# XSR_SOAK in the environment: `make soak`.
if [ -n "${XSR_SOAK:-}" ]; then
	BULK_BYTES=20000000000 MUTE_S=60
else
	BULK_BYTES=$((900000000 / SLOWER)) MUTE_S=4
fi

server() { nsenter --net=$SERVER_NET "$@"; }
client() { nsenter --net=$CLIENT_NET "$@"; }
xsr() { server "$XSR" --name $NAME "$@"; }

# --- what is said ---

say() { printf '%s\n' "$*"; }

step() {
	STEP=$*
	say "  $*"
}

skip() {
	say "$*"
	exit 77
}

# Where the story itself is, however deep the call.
where() { say "tests/e2e/$STORY.sh:${BASH_LINENO[${#BASH_LINENO[@]} - 2]}"; }

wrong() {
	printf '%s: %s: %s\n' "$(where)" "$STEP" "$*" | tee -a "$TMP/wrong" >&2
}

fail() {
	wrong "$*"
	exit 1
}

# --- assertions ---

assert_eq() { # WHAT EXPECTED FOUND
	[ "$2" = "$3" ] || wrong "$1: expected '$2', found '$3'"
}

assert_ge() { # WHAT LEAST FOUND
	[ "$3" -ge "$2" ] || wrong "$1: expected at least $2, found $3"
}

assert_le() { # WHAT MOST FOUND
	[ "$3" -le "$2" ] || wrong "$1: expected at most $2, found $3"
}

assert_has() { # WHAT TEXT FOUND
	[[ $3 == *"$2"* ]] || wrong "$1: expected '$2' in '$3'"
}

assert_has_not() { # WHAT TEXT FOUND
	[[ $3 != *"$2"* ]] || wrong "$1: expected no '$2' in '$3'"
}

# Runs a command: its exit status is in STATUS, what it wrote in OUT and ERR.
try() {
	OUT=$("$@" 2>"$TMP/stderr")
	STATUS=$?
	ERR=$(<"$TMP/stderr")
}

# The command succeeds and has nothing to say about it.
done_quietly() {
	try "$@"
	[ "$STATUS" = 0 ] && [ -z "$ERR" ] || wrong "'${*:2}': expected status 0 and no message, found $STATUS, '$ERR'"
}

# The command fails: its exit status, and one sentence that holds TEXT; nothing on stdout.
refused() { # STATUS TEXT COMMAND...
	local status=$1 text=$2
	shift 2
	try "$@"
	[ "$STATUS" = "$status" ] || wrong "'$*': expected status $status, found $STATUS, '$ERR'"
	[ -z "$OUT" ] || wrong "'$*': expected nothing on stdout, found '$OUT'"
	[[ $ERR == *"$text"* ]] || wrong "'$*': expected '$text' in the message, found '$ERR'"
}

milliseconds() { say $(($(date +%s%N) / 1000000)); }

# Until the command succeeds; false after WAIT_S.
wait_until() {
	local end=$((SECONDS + WAIT_S))
	until "$@"; do
		[ $SECONDS -lt $end ] || return 1
		sleep 0.02
	done
}

# --- JSON, as xsr prints it: compact, on one line ---

json_number() { # KEY TEXT -> the number of the first such key, 0 without one
	[[ $2 =~ \"$1\":([0-9]+) ]] && say "${BASH_REMATCH[1]}" || say 0
}

# One object of `stats show`: "counters" (of the hook on devices) or "socket_counters" (on sockets).
stats_object() { # NAME
	local json
	json=$(xsr --json stats show) && [[ $json =~ \"$1\":\{([^}]*)\} ]] || fail "no $1 in '$json'"
	say "${BASH_REMATCH[1]}"
}

# Of all services together.
counter() { json_number "$1" "$(stats_object counters)"; }
socket_counter() { json_number "$1" "$(stats_object socket_counters)"; }

service_counter() { # SERVICE COUNTER
	json_number "$2" "$(xsr --json service show "$1")"
}

worker_counter() { # WORKER COUNTER
	[[ $(xsr --json worker show) =~ \{\"worker\":$1,([^}]*)\} ]] || { say 0; return; }
	json_number "$2" "${BASH_REMATCH[1]}"
}

# Of all workers together.
workers_counter() { xsr --json worker show | grep -o "\"$1\":[0-9]*" | awk -F: '{ n += $2 } END { print n + 0 }'; }

# How many messages the stack refused because no socket has the port.
no_ports() {
	server awk '$1 == "Udp:" && $2 != "InDatagrams" { n += $3 } $1 == "Udp6NoPorts" { n += $2 } END { print n }' \
		/proc/net/snmp /proc/net/snmp6
}

# --- hosts ---

hosts_remove() {
	local host pid
	for host in $SERVER $CLIENT; do
		[ -e /var/run/netns/$host ] || continue
		for pid in $(ip netns pids $host 2>/dev/null); do
			kill -KILL "$pid" 2>/dev/null
		done
		ip netns del $host
	done
	rm -rf "$PINS" "$PINS"-*
}

# One more link: on the server DEV0 with ADDR.1, on the client DEV1 with ADDR.2; the same for IPv6.
link_make() { # DEV0 DEV1 PREFIX4 PREFIX6 QUEUES0 QUEUES1
	ip link add "$1" netns $SERVER numrxqueues "$5" numtxqueues "$5" type veth \
		peer name "$2" netns $CLIENT numrxqueues "$6" numtxqueues "$6" &&
		ip -n $SERVER addr add "$3.1/24" dev "$1" && ip -n $CLIENT addr add "$3.2/24" dev "$2" &&
		ip -n $SERVER addr add "$4::1/64" dev "$1" nodad && ip -n $CLIENT addr add "$4::2/64" dev "$2" nodad &&
		ip -n $SERVER link set "$1" up && ip -n $CLIENT link set "$2" up
}

hosts_make() {
	ip netns add $SERVER && ip netns add $CLIENT && ip -n $SERVER link set lo up &&
		link_make xe0 xe1 10.77.0 fd77 4 4 || fail "cannot make the two hosts"
}

# What runs on a device, as ip tells it: "xdp 17", "xdpgeneric 17", or nothing.
xdp_on() { # DEV
	# shellcheck disable=SC2046 # two lines become two words
	say $(ip -n $SERVER link show dev "$1" |
		sed -n 's/.* mtu [0-9]* \(xdp[a-z]*\) .*/\1/p; s/.*prog\/xdp id \([0-9]*\) .*/\1/p')
}

# --- the router ---

# Starts it with the configuration that comes on stdin and returns when it serves.
router_start() {
	cat >"$TMP/router.yaml"
	router_run
}

router_run() {
	: >"$TMP/router.log"
	nsenter --net=$SERVER_NET "$XSR" --name $NAME run "$TMP/router.yaml" 2>"$TMP/router.log" 9>&- &
	ROUTER=$!
	wait_until router_serves_or_ended
	grep -q 'is served' "$TMP/router.log" || fail "the router does not serve: $(<"$TMP/router.log")"
}

router_serves_or_ended() {
	grep -q 'is served' "$TMP/router.log" || ! kill -0 "$ROUTER" 2>/dev/null
}

# Ends it with a signal; its exit status is in STATUS.
router_end() { # SIGNAL
	kill -"$1" "$ROUTER"
	wait "$ROUTER" 2>/dev/null
	STATUS=$?
	ROUTER=
}

# Warnings in its log, but for those of a worker that a busy host kept waiting for a second.
router_warnings() {
	grep warning "$TMP/router.log" | grep -vE 'worker [0-9]+ (hangs: |goes on after [0-9]{1,2}\.[0-9] s)'
}

router_stop() {
	router_end TERM
	assert_eq "the router's exit status" 0 "$STATUS"
}

# --- the client ---

# xsr load in the background, under a name; load_wait() has its result.
load_start() { # NAME ADDR:PORT OPTION...
	nsenter --net=$CLIENT_NET "$XSR" --name $NAME --json load udp "${@:2}" >"$TMP/load.$1" 2>"$TMP/load.$1.log" 9>&- &
	LOADERS[$1]=$!
}

# The result, JSON, is in LOAD; the exit status in STATUS.
load_wait() { # NAME
	wait "${LOADERS[$1]}"
	STATUS=$?
	unset "LOADERS[$1]"
	LOAD=$(<"$TMP/load.$1")
	[ -n "$LOAD" ] || fail "xsr load ended with status $STATUS: $(<"$TMP/load.$1.log")"
	SENT=$(json_number sent "$LOAD")
	RECEIVED=$(json_number received "$LOAD")
}

# Ends its sending now, and waits for the answers.
load_stop() { # NAME
	kill -TERM "${LOADERS[$1]}"
	load_wait "$1"
}

load() { # ADDR:PORT OPTION...
	load_start only "$@"
	load_wait only
}

load_answered() { # WORKER
	[[ $LOAD =~ \{\"worker\":$1,\"answered\":([0-9]+)\} ]] && say "${BASH_REMATCH[1]}" || say 0
}

# Where messages may have stayed: what the workers, the devices and the stacks count.
losses() {
	xsr stats show | sed -n '/^worker/p'
	client ip -s -s link show xe1
	client awk '$1 == "Udp:" && $2 != "InDatagrams" { print "client: udp receive buffer errors " $6 }' /proc/net/snmp
	awk '{ printf "cpu %d: backlog drops 0x%s, squeezed 0x%s\n", NR - 1, $2, $3 }' /proc/net/softnet_stat
}

# Everything that was sent came back, once, in order, from its owner, which knew of all that came before.
assert_load_exact() {
	assert_ge "messages sent" 1 "$SENT"
	assert_eq "received of $SENT sent" "$SENT" "$RECEIVED"
	[ "$SENT" = "$RECEIVED" ] || losses
	assert_eq "lost" 0 "$(json_number lost "$LOAD")"
	assert_eq "doubled" 0 "$(json_number duplicated "$LOAD")"
	assert_eq "misrouted" 0 "$(json_number misrouted "$LOAD")"
	assert_eq "reordered" 0 "$(json_number reordered "$LOAD")"
	assert_eq "sessions that lost their state" 0 "$(json_number state_lost "$LOAD")"
	assert_eq "answers to nothing" 0 "$(json_number unknown "$LOAD")"
	assert_eq "exit status of xsr load" 0 "$STATUS"
}

# Every handoff since the router started: as many out as in, each with its state and in time, no message late or too many.
assert_handoffs() { # N
	local counter
	assert_eq "handoffs_out" "$1" "$(workers_counter handoffs_out)"
	assert_eq "handoffs_in" "$1" "$(workers_counter handoffs_in)"
	for counter in no_fence late_fence state_refused stale hold_overflow; do
		assert_eq "$counter" 0 "$(workers_counter $counter)"
	done
}

# Moves sessions 0 .. N-1 one after another, some hundreds a second, until moves_stop(). The k-th move of a session takes
# it to worker (ID + k) modulo 2: `xsr load --owners 2` knows by the generation on an answer who had to give it.
moves_start() { # SERVICE N
	moves "$2" 9>&- | nsenter --net=$SERVER_NET "$XSR" --name $NAME session move "$1" - >"$TMP/moves" 2>"$TMP/moves.log" 9>&- &
	MOVER=$! # what asks the router; what feeds it ends with it
}

moves() { # N
	local id k
	for ((k = 1; ; k++)); do
		for ((id = 0; id < $1; id++)); do
			echo "$id worker $(((id + k) % 2))"
			sleep 0.004
		done
	done
}

moves_stop() {
	{ kill "$MOVER" && wait "$MOVER"; } 2>/dev/null
	MOVER=
	assert_eq "messages of the moves" "" "$(<"$TMP/moves.log")"
}

# --- TCP ---

# A backend, xsr exchange in the background, on the server; returns when it listens.
exchange_start() { # NAME ADDR:PORT OPTION...
	nsenter --net=$SERVER_NET "$XSR" --json exchange "${@:2}" >"$TMP/exchange.$1" 2>"$TMP/exchange.$1.log" 9>&- &
	EXCHANGES[$1]=$!
	wait_until port_is_open "${2##*:}" || fail "xsr exchange does not listen: $(<"$TMP/exchange.$1.log")"
}

port_is_open() { # PORT
	server ss -Htln "sport = :$1" | grep -q .
}

# What it says at its end, JSON, is in EXCHANGE; its exit status in STATUS.
exchange_end() { # NAME SIGNAL
	kill -"$2" "${EXCHANGES[$1]}"
	wait "${EXCHANGES[$1]}" 2>/dev/null
	STATUS=$?
	unset "EXCHANGES[$1]"
	EXCHANGE=$(<"$TMP/exchange.$1")
}

# Nothing came twice, torn or out of order.
exchange_stop() { # NAME
	exchange_end "$1" TERM
	assert_eq "exit status of xsr exchange, which says '$EXCHANGE$(<"$TMP/exchange.$1.log")'" 0 "$STATUS"
}

# What it says of itself so far, JSON, is in EXCHANGE.
exchange_now() { # NAME
	local n
	n=$(wc -l <"$TMP/exchange.$1")
	kill -USR1 "${EXCHANGES[$1]}"
	wait_until exchange_said "$1" "$n" || fail "xsr exchange says nothing"
	EXCHANGE=$(tail -n 1 "$TMP/exchange.$1")
}

exchange_said() { [ "$(wc -l <"$TMP/exchange.$1")" -gt "$2" ]; }

# Nothing came torn, twice or out of order to any that runs.
exchanges_stop() {
	local name
	for name in "${!EXCHANGES[@]}"; do
		exchange_stop "$name"
	done
}

# All that each of those that run got of a session came in its order, and none of it is missing.
assert_exchanges_in_order() {
	local name
	for name in "${!EXCHANGES[@]}"; do
		exchange_now "$name"
		assert_eq "inversions at $name" 0 "$(json_number inversions "$EXCHANGE")"
		assert_eq "gaps at $name" 0 "$(json_number gaps "$EXCHANGE")"
	done
}

# Three of them on the server, ports 9001 to 9003.
exchanges_start() { # OPTION...
	exchange_start one 10.77.0.1:9001 "$@"
	exchange_start two 10.77.0.1:9002 "$@"
	exchange_start three 10.77.0.1:9003 "$@"
}

# What a router needs to know of them, and their service `orders`.
gateway_config() { # MODE DEADLINE
	cat <<-YAML
		handler: gateway
		deadline: $2
		workers: 2
		queue: 2048
		backends:
		  - { name: one, address: "10.77.0.1:9001" }
		  - { name: two, address: "10.77.0.1:9002" }
		  - { name: three, address: "10.77.0.1:9003" }
		services:
		  - name: orders
		    protocol: tcp
		    address: 10.77.0.1:7000
		    id: xsr
		    backends: [one, two, three]
		    frame_max: 1048576
		    mode: $1
	YAML
}

# What the kernel can: programs that find a frame in a segment need Linux 6.2.
kernel_can_frames() {
	local major minor
	IFS=.- read -r major minor _ <<<"$(uname -r)"
	[ "$major" -gt 6 ] || { [ "$major" = 6 ] && [ "$minor" -ge 2 ]; }
}

# The modes in which sessions are served here.
gateway_modes() {
	say epoll
	if kernel_can_frames; then say frames; else say "  mode frames is left out: it needs Linux 6.2" >&2; fi
}

# The mode that the kernel and the router really serve it in.
mode_active() { # SERVICE
	[[ $(xsr --json service show "$1") =~ \"mode_active\":\"?([a-z]+) ]] && say "${BASH_REMATCH[1]}"
}

# xsr load tcp in the background, under a name; load_wait() has its result.
tcp_load_start() { # NAME ADDR:PORT OPTION...
	nsenter --net=$CLIENT_NET "$XSR" --json load tcp "$2" --deadline $((10000 * SLOWER)) "${@:3}" \
		>"$TMP/load.$1" 2>"$TMP/load.$1.log" 9>&- &
	LOADERS[$1]=$!
}

tcp_load() { # ADDR:PORT OPTION...
	tcp_load_start only "$@"
	load_wait only
}

# Every request was answered, or covered by an error, once and in order, by its own bytes.
assert_tcp_load_accounted() {
	local count
	ANSWERED=$(json_number answered "$LOAD")
	ERRORS=$(json_number errors "$LOAD")
	assert_ge "requests sent" 1 "$SENT"
	assert_eq "answered and errors, of $SENT sent" "$SENT" $((ANSWERED + ERRORS))
	for count in lost duplicated reordered torn after_error unknown unexpected not_opened; do
		assert_eq "$count" 0 "$(json_number $count "$LOAD")"
	done
	assert_eq "exit status of xsr load tcp" 0 "$STATUS"
}

# Every request was answered.
assert_tcp_load_exact() {
	assert_tcp_load_accounted
	[ "$ERRORS" = 0 ] || wrong "errors: expected 0, found $ERRORS: $(grep -o '"error_[a-z_]*":[1-9][0-9]*' <<<"$LOAD")"
}

# Routes of sessions 0 .. N-1, to two workers in turn: what `xsr load --owners 2` expects.
routes_import() { # SERVICE N [FIRST-ID]
	local first=${3:-0} i
	for ((i = 0; i < $2; i++)); do
		printf '0x%x worker %d\n' $((first + i)) $(((first + i) % 2))
	done | xsr route import "$1" - >/dev/null || fail "cannot import the routes of $1"
}

# N datagrams, each from a port of its own: an ICMP answer to one then never holds up the next.
datagrams() { # N ADDRESS PORT PAYLOAD
	client bash -c 'for ((i = 0; i < $1; i++)); do printf "$4" >"/dev/udp/$2/$3"; done' datagrams "$@" 9>&- ||
		fail "cannot send to $2 port $3"
}

# --- beginning and end ---

cleanup() {
	local status=$? pid
	trap '' INT TERM HUP
	for pid in $ROUTER $MOVER "${LOADERS[@]}" "${EXCHANGES[@]}" "${JOBS[@]}"; do
		kill -KILL "$pid" 2>/dev/null && wait "$pid" 2>/dev/null
	done
	hosts_remove
	[ $status != 0 ] || [ ! -s "$TMP/wrong" ] || status=1
	rm -rf "$TMP"
	exit $status
}

[ "$(id -u)" = 0 ] || skip "needs root: it makes network namespaces"
[ -x "$XSR" ] || { say "$XSR is not built; run: make" >&2; exit 1; }
unshare --net true 2>/dev/null || skip "this system lets nobody make network namespaces"
exec 9>"/run/$NAME.lock"
flock -w 120 9 || { say "another run of these tests holds /run/$NAME.lock" >&2; exit 1; }
# What a killed run left.
hosts_remove
rm -rf "${TMPDIR:-/tmp}/$NAME".*
TMP=$(mktemp -d -t "$NAME.XXXXXX") || exit 1
trap 'exit 130' INT
trap 'exit 143' TERM HUP
trap cleanup EXIT
