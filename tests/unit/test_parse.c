/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* parse.h: every shape of frame at every length that it may be cut to. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "packet.h"
#include "parse.h"

#define SPORT 40000
#define DPORT 5000

static const __u8 payload[] = "twenty-one bytes long";
#define PAYLOAD_LEN 21

static int frame_parse(__u8 *frame, size_t len, struct datagram *d)
{
	struct cursor c = { frame, frame + len };

	return parse_datagram(&c, d);
}

/* A result must be right, and of a datagram everything that is known of it. */
static void expect_datagram(const struct packet *p, const __u8 *frame, size_t len, const struct datagram *d)
{
	assert_int_equal(d->family, p->family);
	assert_ptr_equal(d->payload, frame + p->payload_at);
	assert_ptr_equal(d->end, frame + len);
	assert_int_equal(d->len, p->end - p->payload_at);
	assert_int_equal(be16_to_host(d->sport), SPORT);
	assert_int_equal(be16_to_host(d->dport), DPORT);
	if (p->family == 4) {
		assert_ptr_equal(d->saddr, frame + p->network_at + offsetof(struct iphdr, saddr));
		assert_ptr_equal(d->daddr, frame + p->network_at + offsetof(struct iphdr, daddr));
	} else {
		assert_ptr_equal(d->saddr, frame + p->network_at + offsetof(struct ipv6hdr, saddr));
		assert_ptr_equal(d->daddr, frame + p->network_at + offsetof(struct ipv6hdr, daddr));
	}
}

static void expect(const struct packet *p, size_t len, int result)
{
	__u8 *frame = frame_copy(p->data, len);
	struct datagram d = {};
	int ret = frame_parse(frame, len, &d);

	if (ret != result)
		fail_msg("cut to %zu of %zu bytes: result %d, expected %d", len, p->len, ret, result);
	if (ret == 0)
		expect_datagram(p, frame, len, &d);
	frame_free(frame);
}

/*
 * The frame is cut to every length. Within Ethernet and its tags that is
 * noticed there, up to the IP datagram's end by the IP header's length.
 */
static void expect_at_every_length(const struct packet *p, int result)
{
	int cut_in_ip = p->family == 4 ? -XSR_STAT_BAD_IPV4 : -XSR_STAT_BAD_IPV6;
	size_t ip_end = p->family ? p->end : p->network_at;
	size_t len;

	for (len = 0; len < p->network_at; len++)
		expect(p, len, -XSR_STAT_BAD_ETHERNET);
	for (; len < ip_end; len++)
		expect(p, len, cut_in_ip);
	for (; len <= p->len; len++)
		expect(p, len, result);
}

static void packet_end(struct packet *p)
{
	packet_udp(p, SPORT, DPORT);
	packet_add(p, payload, PAYLOAD_LEN);
	packet_finish(p);
}

/* --- what is a datagram --- */

static void ipv4_datagram_is_found(void **state)
{
	struct packet p = {};

	(void)state;
	packet_ethernet(&p);
	packet_ipv4(&p, 0);
	packet_end(&p);
	expect_at_every_length(&p, 0);
}

static void ipv4_addresses_are_those_of_the_header(void **state)
{
	struct packet p = {};
	struct datagram d = {};

	(void)state;
	packet_make_udp4(&p, DPORT, payload, PAYLOAD_LEN);
	assert_int_equal(frame_parse(p.data, p.len, &d), 0);
	assert_int_equal(d.saddr[0], htobe32(PACKET_SADDR));
	assert_int_equal(d.daddr[0], htobe32(PACKET_DADDR));
	assert_memory_equal(d.payload, payload, PAYLOAD_LEN);
}

static void ipv6_datagram_is_found(void **state)
{
	struct packet p = {};

	(void)state;
	packet_ethernet(&p);
	packet_ipv6(&p);
	packet_end(&p);
	expect_at_every_length(&p, 0);
}

static void datagram_without_payload_is_found(void **state)
{
	struct packet p4 = {}, p6 = {};

	(void)state;
	packet_ethernet(&p4);
	packet_ipv4(&p4, 0);
	packet_udp(&p4, SPORT, DPORT);
	packet_finish(&p4);
	expect_at_every_length(&p4, 0);
	packet_ethernet(&p6);
	packet_ipv6(&p6);
	packet_udp(&p6, SPORT, DPORT);
	packet_finish(&p6);
	expect_at_every_length(&p6, 0);
}

