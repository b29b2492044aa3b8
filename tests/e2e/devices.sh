#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
# One router on two devices: clients on both are served by the same workers and the same routes. A device that runs the
# program and is not in the file: its messages take the default action, counted.
. "$(dirname "$0")/lib.sh"

SESSIONS=200

file_with() { # DEVICES
	cat <<-YAML
		devices: [$1]
		transport: xdp
		workers: 2
		services:
		  - { name: any, address: "[::]:5000", id: xsr, default: drop, stamp: on }
		  - { name: hash, address: "[::]:5001", id: "offset:0:1", default: hash }
	YAML
}

# Both clients at the same time, each with its own sessions; the sums of all counts agree.
both_are_exact() { # ADDRESS0:PORT ADDRESS1:PORT
	local before rx answered=0 sent=0 client
	before=$(service_counter any route_worker)
	rx=$(($(worker_counter 0 rx) + $(worker_counter 1 rx)))
	load_start xe "$1" --sessions $SESSIONS --owners 2 --rate $((RATE / 2)) --seconds 1
	load_start xf "$2" --first $SESSIONS --sessions $SESSIONS --owners 2 --rate $((RATE / 2)) --seconds 1
	for client in xe xf; do
		load_wait $client
		assert_load_exact
		sent=$((sent + SENT))
		answered=$((answered + $(load_answered 0) + $(load_answered 1)))
	done
	assert_eq "answers of both workers" $sent $answered
	assert_eq "route_worker" $sent $(($(service_counter any route_worker) - before))
	assert_eq "rx of both workers" $sent $(($(worker_counter 0 rx) + $(worker_counter 1 rx) - rx))
}

hosts_make
link_make xf0 xf1 10.78.0 fd78 2 2 || fail "cannot make the second link"

step "two devices, IPv4"
file_with "xe0, xf0" | router_start
routes_import any $((2 * SESSIONS))
both_are_exact 10.77.0.1:5000 10.78.0.1:5000
step "two devices, IPv6"
both_are_exact "[fd77::1]:5000" "[fd78::1]:5000"
router_stop
assert_eq "program on the first device" "" "$(xdp_on xe0)"
assert_eq "program on the second device" "" "$(xdp_on xf0)"

step "a device that is not in the file takes the default action"
try xsr net attach xf0
file_with "xe0" | router_start
done_quietly xsr route add hash 0x41 worker 0
load 10.77.0.1:5000 --sessions $SESSIONS --owners 2 --rate $RATE --seconds 0.3
assert_load_exact
# The routes' worker runs, but has no socket on this device.
load 10.78.0.1:5000 --sessions $SESSIONS --rate $((RATE / 10)) --seconds 0.3
assert_ge "messages sent" 1 "$SENT"
assert_eq "received" 0 "$RECEIVED"
assert_eq "worker_gone_drop" "$SENT" "$(service_counter any worker_gone_drop)"
stack=$(no_ports)
datagrams 6 10.78.0.1 5001 A
assert_eq "worker_gone_no_worker" 6 "$(service_counter hash worker_gone_no_worker)"
datagrams 7 10.78.0.1 5001 B
assert_eq "no_route_no_worker" 7 "$(service_counter hash no_route_no_worker)"
assert_eq "datagrams that the stack had no socket for" 13 $(($(no_ports) - stack))
router_stop
assert_eq "program on the first device" "" "$(xdp_on xe0)"
assert_has "program on the second device" "xdp " "$(xdp_on xf0)"
