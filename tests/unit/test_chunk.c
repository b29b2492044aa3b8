/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* chunk.h: queues of bytes on a pool of bounded size. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <cmocka.h>

#include "chance.h"
#include "chunk.h"

#define N_CHUNKS 8
#define DATA_LEN CHUNK_LEN /* bytes that a chunk takes */
#define LEN_MAX (N_CHUNKS * DATA_LEN)

static uint8_t SOURCE[LEN_MAX + 1]; /* never changes once it is filled */

static int fill_source(void **state)
{
	struct chance chance = {};
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(SOURCE); i++)
		SOURCE[i] = chance_next(&chance);
	return 0;
}

static struct chunk_pool *pool_open(size_t n_chunks)
{
	struct chunk_pool *pool = NULL;

	assert_int_equal(chunk_pool_open(&pool, n_chunks * CHUNK_LEN), 0);
	return pool;
}

/* All is back, and the pool can give all of it once more. */
static void pool_close_whole(struct chunk_pool *pool, size_t n_chunks)
{
	struct chunk_queue q = {};

	assert_int_equal(chunk_pool_room(pool), n_chunks * DATA_LEN);
	assert_true(chunk_append(pool, &q, SOURCE, n_chunks * DATA_LEN));
	assert_int_equal(chunk_pool_room(pool), 0);
	chunk_pool_close(pool);
}

/* By chunk_copy() and by chunk_vectors(). */
static void expect_bytes(const struct chunk_queue *q, const uint8_t *bytes, size_t len)
{
	static uint8_t copy[LEN_MAX];
	struct iovec iov[2 * N_CHUNKS];
	size_t at = 0;
	int n, i;

	assert_int_equal(q->len, len);
	chunk_copy(q, 0, copy, len);
	assert_memory_equal(copy, bytes, len);
	n = chunk_vectors(q, iov, 2 * N_CHUNKS, len);
	for (i = 0; i < n; i++) {
		assert_true(iov[i].iov_len > 0);
		assert_memory_equal(iov[i].iov_base, bytes + at, iov[i].iov_len);
		at += iov[i].iov_len;
	}
	assert_int_equal(at, len);
	if (!len) {
		assert_null(q->head);
		assert_null(q->tail);
	}
}

/* --- the pool --- */

static void pool_of_less_than_a_chunk_is_refused(void **state)
{
	struct chunk_pool *pool;

	(void)state;
	assert_int_equal(chunk_pool_open(&pool, 0), -EINVAL);
	assert_int_equal(chunk_pool_open(&pool, CHUNK_LEN - 1), -EINVAL);
}

static void pool_never_takes_more_than_it_may(void **state)
{
	struct chunk_pool *pool = NULL;

	(void)state;
	assert_int_equal(chunk_pool_open(&pool, 3 * CHUNK_LEN - 1), 0);
	assert_int_equal(chunk_pool_room(pool), 2 * DATA_LEN);
	chunk_pool_close(pool);
}

static void closing_no_pool_does_nothing(void **state)
{
	(void)state;
	chunk_pool_close(NULL);
}

static long resident_pages(void)
{
	long size = 0, resident = 0;
	FILE *f = fopen("/proc/self/statm", "r");

	assert_non_null(f);
	assert_int_equal(fscanf(f, "%ld %ld", &size, &resident), 2);
	fclose(f);
	return resident;
}

static void memory_that_is_not_used_is_not_taken(void **state)
{
	const size_t n_chunks = 64 << 10; /* 256 MiB */
	struct chunk_pool *pool = pool_open(n_chunks);
	struct chunk_queue q = {};
	long before = resident_pages();
	unsigned int i;

	(void)state;
	for (i = 0; i < 1000; i++) {
		assert_true(chunk_append(pool, &q, SOURCE, LEN_MAX));
		chunk_drop(pool, &q, LEN_MAX);
	}
	assert_true(resident_pages() - before < 1000);
	chunk_pool_close(pool);
}

