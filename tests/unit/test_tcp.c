/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* tcp.h: bytes in any cut become frames, and nothing is lost when memory or a queue is full. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <cmocka.h>

#include "stream.h"

#define N_ALL UINT32_MAX
#define DATA_LEN CHUNK_LEN

static struct tcp_shared SHARED;
static size_t ROOM; /* of its pool, when nothing is queued */

static int memory_open(size_t len)
{
	int ret = tcp_shared_open(&SHARED, len);

	ROOM = ret ? 0 : chunk_pool_room(SHARED.pool);
	return ret;
}

static int setup(void **state)
{
	(void)state;
	return memory_open(STREAM_MEMORY);
}

/* Every test gives back all that it took. */
static int teardown(void **state)
{
	bool whole = chunk_pool_room(SHARED.pool) == ROOM && !SHARED.reader;

	(void)state;
	tcp_shared_close(&SHARED);
	return whole ? 0 : -1;
}

/* In place of the memory that the set-up made. */
static void memory_limit(size_t n_chunks)
{
	tcp_shared_close(&SHARED);
	assert_int_equal(memory_open(n_chunks * CHUNK_LEN), 0);
}

static struct stream_end end_open(void)
{
	return stream_open(&SHARED, TCP_FRAME_MAX, STREAM_QUEUE_MAX);
}

/* --- cuts --- */

/* What was fed comes out as soon as it is whole, and no sooner. */
static void feed_and_take(struct stream_end *end, const struct stream *s, size_t from, size_t to)
{
	struct tcp_frame frame;

	while (from < to) {
		from += stream_feed(end, s->bytes + from, to - from);
		while (tcp_read(end->t) > 0)
			stream_take(end, s, N_ALL);
		assert_int_equal(tcp_next(end->t, &frame), 0);
		assert_int_equal(end->t->end, TCP_END_NONE);
		tcp_keep(end->t);
		assert_int_equal(end->at, stream_whole(s, from));
		assert_int_equal(end->t->in.len, from - end->at);
		assert_int_equal(end->t->n_read, from);
	}
}

static void short_frames_come_whole_at_every_two_cuts(void **state)
{
	struct stream s = {};
	size_t i, j;

	(void)state;
	stream_add(&s, 24);
	stream_add(&s, 25);
	stream_add(&s, 60);
	for (i = 0; i <= s.len; i++) {
		for (j = i; j <= s.len; j++) {
			struct stream_end end = end_open();

			feed_and_take(&end, &s, 0, i);
			feed_and_take(&end, &s, i, j);
			feed_and_take(&end, &s, j, s.len);
			assert_int_equal(end.at, s.len);
			stream_close(&end);
		}
	}
	stream_free(&s);
}

/* Lengths at which something changes: a chunk, two of them, what is handed out in one piece, what is read at once, the most. */
static const size_t EDGES[] = {
	24, 25, DATA_LEN, 2 * DATA_LEN, TCP_CONTIGUOUS_MAX, TCP_CONTIGUOUS_MAX + 4, 256 << 10, TCP_FRAME_MAX,
};

static void frames_of_every_edge_come_whole_at_every_edge(void **state)
{
	const size_t n = sizeof(EDGES) / sizeof(EDGES[0]);
	size_t i, j;
	int more;

	(void)state;
	for (i = 0; i < n * n; i++) {
		for (more = -1; more <= 1; more++) {
			struct stream_end end = end_open();
			struct stream s = {};

			stream_add(&s, EDGES[i % n] + (more > 0 || i % n ? more : 0));
			stream_add(&s, EDGES[i / n]);
			stream_add(&s, 24);
			for (j = 0; j < n && EDGES[j] < s.len; j++)
				feed_and_take(&end, &s, j ? EDGES[j - 1] : 0, EDGES[j]);
			feed_and_take(&end, &s, EDGES[j - 1], s.len);
			assert_int_equal(end.at, s.len);
			stream_close(&end);
			stream_free(&s);
		}
	}
}

static void byte_by_byte_is_enough(void **state)
{
	struct stream_end end = end_open();
	struct stream s = {};
	size_t i;

	(void)state;
	stream_add(&s, 24);
	stream_add(&s, DATA_LEN + 10);
	stream_add(&s, TCP_CONTIGUOUS_MAX + 1);
	stream_add(&s, 100);
	for (i = 0; i < s.len; i++)
		feed_and_take(&end, &s, i, i + 1);
	assert_int_equal(end.at, s.len);
	stream_close(&end);
	stream_free(&s);
}

static size_t any_length(struct chance *chance)
{
	static const uint32_t most[] = { 64, 64, 1500, 1500, DATA_LEN + 100, 3 * TCP_CONTIGUOUS_MAX / 2, TCP_FRAME_MAX };

	return chance_from(chance, XSR_FRAME_HEADER_LEN, most[chance_below(chance, 7)]);
}

