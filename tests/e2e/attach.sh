#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
# The ways onto a device and off it: `xsr net attach` in each mode, `ip link ... xdp pinned`; with each of them the
# same commands change the routes. Another's program is neither replaced nor removed.
. "$(dirname "$0")/lib.sh"

other() { server "$XSR" --name $NAME-other "$@"; }

# The device runs our program in this mode: "xdp" (native) or "xdpgeneric"; and a changed route has its effect.
device_is_ours() { # XDP
	local on before
	read -r on _ <<<"$(xdp_on xe0)"
	assert_eq "what ip link shows" "$1" "$on"
	assert_has "xsr net show" '"ours":true' "$(xsr --json net show)"
	before=$(service_counter letters route_drop)
	done_quietly xsr route replace letters 0x41 drop
	datagrams 3 10.77.0.1 5000 A
	assert_eq "dropped by the route" 3 $(($(service_counter letters route_drop) - before))
	before=$(service_counter letters route_pass)
	done_quietly xsr route replace letters 0x41 pass
	datagrams 4 10.77.0.1 5000 A
	assert_eq "passed by the route" 4 $(($(service_counter letters route_pass) - before))
}

device_is_free() {
	assert_eq "program on the device" "" "$(xdp_on xe0)"
	assert_eq "xsr net show" "" "$(xsr net show)"
}

# MODE as asked for, MODE as it is, what ip calls it.
attach_and_detach() {
	try xsr net attach xe0 mode "$1"
	assert_eq "status" 0 "$STATUS"
	assert_eq "stdout" "xe0: attached, $2 mode" "$OUT"
	assert_eq "stderr" "" "$ERR"
	device_is_ours "$3"
	done_quietly xsr net detach xe0
	device_is_free
}

hosts_make
xsr prog load >/dev/null || fail "cannot load the program"
done_quietly xsr service add letters udp 10.77.0.1:5000 id offset:0:1

step "xsr net attach in native mode"
attach_and_detach native native xdp
step "xsr net attach in generic mode"
attach_and_detach generic generic xdpgeneric
step "xsr net attach in auto mode"
attach_and_detach auto native xdp

step "ip link set xdp pinned"
server ip link set dev xe0 xdp pinned $PINS/steer || fail "ip link refuses the pinned program"
device_is_ours xdp
server ip link set dev xe0 xdp off
device_is_free
server ip link set dev xe0 xdpgeneric pinned $PINS/steer || fail "ip link refuses the pinned program"
device_is_ours xdpgeneric
done_quietly xsr net detach xe0
device_is_free

step "attached twice, detached twice"
try xsr net attach xe0
id=$(xdp_on xe0)
try xsr net attach xe0
assert_eq "status" 0 "$STATUS"
assert_eq "the same program stays" "$id" "$(xdp_on xe0)"
refused 1 "runs the program in native mode already; detach it first" xsr net attach xe0 mode generic
assert_eq "the same program stays" "$id" "$(xdp_on xe0)"
done_quietly xsr net detach xe0
refused 1 "no XDP program is attached to 'xe0'" xsr net detach xe0

step "another's program is left alone"
other prog load >/dev/null && other net attach xe0 >/dev/null || fail "cannot attach the other program"
id=$(xdp_on xe0)
refused 1 "another XDP program is attached to 'xe0'" xsr net attach xe0
assert_has "the cure" "ip link set dev xe0 xdp off" "$ERR"
assert_eq "the other program stays" "$id" "$(xdp_on xe0)"
refused 1 "is not of instance '$NAME'; left alone" xsr net detach xe0
assert_eq "the other program stays" "$id" "$(xdp_on xe0)"
done_quietly xsr prog unload force
assert_eq "the other program stays" "$id" "$(xdp_on xe0)"
# Where the message says it, as it says it.
refused 1 "load it with: xsr --name $NAME prog load" xsr net attach xe0
xsr prog load >/dev/null
try xsr net attach xe0
server ${ERR##*first: }
try xsr net attach xe0
assert_eq "status after the cure" 0 "$STATUS"
done_quietly xsr net detach xe0

step "fewer rx queues than the peer has tx queues"
link_make xs0 xs1 10.77.9 fd77:9 1 4 || fail "cannot make the link"
refused 1 "give the device as many rx queues as its peer has tx queues" xsr net attach xs0 mode native
assert_eq "program on the device" "" "$(xdp_on xs0)"
try xsr net attach xs0
assert_eq "status" 0 "$STATUS"
assert_eq "stdout" "xs0: attached, generic mode" "$OUT"
assert_has "warning" "attached in generic mode instead" "$ERR"
assert_has "program on the device" "xdpgeneric" "$(xdp_on xs0)"
done_quietly xsr net detach xs0

step "a device that is not there"
refused 1 "no device 'nosuch' in this network namespace" xsr net attach nosuch
refused 1 "no device 'nosuch' in this network namespace" xsr net detach nosuch

step "a router in generic mode serves"
router_start <<YAML
devices: [xe0]
mode: generic
transport: xdp
workers: 2
services:
  - { name: letters, address: "10.77.0.1:5000", id: "offset:0:1" }
  - { name: frames, address: "10.77.0.1:5001", id: xsr, default: hash }
YAML
load 10.77.0.1:5001 --sessions 100 --rate $((RATE / 2)) --seconds 1
assert_load_exact
assert_eq "messages of the service" "$SENT" "$(service_counter frames no_route_hash)"
router_stop
device_is_free