static void what_is_held_is_no_room_until_it_is_given_back(void **state)
{
	struct chunk_pool *pool = pool_open(N_CHUNKS);
	struct chunk_queue q = {};
	struct iovec iov[N_CHUNKS];

	(void)state;
	chunk_pool_hold(pool, (N_CHUNKS - 2) * DATA_LEN + 1);
	assert_int_equal(chunk_pool_room(pool), DATA_LEN);
	assert_false(chunk_append(pool, &q, SOURCE, DATA_LEN + 1));
	assert_int_equal(chunk_reserve(pool, &q, iov, N_CHUNKS, LEN_MAX), 1);
	chunk_commit(pool, &q, 0);
	assert_true(chunk_append(pool, &q, SOURCE, DATA_LEN));
	chunk_pool_hold(pool, DATA_LEN);
	assert_int_equal(chunk_pool_room(pool), (N_CHUNKS - 2) * DATA_LEN);
	chunk_drop(pool, &q, DATA_LEN);
	chunk_pool_hold(pool, LEN_MAX);
	assert_int_equal(chunk_pool_room(pool), 0);
	chunk_pool_hold(pool, 0);
	pool_close_whole(pool, N_CHUNKS);
}

/* --- one queue --- */

static void every_length_comes_out_as_it_went_in(void **state)
{
	struct chunk_pool *pool = pool_open(N_CHUNKS);
	size_t len;

	(void)state;
	for (len = 0; len <= LEN_MAX; len += len % DATA_LEN < DATA_LEN - 3 && len % DATA_LEN > 3 ? 509 : 1) {
		struct chunk_queue q = {};

		assert_true(chunk_append(pool, &q, SOURCE, len));
		expect_bytes(&q, SOURCE, len);
		chunk_drop(pool, &q, len);
		expect_bytes(&q, SOURCE, 0);
	}
	pool_close_whole(pool, N_CHUNKS);
}

static void what_does_not_fit_leaves_the_queue_as_it_was(void **state)
{
	struct chunk_pool *pool = pool_open(N_CHUNKS);
	struct chunk_queue q = {}, other = {};

	(void)state;
	assert_false(chunk_append(pool, &q, SOURCE, LEN_MAX + 1));
	expect_bytes(&q, SOURCE, 0);
	assert_true(chunk_append(pool, &q, SOURCE, LEN_MAX - 1));
	assert_false(chunk_append(pool, &q, SOURCE, 2));
	assert_false(chunk_append(pool, &other, SOURCE, 1));
	expect_bytes(&q, SOURCE, LEN_MAX - 1);
	assert_true(chunk_append(pool, &q, SOURCE + LEN_MAX - 1, 1)); /* the last chunk's room needs no pool */
	expect_bytes(&q, SOURCE, LEN_MAX);
	chunk_drop(pool, &q, LEN_MAX);
	pool_close_whole(pool, N_CHUNKS);
}

static void small_appends_share_a_chunk(void **state)
{
	struct chunk_pool *pool = pool_open(N_CHUNKS);
	struct chunk_queue q = {};
	size_t i;

	(void)state;
	for (i = 0; i < DATA_LEN; i++)
		assert_true(chunk_append(pool, &q, SOURCE + i, 1));
	assert_int_equal(chunk_pool_room(pool), LEN_MAX - DATA_LEN);
	expect_bytes(&q, SOURCE, DATA_LEN);
	chunk_pool_close(pool);
}

static void bytes_come_off_the_front_one_by_one(void **state)
{
	struct chunk_pool *pool = pool_open(N_CHUNKS);
	struct chunk_queue q = {};
	size_t i, len = 2 * DATA_LEN + 5;
	uint8_t byte;

	(void)state;
	assert_true(chunk_append(pool, &q, SOURCE, len));
	for (i = 0; i < len; i++) {
		chunk_copy(&q, 0, &byte, 1);
		assert_int_equal(byte, SOURCE[i]);
		chunk_drop(pool, &q, 1);
		assert_int_equal(chunk_pool_room(pool), LEN_MAX - (3 - (i + 1) / DATA_LEN - (i + 1 == len)) * DATA_LEN);
	}
	pool_close_whole(pool, N_CHUNKS);
}

