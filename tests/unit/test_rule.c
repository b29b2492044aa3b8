/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* rule.h with what config/ compiles: which ID a message has, if any, at every length; whose it is. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <cmocka.h>

#include "packet.h"
#include "profile.h"
#include "rule.h"
#include "service_spec.h"

#define NEVER SIZE_MAX

/* The ID is there as soon as the payload has id_end bytes, or NEVER. */
struct vector {
	const char *rule;
	const char *payload; /* hex; blanks are for the reader */
	size_t id_end;
	__u64 id;
};

static size_t hex_bytes(const char *hex, __u8 *bytes)
{
	unsigned int byte;
	size_t n = 0;
	int used;

	while (sscanf(hex, " %2x%n", &byte, &used) == 1) {
		bytes[n++] = byte;
		hex += used;
	}
	return n;
}

static void rule_set(struct xsr_service *service, const char *rule)
{
	char why[256];

	memset(service, 0, sizeof(*service));
	if (rule_compile(rule, service, why, sizeof(why)))
		fail_msg("%s", why);
}

static bool find(const struct xsr_service *service, const struct packet *p, __u64 *id)
{
	__u8 *frame = frame_copy(p->data, p->len);
	struct cursor c = { frame, frame + p->len };
	struct datagram d = {};
	bool found;

	assert_int_equal(parse_datagram(&c, &d), 0);
	found = rule_find_id(&d, service, id);
	frame_free(frame);
	return found;
}

/* Once with nothing behind the payload, once with padding, which is not to be read as ID. */
static void expect(const char *rule, const __u8 *payload, size_t len, bool expected, __u64 expected_id)
{
	struct xsr_service service;
	size_t padding;

	rule_set(&service, rule);
	for (padding = 0; padding <= 16; padding += 16) {
		struct packet p = {};
		__u64 id = 0;
		bool found;

		packet_make_udp4(&p, 5000, payload, len);
		packet_pad(&p, padding);
		found = find(&service, &p, &id);
		if (found != expected || (found && id != expected_id))
			fail_msg("%s, %zu bytes: %s 0x%llx, expected %s 0x%llx", rule, len,
				 found ? "found" : "no ID", id, expected ? "found" : "no ID", expected_id);
	}
}

static void expect_vector(const struct vector *v)
{
	__u8 payload[1500];
	size_t len, end = hex_bytes(v->payload, payload);

	assert_true(v->id_end == NEVER || v->id_end <= end);
	for (len = 0; len <= end; len++)
		expect(v->rule, payload, len, v->id_end != NEVER && len >= v->id_end, v->id);
}

#define expect_vectors(vectors)                                                                              \
	do {                                                                                                 \
		for (size_t i_ = 0; i_ < sizeof(vectors) / sizeof((vectors)[0]); i_++)                       \
			expect_vector(&(vectors)[i_]);                                                       \
	} while (0)

static void our_frame_has_its_id_at_byte_8(void **state)
{
	static const struct vector vectors[] = {
		{ "xsr", "00000014 01 10 0000 1122334455667788 0000000000000001", 16, 0x1122334455667788 },
		{ "xsr", "00000014 01 10 0000 0000000000000000 0000000000000001", 16, 0 },
		{ "xsr", "00000014 01 10 0000 ffffffffffffffff 0000000000000001", 16, ~0ULL },
	};

	(void)state;
	expect_vectors(vectors);
}

/* --- QUIC --- */

/* RFC 9001, appendix A: A.2 (its first 64 bytes), A.3, A.5. */
#define RFC9001_CLIENT_INITIAL                                                                               \
	"c000000001088394c8f03e5157080000449e7b9aec34d1b1c98dd7689fb8ec11d242b123dc9bd8bab936b47d92ec356c0b" \
	"ab"                                                                                                 \
	"7df5976d27cd449f63300099f399"
