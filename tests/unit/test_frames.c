/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* frames.h: which frames of a stream go on together, and the marks of the slow lane. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

#include "frames.h"

#define MAX XSR_FRAME_LEN_MAX

static struct frame_words words_of(uint32_t len, uint8_t version, uint8_t type, uint64_t id, uint64_t seq)
{
	return (struct frame_words){ .w[0] = htobe64((uint64_t)len << 32 | (uint64_t)version << 24 | type << 16 | 0xabcd),
				     .w[1] = htobe64(id),
				     .w[2] = htobe64(seq) };
}

static struct frame_words data_of(uint64_t id, uint64_t seq, uint32_t payload_len)
{
	return words_of(XSR_FRAME_LEN_MIN + payload_len, 1, XSR_FRAME_ECHO_REQ, id, seq);
}

static int judge(uint32_t len, uint8_t version, uint8_t type)
{
	struct frame_words words = words_of(len, version, type, 1, 1);
	struct frame_run run;

	return run_begin(&run, &words, MAX);
}

static void a_header_is_read_field_by_field(void **state)
{
	struct frame_words words = words_of(0x01020304, 5, 6, 0x1122334455667788, 0x99aabbccddeeff00);
	struct frame_head h = frame_read(&words);

	(void)state;
	assert_int_equal(h.len, 0x01020304);
	assert_int_equal(h.version, 5);
	assert_int_equal(h.type, 6);
	assert_int_equal(h.flags, 0xabcd);
	assert_int_equal(h.id, 0x1122334455667788);
	assert_int_equal(h.seq, 0x99aabbccddeeff00);
}

static void lengths_have_strict_bounds(void **state)
{
	(void)state;
	assert_int_equal(judge(0, 1, XSR_FRAME_ECHO_REQ), XSR_CONN_BAD_LEN);
	assert_int_equal(judge(XSR_FRAME_LEN_MIN - 1, 1, XSR_FRAME_ECHO_REQ), XSR_CONN_BAD_LEN);
	assert_int_equal(judge(XSR_FRAME_LEN_MIN, 1, XSR_FRAME_ECHO_REQ), 0);
	assert_int_equal(judge(MAX, 1, XSR_FRAME_ECHO_REQ), 0);
	assert_int_equal(judge(MAX + 1, 1, XSR_FRAME_ECHO_REQ), XSR_CONN_BAD_LEN);
	assert_int_equal(judge(0x7fffffff, 1, XSR_FRAME_ECHO_REQ), XSR_CONN_BAD_LEN);
	assert_int_equal(judge(0x80000000, 1, XSR_FRAME_ECHO_REQ), XSR_CONN_BAD_LEN);
	assert_int_equal(judge(0xffffffff, 1, XSR_FRAME_ECHO_REQ), XSR_CONN_BAD_LEN);
}

static void versions_and_types_are_known_or_refused(void **state)
{
	int i;

	(void)state;
	for (i = 0; i < 256; i++) {
		assert_int_equal(judge(20, i, XSR_FRAME_ECHO_REQ), i == 1 ? 0 : XSR_CONN_BAD_VERSION);
		assert_int_equal(judge(20, 1, i), frame_type_known(i) ? 0 : XSR_CONN_BAD_TYPE);
	}
	assert_int_equal(judge(20, 1, FRAME_TARGET), XSR_CONN_BAD_TYPE);
	assert_int_equal(judge(20, 1, FRAME_FLIP), XSR_CONN_BAD_TYPE);
}

static void control_is_what_the_router_reads(void **state)
{
	static const uint8_t control[] = { XSR_FRAME_HELLO, XSR_FRAME_HELLO_ACK, XSR_FRAME_HB_PING, XSR_FRAME_HB_PONG, XSR_FRAME_BYE,
					   XSR_FRAME_ERROR };
	int type;

	(void)state;
	for (type = 0; type < 256; type++)
		if (frame_type_known(type))
			assert_int_equal(frame_is_control(type), memchr(control, type, sizeof(control)) != NULL);
}

/* One frame is there, and then `next`. Whether it is taken. */
static bool takes(struct frame_words next, uint32_t avail, uint32_t run_max, struct frame_run *run)
{
	struct frame_words first = data_of(7, 1, 10);
	struct frame_head head = frame_read(&next);

	assert_int_equal(run_begin(run, &first, MAX), 0);
	assert_int_equal(run->len, 34);
	if (!run_goes_on(run, avail, run_max) || !run_fits(run, &head, avail, MAX, run_max))
		return false;
	run_take(run, &head);
	return true;
}