static void any_frames_in_any_cut_come_whole(void **state)
{
	struct chance chance = { .state = 7 };
	unsigned int i, k;

	(void)state;
	for (k = 0; k < 8; k++) {
		struct stream_end end = end_open();
		struct stream s = {};
		size_t at, to;

		for (i = 0; i < 60; i++)
			stream_add(&s, any_length(&chance));
		for (at = 0; at < s.len; at = to) {
			to = at + 1 + chance_below(&chance, chance_of(&chance, 30) ? 200 : 100000);
			to = to < s.len ? to : s.len;
			feed_and_take(&end, &s, at, to);
		}
		assert_int_equal(end.at, s.len);
		stream_close(&end);
		stream_free(&s);
	}
}

/* --- a caller that stops --- */

static void frames_that_were_kept_come_again_before_anything_is_read(void **state)
{
	struct stream_end end = end_open();
	struct tcp_frame frame;
	struct stream s = {};
	unsigned int i;

	(void)state;
	stream_add(&s, 100);
	stream_add(&s, 200);
	stream_add(&s, 300);
	stream_feed_all(&end, s.bytes, 350);
	assert_int_equal(tcp_read(end.t), 350);
	for (i = 0; i < 3; i++) {
		assert_int_equal(tcp_next(end.t, &frame), 1);
		stream_expect(&end, &s, &frame);
		tcp_keep(end.t);
	}
	stream_feed_all(&end, s.bytes + 350, 250);
	assert_int_equal(tcp_read(end.t), 0);
	assert_int_equal(end.t->n_read, 350);
	assert_int_equal(stream_take(&end, &s, 1), 1);
	assert_int_equal(tcp_read(end.t), 0);
	assert_int_equal(stream_take(&end, &s, N_ALL), 1);
	assert_int_equal(tcp_read(end.t), 250);
	assert_int_equal(stream_take(&end, &s, N_ALL), 1);
	assert_int_equal(tcp_read(end.t), 0);
	stream_close(&end);
	stream_free(&s);
}

/* Reads while it takes only some frames, or none. */
static void read_with_pauses(struct stream_end *end, const struct stream *s, struct chance *chance)
{
	size_t fed = 0;

	while (end->at < s->len) {
		fed += stream_feed(end, s->bytes + fed, chance_below(chance, s->len - fed + 1));
		if (chance_of(chance, 70))
			assert_true(tcp_read(end->t) >= 0);
		stream_take(end, s, chance_below(chance, 4));
		if (chance_of(chance, 50))
			tcp_keep(end->t);
		assert_true(end->at + end->t->in.len <= fed);
	}
}

static void pauses_lose_nothing(void **state)
{
	struct chance chance = { .state = 11 };
	unsigned int i, k;

	(void)state;
	for (k = 0; k < 20; k++) {
		struct stream_end end = end_open();
		struct stream s = {};

		for (i = 0; i < 40; i++)
			stream_add(&s, any_length(&chance));
		read_with_pauses(&end, &s, &chance);
		stream_close(&end);
		stream_free(&s);
	}
}

static void kept_bytes_are_no_more_than_was_read_at_once_and_a_frame(void **state)
{
	struct stream_end end = end_open();
	struct stream s = {};
	size_t fed = 0;
	unsigned int i;

	(void)state;
	for (i = 0; i < 100; i++)
		stream_add(&s, 50000);
	for (i = 0; i < 100; i++) {
		fed += stream_feed(&end, s.bytes + fed, s.len - fed);
		assert_true(tcp_read(end.t) >= 0);
		tcp_keep(end.t);
	}
	assert_true(end.t->in.len <= SHARED.read_len);
	assert_int_equal(end.t->in.len, end.t->n_read);
	stream_close(&end);
	stream_free(&s);
}

static void connection_may_close_between_reading_and_keeping(void **state)
{
	struct stream_end end = end_open();
	struct tcp_frame frame;
	struct stream s = {};

	(void)state;
	stream_add(&s, 100);
	stream_add(&s, 100);
	stream_feed_all(&end, s.bytes, s.len);
	assert_int_equal(tcp_read(end.t), s.len);
	assert_int_equal(tcp_next(end.t, &frame), 1);
	stream_close(&end);
	stream_free(&s);
}

/* --- from one to the other --- */

struct relay {
	struct stream_end from, to;
	struct stream s;
	uint8_t *out; /* what came out of the other end */
	size_t fed, out_len;
};

static struct relay relay_open(size_t queue_max)
{
	return (struct relay){ .from = end_open(), .to = stream_open(&SHARED, TCP_FRAME_MAX, queue_max) };
}

static void relay_close(struct relay *r)
{
	stream_close(&r->from);
	stream_close(&r->to);
	stream_free(&r->s);
	free(r->out);
}

