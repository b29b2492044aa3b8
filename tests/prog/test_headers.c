/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* What is a datagram for a service and what is not, at every length that a frame may be cut to. */
#include "prog.h"

#define DPORT 5000

static const __u8 payload[] = "twenty-one bytes long";
#define PAYLOAD_LEN 21

/* Every message to DPORT has an ID, and a route to the stack. */
static uint32_t service_start(struct prog *prog)
{
	struct prog_service any = prog_service_add(
		prog, &(struct service_spec){ .name = "any", .address = "[::]:5000", .id = "offset:0:1" });

	prog_route(prog, &any, payload[0], XSR_ACTION_PASS, 0);
	return any.index;
}

/*
 * The whole frame is counted as `stat` of `service`. A shorter one is noticed in
 * Ethernet and its tags, and up to the IP datagram's end by the IP header's length.
 */
static void expect_at_every_length(struct prog *prog, const struct packet *p, uint32_t service,
				   enum xsr_stat stat)
{
	enum xsr_stat cut_in_ip = p->family == 4 ? XSR_STAT_BAD_IPV4 : XSR_STAT_BAD_IPV6;
	size_t ip_end = p->family ? p->end : p->network_at;
	size_t len;

	for (len = PROG_FRAME_MIN; len < p->network_at; len++)
		expect_stat_cut(prog, p, len, 0, XSR_STAT_BAD_ETHERNET);
	for (; len < ip_end; len++)
		expect_stat_cut(prog, p, len, 0, cut_in_ip);
	for (; len <= p->len; len++)
		expect_stat_cut(prog, p, len, service, stat);
}

static void packet_end(struct packet *p)
{
	packet_udp(p, 40000, DPORT);
	packet_add(p, payload, PAYLOAD_LEN);
	packet_finish(p);
}

/* --- what is a datagram --- */

static void ipv4_datagram_is_routed(void **state)
{
	uint32_t service = service_start(*state);
	struct packet p = {};

	packet_ethernet(&p);
	packet_ipv4(&p, 0);
	packet_end(&p);
	expect_at_every_length(*state, &p, service, XSR_STAT_ROUTE_PASS);
}

static void ipv6_datagram_is_routed(void **state)
{
	uint32_t service = service_start(*state);
	struct packet p = {};

	packet_ethernet(&p);
	packet_ipv6(&p);
	packet_end(&p);
	expect_at_every_length(*state, &p, service, XSR_STAT_ROUTE_PASS);
}

static void one_vlan_tag_is_passed_over(void **state)
{
	static const __u16 tpids[] = { ETH_P_8021Q, ETH_P_8021AD };
	uint32_t service = service_start(*state);
	unsigned int i;

	for (i = 0; i < 2; i++) {
		struct packet p = {};

		packet_ethernet(&p);
		packet_vlan(&p, tpids[i]);
		packet_ipv4(&p, 0);
		packet_end(&p);
		expect_at_every_length(*state, &p, service, XSR_STAT_ROUTE_PASS);
	}
}

static void two_vlan_tags_are_passed_over(void **state)
{
	uint32_t service = service_start(*state);
	struct packet p4 = {}, p6 = {};

	packet_ethernet(&p4);
	packet_vlan(&p4, ETH_P_8021AD);
	packet_vlan(&p4, ETH_P_8021Q);
	packet_ipv4(&p4, 0);
	packet_end(&p4);
	expect_at_every_length(*state, &p4, service, XSR_STAT_ROUTE_PASS);
	packet_ethernet(&p6);
	packet_vlan(&p6, ETH_P_8021AD);
	packet_vlan(&p6, ETH_P_8021Q);
	packet_ipv6(&p6);
	packet_end(&p6);
	expect_at_every_length(*state, &p6, service, XSR_STAT_ROUTE_PASS);
}

