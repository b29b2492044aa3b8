/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* transport/packet.h: from a frame to a message and back, with checksums that another implementation accepts.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "packet.h"
#include "transport/packet.h"

#define SPORT 40000
#define DPORT 5000

static uint64_t random_next(uint64_t *seed)
{
	*seed ^= *seed << 13;
	*seed ^= *seed >> 7;
	*seed ^= *seed << 17;
	return *seed;
}

static void random_bytes(uint64_t *seed, uint8_t *bytes, size_t len)
{
	while (len--)
		*bytes++ = random_next(seed) >> 32;
}

/* --- RFC 1071, as it is written there: 16-bit words in network order --- */

static uint32_t plain_sum(const uint8_t *bytes, size_t len)
{
	uint32_t sum = 0;
	size_t i;

	for (i = 0; i < len; i++) {
		sum += i % 2 ? bytes[i] : bytes[i] << 8;
		if (sum > 0xffff)
			sum -= 0xffff;
	}
	return sum;
}

/* The sum of what must be 0xffff: the header with its checksum. */
static bool ipv4_header_is_sound(const struct iphdr *ip)
{
	return plain_sum((const uint8_t *)ip, ip->ihl * 4) == 0xffff;
}

static bool udp_is_sound(const uint8_t *addresses, size_t addresses_len, const struct udphdr *udp)
{
	uint8_t bytes[32 + 4 + 17000] = {};
	size_t len = be16toh(udp->len);

	assert_true(len <= 17000);
	memcpy(bytes, addresses, addresses_len);
	bytes[addresses_len] = len >> 8;
	bytes[addresses_len + 1] = len;
	bytes[addresses_len + 3] = IPPROTO_UDP;
	memcpy(bytes + addresses_len + 4, udp, len);
	return udp->check && plain_sum(bytes, addresses_len + 4 + len) == 0xffff;
}

static uint16_t plain_checksum(const uint8_t *bytes, size_t len)
{
	return htobe16(~plain_sum(bytes, len));
}

/* --- the sum --- */

static void checksum_is_that_of_the_rfc(void **state)
{
	/* RFC 1071, 3, and the IPv4 header that is everybody's example */
	static const uint8_t rfc[] = { 0x00, 0x01, 0xf2, 0x03, 0xf4, 0xf5, 0xf6, 0xf7 };
	static const uint8_t header[] = { 0x45, 0x00, 0x00, 0x73, 0x00, 0x00, 0x40, 0x00, 0x40, 0x11,
					  0x00, 0x00, 0xc0, 0xa8, 0x00, 0x01, 0xc0, 0xa8, 0x00, 0xc7 };

	(void)state;
	assert_int_equal(checksum_fold(checksum_add(rfc, sizeof(rfc), 0)), htobe16(0x220d));
	assert_int_equal(checksum_fold(checksum_add(header, sizeof(header), 0)), htobe16(0xb861));
}

static void checksum_of_every_length_and_alignment_is_right(void **state)
{
	uint64_t seed = 0x2545f4914f6cdd1d;
	uint8_t bytes[208];
	size_t at, len;

	(void)state;
	for (at = 0; at < 8; at++) {
		for (len = 0; len <= 200; len++) {
			random_bytes(&seed, bytes, sizeof(bytes));
			assert_int_equal(checksum_fold(checksum_add(bytes + at, len, 0)),
					 plain_checksum(bytes + at, len));
		}
	}
}

static void checksum_keeps_every_carry(void **state)
{
	uint8_t bytes[4096];
	size_t len;

	(void)state;
	memset(bytes, 0xff, sizeof(bytes));
	for (len = 0; len <= sizeof(bytes); len += 8)
		assert_int_equal(checksum_fold(checksum_add(bytes, len, 0)), plain_checksum(bytes, len));
	memset(bytes, 0xfe, sizeof(bytes));
	for (len = 13; len <= sizeof(bytes);
	     len += 13) /* ~0 is a zero, too: it adds nothing but its carries */
		assert_int_equal(checksum_fold(checksum_add(bytes, len, ~0ULL)), plain_checksum(bytes, len));
}

static void checksum_of_parts_is_that_of_the_whole(void **state)
{
	uint64_t seed = 0x9e3779b97f4a7c15, sum;
	uint8_t bytes[300];
	size_t cut;

	(void)state;
	for (cut = 0; cut < sizeof(bytes); cut += 2) {
		random_bytes(&seed, bytes, sizeof(bytes));
		sum = checksum_add(bytes + cut, sizeof(bytes) - cut, checksum_add(bytes, cut, 0));
		assert_int_equal(checksum_fold(sum), plain_checksum(bytes, sizeof(bytes)));
	}
}

