/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Every profile: what has an ID follows its route, what has none takes the default, at every length. */
#include "frame.h"
#include "prog.h"

#define DPORT 5000
#define NEVER SIZE_MAX

/* The ID is there as soon as the payload has id_end bytes, or NEVER. */
struct vector {
	const char *rule;
	const char *payload; /* hex; blanks are for the reader */
	size_t id_end;
	uint64_t id;
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

/* What has no route or no ID is dropped, so that the verdict tells, too. */
static struct prog_service service_start(struct prog *prog, const char *rule)
{
	return prog_service_add(prog, &(struct service_spec){ .name = "ruled",
							      .address = "[::]:5000",
							      .id = rule,
							      .default_action = "drop" });
}

/* In IPv4 and IPv6, once with padding behind it, which is not to be read as ID. */
static void expect_payload(struct prog *prog, const __u8 *payload, size_t len, uint32_t service,
			   enum xsr_stat stat)
{
	struct packet p4 = {}, p6 = {};

	packet_make_udp4(&p4, DPORT, payload, len);
	packet_pad(&p4, 16);
	expect_stat(prog, &p4, service, stat);
	packet_make_udp6(&p6, DPORT, payload, len);
	expect_stat(prog, &p6, service, stat);
}

static void expect_vector(struct prog *prog, const struct vector *v)
{
	struct prog_service ruled = service_start(prog, v->rule);
	__u8 payload[256];
	size_t len, end = hex_bytes(v->payload, payload);

	assert_true(v->id_end == NEVER || v->id_end <= end);
	prog_route(prog, &ruled, v->id, XSR_ACTION_PASS, 0);
	for (len = 0; len <= end; len++)
		expect_payload(prog, payload, len, ruled.index,
			       v->id_end != NEVER && len >= v->id_end ? XSR_STAT_ROUTE_PASS
								      : XSR_STAT_NO_ID_DROP);
	if (v->id_end != NEVER) {
		prog_route(prog, &ruled, v->id, XSR_ACTION_DROP, 0);
		expect_payload(prog, payload, end, ruled.index, XSR_STAT_ROUTE_DROP);
	}
	prog_service_delete(prog, "ruled");
}

#define expect_vectors(prog, vectors)                                                                        \
	do {                                                                                                 \
		for (size_t i_ = 0; i_ < sizeof(vectors) / sizeof((vectors)[0]); i_++)                       \
			expect_vector(prog, &(vectors)[i_]);                                                 \
	} while (0)

/* draft-ietf-quic-load-balancers-21, B.1; RFC 9001, A.2, for the Initial whose ID the client chose */
static void quic_lb_routes_by_the_server_id(void **state)
{
	static const struct vector vectors[] = {
		{ "quic-lb:3", "41 07 c4605e 4504cc4f 00000000", 5, 0xc4605e },
		{ "quic-lb:5", "41 2a 350d28b420 3487d9700b 00000000", 7, 0x350d28b420 },
		{ "quic-lb:8", "4c fe 4189655e5cd55c41 f69080575d7999c25a5bfb", 10, 0x4189655e5cd55c41 },
		{ "quic-lb:3", "e0 00000001 08 07c4605e4504cc4f 00 4075", 10, 0xc4605e },
		{ "quic-lb:8", "c0 00000001 08 8394c8f03e515708 00 00449e7b9aec34d1b1c98dd7689f", NEVER, 0 },
	};

	expect_vectors(*state, vectors);
}

/* 3GPP TS 29.281, 5.1 */
static void gtpu_routes_by_the_teid(void **state)
{
	static const struct vector vectors[] = {
		{ "gtpu", "30 ff 0004 c0ffee01 45000000", 8, 0xc0ffee01 },
		{ "gtpu", "34 ff 000c 00000001 0000 00 85 01 10 09 00 45000000", 8, 1 },
		{ "gtpu", "32 01 0004 00000000 0001 0000", NEVER, 0 }, /* echo request */
		{ "gtpu", "30 fe 0000 c0ffee01", NEVER, 0 },           /* end marker */
	};

	expect_vectors(*state, vectors);
}

/* WireGuard's protocol paper, 5.4 */
static void wireguard_routes_by_the_receivers_index(void **state)
{
	static const struct vector vectors[] = {
		{ "wireguard", "02000000 a1a2a3a4 01020304 00112233", 12, 0x04030201 },
		{ "wireguard", "03000000 01020304 00112233445566778899aabbccddeeff", 8, 0x04030201 },
		{ "wireguard", "04000000 01020304 0000000000000000 00112233445566778899aabbccddeeff", 8,
		  0x04030201 },
		{ "wireguard", "01000000 01020304 00112233445566778899aabbccddeeff", NEVER, 0 },
		{ "wireguard", "05000000 01020304 0011223344556677", NEVER, 0 },
	};

	expect_vectors(*state, vectors);
}

/* RFC 9146, 4, and RFC 9147, 4 */
static void dtls_routes_by_the_connection_id(void **state)
{
	static const struct vector vectors[] = {
		{ "dtls-cid:4", "19 fefd 0001 000000000005 deadbeef 0003 aabbcc", 15, 0xdeadbeef },
		{ "dtls-cid:8", "19 fefd 0001 000000000005 0011223344556677 0000", 19, 0x11223344556677 },
		{ "dtls-cid:4", "3f deadbeef 0005 0003 aabbcc", 5, 0xdeadbeef },
		{ "dtls-cid:1", "16 fefd 0000 000000000000 0004 01000000", NEVER, 0 },
		{ "dtls-cid:4", "2f deadbeef 0005 0003 aabbcc", NEVER, 0 },
	};

	expect_vectors(*state, vectors);
}

/* RFC 7348, 5 */
static void vxlan_routes_by_the_network(void **state)
{
	static const struct vector vectors[] = {
		{ "vxlan", "08000000 123456 00 0200", 7, 0x123456 },
		{ "vxlan", "00000000 123456 00 0200", NEVER, 0 },
	};

	expect_vectors(*state, vectors);
}

/* RFC 8926, 3.4 */
static void geneve_routes_by_the_network(void **state)
{
	static const struct vector vectors[] = {
		{ "geneve", "3f c0 6558 123456 00 0200", 7, 0x123456 },
		{ "geneve", "40 00 6558 123456 00 0200", NEVER, 0 },
	};

	expect_vectors(*state, vectors);
}

static void offset_routes_by_the_bytes_there(void **state)
{
	static const struct vector vectors[] = {
		{ "offset:0:1", "a1 a2 a3", 1, 0xa1 },
		{ "offset:1:3", "a1 a2 a3 a4", 4, 0xa2a3a4 },
		{ "offset:1:3:le", "a1 a2 a3 a4", 4, 0xa4a3a2 },
		{ "offset:0x4:8", "00000000 0102030405060708 09", 12, 0x0102030405060708 },
		{ "offset:0:8:le", "0102030405060708 09", 8, 0x0807060504030201 },
		{ "offset:0:2:le:shift=4:mask=0xff", "abcd", 2, 0xda },
		{ "offset:2:2:match=0/2/0xbeef", "beef 0102", 4, 0x0102 },
		{ "offset:2:2:match=0/2/0xbeef", "bee0 0102", NEVER, 0 },
	};

	expect_vectors(*state, vectors);
}

static void alternatives_are_tried_in_order(void **state)
{
	static const struct vector vectors[] = {
		{ "vxlan,gtpu,offset:9:1", "08000000 123456 00 0200", 7, 0x123456 },
		{ "vxlan,gtpu,offset:9:1", "30 ff 0004 c0ffee01 4500", 8, 0xc0ffee01 },
		{ "vxlan,gtpu,offset:9:1", "00 00 0004 c0ffee01 4577", 10, 0x77 },
	};

	expect_vectors(*state, vectors);
}

static void offset_reaches_as_far_as_the_contract_says(void **state)
{
	struct prog_service ruled = service_start(*state, "offset:2047:1");
	__u8 payload[XSR_OFFSET_MAX + 2] = { [XSR_OFFSET_MAX] = 0x5a };

	prog_route(*state, &ruled, 0x5a, XSR_ACTION_PASS, 0);
	expect_payload(*state, payload, XSR_OFFSET_MAX, ruled.index, XSR_STAT_NO_ID_DROP);
	expect_payload(*state, payload, XSR_OFFSET_MAX + 1, ruled.index, XSR_STAT_ROUTE_PASS);
	expect_payload(*state, payload, XSR_OFFSET_MAX + 2, ruled.index, XSR_STAT_ROUTE_PASS);
}

/* The bytes count up, so each length has another ID: that of `routed` bytes has a route. */
static void expect_suffix(struct prog *prog, const char *rule, size_t shortest, size_t routed, uint64_t id)
{
	struct prog_service ruled = service_start(prog, rule);
	__u8 payload[64];
	size_t len;

	for (len = 0; len < sizeof(payload); len++)
		payload[len] = len;
	prog_route(prog, &ruled, id, XSR_ACTION_PASS, 0);
	for (len = 0; len <= sizeof(payload); len++)
		expect_payload(prog, payload, len, ruled.index,
			       len < shortest  ? XSR_STAT_NO_ID_DROP
			       : len == routed ? XSR_STAT_ROUTE_PASS
					       : XSR_STAT_NO_ROUTE_DROP);
	prog_service_delete(prog, "ruled");
}

static void suffix_routes_by_the_last_bytes(void **state)
{
	expect_suffix(*state, "suffix:4:4", 4, 24, 0x14151617);
	expect_suffix(*state, "suffix:8:2", 8, 24, 0x1011);
	expect_suffix(*state, "suffix:8:8:le", 8, 24, 0x1716151413121110);
	expect_suffix(*state, "suffix:1:1", 1, 1, 0);
}

/* --- our own frame --- */

static const struct xsr_frame heartbeat = {
	.version = XSR_FRAME_VERSION,
	.type = XSR_FRAME_HB_PING,
};

/* A payload of `len` bytes that begins with a frame whose length field says `field`. */
static void expect_frame(struct prog *prog, const struct xsr_frame *frame, uint32_t field, size_t len,
			 uint32_t service, enum xsr_stat stat)
{
	__u8 payload[3000] = {};
	struct xsr_frame f = *frame;

	f.len = htobe32(field);
	f.id = htobe64(0x1122334455667788);
	memcpy(payload, &f, sizeof(f));
	expect_payload(prog, payload, len, service, stat);
}

static uint32_t frames_start(struct prog *prog)
{
	struct prog_service ruled = service_start(prog, "xsr");

	prog_route(prog, &ruled, 0x1122334455667788, XSR_ACTION_PASS, 0);
	return ruled.index;
}

static void our_frame_routes_by_its_id(void **state)
{
	uint32_t service = frames_start(*state);
	size_t len;

	for (len = sizeof(struct xsr_frame); len <= 64; len++)
		expect_frame(*state, &heartbeat, len - 4, len, service, XSR_STAT_ROUTE_PASS);
	expect_frame(*state, &heartbeat, 2996, 3000, service, XSR_STAT_ROUTE_PASS);
}

static void our_frame_of_another_length_than_its_datagram_is_dropped(void **state)
{
	static const uint32_t fields[] = { 0, 19, 27, 29, 32, 0x10000, 0x10001, 0x1c000000, 0xfffffffc, ~0u };
	uint32_t service = frames_start(*state);
	unsigned int i;
	size_t len;

	for (len = 0; len < 32; len++)
		expect_frame(*state, &heartbeat, 28, len, service, XSR_STAT_FRAME_BAD_LEN);
	for (i = 0; i < sizeof(fields) / sizeof(fields[0]); i++)
		expect_frame(*state, &heartbeat, fields[i], 32, service, XSR_STAT_FRAME_BAD_LEN);
	/* Its length is right, but a header is longer. */
	for (len = 4; len < sizeof(struct xsr_frame); len++)
		expect_frame(*state, &heartbeat, len - 4, len, service, XSR_STAT_FRAME_BAD_LEN);
}

static void our_frame_of_another_version_is_dropped(void **state)
{
	uint32_t service = frames_start(*state);
	struct xsr_frame frame = heartbeat;
	unsigned int version;

	for (version = 0; version < 256; version++) {
		frame.version = version;
		expect_frame(*state, &frame, 28, 32, service,
			     version == 1 ? XSR_STAT_ROUTE_PASS : XSR_STAT_FRAME_BAD_VERSION);
	}
}

/* The types as the wire format's table has them. */
static void our_frame_of_unknown_type_is_dropped(void **state)
{
	static const __u8 known[] = { 0x01, 0x02, 0x03, 0x04, 0x05, 0x10, 0x11, 0x20,
				      0x21, 0x30, 0x31, 0x32, 0x40, 0x41, 0x50, 0x7f };
	uint32_t service = frames_start(*state);
	struct xsr_frame frame = heartbeat;
	unsigned int type;

	for (type = 0; type < 256; type++) {
		frame.type = type;
		expect_frame(*state, &frame, 28, 32, service,
			     memchr(known, type, sizeof(known)) ? XSR_STAT_ROUTE_PASS
								: XSR_STAT_FRAME_BAD_TYPE);
	}
}

static void frames_of_another_service_are_not_checked(void **state)
{
	struct prog_service ruled = service_start(*state, "offset:8:8");

	prog_route(*state, &ruled, 0x1122334455667788, XSR_ACTION_PASS, 0);
	expect_frame(*state, &(struct xsr_frame){ .version = 77 }, 3, 32, ruled.index, XSR_STAT_ROUTE_PASS);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		prog_test(quic_lb_routes_by_the_server_id),
		prog_test(gtpu_routes_by_the_teid),
		prog_test(wireguard_routes_by_the_receivers_index),
		prog_test(dtls_routes_by_the_connection_id),
		prog_test(vxlan_routes_by_the_network),
		prog_test(geneve_routes_by_the_network),
		prog_test(offset_routes_by_the_bytes_there),
		prog_test(alternatives_are_tried_in_order),
		prog_test(offset_reaches_as_far_as_the_contract_says),
		prog_test(suffix_routes_by_the_last_bytes),
		prog_test(our_frame_routes_by_its_id),
		prog_test(our_frame_of_another_length_than_its_datagram_is_dropped),
		prog_test(our_frame_of_another_version_is_dropped),
		prog_test(our_frame_of_unknown_type_is_dropped),
		prog_test(frames_of_another_service_are_not_checked),
	};

	return prog_run_tests(tests);
}
