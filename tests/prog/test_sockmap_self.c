/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* The test that a router makes before it trusts the kernel. */
#include "streams.h"
#include "sk_skb.h"

#define SOURCE_CONN (XSR_CONN_FIRST + 1) /* numbers are dealt out in order, the lane's first */
#define SINK_CONN (XSR_CONN_FIRST + 2)

static void self_test_passes(struct stream *stream, enum xsr_stream_mode mode)
{
	char why[STREAM_WHY_LEN] = "";
	uint64_t start = now_ms(), took;

	if (sockmap_self_test(stream, mode, why))
		fail_msg("%s", why);
	took = now_ms() - start;
	print_message("%llu ms\n", (unsigned long long)took);
	assert_true(took < 300 || getenv("XSR_VM"));
}

static void this_kernel_moves_bytes_rightly(void **state)
{
	char why[STREAM_WHY_LEN] = "";
	struct stream_options options = {};
	struct stream *stream;
	int i;

	(void)state;
	if (stream_open(&stream, &options, why))
		fail_msg("%s", why);
	for (i = 0; i < 3; i++) {
		self_test_passes(stream, XSR_STREAM_SPLICE);
		if (stream_mode_works(stream, XSR_STREAM_FRAMES, why))
			self_test_passes(stream, XSR_STREAM_FRAMES);
		else
			print_message("frames: %s\n", why);
	}
	stream_close(stream);
}

/* --- on kernels that do it wrongly: other programs stand for them --- */

/* This process has a map of that name once. */
static int map_find(const char *name)
{
	int fd;

	for (fd = 3; fd < 1024; fd++) {
		struct bpf_map_info info = {};
		uint32_t len = sizeof(info);

		if (!bpf_obj_get_info_by_fd(fd, &info, &len) && info.type == BPF_MAP_TYPE_SOCKHASH && !strcmp(info.name, name))
			return fd;
	}
	fail_msg("no map %s", name);
	return -1;
}

static void self_test_fails(enum xsr_stream_mode mode, int (*program)(void), enum bpf_attach_type type, const char *expected)
{
	const char *map = mode == XSR_STREAM_FRAMES ? "frame_sources" : "splice_sources";
	struct stream_options options = {};
	char why[STREAM_WHY_LEN] = "";
	struct stream *stream;

	if (stream_open(&stream, &options, why))
		fail_msg("%s", why);
	if (stream_mode_works(stream, mode, why)) {
		skb_attach(program(), map_find(map), type);
		assert_true(sockmap_self_test(stream, mode, why) < 0);
		print_message("%s\n", why);
		assert_non_null(strstr(why, expected));
	}
	stream_close(stream);
}

static int byte_more(void) { return skb_load_redirect(map_find("targets"), SINK_CONN, 0, 1); }
static int byte_less(void) { return skb_load_redirect(map_find("targets"), SINK_CONN, 0, -1); }
static int to_the_wrong_one(void) { return skb_load_redirect(map_find("targets"), SOURCE_CONN, 0, 0); }
static int to_be_read(void) { return skb_load_redirect(map_find("targets"), SINK_CONN, BPF_F_INGRESS, 0); }
static int to_one_alone(void) { return skb_load_redirect(map_find("targets"), SINK_CONN, 0, 0); }
static int nowhere(void) { return skb_load_constant(BPF_SK_SKB_STREAM_VERDICT, SK_DROP); }
static int passed(void) { return skb_load_constant(BPF_SK_SKB_STREAM_VERDICT, SK_PASS); }
static int half(void) { return skb_load_constant(BPF_SK_SKB_STREAM_PARSER, XSR_FRAME_HEADER_LEN); }

static void a_kernel_that_loses_or_doubles_bytes_is_found_out(void **state)
{
	(void)state;
	self_test_fails(XSR_STREAM_SPLICE, byte_more, BPF_SK_SKB_STREAM_VERDICT, "doubles, tears or reorders");
	self_test_fails(XSR_STREAM_SPLICE, byte_less, BPF_SK_SKB_STREAM_VERDICT, "self-test: ");
	self_test_fails(XSR_STREAM_SPLICE, nowhere, BPF_SK_SKB_STREAM_VERDICT, "do not arrive");
	self_test_fails(XSR_STREAM_SPLICE, passed, BPF_SK_SKB_STREAM_VERDICT, "do not arrive");
	self_test_fails(XSR_STREAM_SPLICE, to_be_read, BPF_SK_SKB_STREAM_VERDICT, "do not arrive");
	self_test_fails(XSR_STREAM_SPLICE, to_the_wrong_one, BPF_SK_SKB_STREAM_VERDICT, "do not arrive");
}

static void a_kernel_that_cuts_frames_wrongly_is_found_out(void **state)
{
	(void)state;
	self_test_fails(XSR_STREAM_FRAMES, skb_load_len, BPF_SK_SKB_STREAM_PARSER, "self-test: ");
	self_test_fails(XSR_STREAM_FRAMES, half, BPF_SK_SKB_STREAM_PARSER, "self-test: ");
	self_test_fails(XSR_STREAM_FRAMES, to_one_alone, BPF_SK_SKB_STREAM_VERDICT, "doubles, tears or reorders");
	self_test_fails(XSR_STREAM_FRAMES, nowhere, BPF_SK_SKB_STREAM_VERDICT, "do not arrive");
	self_test_fails(XSR_STREAM_FRAMES, passed, BPF_SK_SKB_STREAM_VERDICT, "do not arrive");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(this_kernel_moves_bytes_rightly),
		cmocka_unit_test(a_kernel_that_loses_or_doubles_bytes_is_found_out),
		cmocka_unit_test(a_kernel_that_cuts_frames_wrongly_is_found_out),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