static void copy_begins_anywhere(void **state)
{
	struct chunk_pool *pool = pool_open(N_CHUNKS);
	struct chunk_queue q = {};
	uint8_t bytes[2 * DATA_LEN];
	size_t offset;

	(void)state;
	assert_true(chunk_append(pool, &q, SOURCE, 5 * DATA_LEN));
	chunk_drop(pool, &q, 7);
	for (offset = 0; offset + sizeof(bytes) <= q.len; offset += 97) {
		chunk_copy(&q, offset, bytes, sizeof(bytes));
		assert_memory_equal(bytes, SOURCE + 7 + offset, sizeof(bytes));
	}
	chunk_copy(&q, q.len, bytes, 0);
	chunk_pool_close(pool);
}

/* n chunks each, no two of a queue behind one another in memory. */
static void scattered_fill(struct chunk_pool *pool, struct chunk_queue *a, struct chunk_queue *b, unsigned int n)
{
	unsigned int i;

	for (i = 0; i < n; i++) {
		assert_true(chunk_append(pool, a, SOURCE + i * DATA_LEN, DATA_LEN));
		assert_true(chunk_append(pool, b, SOURCE + i * DATA_LEN, DATA_LEN));
	}
}

static void vectors_end_where_they_are_told(void **state)
{
	struct chunk_pool *pool = pool_open(N_CHUNKS);
	struct chunk_queue q = {}, other = {};
	struct iovec iov[3];

	(void)state;
	assert_int_equal(chunk_vectors(&q, iov, 3, 100), 0);
	scattered_fill(pool, &q, &other, N_CHUNKS / 2);
	assert_int_equal(chunk_vectors(&q, iov, 3, 0), 0);
	assert_int_equal(chunk_vectors(&q, iov, 0, 100), 0);
	assert_int_equal(chunk_vectors(&q, iov, 3, 100), 1);
	assert_int_equal(iov[0].iov_len, 100);
	assert_int_equal(chunk_vectors(&q, iov, 3, DATA_LEN + 1), 2);
	assert_int_equal(iov[1].iov_len, 1);
	assert_int_equal(chunk_vectors(&q, iov, 3, SIZE_MAX), 3);
	assert_int_equal(iov[2].iov_len, DATA_LEN);
	chunk_pool_close(pool);
}

static void what_lies_together_is_one_vector(void **state)
{
	struct chunk_pool *pool = pool_open(N_CHUNKS);
	struct chunk_queue q = {}, other = {};
	struct iovec iov[3];
	unsigned int i;

	(void)state;
	scattered_fill(pool, &q, &other, N_CHUNKS / 2);
	chunk_drop(pool, &other, other.len);
	chunk_drop(pool, &q, q.len);
	for (i = 0; i < 3; i++) { /* however it was used before */
		assert_true(chunk_append(pool, &q, SOURCE, 3 * DATA_LEN));
		chunk_drop(pool, &q, 1);
		assert_int_equal(chunk_vectors(&q, iov, 3, SIZE_MAX), 1);
		assert_int_equal(iov[0].iov_len, 3 * DATA_LEN - 1);
		assert_memory_equal(iov[0].iov_base, SOURCE + 1, 3 * DATA_LEN - 1);
		chunk_drop(pool, &q, 3 * DATA_LEN - 1);
		assert_int_equal(chunk_reserve(pool, &q, iov, 3, 2 * DATA_LEN + 1), 1);
		assert_int_equal(iov[0].iov_len, 2 * DATA_LEN + 1);
		chunk_commit(pool, &q, 2 * DATA_LEN + 1);
		chunk_drop(pool, &q, 2 * DATA_LEN + 1);
	}
	pool_close_whole(pool, N_CHUNKS);
}

/* --- room that is written by others --- */

