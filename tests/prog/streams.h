/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * What tests of moved connections share: a sockmap on the real programs, connections of this host to it, and threads that send and
 * receive frames whose every byte is known.
 */
#ifndef XSR_TEST_STREAMS_H
#define XSR_TEST_STREAMS_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <arpa/inet.h>
#include <endian.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "sockmap.h"

#define SERVICE 1
#define FRAME_MAX (1u << 20)
#define SESSIONS_MAX 4096
#define MEMORY_MAX (64u << 20)

static inline uint64_t now_ms(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return ts.tv_sec * 1000ULL + ts.tv_nsec / 1000000;
}

/* A small generator: the same numbers in every run. */
static inline uint32_t chance(uint64_t *state, uint32_t n)
{
	*state = *state * 6364136223846793005ULL + 1442695040888963407ULL;
	return (uint32_t)(*state >> 33) % n;
}

/* --- bytes that are known --- */

static uint8_t pattern[FRAME_MAX + 512];

static inline void pattern_fill(void)
{
	size_t i;

	for (i = 0; i < sizeof(pattern); i++)
		pattern[i] = (uint8_t)(i ^ i >> 8);
}

static inline const uint8_t *pattern_of(uint64_t id, uint64_t seq)
{
	return pattern + ((id * 31 + seq * 7) & 255);
}

/* Returns the frame's length. */
static inline size_t frame_fill(void *at, uint64_t id, uint64_t seq, uint8_t type, size_t payload_len)
{
	struct xsr_frame frame = {
		.len = htobe32(XSR_FRAME_LEN_MIN + payload_len),
		.version = XSR_FRAME_VERSION,
		.type = type,
		.flags = htobe16(0xa5a0),
		.id = htobe64(id),
		.seq = htobe64(seq),
	};

	memcpy(at, &frame, sizeof(frame));
	memcpy((char *)at + sizeof(frame), pattern_of(id, seq), payload_len);
	return sizeof(frame) + payload_len;
}

static inline bool frame_is_whole(const struct xsr_frame *frame)
{
	size_t len = be32toh(frame->len) - XSR_FRAME_LEN_MIN;

	return frame->version == XSR_FRAME_VERSION && be16toh(frame->flags) == 0xa5a0 &&
	       !memcmp(frame + 1, pattern_of(be64toh(frame->id), be64toh(frame->seq)), len);
}

/* --- connections --- */

struct ends {
	int near, far; /* near: the router's */
};