/* --- from the frame to the message --- */

/* The headers that a case has before UDP. */
struct shape {
	unsigned int n_tags;
	uint8_t family;
	size_t more; /* bytes of IPv4 options, or of an IPv6 extension */
};

static const struct shape shapes[] = {
	{ 0, 4, 0 }, { 1, 4, 0 }, { 2, 4, 0 }, { 0, 4, 40 }, { 2, 4, 8 },
	{ 0, 6, 0 }, { 1, 6, 0 }, { 2, 6, 0 }, { 0, 6, 64 }, { 2, 6, 8 },
};

#define for_each_shape(s) for (s = shapes; s < shapes + sizeof(shapes) / sizeof(shapes[0]); s++)

static void packet_make(struct packet *p, const struct shape *shape, const uint8_t *payload, size_t len)
{
	memset(p, 0, sizeof(*p));
	packet_ethernet(p);
	if (shape->n_tags == 2)
		packet_vlan(p, ETH_P_8021AD);
	if (shape->n_tags)
		packet_vlan(p, ETH_P_8021Q);
	if (shape->family == 4)
		packet_ipv4(p, shape->more);
	else
		packet_ipv6(p);
	if (shape->family == 6 && shape->more)
		packet_extension(p, IPPROTO_DSTOPTS, shape->more);
	packet_udp(p, SPORT, DPORT);
	packet_add(p, payload, len);
	packet_finish(p);
}

static void message_of(struct packet *p, struct xsr_message *m)
{
	struct datagram d;

	memset(m, 0, sizeof(*m));
	m->peer.queue = 7;
	assert_int_equal(packet_parse(p->data, p->len, m, &d), 0);
}

static void expect_addresses(const struct packet *p, const struct xsr_peer *peer)
{
	static const uint8_t zero[12];

	if (p->family == 6) {
		assert_memory_equal(peer->addr, p->data + p->network_at + 8, 16);
		assert_memory_equal(peer->local, p->data + p->network_at + 24, 16);
		return;
	}
	assert_memory_equal(peer->addr, zero, 12);
	assert_memory_equal(peer->addr + 12, p->data + p->network_at + 12, 4);
	assert_memory_equal(peer->local, zero, 12);
	assert_memory_equal(peer->local + 12, p->data + p->network_at + 16, 4);
}

static void message_has_what_the_headers_say(void **state)
{
	const struct shape *shape;
	struct xsr_message m;
	struct packet p;

	(void)state;
	for_each_shape(shape)
	{
		packet_make(&p, shape, (const uint8_t *)"payload", 7);
		packet_pad(&p, 20);
		message_of(&p, &m);
		assert_ptr_equal(m.data, p.data + p.payload_at);
		assert_int_equal(m.len, 7);
		assert_int_equal(m.peer.family, shape->family);
		assert_int_equal(m.peer.port, htobe16(SPORT));
		assert_int_equal(m.peer.local_port, htobe16(DPORT));
		assert_int_equal(m.peer.queue, 7);
		assert_int_equal(m.peer.link_len, p.network_at);
		assert_memory_equal(m.peer.link, p.data, p.network_at);
		expect_addresses(&p, &m.peer);
	}
}

/* Of an earlier message in the same place, whose addresses were longer. */
static void ipv4_message_keeps_nothing_of_an_ipv6_address(void **state)
{
	static const struct shape v4 = { 0, 4, 0 };
	struct xsr_message m;
	struct datagram d;
	struct packet p;

	(void)state;
	packet_make(&p, &v4, (const uint8_t *)"x", 1);
	memset(&m, 0xff, sizeof(m));
	assert_int_equal(packet_parse(p.data, p.len, &m, &d), 0);
	expect_addresses(&p, &m.peer);
}

static void frame_that_is_no_datagram_says_why(void **state)
{
	static const struct shape v4 = { 1, 4, 0 };
	struct xsr_message m = {};
	struct datagram d;
	struct packet p;
	size_t len;

	(void)state;
	packet_make(&p, &v4, (const uint8_t *)"payload", 7);
	for (len = 0; len < p.len; len++)
		assert_int_equal(packet_parse(p.data, len, &m, &d),
				 len < p.network_at ? -XSR_STAT_BAD_ETHERNET : -XSR_STAT_BAD_IPV4);
	packet_ip(&p)->protocol = IPPROTO_TCP;
	assert_int_equal(packet_parse(p.data, p.len, &m, &d), -XSR_STAT_NOT_UDP);
}

