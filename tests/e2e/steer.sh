#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
# Every message reaches the worker that its session's route names, whatever queue it came on: what the client
# counts, what the kernel's program counts and what the workers count is the same number.
. "$(dirname "$0")/lib.sh"

SESSIONS=1000

# One service under load; adds what its workers answered to TOTAL.
service_is_exact() { # SERVICE ADDRESS:PORT FIRST-ID
	load "$2" --first "$3" --sessions $SESSIONS --sockets 16 --owners 2 --rate $RATE --seconds 1.5
	assert_load_exact
	assert_eq "answers of both workers" "$SENT" $(($(load_answered 0) + $(load_answered 1)))
	assert_eq "route_worker of service $1" "$SENT" "$(service_counter "$1" route_worker)"
	assert_eq "messages of service $1" "$SENT" "$(service_counter "$1" messages)"
	TOTAL[0]=$((TOTAL[0] + $(load_answered 0)))
	TOTAL[1]=$((TOTAL[1] + $(load_answered 1)))
}

workers_agree() {
	local w
	for w in 0 1; do
		assert_ge "answers of worker $w" 1 "${TOTAL[$w]}"
		assert_eq "rx of worker $w" "${TOTAL[$w]}" "$(worker_counter $w rx)"
		assert_eq "tx of worker $w" "${TOTAL[$w]}" "$(worker_counter $w tx)"
	done
	assert_eq "route_worker of all services" $((TOTAL[0] + TOTAL[1])) "$(counter route_worker)"
}

# As the kernel writes a set of all CPUs: "3", or "f,ffffffff".
cpus_all() {
	local n mask=
	n=$(nproc --all)
	[ $((n % 32)) = 0 ] || mask=$(printf %x, $(((1 << n % 32) - 1)))
	for ((n /= 32; n > 0; n--)); do
		mask+=ffffffff,
	done
	say "${mask%,}"
}

# All messages that the kernel's program saw, and the sum of what it did with them.
messages_and_sum() {
	local json counters sum=0
	json=$(xsr --json stats show) && [[ $json =~ \"counters\":\{([^}]*)\} ]] || fail "no counters in '$json'"
	counters=${BASH_REMATCH[1]}
	while [[ $counters =~ :([0-9]+)(.*) ]]; do
		sum=$((sum + BASH_REMATCH[1]))
		counters=${BASH_REMATCH[2]}
	done
	say "$(json_number messages "$json") $sum"
}

# All messages of the client leave by one of its queues, and so arrive on the server's of that number.
queue_choose() { # QUEUE
	client unshare --mount bash -c '
		mount -t sysfs sysfs /sys || exit 1
		for q in 0 1 2 3; do
			[ $q = "$1" ] && mask=$2 || mask=0
			echo $mask >/sys/class/net/xe1/queues/tx-$q/xps_cpus || exit 1
		done' queue_choose "$1" "$(cpus_all)" || fail "cannot choose queue $1"
}

queue_is_exact() { # QUEUE
	local before
	before=$(service_counter hash4 route_worker)
	queue_choose "$1"
	load 10.77.0.1:5000 --first $HASHED --sessions 100 --sockets 2 --owners 2 --rate $RATE --seconds 0.3
	assert_load_exact
	assert_eq "route_worker" "$SENT" $(($(service_counter hash4 route_worker) - before))
}

hosts_make
router_start <<YAML
devices: [xe0]
transport: xdp
workers: 2
services:
  - { name: hash4, address: "10.77.0.1:5000", id: xsr, default: drop, stamp: on }
  - { name: dense4, address: "10.77.0.1:5001", id: xsr, default: drop, stamp: on, dense: 65536, node: 5 }
  - { name: hash6, address: "[fd77::1]:5000", id: xsr, default: drop, stamp: on }
  - { name: dense6, address: "[fd77::1]:5001", id: xsr, default: drop, stamp: on, dense: 65536, node: 6 }
YAML
TOTAL=(0 0)
HASHED=0x7fed000000000001
DENSE4=0x0003000500000000 # generation 3, node 5, index 0
DENSE6=0x0004000600000001
routes_import hash4 $SESSIONS $HASHED
routes_import dense4 $SESSIONS $DENSE4
routes_import hash6 $SESSIONS $HASHED
routes_import dense6 $SESSIONS $DENSE6

step "hashed routes, IPv4"
service_is_exact hash4 10.77.0.1:5000 $HASHED
step "dense routes, IPv4"
service_is_exact dense4 10.77.0.1:5001 $DENSE4
step "hashed routes, IPv6"
service_is_exact hash6 "[fd77::1]:5000" $HASHED
step "dense routes, IPv6"
service_is_exact dense6 "[fd77::1]:5001" $DENSE6
step "workers and kernel agree"
workers_agree
read -r messages sum <<<"$(messages_and_sum)"
assert_eq "messages, against the sum of all counters" "$sum" "$messages"
for queue in 0 1 2 3; do
	step "receive queue $queue by itself"
	queue_is_exact $queue
done
router_stop