/* With `before` bytes there, reserves `len`, and commits `used`. */
static void reserve_once(struct chunk_pool *pool, size_t before, size_t len, size_t used)
{
	struct chunk_queue q = {};
	struct iovec iov[N_CHUNKS];
	size_t at = before, end = before + used;
	int n, i;

	assert_true(chunk_append(pool, &q, SOURCE, before));
	n = chunk_reserve(pool, &q, iov, N_CHUNKS, len);
	for (i = 0; i < n; at += iov[i++].iov_len)
		memcpy(iov[i].iov_base, SOURCE + at, iov[i].iov_len);
	assert_int_equal(at, before + len);
	chunk_commit(pool, &q, used);
	expect_bytes(&q, SOURCE, end);
	assert_int_equal(chunk_pool_room(pool), LEN_MAX - (end + DATA_LEN - 1) / DATA_LEN * DATA_LEN);
	assert_true(chunk_append(pool, &q, SOURCE + end, 1));
	expect_bytes(&q, SOURCE, end + 1);
	chunk_drop(pool, &q, end + 1);
}

static void what_was_not_written_goes_back(void **state)
{
	static const size_t lens[] = { 0, 1, 2, DATA_LEN - 1, DATA_LEN, DATA_LEN + 1, 2 * DATA_LEN, 2 * DATA_LEN + 1 };
	struct chunk_pool *pool = pool_open(N_CHUNKS);
	size_t n = sizeof(lens) / sizeof(lens[0]), i, j, k;

	(void)state;
	for (i = 0; i < n; i++)
		for (j = 0; j < n; j++)
			for (k = 0; k <= j; k++)
				reserve_once(pool, lens[i], lens[j], lens[k]);
	pool_close_whole(pool, N_CHUNKS);
}

static void reservation_takes_what_there_is(void **state)
{
	struct chunk_pool *pool = pool_open(N_CHUNKS);
	struct chunk_queue q = {}, other = {}, between = {};
	struct iovec iov[2 * N_CHUNKS];

	(void)state;
	scattered_fill(pool, &q, &between, N_CHUNKS / 2);
	chunk_drop(pool, &q, q.len);
	assert_int_equal(chunk_reserve(pool, &q, iov, 0, 100), 0);
	chunk_commit(pool, &q, 0);
	assert_int_equal(chunk_reserve(pool, &q, iov, 3, SIZE_MAX), 3);
	chunk_commit(pool, &q, 0);
	assert_int_equal(chunk_reserve(pool, &q, iov, 2 * N_CHUNKS, SIZE_MAX), N_CHUNKS / 2);
	chunk_commit(pool, &q, LEN_MAX / 2 - 1);
	assert_int_equal(chunk_reserve(pool, &other, iov, N_CHUNKS, 1), 0);
	chunk_commit(pool, &other, 0);
	assert_int_equal(chunk_reserve(pool, &q, iov, N_CHUNKS, 100), 1); /* the last chunk's room */
	assert_int_equal(iov[0].iov_len, 1);
	chunk_commit(pool, &q, 1);
	chunk_drop(pool, &q, LEN_MAX / 2);
	chunk_drop(pool, &between, LEN_MAX / 2);
	pool_close_whole(pool, N_CHUNKS);
}

/* --- two queues --- */

static void bytes_are_copied_from_a_queue_of_another_pool(void **state)
{
	struct chunk_pool *others = pool_open(N_CHUNKS), *pool = pool_open(3);
	struct chunk_queue from = {}, q = {};

	(void)state;
	assert_true(chunk_append(others, &from, SOURCE, 2 * DATA_LEN + 100));
	chunk_drop(others, &from, 50);
	assert_true(chunk_append(pool, &q, SOURCE, 50));
	assert_true(chunk_append_queue(pool, &q, &from, 2 * DATA_LEN));
	expect_bytes(&q, SOURCE, 2 * DATA_LEN + 50);
	assert_false(chunk_append_queue(pool, &q, &from, 2 * DATA_LEN)); /* too much: nothing happens */
	expect_bytes(&q, SOURCE, 2 * DATA_LEN + 50);
	expect_bytes(&from, SOURCE + 50, 2 * DATA_LEN + 50);
	chunk_drop(others, &from, from.len);
	chunk_drop(pool, &q, q.len);
	pool_close_whole(others, N_CHUNKS);
	pool_close_whole(pool, 3);
}

