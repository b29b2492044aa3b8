#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
# Workers come and go while sessions are served that have no routes at all: a new worker takes new sessions and leaves
# the others where they are, until they are spread evenly; one that is drained gets no message any more; one that is
# removed is gone. Nothing is lost, doubled, out of order or misrouted all this time, and no session loses its state.
. "$(dirname "$0")/lib.sh"

[ -z "${XSR_VM:-}" ] || skip "who comes and goes among workers is the router's own matter; handoff runs here"

SESSIONS=$((2000 / SLOWER))
NEW=0x100000 LATEST=0x200000 # the first IDs of sessions that come later

# The worker of each session, "ID WORKER", as the workers tell it.
owners() { # FIRST-ID
	xsr --json session show game | grep -o '"id":"[^"]*","worker":[0-9]*' | awk -F'[":,]+' '{ print $3, $5 }' |
		while read -r id worker; do
			((id >= $1 && id < $1 + SESSIONS)) && say "$id $worker"
		done | sort
}

sessions_of() { # WORKER FIRST-ID
	owners "$2" | grep -c " $1\$"
}

threads() { cat "/proc/$ROUTER"/task/*/comm | grep -c "^xsr-worker-$1\$"; }

shown() { xsr worker show | grep -c "^worker $1 running "; }

changes() { # TEXT COMMAND...
	local start took
	start=$(milliseconds)
	try timeout $WAIT_S nsenter --net=$SERVER_NET "$XSR" --name $NAME "${@:2}"
	took=$(($(milliseconds) - start))
	[ "$STATUS" != 124 ] || fail "${*:2} does not end"
	assert_eq "status of ${*:2} ($ERR)" 0 "$STATUS"
	assert_has "stdout of ${*:2}" "$1" "$OUT"
	say "    $took ms: $OUT"
}

# Nothing more is received, although sessions are served.
gets_nothing() { # WORKER
	local before others
	before=$(worker_counter "$1" rx)
	others=$(workers_counter rx)
	sleep 0.5
	assert_eq "messages of worker $1" "$before" "$(worker_counter "$1" rx)"
	assert_ge "messages of all" $((others + 1)) "$(workers_counter rx)"
}

story() { # TRANSPORT
	local before after id n0 n1 n2

	step "transport $1, two workers, and no routes"
	router_start <<-YAML
		devices: [$2]
		transport: $1
		workers: 2
		services:
		  - { name: game, address: "10.77.0.1:5000", id: xsr, default: hash, stamp: on }
	YAML
	load_start known 10.77.0.1:5000 --sessions $SESSIONS --rate $RATE --window 512 --seconds 300
	wait_until known_by_all || fail "not every session is known"
	assert_ge "sessions of worker 0" 1 "$(sessions_of 0 0)"
	before=$(owners 0)

	step "transport $1, a third comes: known sessions stay"
	changes "added worker 2" worker add
	after=$(owners 0)
	assert_eq "sessions that are elsewhere" 0 "$(comm -3 <(say "$before") <(say "$after") | wc -l)"
	assert_eq "worker 2 is shown" 1 "$(shown 2)"
	assert_eq "threads of worker 2" 1 "$(threads 2)"

	step "transport $1, new sessions come to it"
	load_start new 10.77.0.1:5000 --first $((NEW)) --sessions $SESSIONS --rate $((RATE / 2)) --window 512 --seconds 300
	sleep $((1 * SLOWER))
	n0=$(sessions_of 2 $((NEW)))
	say "    $n0 of $SESSIONS"
	assert_ge "new sessions of worker 2" $((SESSIONS / 5)) "$n0"
	assert_le "new sessions of worker 2" $((SESSIONS / 2)) "$n0"
	assert_eq "known sessions of worker 2" 0 "$(sessions_of 2 0)"

	step "transport $1, rebalance"
	changes "moved " worker rebalance
	n0=$(xsr session show | grep -c '^game  *[^ ]*  *0 active ')
	n1=$(xsr session show | grep -c '^game  *[^ ]*  *1 active ')
	n2=$(xsr session show | grep -c '^game  *[^ ]*  *2 active ')
	say "    $n0, $n1, $n2 sessions"
	assert_eq "sessions" $((SESSIONS * 2)) $((n0 + n1 + n2))
	assert_le "difference of 0 and 1" 1 $((n0 > n1 ? n0 - n1 : n1 - n0))
	assert_le "difference of 0 and 2" 1 $((n0 > n2 ? n0 - n2 : n2 - n0))
	assert_le "difference of 1 and 2" 1 $((n1 > n2 ? n1 - n2 : n2 - n1))
	changes "moved 0 sessions" worker rebalance

	step "transport $1, worker 0 is drained"
	changes "moved $n0 sessions" worker drain 0
	gets_nothing 0
	assert_eq "sessions of worker 0" 0 "$(xsr session show | grep -c '^game  *[^ ]*  *0 ')"
	assert_eq "threads of worker 0" 1 "$(threads 0)"
	refused 1 "session 0x1: no such worker runs, or it is drained" moved_to 1 0

	step "transport $1, and removed"
	changes "moved 0 sessions" worker remove 0
	assert_eq "worker 0 is shown" 0 "$(shown 0)"
	assert_eq "threads of worker 0" 0 "$(threads 0)"
	refused 1 "no worker 0 runs" xsr worker drain 0
	refused 1 "no worker 7 runs" xsr worker remove 7

	step "transport $1, one that is not drained is removed"
	changes "moved " worker remove 2
	assert_eq "threads of worker 2" 0 "$(threads 2)"
	refused 1 "worker 1 is the last one that takes sessions" xsr worker remove 1
	refused 1 "worker 1 is the last one that takes sessions" xsr worker drain 1

	step "transport $1, the next to come is number 0 again"
	changes "added worker 0" worker add
	changes "moved $SESSIONS sessions" worker rebalance

	step "transport $1, one is removed while its sessions are moved by hand"
	changes "added worker 2" worker add
	load_start latest 10.77.0.1:5000 --first $((LATEST)) --sessions $SESSIONS --rate $RATE --window 512 --seconds 300
	sleep $((1 * SLOWER))
	assert_ge "sessions of worker 2" $((SESSIONS / 5)) "$(sessions_of 2 $((LATEST)))"
	for ((id = LATEST; id < LATEST + SESSIONS; id++)); do
		echo "$id worker $((id % 2))"
	done >"$TMP/byhand"
	nsenter --net=$SERVER_NET "$XSR" --name $NAME worker remove 2 >"$TMP/removed" 2>&1 9>&- &
	JOBS=($!)
	changes "moved " session move game "$TMP/byhand"
	wait_until ended "${JOBS[0]}" || fail "worker remove does not end"
	JOBS=()
	say "    $(<"$TMP/removed")"
	assert_has "stdout of worker remove" "moved " "$(<"$TMP/removed")"
	assert_eq "sessions that are where they were sent" $SESSIONS "$(owners $((LATEST)) |
		while read -r id worker; do [ $((id % 2)) = "$worker" ] && say "$id"; done | wc -l)"
	sleep 0.5

	step "transport $1, all this time everything was answered"
	load_stop known
	assert_load_exact
	say "    $SENT messages, the longest silence of a session $(json_number gap_max_ms "$LOAD") ms"
	load_stop new
	assert_load_exact
	load_stop latest
	assert_load_exact
	for counter in no_fence late_fence state_refused stale hold_overflow; do
		assert_eq "$counter" 0 "$(workers_counter $counter)"
	done
	assert_eq "warnings in the log" "" "$(router_warnings)"
	router_stop
	done_quietly xsr service delete game
}

known_by_all() { [ "$(owners 0 | wc -l)" = $SESSIONS ]; }

ended() { ! kill -0 "$1" 2>/dev/null; }

# What it says on stdout is not of interest.
moved_to() { xsr session move game "$1" worker "$2" >/dev/null; }

hosts_make
story xdp xe0
story udp ""