static inline struct ends ends_connect(void)
{
	struct sockaddr_in addr = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	int on = 1, listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	socklen_t len = sizeof(addr);
	struct ends e;

	assert_false(bind(listener, (struct sockaddr *)&addr, sizeof(addr)) || listen(listener, 1));
	assert_false(getsockname(listener, (struct sockaddr *)&addr, &len));
	e.far = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	assert_false(connect(e.far, (struct sockaddr *)&addr, sizeof(addr)));
	e.near = accept4(listener, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
	assert_true(e.near >= 0);
	setsockopt(e.far, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
	setsockopt(e.near, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
	close(listener);
	return e;
}

/* --- the router --- */

struct router {
	struct stream *stream;
	struct sockmap *sm;
	uint64_t n_slow_frames, n_drained, n_released;
	void (*on_frame)(const struct sockmap_frame *frame, void *arg);
	void (*on_drained)(struct sockmap_flow *flow, enum sockmap_way way, void *arg);
	void *arg;
};

static inline void router_frame(const struct sockmap_frame *frame, void *arg)
{
	struct router *r = arg;

	r->n_slow_frames++;
	if (r->on_frame)
		r->on_frame(frame, r->arg);
}

static inline void router_drained(struct sockmap_flow *flow, enum sockmap_way way, void *arg)
{
	struct router *r = arg;

	r->n_drained++;
	if (r->on_drained)
		r->on_drained(flow, way, r->arg);
}

static inline void router_released(struct sockmap_flow *flow, enum sockmap_way way, void *arg)
{
	struct router *r = arg;

	(void)flow;
	(void)way;
	r->n_released++;
}

static inline void router_open_with(struct router *r, struct sockmap_options options)
{
	static const struct sockmap_events events = { router_frame, router_drained, router_released };
	struct stream_options stream_options = { .sockets_max = 4096, .flows_max = 2 * SESSIONS_MAX };
	char why[STREAM_WHY_LEN] = "";

	*r = (struct router){};
	pattern_fill();
	if (stream_open(&r->stream, &stream_options, why)) {
		printf("%s\n", why);
		exit(77);
	}
	if (!stream_mode_works(r->stream, XSR_STREAM_FRAMES, why)) {
		printf("%s\n", why);
		exit(77);
	}
	options.memory_max = options.memory_max ?: MEMORY_MAX;
	options.events = &events;
	options.arg = r;
	if (sockmap_open(&r->sm, r->stream, &options, why))
		fail_msg("%s", why);
}

static inline void router_open(struct router *r)
{
	router_open_with(r, (struct sockmap_options){});
}

static inline void router_close(struct router *r)
{
	sockmap_close(r->sm);
	stream_close(r->stream);
}

/* A turn of its thread: sleeps up to timeout_ms. */
static inline void router_turn(struct router *r, int timeout_ms)
{
	struct pollfd fd = { .fd = sockmap_fd(r->sm), .events = POLLIN };

	if (sockmap_busy(r->sm) && timeout_ms > 10)
		timeout_ms = 10;
	poll(&fd, 1, timeout_ms);
	assert_int_equal(sockmap_poll(r->sm), 0);
}

static inline void router_run(struct router *r, int ms)
{
	uint64_t end = now_ms() + ms;

	while (now_ms() < end)
		router_turn(r, 5);
}

static inline struct sockmap_socket *router_add(struct router *r, int near, enum sockmap_kind kind, uint32_t frame_max)
{
	struct sockmap_socket *s;

	assert_int_equal(sockmap_add(r->sm, near, kind, SERVICE, frame_max, NULL, &s), 0);
	return s;
}

/* Joined and started. */
static inline struct sockmap_socket *router_join(struct router *r, enum sockmap_kind kind, int *far)
{
	struct ends e = ends_connect();
	struct sockmap_socket *s = router_add(r, e.near, kind, FRAME_MAX);

	assert_int_equal(sockmap_start(s), 0);
	*far = e.far;
	return s;
}

static inline struct sockmap_flow *router_flow(struct router *r, uint64_t id, struct sockmap_socket *client, struct sockmap_socket *link)
{
	struct sockmap_flow *flow;

	assert_int_equal(sockmap_flow_add(r->sm, SERVICE, id, client, link, false, false, NULL, &flow), 0);
	return flow;
}

static inline void router_flow_end(struct router *r, uint64_t id)
{
	sockmap_flow_remove(sockmap_flow_find(r->sm, SERVICE, id));
}

/* --- those who send --- */

struct sender {
	pthread_t thread;
	int fd;
	uint64_t seed, first_id, n_ids; /* its sessions */
	uint64_t n_bytes;		/* to send, at least */
	uint32_t payload_max, cut_max;	/* 0 = not cut */
	uint64_t sent_bytes, sent_frames;
	_Atomic bool stop;
	uint64_t seqs[SESSIONS_MAX];
	uint32_t pause_us;
	int error;
	_Atomic bool ended;
};

static inline int write_all(int fd, const void *data, size_t len)
{
	while (len) {
		ssize_t n = send(fd, data, len, MSG_NOSIGNAL);

		if (n < 0)
			return -errno;
		data = (const char *)data + n;
		len -= n;
	}
	return 0;
}

static inline int write_cut(struct sender *s, const uint8_t *data, size_t len)
{
	size_t n;
	int ret;

	for (; len; data += n, len -= n) {
		n = s->cut_max ? 1 + chance(&s->seed, s->cut_max) : len;
		if (n > len)
			n = len;
		ret = write_all(s->fd, data, n);
		if (ret)
			return ret;
	}
	return 0;
}

/* Many small ones, some large. */
static inline uint32_t payload_len(struct sender *s)
{
	uint32_t most = chance(&s->seed, 64) ? (s->payload_max < 2000 ? s->payload_max : 2000) : s->payload_max;

	return most ? chance(&s->seed, most + 1) : 0;
}

static inline void *sender_run(void *arg)
{
	struct sender *s = arg;
	size_t len, room = FRAME_MAX + (256 << 10);
	uint8_t *buf = malloc(room);

	while (s->sent_bytes < s->n_bytes && !s->stop && !s->error) {
		for (len = 0; len < 65536 && s->sent_bytes < s->n_bytes && !s->stop;) {
			uint64_t i = chance(&s->seed, s->n_ids);
			size_t n = frame_fill(buf + len, s->first_id + i, ++s->seqs[i], XSR_FRAME_ECHO_REQ, payload_len(s));

			s->sent_bytes += n;
			s->sent_frames++;
			len += n;
			if (s->pause_us)
				break;
		}
		s->error = write_cut(s, buf, len);
		if (s->pause_us)
			usleep(s->pause_us);
	}
	free(buf);
	s->ended = true;
	return NULL;
}

static inline void sender_start(struct sender *s)
{
	assert_false(pthread_create(&s->thread, NULL, sender_run, s));
}

/* --- those who receive: every frame must be whole, and the next of its session --- */

struct receiver {
	pthread_t thread;
	int fd;
	_Atomic uint64_t bytes, frames;
	_Atomic uint64_t torn, lost, again; /* frames */
	uint32_t pause_us;		    /* after each piece; 0 = none */
	uint64_t *seqs;			    /* of the last frame, by ID; may be shared if sessions move */
	_Atomic bool ended;
};

static inline void receiver_take(struct receiver *r, const struct xsr_frame *frame)
{
	uint64_t id = be64toh(frame->id), seq = be64toh(frame->seq);

	r->frames++;
	if (id >= SESSIONS_MAX || !frame_is_whole(frame)) {
		r->torn++;
		return;
	}
	if (seq <= r->seqs[id])
		r->again++;
	else if (seq != r->seqs[id] + 1)
		r->lost++;
	r->seqs[id] = seq;
}

static inline void *receiver_run(void *arg)
{
	struct receiver *r = arg;
	size_t have = 0, at, room = 4 << 20, piece = r->pause_us ? 1 << 16 : room;
	uint8_t *buf = malloc(room);
	ssize_t n;

	while ((n = recv(r->fd, buf + have, room - have < piece ? room - have : piece, 0)) > 0) {
		have += n;
		for (at = 0; have - at >= XSR_FRAME_HEADER_LEN;) {
			const struct xsr_frame *frame = (void *)(buf + at);
			size_t len = 4 + (size_t)be32toh(frame->len);

			if (len < XSR_FRAME_HEADER_LEN || len > FRAME_MAX + 4) {
				r->torn++;
				goto out; /* what follows is no frame */
			}
			if (have - at < len)
				break;
			receiver_take(r, frame);
			at += len;
		}
		have -= at;
		memmove(buf, buf + at, have);
		r->bytes += n; /* who waits for them wants them judged */
		if (r->pause_us)
			usleep(r->pause_us);
	}
	r->torn += have != 0;
out:
	free(buf);
	r->ended = true;
	return NULL;
}

static inline void receiver_start(struct receiver *r, int fd, uint64_t *seqs)
{
	r->fd = fd;
	r->seqs = seqs;
	assert_false(pthread_create(&r->thread, NULL, receiver_run, r));
}

static inline void receiver_expect_exact(const struct receiver *r)
{
	assert_int_equal(r->torn, 0);
	assert_int_equal(r->lost, 0);
	assert_int_equal(r->again, 0);
}

#endif /* XSR_TEST_STREAMS_H */
