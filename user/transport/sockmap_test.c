/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Whether this kernel moves bytes rightly: some double them when a target takes less than it is given (6.8, 6.11, 6.13, 6.14 and others), and nothing
 * but trying tells.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "sockmap_parts.h"

#define N_SINKS 2
#define TEST_LEN (768u << 10)  /* bytes that are sent */
#define TEST_FRAME_MAX 100000 /* the len field of the longest frame */
#define TEST_SERVICE 0	      /* no service has this number */
#define TEST_BUF 65536	      /* of sockets, so that targets are full soon and take frames in parts */
#define SIP_LEN 3000	      /* bytes read at a time, while the target is to be full */
#define STUCK_NS 1000000000ULL /* longer than TCP's own timers */
#define LANE_SEQ 7

/* A connection to the router. */
struct test_end {
	int far; /* -1: not open */
	struct sockmap_socket *near;
	uint8_t *bytes; /* source: to be sent; sink: expected */
	size_t len, done;
};

struct test {
	struct sockmap *sm;
	struct test_end source, sinks[N_SINKS];
	int n_sinks;
	bool lane_seen;
	uint64_t progress_ns;
};

static int failed(char why[STREAM_WHY_LEN], int ret, const char *what)
{
	snprintf(why, STREAM_WHY_LEN, "self-test: %s", what);
	return ret;
}

/* --- what is sent --- */

static uint32_t test_chance(uint64_t *state, uint32_t n)
{
	*state = *state * 6364136223846793005ULL + 1442695040888963407ULL;
	return (uint32_t)(*state >> 33) % n;
}

static size_t frame_make(uint8_t *at, uint64_t *rng, uint64_t id, uint64_t seq, size_t payload_len)
{
	struct frame_words head = {
		.w[0] = be64_to_host((XSR_FRAME_LEN_MIN + payload_len) << 32 | (uint64_t)XSR_FRAME_VERSION << 24 | XSR_FRAME_ECHO_REQ << 16),
		.w[1] = be64_to_host(id),
		.w[2] = be64_to_host(seq),
	};
	size_t i;

	memcpy(at, &head, sizeof(head));
	for (i = 0; i < payload_len; i++)
		at[sizeof(head) + i] = test_chance(rng, 256);
	return sizeof(head) + payload_len;
}

/* Frames of two sessions, small ones many in a segment, large ones in many segments; what each sink must get of them. */
static void frames_make(struct test *t)
{
	struct test_end *source = &t->source;
	uint64_t rng = 1, seq = 1;

	while (source->len + TEST_FRAME_MAX + 4 < TEST_LEN) {
		uint32_t id = test_chance(&rng, N_SINKS);
		size_t payload_len = seq % 50 ? test_chance(&rng, 200) : TEST_FRAME_MAX - XSR_FRAME_LEN_MIN;
		struct test_end *sink = &t->sinks[id];
		size_t len = frame_make(source->bytes + source->len, &rng, id, seq++, payload_len);

		memcpy(sink->bytes + sink->len, source->bytes + source->len, len);
		source->len += len;
		sink->len += len;
	}
}

static void bytes_make(struct test *t)
{
	uint64_t rng = 1;
	size_t i;

	t->source.len = t->sinks[0].len = TEST_LEN;
	for (i = 0; i < TEST_LEN; i++)
		t->source.bytes[i] = t->sinks[0].bytes[i] = test_chance(&rng, 256);
}

/* --- connections --- */

static int end_open(struct test *t, struct test_end *e, enum sockmap_kind kind)
{
	int fds[2], small = TEST_BUF, ret = socket_pair(fds);

	if (!ret) {
		setsockopt(fds[0], SOL_SOCKET, SO_RCVBUF, &small, sizeof(small));
		setsockopt(fds[1], SOL_SOCKET, SO_SNDBUF, &small, sizeof(small));
		ret = sockmap_add(t->sm, fds[1], kind, TEST_SERVICE, TEST_FRAME_MAX, NULL, &e->near);
	}
	e->far = fds[0];
	if (ret && fds[1] >= 0)
		close(fds[1]);
	e->bytes = malloc(TEST_LEN);
	return e->bytes ? ret : -ENOMEM;
}

static int frames_open(struct test *t)
{
	struct sockmap_flow *flow;
	int ret = end_open(t, &t->source, SOCKMAP_CLIENT), i;

	for (i = 0; i < N_SINKS && !ret; i++) {
		ret = end_open(t, &t->sinks[i], SOCKMAP_LINK);
		if (!ret)
			ret = sockmap_flow_add(t->sm, TEST_SERVICE, i, t->source.near, t->sinks[i].near, false, false, NULL, &flow);
		if (!ret)
			ret = sockmap_start(t->sinks[i].near);
	}
	t->n_sinks = N_SINKS;
	return ret ? ret : sockmap_start(t->source.near);
}

static int splice_open(struct test *t)
{
	int ret = end_open(t, &t->source, SOCKMAP_PAIR);

	if (!ret)
		ret = end_open(t, &t->sinks[0], SOCKMAP_PAIR);
	if (ret)
		return ret;
	t->n_sinks = 1;
	sockmap_pair(t->source.near, t->sinks[0].near);
	ret = sockmap_start(t->sinks[0].near);
	return ret ? ret : sockmap_start(t->source.near);
}