#define RFC9001_SERVER_INITIAL                                                                               \
	"cf000000010008f067a5502a4262b5004075c0d95a482cd0991cd25b0aac406a5816b6394100f37a1c69797554780bb38c" \
	"c5a9"                                                                                               \
	"9f5ede4cf73c3ec2493a1839b3dbcba3f6ea46c5b7684df3548e7ddeb9c3bf9c73cc3f3bded74b562bfb19fb84022f8ef4" \
	"cdd93"                                                                                              \
	"795d77d06edbb7aaf2f58891850abbdca3d20398c276456cbc42158407dd074ee"
#define RFC9001_CHACHA20_SHORT "4cfe4189655e5cd55c41f69080575d7999c25a5bfb"

static void quic_initial_has_no_id(void **state)
{
	static const struct vector vectors[] = {
		{ "quic-lb:1", RFC9001_CLIENT_INITIAL, NEVER, 0 },
		{ "quic-lb:8", RFC9001_CLIENT_INITIAL, NEVER, 0 },
		{ "quic-lb:1", RFC9001_SERVER_INITIAL, NEVER, 0 },
		{ "quic-lb:8", RFC9001_SERVER_INITIAL, NEVER, 0 },
	};

	(void)state;
	expect_vectors(vectors);
}

/* RFC 9001, A.5: its connection ID is empty, so what is read is its packet number and payload. */
static void quic_short_header_has_its_id_at_byte_2(void **state)
{
	static const struct vector vectors[] = {
		{ "quic-lb:1", RFC9001_CHACHA20_SHORT, 3, 0x41 },
		{ "quic-lb:8", RFC9001_CHACHA20_SHORT, 10, 0x4189655e5cd55c41 },
	};

	(void)state;
	expect_vectors(vectors);
}

/*
 * draft-ietf-quic-load-balancers-21, B.1, connection IDs that are not encrypted:
 * server ID c4605e and nonce 4504cc4f; server ID 350d28b420 and nonce 3487d9700b
 * (the printed one lacks a digit). Behind the first byte of a short header.
 */
static void quic_lb_server_id_is_found(void **state)
{
	static const struct vector vectors[] = {
		{ "quic-lb:3", "41 07 c4605e 4504cc4f 00000000", 5, 0xc4605e },
		{ "quic-lb:5", "41 2a 350d28b420 3487d9700b 00000000", 7, 0x350d28b420 },
		{ "quic-lb:3", "e0 00000001 08 07c4605e4504cc4f 00 4075", 10, 0xc4605e },
		{ "quic-lb:5", "e0 00000001 0b 2a350d28b4203487d9700b 00 4075", 12, 0x350d28b420 },
	};

	(void)state;
	expect_vectors(vectors);
}

/* RFC 9000, 17.2: the types are 0 Initial, 1 0-RTT, 2 Handshake, 3 Retry. */
static void quic_long_header_has_an_id_only_if_the_server_chose_it(void **state)
{
	__u8 payload[64] = { 0, 0, 0, 0, 1, 8, 0x07, 0xc4, 0x60, 0x5e };
	int first;

	(void)state;
	for (first = 0x80; first < 0x100; first++) {
		payload[0] = first;
		expect("quic-lb:3", payload, sizeof(payload), (first & 0x30) >= 0x20, 0xc4605e);
	}
}

static void quic_short_header_has_an_id_whatever_its_other_bits(void **state)
{
	__u8 payload[32] = { 0, 0x07, 0xc4, 0x60, 0x5e };
	int first;

	(void)state;
	for (first = 0; first < 0x80; first++) {
		payload[0] = first;
		expect("quic-lb:3", payload, sizeof(payload), true, 0xc4605e);
	}
}

static void quic_lb_takes_every_length(void **state)
{
	static const __u8 payload[] = { 0x40, 0x07, 0x11, 0x22, 0x33, 0x44, 0x55, 0x66, 0x77, 0x88 };
	char rule[32];
	int len, cut;

	(void)state;
	for (len = 1; len <= 8; len++) {
		snprintf(rule, sizeof(rule), "quic-lb:%d", len);
		for (cut = 0; cut <= 10; cut++)
			expect(rule, payload, cut, cut >= 2 + len, 0x1122334455667788ULL >> (64 - 8 * len));
	}
}

