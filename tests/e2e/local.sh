#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
# Mode local: the kernel joins a server and its clients, if both are in the service's cgroup; others go by TCP. Nothing is lost when
# the router ends, however it does, or when a reader is slow.
. "$(dirname "$0")/lib.sh"

[ -z "${XSR_VM:-}" ] || skip "prog/test_local says what the kernel does; this takes minutes here"

mount=$(awk '$3 == "cgroup2" { print $2; exit }' /proc/self/mounts)
home=$mount$(sed -n 's/^0:://p' /proc/self/cgroup)
CGROUP=${home%/}/$NAME-local
[ -n "$mount" ] || skip "cgroup v2 is not mounted"
ADDRESS=10.77.0.1:7000
ADDRESS6="[fd77::1]:7001"

# What a killed run left.
cgroup_remove() {
	local pid
	[ -d "$CGROUP" ] || return 0
	for pid in $(<"$CGROUP/cgroup.procs"); do
		kill -KILL "$pid" 2>/dev/null
	done
	wait_until rmdir "$CGROUP" 2>/dev/null
}

story_end() {
	local status=$?
	cgroup_remove
	(exit $status)
	cleanup
}

cgroup_remove
mkdir "$CGROUP" 2>/dev/null || skip "cannot make a cgroup in $home"
trap story_end EXIT

ENTER='echo $$ >"$0/cgroup.procs" && exec "$@"'
inside() { server bash -c "$ENTER" "$CGROUP" "$@"; }

inside_exchange() { # NAME ADDR:PORT OPTION...
	nsenter --net=$SERVER_NET bash -c "$ENTER" "$CGROUP" "$XSR" --json exchange "${@:2}" >"$TMP/exchange.$1" 2>"$TMP/exchange.$1.log" 9>&- &
	EXCHANGES[$1]=$!
	wait_until port_is_open "${2##*:}" || fail "xsr exchange does not listen: $(<"$TMP/exchange.$1.log")"
}

# As tcp_load_start(); in the cgroup, or as COMMAND says.
here_load_start() { # COMMAND NAME ADDR:PORT OPTION...
	"$1" "$XSR" --json load tcp "$3" --deadline $((10000 * SLOWER)) "${@:4}" >"$TMP/load.$2" 2>"$TMP/load.$2.log" 9>&- &
	LOADERS[$2]=$!
}

inside_load() { # ADDR:PORT OPTION...
	here_load_start inside only "$@"
	load_wait only
}

# How much of a counter was added since it was asked for last.
declare -A BEFORE=()
added() { # SERVICE COUNTER: in ADDED
	local now
	now=$(service_counter "$1" "$2")
	ADDED=$((now - ${BEFORE[$1.$2]:-0}))
	BEFORE[$1.$2]=$now
}

is_active() { # SERVICE MODE
	[[ $(xsr --json service show "$1") == *"\"mode_active\":\"$2\""* ]]
}

some() { say $(($1 / (SLOWER * SLOWER))); }

router_yaml() {
	cat <<-END
		handler: gateway
		services:
		  - { name: four, protocol: tcp, address: "$ADDRESS", id: none, mode: local, cgroup: $CGROUP }
		  - { name: six, protocol: tcp, address: "$ADDRESS6", id: none, mode: local, cgroup: $CGROUP }
	END
}

hosts_make
router_yaml | router_start
if is_active four none; then
	skip "$(router_warnings | head -n 1)"
fi
is_active four local || fail "mode local is not active: $(xsr service show four)"
assert_eq "warnings" "" "$(router_warnings)"

step "a server and its clients are joined"
inside_exchange four $ADDRESS
inside_load $ADDRESS --connections 10 --sessions 40 --messages "$(some 100000)" --window 8
assert_tcp_load_exact
added four joined
assert_eq "connections that were joined" 10 "$ADDED"
added four requests
assert_ge "messages past TCP" 10 "$ADDED"
added four request_bytes
assert_ge "bytes past TCP" "$(some 5000000)" "$ADDED"
assert_eq "ends that were alone" 0 "$(service_counter four not_joined)"
wait_until eval '[ "$(service_counter four connections)" = 0 ]' || wrong "connections remain: $(xsr service show four)"

