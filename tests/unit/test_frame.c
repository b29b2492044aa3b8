/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* frame.h and frame_check(): which payloads are our frames. */
#include <endian.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

#include "packet.h"
#include "rule.h"

/* `padding` bytes of the network's frame follow the payload; they must not matter. */
static int check(const struct xsr_frame *frame, size_t payload_len, size_t padding)
{
	static __u8 bytes[XSR_FRAME_LEN_MAX + 64];
	struct datagram d = { .len = payload_len };
	__u8 *copy;
	int ret;

	memcpy(bytes, frame, sizeof(*frame));
	copy = frame_copy(bytes, payload_len + padding);
	d.payload = copy;
	d.end = copy + payload_len + padding;
	ret = frame_check(&d);
	frame_free(copy);
	return ret;
}

static void expect(const struct xsr_frame *frame, size_t payload_len, int result)
{
	assert_int_equal(check(frame, payload_len, 0), result);
	assert_int_equal(check(frame, payload_len, 32), result);
}

static struct xsr_frame good_frame(size_t payload_len)
{
	return (struct xsr_frame){
		.len = htobe32(payload_len - 4),
		.version = XSR_FRAME_VERSION,
		.type = XSR_FRAME_ECHO_REQ,
		.id = htobe64(42),
		.seq = htobe64(1),
	};
}

/* The frames of the wire format, number by number. */
static bool type_exists(int type)
{
	static const __u8 types[] = { 0x01, 0x02, 0x03, 0x04, 0x05, 0x10, 0x11, 0x20,
				      0x21, 0x30, 0x31, 0x32, 0x40, 0x41, 0x50, 0x7f };

	return memchr(types, type, sizeof(types)) != NULL;
}

static void every_type_is_known_or_refused(void **state)
{
	struct xsr_frame frame = good_frame(24);
	int type;

	(void)state;
	for (type = 0; type < 256; type++) {
		frame.type = type;
		expect(&frame, 24, type_exists(type) ? 0 : -XSR_STAT_FRAME_BAD_TYPE);
	}
}

static void only_version_1_is_taken(void **state)
{
	struct xsr_frame frame = good_frame(24);
	int version;

	(void)state;
	for (version = 0; version < 256; version++) {
		frame.version = version;
		expect(&frame, 24, version == 1 ? 0 : -XSR_STAT_FRAME_BAD_VERSION);
	}
}

static void length_must_be_that_of_the_datagram(void **state)
{
	struct xsr_frame frame = good_frame(40);
	__u32 len;

	(void)state;
	for (len = 0; len <= 70000; len++) {
		frame.len = htobe32(len);
		expect(&frame, 40, len == 36 ? 0 : -XSR_STAT_FRAME_BAD_LEN);
	}
}

static void length_that_wraps_around_is_refused(void **state)
{
	struct xsr_frame frame = good_frame(40);
	__u32 len;

	(void)state;
	for (len = 0xffffff00; len; len++) {
		frame.len = htobe32(len);
		expect(&frame, 40, -XSR_STAT_FRAME_BAD_LEN);
	}
}

/* In the other byte order the length may look right. */
static void length_is_big_endian(void **state)
{
	struct xsr_frame frame = good_frame(40);

	(void)state;
	frame.len = htole32(36);
	expect(&frame, 40, -XSR_STAT_FRAME_BAD_LEN);
}

static void frame_of_every_length_is_taken_from_its_header_on(void **state)
{
	size_t len;

	(void)state;
	for (len = 4; len <= 200; len++) {
		struct xsr_frame frame = good_frame(len);

		expect(&frame, len, len >= XSR_FRAME_HEADER_LEN ? 0 : -XSR_STAT_FRAME_BAD_LEN);
	}
}

/* Longer than any datagram, but the check does not know where the bytes come from. */
static void frame_of_more_than_65536_bytes_is_refused(void **state)
{
	struct xsr_frame longest = good_frame(XSR_FRAME_LEN_MAX + 4);
	struct xsr_frame too_long = good_frame(XSR_FRAME_LEN_MAX + 5);

	(void)state;
	expect(&longest, XSR_FRAME_LEN_MAX + 4, 0);
	expect(&too_long, XSR_FRAME_LEN_MAX + 5, -XSR_STAT_FRAME_BAD_LEN);
}

static void cut_off_frame_is_refused(void **state)
{
	struct xsr_frame frame = good_frame(64);
	size_t len;

	(void)state;
	for (len = 0; len < 64; len++)
		expect(&frame, len, -XSR_STAT_FRAME_BAD_LEN);
}

static void length_is_complained_of_first_then_version_then_type(void **state)
{
	struct xsr_frame frame = good_frame(24);

	(void)state;
	frame.type = 0;
	expect(&frame, 24, -XSR_STAT_FRAME_BAD_TYPE);
	frame.version = 2;
	expect(&frame, 24, -XSR_STAT_FRAME_BAD_VERSION);
	frame.len = 0;
	expect(&frame, 24, -XSR_STAT_FRAME_BAD_LEN);
}

static void fields_are_where_the_wire_format_puts_them(void **state)
{
	(void)state;
	assert_int_equal(offsetof(struct xsr_frame, len), 0);
	assert_int_equal(offsetof(struct xsr_frame, version), 4);
	assert_int_equal(offsetof(struct xsr_frame, type), 5);
	assert_int_equal(offsetof(struct xsr_frame, flags), 6);
	assert_int_equal(offsetof(struct xsr_frame, id), 8);
	assert_int_equal(offsetof(struct xsr_frame, seq), 16);
	assert_int_equal(sizeof(struct xsr_frame), 24);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_type_is_known_or_refused),
		cmocka_unit_test(only_version_1_is_taken),
		cmocka_unit_test(length_must_be_that_of_the_datagram),
		cmocka_unit_test(length_that_wraps_around_is_refused),
		cmocka_unit_test(length_is_big_endian),
		cmocka_unit_test(frame_of_every_length_is_taken_from_its_header_on),
		cmocka_unit_test(frame_of_more_than_65536_bytes_is_refused),
		cmocka_unit_test(cut_off_frame_is_refused),
		cmocka_unit_test(length_is_complained_of_first_then_version_then_type),
		cmocka_unit_test(fields_are_where_the_wire_format_puts_them),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