/* --- GTP-U: 3GPP TS 29.281, 5.1 (header) and 6.1 (types) --- */

static void gtpu_data_has_the_teid(void **state)
{
	static const struct vector vectors[] = {
		{ "gtpu", "30 ff 0004 c0ffee01 45000000", 8, 0xc0ffee01 },
		/* with sequence number, N-PDU number and the PDU session container of 5G */
		{ "gtpu", "34 ff 000c 00000001 0000 00 85 01 10 09 00 45000000", 8, 1 },
		{ "gtpu", "37 ff 0008 ffffffff 0001 00 00 45000000", 8, 0xffffffff },
	};

	(void)state;
	expect_vectors(vectors);
}

static void gtpu_signalling_has_no_id(void **state)
{
	static const struct vector vectors[] = {
		{ "gtpu", "32 01 0004 00000000 0001 0000", NEVER, 0 },            /* echo request */
		{ "gtpu", "32 02 0006 00000000 0001 0000 0e00", NEVER, 0 },       /* echo response */
		{ "gtpu", "32 1a 0010 00000000 0000 0000 10c0ffee01", NEVER, 0 }, /* error indication */
		{ "gtpu", "30 fe 0000 c0ffee01", NEVER, 0 },                      /* end marker */
	};

	(void)state;
	expect_vectors(vectors);
}

static void gtpu_of_another_version_has_no_id(void **state)
{
	__u8 payload[12] = { 0, 0xff, 0, 4, 0, 0, 0, 7 };
	int first;

	(void)state;
	for (first = 0; first < 256; first++) {
		payload[0] = first; /* version 1, protocol type 1 (GTP, not GTP') */
		expect("gtpu", payload, sizeof(payload), first >> 4 == 3, 7);
	}
}

/* --- WireGuard: its protocol paper, 5.4; the receiver's index is little endian --- */

static void wireguard_messages_carry_the_receivers_index(void **state)
{
	static const struct vector vectors[] = {
		{ "wireguard", "04000000 01020304 0000000000000000 00112233445566778899aabbccddeeff", 8,
		  0x04030201 },
		{ "wireguard", "02000000 a1a2a3a4 01020304 00112233", 12, 0x04030201 },
		{ "wireguard", "03000000 01020304 00112233445566778899aabbccddeeff", 8, 0x04030201 },
		{ "wireguard", "04000000 ffffff7f 0000000000000000", 8, 0x7fffffff },
	};

	(void)state;
	expect_vectors(vectors);
}

static void wireguard_initiation_has_no_id(void **state)
{
	static const struct vector vectors[] = {
		{ "wireguard", "01000000 01020304 00112233445566778899aabbccddeeff", NEVER, 0 },
	};

	(void)state;
	expect_vectors(vectors);
}

static void wireguard_knows_no_other_type(void **state)
{
	__u8 payload[32] = {};
	int type;

	(void)state;
	for (type = 0; type < 256; type++) {
		payload[0] = type;
		expect("wireguard", payload, sizeof(payload), type >= 2 && type <= 4, 0);
	}
}

static void wireguard_reserved_bytes_must_be_zero(void **state)
{
	int at;

	(void)state;
	for (at = 1; at <= 3; at++) {
		__u8 payload[32] = { 4 };

		payload[at] = 1;
		expect("wireguard", payload, sizeof(payload), false, 0);
	}
}

/* --- DTLS --- */

/* RFC 9146, 4: type, version, epoch, 48-bit sequence number, cid, length. */
static void dtls12_record_with_connection_id_has_it(void **state)
{
	static const struct vector vectors[] = {
		{ "dtls-cid:4", "19 fefd 0001 000000000005 deadbeef 0003 aabbcc", 15, 0xdeadbeef },
		{ "dtls-cid:8", "19 fefd 0001 000000000005 0011223344556677 0000", 19, 0x11223344556677 },
	};

	(void)state;
	expect_vectors(vectors);
}

