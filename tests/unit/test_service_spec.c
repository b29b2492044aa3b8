/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* service_spec_parse(): an operator's words -> a service, or a sentence. */
#include <arpa/inet.h>
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>

#include "backend_spec.h"
#include "service_spec.h"

static const struct service_spec good = {
	.name = "game",
	.protocol = "udp",
	.address = "10.0.0.1:5000",
	.id = "offset:0:8",
};

static const char *backends[] = { "one", "two" };

static const struct service_spec good_tcp = {
	.name = "gw",
	.protocol = "tcp",
	.address = "10.0.0.1:7000",
	.id = "xsr",
	.backends = backends,
	.n_backends = 2,
};

static struct xsr_service parsed(const struct service_spec *spec)
{
	struct xsr_service service = {};
	char why[SERVICE_WHY_LEN];

	if (service_spec_parse(spec, &service, why))
		fail_msg("%s", why);
	return service;
}

/* The sentence must hold both words; the service must be as it was. */
static void expect_refusal(const struct service_spec *spec, const char *part, const char *expected)
{
	struct xsr_service service, before;
	char why[SERVICE_WHY_LEN] = "";

	memset(&service, 0x5a, sizeof(service));
	before = service;
	assert_int_equal(service_spec_parse(spec, &service, why), -EINVAL);
	if (!strstr(why, part) || !strstr(why, expected))
		fail_msg("\"%s\" holds not both %s and %s", why, part, expected);
	assert_memory_equal(&service, &before, sizeof(service));
}

static void name_refused(const char *name, const char *part, const char *expected)
{
	struct service_spec spec = good;

	spec.name = name;
	expect_refusal(&spec, part, expected);
}

static void address_refused(const char *address, const char *expected)
{
	struct service_spec spec = good;

	spec.address = address;
	expect_refusal(&spec, address ? address : "no address", expected);
}

static struct xsr_service address_parsed(const char *address)
{
	struct service_spec spec = good;

	spec.address = address;
	return parsed(&spec);
}

static void expect_address(const char *address, int flags, const char *shown)
{
	struct xsr_service service = address_parsed(address), again;
	char buf[SERVICE_ADDRESS_LEN];

	assert_int_equal(service.flags, flags);
	assert_string_equal(service_address(&service, buf), shown);
	again = address_parsed(buf);
	assert_memory_equal(&service, &again, sizeof(service));
}

static void words_that_are_not_given_have_their_defaults(void **state)
{
	struct xsr_service service = parsed(&good);

	(void)state;
	assert_string_equal(service.name, "game");
	assert_int_equal(service.proto, IPPROTO_UDP);
	assert_int_equal(service.port, htons(5000));
	assert_int_equal(service.addr[3], htonl(0x0a000001));
	assert_int_equal(service.addr[0] | service.addr[1] | service.addr[2], 0);
	assert_int_equal(service.flags, XSR_SERVICE_IPV4);
	assert_string_equal(service.rule, "offset:0:8");
	assert_int_equal(service.n_alternatives, 1);
	assert_int_equal(service.default_action, XSR_ACTION_PASS);
	assert_int_equal(service.stamp_interval, 0);
	assert_int_equal(service.dense_len, 0);
	assert_int_equal(service.node, 0);
}

static void every_word_is_taken(void **state)
{
	const struct service_spec spec = {
		.name = "Game_2-b",
		.protocol = "udp",
		.address = "[2001:db8::1]:65535",
		.id = "xsr",
		.default_action = "hash",
		.stamp = "16",
		.dense = "0x1000",
		.node = "7",
	};
	struct xsr_service service = parsed(&spec);

	(void)state;
	assert_string_equal(service.name, "Game_2-b");
	assert_int_equal(service.port, htons(65535));
	assert_int_equal(service.addr[0], htonl(0x20010db8));
	assert_int_equal(service.addr[3], htonl(1));
	assert_int_equal(service.flags, XSR_SERVICE_IPV6 | XSR_SERVICE_FRAMED);
	assert_int_equal(service.default_action, XSR_ACTION_HASH);
	assert_int_equal(service.stamp_interval, 16);
	assert_int_equal(service.dense_len, 4096);
	assert_int_equal(service.node, 7);
}

