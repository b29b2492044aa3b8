# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
# shellcheck shell=bash
# Read by the guest's init (virtme-init, a bash script) through BASH_ENV, before it does anything.
# It finds its console in /dev/virtio-ports/, whose links udev makes. Where the host has no udev, this stands in.
unset BASH_ENV

if [ ! -x /usr/lib/systemd/systemd-udevd ]; then
	udevd()
	{
		local port
		mkdir -p /dev/virtio-ports
		for port in /sys/class/virtio-ports/*; do
			[ ! -s "$port/name" ] || ln -sf "/dev/${port##*/}" "/dev/virtio-ports/$(cat "$port/name")"
		done
	}

	udevadm() { :; }
fi