/* The next frame is passed on; what tcp_forward() or tcp_next() says if not. */
static int relay_forward(struct relay *r)
{
	struct tcp_frame frame;
	int ret = tcp_next(r->from.t, &frame);

	if (ret != 1)
		return ret ?: -ENOENT;
	stream_expect(&r->from, &r->s, &frame);
	ret = tcp_forward(r->from.t, &frame, r->to.t);
	if (!ret)
		r->from.at += frame.len;
	return ret;
}

/* The reader behind it takes up to len bytes. */
static void relay_drain(struct relay *r, size_t len)
{
	ssize_t n;

	if (!r->out)
		r->out = malloc(r->s.len);
	assert_non_null(r->out);
	assert_true(tcp_flush(r->to.t) >= 0);
	len = len < r->s.len - r->out_len ? len : r->s.len - r->out_len;
	n = recv(r->to.peer, r->out + r->out_len, len, MSG_DONTWAIT);
	r->out_len += n > 0 ? n : 0;
}

static void relay_drain_all(struct relay *r)
{
	while (r->out_len < r->s.len) {
		relay_drain(r, r->s.len);
		while (!relay_forward(r))
			;
	}
	assert_memory_equal(r->out, r->s.bytes, r->s.len);
}

static void relay_feed(struct relay *r)
{
	stream_feed_all(&r->from, r->s.bytes + r->fed, r->s.len - r->fed);
	r->fed = r->s.len;
	assert_true(tcp_read(r->from.t) > 0);
}

static void full_target_takes_nothing_and_the_frame_stays(void **state)
{
	struct relay r = relay_open(250);

	(void)state;
	stream_add(&r.s, 100);
	stream_add(&r.s, 150);
	stream_add(&r.s, 24);
	relay_feed(&r);
	assert_int_equal(relay_forward(&r), 0);
	assert_int_equal(relay_forward(&r), 0);
	assert_int_equal(tcp_unsent(r.to.t), 250);
	assert_int_equal(relay_forward(&r), -EAGAIN);
	assert_false(tcp_has_room(r.to.t, 1));
	assert_int_equal(tcp_send(r.to.t, r.s.bytes, 24), -EAGAIN);
	assert_int_equal(tcp_unsent(r.to.t), 250);
	tcp_keep(r.from.t);
	assert_int_equal(relay_forward(&r), -EAGAIN);
	assert_int_equal(r.from.t->in.len, 24);
	assert_int_equal(tcp_flush(r.to.t), 1);
	assert_true(tcp_has_room(r.to.t, 1));
	assert_int_equal(relay_forward(&r), 0);
	assert_int_equal(relay_forward(&r), -ENOENT);
	relay_drain_all(&r);
	relay_close(&r);
}

static void empty_target_takes_a_frame_of_any_length(void **state)
{
	struct relay r = relay_open(100);

	(void)state;
	stream_add(&r.s, 15000);
	stream_add(&r.s, 24);
	relay_feed(&r);
	assert_true(tcp_has_room(r.to.t, TCP_FRAME_MAX));
	assert_int_equal(relay_forward(&r), 0);
	assert_int_equal(tcp_unsent(r.to.t), 15000);
	assert_int_equal(relay_forward(&r), -EAGAIN);
	relay_drain_all(&r);
	relay_close(&r);
}

/* From where it was read to, with nothing queued, unless the socket said that it takes no more. */
static void what_is_long_and_first_is_written_at_once(void **state)
{
	struct relay r = relay_open(STREAM_QUEUE_MAX);
	unsigned int i;

	(void)state;
	for (i = 0; i < 4; i++)
		stream_add(&r.s, i == 1 ? 100 : 30000);
	relay_feed(&r);
	assert_int_equal(relay_forward(&r), 0);
	assert_int_equal(r.to.t->n_written, 30000);
	assert_int_equal(tcp_unsent(r.to.t), 0);
	assert_int_equal(relay_forward(&r), 0);
	assert_int_equal(relay_forward(&r), 0); /* not before what is queued */
	assert_int_equal(tcp_unsent(r.to.t), 30100);
	assert_int_equal(tcp_flush(r.to.t), 1);
	r.to.t->is_blocked = true;
	assert_int_equal(relay_forward(&r), 0);
	assert_int_equal(tcp_unsent(r.to.t), 30000);
	relay_drain_all(&r);
	relay_close(&r);
}

static void long_frame_is_read_up_to_its_end(void **state)
{
	struct stream_end end = end_open();
	struct stream s = {};

	(void)state;
	stream_add(&s, 100000);
	stream_add(&s, 100);
	stream_feed_all(&end, s.bytes, 10);
	assert_int_equal(tcp_read(end.t), 10);
	tcp_keep(end.t);
	stream_feed_all(&end, s.bytes + 10, s.len - 10);
	assert_int_equal(tcp_read(end.t), 99990);
	assert_int_equal(stream_take(&end, &s, N_ALL), 1);
	assert_int_equal(tcp_read(end.t), 100);
	assert_int_equal(stream_take(&end, &s, N_ALL), 1);
	stream_close(&end);
	stream_free(&s);
}