static void ipv4_options_are_passed_over(void **state)
{
	uint32_t service = service_start(*state);
	size_t options_len;

	for (options_len = 4; options_len <= 40; options_len += 12) {
		struct packet p = {};

		packet_ethernet(&p);
		packet_ipv4(&p, options_len);
		packet_end(&p);
		expect_at_every_length(*state, &p, service, XSR_STAT_ROUTE_PASS);
	}
}

static void each_ipv6_extension_is_passed_over(void **state)
{
	static const struct {
		__u8 proto;
		size_t len;
	} extensions[] = {
		{ IPPROTO_HOPOPTS, 8 },  { IPPROTO_HOPOPTS, 64 }, { IPPROTO_ROUTING, 24 },
		{ IPPROTO_DSTOPTS, 16 }, { IPPROTO_AH, 12 },      { IPPROTO_AH, 24 },
	};
	uint32_t service = service_start(*state);
	unsigned int i;

	for (i = 0; i < sizeof(extensions) / sizeof(extensions[0]); i++) {
		struct packet p = {};

		packet_ethernet(&p);
		packet_ipv6(&p);
		packet_extension(&p, extensions[i].proto, extensions[i].len);
		packet_end(&p);
		expect_at_every_length(*state, &p, service, XSR_STAT_ROUTE_PASS);
	}
}

static void longest_ipv6_extension_is_passed_over(void **state)
{
	uint32_t service = service_start(*state);
	struct packet p = {};

	packet_ethernet(&p);
	packet_ipv6(&p);
	packet_extension(&p, IPPROTO_DSTOPTS, 2048);
	packet_end(&p);
	expect_stat(*state, &p, service, XSR_STAT_ROUTE_PASS);
	expect_stat_cut(*state, &p, p.len - 1, 0, XSR_STAT_BAD_IPV6);
}

static void chain_of_ipv6_extensions_is_passed_over(void **state)
{
	uint32_t service = service_start(*state);
	struct packet p = {};

	packet_ethernet(&p);
	packet_ipv6(&p);
	packet_extension(&p, IPPROTO_HOPOPTS, 8);
	packet_extension(&p, IPPROTO_DSTOPTS, 16);
	packet_extension(&p, IPPROTO_ROUTING, 24);
	packet_extension(&p, IPPROTO_AH, 24);
	packet_extension(&p, IPPROTO_DSTOPTS, 8);
	packet_end(&p);
	expect_at_every_length(*state, &p, service, XSR_STAT_ROUTE_PASS);
}

static void padding_is_not_payload(void **state)
{
	struct prog_service tail;
	struct packet p4 = {}, p6 = {};

	tail = prog_service_add(
		*state, &(struct service_spec){ .name = "tail", .address = "[::]:5000", .id = "suffix:1:1" });
	prog_route(*state, &tail, payload[2], XSR_ACTION_PASS, 0);
	packet_make_udp4(&p4, DPORT, payload, 3);
	packet_pad(&p4, 15);
	expect_at_every_length(*state, &p4, tail.index, XSR_STAT_ROUTE_PASS);
	packet_make_udp6(&p6, DPORT, payload, 3);
	packet_pad(&p6, 15);
	expect_at_every_length(*state, &p6, tail.index, XSR_STAT_ROUTE_PASS);
}

static void udp_may_end_before_the_ip_datagram(void **state)
{
	uint32_t service = service_start(*state);
	struct packet p = {};

	packet_make_udp4(&p, DPORT, payload, PAYLOAD_LEN);
	packet_udp_header(&p)->len = htobe16(8 + 5);
	expect_stat(*state, &p, service, XSR_STAT_ROUTE_PASS);
	packet_udp_header(&p)->len = htobe16(8);
	expect_stat(*state, &p, service, XSR_STAT_NO_ID_PASS);
}

static void longest_datagram_of_a_frame_is_routed(void **state)
{
	uint32_t service = service_start(*state);
	struct packet p = {};

	packet_make_udp4(&p, DPORT, payload, 1);
	packet_pad(&p, PROG_FRAME_MAX - p.len);
	packet_finish(&p);
	expect_stat(*state, &p, service, XSR_STAT_ROUTE_PASS);
}

