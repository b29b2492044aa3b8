#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
# A TCP service in each mode: every request is answered by its own bytes, once and in order, and what is said of the mode is
# true. Where the kernel cannot, the service is served without it, and says why; --require-mode refuses that.
. "$(dirname "$0")/lib.sh"

MODES=(epoll frames relay splice)

mode_of() { # SERVICE -> the active mode
	[[ $(xsr --json service show "$1") =~ \"mode_active\":\"([a-z]+)\" ]] && say "${BASH_REMATCH[1]}" || say none
}

why_of() { # SERVICE -> why it is not the one that was wished for
	[[ $(xsr --json service show "$1") =~ \"mode_why\":\"([^\"]*)\" ]] && say "${BASH_REMATCH[1]}" || say ""
}

config() { # MODE...
	local mode port=6000
	cat <<-YAML
		handler: gateway
		workers: 2
		deadline: $((1000 * SLOWER))
		backends:
		  - { name: one, address: "127.0.0.1:7001" }
		  - { name: two, address: "127.0.0.1:7002" }
		services:
	YAML
	for mode; do
		port=$((port + 1))
		[ "$mode" = epoll ] || [ "$mode" = frames ] && id=xsr || id=none
		echo "  - { name: $mode, protocol: tcp, address: \"10.77.0.1:$port\", id: $id, mode: $mode, backends: [one, two] }"
	done
}

assert_not_trusted() { # WHY
	local mode
	assert_eq "instead of frames" epoll "$(mode_of frames)"
	assert_eq "instead of splice" relay "$(mode_of splice)"
	for mode in frames splice; do
		[ $mode != frames ] || kernel_can_frames || continue
		assert_has "the reason" "$1" "$(why_of $mode)"
		assert_has "the log" "service '$mode': mode $mode is not to be had, it is served otherwise: $1" "$(<"$TMP/router.log")"
	done
}

# A loopback that lets nothing long pass: there the test at the start fails, as it does on a kernel that loses bytes.
wrong_kernel() {
	local mode port=6000
	step "a kernel that does not move bytes rightly is not trusted"
	server tc qdisc add dev lo root tbf rate 1mbit burst 5000 limit 20000 || fail "no shaping of lo"
	exchange_start one 127.0.0.1:7001
	exchange_start two 127.0.0.1:7002
	config "${MODES[@]}" | router_start
	assert_not_trusted "self-test: bytes that programs redirect do not arrive on this kernel"
	for mode in "${MODES[@]}"; do
		port=$((port + 1))
		tcp_load 10.77.0.1:$port --connections 2 --messages 20 --window 1
		assert_tcp_load_exact
	done
	router_stop
	exchanges_stop
	server tc qdisc del dev lo root
}

no_loopback() {
	step "without a loopback"
	ip -n $SERVER link set lo down
	config "${MODES[@]}" | router_start
	assert_not_trusted "cannot connect to this host itself"
	router_stop
	ip -n $SERVER link set lo up
}

hosts_make
step "every mode"
exchange_start one 127.0.0.1:7001
exchange_start two 127.0.0.1:7002
config "${MODES[@]}" | router_start
port=6000
for mode in "${MODES[@]}"; do
	port=$((port + 1))
	step "mode $mode"
	expected=$mode
	if [ $mode = frames ] && ! kernel_can_frames; then
		expected=epoll
		assert_has "the reason" "6.2" "$(why_of frames)"
		assert_has "the log" "service 'frames': mode frames is not to be had" "$(<"$TMP/router.log")"
	else
		assert_eq "the reason" "" "$(why_of $mode)"
	fi
	assert_eq "mode_active" $expected "$(mode_of $mode)"
	wait_until test "$(service_counter $mode backends)" -ge 0
	tcp_load 10.77.0.1:$port --connections 20 --sessions 20 --size 64 --size-max 40000 --window 8 \
		--messages $((20000 / SLOWER)) --cut --seed 7
	assert_tcp_load_exact
	say "    $(json_number answered_per_s "$LOAD") answers/s"
done
router_stop
exchange_stop one
exchange_stop two

step "--require-mode"
config "${MODES[@]}" >"$TMP/router.yaml"
if kernel_can_frames; then
	timeout 2 nsenter --net=$SERVER_NET "$XSR" --name $NAME run --require-mode "$TMP/router.yaml" 2>"$TMP/required.log"
	assert_eq "exit status after 2 s" 124 $?
else
	refused 1 "service 'frames': mode frames is required" xsr run --require-mode "$TMP/router.yaml"
fi

wrong_kernel
no_loopback
