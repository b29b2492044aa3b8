#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
# The command line: what is wrong gets one sentence on stderr and status 2 (usage) or 1 (failed); results are on stdout,
# with --json they are JSON; help is everywhere.
. "$(dirname "$0")/lib.sh"
[ -z "${XSR_VM:-}" ] || skip "what the command line says does not depend on the kernel; some hundred commands take minutes here"

# What is wrong by itself needs no network namespace.
usage() { refused 2 "$1" "$XSR" --name $NAME "${@:2}"; }   # SENTENCE WORD...
failure() { refused 1 "$1" "$XSR" --name $NAME "${@:2}"; } # SENTENCE WORD...

json_is_valid() {
	awk '
	function blanks() { while (substr(s, p, 1) ~ /[ \n]/) p++ }
	function token(re) {
		if (!match(substr(s, p), "^(" re ")"))
			return 0
		p += RLENGTH
		return 1
	}
	function members(last, keyed,    c) {
		p++
		blanks()
		if (substr(s, p, 1) == last)
			return ++p
		do {
			blanks()
			if (keyed && !token(STRING ":[ ]?"))
				return 0
			if (!value())
				return 0
			blanks()
			c = substr(s, p++, 1)
		} while (c == ",")
		return c == last
	}
	function value(    c) {
		blanks()
		c = substr(s, p, 1)
		if (c == "{")
			return members("}", 1)
		if (c == "[")
			return members("]", 0)
		return token(c == "\"" ? STRING : "true|false|null|-?[0-9]+([.][0-9]+)?([eE][-+]?[0-9]+)?")
	}
	{ s = s $0 "\n" }
	END {
		STRING = "\"([^\"\\\\]|\\\\[\"\\\\/bfnrtu])*\""
		p = 1
		if (!value())
			exit 1
		blanks()
		exit p <= length(s)
	}'
}

json_of() { # WORD...
	try xsr --json "$@"
	assert_eq "status of '$*'" 0 "$STATUS"
	assert_eq "stderr of '$*'" "" "$ERR"
	assert_eq "beginning of '$*'" '{"schema":"xsr/1",' "${OUT:0:18}"
	assert_eq "lines of '$*'" 1 "$(wc -l <<<"$OUT")"
	json_is_valid <<<"$OUT" || wrong "'$*' is no JSON: $OUT"
	try xsr --pretty "$@"
	assert_eq "status of '--pretty $*'" 0 "$STATUS"
	assert_has "'--pretty $*'" '"schema": "xsr/1",' "$OUT"
	json_is_valid <<<"$OUT" || wrong "'--pretty $*' is no JSON: $OUT"
}

help_of() { # WORD...
	try xsr "$@"
	assert_eq "status of '$*'" 0 "$STATUS"
	assert_eq "stderr of '$*'" "" "$ERR"
	assert_ge "lines of '$*'" 1 "$(grep -c . <<<"$OUT")"
}

# As a user that is nobody; the command may stand where only root can look.
as_nobody() { server setpriv --reuid=65534 --regid=65534 --clear-groups "$TMP/xsr" --name $NAME "$@"; }

hosts_make
for text in '{"a":[1,-2.5e3,"x\"y",{}],"b":null}' '[]' '7'; do
	json_is_valid <<<"$text" || fail "valid JSON is refused: $text"
done
for text in '{"a":1,}' '{"a" 1}' '[1 2]' '{"a":1}}' '{"a":01x}' '{"a":"x}' ''; do
	json_is_valid <<<"$text" && fail "bad JSON is taken: $text"
done

step "nothing is loaded"
failure "instance '$NAME' is not loaded; load it with: xsr --name $NAME prog load" service show
failure "is not loaded" route show
failure "is not loaded" worker show
failure "is not loaded" stats show
failure "is not loaded" prog show
failure "is not loaded" prog unload
failure "is not loaded" service add game udp 10.77.0.1:5000 id xsr
try xsr prog load
assert_eq "stdout" "loaded $PINS" "$OUT"
assert_eq "stderr" "" "$ERR"
done_quietly xsr service add game udp 10.77.0.1:5000 id xsr default drop dense 16

