#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
# Many sessions over few sockets whose ports change, while routes move from worker to worker: every message is answered
# once, by the worker that owned its session then.
. "$(dirname "$0")/lib.sh"

SESSIONS=500

hosts_make
router_start <<YAML
devices: [xe0]
transport: xdp
workers: 2
services:
  - { name: hashed, address: "10.77.0.1:5000", id: xsr, default: drop, stamp: on }
  - { name: dense, address: "[fd77::1]:5000", id: xsr, default: drop, stamp: on, dense: 65536 }
YAML

roams() { # SERVICE ADDRESS:PORT
	local changes
	routes_import "$1" $SESSIONS
	moves_start "$1" $SESSIONS
	load "$2" --sessions $SESSIONS --sockets 8 --roam 50 --owners 2 --rate $RATE --seconds $((SLOWER > 1 ? 8 : 3))
	moves_stop
	assert_load_exact
	changes=$(json_number sockets_moved "$LOAD")
	say "    $SENT messages, $changes changes of port, $(json_number sessions_moved "$LOAD") changes of owner seen"
	assert_ge "changes of port" 20 "$changes"
	assert_ge "changes of owner that answers have shown" $((100 / SLOWER)) "$(json_number sessions_moved "$LOAD")"
	assert_eq "route_worker" "$SENT" "$(service_counter "$1" route_worker)"
	assert_eq "messages" "$SENT" "$(service_counter "$1" messages)"
}

step "hashed routes, IPv4"
roams hashed 10.77.0.1:5000
step "dense routes, IPv6"
roams dense "[fd77::1]:5000"
router_stop