static void ipv4_that_may_not_be_fragmented_is_routed(void **state)
{
	uint32_t service = service_start(*state);
	struct packet p = {};

	packet_make_udp4(&p, DPORT, payload, PAYLOAD_LEN);
	packet_ip(&p)->frag_off = htobe16(0x4000); /* DF */
	expect_stat(*state, &p, service, XSR_STAT_ROUTE_PASS);
}

/* --- what is none, or not to be judged here --- */

static void ipv4_fragments_go_to_the_stack(void **state)
{
	/* the first, one in the middle, the last, the farthest */
	static const __u16 fragments[] = { 0x2000, 0x2010, 0x0010, 0x1fff };
	unsigned int i;

	service_start(*state);
	for (i = 0; i < 4; i++) {
		struct packet p = {};

		packet_ethernet(&p);
		packet_ipv4(&p, 0);
		packet_end(&p);
		packet_ip(&p)->frag_off = htobe16(fragments[i]);
		expect_at_every_length(*state, &p, 0, XSR_STAT_FRAGMENT);
	}
}

static void ipv6_fragments_go_to_the_stack(void **state)
{
	static const __u16 fragments[] = { 0x0001, 0x0081, 0x0080 };
	unsigned int i;

	service_start(*state);
	for (i = 0; i < 3; i++) {
		struct packet p = {};
		__u16 fragment = htobe16(fragments[i]);

		packet_ethernet(&p);
		packet_ipv6(&p);
		memcpy(packet_extension(&p, IPPROTO_FRAGMENT, 8) + 2, &fragment, 2);
		packet_end(&p);
		expect_at_every_length(*state, &p, 0, XSR_STAT_FRAGMENT);
	}
}

static void ipv6_fragment_behind_an_extension_goes_to_the_stack(void **state)
{
	struct packet p = {};

	service_start(*state);
	packet_ethernet(&p);
	packet_ipv6(&p);
	packet_extension(&p, IPPROTO_HOPOPTS, 8);
	packet_extension(&p, IPPROTO_FRAGMENT, 8);
	packet_end(&p);
	expect_at_every_length(*state, &p, 0, XSR_STAT_FRAGMENT);
}

static void third_vlan_tag_is_not_ip(void **state)
{
	struct packet p = {};

	service_start(*state);
	packet_ethernet(&p);
	packet_vlan(&p, ETH_P_8021AD);
	packet_vlan(&p, ETH_P_8021Q);
	p.family = 0;
	packet_name_next(&p, ETH_P_8021Q);
	packet_add(&p, "\0\0\x08\0four", 8);
	packet_finish(&p);
	expect_at_every_length(*state, &p, 0, XSR_STAT_NOT_IP);
}

static void arp_is_not_ip(void **state)
{
	struct packet p = {};

	packet_ethernet(&p);
	packet_name_next(&p, ETH_P_ARP);
	packet_add(&p, "\0\x01\x08\0\x06\x04\0\x01", 8);
	packet_pad(&p, 38);
	expect_at_every_length(*state, &p, 0, XSR_STAT_NOT_IP);
}

static void every_other_protocol_is_not_udp(void **state)
{
	unsigned int proto;

	service_start(*state);
	for (proto = 0; proto < 256; proto++) {
		struct packet p = {};

		if (proto == IPPROTO_UDP)
			continue;
		packet_make_udp4(&p, DPORT, payload, PAYLOAD_LEN);
		packet_ip(&p)->protocol = proto;
		expect_stat(*state, &p, 0, XSR_STAT_NOT_UDP);
	}
}

static void tcp_over_ipv6_is_not_udp(void **state)
{
	struct packet p = {};

	service_start(*state);
	packet_ethernet(&p);
	packet_ipv6(&p);
	packet_extension(&p, IPPROTO_HOPOPTS, 8);
	packet_name_next(&p, IPPROTO_TCP);
	packet_add(&p, payload, PAYLOAD_LEN);
	packet_finish(&p);
	expect_at_every_length(*state, &p, 0, XSR_STAT_NOT_UDP);
}