step "options and objects"
usage "unknown option '--nosuch'; see: xsr help" --nosuch
usage "'--name' needs a value" --name
usage "instance 'a.b': expected 1 to 31 of A-Z a-z 0-9 _ -" --name a.b service show
usage "instance ''" --name "" service show
usage "unknown object 'nosuch'; see: xsr help" nosuch
usage "unknown object 'nosuch'" help nosuch
try xsr
assert_eq "status without a word" 2 "$STATUS"
assert_eq "stdout without a word" "" "$OUT"
assert_has "stderr without a word" "Usage: xsr" "$ERR"
usage "unexpected 'x'" version x
for object in prog net service backend route session worker stats; do
	usage "'$object' needs a command; see: xsr $object help" $object
	usage "unknown command '$object nosuch'; see: xsr $object help" $object nosuch
done

step "usage: prog, net, worker, stats"
usage "expected [dense N] [routes N], not 'dense'" prog load dense
usage "expected [dense N] [routes N], not 'nosuch'" prog load nosuch 5
usage "'dense 0': expected a number from 1 to" prog load dense 0
usage "'routes -5': expected a number from 1 to" prog load routes -5
usage "expected nothing or 'force', not 'now'" prog unload now
usage "unexpected 'x'" prog show x
usage "expected DEV [mode auto|native|generic]" net attach
usage "expected DEV [mode auto|native|generic]" net attach xe0 mode
usage "mode 'fast': expected auto, native or generic" net attach xe0 mode fast
usage "expected DEV" net detach
usage "expected DEV" net detach xe0 xe1
usage "expected [DEV]" net show xe0 xe1
usage "unexpected 'x'" worker show x
usage "expected [cpu N]" worker add 1
usage "expected [cpu N]" worker add cpu
usage "expected [cpu N]" worker add cpu 1 2
usage "cpu 'x': expected the number of a core from 0 to 1023" worker add cpu x
usage "cpu '1024'" worker add cpu 1024
usage "expected N" worker drain
usage "expected N" worker remove 1 2
usage "worker 'x': expected a number" worker drain x
usage "worker 64: an instance has at most 64 workers, 0 to 63" worker remove 64
usage "unexpected '1'" worker rebalance 1
usage "expected [--watch SECONDS]" stats show now
usage "expected [--watch SECONDS]" stats show --watch
usage "expected [--watch SECONDS]" stats show --watch 0
usage "expected [--watch SECONDS]" stats show --watch soon
usage "unexpected 'x'" stats names x

step "usage: service"
usage "expected NAME udp|tcp ADDR:PORT id RULE" service add other udp 10.77.0.1:5001
usage "unexpected 'xsr'" service add other udp 10.77.0.1:5001 xsr id
usage "'default' needs a value" service add other udp 10.77.0.1:5001 id xsr default
usage "'id' is given twice" service add other udp 10.77.0.1:5001 id xsr id xsr
usage "no rule" service add other udp 10.77.0.1:5001 default drop
usage "port" service add other udp 10.77.0.1 id xsr
usage "is not an IPv4 address" service add other udp localhost:5001 id xsr
usage "port" service add other udp 10.77.0.1:65536 id xsr
usage "is not an IPv6 address" service add other udp "[10.77.0.1]:5001" id xsr
usage "expected udp" service add other sctp 10.77.0.1:5001 id xsr
usage "default action" service add other udp 10.77.0.1:5001 id xsr default forward
usage "stamp" service add other udp 10.77.0.1:5001 id xsr stamp 1
usage "dense" service add other udp 10.77.0.1:5001 id xsr dense many
usage "node" service add other udp 10.77.0.1:5001 id xsr node 65536
usage "nosuch" service add other udp 10.77.0.1:5001 id nosuch
usage "offset" service add other udp 10.77.0.1:5001 id offset:0:9
usage "name" service add "a b" udp 10.77.0.1:5001 id xsr
usage "at most 31" service add "$(printf '%032d' 0)" udp 10.77.0.1:5001 id xsr
usage "a TCP service has no backends; expected at least one" service add other tcp 10.77.0.1:5001 id xsr
usage "'backends' is given twice" service add other tcp 10.77.0.1:5001 id xsr backends one backends two
usage "backends: \"one\" a second time" service add other tcp 10.77.0.1:5001 id xsr backends one,two,one
usage "mode \"auto\" is not known; expected epoll, frames, splice, relay or local" \
	service add other tcp 10.77.0.1:5001 id xsr backends one mode auto