static void dtls12_record_without_connection_id_has_none(void **state)
{
	static const struct vector vectors[] = {
		/* change cipher spec, alert, handshake, application data, heartbeat, ack */
		{ "dtls-cid:1", "14 fefd 0000 000000000005 0001 01", NEVER, 0 },
		{ "dtls-cid:1", "15 fefd 0001 000000000005 0002 0100", NEVER, 0 },
		{ "dtls-cid:1", "16 fefd 0000 000000000000 0004 01000000", NEVER, 0 },
		{ "dtls-cid:1", "17 fefd 0001 000000000005 0004 01020304", NEVER, 0 },
		{ "dtls-cid:1", "18 fefd 0001 000000000005 0004 01020304", NEVER, 0 },
		{ "dtls-cid:1", "1a fefd 0000 000000000005 0004 01020304", NEVER, 0 },
	};

	(void)state;
	expect_vectors(vectors);
}

/* RFC 9147, 4: 001CSLEE, the connection ID if C is set, then sequence number and length. */
static void dtls13_unified_header_has_an_id_if_c_is_set(void **state)
{
	static const struct vector full = { "dtls-cid:4", "3f deadbeef 0005 0003 aabbcc", 5, 0xdeadbeef };
	__u8 payload[32] = { 0, 0xde, 0xad, 0xbe, 0xef };
	int first;

	(void)state;
	expect_vector(&full);
	for (first = 0; first < 256; first++) {
		payload[0] = first;
		if (first == 25)
			continue;
		expect("dtls-cid:4", payload, sizeof(payload), first >> 4 == 3, 0xdeadbeef);
	}
}

/* --- tunnels of a data centre --- */

/* RFC 7348, 5 */
static void vxlan_has_its_network_if_flag_i_is_set(void **state)
{
	static const struct vector vectors[] = {
		{ "vxlan", "08000000 123456 00 0200", 7, 0x123456 },
		{ "vxlan", "ff000000 ffffff 00 0200", 7, 0xffffff },
		{ "vxlan", "00000000 123456 00 0200", NEVER, 0 },
		{ "vxlan", "f7000000 123456 00 0200", NEVER, 0 },
	};

	(void)state;
	expect_vectors(vectors);
}

/* RFC 8926, 3.4 */
static void geneve_of_version_0_has_its_network(void **state)
{
	static const struct vector vectors[] = {
		{ "geneve", "00 00 6558 123456 00 0200", 7, 0x123456 },
		{ "geneve", "3f c0 6558 123456 00 0200", 7, 0x123456 }, /* options, O and C */
		{ "geneve", "40 00 6558 123456 00 0200", NEVER, 0 },
		{ "geneve", "80 00 6558 123456 00 0200", NEVER, 0 },
		{ "geneve", "c0 00 6558 123456 00 0200", NEVER, 0 },
	};

	(void)state;
	expect_vectors(vectors);
}

/* --- an operator's own protocol --- */

static void offset_reads_big_endian(void **state)
{
	static const struct vector vectors[] = {
		{ "offset:0:1", "a1 a2 a3 a4", 1, 0xa1 },
		{ "offset:0:2", "a1 a2 a3 a4", 2, 0xa1a2 },
		{ "offset:1:3", "a1 a2 a3 a4", 4, 0xa2a3a4 },
		{ "offset:0x4:8", "00000000 0102030405060708 09", 12, 0x0102030405060708 },
	};

	(void)state;
	expect_vectors(vectors);
}

static void offset_reads_little_endian_if_told(void **state)
{
	static const struct vector vectors[] = {
		{ "offset:0:1:le", "a1 a2 a3 a4", 1, 0xa1 },
		{ "offset:1:3:le", "a1 a2 a3 a4", 4, 0xa4a3a2 },
		{ "offset:0:8:le", "0102030405060708 09", 8, 0x0807060504030201 },
	};

	(void)state;
	expect_vectors(vectors);
}