static void what_the_table_of_services_gives_stays(void **state)
{
	struct xsr_service service, expected;
	char why[SERVICE_WHY_LEN];

	(void)state;
	memset(&service, 0xff, sizeof(service));
	service.next = 9;
	service.dense_base = 4096;
	service.backends = 0x6;
	assert_int_equal(service_spec_parse(&good, &service, why), 0);
	expected = parsed(&good);
	expected.next = 9;
	expected.dense_base = 4096;
	expected.backends = 0x6;
	assert_memory_equal(&service, &expected, sizeof(service));
}

static void name_is_of_letters_digits_underscore_and_dash(void **state)
{
	struct service_spec spec = good;

	(void)state;
	spec.name = "abcxyzABCXYZ0189_-";
	assert_string_equal(parsed(&spec).name, spec.name);
	name_refused(NULL, "no name", "letters");
	name_refused("", "no name", "letters");
	name_refused("a b", "\"a b\"", "not a letter");
	name_refused("a.b", "\"a.b\"", "not a letter");
	name_refused("a/b", "\"a/b\"", "not a letter");
	name_refused("gr\xc3\xbcn", "\"gr\xc3\xbcn\"", "not a letter");
}

static void name_of_31_characters_fits(void **state)
{
	struct service_spec spec = good;

	(void)state;
	spec.name = "abcdefghijklmnopqrstuvwxyz01234";
	assert_string_equal(parsed(&spec).name, spec.name);
	name_refused("abcdefghijklmnopqrstuvwxyz012345", "32 characters", "at most 31");
}

static void protocol_is_udp_or_tcp(void **state)
{
	struct service_spec spec = good;

	(void)state;
	spec.protocol = NULL;
	expect_refusal(&spec, "no protocol", "expected udp or tcp");
	spec.protocol = "sctp";
	expect_refusal(&spec, "\"sctp\"", "expected udp or tcp");
	spec.protocol = "UDP";
	expect_refusal(&spec, "\"UDP\"", "expected udp or tcp");
	spec.protocol = "";
	expect_refusal(&spec, "\"\"", "expected udp or tcp");
}

static void address_comes_back_as_it_was(void **state)
{
	(void)state;
	expect_address("10.0.0.1:5000", XSR_SERVICE_IPV4, "10.0.0.1:5000");
	expect_address("255.255.255.255:1", XSR_SERVICE_IPV4, "255.255.255.255:1");
	expect_address("0.0.0.1:65535", XSR_SERVICE_IPV4, "0.0.0.1:65535");
	expect_address("[2001:db8::1]:53", XSR_SERVICE_IPV6, "[2001:db8::1]:53");
	expect_address("[2001:0DB8:0:0::0001]:53", XSR_SERVICE_IPV6, "[2001:db8::1]:53");
	expect_address("[::1]:53", XSR_SERVICE_IPV6, "[::1]:53");
	expect_address("[ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff]:65535", XSR_SERVICE_IPV6,
		       "[ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff]:65535");
	expect_address("10.0.0.1:0x10", XSR_SERVICE_IPV4, "10.0.0.1:16");
}

static void any_ipv4_address_is_0_0_0_0(void **state)
{
	(void)state;
	expect_address("0.0.0.0:5000", XSR_SERVICE_IPV4 | XSR_SERVICE_ANY, "0.0.0.0:5000");
}

static void any_address_of_both_families_is_two_colons(void **state)
{
	const int flags = XSR_SERVICE_IPV4 | XSR_SERVICE_IPV6 | XSR_SERVICE_ANY;

	(void)state;
	expect_address("[::]:53", flags, "[::]:53");
	expect_address("[0:0::0]:53", flags, "[::]:53");
}