usage "expected id none" service add other tcp 10.77.0.1:5001 id xsr backends one mode splice
usage "expected id xsr" service add other tcp 10.77.0.1:5001 id none backends one
usage "expected id xsr" service add other tcp 10.77.0.1:5001 id wireguard backends one mode frames
usage "expected none" service add other tcp 10.77.0.1:5001 id none backends one mode local
usage "which the configuration names" service add other tcp 10.77.0.1:5001 id none mode local
usage "expected no stamp" service add other tcp 10.77.0.1:5001 id xsr backends one stamp on
usage "expected drop or hash" service add other tcp 10.77.0.1:5001 id xsr backends one default pass
usage "frame_max \"19\" is not a number from 20 to 1048576" service add other tcp 10.77.0.1:5001 id xsr backends one frame_max 19
usage "expected it with protocol tcp" service add other udp 10.77.0.1:5001 id xsr mode epoll
usage "expected them with protocol tcp" service add other udp 10.77.0.1:5001 id xsr backends one
usage "a UDP service is steered by its IDs" service add other udp 10.77.0.1:5001 id none
usage "expected NAME" service delete
usage "expected [NAME]" service show game other
usage "expected nothing" service rules x

step "usage: backend"
usage "expected NAME ADDR:PORT" backend add one
usage "expected NAME ADDR:PORT" backend add one 10.77.0.1:9000 x
usage "name" backend add "a b" 10.77.0.1:9000
usage "has no port" backend add one 10.77.0.1
usage "no host name" backend add one localhost:9000
usage "expected that of one host" backend add one 0.0.0.0:9000
usage "expected NAME" backend delete
usage "expected [NAME]" backend show one two

step "usage: route"
usage "expected SERVICE ID worker N | backend NAME | pass | drop" route add game 5
usage "ID 'x': expected a decimal or 0x number of at most 64 bits" route add game x worker 1
usage "ID '-1'" route add game -1 worker 1
usage "ID '0x10000000000000000'" route add game 0x10000000000000000 worker 1
usage "ID '18446744073709551616'" route add game 18446744073709551616 worker 1
usage "worker 64: an instance has at most 64 workers, 0 to 63" route add game 5 worker 64
usage "worker 'x': expected a number" route add game 5 worker x
usage "worker '': expected a number" route add game 5 worker
usage "target 'walk': expected worker N | backend NAME | pass | drop" route replace game 5 walk
usage "backend '': expected a name" route add game 5 backend
usage "unexpected '7' behind the target" route add game 5 pass 7
usage "expected SERVICE ID" route delete game
usage "expected [SERVICE [ID]]" route show game 5 6
usage "expected SERVICE FILE|-" route import game
usage "expected SERVICE" route export
usage "expected SERVICE" route flush

step "usage: session"
usage "expected SERVICE ID worker N | backend NAME, or SERVICE FILE|-" session move
usage "expected SERVICE ID worker N | backend NAME, or SERVICE FILE|-" session move game
usage "expected SERVICE ID worker N | backend NAME, or SERVICE FILE|-" session move game 5 worker
usage "expected SERVICE ID worker N | backend NAME, or SERVICE FILE|-" session move game 5 worker 1 2
usage "ID 'x': expected a decimal or 0x number of at most 64 bits" session move game x worker 1
usage "ID '0x10000000000000000'" session move game 0x10000000000000000 worker 1
usage "target 'pass': expected worker N" session move game 5 pass 1
usage "worker 'x': expected a number" session move game 5 worker x
usage "worker 64: an instance has at most 64 workers, 0 to 63" session move game 5 worker 64
usage "expected [SERVICE [ID]]" session show game 5 6
usage "ID 'x': expected a decimal or 0x number of at most 64 bits" session show game x

