#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
# tests/run.sh TIER...: runs what is built of the tiers unit, tsan, prog (root), e2e (root), fuzz, and soak (root: the stories of e2e
# that take as long as they are given). A line for each test program, with its output if it failed; at the end "N passed, N failed,
# N skipped", and status 1 if any failed or the kernel logged a warning meanwhile. A test program ends with status 77 if it cannot
# run here, and says why.
#   FUZZ_S   seconds for each fuzz target; what it found stays in .out/fuzz/
#   XSR_VM   set in an emulated guest, where everything may take five times as long
set -u
cd "$(dirname "$0")/.." || exit 1
export LC_ALL=C PATH=$PATH:/usr/sbin:/sbin XSR=$PWD/.out/xsr

UNIT_LIMIT_S=60
TSAN_LIMIT_S=60
PROG_LIMIT_S=120
E2E_LIMIT_S=300
SOAK_LIMIT_S=1800
SOAK=(gateway gateway_hostile gateway_hostile_frames gateway_hostile_splice)
STOP_LIMIT_S=10 # from SIGTERM, with which a story tidies up, to SIGKILL
FUZZ_S=${FUZZ_S:-10}
SLOWER=${XSR_VM:+5}
SLOWER=${SLOWER:-1}
TSAN_CANNOT_START='FATAL: ThreadSanitizer: unexpected memory mapping'
KERNEL_WARNING='WARNING:|BUG:|Oops|Call Trace|verification failed|KASAN|UBSAN|refcount_t|general protection fault'

PASSED=0 FAILED=0 SKIPPED=0
SESSION= # of the test that runs: all its processes are in it
TIMER=
TMP=

# --- what is said ---

progress()
{
	[ ! -t 1 ] || printf '\r\033[K  %s' "$1"
}

say()
{
	[ ! -t 1 ] || printf '\r\033[K'
	printf '%s\n' "$1"
}

# NAME N [MORE]: all of them
say_ok()
{
	PASSED=$((PASSED + $2))
	say "ok $1 ($2 test$([ "$2" = 1 ] || echo s), $TOOK s${3:+, $3})"
}

# NAME WHY [N]
say_failed()
{
	FAILED=$((FAILED + ${3:-1}))
	say "FAIL $1: $2"
}

# NAME WHY
say_skipped()
{
	SKIPPED=$((SKIPPED + 1))
	say "SKIP $1: $2"
}

status_text()
{
	case $STATUS in
	late) echo "took longer than $LIMIT_S s" ;;
	empty) echo "ran no test" ;;
	129 | 13? | 14? | 15?) echo "ended by signal $(kill -l "$STATUS")" ;;
	*) echo "exit status $STATUS" ;;
	esac
}

# --- processes ---

# Those of a session that are alive.
session_pids()
{
	ps -e -o sid=,pid=,stat= | awk -v session="$1" '$1 == session && $3 !~ /^Z/ { print $2 }'
}

# Ends what is left of a session.
session_stop()
{
	local pids i
	pids=$(session_pids "$1")
	[ -n "$pids" ] || return 0
	# shellcheck disable=SC2086 # a list of numbers
	kill -TERM $pids 2>/dev/null
	for ((i = 0; i < STOP_LIMIT_S * SLOWER * 10; i++)); do
		pids=$(session_pids "$1")
		[ -n "$pids" ] || return 0
		sleep 0.1
	done
	# shellcheck disable=SC2086
	kill -KILL $pids 2>/dev/null
}

cleanup()
{
	trap '' INT TERM HUP
	[ ! -t 1 ] || printf '\r\033[K'
	[ -z "$TIMER" ] || kill "$TIMER" 2>/dev/null
	[ -z "$SESSION" ] || session_stop "$SESSION"
	[ -z "$TMP" ] || rm -rf "$TMP"
}