static void one_vlan_tag_is_passed_over(void **state)
{
	static const __u16 tpids[] = { ETH_P_8021Q, ETH_P_8021AD };
	unsigned int i;

	(void)state;
	for (i = 0; i < 2; i++) {
		struct packet p = {};

		packet_ethernet(&p);
		packet_vlan(&p, tpids[i]);
		packet_ipv4(&p, 0);
		packet_end(&p);
		expect_at_every_length(&p, 0);
	}
}

static void two_vlan_tags_are_passed_over(void **state)
{
	struct packet p4 = {}, p6 = {};

	(void)state;
	packet_ethernet(&p4);
	packet_vlan(&p4, ETH_P_8021AD);
	packet_vlan(&p4, ETH_P_8021Q);
	packet_ipv4(&p4, 0);
	packet_end(&p4);
	expect_at_every_length(&p4, 0);
	packet_ethernet(&p6);
	packet_vlan(&p6, ETH_P_8021AD);
	packet_vlan(&p6, ETH_P_8021Q);
	packet_ipv6(&p6);
	packet_end(&p6);
	expect_at_every_length(&p6, 0);
}

static void ipv4_options_are_passed_over(void **state)
{
	size_t options_len;

	(void)state;
	for (options_len = 4; options_len <= 40; options_len += 4) {
		struct packet p = {};

		packet_ethernet(&p);
		packet_ipv4(&p, options_len);
		packet_end(&p);
		expect_at_every_length(&p, 0);
	}
}

static void each_ipv6_extension_is_passed_over(void **state)
{
	static const struct {
		__u8 proto;
		size_t len;
	} extensions[] = {
		{ IPPROTO_HOPOPTS, 8 },  { IPPROTO_HOPOPTS, 64 }, { IPPROTO_ROUTING, 8 },
		{ IPPROTO_ROUTING, 24 }, { IPPROTO_DSTOPTS, 16 }, { IPPROTO_AH, 8 },
		{ IPPROTO_AH, 12 },      { IPPROTO_AH, 24 },      { IPPROTO_DSTOPTS, 2048 },
	};
	unsigned int i;

	(void)state;
	for (i = 0; i < sizeof(extensions) / sizeof(extensions[0]); i++) {
		struct packet p = {};

		packet_ethernet(&p);
		packet_ipv6(&p);
		packet_extension(&p, extensions[i].proto, extensions[i].len);
		packet_end(&p);
		expect_at_every_length(&p, 0);
	}
}

static void chain_of_ipv6_extensions_is_passed_over(void **state)
{
	struct packet p = {};

	(void)state;
	packet_ethernet(&p);
	packet_ipv6(&p);
	packet_extension(&p, IPPROTO_HOPOPTS, 8);
	packet_extension(&p, IPPROTO_DSTOPTS, 16);
	packet_extension(&p, IPPROTO_ROUTING, 24);
	packet_extension(&p, IPPROTO_AH, 24);
	packet_extension(&p, IPPROTO_DSTOPTS, 8);
	packet_end(&p);
	expect_at_every_length(&p, 0);
}

static void padding_is_not_payload(void **state)
{
	struct packet p4 = {}, p6 = {};

	(void)state;
	packet_make_udp4(&p4, DPORT, payload, 3);
	packet_pad(&p4, 15);
	expect_at_every_length(&p4, 0);
	packet_make_udp6(&p6, DPORT, payload, 3);
	packet_pad(&p6, 15);
	expect_at_every_length(&p6, 0);
}

static void udp_may_end_before_the_ip_datagram(void **state)
{
	struct packet p = {};

	(void)state;
	packet_make_udp4(&p, DPORT, payload, PAYLOAD_LEN);
	packet_udp_header(&p)->len = htobe16(8 + 5);
	p.end = p.payload_at + 5; /* of the payload, as expect_datagram() computes its length */
	expect(&p, p.len, 0);
}

/* --- what is none --- */

static void fragments_are_left_alone(void **state)
{
	/* the first, one in the middle, the last, the farthest */
	static const __u16 fragments[] = { 0x2000, 0x2010, 0x0010, 0x1fff };
	unsigned int i;

	(void)state;
	for (i = 0; i < 4; i++) {
		struct packet p = {};

		packet_ethernet(&p);
		packet_ipv4(&p, 0);
		packet_end(&p);
		packet_ip(&p)->frag_off = htobe16(fragments[i]);
		expect_at_every_length(&p, -XSR_STAT_FRAGMENT);
	}
}