step "usage: batch, run, load"
usage "expected FILE|-" batch
usage "expected [--require-mode] CONFIG" run
usage "expected udp|tcp ADDR:PORT" load
usage "expected udp|tcp ADDR:PORT" load sctp 10.77.0.1:5000
usage "expected ADDR:PORT" load udp
usage "expected the address of one host" load udp 0.0.0.0:5000
usage "unknown option '--nosuch'" load udp 10.77.0.1:5000 --nosuch 1
usage "'--rate' needs a value" load udp 10.77.0.1:5000 --rate
usage "--size '10': expected" load udp 10.77.0.1:5000 --size 10
usage "--seconds '-1': expected" load udp 10.77.0.1:5000 --seconds -1
assert_eq "after all that: services" 1 "$(xsr service show | wc -l)"
assert_eq "after all that: routes" "" "$(xsr route show)"
assert_eq "after all that: backends" "" "$(xsr backend show)"

step "what fails"
for command in "route add nosuch 5 pass" "route delete nosuch 5" "route show nosuch" "route export nosuch" \
	"route import nosuch -" "route flush nosuch" "service delete nosuch" "service show nosuch"; do
	# shellcheck disable=SC2086 # words
	failure "no service 'nosuch'" $command </dev/null
done
failure "no backend 'nosuch'" backend delete nosuch
failure "no backend 'nosuch'" backend show nosuch
failure "no backend 'nosuch'; see: xsr backend show" route add game 5 backend nosuch
failure "no backend 'one'; see: xsr backend show" service add gw tcp 10.77.0.1:5000 id xsr backends one
failure "service 'game' has no route for 0x63" route delete game 99
failure "service 'game' has no route for 0x63" route show game 99
failure "service 'game' has no route for 0x63" --json route show game 99
failure "service 'game' exists" service add game udp 10.77.0.1:5001 id xsr
failure "another service is at 10.77.0.1:5000" service add other udp 10.77.0.1:5000 id xsr
failure "cannot read '/nonexistent'" route import game /nonexistent
failure "cannot read '/nonexistent'" batch /nonexistent
failure "/nonexistent" run /nonexistent
failure "cannot read '/nonexistent'" session move game /nonexistent
for command in "session move game 5 worker 1" "session move game 5 backend one" "session move game -" "session show" "session show game 5" "worker add cpu 1" \
	"worker drain 1" "worker remove 1" "worker rebalance" "--json worker rebalance"; do
	# shellcheck disable=SC2086 # words
	failure "no router serves instance '$NAME'; start it with: xsr run CONFIG" $command </dev/null
done
failure "to change a route without moving a session's state: xsr route replace" session move game 5 worker 1

step "a route to a worker that does not run is taken, with a warning"
try xsr route add game 0x2a worker 1
assert_eq "status" 0 "$STATUS"
assert_eq "stdout" "" "$OUT"
assert_eq "stderr" "xsr: warning: worker 1 does not run; until it does, the service's default action is taken" "$ERR"
failure "service 'game' has a route for 0x2a; see: route replace" route add game 42 pass
failure "0x100000000000a" route show game 0x100000000000a
done_quietly xsr route add game 10 pass
failure "its dense slot 10 holds another generation of the ID" route add game 0x100000000000a pass
done_quietly xsr route delete game 10

step "results, to the byte"
try xsr route replace game 42 worker 1
try xsr route replace game 0x2A worker 1
assert_eq "route show --json" '{"schema":"xsr/1","routes":[{"service":"game","id":"0x2a","target":{"worker":1},"generation":3}]}' \
	"$(xsr --json route show)"
assert_eq "route show" "game 0x2a worker 1 generation 3" "$(xsr route show game 42)"
assert_eq "route export" "0x2a worker 1" "$(xsr route export game)"
done_quietly xsr route add game 0xffffffffffffffff drop
assert_eq "the largest ID" "game 0xffffffffffffffff drop generation 1" "$(xsr route show game 18446744073709551615)"
assert_has "the largest ID" '"id":"0xffffffffffffffff","target":"drop"' "$(xsr --json route show game)"
assert_eq "route flush" "flushed 2 route(s)" "$(xsr route flush game)"