/* In tight memory, and behind the long frame are others, which were read with it. */
static void long_frame_moves_without_a_copy(void **state)
{
	struct relay r;

	(void)state;
	memory_limit(60);
	r = relay_open(STREAM_QUEUE_MAX);
	stream_add(&r.s, 100);
	stream_add(&r.s, 120000);
	stream_add(&r.s, 100);
	relay_feed(&r);
	assert_int_equal(relay_forward(&r), 0);
	assert_true(chunk_pool_room(SHARED.pool) < 120000);
	assert_int_equal(relay_forward(&r), 0);
	assert_int_equal(tcp_unsent(r.to.t) + r.to.t->n_written, 120100);
	assert_int_equal(relay_forward(&r), 0);
	relay_drain_all(&r);
	relay_close(&r);
}

static void long_frame_stays_when_the_target_is_full(void **state)
{
	struct relay r = relay_open(100000);

	(void)state;
	stream_add(&r.s, 50);
	stream_add(&r.s, 100000);
	stream_add(&r.s, 50);
	relay_feed(&r);
	assert_int_equal(relay_forward(&r), 0);
	assert_int_equal(relay_forward(&r), -EAGAIN);
	assert_int_equal(r.from.t->in.len, 100050);
	tcp_keep(r.from.t);
	assert_int_equal(tcp_read(r.from.t), 0);
	assert_int_equal(relay_forward(&r), -EAGAIN);
	assert_int_equal(tcp_unsent(r.to.t), 50);
	relay_drain_all(&r);
	relay_close(&r);
}

static void relay_step(struct relay *r, struct chance *chance)
{
	unsigned int i, n = chance_below(chance, 6);

	r->fed += stream_feed(&r->from, r->s.bytes + r->fed, chance_below(chance, r->s.len - r->fed + 1));
	assert_true(tcp_read(r->from.t) >= 0 || chunk_pool_room(SHARED.pool) <= SHARED.spare);
	for (i = 0; i < n && !relay_forward(r); i++)
		;
	tcp_keep(r->from.t);
	if (chance_of(chance, 40))
		relay_drain(r, chance_below(chance, 400000));
	assert_true(tcp_unsent(r->to.t) <= r->to.t->queue_max || tcp_unsent(r->to.t) <= TCP_FRAME_MAX + 4);
}

static void relay_play(uint64_t seed, size_t n_chunks)
{
	struct chance chance = { .state = seed };
	struct relay r;
	unsigned int i;

	memory_limit(n_chunks);
	r = relay_open(chance_from(&chance, 1, STREAM_QUEUE_MAX));
	for (i = 0; i < 50; i++)
		stream_add(&r.s, any_length(&chance));
	while (r.out_len < r.s.len)
		relay_step(&r, &chance);
	assert_memory_equal(r.out, r.s.bytes, r.s.len);
	assert_int_equal(r.to.t->n_written, r.s.len);
	relay_close(&r);
	assert_int_equal(chunk_pool_room(SHARED.pool), ROOM);
}

static void relay_loses_nothing_when_queues_fill(void **state)
{
	uint64_t seed;

	(void)state;
	for (seed = 1; seed <= 15; seed++)
		relay_play(seed, STREAM_MEMORY / CHUNK_LEN);
}

/* Just enough for the longest frame, and the next. */
static void relay_loses_nothing_when_memory_is_short(void **state)
{
	uint64_t seed;

	(void)state;
	for (seed = 1; seed <= 15; seed++)
		relay_play(seed, 320 + 20 * seed);
}

/* --- memory --- */

/* Somebody else has all but n chunks. */
static void memory_take(struct chunk_queue *q, size_t n_chunks)
{
	static const uint8_t byte;

	while (chunk_pool_room(SHARED.pool) > n_chunks * DATA_LEN) {
		struct chunk_queue one = {};

		assert_true(chunk_append(SHARED.pool, &one, &byte, 1));
		chunk_join(q, &one);
	}
}

static void memory_give(struct chunk_queue *q)
{
	chunk_drop(SHARED.pool, q, q->len);
}

static size_t n_spare(void)
{
	return SHARED.spare / DATA_LEN;
}

static void nothing_is_read_without_memory_and_nothing_is_lost(void **state)
{
	struct stream_end end = end_open();
	struct chunk_queue others = {};
	struct stream s = {};

	(void)state;
	stream_add(&s, 200);
	memory_take(&others, n_spare());
	stream_feed_all(&end, s.bytes, s.len);
	assert_int_equal(tcp_read(end.t), -ENOBUFS);
	assert_int_equal(tcp_read(end.t), -ENOBUFS);
	assert_int_equal(end.t->end, TCP_END_NONE);
	assert_int_equal(stream_take(&end, &s, N_ALL), 0);
	memory_give(&others);
	assert_int_equal(tcp_read(end.t), 200);
	assert_int_equal(stream_take(&end, &s, N_ALL), 1);
	stream_close(&end);
	stream_free(&s);
}

