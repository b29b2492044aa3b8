/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* The test that a router makes before it trusts the kernel. */
#include "streams.h"

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

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(this_kernel_moves_bytes_rightly),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