step "TCP services, their backends and routes"
done_quietly xsr backend add one 10.77.0.1:9000
done_quietly xsr backend add two "[fd77::1]:9000"
failure "backend 'one' exists" backend add one 10.77.0.1:9001
failure "another backend is at 10.77.0.1:9000" backend add three 10.77.0.1:9000
done_quietly xsr service add gw tcp 10.77.0.1:5000 id xsr backends one default drop frame_max 1048576 dense 16
done_quietly xsr service add raw tcp 10.77.0.1:5001 id none mode splice backends two,one
failure "another service is at 10.77.0.1:5000" service add gw2 tcp 10.77.0.1:5000 id xsr backends one
failure "backend 'one' is one of service 'gw'; delete that one first" backend delete one
assert_eq "backend show" "one 10.77.0.1:9000 services gw,raw" "$(xsr backend show one)"
assert_eq "backend show --json" '{"schema":"xsr/1","backends":[{"backend":"two","address":"[fd77::1]:9000","services":["raw"]}]}' \
	"$(xsr --json backend show two)"
assert_eq "service show" "gw tcp 10.77.0.1:5000 id xsr default drop mode epoll active - backends one frame_max 1048576 dense 16 node 0 \
 connections 0 sessions 0 requests 0 replies 0" "$(xsr service show gw)"
assert_has "service show" "raw tcp 10.77.0.1:5001 id none default hash mode splice active - backends one,two  connections" \
	"$(xsr service show raw)"
assert_has "service show --json" '"mode":"epoll","mode_active":null,"mode_why":null,"frame_max":1048576,"backends":["one"],"counters":{"connections":0,' \
	"$(xsr --json service show gw)"
done_quietly xsr route add gw 5 backend one
failure "backend 'two' is none of service 'gw'; see: xsr service show gw" route add gw 6 backend two
failure "service 'gw' is a TCP service: expected backend NAME or drop" route add gw 6 worker 1
failure "service 'gw' is a TCP service: expected backend NAME or drop" route add gw 6 pass
failure "service 'game' is a UDP service: expected worker N, pass or drop" route add game 6 backend one
failure "service 'raw' has no session IDs, and so no routes" route add raw 6 drop
printf '7 backend one\n8 drop\n' | xsr route import gw - >/dev/null || wrong "an import of routes to backends fails"
printf '9 backend one\n10 worker 1\n' >"$TMP/routes"
failure "$TMP/routes:2: service 'gw' is a TCP service: expected backend NAME or drop; nothing was imported" \
	route import gw "$TMP/routes"
assert_eq "route show --json" '{"schema":"xsr/1","routes":[{"service":"gw","id":"0x5","target":{"backend":"one"},"generation":1}]}' \
	"$(xsr --json route show gw 5)"
assert_eq "route export" "0x5 backend one 0x7 backend one 0x8 drop" "$(xsr route export gw | xargs)"
assert_eq "stats show --json" '"streams":[]}' "$(xsr --json stats show | grep -o '"streams".*')"
assert_has "stats names" "err_deadline" "$(xsr stats names)"

step "every show has its JSON"
done_quietly xsr route add game 7 pass
done_quietly xsr route add game 8 drop
try xsr net attach xe0
for command in "prog show" "net show" "net show xe0" "service show" "service show game" "service show gw" "backend show" "backend show one" \
	"route show" "route show game" "route show game 7" "route show gw" "worker show" "stats show" "version"; do
	# shellcheck disable=SC2086 # words
	json_of $command
done
assert_has "stats show" '"counters":{"route_worker":' "$(xsr --json stats show)"
assert_has "stats show" '"workers":[' "$(xsr --json stats show)"
for command in "prog load" "net attach xe0" "route import game /dev/null" "route flush game"; do
	# shellcheck disable=SC2086 # words
	xsr --json $command | json_is_valid || wrong "'$command' is no JSON"
done

step "stats show --watch, until it is told to stop"
try server timeout --preserve-status -s TERM $((SLOWER > 1 ? 6 : 1)) "$XSR" --name $NAME stats show --watch 0.1
assert_eq "status" 0 "$STATUS"
assert_ge "times shown" 3 "$(grep -c '^all ' <<<"$OUT")"

