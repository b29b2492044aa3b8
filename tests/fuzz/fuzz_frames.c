/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Streams cut into runs: one byte, how much is there at a time, then the stream. The runs must be the stream's frames, each in one run, up to
 * where a plain reader finds the first bad one.
 */
#include <assert.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "frames.h"

#define FRAME_MAX 300
#define RUN_MAX 1000

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

static void words_load(const uint8_t *at, struct frame_words *words)
{
	memcpy(words, at, sizeof(*words));
}

/* As the program does it, where all sessions go the same way. 0: not enough is there; -1: no frame. */
static int cut(const uint8_t *at, uint32_t avail, struct frame_run *run)
{
	struct frame_words words;
	struct frame_head head;
	int i;

	if (avail < XSR_FRAME_HEADER_LEN)
		return 0;
	words_load(at, &words);
	if (run_begin(run, &words, FRAME_MAX))
		return -1;
	for (i = 1; i < RUN_FRAMES_MAX && run_goes_on(run, avail, RUN_MAX); i++) {
		words_load(at + run->len, &words);
		head = frame_read(&words);
		if (!run_fits(run, &head, avail, FRAME_MAX, RUN_MAX))
			break;
		run_take(run, &head);
	}
	return run->len;
}

static uint64_t be_at(const uint8_t *p, int n)
{
	uint64_t v = 0;

	while (n--)
		v = v << 8 | *p++;
	return v;
}

/* Byte by byte: the length of the frame at this place, 0 if it is none. */
static uint32_t frame_at(const uint8_t *p)
{
	uint32_t len = be_at(p, 4);

	return len >= 20 && len <= FRAME_MAX && p[4] == 1 && frame_type_known(p[5]) ? len + 4 : 0;
}

/* The frames of a run: the last one's session and seq, control alone. */
static void run_check(const uint8_t *at, uint32_t len, const struct frame_run *run)
{
	uint32_t n = 0, pos = 0, frame = 0;

	assert(run->len == len && run->first == be_at(at, 4));
	for (pos = 0; pos < len; pos += frame, n++) {
		frame = frame_at(at + pos);
		assert(frame && pos + frame <= len);
		assert(!frame_is_control(at[pos + 5]) || len == frame);
		if (pos + frame == len)
			assert(be_at(at + pos + 8, 8) == run->id && be_at(at + pos + 16, 8) == run->seq);
	}
	assert(n == run->n && n <= RUN_FRAMES_MAX && (n == 1 || len <= RUN_MAX));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	uint32_t step = len ? data[0] * 4 + 1 : 1, pos = 0, avail;
	struct frame_run run;
	uint8_t *stream;
	int n;

	if (len < 2)
		return 0;
	len--;
	stream = malloc(len);
	memcpy(stream, data + 1, len);
	for (avail = step < len ? step : len;; avail = avail + step < len ? avail + step : len) {
		while ((n = cut(stream + pos, avail - pos, &run)) > 0 && (uint32_t)n <= avail - pos) {
			run_check(stream + pos, n, &run);
			pos += n;
		}
		if (n < 0)
			assert(!frame_at(stream + pos));
		if (n < 0 || avail == len)
			break;
	}
	if (n > 0) /* what is there of a last frame */
		assert(frame_at(stream + pos) > len - pos);
	free(stream);
	return 0;
}