static void address_needs_a_port(void **state)
{
	(void)state;
	address_refused(NULL, "expected ADDR:PORT or [ADDR6]:PORT");
	address_refused("", "expected ADDR:PORT");
	address_refused("10.0.0.1", "no port; expected ADDR:PORT");
	address_refused("[::1]", "no port; expected [ADDR]:PORT");
	address_refused("[::1]5000", "no port; expected [ADDR]:PORT");
	address_refused("[::1", "no port; expected [ADDR]:PORT");
	address_refused("10.0.0.1:", "port \"\" is not a number from 1 to 65535");
	address_refused("[::1]:", "port \"\" is not a number from 1 to 65535");
}

static void port_is_1_to_65535(void **state)
{
	static const char *const addresses[] = {
		"10.0.0.1:0",          "10.0.0.1:65536",
		"10.0.0.1:-1",         "10.0.0.1:+1",
		"10.0.0.1:dns",        "10.0.0.1: 5000",
		"10.0.0.1:5000 ",      "10.0.0.1:0x",
		"10.0.0.1:50.0",       "[::1]:0",
		"[::1]:65536",         "[::1]:0x10000",
		"10.0.0.1:4294967297", "[::1]:18446744073709551617",
	};
	unsigned int i;

	(void)state;
	for (i = 0; i < sizeof(addresses) / sizeof(addresses[0]); i++)
		address_refused(addresses[i], "is not a number from 1 to 65535");
}

static void host_names_are_not_resolved(void **state)
{
	(void)state;
	address_refused("localhost:5000",
			"\"localhost\" is not an IPv4 address; expected four numbers, no host name");
	address_refused("10.0.0:5000", "\"10.0.0\" is not an IPv4 address");
	address_refused("10.0.0.256:5000", "\"10.0.0.256\" is not an IPv4 address");
	address_refused(" 10.0.0.1:5000", "is not an IPv4 address");
	address_refused(":5000", "\"\" is not an IPv4 address");
	address_refused("[10.0.0.1]:5000", "\"10.0.0.1\" is not an IPv6 address");
	address_refused("[]:5000", "\"\" is not an IPv6 address");
	address_refused("[fe80::1%eth0]:5000", "is not an IPv6 address");
	address_refused("an-address-that-is-far-too-long-to-be-an-address:5000", "too long for an address");
	address_refused("[1:1:1:1:1:1:1:1:1:1:1:1:1:1:1:1:1:1:1:1:1:1:1:1]:5000", "too long for an address");
}

static void host_of_any_length_is_refused_within_its_buffer(void **state)
{
	char ipv4[128], ipv6[128];
	int len;

	(void)state;
	for (len = 0; len < 80; len++) {
		snprintf(ipv4, sizeof(ipv4), "%0*d:1", len + 1, 0);
		snprintf(ipv6, sizeof(ipv6), "[%0*d]:1", len + 1, 0);
		address_refused(ipv4, len + 1 < INET6_ADDRSTRLEN ? "is not an IPv4 address" : "too long");
		address_refused(ipv6, len + 1 < INET6_ADDRSTRLEN ? "is not an IPv6 address" : "too long");
	}
}

static void ipv6_address_stands_in_brackets(void **state)
{
	(void)state;
	address_refused("::1:5000", "stands in brackets; expected [ADDR]:PORT");
	address_refused("2001:db8::1:5000", "stands in brackets; expected [ADDR]:PORT");
}

/* No packet carries such an address: the service would never see one. */
static void mapped_ipv4_address_is_refused(void **state)
{
	(void)state;
	address_refused("[::ffff:10.0.0.1]:5000", "stands for an IPv4 address");
}

static void rule_is_needed_and_checked(void **state)
{
	struct service_spec spec = good;

	(void)state;
	spec.id = NULL;
	expect_refusal(&spec, "no rule", "expected a profile");
	spec.id = "offset:0:9";
	expect_refusal(&spec, "rule \"offset:0:9\"", "WIDTH \"9\" is not a number from 1 to 8");
}

static void default_action_is_pass_drop_or_hash(void **state)
{
	static const char *const bad[] = { "", "worker", "none", "Pass", "pass " };
	struct service_spec spec = good;
	unsigned int i;

	(void)state;
	spec.default_action = "pass";
	assert_int_equal(parsed(&spec).default_action, XSR_ACTION_PASS);
	spec.default_action = "drop";
	assert_int_equal(parsed(&spec).default_action, XSR_ACTION_DROP);
	spec.default_action = "hash";
	assert_int_equal(parsed(&spec).default_action, XSR_ACTION_HASH);
	for (i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		spec.default_action = bad[i];
		expect_refusal(&spec, bad[i], "expected pass, drop or hash");
	}
}