step "a result that cannot be written is a failure"
done_quietly xsr route add game 7 pass
for command in "prog show" "net show" "service show" "backend show" "route show" "route export game" "stats show" "--json stats show" \
	"service rules" "help" "version"; do
	try eval "xsr $command >/dev/full"
	assert_eq "status of '$command'" 1 "$STATUS"
	assert_has "message of '$command'" "No space left on device" "$ERR"
done

step "help is everywhere"
help_of help
help_of --help
help_of help help
for object in $(xsr help | sed -n 's/^  \([a-z]*\) .*/\1/p'); do
	help_of help "$object"
	help_of "$object" help
	for verb in $(xsr "$object" help 2>/dev/null | sed -n "s/^xsr $object \([a-z]*\).*/\1/p"); do
		case $object in
		batch | run | load | exchange | bench | help | version) ;;
		*) help_of "$object" "$verb" help ;;
		esac
	done
done

step "a batch stops at its first bad line"
cat >"$TMP/batch" <<-BATCH
	# services first
	service add one udp 10.77.0.1:6001 id xsr

	route add one 1 pass
	route add one 1 drop
	route add one 2 pass
BATCH
failure "$TMP/batch:5: service 'one' has a route for 0x1" batch "$TMP/batch"
assert_eq "what was done before" "one 0x1 pass generation 1" "$(xsr route show one)"
try xsr batch - <<<"route walk"
assert_eq "status of a batch with wrong usage" 2 "$STATUS"
assert_has "its message" "stdin:1: unknown command 'route walk'" "$ERR"
try xsr batch - <<<"route add one '5 pass"
assert_has "an open quote" "stdin:1: an open quote" "$ERR"
try xsr batch - <<<"batch $TMP/batch"
assert_has "a batch in a batch" "stdin:1: 'batch' cannot stand in a batch" "$ERR"
done_quietly xsr batch /dev/null
done_quietly xsr service delete one

step "what TCP services need is deleted after them"
done_quietly xsr service delete gw
done_quietly xsr service delete raw
done_quietly xsr backend delete one
done_quietly xsr backend delete two

step "tables end with a sentence"
for ((i = 1; i < 8; i++)); do
	echo "service add port$i udp 10.77.1.$i:5000 id xsr"
done >"$TMP/batch"
done_quietly xsr batch "$TMP/batch"
failure "10.77.1.9:5000: one port takes at most 8 services" service add port9 udp 10.77.1.9:5000 id xsr
for ((i = 8; i < 63; i++)); do
	echo "service add many$i udp 10.77.1.1:$((6000 + i)) id xsr"
done >"$TMP/batch"
done_quietly xsr batch "$TMP/batch"
failure "the table of services is full: 63" service add last udp 10.77.1.1:7000 id xsr
assert_eq "services" 63 "$(xsr service show | wc -l)"
for ((i = 1; i < 64; i++)); do
	echo "backend add b$i 10.77.2.$i:9000"
done >"$TMP/batch"
done_quietly xsr batch "$TMP/batch"
failure "the table of backends is full: 63" backend add last 10.77.3.1:9000
assert_eq "backends" 63 "$(xsr backend show | wc -l)"

step "whoever is not root is told so"
chmod 711 "$TMP" && cp "$XSR" "$TMP/xsr" && chmod 755 "$TMP/xsr" && echo "services: []" >"$TMP/empty.yaml"
for command in "prog load" "prog show" "prog unload" "net attach xe0" "net detach xe0" "net show" "service show" \
	"service add other udp 10.77.0.1:5009 id xsr" "service delete game" "backend show" "backend add one 10.77.0.1:9000" "route show" "route add game 9 pass" \
	"route export game" "session move game 5 worker 1" "session show" "worker show" "worker rebalance" "stats show" \
	"run $TMP/empty.yaml"; do
	# shellcheck disable=SC2086 # words
	refused 1 "run as root" as_nobody $command
done
try as_nobody version
assert_eq "status of version" 0 "$STATUS"
try as_nobody help
assert_eq "status of help" 0 "$STATUS"

step "maps of another version are not taken over"
rm "$PINS/xsr_backends"
failure "xsr_backends is not there, or has the layout of another version of xsr" prog load
done_quietly xsr prog unload force