/* For each number of free chunks. */
static void no_more_is_read_than_can_be_kept(void **state)
{
	struct stream s = {};
	size_t n;

	(void)state;
	stream_add(&s, 10);
	s.len = 0;
	stream_add(&s, 30000);
	stream_add(&s, 30001);
	stream_add(&s, 100000);
	for (n = 1; n < 40; n++) {
		struct stream_end end = end_open();
		struct chunk_queue others = {};
		size_t most = n * DATA_LEN < s.len ? n * DATA_LEN : s.len;

		memory_take(&others, n_spare() + n);
		stream_feed_all(&end, s.bytes, s.len);
		assert_int_equal(tcp_read(end.t), most);
		tcp_keep(end.t);
		assert_int_equal(end.t->in.len, most);
		assert_true(chunk_pool_room(SHARED.pool) >= SHARED.spare);
		assert_int_equal(tcp_read(end.t), stream_whole(&s, most) ? 0 : -ENOBUFS);
		memory_give(&others);
		while (end.at < s.len) {
			stream_take(&end, &s, N_ALL);
			assert_true(tcp_read(end.t) >= 0);
		}
		stream_close(&end);
	}
	stream_free(&s);
}

/* One of them gets what is kept back: else none of them might become whole. */
static void long_frames_wait_for_memory_but_for_one(void **state)
{
	struct stream_end one = end_open(), two = end_open();
	struct chunk_queue others = {};
	struct stream s = {};

	(void)state;
	stream_add(&s, 150000);
	stream_feed_all(&one, s.bytes, 1000);
	stream_feed_all(&two, s.bytes, 1000);
	assert_int_equal(tcp_read(one.t), 1000);
	tcp_keep(one.t);
	assert_int_equal(tcp_read(two.t), 1000);
	tcp_keep(two.t);
	memory_take(&others, n_spare() + 3);
	stream_feed_all(&one, s.bytes + 1000, 50000);
	stream_feed_all(&two, s.bytes + 1000, s.len - 1000);
	assert_int_equal(tcp_read(one.t), 50000);
	assert_int_equal(tcp_read(two.t), -ENOBUFS);
	stream_feed_all(&one, s.bytes + 51000, s.len - 51000);
	assert_int_equal(tcp_read(one.t), s.len - 51000);
	assert_int_equal(stream_take(&one, &s, 1), 1);
	assert_true(tcp_read(two.t) > 0);
	stream_close(&two); /* gives it back */
	two = end_open();
	stream_feed_all(&two, s.bytes, s.len);
	memory_give(&others);
	while (two.at < s.len) {
		assert_true(tcp_read(two.t) > 0);
		stream_take(&two, &s, N_ALL);
	}
	stream_close(&one);
	stream_close(&two);
	stream_free(&s);
}

static void what_was_read_is_kept_whatever_others_take_meanwhile(void **state)
{
	struct stream_end end = end_open();
	struct chunk_queue others = {};
	struct stream s = {};

	(void)state;
	stream_add(&s, 40000);
	stream_add(&s, 70000);
	stream_add(&s, 24);
	stream_feed_all(&end, s.bytes, s.len);
	assert_int_equal(tcp_read(end.t), s.len);
	memory_take(&others, 0);
	assert_int_equal(stream_take(&end, &s, 1), 1);
	memory_take(&others, 0);
	assert_int_equal(stream_take(&end, &s, 1), 1);
	memory_take(&others, 0);
	tcp_keep(end.t);
	assert_int_equal(stream_take(&end, &s, N_ALL), 1);
	memory_give(&others);
	stream_close(&end);
	stream_free(&s);
}

static void memory_of_frames_that_were_taken_is_free_at_once(void **state)
{
	struct stream_end end = end_open();
	struct stream s = {};
	size_t i;

	(void)state;
	for (i = 0; i < 10; i++)
		stream_add(&s, DATA_LEN);
	stream_feed_all(&end, s.bytes, s.len);
	assert_int_equal(tcp_read(end.t), s.len);
	for (i = 0; i < 10; i++) {
		assert_int_equal(chunk_pool_room(SHARED.pool), ROOM - (10 - i) * DATA_LEN);
		assert_int_equal(stream_take(&end, &s, 1), 1);
	}
	stream_close(&end);
	stream_free(&s);
}

static void frame_goes_on_in_the_memory_that_it_was_to_be_kept_in(void **state)
{
	struct relay r = relay_open(STREAM_QUEUE_MAX);
	struct chunk_queue others = {};

	(void)state;
	stream_add(&r.s, 5000);
	relay_feed(&r);
	memory_take(&others, 0);
	assert_int_equal(relay_forward(&r), 0);
	memory_give(&others);
	relay_drain_all(&r);
	relay_close(&r);
}

