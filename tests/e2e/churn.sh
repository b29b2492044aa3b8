#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
# Workers come, are drained, go, and sessions are spread again, by two users at a time, while two others move sessions by
# hand, all at random: nothing is lost, doubled or out of order, and no session loses its state. SEED=N repeats a run.
. "$(dirname "$0")/lib.sh"
[ -z "${XSR_VM:-}" ] || skip "who waits for whom is the router's own matter; handoff runs here"

SEED=${SEED:-$RANDOM}
SESSIONS=$((1000 / SLOWER))
WORKERS=6 # numbers that are tried

# One after another, at random, without end; what was said of each is a line.
changes() { # SEED
	RANDOM=$1
	while :; do
		case $((RANDOM % 4)) in
		0) [ "$(xsr worker show | grep -c ' running ')" -ge $WORKERS ] || change add ;;
		1) change drain $((RANDOM % WORKERS)) ;;
		2) change remove $((RANDOM % WORKERS)) ;;
		3) change rebalance ;;
		esac
		sleep 0.0$((RANDOM % 10))
	done
}

change() { # COMMAND [N]
	local said
	said=$(xsr worker "$@" 2>&1)
	say "$1: $said"
}

# Lists of sessions to any worker, also such as do not run.
moves_random() { # SEED SERVICE
	local i
	RANDOM=$1
	while :; do
		for ((i = 0; i < 50; i++)); do
			say "$((RANDOM % SESSIONS)) worker $((RANDOM % WORKERS))"
		done | xsr session move "$2" - 2>&1 | tail -n 1
	done
}

count() { grep -c "$1" "$2"; }

hosts_make
router_start <<YAML
devices: [xe0]
transport: xdp
workers: 3
services:
  - { name: hashed, address: "10.77.0.1:5000", id: xsr, default: hash, stamp: on }
  - { name: dense, address: "10.77.0.1:5001", id: xsr, default: hash, stamp: on, dense: 4096 }
YAML

step "seed $SEED"
load_start hashed 10.77.0.1:5000 --sessions $SESSIONS --rate $RATE --window 512 --seconds 300
load_start dense 10.77.0.1:5001 --sessions $SESSIONS --rate $RATE --window 512 --seconds 300
load_start unmoved 10.77.0.1:5000 --first 0x100000 --sessions $SESSIONS --sources 4 --roam 100 --rate $RATE --window 512 --seconds 300
sleep $((1 * SLOWER))
changes "$SEED" >"$TMP/changes.1" 2>&1 9>&- &
JOBS+=($!)
changes $((SEED + 1)) >"$TMP/changes.2" 2>&1 9>&- &
JOBS+=($!)
moves_random "$SEED" hashed >"$TMP/moves.1" 2>&1 9>&- &
JOBS+=($!)
moves_random $((SEED + 1)) dense >"$TMP/moves.2" 2>&1 9>&- &
JOBS+=($!)
sleep $((10 * SLOWER))
for pid in "${JOBS[@]}"; do
	{ kill "$pid" && wait "$pid"; } 2>/dev/null
done
JOBS=()
cat "$TMP"/changes.* >"$TMP/changes"
cat "$TMP"/moves.* >"$TMP/moves"
say "    workers: $(count '^add: added' "$TMP/changes") added, $(count '^drain: moved' "$TMP/changes") drained," \
	"$(count '^remove: moved' "$TMP/changes") removed; $(count '^rebalance: moved' "$TMP/changes") times spread;" \
	"$(count '^moved' "$TMP/moves") lists of moves"
for change in add drain remove rebalance; do
	assert_ge "changes: $change" 1 "$(count "^$change: [am]" "$TMP/changes")"
done
assert_ge "lists of moves" 10 "$(count '^moved' "$TMP/moves")"

step "seed $SEED: what is refused has one of these reasons"
assert_eq "other answers" "" "$(grep -vE '^[a-z]+: ($|added|moved|xsr: no worker [0-9] runs$|xsr: worker [0-9] is the last one)' "$TMP/changes")"
assert_eq "other answers" "" "$(grep -v '^moved' "$TMP/moves")"

step "seed $SEED: everything was answered"
for name in hashed dense unmoved; do
	load_stop $name
	assert_load_exact
	say "    $name: $SENT messages, $(json_number sessions_moved "$LOAD") moves seen, the longest silence" \
		"$(json_number gap_max_ms "$LOAD") ms"
done
for counter in no_fence late_fence state_refused stale hold_overflow; do
	assert_eq "$counter" 0 "$(workers_counter $counter)"
done
assert_eq "warnings in the log" "" "$(router_warnings)"
router_stop