static void ipv4_that_may_not_be_fragmented_is_no_fragment(void **state)
{
	struct packet p = {};

	(void)state;
	packet_make_udp4(&p, DPORT, payload, PAYLOAD_LEN);
	packet_ip(&p)->frag_off = htobe16(0x4000); /* DF */
	expect(&p, p.len, 0);
	packet_ip(&p)->frag_off = htobe16(0x8000); /* the reserved bit */
	expect(&p, p.len, 0);
}

static void ipv6_fragments_are_left_alone(void **state)
{
	static const __u16 fragments[] = { 0x0001, 0x0081, 0x0080 };
	unsigned int i;

	(void)state;
	for (i = 0; i < 3; i++) {
		struct packet p = {};
		__u16 fragment = htobe16(fragments[i]);

		packet_ethernet(&p);
		packet_ipv6(&p);
		memcpy(packet_extension(&p, IPPROTO_FRAGMENT, 8) + 2, &fragment, 2);
		packet_end(&p);
		expect_at_every_length(&p, -XSR_STAT_FRAGMENT);
	}
}

static void ipv6_fragment_behind_an_extension_is_left_alone(void **state)
{
	struct packet p = {};

	(void)state;
	packet_ethernet(&p);
	packet_ipv6(&p);
	packet_extension(&p, IPPROTO_HOPOPTS, 8);
	packet_extension(&p, IPPROTO_ROUTING, 8);
	packet_extension(&p, IPPROTO_FRAGMENT, 8);
	packet_end(&p);
	expect_at_every_length(&p, -XSR_STAT_FRAGMENT);
}

static void third_vlan_tag_is_not_ip(void **state)
{
	struct packet p = {};

	(void)state;
	packet_ethernet(&p);
	packet_vlan(&p, ETH_P_8021AD);
	packet_vlan(&p, ETH_P_8021Q);
	p.family = 0;
	packet_name_next(&p, ETH_P_8021Q);
	packet_add(&p, "\0\0\x08\0four", 8);
	packet_finish(&p);
	expect_at_every_length(&p, -XSR_STAT_NOT_IP);
}

static void arp_is_not_ip(void **state)
{
	struct packet p = {};

	(void)state;
	packet_ethernet(&p);
	packet_name_next(&p, ETH_P_ARP);
	packet_add(&p, "\0\x01\x08\0\x06\x04\0\x01", 8);
	packet_pad(&p, 38);
	expect_at_every_length(&p, -XSR_STAT_NOT_IP);
}

static void every_other_protocol_is_not_udp(void **state)
{
	int proto;

	(void)state;
	for (proto = 0; proto < 256; proto++) {
		struct packet p = {};

		if (proto == IPPROTO_UDP)
			continue;
		packet_make_udp4(&p, DPORT, payload, PAYLOAD_LEN);
		packet_ip(&p)->protocol = proto;
		expect(&p, p.len, -XSR_STAT_NOT_UDP);
	}
}

static bool is_extension(int proto)
{
	return proto == IPPROTO_HOPOPTS || proto == IPPROTO_ROUTING || proto == IPPROTO_DSTOPTS ||
	       proto == IPPROTO_AH || proto == IPPROTO_FRAGMENT;
}

static void every_other_ipv6_protocol_is_not_udp(void **state)
{
	int proto;

	(void)state;
	for (proto = 0; proto < 256; proto++) {
		struct packet p = {};

		if (proto == IPPROTO_UDP || is_extension(proto))
			continue;
		packet_make_udp6(&p, DPORT, payload, PAYLOAD_LEN);
		packet_ip6(&p)->nexthdr = proto;
		expect(&p, p.len, -XSR_STAT_NOT_UDP);
	}
}

static void too_many_ipv6_extensions_are_not_read(void **state)
{
	int n, i;

	(void)state;
	for (n = PARSE_EXTENSION_MAX - 1; n <= PARSE_EXTENSION_MAX + 1; n++) {
		struct packet p = {};

		packet_ethernet(&p);
		packet_ipv6(&p);
		for (i = 0; i < n; i++)
			packet_extension(&p, IPPROTO_DSTOPTS, 8);
		packet_end(&p);
		expect_at_every_length(&p, n < PARSE_EXTENSION_MAX ? 0 : -XSR_STAT_TOO_MANY_HEADERS);
	}
}

/* --- what lies --- */

static void wrong_ipv4_version_is_refused(void **state)
{
	int version;

	(void)state;
	for (version = 0; version < 16; version++) {
		struct packet p = {};

		packet_make_udp4(&p, DPORT, payload, PAYLOAD_LEN);
		packet_ip(&p)->version = version;
		expect(&p, p.len, version == 4 ? 0 : -XSR_STAT_BAD_IPV4);
	}
}