static void joining_copies_nothing_and_keeps_the_order(void **state)
{
	struct chunk_pool *pool = pool_open(N_CHUNKS);
	struct chunk_queue to = {}, from = {};

	(void)state;
	chunk_join(&to, &from);
	expect_bytes(&to, SOURCE, 0);
	chunk_append(pool, &from, SOURCE, DATA_LEN + 1);
	chunk_join(&to, &from); /* to an empty one */
	expect_bytes(&from, SOURCE, 0);
	chunk_join(&to, &from); /* nothing */
	expect_bytes(&to, SOURCE, DATA_LEN + 1);
	chunk_append(pool, &from, SOURCE + DATA_LEN + 1, (N_CHUNKS - 2) * DATA_LEN);
	assert_int_equal(chunk_pool_room(pool), 0);
	chunk_join(&to, &from);
	expect_bytes(&to, SOURCE, (N_CHUNKS - 1) * DATA_LEN + 1);
	chunk_drop(pool, &to, to.len);
	pool_close_whole(pool, N_CHUNKS);
}

static void moving_cuts_at_any_byte(void **state)
{
	struct chunk_pool *pool = pool_open(N_CHUNKS);
	size_t len, total = 3 * DATA_LEN + 2;

	(void)state;
	for (len = 0; len <= total; len += len % DATA_LEN < DATA_LEN - 9 && len % DATA_LEN > 9 ? 101 : 1) {
		struct chunk_queue to = {}, from = {};

		chunk_append(pool, &to, SOURCE, 10);
		chunk_append(pool, &from, SOURCE, 10 + total);
		chunk_drop(pool, &from, 10);
		assert_true(chunk_move(pool, &to, &from, len));
		expect_bytes(&to, SOURCE, 10 + len);
		expect_bytes(&from, SOURCE + 10 + len, total - len);
		chunk_drop(pool, &to, 10 + len);
		chunk_drop(pool, &from, total - len);
	}
	pool_close_whole(pool, N_CHUNKS);
}

static void moving_whole_chunks_needs_no_memory_and_half_ones_do(void **state)
{
	struct chunk_pool *pool = pool_open(N_CHUNKS);
	struct chunk_queue to = {}, from = {};

	(void)state;
	chunk_append(pool, &from, SOURCE, LEN_MAX);
	assert_false(chunk_move(pool, &to, &from, 1));
	assert_false(chunk_move(pool, &to, &from, 2 * DATA_LEN + 1));
	assert_false(chunk_move(pool, &to, &from, LEN_MAX - 1));
	expect_bytes(&to, SOURCE, 0);
	expect_bytes(&from, SOURCE, LEN_MAX);
	assert_true(chunk_move(pool, &to, &from, 2 * DATA_LEN));
	expect_bytes(&to, SOURCE, 2 * DATA_LEN);
	assert_true(chunk_move(pool, &to, &from, LEN_MAX - 2 * DATA_LEN));
	expect_bytes(&to, SOURCE, LEN_MAX);
	expect_bytes(&from, SOURCE, 0);
	chunk_drop(pool, &to, LEN_MAX);
	pool_close_whole(pool, N_CHUNKS);
}

/* --- anything, against a queue that is an array --- */

#define N_QUEUES 3

struct model {
	struct chunk_queue q;
	uint8_t bytes[LEN_MAX];
	size_t len;
};

static void model_append(struct chunk_pool *pool, struct model *m, struct chance *chance)
{
	size_t len = chance_below(chance, 2 * DATA_LEN), offset = chance_below(chance, sizeof(SOURCE) - len);

	if (!chunk_append(pool, &m->q, SOURCE + offset, len)) {
		assert_true(len > chunk_pool_room(pool));
		return;
	}
	memcpy(m->bytes + m->len, SOURCE + offset, len);
	m->len += len;
}