static void frame_that_could_not_go_on_is_kept_whatever_others_take(void **state)
{
	struct relay r = relay_open(STREAM_QUEUE_MAX);
	struct chunk_queue others = {};

	(void)state;
	stream_add(&r.s, 4 * DATA_LEN + 100); /* together they need one chunk less than alone */
	stream_add(&r.s, 4 * DATA_LEN + 100);
	relay_feed(&r);
	memory_take(&others, 0);
	assert_int_equal(relay_forward(&r), -ENOBUFS);
	memory_take(&others, 0);
	tcp_keep(r.from.t);
	memory_give(&others);
	relay_drain_all(&r);
	relay_close(&r);
}

static void empty_pool_takes_no_frame_even_for_an_empty_queue(void **state)
{
	struct relay r = relay_open(STREAM_QUEUE_MAX);
	struct chunk_queue others = {};

	(void)state;
	stream_add(&r.s, 5000);
	stream_add(&r.s, 5000);
	relay_feed(&r);
	memory_take(&others, 0);
	assert_false(tcp_has_room(r.to.t, 1));
	assert_int_equal(tcp_send(r.to.t, r.s.bytes, 24), -ENOBUFS);
	assert_int_equal(relay_forward(&r), -ENOBUFS);
	assert_int_equal(relay_forward(&r), -ENOBUFS);
	tcp_keep(r.from.t);
	assert_int_equal(relay_forward(&r), -ENOBUFS);
	assert_int_equal(tcp_unsent(r.to.t), 0);
	memory_give(&others);
	relay_drain_all(&r);
	relay_close(&r);
}

/* All memory that may be read into is full of frames that wait: they can still be passed on. */
static void kept_frames_can_be_passed_on_when_reading_has_taken_all(void **state)
{
	struct relay from[20];
	unsigned int i, n = sizeof(from) / sizeof(from[0]), n_full = 0;

	(void)state;
	memory_limit(128);
	for (i = 0; i < n; i++) {
		from[i] = relay_open(STREAM_QUEUE_MAX);
		stream_add(&from[i].s, 30000);
		stream_feed_all(&from[i].from, from[i].s.bytes, 30000);
		n_full += tcp_read(from[i].from.t) == -ENOBUFS;
		tcp_keep(from[i].from.t);
	}
	assert_true(n_full > 0);
	assert_true(chunk_pool_room(SHARED.pool) >= SHARED.spare);
	for (i = 0; i < n; i++) {
		while (from[i].from.at < from[i].s.len) {
			assert_true(tcp_read(from[i].from.t) >= 0);
			relay_forward(&from[i]);
		}
		relay_drain_all(&from[i]);
	}
	for (i = 0; i < n; i++)
		relay_close(&from[i]);
}

/* --- ends --- */

static void feed_end_expect(const struct stream *s, size_t len, enum tcp_end why)
{
	struct stream_end end = end_open();
	struct tcp_frame frame;
	int ret;

	stream_feed_all(&end, s->bytes, len);
	close(end.peer);
	end.peer = -1;
	while ((ret = tcp_read(end.t)) > 0)
		stream_take(&end, s, N_ALL);
	assert_true(ret < 0 && ret != -ENOBUFS);
	assert_int_equal(end.t->end, why);
	assert_int_equal(end.at, stream_whole(s, len));
	assert_int_equal(tcp_next(end.t, &frame), 0);
	assert_int_equal(tcp_read(end.t), ret);
	stream_close(&end);
}

static void end_in_a_frame_is_told_from_one_behind_it(void **state)
{
	struct stream s = {};
	size_t len;

	(void)state;
	stream_add(&s, 24);
	stream_add(&s, 40);
	for (len = 0; len <= s.len; len++)
		feed_end_expect(&s, len, stream_whole(&s, len) == len ? TCP_END_FIN : TCP_END_HALF_FRAME);
	stream_add(&s, 100000);
	feed_end_expect(&s, 64 + 4, TCP_END_HALF_FRAME);
	feed_end_expect(&s, s.len - 1, TCP_END_HALF_FRAME);
	feed_end_expect(&s, s.len, TCP_END_FIN);
	stream_free(&s);
}

static void end_is_seen_after_the_frames_that_were_kept(void **state)
{
	struct stream_end end = end_open();
	struct stream s = {};

	(void)state;
	stream_add(&s, 30);
	stream_feed_all(&end, s.bytes, s.len);
	assert_int_equal(tcp_read(end.t), s.len);
	tcp_keep(end.t);
	shutdown(end.peer, SHUT_WR);
	assert_int_equal(tcp_read(end.t), 0);
	assert_int_equal(end.t->end, TCP_END_NONE);
	assert_int_equal(stream_take(&end, &s, N_ALL), 1);
	assert_true(tcp_read(end.t) < 0);
	assert_int_equal(end.t->end, TCP_END_FIN);
	stream_close(&end);
	stream_free(&s);
}

