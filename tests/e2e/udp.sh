#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
# Transport udp, with no program on a device: sessions reach their owners all the same, both families, any address, and
# answers come from the address that was asked. Transport auto takes it where XDP is not to be had, and says so.
. "$(dirname "$0")/lib.sh"

other() { server "$XSR" --name $NAME-other "$@"; }

# rx or tx of both workers.
workers_total() { say $(($(worker_counter 0 "$1") + $(worker_counter 1 "$1"))); }

# Everything comes back, the workers and the kernel's hook on sockets agree on how much that was.
address_is_served() { # ADDRESS:PORT COUNTER
	local rx tx chosen
	rx=$(workers_total rx) tx=$(workers_total tx) chosen=$(socket_counter "$2")
	load "$1" --sessions 320 --sockets 8 --rate $((RATE / 2)) --seconds 0.4
	assert_load_exact
	assert_eq "rx of the workers" "$SENT" $(($(workers_total rx) - rx))
	assert_eq "tx of the workers" "$SENT" $(($(workers_total tx) - tx))
	assert_eq "$2" "$SENT" $(($(socket_counter "$2") - chosen))
}

# The client takes the sessions in turn: those with an even ID are worker 0's.
owners_answer() {
	assert_eq "answers of worker 0" $(((SENT + 1) / 2)) "$(load_answered 0)"
	assert_eq "answers of worker 1" $((SENT / 2)) "$(load_answered 1)"
}

# 320 sessions cannot all hash to one worker.
both_answer() {
	assert_ge "answers of worker 0" 1 "$(load_answered 0)"
	assert_ge "answers of worker 1" 1 "$(load_answered 1)"
}

services() {
	cat <<-YAML
		workers: 2
		services:
		  - { name: four, address: "10.77.0.1:5000", id: xsr, default: drop }
		  - { name: six, address: "[fd77::1]:5001", id: xsr, default: drop, dense: 1000 }
		  - { name: anyfour, address: "0.0.0.0:5002", id: xsr, default: hash }
		  - { name: any, address: "[::]:5003", id: xsr, default: hash }
	YAML
}

hosts_make
ip -n $SERVER addr add 10.77.0.9/24 dev xe0
ip -n $SERVER addr add fd77::9/64 dev xe0 nodad
{ echo "transport: udp"; services; } | router_start
assert_has "log" "mode udp by session" "$(<"$TMP/router.log")"
routes_import four 320
routes_import six 320

for address in 10.77.0.1:5000 "[fd77::1]:5001"; do
	step "$address: by route"
	address_is_served "$address" route_worker
	owners_answer
done
for address in 10.77.0.1:5002 10.77.0.9:5002 10.77.0.1:5003 10.77.0.9:5003 "[fd77::1]:5003" "[fd77::9]:5003"; do
	step "$address: by hash"
	address_is_served "$address" no_route_hash
	both_answer
done

step "a session without a route is dropped, a moved one has its new owner"
load 10.77.0.1:5000 --first 1000 --sessions 4 --rate 100 --seconds 0.2
assert_eq "received" 0 "$RECEIVED"
assert_eq "no_route_drop" "$SENT" "$(socket_counter no_route_drop)"
done_quietly xsr route replace four 0 worker 1
load 10.77.0.1:5000 --sessions 1 --rate 100 --seconds 0.2
assert_load_exact
assert_eq "answers of worker 1" "$SENT" "$(load_answered 1)"

step "an address that is not served is the stack's"
stack=$(no_ports)
datagrams 5 10.77.0.9 5000 A
assert_eq "datagrams that the stack had no socket for" 5 $(($(no_ports) - stack))

step "a service that comes while it runs is served too"
done_quietly xsr service add late udp 10.77.0.1:5004 id xsr default hash
late_answers() {
	load 10.77.0.1:5004 --sessions 1 --rate 100 --seconds 0.01
	[ "$RECEIVED" = "$SENT" ]
}
wait_until late_answers || wrong "no answer"
address_is_served 10.77.0.1:5004 no_route_hash
router_stop

step "auto without a device: udp, and a warning"
services | router_start
assert_has "log" "mode udp" "$(<"$TMP/router.log")"
assert_has "log" "warning: transport udp is used" "$(<"$TMP/router.log")"
address_is_served 10.77.0.1:5002 no_route_hash
router_stop

step "auto with a device that another program has: udp, and a warning"
other prog load >/dev/null && other net attach xe0 >/dev/null || fail "cannot attach the other program"
id=$(xdp_on xe0)
{ echo "devices: [xe0]"; services; } | router_start
assert_has "log" "warning: another XDP program is attached to 'xe0'" "$(<"$TMP/router.log")"
assert_has "log" "warning: transport udp is used" "$(<"$TMP/router.log")"
assert_has "log" "mode udp" "$(<"$TMP/router.log")"
address_is_served 10.77.0.1:5002 no_route_hash
router_stop
assert_eq "the other program stays" "$id" "$(xdp_on xe0)"

step "transport xdp on such a device is an error"
{ echo "devices: [xe0]"; echo "transport: xdp"; services; } >"$TMP/xdp.yaml"
refused 1 "transport xdp is demanded, and not every device can serve it" xsr run "$TMP/xdp.yaml"