static void wrong_ipv6_version_is_refused(void **state)
{
	int version;

	(void)state;
	for (version = 0; version < 16; version++) {
		struct packet p = {};

		packet_make_udp6(&p, DPORT, payload, PAYLOAD_LEN);
		packet_ip6(&p)->version = version;
		expect(&p, p.len, version == 6 ? 0 : -XSR_STAT_BAD_IPV6);
	}
}

static void short_ihl_is_refused(void **state)
{
	int ihl;

	(void)state;
	for (ihl = 0; ihl < 5; ihl++) {
		struct packet p = {};

		packet_make_udp4(&p, DPORT, payload, PAYLOAD_LEN);
		packet_ip(&p)->ihl = ihl;
		expect_at_every_length(&p, -XSR_STAT_BAD_IPV4);
	}
}

static void ihl_beyond_the_datagram_is_refused(void **state)
{
	int ihl;

	(void)state;
	for (ihl = 6; ihl < 16; ihl++) {
		struct packet p = {};

		packet_ethernet(&p);
		packet_ipv4(&p, 0);
		packet_finish(&p);
		packet_ip(&p)->ihl = ihl;
		packet_pad(&p, 40); /* the bytes are there, but not the datagram's */
		expect(&p, p.len, -XSR_STAT_BAD_IPV4);
		expect(&p, p.end, -XSR_STAT_BAD_IPV4);
	}
}

static void every_total_length_is_checked(void **state)
{
	struct packet p = {};
	size_t ip_len, total_len;

	(void)state;
	packet_make_udp4(&p, DPORT, payload, PAYLOAD_LEN);
	ip_len = p.end - p.network_at;
	for (total_len = 0; total_len <= 65535; total_len++) {
		int result = -XSR_STAT_BAD_IPV4;

		packet_ip(&p)->tot_len = htobe16(total_len);
		if (total_len >= 20 && total_len < ip_len)
			result = -XSR_STAT_BAD_UDP; /* as UDP's own length is longer */
		expect(&p, p.len, total_len == ip_len ? 0 : result);
	}
}

static void every_ipv6_payload_length_is_checked(void **state)
{
	struct packet p = {};
	size_t right_len, len;

	(void)state;
	packet_make_udp6(&p, DPORT, payload, PAYLOAD_LEN);
	right_len = p.end - p.network_at - 40;
	for (len = 0; len <= 65535; len++) {
		int result = len < right_len ? -XSR_STAT_BAD_UDP : -XSR_STAT_BAD_IPV6;

		packet_ip6(&p)->payload_len = htobe16(len);
		expect(&p, p.len, len == right_len ? 0 : result);
	}
}

/* Of a finished frame; padding is behind it, into which no length may reach. */
static void expect_udp_length_checked(struct packet *p)
{
	size_t len;

	packet_pad(p, 100);
	for (len = 0; len <= 65535; len++) {
		bool right = len >= 8 && len <= 8 + PAYLOAD_LEN;

		packet_udp_header(p)->len = htobe16(len);
		p->end = p->payload_at + len - 8;
		expect(p, p->len, right ? 0 : -XSR_STAT_BAD_UDP);
	}
}

static void every_udp_length_is_checked(void **state)
{
	struct packet plain = {}, options = {}, extensions = {};

	(void)state;
	packet_make_udp4(&plain, DPORT, payload, PAYLOAD_LEN);
	expect_udp_length_checked(&plain);
	packet_ethernet(&options);
	packet_ipv4(&options, 12);
	packet_end(&options);
	expect_udp_length_checked(&options);
	packet_ethernet(&extensions);
	packet_ipv6(&extensions);
	packet_extension(&extensions, IPPROTO_HOPOPTS, 16);
	packet_extension(&extensions, IPPROTO_AH, 24);
	packet_end(&extensions);
	expect_udp_length_checked(&extensions);
}

static void cut_off_udp_header_is_refused(void **state)
{
	size_t len;

	(void)state;
	for (len = 0; len < 8; len++) {
		struct packet p = {};

		packet_ethernet(&p);
		packet_ipv4(&p, 0);
		packet_name_next(&p, IPPROTO_UDP);
		packet_add(&p, "\x9c\x40\x13\x88\0\x08\0\0", len);
		packet_finish(&p);
		expect_at_every_length(&p, -XSR_STAT_BAD_UDP);
	}
}