static void chain_of_six_ipv6_extensions_is_too_many(void **state)
{
	uint32_t service = service_start(*state);
	int n, i;

	for (n = 5; n <= 7; n++) {
		struct packet p = {};

		packet_ethernet(&p);
		packet_ipv6(&p);
		for (i = 0; i < n; i++)
			packet_extension(&p, IPPROTO_DSTOPTS, 8);
		packet_end(&p);
		expect_at_every_length(*state, &p, n < 6 ? service : 0,
				       n < 6 ? XSR_STAT_ROUTE_PASS : XSR_STAT_TOO_MANY_HEADERS);
	}
}

/* --- headers that lie --- */

static void ipv4_of_another_version_is_bad(void **state)
{
	struct packet p = {};

	service_start(*state);
	packet_make_udp4(&p, DPORT, payload, PAYLOAD_LEN);
	packet_ip(&p)->version = 6;
	expect_stat(*state, &p, 0, XSR_STAT_BAD_IPV4);
}

static void ipv4_header_length_out_of_bounds_is_bad(void **state)
{
	struct packet p = {};
	unsigned int ihl;

	service_start(*state);
	packet_make_udp4(&p, DPORT, payload, 0); /* 28 bytes of IP, so a header of 8 words is too long */
	for (ihl = 0; ihl < 16; ihl++) {
		packet_ip(&p)->ihl = ihl;
		if (ihl < 5 || ihl > 7)
			expect_stat(*state, &p, 0, XSR_STAT_BAD_IPV4);
	}
}

static void ipv4_total_length_out_of_bounds_is_bad(void **state)
{
	struct packet p = {};

	service_start(*state);
	packet_make_udp4(&p, DPORT, payload, PAYLOAD_LEN);
	packet_ip(&p)->tot_len = htobe16(p.len - p.network_at + 1);
	expect_stat(*state, &p, 0, XSR_STAT_BAD_IPV4);
	packet_ip(&p)->tot_len = htobe16(0xffff);
	expect_stat(*state, &p, 0, XSR_STAT_BAD_IPV4);
	packet_ip(&p)->tot_len = htobe16(19);
	expect_stat(*state, &p, 0, XSR_STAT_BAD_IPV4);
	packet_ip(&p)->tot_len = 0;
	expect_stat(*state, &p, 0, XSR_STAT_BAD_IPV4);
}

static void ipv6_of_another_version_is_bad(void **state)
{
	struct packet p = {};

	service_start(*state);
	packet_make_udp6(&p, DPORT, payload, PAYLOAD_LEN);
	packet_ip6(&p)->version = 4;
	expect_stat(*state, &p, 0, XSR_STAT_BAD_IPV6);
}

static void ipv6_payload_length_out_of_bounds_is_bad(void **state)
{
	struct packet p = {};

	service_start(*state);
	packet_make_udp6(&p, DPORT, payload, PAYLOAD_LEN);
	packet_ip6(&p)->payload_len = htobe16(p.len - p.network_at - sizeof(struct ipv6hdr) + 1);
	expect_stat(*state, &p, 0, XSR_STAT_BAD_IPV6);
	packet_ip6(&p)->payload_len = htobe16(0xffff);
	expect_stat(*state, &p, 0, XSR_STAT_BAD_IPV6);
}

static void ipv6_extension_beyond_the_payload_is_bad(void **state)
{
	struct packet p = {};
	__u8 *extension;

	service_start(*state);
	packet_ethernet(&p);
	packet_ipv6(&p);
	extension = packet_extension(&p, IPPROTO_DSTOPTS, 8);
	packet_end(&p);
	packet_pad(&p, 1000);
	extension[1] = 4; /* 40 bytes; the payload has 37 */
	expect_stat(*state, &p, 0, XSR_STAT_BAD_IPV6);
	extension[1] = 255;
	expect_stat(*state, &p, 0, XSR_STAT_BAD_IPV6);
}

