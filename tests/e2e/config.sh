#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
# The router's file: what is wrong in it is named with its line and nothing is applied; SIGHUP applies what differs and
# nothing else, under traffic; SIGTERM ends the router at once and leaves the device as it was found.
. "$(dirname "$0")/lib.sh"
[ -z "${XSR_VM:-}" ] || skip "what a configuration may say does not depend on the kernel"

END_MS=$((2000 * SLOWER))

# The router refuses the file that comes on stdin, with status 1 and FILE:LINE.
file_is_refused() { # LINE TEXT
	cat >"$TMP/bad.yaml"
	refused 1 "$TMP/bad.yaml:$1: " xsr run "$TMP/bad.yaml"
	assert_has "what was wrong" "$2" "$ERR"
	assert_eq "services" "$SERVICES" "$(xsr service show)"
	assert_eq "program on the device" "$ON_DEVICE" "$(xdp_on xe0)"
}

log_has_again() { # TEXT
	[ "$(grep -cF "$1" "$TMP/router.log")" -gt "$HAD" ]
}

# Writes the file that comes on stdin, has it read, and waits for TEXT in the log.
reload_says() { # TEXT
	cat >"$TMP/router.yaml"
	HAD=$(grep -cF "$1" "$TMP/router.log")
	kill -HUP "$ROUTER"
	wait_until log_has_again "$1" || wrong "SIGHUP: expected '$1' in the log: $(<"$TMP/router.log")"
}

service_names() { xsr service show | cut -d' ' -f1 | xargs; }

