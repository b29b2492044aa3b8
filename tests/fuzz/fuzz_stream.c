/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Any bytes in any cut through a TCP connection, and on to another one: what is handed out are the whole frames at the
 * beginning, byte by byte, and the connection ends for the reason that the first other bytes give.
 *
 * Input: one byte limits (2 bits frame_max, then queue_max), one byte memory, two bytes seed of the cuts and pauses, then
 * orders: the lower 2 bits of a byte say what comes, so that long frames need no long input.
 */
#include <assert.h>
#include <endian.h>
#include <errno.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "tcp.h"
#include "../unit/chance.h"

#define STREAM_MAX (3u << 20)
#define CHUNKS_MIN 320 /* for the longest frame, and what is not read into */
#define STEPS_MAX 1000000

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

static uint8_t STREAM[STREAM_MAX], FILLER[STREAM_MAX]; /* a filler's bytes follow from their place */
static size_t STREAM_LEN;

struct run {
	struct chance chance;
	struct tcp_shared shared;
	struct tcp *from, *to;
	int feed, drain; /* their other ends */
	size_t fed, out; /* bytes of the stream */
	size_t prefix;
	enum tcp_end end;
};

/* --- what is sent --- */

enum order {
	ORDER_BYTES,  /* 1..64 from the input */
	ORDER_FRAME,  /* a good one, of a length that the next 3 bytes say */
	ORDER_FILLER, /* as many bytes as the next 2 say */
	ORDER_SHORT,  /* a good frame with 0..63 bytes of payload */
};

static void filler_make(void)
{
	struct chance chance = { .state = 1 };
	size_t i;

	for (i = FILLER[0] ? STREAM_MAX : 0; i < STREAM_MAX; i++)
		FILLER[i] = chance_next(&chance) | 1;
}

/* Without bytes: filler. */
static void stream_add(const void *bytes, size_t len)
{
	if (len > STREAM_MAX - STREAM_LEN)
		len = STREAM_MAX - STREAM_LEN;
	memcpy(STREAM + STREAM_LEN, bytes ?: FILLER + STREAM_LEN, len);
	STREAM_LEN += len;
}

static void frame_add(size_t payload_len)
{
	struct xsr_frame header = { htobe32(XSR_FRAME_LEN_MIN + payload_len), XSR_FRAME_VERSION, XSR_FRAME_ECHO_REQ };

	stream_add(&header, sizeof(header));
	stream_add(NULL, payload_len);
}

static size_t number_read(const uint8_t **data, const uint8_t *end, int n)
{
	size_t number = 0;

	while (n-- && *data < end)
		number = number << 8 | *(*data)++;
	return number;
}

static void orders_follow(const uint8_t *data, const uint8_t *end)
{
	size_t n;

	STREAM_LEN = 0;
	while (data < end) {
		uint8_t order = *data++;

		n = order >> 2;
		switch ((enum order)(order & 3)) {
		case ORDER_BYTES:
			n = n < (size_t)(end - data) ? n + 1 : (size_t)(end - data);
			stream_add(data, n);
			data += n;
			break;
		case ORDER_FRAME:
			frame_add(number_read(&data, end, 3) % TCP_FRAME_MAX);
			break;
		case ORDER_FILLER:
			stream_add(NULL, number_read(&data, end, 2));
			break;
		case ORDER_SHORT:
			frame_add(n);
		}
	}
}

/* --- what has to come of it: the wire format once more, byte by byte --- */

static bool type_exists(uint8_t type)
{
	static const uint8_t types[] = { 0x01, 0x02, 0x03, 0x04, 0x05, 0x10, 0x11, 0x20,
					 0x21, 0x30, 0x31, 0x32, 0x40, 0x41, 0x50, 0x7f };

	return memchr(types, type, sizeof(types)) != NULL;
}

static void expected_set(struct run *r, uint32_t frame_max)
{
	size_t at = 0, rest, len;

	r->end = TCP_END_FIN;
	r->prefix = STREAM_LEN;
	for (; frame_max && at < STREAM_LEN && r->end == TCP_END_FIN; at += len) {
		rest = STREAM_LEN - at;
		len = rest < 4 ? 0 : (size_t)STREAM[at] << 24 | STREAM[at + 1] << 16 | STREAM[at + 2] << 8 | STREAM[at + 3];
		if (rest >= 4 && (len < 20 || len > frame_max))
			r->end = TCP_END_BAD_LEN;
		else if (rest >= 5 && STREAM[at + 4] != 1)
			r->end = TCP_END_BAD_VERSION;
		else if (rest >= 6 && !type_exists(STREAM[at + 5]))
			r->end = TCP_END_BAD_TYPE;
		else if (rest < 4 || rest - 4 < len)
			r->end = TCP_END_HALF_FRAME;
		if (r->end != TCP_END_FIN)
			r->prefix = at;
		len += 4;
	}
}