/* A good frame, then the first n bytes of a bad one: that is enough. Whether they come together or one by one. */
static void expect_bad(const uint8_t *head, size_t n, uint32_t frame_max, enum tcp_end why)
{
	struct stream s = {};
	struct tcp_frame frame;
	size_t step;

	stream_add(&s, 24);
	stream_add_bytes(&s, head, n);
	for (step = 1; step <= s.len; step += s.len - 1) {
		struct stream_end end = stream_open(&SHARED, frame_max, STREAM_QUEUE_MAX);
		size_t fed;

		for (fed = 0; fed < s.len; fed += step) {
			assert_int_equal(end.t->end, TCP_END_NONE);
			stream_feed_all(&end, s.bytes + fed, step);
			assert_int_equal(tcp_read(end.t), step);
			stream_take(&end, &s, 1);
			tcp_next(end.t, &frame);
			tcp_keep(end.t);
		}
		assert_int_equal(end.at, 24);
		assert_int_equal(end.t->end, why);
		assert_int_equal(tcp_next(end.t, &frame), -EPROTO);
		assert_int_equal(tcp_read(end.t), -EPROTO);
		stream_close(&end);
	}
	stream_free(&s);
}

static void len_out_of_its_limits_is_refused_at_once(void **state)
{
	static const uint32_t wrong[] = { 0, 1, 19, 65537, 1 << 20, 0x7fffffff, 0x80000000, 0x80000014, UINT32_MAX };
	uint32_t len;
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
		len = htobe32(wrong[i]);
		expect_bad((const uint8_t *)&len, 4, XSR_FRAME_LEN_MAX, TCP_END_BAD_LEN);
	}
	len = htobe32(TCP_FRAME_MAX + 1);
	expect_bad((const uint8_t *)&len, 4, TCP_FRAME_MAX, TCP_END_BAD_LEN);
}

static void longest_frame_of_a_limit_is_taken(void **state)
{
	static const uint32_t limits[] = { XSR_FRAME_LEN_MIN, 1000, XSR_FRAME_LEN_MAX, TCP_FRAME_MAX };
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(limits) / sizeof(limits[0]); i++) {
		struct stream_end end = stream_open(&SHARED, limits[i], STREAM_QUEUE_MAX);
		struct stream s = {};

		stream_add(&s, limits[i] + 4);
		feed_and_take(&end, &s, 0, s.len);
		assert_int_equal(end.at, s.len);
		stream_close(&end);
		stream_free(&s);
	}
}

static void other_version_is_refused_at_once(void **state)
{
	unsigned int version;

	(void)state;
	for (version = 0; version < 256; version++) {
		const uint8_t head[] = { 0, 0, 0, 20, version }, long_head[] = { 0, 15, 0, 0, version };

		if (version == XSR_FRAME_VERSION)
			continue;
		expect_bad(head, sizeof(head), TCP_FRAME_MAX, TCP_END_BAD_VERSION);
		expect_bad(long_head, sizeof(long_head), TCP_FRAME_MAX, TCP_END_BAD_VERSION);
	}
}

static void unknown_type_is_refused_at_once(void **state)
{
	unsigned int type;

	(void)state;
	for (type = 0; type < 256; type++) {
		const uint8_t head[] = { 0, 0, 0, 20, 1, type }, long_head[] = { 0, 15, 0, 0, 1, type };

		if (frame_type_known(type))
			continue;
		expect_bad(head, sizeof(head), TCP_FRAME_MAX, TCP_END_BAD_TYPE);
		expect_bad(long_head, sizeof(long_head), TCP_FRAME_MAX, TCP_END_BAD_TYPE);
	}
}

/* --- without frames --- */

static void without_frames_bytes_come_as_they_are(void **state)
{
	struct stream_end end = stream_open(&SHARED, 0, STREAM_QUEUE_MAX);
	static const uint8_t bytes[] = "\xff\xff\xff\xff is no frame";
	struct tcp_frame frame;

	(void)state;
	assert_int_equal(tcp_next(end.t, &frame), 0);
	stream_feed_all(&end, bytes, sizeof(bytes));
	assert_int_equal(tcp_read(end.t), sizeof(bytes));
	assert_int_equal(tcp_next(end.t, &frame), 1);
	assert_null(frame.header);
	assert_int_equal(frame.len, sizeof(bytes));
	assert_memory_equal(frame.data, bytes, sizeof(bytes));
	tcp_keep(end.t);
	assert_int_equal(tcp_read(end.t), 0);
	assert_int_equal(tcp_next(end.t, &frame), 1);
	assert_memory_equal(frame.data, bytes, sizeof(bytes));
	frame.len = 3; /* a part of a piece may be taken */
	tcp_take(end.t, &frame);
	assert_int_equal(tcp_next(end.t, &frame), 1);
	assert_memory_equal(frame.data, bytes + 3, frame.len);
	tcp_take(end.t, &frame);
	assert_int_equal(tcp_next(end.t, &frame), 0);
	shutdown(end.peer, SHUT_WR);
	assert_true(tcp_read(end.t) < 0);
	assert_int_equal(end.t->end, TCP_END_FIN);
	stream_close(&end);
}