static void extension_beyond_the_datagram_is_refused(void **state)
{
	int len;

	(void)state;
	for (len = 0; len < 256; len++) {
		struct packet p = {};
		__u8 *extension;

		packet_ethernet(&p);
		packet_ipv6(&p);
		extension = packet_extension(&p, IPPROTO_DSTOPTS, 8);
		packet_udp(&p, SPORT, DPORT);
		packet_finish(&p);
		packet_pad(&p, 3000);
		extension[1] = len;
		/* One unit more swallows the UDP header, two run out of the datagram. */
		expect(&p, p.len, len == 0 ? 0 : len == 1 ? -XSR_STAT_BAD_UDP : -XSR_STAT_BAD_IPV6);
	}
}

static void authentication_header_counts_in_words_of_four(void **state)
{
	int len;

	(void)state;
	for (len = 0; len < 256; len++) {
		struct packet p = {};
		__u8 *extension;

		packet_ethernet(&p);
		packet_ipv6(&p);
		extension = packet_extension(&p, IPPROTO_AH, 12);
		packet_udp(&p, SPORT, DPORT);
		packet_finish(&p);
		packet_pad(&p, 3000);
		extension[1] = len;
		if (len == 1)
			expect(&p, p.len, 0);
		else
			expect(&p, p.len, len <= 3 ? -XSR_STAT_BAD_UDP : -XSR_STAT_BAD_IPV6);
	}
}

static void cut_off_extension_is_refused(void **state)
{
	size_t len;

	(void)state;
	for (len = 0; len < 8; len++) {
		struct packet p = {};

		packet_ethernet(&p);
		packet_ipv6(&p);
		packet_name_next(&p, IPPROTO_HOPOPTS);
		packet_add(&p, "\x11\0\x01\x04\0\0\0\0", len);
		packet_finish(&p);
		expect_at_every_length(&p, -XSR_STAT_BAD_IPV6);
	}
}

static void payload_may_be_as_long_as_the_contract_says(void **state)
{
	static __u8 bytes[XSR_PAYLOAD_MAX + 1];
	struct packet longest = {}, too_long = {};

	(void)state;
	packet_make_udp4(&longest, DPORT, bytes, XSR_PAYLOAD_MAX);
	expect(&longest, longest.len, 0);
	packet_make_udp4(&too_long, DPORT, bytes, XSR_PAYLOAD_MAX + 1);
	expect(&too_long, too_long.len, -XSR_STAT_BAD_UDP);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(ipv4_datagram_is_found),
		cmocka_unit_test(ipv4_addresses_are_those_of_the_header),
		cmocka_unit_test(ipv6_datagram_is_found),
		cmocka_unit_test(datagram_without_payload_is_found),
		cmocka_unit_test(one_vlan_tag_is_passed_over),
		cmocka_unit_test(two_vlan_tags_are_passed_over),
		cmocka_unit_test(ipv4_options_are_passed_over),
		cmocka_unit_test(each_ipv6_extension_is_passed_over),
		cmocka_unit_test(chain_of_ipv6_extensions_is_passed_over),
		cmocka_unit_test(padding_is_not_payload),
		cmocka_unit_test(udp_may_end_before_the_ip_datagram),
		cmocka_unit_test(fragments_are_left_alone),
		cmocka_unit_test(ipv4_that_may_not_be_fragmented_is_no_fragment),
		cmocka_unit_test(ipv6_fragments_are_left_alone),
		cmocka_unit_test(ipv6_fragment_behind_an_extension_is_left_alone),
		cmocka_unit_test(third_vlan_tag_is_not_ip),
		cmocka_unit_test(arp_is_not_ip),
		cmocka_unit_test(every_other_protocol_is_not_udp),
		cmocka_unit_test(every_other_ipv6_protocol_is_not_udp),
		cmocka_unit_test(too_many_ipv6_extensions_are_not_read),
		cmocka_unit_test(wrong_ipv4_version_is_refused),
		cmocka_unit_test(wrong_ipv6_version_is_refused),
		cmocka_unit_test(short_ihl_is_refused),
		cmocka_unit_test(ihl_beyond_the_datagram_is_refused),
		cmocka_unit_test(every_total_length_is_checked),
		cmocka_unit_test(every_ipv6_payload_length_is_checked),
		cmocka_unit_test(every_udp_length_is_checked),
		cmocka_unit_test(cut_off_udp_header_is_refused),
		cmocka_unit_test(extension_beyond_the_datagram_is_refused),
		cmocka_unit_test(authentication_header_counts_in_words_of_four),
		cmocka_unit_test(cut_off_extension_is_refused),
		cmocka_unit_test(payload_may_be_as_long_as_the_contract_says),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