# SECONDS STDOUT STDERR COMMAND...: in a session of its own. Its exit status is in STATUS ("late": it took too long), the
# time in TOOK. A shell's background processes ignore SIGINT, tests should not.
run()
{
	local start=${EPOCHREALTIME/./} out=$2 err=$3 tenths
	LIMIT_S=$(($1 * SLOWER))
	shift 3
	: >"$out" && : >"$err" || exit 1
	setsid env --default-signal=INT,QUIT "$@" </dev/null >>"$out" 2>>"$err" &
	SESSION=$!
	sleep "$LIMIT_S" &
	TIMER=$!
	wait -n "$SESSION" "$TIMER" 2>/dev/null
	STATUS=$?
	kill "$TIMER" 2>/dev/null || STATUS=late
	session_stop "$SESSION"
	wait "$SESSION" "$TIMER" 2>/dev/null
	SESSION='' TIMER=''
	tenths=$(((${EPOCHREALTIME/./} - start) / 100000))
	TOOK=$((tenths / 10)).$((tenths % 10))
}

# --- one test program ---

# KIND FILE: how many tests of that kind cmocka counts at its end
cmocka_count()
{
	sed -n "s/^\[ *$1 *\] \([0-9]*\) test(s).*/\1/p" "$2" | awk '{ n += $1 } END { print n + 0 }'
}

# NAME FILE: those that skipped themselves, each once
cmocka_skips()
{
	local test
	while read -r test; do
		say_skipped "$1" "$test"
	done < <(sed -n 's/^\[ *SKIPPED *\] \([^ ]*\)$/\1/p' "$2" | sort -u)
}

# FILE: without the tests that passed
cmocka_failures()
{
	awk '/^\[ *RUN *\]/ { run = $0 "\n"; next }
		/^\[ *OK *\]/ { run = ""; next }
		{ printf "%s%s\n", run, $0; run = "" }
		END { printf "%s", run }' "$1"
}

# Lines are written at once, so that those of a program that dies are there. Then it has no summary: its lines count.
cmocka_run() # NAME BINARY SECONDS
{
	local log=$TMP/log n_passed n_failed n_skipped
	ASAN_OPTIONS=verify_asan_link_order=0${ASAN_OPTIONS:+:$ASAN_OPTIONS} run "$3" "$log" "$log" stdbuf -oL "$2"
	if grep -q "$TSAN_CANNOT_START" "$log"; then # it may, where addresses are not spread at random
		run "$3" "$log" "$log" setarch -R stdbuf -oL "$2"
		if grep -q "$TSAN_CANNOT_START" "$log"; then
			say_skipped "$1" "the thread sanitizer cannot start in this kernel's layout of memory"
			return
		fi
	fi
	n_passed=$(grep -c '^\[ *OK *\]' "$log")
	n_failed=$(cmocka_count FAILED "$log")
	n_skipped=$(cmocka_count SKIPPED "$log")
	case $STATUS:$((n_passed + n_failed + n_skipped)) in
	0:0) STATUS=empty ;;
	77:0)
		say_skipped "$1" "$(tail -n 1 "$log")"
		return
		;;
	esac
	if [ "$STATUS" = 0 ] && [ "$n_failed" = 0 ]; then
		[ "$n_passed" = 0 ] || say_ok "$1" "$n_passed"
		cmocka_skips "$1" "$log"
	else
		PASSED=$((PASSED + n_passed))
		say_failed "$1" "$(status_text)" $((n_failed > 0 ? n_failed : 1))
		cmocka_failures "$log"
	fi
}

story_run() # NAME SCRIPT [SECONDS]
{
	run "${3:-$E2E_LIMIT_S}" "$TMP/out" "$TMP/err" bash "$2"
	case $STATUS in
	0) say_ok "$1" 1 ;;
	77) say_skipped "$1" "$(tail -n 1 "$TMP/out")" ;;
	*)
		say_failed "$1" "$(status_text)"
		cat "$TMP/out" "$TMP/err"
		;;
	esac
}