/* --- through the connections --- */

static void pair_open(struct run *r, struct tcp **t, int *other, uint32_t frame_max, size_t queue_max)
{
	int fds[2], ret;

	ret = socketpair(AF_UNIX, SOCK_STREAM, 0, fds);
	assert(!ret);
	ret = tcp_open(t, &r->shared, fds[0], frame_max, queue_max);
	assert(!ret);
	*other = fds[1];
}

/* Small steps, large ones, all there is: each happens often. */
static size_t any_len(struct run *r, size_t most)
{
	static const uint32_t limits[] = { 8, 100, 5000, 100000, UINT32_MAX };
	uint32_t limit = limits[chance_below(&r->chance, 5)];

	return chance_below(&r->chance, most < limit ? most + 1 : limit);
}

static void feed_step(struct run *r)
{
	ssize_t n = send(r->feed, STREAM + r->fed, any_len(r, STREAM_LEN - r->fed), MSG_DONTWAIT | MSG_NOSIGNAL);

	r->fed += n > 0 ? n : 0;
	if (r->fed == STREAM_LEN)
		shutdown(r->feed, SHUT_WR);
}

static void drain_step(struct run *r, size_t most)
{
	static uint8_t bytes[256 << 10];
	ssize_t n;
	int ret;

	ret = tcp_flush(r->to);
	assert(ret >= 0);
	n = recv(r->drain, bytes, most < sizeof(bytes) ? most : sizeof(bytes), MSG_DONTWAIT);
	if (n <= 0)
		return;
	assert(r->out + n <= r->prefix && !memcmp(bytes, STREAM + r->out, n));
	r->out += n;
}

/* Passes on some frames; what is handed out must follow what was passed on before. */
static void forward_step(struct run *r, unsigned int n)
{
	struct tcp_frame frame;
	uint64_t first = r->to->n_written + tcp_unsent(r->to); /* of the stream */
	int ret = 1;

	while (n-- && (ret = tcp_next(r->from, &frame)) == 1) {
		assert(frame.len && frame.len <= r->prefix - first);
		assert(!frame.data || !memcmp(frame.data, STREAM + first, frame.len));
		assert(!frame.header || !memcmp(frame.header, STREAM + first, sizeof(*frame.header)));
		assert(!frame.header == !r->from->frame_max);
		ret = tcp_forward(r->from, &frame, r->to);
		if (ret)
			break;
		first += frame.len;
		assert(r->to->n_written + tcp_unsent(r->to) == first);
	}
	assert(ret >= 0 || ret == -EPROTO || ret == -EAGAIN || ret == -ENOBUFS);
}

static void run_steps(struct run *r)
{
	unsigned int i;
	int ret;

	for (i = 0; r->from->end == TCP_END_NONE; i++) {
		assert(i < STEPS_MAX); /* it goes on */
		feed_step(r);
		ret = tcp_read(r->from);
		assert(ret >= 0 || ret == -ENOBUFS || r->from->end);
		forward_step(r, chance_of(&r->chance, 50) ? UINT32_MAX : chance_below(&r->chance, 4));
		tcp_keep(r->from);
		if (chance_of(&r->chance, 50))
			drain_step(r, any_len(r, UINT32_MAX - 1));
	}
	while (tcp_unsent(r->to))
		drain_step(r, SIZE_MAX);
	while (r->out < r->to->n_written)
		drain_step(r, SIZE_MAX);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	static const uint32_t frame_max[] = { TCP_FRAME_MAX, XSR_FRAME_LEN_MAX, 1000, 0 };
	struct run r = {};
	size_t room;
	int ret;

	if (len < 4)
		return 0;
	filler_make();
	orders_follow(data + 4, data + len);
	r.chance.state = data[2] << 8 | data[3];
	ret = tcp_shared_open(&r.shared, (size_t)(CHUNKS_MIN + 4 * data[1]) * CHUNK_LEN);
	assert(!ret);
	room = chunk_pool_room(r.shared.pool);
	pair_open(&r, &r.from, &r.feed, frame_max[data[0] & 3], 0);
	pair_open(&r, &r.to, &r.drain, frame_max[data[0] & 3], (size_t)1 << (data[0] >> 2) % 22);
	expected_set(&r, r.from->frame_max);
	run_steps(&r);
	assert(r.from->end == r.end && r.out == r.prefix);
	tcp_close(r.from);
	tcp_close(r.to);
	assert(chunk_pool_room(r.shared.pool) == room);
	close(r.feed);
	close(r.drain);
	tcp_shared_close(&r.shared);
	return 0;
}