/* --- and back --- */

static void expect_ipv4_header(const struct packet *asked, const uint8_t *at, size_t udp_len)
{
	const struct iphdr *ip = (const void *)at,
			   *ip_asked = (const void *)(asked->data + asked->network_at);

	assert_int_equal(ip->version, 4);
	assert_int_equal(ip->ihl, 5);
	assert_int_equal(be16toh(ip->tot_len), sizeof(*ip) + udp_len);
	assert_int_equal(ip->frag_off, htobe16(0x4000));
	assert_int_equal(ip->protocol, IPPROTO_UDP);
	assert_true(ip->ttl >= 32);
	assert_int_equal(ip->saddr, ip_asked->daddr);
	assert_int_equal(ip->daddr, ip_asked->saddr);
	assert_true(ipv4_header_is_sound(ip));
	assert_true(udp_is_sound((const uint8_t *)&ip->saddr, 8, (const void *)(ip + 1)));
}

static void expect_ipv6_header(const struct packet *asked, const uint8_t *at, size_t udp_len)
{
	const struct ipv6hdr *ip = (const void *)at,
			     *ip_asked = (const void *)(asked->data + asked->network_at);

	assert_int_equal(ip->version, 6);
	assert_int_equal(be16toh(ip->payload_len), udp_len);
	assert_int_equal(ip->nexthdr, IPPROTO_UDP);
	assert_true(ip->hop_limit >= 32);
	assert_memory_equal(&ip->saddr, &ip_asked->daddr, 16);
	assert_memory_equal(&ip->daddr, &ip_asked->saddr, 16);
	assert_true(udp_is_sound((const uint8_t *)&ip->saddr, 32, (const void *)(ip + 1)));
}

/* `m` was read from `asked` and its headers were then written anew: an answer to who sent `asked`. */
static void expect_answer(const struct packet *asked, const struct xsr_message *m, uint32_t headers_len)
{
	const uint8_t *start = m->data - headers_len, *network = start + asked->network_at;
	const struct udphdr *udp = (const void *)(m->data - sizeof(*udp));
	size_t udp_len = sizeof(*udp) + m->len;

	assert_int_equal(headers_len, packet_headers_len(&m->peer));
	assert_memory_equal(start, asked->data + ETH_ALEN, ETH_ALEN);
	assert_memory_equal(start + ETH_ALEN, asked->data, ETH_ALEN);
	assert_memory_equal(start + 2 * ETH_ALEN, asked->data + 2 * ETH_ALEN,
			    asked->network_at - 2 * ETH_ALEN);
	assert_int_equal(udp->source, htobe16(DPORT));
	assert_int_equal(udp->dest, htobe16(SPORT));
	assert_int_equal(be16toh(udp->len), udp_len);
	if (asked->family == 4)
		expect_ipv4_header(asked, network, udp_len);
	else
		expect_ipv6_header(asked, network, udp_len);
}

static void answer_to_every_shape_is_sound(void **state)
{
	uint64_t seed = 0x2545f4914f6cdd1d;
	struct packet asked, p;
	const struct shape *shape;
	struct xsr_message m;
	uint8_t payload[64];

	(void)state;
	for_each_shape(shape)
	{
		random_bytes(&seed, payload, sizeof(payload));
		packet_make(&asked, shape, payload, sizeof(payload));
		p = asked;
		message_of(&p, &m);
		expect_answer(&asked, &m, packet_build(&m));
		assert_memory_equal(m.data, payload, sizeof(payload));
	}
}

static void answer_of_every_length_is_sound(void **state)
{
	static const struct shape v4 = { 0, 4, 0 }, v6 = { 1, 6, 0 };
	uint64_t seed = 0x9e3779b97f4a7c15;
	struct packet asked, p;
	struct xsr_message m;
	uint8_t payload[300];
	size_t len;

	(void)state;
	for (len = 0; len <= sizeof(payload); len++) {
		random_bytes(&seed, payload, sizeof(payload));
		packet_make(&asked, len % 2 ? &v4 : &v6, payload, sizeof(payload));
		p = asked;
		message_of(&p, &m);
		m.len = len; /* a handler may answer with less */
		expect_answer(&asked, &m, packet_build(&m));
		assert_memory_equal(m.data, payload, sizeof(payload));
	}
}