file_with() { # SERVICE...
	cat <<-YAML
		devices: [xe0]
		transport: xdp
		workers: ${WORKERS:-2}
		services:
		  - { name: game, address: "10.77.0.1:5000", id: xsr, default: drop, stamp: on }
	YAML
	[ $# = 0 ] || printf '  - %s\n' "$@"
}

end_is_quick() { # SIGNAL
	local start took
	start=$(milliseconds)
	router_end "$1"
	took=$(($(milliseconds) - start))
	say "    ended $took ms after SIG$1"
	assert_eq "exit status" 0 "$STATUS"
	assert_le "milliseconds to the end" $END_MS $took
}

hosts_make
xsr prog load >/dev/null || fail "cannot load the program"
done_quietly xsr service add byhand udp 10.77.0.1:7000 id offset:0:1
SERVICES=$(xsr service show) ON_DEVICE=

step "a bad file is refused with its line"
printf 'devices: [xe0]\nworkers: 65\n' | file_is_refused 2 "workers"
printf 'devices: [xe0]\n\nwrokers: 2\n' | file_is_refused 3 "wrokers"
printf 'devices: [xe0]\nworkers: two\n' | file_is_refused 2 "\"two\""
printf 'devices: [xe0]\nworkers: 2\nworkers: 2\n' | file_is_refused 3 "second time"
printf 'devices: xe0\n' | file_is_refused 1 "expected a list"
printf 'devices: [xe0]\nframes: 1000\n' | file_is_refused 2 "frames"
printf 'workers: 2\ntransport: xdp\n' | file_is_refused 2 "expected at least one of devices"
printf 'services:\n  - { name: a, address: "10.77.0.1:1", id: xsr }\n  - { name: b, address: "10.77.0.1:1", id: xsr }\n' |
	file_is_refused 3 "expected another"
printf 'services:\n  - name: a\n    address: nowhere\n    id: xsr\n' | file_is_refused 2 "nowhere"
printf 'services:\n  - { name: a, address: "10.77.0.1:1", id: "offset:0" }\n' | file_is_refused 2 "offset:0"
printf 'backends:\n  - { name: a, address: "10.77.0.1:1" }\n  - { name: a, address: "10.77.0.1:2" }\n' |
	file_is_refused 3 "expected another name"
printf 'services:\n  - { name: gw, protocol: tcp, address: "10.77.0.1:1", id: xsr, backends: [a] }\n' |
	file_is_refused 2 "\"a\" is not known; expected the name of one of backends"
printf 'services:\n  - { name: gw, protocol: tcp, address: "10.77.0.1:1", id: xsr }\n' |
	file_is_refused 2 "expected at least one"
printf 'backends: []\ndeadline: never\n' | file_is_refused 2 "deadline: \"never\"; expected a number of ms"
printf 'services: [\n' | file_is_refused 2 "not YAML"
try xsr run "$TMP/nosuch.yaml"
assert_eq "status" 1 "$STATUS"
assert_has "message" "$TMP/nosuch.yaml: No such file or directory" "$ERR"

step "a good file that cannot be served: nothing is left behind"
file_with | sed 's/xe0/nosuch/' >"$TMP/bad.yaml"
refused 1 "no device 'nosuch'" xsr run "$TMP/bad.yaml"
file_with | sed 's/^workers/handler: nosuch\n&/' >"$TMP/bad.yaml"
refused 1 "no handler 'nosuch'" xsr run "$TMP/bad.yaml"
file_with '{ name: byhand, address: "10.77.0.1:7001", id: "offset:0:1" }' >"$TMP/bad.yaml"
refused 1 "service 'byhand' exists with another protocol, address, rule, dense or node" xsr run "$TMP/bad.yaml"
file_with '{ name: other, address: "10.77.0.1:7000", id: "offset:0:1" }' >"$TMP/bad.yaml"
refused 1 "service 'other': another service has its address and port" xsr run "$TMP/bad.yaml"
assert_eq "services" "$SERVICES" "$(xsr service show)"
assert_eq "program on the device" "" "$(xdp_on xe0)"

step "SIGHUP under traffic: services are added, changed and deleted"
file_with '{ name: old, address: "10.77.0.1:5001", id: "offset:0:1", default: drop }' \
	'{ name: same, address: "10.77.0.1:5002", id: "offset:0:1", default: pass }' | router_start
done_quietly xsr route add same 0x41 worker 1
routes_import game 4
assert_eq "services" "byhand game old same" "$(service_names)"
routes=$(xsr route show)
load_start game 10.77.0.1:5000 --sessions 4 --sockets 4 --owners 2 --rate $RATE --seconds 300
file_with '{ name: new, address: "10.77.0.1:5003", id: "offset:0:1", default: drop }' \
	'{ name: same, address: "10.77.0.1:5002", id: "offset:0:1", default: drop }' |
	reload_says "services: 1 added, 1 changed, 1 deleted"
assert_eq "services" "byhand game new same" "$(service_names | xargs -n1 | sort | xargs)"
assert_has "the changed service" "default drop" "$(xsr service show same)"
assert_eq "routes" "$routes" "$(xsr route show)"
datagrams 3 10.77.0.1 5003 A
assert_eq "no_route_drop of the new service" 3 "$(service_counter new no_route_drop)"
datagrams 4 10.77.0.1 5002 B
assert_eq "no_route_drop of the changed service" 4 "$(service_counter same no_route_drop)"
before=$(counter no_service)
datagrams 5 10.77.0.1 5001 A
assert_ge "no_service, where the old one was" 5 $(($(counter no_service) - before))

step "SIGHUP: backends are added, changed and deleted, or all stay as they were"
backends_with() { # BACKEND...
	file_with '{ name: new, address: "10.77.0.1:5003", id: "offset:0:1", default: drop }' \
		'{ name: same, address: "10.77.0.1:5002", id: "offset:0:1", default: drop }'
	printf 'backends:\n'
	printf '  - %s\n' "$@"
}
done_quietly xsr backend add byhand 10.77.1.9:9000
backends_with '{ name: a, address: "10.77.1.1:9000" }' '{ name: b, address: "10.77.1.2:9000" }' |
	reload_says "backends: 2 added, 0 changed, 0 deleted"
assert_eq "backends" "byhand 10.77.1.9:9000 a 10.77.1.1:9000 b 10.77.1.2:9000" "$(xsr backend show | xargs)"
backends_with '{ name: a, address: "10.77.1.2:9000" }' '{ name: c, address: "10.77.1.1:9000" }' |
	reload_says "backends: 1 added, 1 changed, 1 deleted"
assert_eq "backends" "byhand 10.77.1.9:9000 a 10.77.1.2:9000 c 10.77.1.1:9000" "$(xsr backend show | xargs)"
backends_with '{ name: a, address: "10.77.1.9:9000" }' | reload_says "backends 'byhand' and 'a' have one address and port"
done_quietly xsr service add gw tcp 10.77.0.1:5009 id xsr backends a
backends_with '{ name: c, address: "10.77.1.1:9000" }' | reload_says "backend 'a' cannot go: service 'gw' names it"
assert_eq "backends" "byhand 10.77.1.9:9000 a 10.77.1.2:9000 services gw c 10.77.1.1:9000" "$(xsr backend show | xargs)"
done_quietly xsr service delete gw
file_with '{ name: new, address: "10.77.0.1:5003", id: "offset:0:1", default: drop }' \
	'{ name: same, address: "10.77.0.1:5002", id: "offset:0:1", default: drop }' |
	reload_says "backends: 0 added, 0 changed, 2 deleted"
done_quietly xsr backend delete byhand

step "SIGHUP with a bad file: what runs stays"
services=$(xsr service show | sed 's/ messages .*//')
printf 'devices: [xe0]\nworkers: lots\n' | reload_says "$TMP/router.yaml:2: "
assert_has "log" "the running configuration stays" "$(tail -1 "$TMP/router.log")"
WORKERS=1 file_with | reload_says "workers differs from what runs"
assert_has "log" "the running configuration stays" "$(tail -1 "$TMP/router.log")"
file_with '{ name: same, address: "10.77.0.1:5009", id: "offset:0:1" }' '{ name: x, address: "10.77.0.1:5010", id: xsr }' |
	reload_says "service 'same' exists with another protocol, address"
sed 's/^devices.*/devices: []/' "$TMP/router.yaml" | sed '/transport/d' | reload_says "differs from what runs"
rm "$TMP/router.yaml"
HAD=$(grep -c 'No such file' "$TMP/router.log")
kill -HUP "$ROUTER"
wait_until log_has_again "No such file" || wrong "SIGHUP without a file: $(<"$TMP/router.log")"
assert_eq "services" "$services" "$(xsr service show | sed 's/ messages .*//')"
load_stop game
assert_load_exact
assert_eq "route_worker" "$SENT" "$(service_counter game route_worker)"

step "a second router on the same instance is refused"
file_with '{ name: same, address: "10.77.0.1:5002", id: "offset:0:1", default: drop }' >"$TMP/router.yaml"
sed 's/default: drop/default: hash/' "$TMP/router.yaml" >"$TMP/second.yaml"
refused 1 "the instance is served by process $ROUTER already" xsr run "$TMP/second.yaml"
assert_eq "services" "$services" "$(xsr service show | sed 's/ messages .*//')"
load 10.77.0.1:5000 --sessions 4 --owners 2 --rate $RATE --seconds 0.3
assert_load_exact

step "SIGTERM under traffic: a quick end, the device as it was found"
load_start game 10.77.0.1:5000 --sessions 4 --rate $RATE --seconds 300
sleep 0.5
end_is_quick TERM
assert_eq "program on the device" "" "$(xdp_on xe0)"
load_stop game
assert_ge "answers before the end" 1 "$RECEIVED"
# Attached by hand before, so it stays.
try xsr net attach xe0
id=$(xdp_on xe0)
router_run
before=$(service_counter game worker_gone_drop)
load_start game 10.77.0.1:5000 --sessions 4 --rate $RATE --seconds 300
sleep 0.5
end_is_quick INT
assert_eq "program on the device" "$id" "$(xdp_on xe0)"
load_stop game
gone=$(($(service_counter game worker_gone_drop) - before))
assert_ge "messages that took the default when the router had ended" 1 $gone
assert_eq "workers that run" 0 "$(xsr --json worker show | grep -c '"running":true')"
assert_eq "every message up to the end is answered" "$RECEIVED" $((SENT - gone))