# The corpus grows in .out/fuzz/NAME from run to run; what broke the target stays beside it.
fuzz_run() # NAME BINARY
{
	local log=$TMP/log corpus=.out/fuzz/${1#*/} n_inputs
	if ! mkdir -p "$corpus" || ! cp -ru "tests/fuzz/corpus/${1#*/}/." "$corpus"; then
		say_failed "$1" "cannot fill $corpus from tests/fuzz/corpus/${1#*/}"
		return
	fi
	run $((FUZZ_S + 60)) "$log" "$log" "$2" -max_total_time="$FUZZ_S" -timeout=$((10 * SLOWER)) \
		-artifact_prefix="$corpus." "$corpus"
	n_inputs=$(sed -n 's/^Done \([0-9]*\) runs.*/\1/p' "$log")
	if [ "$STATUS" = 0 ] && [ "${n_inputs:-0}" -gt 0 ]; then
		say_ok "$1" 1 "$n_inputs inputs"
	else
		say_failed "$1" "$(status_text)"
		grep -v '^#[0-9]' "$log"
	fi
}

# --- tiers: what is in the tree is run, so that nothing is left out silently ---

test_run() # TIER SOURCE
{
	local name=${2#tests/} binary=.out/${2%.*}
	name=${name%.*}
	progress "$name"
	if [ "$1" != e2e ] && [ ! -x "$binary" ]; then
		say_failed "$name" "is not built; run: make $1"
		return
	fi
	case $1 in
	unit) cmocka_run "$name" "$binary" "$UNIT_LIMIT_S" ;;
	tsan) cmocka_run "$name" "$binary" "$TSAN_LIMIT_S" ;;
	prog) cmocka_run "$name" "$binary" "$PROG_LIMIT_S" ;;
	e2e) story_run "$name" "$2" ;;
	fuzz) fuzz_run "$name" "$binary" ;;
	esac
}

soak_run()
{
	local story
	export XSR_SOAK=1
	for story in "${SOAK[@]}"; do
		progress "soak/$story"
		story_run "soak/$story" "tests/e2e/$story.sh" $SOAK_LIMIT_S
	done
	unset XSR_SOAK
}

tier_run()
{
	local source n=0
	for source in tests/"$1"/test_*.c tests/"$1"/fuzz_*.c tests/"$1"/*.sh; do
		[ -e "$source" ] || continue
		case $1/${source##*/} in
		e2e/lib.sh | fuzz/seeds.sh) continue ;; # are no tests
		esac
		test_run "$1" "$source"
		n=$((n + 1))
	done
	[ $n != 0 ] || say_failed "$1" "there are no tests in tests/$1"
}

# --- the kernel's log ---

kernel_log_start()
{
	dmesg >"$TMP/dmesg" 2>/dev/null || rm -f "$TMP/dmesg"
}

# Only root can read it, and only root's tests can cause a line there.
kernel_log_check()
{
	if [ ! -e "$TMP/dmesg" ]; then
		[ "$(id -u)" != 0 ] || say_skipped "kernel log" "dmesg cannot be read"
		return
	fi
	dmesg | awk 'NR == FNR { old[$0]; next } !($0 in old)' "$TMP/dmesg" - >"$TMP/dmesg.new"
	if grep -qE "$KERNEL_WARNING" "$TMP/dmesg.new"; then
		say_failed "kernel log" "it has new warnings"
		grep -E -A 40 "$KERNEL_WARNING" "$TMP/dmesg.new"
	fi
}

for tier in "$@"; do
	case $tier in
	unit | tsan | prog | e2e | fuzz | soak) ;;
	*) set -- ;;
	esac
done
if [ $# = 0 ]; then
	echo "usage: tests/run.sh TIER..., a TIER is one of unit, tsan, prog, e2e, fuzz, soak" >&2
	exit 2
fi
case $FUZZ_S in
'' | 0* | *[!0-9]*)
	echo "tests/run.sh: FUZZ_S is \"$FUZZ_S\", expected a number of seconds from 1" >&2
	exit 2
	;;
esac

trap 'exit 130' INT
trap 'exit 143' TERM
trap 'exit 129' HUP
trap cleanup EXIT
TMP=$(mktemp -d) || exit 1
kernel_log_start
for tier in "$@"; do
	if [ "$tier" = soak ]; then soak_run; else tier_run "$tier"; fi
done
kernel_log_check
say "$PASSED passed, $FAILED failed, $SKIPPED skipped"
[ $FAILED = 0 ]