static void udp_length_out_of_bounds_is_bad(void **state)
{
	static const __u16 lens[] = { 0, 7, 8 + PAYLOAD_LEN + 1, 0xffff };
	unsigned int i;

	service_start(*state);
	for (i = 0; i < 4; i++) {
		struct packet p4 = {}, p6 = {};

		packet_make_udp4(&p4, DPORT, payload, PAYLOAD_LEN);
		packet_udp_header(&p4)->len = htobe16(lens[i]);
		expect_stat(*state, &p4, 0, XSR_STAT_BAD_UDP);
		packet_make_udp6(&p6, DPORT, payload, PAYLOAD_LEN);
		packet_udp_header(&p6)->len = htobe16(lens[i]);
		expect_stat(*state, &p6, 0, XSR_STAT_BAD_UDP);
	}
}

static void udp_length_beyond_the_extensions_end_is_bad(void **state)
{
	struct packet p = {};

	service_start(*state);
	packet_ethernet(&p);
	packet_ipv6(&p);
	packet_extension(&p, IPPROTO_DSTOPTS, 8);
	packet_end(&p);
	packet_pad(&p, 40);
	packet_udp_header(&p)->len = htobe16(8 + PAYLOAD_LEN + 1);
	expect_stat(*state, &p, 0, XSR_STAT_BAD_UDP);
}

static void ip_datagram_without_room_for_udp_is_bad(void **state)
{
	size_t len;

	service_start(*state);
	for (len = 0; len < 8; len++) {
		struct packet p = {};

		packet_make_udp4(&p, DPORT, payload, PAYLOAD_LEN);
		packet_ip(&p)->tot_len = htobe16(sizeof(struct iphdr) + len);
		expect_stat(*state, &p, 0, XSR_STAT_BAD_UDP);
		expect_stat_cut(*state, &p, p.udp_at + len, 0, XSR_STAT_BAD_UDP);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		prog_test(ipv4_datagram_is_routed),
		prog_test(ipv6_datagram_is_routed),
		prog_test(one_vlan_tag_is_passed_over),
		prog_test(two_vlan_tags_are_passed_over),
		prog_test(ipv4_options_are_passed_over),
		prog_test(each_ipv6_extension_is_passed_over),
		prog_test(longest_ipv6_extension_is_passed_over),
		prog_test(chain_of_ipv6_extensions_is_passed_over),
		prog_test(padding_is_not_payload),
		prog_test(udp_may_end_before_the_ip_datagram),
		prog_test(longest_datagram_of_a_frame_is_routed),
		prog_test(ipv4_that_may_not_be_fragmented_is_routed),
		prog_test(ipv4_fragments_go_to_the_stack),
		prog_test(ipv6_fragments_go_to_the_stack),
		prog_test(ipv6_fragment_behind_an_extension_goes_to_the_stack),
		prog_test(third_vlan_tag_is_not_ip),
		prog_test(arp_is_not_ip),
		prog_test(every_other_protocol_is_not_udp),
		prog_test(tcp_over_ipv6_is_not_udp),
		prog_test(chain_of_six_ipv6_extensions_is_too_many),
		prog_test(ipv4_of_another_version_is_bad),
		prog_test(ipv4_header_length_out_of_bounds_is_bad),
		prog_test(ipv4_total_length_out_of_bounds_is_bad),
		prog_test(ipv6_of_another_version_is_bad),
		prog_test(ipv6_payload_length_out_of_bounds_is_bad),
		prog_test(ipv6_extension_beyond_the_payload_is_bad),
		prog_test(udp_length_out_of_bounds_is_bad),
		prog_test(udp_length_beyond_the_extensions_end_is_bad),
		prog_test(ip_datagram_without_room_for_udp_is_bad),
	};

	return prog_run_tests(tests);
}
