#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
# vm/guest.sh KERNEL: runs in the guest, as root, in the project's folder. /mnt is the host's .out/vm/run: the command
# comes from it, its exit status goes there. The rest of the disk is the host's, read-only; what is written is in RAM.
export XSR_VM=$1

# The kernel loads modules (veth, XDP's helpers) through this path.
[ -e /sbin/modprobe ] || ln -s "$PWD/.out/vm/bin/modprobe" /sbin/modprobe
mountpoint -q /sys/fs/bpf || mount -t bpf bpf /sys/fs/bpf
ip link set lo up

# The console takes one writer at a time: the command writes into a pipe.
{
	echo "vm: the guest runs Linux $(uname -r)"
	bash /mnt/command
	echo $? >/mnt/status
} 2>&1 | cat
sync