static void stamp_is_off_on_or_one_of_n(void **state)
{
	static const char *const bad[] = { "", "0", "1", "2147483649", "yes", "-2", "ON" };
	struct service_spec spec = good;
	unsigned int i;

	(void)state;
	spec.stamp = "off";
	assert_int_equal(parsed(&spec).stamp_interval, 0);
	spec.stamp = "on";
	assert_int_equal(parsed(&spec).stamp_interval, 1);
	spec.stamp = "2";
	assert_int_equal(parsed(&spec).stamp_interval, 2);
	spec.stamp = "2147483648";
	assert_int_equal(parsed(&spec).stamp_interval, 1u << 31);
	for (i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		spec.stamp = bad[i];
		expect_refusal(&spec, bad[i], "expected off, on or a number from 2 to 2147483648");
	}
}

static void dense_and_node_have_their_limits(void **state)
{
	struct service_spec spec = good;

	(void)state;
	spec.dense = "268435456";
	spec.node = "65535";
	assert_int_equal(parsed(&spec).dense_len, 1u << 28);
	assert_int_equal(parsed(&spec).node, 65535);
	spec.dense = "0";
	spec.node = "0";
	assert_int_equal(parsed(&spec).dense_len, 0);
	spec.dense = "268435457";
	expect_refusal(&spec, "dense \"268435457\"", "from 0 to 268435456");
	spec.dense = "many";
	expect_refusal(&spec, "dense \"many\"", "from 0 to 268435456");
	spec.dense = "16";
	spec.node = "65536";
	expect_refusal(&spec, "node \"65536\"", "from 0 to 65535");
	spec.node = "";
	expect_refusal(&spec, "node \"\"", "from 0 to 65535");
}

/* --- TCP --- */

static void a_tcp_service_has_its_defaults(void **state)
{
	struct xsr_service service = parsed(&good_tcp);

	(void)state;
	assert_int_equal(service.proto, IPPROTO_TCP);
	assert_int_equal(service.default_action, XSR_ACTION_HASH);
	assert_int_equal(service.mode, XSR_STREAM_EPOLL);
	assert_int_equal(service.frame_max, 65536);
	assert_int_equal(service.flags, XSR_SERVICE_IPV4 | XSR_SERVICE_FRAMED);
	assert_int_equal(service.backends, 0); /* names are the caller's to look up */
}

static void a_udp_service_has_no_mode(void **state)
{
	struct service_spec spec = good;

	(void)state;
	assert_int_equal(parsed(&good).mode, XSR_STREAM_NONE);
	assert_int_equal(parsed(&good).frame_max, 0);
	spec.mode = "epoll";
	expect_refusal(&spec, "mode \"epoll\"", "expected it with protocol tcp");
	spec = good;
	spec.frame_max = "65536";
	expect_refusal(&spec, "frame_max \"65536\"", "expected it with protocol tcp");
	spec = good;
	spec.backends = backends;
	spec.n_backends = 1;
	expect_refusal(&spec, "backends", "expected them with protocol tcp");
	spec = good;
	spec.id = "none";
	expect_refusal(&spec, "rule \"none\"", "expected a rule that finds them");
}

static void a_tcp_service_has_neither_pass_nor_stamps(void **state)
{
	struct service_spec spec = good_tcp;

	(void)state;
	spec.default_action = "pass";
	expect_refusal(&spec, "\"pass\"", "expected drop or hash");
	spec.default_action = "drop";
	assert_int_equal(parsed(&spec).default_action, XSR_ACTION_DROP);
	spec.stamp = "off";
	expect_refusal(&spec, "stamp \"off\"", "expected no stamp");
}