static void model_receive(struct chunk_pool *pool, struct model *m, struct chance *chance)
{
	size_t len = chance_below(chance, 2 * DATA_LEN), n_bytes = 0;
	struct iovec iov[N_CHUNKS];
	int n = chunk_reserve(pool, &m->q, iov, chance_below(chance, N_CHUNKS), len), i;

	for (i = 0; i < n; n_bytes += iov[i++].iov_len)
		memset(iov[i].iov_base, 'a' + i, iov[i].iov_len);
	assert_true(n_bytes <= len);
	len = chance_below(chance, n_bytes + 1);
	chunk_commit(pool, &m->q, len);
	for (i = 0; len; i++) {
		n_bytes = iov[i].iov_len < len ? iov[i].iov_len : len;
		memset(m->bytes + m->len, 'a' + i, n_bytes);
		m->len += n_bytes;
		len -= n_bytes;
	}
}

static void model_drop(struct chunk_pool *pool, struct model *m, size_t len)
{
	chunk_drop(pool, &m->q, len);
	m->len -= len;
	memmove(m->bytes, m->bytes + len, m->len);
}

static void model_move(struct chunk_pool *pool, struct model *to, struct model *from, size_t len)
{
	if (to == from || !chunk_move(pool, &to->q, &from->q, len))
		return;
	memcpy(to->bytes + to->len, from->bytes, len);
	to->len += len;
	from->len -= len;
	memmove(from->bytes, from->bytes + len, from->len);
}

static void model_step(struct chunk_pool *pool, struct model models[N_QUEUES], struct chance *chance)
{
	struct model *m = &models[chance_below(chance, N_QUEUES)], *from = &models[chance_below(chance, N_QUEUES)];

	switch (chance_below(chance, 5)) {
	case 0:
		model_append(pool, m, chance);
		break;
	case 1:
		model_receive(pool, m, chance);
		break;
	case 2:
		model_move(pool, m, from, chance_of(chance, 50) ? from->len : chance_below(chance, from->len + 1));
		break;
	default:
		model_drop(pool, m, chance_below(chance, m->len + 1));
	}
	expect_bytes(&m->q, m->bytes, m->len);
	expect_bytes(&from->q, from->bytes, from->len);
}

static void any_order_of_calls_keeps_every_byte(void **state)
{
	struct model *models = calloc(N_QUEUES, sizeof(*models));
	struct chunk_pool *pool = pool_open(N_CHUNKS);
	struct chance chance = { .state = 1 };
	unsigned int i;

	(void)state;
	assert_non_null(models);
	for (i = 0; i < 20000; i++)
		model_step(pool, models, &chance);
	for (i = 0; i < N_QUEUES; i++)
		chunk_drop(pool, &models[i].q, models[i].len);
	pool_close_whole(pool, N_CHUNKS);
	free(models);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(pool_of_less_than_a_chunk_is_refused),
		cmocka_unit_test(pool_never_takes_more_than_it_may),
		cmocka_unit_test(closing_no_pool_does_nothing),
		cmocka_unit_test(memory_that_is_not_used_is_not_taken),
		cmocka_unit_test(what_is_held_is_no_room_until_it_is_given_back),
		cmocka_unit_test(every_length_comes_out_as_it_went_in),
		cmocka_unit_test(what_does_not_fit_leaves_the_queue_as_it_was),
		cmocka_unit_test(small_appends_share_a_chunk),
		cmocka_unit_test(bytes_come_off_the_front_one_by_one),
		cmocka_unit_test(copy_begins_anywhere),
		cmocka_unit_test(vectors_end_where_they_are_told),
		cmocka_unit_test(what_lies_together_is_one_vector),
		cmocka_unit_test(what_was_not_written_goes_back),
		cmocka_unit_test(reservation_takes_what_there_is),
		cmocka_unit_test(bytes_are_copied_from_a_queue_of_another_pool),
		cmocka_unit_test(joining_copies_nothing_and_keeps_the_order),
		cmocka_unit_test(moving_cuts_at_any_byte),
		cmocka_unit_test(moving_whole_chunks_needs_no_memory_and_half_ones_do),
		cmocka_unit_test(any_order_of_calls_keeps_every_byte),
	};

	return cmocka_run_group_tests(tests, fill_source, NULL);
}
