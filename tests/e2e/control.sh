#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
# The control socket as an enemy finds it: it is root's alone, one router serves an instance, and lines that are no
# requests, requests that are wrong, too many connections and clients that go away harm nobody.
. "$(dirname "$0")/lib.sh"
[ -z "${XSR_VM:-}" ] || skip "what the control socket says does not depend on the kernel"

SESSIONS=$((1000 / SLOWER))
SOCKET=/run/xsr/$NAME.sock

ask() { "$TMP/ask" $SOCKET; }

# The answer to what stands on stdin is one line, an error that holds TEXT.
answers_error() { # TEXT
	try ask
	assert_eq "status ($ERR)" 0 "$STATUS"
	assert_eq "lines of the answer" 1 "$(wc -l <<<"$OUT")"
	assert_has "answer" '{"schema":"xsr/1",' "$OUT"
	assert_has "answer" '"error":"' "$OUT"
	assert_has "answer" "$1" "$OUT"
}

# Commands are still served.
answers() {
	try xsr --json session show game 1
	assert_eq "status of session show ($ERR)" 0 "$STATUS"
	assert_has "session show" '"id":"0x1"' "$OUT"
}

${CC:-cc} -O -o "$TMP/ask" tests/e2e/ask.c || skip "no C compiler to build tests/e2e/ask.c"
hosts_make
router_start <<YAML
devices: [xe0]
transport: xdp
workers: 2
services:
  - { name: game, address: "10.77.0.1:5000", id: xsr, default: drop, stamp: on }
YAML
routes_import game $SESSIONS
load_start game 10.77.0.1:5000 --sessions $SESSIONS --rate $RATE --window 512 --owners 2 --seconds 300
wait_until test "$(worker_counter 0 rx)" != 0
sleep $((1 * SLOWER))
routes=$(xsr --json route show game)

step "it is root's alone"
assert_eq "mode of the socket" "600 0" "$(stat -c '%a %u' $SOCKET)"
assert_eq "mode of its folder" "700 0" "$(stat -c '%a %u' /run/xsr)"
chmod 755 "$TMP" && chmod 755 "$TMP/ask"
if command -v setpriv >/dev/null; then
	try setpriv --reuid=65534 --regid=65534 --clear-groups "$TMP/ask" $SOCKET
	assert_eq "status as nobody" 1 "$STATUS"
	assert_has "message as nobody" "Permission denied" "$ERR"
fi

step "a second router is refused, and harms not the first"
sed 's/xe0/lo/; s/xdp/udp/; s/5000/5009/; s/game/other/' "$TMP/router.yaml" >"$TMP/second.yaml"
for file in router second; do
	try xsr run "$TMP/$file.yaml"
	assert_eq "status" 1 "$STATUS"
	assert_has "message" "the instance is served by process $ROUTER already; end that one first" "$ERR"
done
assert_eq "services" "game" "$(xsr service show | awk '{ print $1 }')"
answers

step "what is no request ends the connection"
for line in garbage '[]' '"x"' '{' '{"command":"session show"' '{}{}' $'\xff\xfe' '{"a":"\ud800"}'; do
	answers_error "" <<<"$line"
	answers
done
answers_error "a request is a line of at most 1 MiB" < <(head -c 3000000 /dev/zero | tr '\0' '{')
answers_error "a request is a line of at most 1 MiB" < <(
	printf '{"command":"session show","service":"%s"}\n' "$(head -c 1100000 /dev/zero | tr '\0' x)")
answers_error "a request is a JSON object" < <(head -c 50000 /dev/zero | tr '\0' '[' && echo)
answers

step "a request that is wrong is answered by a sentence, and changes nothing"
answers_error '"tag":7,"error":' <<<'{"command":"session fly","tag":7}'
answers_error "error" <<<'{}'
answers_error "expected a name" <<<'{"command":"session move","moves":[["0x1",1]]}'
answers_error "expected a name" <<<'{"command":"session move","service":7,"moves":[["0x1",1]]}'
answers_error "no service" <<<'{"command":"session move","service":"","moves":[["0x1",1]]}'
answers_error "expected 1 to 16384" <<<'{"command":"session move","service":"game"}'
answers_error "expected 1 to 16384" <<<'{"command":"session move","service":"game","moves":[]}'
answers_error "expected 1 to 16384" <<<'{"command":"session move","service":"game","moves":{"0x1":1}}'
answers_error "expected 1 to 16384" < <(printf '{"command":"session move","service":"game","moves":[["1",1]%s]}\n' \
	"$(printf ',["1",1]%.0s' {1..16384})")
for move in 1 '[]' '["0x0"]' '["0x0",0,0]' '[0,1]' '["0x0","1"]' '["0x0",-1]' '["0x0",64]' '["0x0",1.0]' '["0x0",4294967297]' \
	'["0x10000000000000000",1]' '["",1]' '["-1",1]' '["0x0 ",1]' 'null'; do
	answers_error "the 2. one" <<<"{\"command\":\"session move\",\"service\":\"game\",\"moves\":[[\"0x0\",1],$move]}"
done
answers_error "expected a number" <<<'{"command":"worker drain"}'
answers_error "expected a number" <<<'{"command":"worker remove","worker":-1}'
answers_error "expected a number" <<<'{"command":"worker add","cpu":"0"}'
answers_error "no worker 63 runs" <<<'{"command":"worker drain","worker":63}'
assert_eq "routes" "$routes" "$(xsr --json route show game)"

step "a core that this host has not: no worker comes, and the next try is not spoiled"
refused 1 "core 1023 is not there" xsr worker add cpu 1023
try xsr worker add
assert_eq "stdout ($ERR)" "added worker 2" "$OUT"
try xsr worker remove 2
assert_eq "status of worker remove ($ERR)" 0 "$STATUS"

step "32 connections, and no more"
mkfifo "$TMP/silence" && exec 8<>"$TMP/silence" || fail "cannot make a pipe"
for ((i = 0; i < 32; i++)); do
	"$TMP/ask" $SOCKET <"$TMP/silence" >"$TMP/held.$i" 2>&1 8>&- 9>&- &
	JOBS+=($!)
done
connected() { [ "$(awk -v path=$SOCKET '$8 == path && $6 == "03"' /proc/net/unix | wc -l)" = 32 ]; }
wait_until connected || wrong "not all of them are connected"
refused 1 "there are 32 connections already" xsr session show game 1
for pid in "${JOBS[@]}"; do
	{ kill -KILL "$pid" && wait "$pid"; } 2>/dev/null
done
JOBS=()
wait_until eval 'xsr session show game 1 >/dev/null 2>&1' || wrong "no connection is taken any more"
answers

step "who goes away does not stop what was asked for"
printf '{"command":"session move","service":"game","moves":[%s]}\n' \
	"$(xsr route export game | awk '{ printf "%s[\"%s\",%d]", (NR > 1 ? "," : ""), $1, 1 - $3 }')" >"$TMP/all"
{ timeout -s KILL 0.01 "$TMP/ask" $SOCKET <"$TMP/all" >/dev/null; } 2>/dev/null
moved() { [ "$(xsr --json route show game | grep -o '"generation":2' | wc -l)" = $SESSIONS ]; }
wait_until moved || wrong "not all sessions moved"
load_stop game
assert_load_exact
assert_handoffs $SESSIONS
router_stop
[ ! -e $SOCKET ] || wrong "$SOCKET is still there"