static void modes_that_move_frames_need_the_rule_xsr(void **state)
{
	static const char *const framed[] = { "epoll", "frames" };
	struct service_spec spec = good_tcp;
	unsigned int i;

	(void)state;
	for (i = 0; i < 2; i++) {
		spec = good_tcp;
		spec.mode = framed[i];
		assert_int_equal(parsed(&spec).mode, XSR_STREAM_EPOLL + i);
		spec.id = "none";
		expect_refusal(&spec, framed[i], "expected id xsr");
		spec.id = "offset:0:8";
		expect_refusal(&spec, framed[i], "expected id xsr");
	}
	spec.mode = NULL;
	spec.id = "none";
	expect_refusal(&spec, "mode \"epoll\"", "expected id xsr");
}

static void modes_that_move_bytes_need_the_rule_none(void **state)
{
	static const char *const plain[] = { "splice", "relay", "local" };
	struct service_spec spec = good_tcp;
	unsigned int i;

	(void)state;
	for (i = 0; i < 3; i++) {
		spec = good_tcp;
		spec.mode = plain[i];
		expect_refusal(&spec, plain[i], "expected id none");
		spec.id = "none";
		spec.n_backends = i < 2 ? 2 : 0;
		spec.cgroup = i < 2 ? NULL : "/sys/fs/cgroup";
		assert_int_equal(parsed(&spec).mode, XSR_STREAM_SPLICE + i);
		assert_int_equal(parsed(&spec).n_alternatives, 0);
		assert_int_equal(parsed(&spec).frame_max, 0);
		spec.frame_max = "100";
		expect_refusal(&spec, "frame_max \"100\"", "has no frames");
		spec.frame_max = NULL;
		spec.dense = "16";
		expect_refusal(&spec, "dense \"16\"", "expected 0");
	}
}

static void an_unknown_mode_is_refused_with_the_known_ones(void **state)
{
	static const char *const bad[] = { "", "auto", "none", "Epoll", "sockmap" };
	struct service_spec spec = good_tcp;
	unsigned int i;

	(void)state;
	for (i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		spec.mode = bad[i];
		expect_refusal(&spec, bad[i], "expected epoll, frames, splice, relay or local");
	}
}

static void a_tcp_service_has_backends_but_for_a_local_one(void **state)
{
	const char *twice[] = { "one", "two", "one" };
	struct service_spec spec = good_tcp;

	(void)state;
	spec.n_backends = 0;
	expect_refusal(&spec, "no backends", "expected at least one");
	spec.backends = twice;
	spec.n_backends = 3;
	expect_refusal(&spec, "\"one\" a second time", "expected each once");
	spec = good_tcp;
	spec.id = "none";
	spec.mode = "local";
	expect_refusal(&spec, "mode local", "expected none");
}

static void mode_local_alone_has_a_cgroup(void **state)
{
	char longest[SERVICE_CGROUP_LEN + 1];
	struct service_spec spec = good_tcp;

	(void)state;
	spec.cgroup = "/sys/fs/cgroup";
	expect_refusal(&spec, "cgroup \"/sys/fs/cgroup\"", "expected none");
	spec.id = "none";
	spec.mode = "local";
	spec.n_backends = 0;
	assert_int_equal(parsed(&spec).mode, XSR_STREAM_LOCAL);
	spec.cgroup = NULL;
	expect_refusal(&spec, "mode local", "expected cgroup");
	spec.cgroup = "system.slice";
	expect_refusal(&spec, "is no path", "from the root on");
	spec.cgroup = "";
	expect_refusal(&spec, "is no path", "from the root on");
	memset(longest, '/', sizeof(longest));
	longest[SERVICE_CGROUP_LEN] = 0;
	spec.cgroup = longest;
	expect_refusal(&spec, "is no path", "at most 255 characters");
	longest[SERVICE_CGROUP_LEN - 1] = 0;
	parsed(&spec);
}

static void frame_max_is_20_to_a_mebibyte(void **state)
{
	static const char *const bad[] = { "19", "0", "1048577", "64k", "" };
	struct service_spec spec = good_tcp;
	unsigned int i;

	(void)state;
	spec.frame_max = "20";
	assert_int_equal(parsed(&spec).frame_max, 20);
	spec.frame_max = "0x100000";
	assert_int_equal(parsed(&spec).frame_max, 1048576);
	for (i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		spec.frame_max = bad[i];
		expect_refusal(&spec, "frame_max", "from 20 to 1048576");
	}
}

