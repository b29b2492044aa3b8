#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
# vm/run.sh KERNEL [-- COMMAND...]: runs the command (default: the tests that need a kernel) under Debian's kernel of
# that series, in a guest in software emulation, and exits with its status. XSR_VM_TIMEOUT_S ends a guest that hangs.
set -euo pipefail
cd "$(dirname "$0")/.."

vm=$PWD/.out/vm
timeout_s=${XSR_VM_TIMEOUT_S:-1800}
guest=
timer=

die()
{
	echo "vm: $1" >&2
	exit "${2:-1}"
}

# The process that the pid file names, if it is a QEMU that was started with this pid file.
qemu_pid()
{
	local pid
	pid=$(cat "$vm/qemu.pid" 2>/dev/null) && [ -n "$pid" ] &&
		grep -qF "$vm/qemu.pid" "/proc/$pid/cmdline" 2>/dev/null && echo "$pid"
}

# True if the command succeeds within 5 s.
soon()
{
	local i
	for ((i = 0; i < 50; i++)); do
		if "$@" 2>/dev/null; then
			return 0
		fi
		sleep 0.1
	done
	return 1
}

qemu_is_gone() { ! qemu_pid >/dev/null; }
guest_is_gone() { ! kill -0 -- "-$guest"; }

qemu_stop()
{
	local pid
	pid=$(qemu_pid) || return 0
	kill "$pid" || true
	soon qemu_is_gone || kill -KILL "$pid" || true
	rm -f "$vm/qemu.pid"
}

# vng and its children are a process group. They end with QEMU; before QEMU has written its pid file they are told to.
guest_stop()
{
	trap '' INT TERM HUP
	[ -z "$timer" ] || kill "$timer" 2>/dev/null || true
	[ -n "$guest" ] || return 0
	qemu_pid >/dev/null || kill -- "-$guest" 2>/dev/null || true
	qemu_stop
	soon guest_is_gone || kill -KILL -- "-$guest" 2>/dev/null || true
}

# vng reopens its standard files by name and truncates them: it gets /dev/null and pipes, the second one for the
# kernel's console. The CPU has no 5-level page tables: emulated, they cost time.
guest_start()
{
	exec 8> >(exec cat 9>&-)
	output=$!
	exec 7> >(exec cat >"$vm/console.log" 8>&- 9>&-)
	console=$!
	HOME=$vm PATH=$vm/bin:$PATH:/usr/sbin:/sbin setsid vng -r "$vm/kernel/$kernel/vmlinuz" --verbose \
		--disable-kvm --force-9p --user root --cpus 2 --memory 2G \
		--overlay-rwdir="$PWD" --rwdir="/mnt=$vm/run" --append "BASH_ENV=$PWD/vm/guest-env.sh" \
		--qemu-opts="-cpu max,la57=off -pidfile $vm/qemu.pid" \
		-- "vm/guest.sh $kernel" </dev/null >&8 2>&7 7>&- 8>&- 9>&- &
	guest=$!
	exec 7>&- 8>&-
}

guest_wait()
{
	setpriv --pdeathsig TERM sleep "$timeout_s" >/dev/null 2>&1 9>&- &
	timer=$!
	wait -n "$guest" "$timer" || true
	if kill -0 "$guest" 2>/dev/null; then
		die "the guest was ended after $timeout_s s (XSR_VM_TIMEOUT_S)" 124
	fi
	wait "$output" "$console" || true
}

kernel=${1:-}
case $kernel in
'' | *[!0-9.]*) die "usage: vm/run.sh KERNEL [-- COMMAND...], KERNEL is a series of Debian's kernels: 6.1, 6.12, 6.16" 2 ;;
esac
shift
[ "${1:-}" != -- ] || shift
[ $# -gt 0 ] || set -- tests/run.sh prog e2e

# The kernel's command line has no quoting for it.
case $PWD in
*[[:space:]]*) die "the project's path has a space in it, a guest cannot use it: $PWD" ;;
esac

mkdir -p "$vm/run"
exec 9>"$vm/lock"
flock -n 9 || die "another guest is running (it holds $vm/lock), one at a time"
trap 'exit 130' INT
trap 'exit 143' TERM
trap 'exit 129' HUP
trap guest_stop EXIT
vm/fetch.sh "$kernel" || exit $?

# A run that was killed leaves its guest behind.
qemu_stop
rm -f "$vm/run/status"
printf '%q ' "$@" >"$vm/run/command"
guest_start
guest_wait
if [ ! -s "$vm/run/status" ]; then
	tail -n 40 "$vm/console.log" >&2
	die "the guest died before the command ended, above are the last lines of its console ($vm/console.log)"
fi
exit "$(cat "$vm/run/status")"
