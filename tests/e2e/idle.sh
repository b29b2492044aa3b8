#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
# A router that has nothing to do sleeps, also when sessions have moved and workers have come and gone.
. "$(dirname "$0")/lib.sh"
[ -z "${XSR_VM:-}" ] || skip "what an idle router costs on an emulated machine says nothing"

WATCH_S=5

# User and system time of the process, all threads, in clock ticks; its name, in parentheses, may hold blanks.
ticks() {
	local fields
	read -r -a fields <<<"$(sed 's/.*) //' "/proc/$ROUTER/stat")"
	say $((fields[11] + fields[12]))
}

sleeps() {
	local before used
	sleep 0.5
	before=$(ticks)
	sleep $WATCH_S
	used=$(($(ticks) - before))
	say "    $((used * 1000 / $(getconf CLK_TCK))) ms of CPU time in $WATCH_S s"
	# Less than 1 % of a core.
	[ $((used * 100)) -lt $((WATCH_S * $(getconf CLK_TCK))) ] || wrong "expected less than 1 % of a core, found $used ticks"
}

hosts_make
router_start <<YAML
devices: [xe0]
transport: xdp
workers: 2
services:
  - { name: echo, address: "10.77.0.1:5000", id: xsr, default: hash, stamp: on }
YAML

step "after messages"
load 10.77.0.1:5000 --sessions 100 --rate $RATE --seconds 0.3
assert_load_exact
sleeps

step "after moves"
load 10.77.0.1:5000 --sessions 100 --rate $RATE --seconds 1 --service echo --moves 200
assert_load_exact
assert_ge "moves" 100 "$(json_number moves_done "$LOAD")"
for change in add rebalance "drain 2" "remove 2"; do
	try xsr worker $change
	assert_eq "status of worker $change ($ERR)" 0 "$STATUS"
done
sleeps
router_stop