/* --- backends --- */

static void backend_refused(const char *name, const char *address, const char *part, const char *expected)
{
	struct xsr_backend backend, before;
	char why[SERVICE_WHY_LEN] = "";

	memset(&backend, 0x5a, sizeof(backend));
	before = backend;
	assert_int_equal(backend_spec_parse(&(struct backend_spec){ name, address }, &backend, why), -EINVAL);
	if (!strstr(why, part) || !strstr(why, expected))
		fail_msg("\"%s\" holds not both %s and %s", why, part, expected);
	assert_memory_equal(&backend, &before, sizeof(backend));
}

static void backend_accepted(const char *address, int family)
{
	char why[SERVICE_WHY_LEN], buf[SERVICE_ADDRESS_LEN];
	struct xsr_backend backend;

	memset(&backend, 0x5a, sizeof(backend));
	if (backend_spec_parse(&(struct backend_spec){ "one", address }, &backend, why))
		fail_msg("%s", why);
	assert_string_equal(backend.name, "one");
	assert_int_equal(backend.family, family);
	assert_string_equal(backend_address(&backend, buf), address);
}

static void a_backend_is_a_name_and_the_address_of_one_host(void **state)
{
	(void)state;
	backend_accepted("10.0.0.1:9000", 4);
	backend_accepted("[2001:db8::1]:65535", 6);
	backend_refused(NULL, "10.0.0.1:9000", "the backend has no name", "letters");
	backend_refused("one", NULL, "the backend has no address", "expected ADDR:PORT");
	backend_refused("a b", "10.0.0.1:9000", "\"a b\"", "not a letter");
	backend_refused("one", "0.0.0.0:9000", "\"0.0.0.0:9000\"", "expected that of one host");
	backend_refused("one", "[::]:9000", "\"[::]:9000\"", "expected that of one host");
	backend_refused("one", "localhost:9000", "\"localhost\"", "no host name");
	backend_refused("one", "10.0.0.1", "\"10.0.0.1\"", "has no port");
}

/* Whatever is wrong, the sentence ends within its buffer. */
static void words_without_end_are_cut_in_the_sentence(void **state)
{
	static char endless[4000];
	struct service_spec spec;
	size_t i;

	(void)state;
	memset(endless, 'a', sizeof(endless) - 1);
	for (i = 0; i < offsetof(struct service_spec, backends) / sizeof(char *) * 2; i++) {
		struct xsr_service service = {};
		char why[SERVICE_WHY_LEN];

		spec = i % 2 ? good_tcp : good;
		((const char **)&spec)[i / 2] = endless;
		assert_int_equal(service_spec_parse(&spec, &service, why), -EINVAL);
		assert_true(strlen(why) > 20 && strlen(why) < SERVICE_WHY_LEN);
	}
}

static void expect_number(const char *text, uint64_t max, int result, uint64_t value)
{
	uint64_t number = 4711;
	int ret = number_parse(text, max, &number);

	if (ret != result || number != (result ? 4711 : value))
		fail_msg("\"%s\": %d and %ju", text, ret, (uintmax_t)number);
}

static void number_is_decimal_or_hex(void **state)
{
	(void)state;
	expect_number("0", 0, 0, 0);
	expect_number("42", 100, 0, 42);
	expect_number("0042", 100, 0, 42); /* not octal */
	expect_number("0x2a", 100, 0, 42);
	expect_number("0x2A", 100, 0, 42);
	expect_number("0x0123456789abcdef", UINT64_MAX, 0, 0x0123456789abcdef);
	expect_number("0xFEDCBA9876543210", UINT64_MAX, 0, 0xfedcba9876543210);
	expect_number("0x0", 100, 0, 0);
	expect_number("18446744073709551615", UINT64_MAX, 0, UINT64_MAX);
	expect_number("0xffffffffffffffff", UINT64_MAX, 0, UINT64_MAX);
	expect_number("0x000000000000000000001", UINT64_MAX, 0, 1);
}

