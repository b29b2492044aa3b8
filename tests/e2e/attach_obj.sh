#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
# `ip link set dev DEV xdp obj steer.bpf.o sec xdp`: ip loads the program from its file and finds the maps by name, so
# the default instance's commands change its routes, whichever of the two was there first. It runs with a BPF file
# system of its own: the default instance of this host is not touched.
if [ -z "${XSR_E2E_PRIVATE:-}" ]; then
	[ "$(id -u)" != 0 ] || XSR_E2E_PRIVATE=1 exec unshare --mount --propagation private bash "$0"
fi
. "$(dirname "$0")/lib.sh"

OBJECT=$(dirname "$XSR")/bpf/steer.bpf.o
xsr() { server "$XSR" "$@"; }

bpffs_unmount() {
	while umount /sys/fs/bpf 2>/dev/null; do :; done
}

bpffs_renew() {
	bpffs_unmount
	mount -t bpf bpf /sys/fs/bpf || fail "cannot mount a BPF file system"
}

ip_attach() {
	server ip link set dev xe0 xdp obj "$OBJECT" sec xdp || fail "ip link refuses $OBJECT"
}

# What the device's program does with 3 datagrams of session 0x41.
route_is_followed() { # TARGET COUNTER
	local before
	before=$(service_counter letters "$2")
	done_quietly xsr route replace letters 0x41 "$1"
	datagrams 3 10.77.0.1 5000 A
	assert_eq "$2" 3 $(($(service_counter letters "$2") - before))
}

device_follows() {
	assert_has "xsr net show" '"ours":true' "$(xsr --json net show)"
	route_is_followed drop route_drop
	route_is_followed pass route_pass
}

[ -f "$OBJECT" ] || fail "$OBJECT is not built"
hosts_make
bpffs_renew

step "ip first: its maps are the default instance"
refused 1 "is not loaded" xsr service show
ip_attach
done_quietly xsr service add letters udp 10.77.0.1:5000 id offset:0:1
device_follows
assert_has "xsr prog show" "attached from a file by ip link" "$(xsr prog show)"

step "prog load takes over: routes stay, the device gets the new program without a gap"
id=$(xdp_on xe0)
routes=$(xsr --json route show)
try xsr prog load
assert_eq "stdout" "loaded /sys/fs/bpf/xsr/xsr, services and routes kept, exchanged on 1 device(s)" "$OUT"
assert_eq "routes" "$routes" "$(xsr --json route show)"
assert_eq "mode" xdp "$(xdp_on xe0 | cut -d' ' -f1)"
[ "$(xdp_on xe0)" != "$id" ] || wrong "the old program still runs: $id"
device_follows

step "ip link off, and on again from the file"
server ip link set dev xe0 xdp off
assert_eq "xsr net show" "" "$(xsr net show)"
ip_attach
device_follows
refused 1 "the program runs on 'xe0'; detach it first" xsr prog unload
done_quietly xsr net detach xe0
done_quietly xsr prog unload
assert_eq "what is left of the pins" "" "$(find /sys/fs/bpf -name 'xsr_*')"

step "prog load first, on a host without a BPF file system: ip finds the maps"
bpffs_unmount
try xsr prog load
assert_eq "status" 0 "$STATUS"
assert_has "warning" "no BPF file system was mounted; mounted one on /sys/fs/bpf" "$ERR"
done_quietly xsr service add letters udp 10.77.0.1:5000 id offset:0:1
ip_attach
device_follows
done_quietly xsr prog unload force
assert_eq "program on the device" "" "$(xdp_on xe0)"
assert_eq "what is left of the pins" "" "$(find /sys/fs/bpf -name 'xsr_*')"