static void mask_applies_after_the_shift(void **state)
{
	static const struct vector vectors[] = {
		{ "offset:0:2:shift=4", "abcd", 2, 0xabc },
		{ "offset:0:2:mask=0xff", "abcd", 2, 0xcd },
		{ "offset:0:2:shift=4:mask=0xff", "abcd", 2, 0xbc },
		{ "offset:0:2:mask=0xff:shift=4", "abcd", 2, 0xbc },
		{ "offset:0:2:le:shift=4:mask=0xff", "abcd", 2, 0xda },
		{ "offset:1:2:shift=15", "00 8000", 3, 1 },
		{ "offset:1:2:mask=0xffffff", "ff abcd", 3, 0xabcd },
	};

	(void)state;
	expect_vectors(vectors);
}

static void match_chooses_the_messages(void **state)
{
	static const struct vector vectors[] = {
		{ "offset:2:2:match=0/1/0x47", "47 00 abcd", 4, 0xabcd },
		{ "offset:2:2:match=0/1/0x47", "48 00 abcd", NEVER, 0 },
		{ "offset:2:2:match=0/1/0x40/0xf0", "4f 00 abcd", 4, 0xabcd },
		{ "offset:2:2:match=0/2/0x4700", "47 00 abcd", 4, 0xabcd },
		{ "offset:2:2:match=0/2/0x4700", "47 01 abcd", NEVER, 0 },
		{ "offset:0:2:match=2/4/0xdeadbeef", "abcd deadbeef", 6, 0xabcd },
		{ "offset:0:2:match=2/4/0xdeadbeef", "abcd deadbeee", NEVER, 0 },
		{ "offset:0:2:match=2/4/0/0xff", "abcd deadbe00", 6, 0xabcd },
	};

	(void)state;
	expect_vectors(vectors);
}

/* expect() puts bytes of 0xee behind the payload. */
static void padding_matches_nothing(void **state)
{
	static const __u8 payload[] = { 0xee, 0xee, 0xee, 0xee, 0xee, 0xee };
	size_t len;

	(void)state;
	for (len = 0; len <= sizeof(payload); len++) {
		expect("offset:0:1:match=3/1/0xee", payload, len, len >= 4, 0xee);
		expect("offset:0:1:match=1/4/0xeeeeeeee", payload, len, len >= 5, 0xee);
		expect("suffix:1:1:match=4/2/0xeeee", payload, len, len >= 6, 0xee);
	}
}

static void alternatives_are_tried_in_order(void **state)
{
	static const struct vector vectors[] = {
		{ "offset:1:1:match=0/1/1,offset:2:1:match=0/1/2", "01 aa bb", 2, 0xaa },
		{ "offset:1:1:match=0/1/1,offset:2:1:match=0/1/2", "02 aa bb", 3, 0xbb },
		{ "offset:1:1:match=0/1/1,offset:2:1:match=0/1/2", "03 aa bb", NEVER, 0 },
		{ "offset:1:1,offset:2:1", "01 aa bb", 2, 0xaa },
		{ "vxlan,offset:0:1:match=0/1/5", "05 aa bb", 1, 5 },
		{ "offset:3:1:match=0/1/9,offset:3:1:match=0/1/8,offset:3:1:match=0/1/7,offset:0:1", "06", 1,
		  6 },
	};

	(void)state;
	expect_vectors(vectors);
}

static void alternative_that_does_not_fit_leaves_it_to_the_next(void **state)
{
	__u8 payload[] = { 1, 2, 3, 4, 5, 6, 7, 8 };
	size_t len;

	(void)state;
	for (len = 0; len <= 8; len++)
		expect("offset:0:8,offset:0:2", payload, len, len >= 2,
		       len == 8 ? 0x0102030405060708 : 0x0102);
}

static void suffix_counts_back_from_the_payloads_end(void **state)
{
	__u8 payload[40];
	size_t i, len;

	(void)state;
	for (i = 0; i < sizeof(payload); i++)
		payload[i] = i + 1;
	for (len = 0; len <= sizeof(payload); len++) {
		__u64 last = (len - 3) << 24 | (len - 2) << 16 | (len - 1) << 8 | len;

		expect("suffix:4:4", payload, len, len >= 4, last);
		expect("suffix:4:2", payload, len, len >= 4, last >> 16);
		expect("suffix:4:2:le", payload, len, len >= 4, (len - 2) << 8 | (len - 3));
		expect("suffix:1:1:match=0/1/1", payload, len, len >= 1, len);
		expect("suffix:1:1:match=0/1/2", payload, len, false, 0);
		expect("suffix:20:1", payload, len, len >= 20, len - 19);
	}
}