step "by IPv6"
inside_exchange six "$ADDRESS6"
inside_load "$ADDRESS6" --connections 4 --messages "$(some 20000)"
assert_tcp_load_exact
assert_eq "connections that were joined" 4 "$(service_counter six joined)"
assert_ge "bytes past TCP" "$(some 1000000)" "$(service_counter six reply_bytes)"

step "frames of any length, cut anywhere"
inside_load $ADDRESS --connections 10 --sessions 40 --size 24 --size-max 1048576 --messages "$(some 2000)" --window 4 --cut
assert_tcp_load_exact

step "clients that read slowly stop the server, and lose nothing"
inside_load $ADDRESS --connections 8 --sessions 16 --size 20000 --slow-reader 4 --slow-rate 20000 --seconds 3
assert_tcp_load_exact
added four tcp_bytes
assert_ge "bytes by TCP, which stops the server" 100000 "$ADDED"

step "a client of another host, and one outside the cgroup, go by TCP"
added four joined
added four request_bytes
tcp_load $ADDRESS --connections 4 --messages "$(some 10000)"
assert_tcp_load_exact
here_load_start server only $ADDRESS --connections 4 --messages "$(some 10000)"
load_wait only
assert_tcp_load_exact
added four joined
assert_eq "connections that were joined" 0 "$ADDED"
added four request_bytes
assert_eq "bytes past TCP" 0 "$ADDED"
assert_ge "ends that were alone" 8 "$(service_counter four not_joined)"

for signal in TERM KILL; do
	step "the router gets SIG$signal with bytes under way: nothing is lost, and the next one joins again"
	here_load_start inside only $ADDRESS --connections 10 --sessions 40 --size 1000 --window 8 --seconds 3
	sleep 1
	router_end $signal
	load_wait only
	assert_tcp_load_exact
	router_run
	added four joined
	inside_load $ADDRESS --connections 5 --messages 1000
	assert_tcp_load_exact
	added four joined
	assert_eq "connections that were joined" 5 "$ADDED"
done

step "connections of before the router are left alone"
router_stop
here_load_start inside only $ADDRESS --connections 10 --window 8 --seconds 3
sleep 1
router_run
added four joined
load_wait only
assert_tcp_load_exact
added four joined
assert_eq "connections that were joined" 0 "$ADDED"

step "a cgroup that goes, and comes back as systemd makes it, is followed"
exchange_stop four
exchange_stop six
assert_eq "the router's warnings" "" "$(router_warnings)"
cgroup_remove
wait_until is_active four none || wrong "expected no mode: $(xsr service show four)"
assert_has "the reason" "cannot open cgroup" "$(xsr service show four)"
refused 1 "mode local is required: cannot open cgroup" server "$XSR" --name "$NAME" run --require-mode "$TMP/router.yaml"
mkdir "$CGROUP"
wait_until is_active four local || wrong "expected mode local: $(xsr service show four)"
inside_exchange four $ADDRESS
added four joined
inside_load $ADDRESS --connections 3 --messages 1000
assert_tcp_load_exact
added four joined
assert_eq "connections that were joined" 3 "$ADDED"

step "a service that is taken from the configuration is let go, and comes back"
sed -i '/name: six/d' "$TMP/router.yaml"
kill -HUP "$ROUTER"
wait_until grep -q "1 deleted" "$TMP/router.log" || wrong "the configuration is not read again"
router_yaml >"$TMP/router.yaml"
kill -HUP "$ROUTER"
wait_until is_active six local || wrong "expected mode local: $(xsr service show six)"
inside_load $ADDRESS --connections 3 --messages 1000
assert_tcp_load_exact

exchange_stop four
router_stop
assert_eq "who serves it" 1 "$(xsr service show four | grep -c 'active - ')"