static void a_run_is_whole_frames_of_data(void **state)
{
	struct frame_run run;

	(void)state;
	assert_true(takes(data_of(7, 2, 10), 68, 1000, &run));
	assert_int_equal(run.len, 68);
	assert_int_equal(run.seq, 2);
	assert_int_equal(run.n, 2);
	assert_int_equal(run.first, 30);
	assert_true(takes(data_of(8, 3, 10), 68, 1000, &run)); /* another session: whether it goes along is for its route to say */
	assert_int_equal(run.id, 8);
	assert_int_equal(run.seq, 3);
	assert_false(takes(data_of(7, 2, 10), 67, 1000, &run)); /* not whole */
	assert_false(takes(data_of(7, 2, 10), 57, 1000, &run)); /* not even its header */
	assert_false(takes(data_of(7, 2, 10), 68, 67, &run));	/* too long together */
	assert_false(takes(words_of(30, 2, XSR_FRAME_ECHO_REQ, 7, 2), 68, 1000, &run));
	assert_false(takes(words_of(19, 1, XSR_FRAME_ECHO_REQ, 7, 2), 68, 1000, &run));
	assert_false(takes(words_of(~0u, 1, XSR_FRAME_ECHO_REQ, 7, 2), 68, 1000, &run));
	assert_false(takes(words_of(20, 1, XSR_FRAME_BYE, 7, 2), 68, 1000, &run));
	assert_int_equal(run.len, 34);
	assert_int_equal(run.n, 1);
	assert_int_equal(run.seq, 1);
}

static void control_stands_alone(void **state)
{
	struct frame_words hello = words_of(32, 1, XSR_FRAME_HELLO, 7, 0);
	struct frame_run run;

	(void)state;
	assert_int_equal(run_begin(&run, &hello, MAX), 0);
	assert_false(run_goes_on(&run, 100000, 100000));
}

static void a_run_has_64_frames_at_most(void **state)
{
	struct frame_words words = data_of(7, 1, 0);
	struct frame_head head = frame_read(&words);
	struct frame_run run;

	(void)state;
	assert_int_equal(run_begin(&run, &words, MAX), 0);
	while (run_goes_on(&run, 1 << 20, 1 << 20) && run_fits(&run, &head, 1 << 20, MAX, 1 << 20))
		run_take(&run, &head);
	assert_int_equal(run.n, RUN_FRAMES_MAX);
	assert_int_equal(run.len, RUN_FRAMES_MAX * 24);
}

static void what_is_injected_ends_before_a_word_to_the_kernels_part(void **state)
{
	struct frame_words first = data_of(7, 1, 0), other = data_of(8, 1, 0), target = words_of(20, 1, FRAME_TARGET, 3, 0),
			   flip = words_of(20, 1, FRAME_FLIP, 3, 0);
	struct frame_run run;

	(void)state;
	assert_int_equal(injected_begin(&run, &first), 0);
	assert_true(injected_take(&run, &other, 1000, 1000));
	assert_false(injected_take(&run, &target, 1000, 1000));
	assert_false(injected_take(&run, &flip, 1000, 1000));
	assert_false(injected_take(&run, &other, 71, 1000));
	assert_false(injected_take(&run, &other, 1000, 71));
	assert_int_equal(run.len, 48);
	assert_int_equal(injected_begin(&run, &target), -1);
	assert_int_equal(injected_begin(&run, &flip), -1);
}

static void expect_mark(uint32_t conn, bool held, uint32_t len)
{
	struct xsr_frame frame = { .len = htobe32(len), .version = 1, .type = 0x10, .flags = htobe16(0xffff), .id = 1, .seq = 2 };
	struct xsr_frame before = frame;
	struct frame_mark mark = {};
	__u8 bytes[5];

	mark_put(bytes, len, (struct frame_mark){ conn, held });
	memcpy(&frame, bytes, sizeof(bytes));
	assert_true(mark_take(&frame, &mark));
	assert_int_equal(mark.conn, conn);
	assert_int_equal(mark.held, held);
	assert_memory_equal(&frame, &before, sizeof(frame));
	assert_false(mark_take(&frame, &mark)); /* it is a frame as any other now */
	mark_put(bytes, len, mark_none());
	memcpy(&frame, bytes, sizeof(bytes));
	assert_memory_equal(&frame, &before, sizeof(frame));
}

static void a_mark_leaves_the_header_as_it_was(void **state)
{
	static const uint32_t lens[] = { XSR_FRAME_LEN_MIN, XSR_FRAME_LEN_MAX, 1 << 20, FRAME_LEN_LIMIT - 1 };
	uint32_t conn;
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(lens) / sizeof(lens[0]); i++)
		for (conn = XSR_CONN_FIRST; conn < XSR_CONNS_MAX; conn += conn < 1000 ? 1 : 997) {
			expect_mark(conn, false, lens[i]);
			expect_mark(conn, true, lens[i]);
		}
	expect_mark(XSR_CONNS_MAX - 1, true, lens[3]);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_header_is_read_field_by_field),
		cmocka_unit_test(lengths_have_strict_bounds),
		cmocka_unit_test(versions_and_types_are_known_or_refused),
		cmocka_unit_test(control_is_what_the_router_reads),
		cmocka_unit_test(a_run_is_whole_frames_of_data),
		cmocka_unit_test(control_stands_alone),
		cmocka_unit_test(a_run_has_64_frames_at_most),
		cmocka_unit_test(what_is_injected_ends_before_a_word_to_the_kernels_part),
		cmocka_unit_test(a_mark_leaves_the_header_as_it_was),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
