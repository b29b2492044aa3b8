#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
# The router is killed under traffic. Its routes stay; its messages take their service's default action, each one
# counted; a router that is started again serves the same routes, also those of workers that it has no more.
. "$(dirname "$0")/lib.sh"

SESSIONS=200
AGAIN_MS=$((2000 * SLOWER))

# From now on COUNT datagrams to PORT are counted under COUNTER, and PASSED of them reach the stack.
default_is_taken() { # SERVICE PORT COUNTER COUNT PASSED
	local stack messages
	stack=$(no_ports)
	messages=$(service_counter "$1" messages)
	datagrams "$4" 10.77.0.1 "$2" A
	assert_eq "$3" "$4" "$(service_counter "$1" "$3")"
	assert_eq "messages of service $1" "$4" $(($(service_counter "$1" messages) - messages))
	assert_eq "datagrams that the stack had no socket for" "$5" $(($(no_ports) - stack))
}

# The server answers one letter with the same letter.
letter_is_answered() { # PORT
	[ A = "$(client timeout 1 bash -c '
		exec 3<>"/dev/udp/10.77.0.1/$1" && printf A >&3 && read -r -t 0.05 -N 1 -u 3 answer && printf %s "$answer"
	' letter_is_answered "$1" 2>/dev/null)" ]
}

hosts_make
router_start <<YAML
devices: [xe0]
transport: xdp
workers: 2
services:
  - { name: game, address: "10.77.0.1:5000", id: xsr, default: pass, stamp: on }
  - { name: pass, address: "10.77.0.1:5001", id: "offset:0:1", default: pass }
  - { name: drop, address: "10.77.0.1:5002", id: "offset:0:1", default: drop }
  - { name: hash, address: "10.77.0.1:5003", id: "offset:0:1", default: hash }
YAML
routes_import game $SESSIONS
for service in pass drop hash; do
	done_quietly xsr route add $service 0x41 worker 1
done
# Generations that tell whether somebody wrote routes anew.
done_quietly xsr route replace game 7 worker 1
done_quietly xsr route replace game 7 worker 1
routes=$(xsr --json route show)

step "kill -9 under traffic"
stack=$(no_ports)
load_start game 10.77.0.1:5000 --sessions $SESSIONS --sockets 8 --rate $RATE --seconds 300
sleep 1
router_end KILL
assert_eq "the router's exit status" 137 "$STATUS"
sleep 1
load_stop game
by_route=$(service_counter game route_worker)
by_default=$(service_counter game worker_gone_pass)
say "    sent $SENT: $by_route to a worker, $by_default to the stack; answered $RECEIVED"
assert_ge "messages to a worker" "$RECEIVED" "$by_route"
assert_ge "messages by default" 1 "$by_default"
assert_ge "answers" 1 "$RECEIVED"
assert_eq "every message is counted" "$SENT" "$(service_counter game messages)"
assert_eq "by route or by default, nothing else" "$SENT" $((by_route + by_default))
assert_eq "datagrams that the stack had no socket for" "$by_default" $(($(no_ports) - stack))
assert_eq "doubled" 0 "$(json_number duplicated "$LOAD")"
assert_eq "routes, with their generations" "$routes" "$(xsr --json route show)"
assert_eq "workers that run" 0 "$(xsr --json worker show | grep -c '"running":true')"

step "without a router each default is taken and counted"
default_is_taken pass 5001 worker_gone_pass 20 20
default_is_taken drop 5002 worker_gone_drop 30 0
default_is_taken hash 5003 worker_gone_no_worker 40 40

step "a router that is started again serves at once"
start=$(milliseconds)
nsenter --net=$SERVER_NET "$XSR" --name $NAME run "$TMP/router.yaml" 2>"$TMP/router.log" 9>&- &
ROUTER=$!
wait_until letter_is_answered 5001 || fail "no answer: $(<"$TMP/router.log")"
took=$(($(milliseconds) - start))
say "    first answer $took ms after the start"
assert_le "milliseconds to the first answer" $AGAIN_MS $took
assert_eq "routes, with their generations" "$routes" "$(xsr --json route show)"
before=$(service_counter game route_worker)
load 10.77.0.1:5000 --sessions $SESSIONS --sockets 8 --rate $RATE --seconds 0.5
assert_load_exact
assert_eq "route_worker" "$SENT" $(($(service_counter game route_worker) - before))

step "with one worker of two, the routes of the other lead to it"
router_stop
sed -i 's/^workers: 2/workers: 1/' "$TMP/router.yaml"
router_run
assert_has "log" "$((SESSIONS / 2 + 3)) routes led to workers that do not run any more" "$(<"$TMP/router.log")"
assert_eq "route of the letter" "hash 0x41 worker 0 generation 2" "$(xsr route show hash 0x41)"
assert_eq "routes to worker 1" 0 "$(xsr --json route show | grep -c '"worker":1')"
letter_is_answered 5003 || wrong "no answer from the other worker"
load 10.77.0.1:5000 --sessions $SESSIONS --sockets 8 --rate $RATE --seconds 0.5
assert_load_exact
assert_eq "answers of worker 0" "$SENT" "$(load_answered 0)"
router_stop
