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

# virtme-run and QEMU are a process group. virtme-run ends with QEMU; before QEMU has written its pid file, the group is
# told to end.
guest_stop()
{
	trap '' INT TERM HUP
	[ -z "$timer" ] || kill "$timer" 2>/dev/null || true
	[ -n "$guest" ] || return 0
	qemu_pid >/dev/null || kill -- "-$guest" 2>/dev/null || true
	qemu_stop
	soon guest_is_gone || kill -KILL -- "-$guest" 2>/dev/null || true
}

# virtme-run is the half of virtme-ng that boots; its front end vng needs certificates and reads a user's settings.
# It reopens its standard files by name and truncates them: it gets /dev/null and pipes, the second one for the
# kernel's console. The CPU has no 5-level page tables: emulated, they cost time.
guest_start()
{
	local dir overlays=()
	for dir in /etc /lib /home /opt /srv /usr /var /tmp "$PWD"; do
		overlays+=(--overlay-rwdir "$dir")
	done
	exec 8> >(exec cat 9>&-)
	output=$!
	exec 7> >(exec cat >"$vm/console.log" 8>&- 9>&-)
	console=$!
	PATH=$vm/bin:$PATH:/usr/sbin:/sbin setsid virtme-run --kimg "$vm/kernel/$kernel/vmlinuz" --mods auto \
		--disable-kvm --force-9p --cpus 2 --memory 2G --name xsr --verbose --show-boot-console \
		"${overlays[@]}" --rwdir "/mnt=$vm/run" --kopt "BASH_ENV=$PWD/vm/guest-env.sh" \
		--pwd --script-sh "vm/guest.sh $kernel" \
		--qemu-opts -cpu max,la57=off -pidfile "$vm/qemu.pid" </dev/null >&8 2>&7 7>&- 8>&- 9>&- &
	guest=$!
	exec 7>&- 8>&-
}

guest_wait()
{
	local ended
	setpriv --pdeathsig TERM sleep "$timeout_s" >/dev/null 2>&1 9>&- &
	timer=$!
	wait -n -p ended "$guest" "$timer" || true
	[ "$ended" != "$timer" ] || die "the guest was ended after $timeout_s s (XSR_VM_TIMEOUT_S)" 124
	guest=
	wait "$output" "$console" || true
}

kernel=${1:-}
case $kernel in
'' | *[!0-9.]*) die "usage: vm/run.sh KERNEL [-- COMMAND...], KERNEL is a series of Debian's kernels, as 6.1" 2 ;;
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
if ! flock -n 9; then
	echo "vm: another guest is running (it holds $vm/lock), this one waits for its end" >&2
	flock 9
fi
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