static void longest_answer_is_sound(void **state)
{
	static const struct shape v4 = { 0, 4, 0 }, v6 = { 0, 6, 0 };
	static uint8_t payload[XSR_PAYLOAD_MAX];
	struct packet asked, p;
	struct xsr_message m;

	(void)state;
	memset(payload, 0xff, sizeof(payload));
	packet_make(&asked, &v4, payload, sizeof(payload));
	p = asked;
	message_of(&p, &m);
	expect_answer(&asked, &m, packet_build(&m));
	packet_make(&asked, &v6, payload, sizeof(payload));
	p = asked;
	message_of(&p, &m);
	expect_answer(&asked, &m, packet_build(&m));
}

static void answer_touches_nothing_but_its_headers(void **state)
{
	const struct shape *shape;
	struct packet p, before;
	struct xsr_message m;
	uint32_t start;

	(void)state;
	for_each_shape(shape)
	{
		packet_make(&p, shape, (const uint8_t *)"payload", 7);
		message_of(&p, &m);
		before = p;
		start = p.payload_at - packet_build(&m);
		assert_memory_equal(p.data, before.data, start);
		assert_memory_equal(p.data + p.payload_at, before.data + p.payload_at,
				    sizeof(p.data) - p.payload_at);
	}
}

/* In IPv6 there must be a checksum, in IPv4 0 means that there is none. */
static void udp_checksum_of_zero_is_written_as_all_ones(void **state)
{
	const struct shape *shape;
	struct packet asked, p;
	struct xsr_message m;
	struct udphdr *udp;

	(void)state;
	for_each_shape(shape)
	{
		packet_make(&asked, shape, (const uint8_t *)"\0\0", 2);
		p = asked;
		message_of(&p, &m);
		packet_build(&m);
		udp = (void *)(m.data - sizeof(*udp));
		memcpy(m.data, &udp->check, 2); /* what is missing to 0xffff */
		expect_answer(&asked, &m, packet_build(&m));
		assert_int_equal(udp->check, 0xffff);
	}
}

static void answer_to_an_answer_is_the_question(void **state)
{
	const struct shape *shape;
	struct xsr_message m;
	struct packet p;
	uint8_t first[70], second[70];
	uint32_t len;

	(void)state;
	for_each_shape(shape)
	{
		packet_make(&p, shape, (const uint8_t *)"payload", 7);
		message_of(&p, &m);
		len = packet_build(&m);
		memcpy(first, m.data - len, len);
		m.peer.family = 0;
		assert_int_equal(packet_parse(m.data - len, len + m.len, &m, &(struct datagram){}), 0);
		assert_int_equal(packet_build(&m), len);
		assert_int_equal(packet_parse(m.data - len, len + m.len, &m, &(struct datagram){}), 0);
		assert_int_equal(packet_build(&m), len);
		memcpy(second, m.data - len, len);
		assert_memory_equal(first, second, len);
	}
}

static void longest_headers_fit_into_the_room_that_is_kept_for_them(void **state)
{
	const struct shape *shape;
	struct xsr_message m;
	struct packet p;
	uint32_t longest = 0;

	(void)state;
	for_each_shape(shape)
	{
		packet_make(&p, shape, (const uint8_t *)"x", 1);
		message_of(&p, &m);
		if (packet_headers_len(&m.peer) > longest)
			longest = packet_headers_len(&m.peer);
	}
	assert_int_equal(longest, PACKET_HEADERS_MAX);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(checksum_is_that_of_the_rfc),
		cmocka_unit_test(checksum_of_every_length_and_alignment_is_right),
		cmocka_unit_test(checksum_keeps_every_carry),
		cmocka_unit_test(checksum_of_parts_is_that_of_the_whole),
		cmocka_unit_test(message_has_what_the_headers_say),
		cmocka_unit_test(ipv4_message_keeps_nothing_of_an_ipv6_address),
		cmocka_unit_test(frame_that_is_no_datagram_says_why),
		cmocka_unit_test(answer_to_every_shape_is_sound),
		cmocka_unit_test(answer_of_every_length_is_sound),
		cmocka_unit_test(longest_answer_is_sound),
		cmocka_unit_test(answer_touches_nothing_but_its_headers),
		cmocka_unit_test(udp_checksum_of_zero_is_written_as_all_ones),
		cmocka_unit_test(answer_to_an_answer_is_the_question),
		cmocka_unit_test(longest_headers_fit_into_the_room_that_is_kept_for_them),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