static void without_frames_bytes_go_on_in_order(void **state)
{
	struct stream_end from = stream_open(&SHARED, 0, 0), to = stream_open(&SHARED, 0, 70000);
	struct chance chance = { .state = 3 };
	struct tcp_frame frame;
	struct stream s = {};
	size_t fed = 0, out = 0;
	uint8_t bytes[30000];
	ssize_t n;

	(void)state;
	stream_add(&s, 3 << 20);
	while (out < s.len) {
		fed += stream_feed(&from, s.bytes + fed, chance_below(&chance, s.len - fed + 1));
		assert_true(tcp_read(from.t) >= 0);
		while (tcp_next(from.t, &frame) == 1 && !tcp_forward(from.t, &frame, to.t))
			assert_true(frame.len <= TCP_CONTIGUOUS_MAX);
		tcp_keep(from.t);
		assert_true(tcp_flush(to.t) >= 0);
		n = recv(to.peer, bytes, chance_below(&chance, sizeof(bytes)) + 1, MSG_DONTWAIT);
		if (n > 0)
			assert_memory_equal(bytes, s.bytes + out, n);
		out += n > 0 ? n : 0;
	}
	stream_close(&from);
	stream_close(&to);
	stream_free(&s);
}

/* --- writing --- */

static void queue_is_written_in_as_many_rounds_as_it_takes(void **state)
{
	struct stream_end end = stream_open(&SHARED, TCP_FRAME_MAX, 8 << 20);
	static uint8_t bytes[100000];
	struct stream s = {};
	size_t out = 0;
	ssize_t n;
	int ret = 0;

	(void)state;
	stream_add(&s, 5 << 20);
	assert_int_equal(tcp_flush(end.t), 1);
	assert_int_equal(tcp_send(end.t, s.bytes, s.len), 0);
	while (out < s.len) {
		ret = tcp_flush(end.t);
		assert_int_equal(ret, tcp_unsent(end.t) ? 0 : 1);
		n = recv(end.peer, bytes, sizeof(bytes), MSG_DONTWAIT);
		assert_true(n > 0);
		assert_memory_equal(bytes, s.bytes + out, n);
		out += n;
	}
	assert_int_equal(ret, 1);
	assert_int_equal(end.t->n_written, s.len);
	stream_close(&end);
	stream_free(&s);
}

static void lost_reader_is_an_error_and_no_signal(void **state)
{
	struct stream_end end = end_open();

	(void)state;
	assert_int_equal(tcp_send(end.t, "1234", 4), 0);
	close(end.peer);
	end.peer = -1;
	assert_int_equal(tcp_flush(end.t), -EPIPE);
	assert_int_equal(tcp_unsent(end.t), 4);
	stream_close(&end);
}

#define test(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		test(short_frames_come_whole_at_every_two_cuts),
		test(frames_of_every_edge_come_whole_at_every_edge),
		test(byte_by_byte_is_enough),
		test(any_frames_in_any_cut_come_whole),
		test(frames_that_were_kept_come_again_before_anything_is_read),
		test(pauses_lose_nothing),
		test(kept_bytes_are_no_more_than_was_read_at_once_and_a_frame),
		test(connection_may_close_between_reading_and_keeping),
		test(full_target_takes_nothing_and_the_frame_stays),
		test(empty_target_takes_a_frame_of_any_length),
		test(what_is_long_and_first_is_written_at_once),
		test(long_frame_is_read_up_to_its_end),
		test(long_frame_moves_without_a_copy),
		test(long_frame_stays_when_the_target_is_full),
		test(relay_loses_nothing_when_queues_fill),
		test(relay_loses_nothing_when_memory_is_short),
		test(nothing_is_read_without_memory_and_nothing_is_lost),
		test(no_more_is_read_than_can_be_kept),
		test(long_frames_wait_for_memory_but_for_one),
		test(what_was_read_is_kept_whatever_others_take_meanwhile),
		test(memory_of_frames_that_were_taken_is_free_at_once),
		test(frame_goes_on_in_the_memory_that_it_was_to_be_kept_in),
		test(frame_that_could_not_go_on_is_kept_whatever_others_take),
		test(empty_pool_takes_no_frame_even_for_an_empty_queue),
		test(kept_frames_can_be_passed_on_when_reading_has_taken_all),
		test(end_in_a_frame_is_told_from_one_behind_it),
		test(end_is_seen_after_the_frames_that_were_kept),
		test(len_out_of_its_limits_is_refused_at_once),
		test(longest_frame_of_a_limit_is_taken),
		test(other_version_is_refused_at_once),
		test(unknown_type_is_refused_at_once),
		test(without_frames_bytes_come_as_they_are),
		test(without_frames_bytes_go_on_in_order),
		test(queue_is_written_in_as_many_rounds_as_it_takes),
		test(lost_reader_is_an_error_and_no_signal),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
