/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Frames one behind the other, and a connection through which they come. */
#ifndef XSR_TEST_STREAM_H
#define XSR_TEST_STREAM_H

#include <endian.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "chance.h"
#include "tcp.h"

#define STREAM_MEMORY (16u << 20)
#define STREAM_QUEUE_MAX (256u << 10)

struct stream {
	uint8_t *bytes;
	size_t len, room;
	uint64_t n_frames;
};

static inline void stream_free(struct stream *s)
{
	free(s->bytes);
	*s = (struct stream){};
}

static inline void stream_grow(struct stream *s, size_t len)
{
	if (s->len + len <= s->room)
		return;
	s->room = 2 * (s->len + len);
	s->bytes = realloc(s->bytes, s->room);
	assert_non_null(s->bytes);
}

static inline void stream_add_bytes(struct stream *s, const void *bytes, size_t len)
{
	stream_grow(s, len);
	memcpy(s->bytes + s->len, bytes, len);
	s->len += len;
}

/* `len` with the header. The payload follows from the frame's number: a byte from elsewhere is noticed. */
static inline void stream_add(struct stream *s, size_t len)
{
	struct xsr_frame header = {
		.len = htobe32(len - 4),
		.version = XSR_FRAME_VERSION,
		.type = XSR_FRAME_ECHO_REQ,
		.id = htobe64(42),
		.seq = htobe64(++s->n_frames),
	};
	struct chance chance = { .state = s->n_frames };
	size_t i;

	stream_add_bytes(s, &header, sizeof(header));
	stream_grow(s, len);
	for (i = s->len; i < s->len + len - sizeof(header); i++)
		s->bytes[i] = chance_next(&chance);
	s->len += len - sizeof(header);
}

static inline size_t stream_frame_len(const struct stream *s, size_t at)
{
	const struct xsr_frame *header = (const struct xsr_frame *)(s->bytes + at);

	return 4 + (size_t)be32toh(header->len);
}

/* Where the last frame ends that the first `len` bytes have as a whole. */
static inline size_t stream_whole(const struct stream *s, size_t len)
{
	size_t at = 0;

	while (at + XSR_FRAME_HEADER_LEN <= len && at + stream_frame_len(s, at) <= len)
		at += stream_frame_len(s, at);
	return at;
}

/* A connection over a socketpair; `peer` is its other end, a bare descriptor. */
struct stream_end {
	struct tcp *t;
	int peer;
	size_t at; /* how much of the stream was handed out */
};

static inline struct stream_end stream_open(struct tcp_shared *shared, uint32_t frame_max, size_t queue_max)
{
	struct stream_end end = {};
	int fds[2];

	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, fds), 0);
	assert_int_equal(tcp_open(&end.t, shared, fds[0], frame_max, queue_max), 0);
	end.peer = fds[1];
	return end;
}

static inline void stream_close(struct stream_end *end)
{
	tcp_close(end->t);
	if (end->peer >= 0)
		close(end->peer);
}

/* The other end writes; how much of it went. */
static inline size_t stream_feed(struct stream_end *end, const void *bytes, size_t len)
{
	ssize_t n = send(end->peer, bytes, len, MSG_DONTWAIT | MSG_NOSIGNAL);

	return n < 0 ? 0 : n;
}

static inline void stream_feed_all(struct stream_end *end, const void *bytes, size_t len)
{
	assert_int_equal(stream_feed(end, bytes, len), len);
}

/* The frame is the one that begins where the stream was handed out up to. */
static inline void stream_expect(const struct stream_end *end, const struct stream *s, const struct tcp_frame *frame)
{
	static uint8_t copy[4 + TCP_FRAME_MAX];
	size_t len = stream_frame_len(s, end->at);

	assert_int_equal(frame->len, len);
	assert_true(end->at + len <= s->len);
	assert_non_null(frame->header);
	assert_memory_equal(frame->header, s->bytes + end->at, XSR_FRAME_HEADER_LEN);
	if (len <= TCP_CONTIGUOUS_MAX) {
		assert_non_null(frame->data);
		assert_memory_equal(frame->data, s->bytes + end->at, len);
	} else {
		assert_null(frame->data);
		assert_true(end->t->in.len >= len);
	}
	tcp_frame_copy(end->t, frame, 5, copy, len - 5);
	assert_memory_equal(copy, s->bytes + end->at + 5, len - 5);
}

/* Takes up to n frames, which must be those that come next; returns how many there were. */
static inline unsigned int stream_take(struct stream_end *end, const struct stream *s, unsigned int n)
{
	struct tcp_frame frame;
	unsigned int i;

	for (i = 0; i < n && tcp_next(end->t, &frame) == 1; i++) {
		stream_expect(end, s, &frame);
		tcp_take(end->t, &frame);
		end->at += frame.len;
	}
	return i;
}

#endif /* XSR_TEST_STREAM_H */