static void end_close(struct test_end *e)
{
	if (e->far >= 0)
		close(e->far);
	free(e->bytes);
}

/* --- the bytes' way --- */

static void progress(struct test *t)
{
	t->progress_ns = sockmap_now_ns();
}

static void source_step(struct test *t)
{
	struct test_end *e = &t->source;
	ssize_t n = send(e->far, e->bytes + e->done, e->len - e->done, MSG_DONTWAIT | MSG_NOSIGNAL);

	if (n > 0) {
		e->done += n;
		progress(t);
	}
}

/* False if other bytes came than were sent. In the first half of them a sink takes little at a time. */
static bool sink_step(struct test *t, struct test_end *e)
{
	uint8_t bytes[65536];
	ssize_t n = recv(e->far, bytes, e->done < e->len / 2 ? SIP_LEN : sizeof(bytes), MSG_DONTWAIT);

	if (n <= 0)
		return true;
	progress(t);
	if ((size_t)n > e->len - e->done || memcmp(bytes, e->bytes + e->done, n))
		return false;
	e->done += n;
	return true;
}

static bool all_arrived(const struct test *t)
{
	int i;

	for (i = 0; i < t->n_sinks; i++)
		if (t->sinks[i].done < t->sinks[i].len)
			return false;
	return true;
}

/* Sleeps until something may have come, which the kernel's threads do that need this CPU. */
static void rest(const struct test *t)
{
	struct pollfd fds[N_SINKS + 1] = { { .fd = sockmap_fd(t->sm), .events = POLLIN } };
	int i;

	for (i = 0; i < t->n_sinks; i++)
		fds[i + 1] = (struct pollfd){ .fd = t->sinks[i].far, .events = POLLIN };
	poll(fds, t->n_sinks + 1, 1);
}

static int bytes_pass(struct test *t, char why[STREAM_WHY_LEN])
{
	int ret, i;

	for (progress(t); !all_arrived(t); rest(t)) {
		source_step(t);
		ret = sockmap_poll(t->sm);
		if (ret)
			return failed(why, ret, "the lane between the kernel's part and user space broke");
		for (i = 0; i < t->n_sinks; i++)
			if (!sink_step(t, &t->sinks[i]))
				return failed(why, -EILSEQ, "this kernel doubles, tears or reorders bytes that programs redirect");
		if (sockmap_now_ns() - t->progress_ns > STUCK_NS)
			return failed(why, -ETIMEDOUT, "bytes that programs redirect do not arrive on this kernel");
	}
	return 0;
}

/* Nothing may follow, and a frame of no session must come here. */
static int lane_passes(struct test *t, char why[STREAM_WHY_LEN])
{
	uint8_t frame[XSR_FRAME_HEADER_LEN], extra;
	uint64_t rng = 1;
	int i, ret = 0;

	frame_make(frame, &rng, N_SINKS, LANE_SEQ, 0);
	send(t->source.far, frame, sizeof(frame), MSG_DONTWAIT | MSG_NOSIGNAL);
	for (progress(t); !t->lane_seen && !ret && sockmap_now_ns() - t->progress_ns < STUCK_NS; rest(t))
		ret = sockmap_poll(t->sm);
	for (i = 0; i < t->n_sinks; i++)
		if (recv(t->sinks[i].far, &extra, 1, MSG_DONTWAIT) > 0)
			return failed(why, -EILSEQ, "this kernel doubles bytes that programs redirect");
	return t->lane_seen ? 0 : failed(why, -ETIMEDOUT, "a frame of no session does not reach user space on this kernel");
}

static void test_frame(const struct sockmap_frame *frame, void *arg)
{
	struct test *t = arg;

	t->lane_seen = frame->from == t->source.near && be64_to_host(frame->header->seq) == LANE_SEQ;
}

static void test_moved(struct sockmap_flow *flow, enum sockmap_way way, void *arg)
{
	(void)flow;
	(void)way;
	(void)arg;
}

int sockmap_self_test(struct stream *stream, enum xsr_stream_mode mode, char why[STREAM_WHY_LEN])
{
	static const struct sockmap_events events = { test_frame, test_moved, test_moved };
	struct test t = { .source.far = -1, .sinks = { { .far = -1 }, { .far = -1 } } };
	struct sockmap_options options = { .memory_max = 1 << 20, .rcvbuf = 65536, .events = &events, .arg = &t };
	bool frames = mode == XSR_STREAM_FRAMES;
	int ret, i;

	if (!stream_mode_works(stream, mode, why))
		return -EOPNOTSUPP;
	ret = sockmap_open(&t.sm, stream, &options, why);
	if (ret)
		return ret;
	ret = frames ? frames_open(&t) : splice_open(&t);
	if (ret) {
		failed(why, ret, strerror(-ret));
		goto out;
	}
	if (frames)
		frames_make(&t);
	else
		bytes_make(&t);
	ret = bytes_pass(&t, why);
	if (!ret && frames)
		ret = lane_passes(&t, why);
out:
	sockmap_close(t.sm);
	end_close(&t.source);
	for (i = 0; i < N_SINKS; i++)
		end_close(&t.sinks[i]);
	return ret;
}
