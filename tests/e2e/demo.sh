#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
# The demo runs, twice in a row, and ends with its sentence; interrupted, it leaves nothing behind.
. "$(dirname "$0")/lib.sh"
[ -z "${XSR_VM:-}" ] || skip "the demo is a minute of load; the stories it is made of run here one by one"

TCP_LINE='^demo tcp: sent=([1-9][0-9]*) answered=([1-9][0-9]*) errors=([0-9]+) lost=0 reordered=0$'
LINE='^demo: sent=[1-9][0-9]* received=[1-9][0-9]* lost=0 duplicated=0 misrouted=0 reordered=0$'

export DEMO_SECONDS=$((SLOWER > 1 ? 6 : 3)) DEMO_RATE=$RATE DEMO_TCP_SECONDS=4

nothing_is_left() {
	assert_eq "network namespaces" "" "$(ip netns list | grep '^xsr-demo')"
	assert_eq "pins" "" "$(find /sys/fs/bpf/xsr -maxdepth 1 -name 'xsr-demo*' 2>/dev/null)"
	assert_eq "processes" "" "$(pgrep -f -- '--name xsr-demo')"
}

demo_passes() {
	local last tcp
	try tests/demo.sh
	assert_eq "status ($ERR)" 0 "$STATUS"
	last=${OUT##*$'\n'}
	[[ $last =~ $LINE ]] || wrong "last line: expected $LINE, found '$last'"
	say "    $last"
	tcp=$(grep '^demo tcp:' <<<"$OUT")
	[[ $tcp =~ $TCP_LINE ]] && [ "${BASH_REMATCH[1]}" = $((BASH_REMATCH[2] + BASH_REMATCH[3])) ] ||
		wrong "the line of TCP: expected $TCP_LINE, with sent = answered + errors, found '$tcp'"
	say "    $tcp"
	nothing_is_left
}

[ -z "$(ip netns list | grep '^xsr-demo')" ] || skip "a demo runs on this host: its network namespaces are there"

step "the demo passes"
demo_passes
step "and again"
demo_passes

# As from a terminal.
demo_is_interrupted() { # AFTER-STEP
	: >"$TMP/demo"
	set -m # a process group of its own, which ^C is sent to
	tests/demo.sh >"$TMP/demo" 2>&1 9>&- &
	set +m
	DEMO=$!
	JOBS=($DEMO)
	wait_until grep -q "^$1\." "$TMP/demo" || fail "the demo does not get to step $1: $(<"$TMP/demo")"
	sleep 0.5
	kill -INT -- -$DEMO
	wait $DEMO
	assert_eq "status" 130 $?
	nothing_is_left
}

step "interrupted while sessions move between workers"
demo_is_interrupted 4
step "interrupted while a backend is away"
demo_is_interrupted 7