static void rule_looks_as_far_as_its_limit(void **state)
{
	__u8 payload[XSR_OFFSET_MAX + 8] = {};
	size_t end = sizeof(payload);

	(void)state;
	payload[XSR_OFFSET_MAX] = 0x55;
	payload[end - 1] = 0x66;
	expect("offset:2047:1", payload, end, true, 0x55);
	expect("offset:2047:8", payload, end, true, 0x5500000000000066);
	expect("offset:2047:8", payload, end - 1, false, 0);
	expect("offset:0:1:match=2047/1/0x55", payload, end, true, 0);
	expect("offset:0:1:match=2047/1/0x55", payload, XSR_OFFSET_MAX, false, 0);
	expect("suffix:2047:1", payload, XSR_OFFSET_MAX, true, 0);
	expect("suffix:2047:1", payload, XSR_OFFSET_MAX - 1, false, 0);
}

/* The same, byte by byte, as one would explain it. */
static __u64 value_of_bytes(const __u8 *bytes, int width, bool little_endian)
{
	__u64 value = 0;
	int i;

	for (i = 0; i < width; i++)
		value = value << 8 | bytes[little_endian ? width - 1 - i : i];
	return value;
}

static void every_place_width_order_and_shift_is_read_right(void **state)
{
	static const __u8 payload[] = { 0xf1, 0x82, 0x93, 0xa4, 0xb5, 0xc6, 0xd7, 0xe8, 0xf9, 0x8a };
	int offset, width, le, shift;
	char rule[64];

	(void)state;
	for (offset = 0; offset < 10; offset++)
		for (width = 1; width <= 8; width++)
			for (le = 0; le < 2; le++)
				for (shift = 0; shift < width * 8; shift++) {
					bool fits = offset + width <= 10;
					__u64 id = fits ? value_of_bytes(payload + offset, width, le) >> shift
							: 0;

					snprintf(rule, sizeof(rule), "offset:%d:%d%s:shift=%d", offset, width,
						 le ? ":le" : "", shift);
					expect(rule, payload, 10, fits, id);
					snprintf(rule, sizeof(rule), "suffix:%d:%d%s:shift=%d", 10 - offset,
						 width, le ? ":le" : "", shift);
					if (fits)
						expect(rule, payload, 10, true, id);
				}
}

static void service_without_alternatives_finds_nothing(void **state)
{
	struct xsr_service service = {};
	struct packet p = {};
	__u64 id;

	(void)state;
	packet_make_udp4(&p, 5000, "12345678", 8);
	assert_false(find(&service, &p, &id));
}

static void id_is_found_behind_ipv6_too(void **state)
{
	struct xsr_service service;
	struct packet p = {};
	__u64 id;

	(void)state;
	rule_set(&service, "offset:0:8");
	packet_make_udp6(&p, 5000, "\1\2\3\4\5\6\7\x8", 8);
	assert_true(find(&service, &p, &id));
	assert_int_equal(id, 0x0102030405060708);
}

/* --- whose datagram it is --- */

static struct xsr_service service_at(const char *address)
{
	const struct service_spec spec = { .name = "a", .protocol = "udp", .address = address, .id = "xsr" };
	struct xsr_service service = {};
	char why[SERVICE_WHY_LEN];

	if (service_spec_parse(&spec, &service, why))
		fail_msg("%s", why);
	return service;
}

/* A datagram to 10.9.0.2 or to fd09::2, as packet.h makes them. */
static bool takes(const char *address, int family)
{
	struct xsr_service service = service_at(address);
	struct packet p = {};
	struct cursor c;
	struct datagram d = {};

	if (family == 4)
		packet_make_udp4(&p, 5000, "", 0);
	else
		packet_make_udp6(&p, 5000, "", 0);
	c = (struct cursor){ p.data, p.data + p.len };
	assert_int_equal(parse_datagram(&c, &d), 0);
	return service_has_address(&service, &d);
}