static void number_with_anything_else_is_none(void **state)
{
	static const char *const bad[] = { "",    " 1",   "1 ",  "+1",  "-1",  "0x",
					   "0X1", "x1",   "1.0", "1e3", "a",   "f",
					   "0xg", "0x-1", "1k",  "1\n", "0b1", "99999999999999999999999x" };
	unsigned int i;

	(void)state;
	for (i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		expect_number(bad[i], UINT64_MAX, -EINVAL, 0);
}

static void no_other_character_is_a_digit(void **state)
{
	char decimal[] = "1?", hex[] = "0x1?";
	int c;

	(void)state;
	for (c = 1; c < 256; c++) {
		decimal[1] = c;
		hex[3] = c;
		if (!strchr("0123456789", c))
			expect_number(decimal, UINT64_MAX, -EINVAL, 0);
		if (!strchr("0123456789abcdefABCDEF", c))
			expect_number(hex, UINT64_MAX, -EINVAL, 0);
	}
}

static void number_above_its_limit_is_out_of_range(void **state)
{
	(void)state;
	expect_number("100", 100, 0, 100);
	expect_number("101", 100, -ERANGE, 0);
	expect_number("0x65", 100, -ERANGE, 0);
	expect_number("18446744073709551616", UINT64_MAX, -ERANGE, 0);
	expect_number("18446744073709551620", UINT64_MAX, -ERANGE, 0);
	expect_number("0x10000000000000000", UINT64_MAX, -ERANGE, 0);
	expect_number("99999999999999999999999999", UINT64_MAX, -ERANGE, 0);
	expect_number("340282366920938463463374607431768211456", UINT64_MAX, -ERANGE, 0); /* 2^128 */
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(words_that_are_not_given_have_their_defaults),
		cmocka_unit_test(every_word_is_taken),
		cmocka_unit_test(what_the_table_of_services_gives_stays),
		cmocka_unit_test(name_is_of_letters_digits_underscore_and_dash),
		cmocka_unit_test(name_of_31_characters_fits),
		cmocka_unit_test(protocol_is_udp_or_tcp),
		cmocka_unit_test(address_comes_back_as_it_was),
		cmocka_unit_test(any_ipv4_address_is_0_0_0_0),
		cmocka_unit_test(any_address_of_both_families_is_two_colons),
		cmocka_unit_test(address_needs_a_port),
		cmocka_unit_test(port_is_1_to_65535),
		cmocka_unit_test(host_names_are_not_resolved),
		cmocka_unit_test(host_of_any_length_is_refused_within_its_buffer),
		cmocka_unit_test(ipv6_address_stands_in_brackets),
		cmocka_unit_test(mapped_ipv4_address_is_refused),
		cmocka_unit_test(rule_is_needed_and_checked),
		cmocka_unit_test(default_action_is_pass_drop_or_hash),
		cmocka_unit_test(stamp_is_off_on_or_one_of_n),
		cmocka_unit_test(dense_and_node_have_their_limits),
		cmocka_unit_test(a_tcp_service_has_its_defaults),
		cmocka_unit_test(a_udp_service_has_no_mode),
		cmocka_unit_test(a_tcp_service_has_neither_pass_nor_stamps),
		cmocka_unit_test(modes_that_move_frames_need_the_rule_xsr),
		cmocka_unit_test(modes_that_move_bytes_need_the_rule_none),
		cmocka_unit_test(an_unknown_mode_is_refused_with_the_known_ones),
		cmocka_unit_test(a_tcp_service_has_backends_but_for_a_local_one),
		cmocka_unit_test(mode_local_alone_has_a_cgroup),
		cmocka_unit_test(frame_max_is_20_to_a_mebibyte),
		cmocka_unit_test(a_backend_is_a_name_and_the_address_of_one_host),
		cmocka_unit_test(words_without_end_are_cut_in_the_sentence),
		cmocka_unit_test(number_is_decimal_or_hex),
		cmocka_unit_test(number_with_anything_else_is_none),
		cmocka_unit_test(no_other_character_is_a_digit),
		cmocka_unit_test(number_above_its_limit_is_out_of_range),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