static void service_takes_its_own_ipv4_address(void **state)
{
	(void)state;
	assert_true(takes("10.9.0.2:5000", 4));
	assert_false(takes("10.9.0.1:5000", 4)); /* the sender's */
	assert_false(takes("10.9.0.3:5000", 4));
	assert_false(takes("11.9.0.2:5000", 4));
	assert_false(takes("10.9.0.2:5000", 6));
	assert_false(takes("0.0.0.2:5000", 6)); /* the last word of fd09::2 */
}

static void service_takes_its_own_ipv6_address(void **state)
{
	(void)state;
	assert_true(takes("[fd09::2]:5000", 6));
	assert_false(takes("[fd09::1]:5000", 6));
	assert_false(takes("[fd08::2]:5000", 6));
	assert_false(takes("[fd09:0:1::2]:5000", 6));
	assert_false(takes("[fd09::1:0:2]:5000", 6));
	assert_false(takes("[fd09::2]:5000", 4));
	assert_false(takes("[::a09:2]:5000", 4)); /* 10.9.0.2 in the last word */
}

static void service_at_any_address_takes_its_families(void **state)
{
	(void)state;
	assert_true(takes("0.0.0.0:5000", 4));
	assert_false(takes("0.0.0.0:5000", 6));
	assert_true(takes("[::]:5000", 4));
	assert_true(takes("[::]:5000", 6));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(our_frame_has_its_id_at_byte_8),
		cmocka_unit_test(quic_initial_has_no_id),
		cmocka_unit_test(quic_short_header_has_its_id_at_byte_2),
		cmocka_unit_test(quic_lb_server_id_is_found),
		cmocka_unit_test(quic_long_header_has_an_id_only_if_the_server_chose_it),
		cmocka_unit_test(quic_short_header_has_an_id_whatever_its_other_bits),
		cmocka_unit_test(quic_lb_takes_every_length),
		cmocka_unit_test(gtpu_data_has_the_teid),
		cmocka_unit_test(gtpu_signalling_has_no_id),
		cmocka_unit_test(gtpu_of_another_version_has_no_id),
		cmocka_unit_test(wireguard_messages_carry_the_receivers_index),
		cmocka_unit_test(wireguard_initiation_has_no_id),
		cmocka_unit_test(wireguard_knows_no_other_type),
		cmocka_unit_test(wireguard_reserved_bytes_must_be_zero),
		cmocka_unit_test(dtls12_record_with_connection_id_has_it),
		cmocka_unit_test(dtls12_record_without_connection_id_has_none),
		cmocka_unit_test(dtls13_unified_header_has_an_id_if_c_is_set),
		cmocka_unit_test(vxlan_has_its_network_if_flag_i_is_set),
		cmocka_unit_test(geneve_of_version_0_has_its_network),
		cmocka_unit_test(offset_reads_big_endian),
		cmocka_unit_test(offset_reads_little_endian_if_told),
		cmocka_unit_test(mask_applies_after_the_shift),
		cmocka_unit_test(match_chooses_the_messages),
		cmocka_unit_test(padding_matches_nothing),
		cmocka_unit_test(alternatives_are_tried_in_order),
		cmocka_unit_test(alternative_that_does_not_fit_leaves_it_to_the_next),
		cmocka_unit_test(suffix_counts_back_from_the_payloads_end),
		cmocka_unit_test(rule_looks_as_far_as_its_limit),
		cmocka_unit_test(every_place_width_order_and_shift_is_read_right),
		cmocka_unit_test(service_without_alternatives_finds_nothing),
		cmocka_unit_test(id_is_found_behind_ipv6_too),
		cmocka_unit_test(service_takes_its_own_ipv4_address),
		cmocka_unit_test(service_takes_its_own_ipv6_address),
		cmocka_unit_test(service_at_any_address_takes_its_families),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
