/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* hold.h: messages that wait, in order, in memory that is bounded and comes back; against a model that is a plain array. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "hold.h"

#define LEN_MAX 9000
#define POOL_LEN (1 << 20)

static struct hold_pool *pool_open(size_t len)
{
	struct hold_pool *pool = NULL;

	assert_int_equal(hold_pool_open(&pool, len), 0);
	assert_non_null(pool);
	assert_int_equal(hold_pool_used(pool), 0);
	return pool;
}

/* Its bytes follow from its number. */
static void bytes_fill(uint8_t *bytes, uint32_t len, uint64_t number)
{
	uint32_t i;

	for (i = 0; i < len; i++)
		bytes[i] = number + i + i / 251;
}

/* Pushes message `number`; false if there was no room. */
static bool push(struct hold_pool *pool, struct hold *hold, uint64_t number, uint32_t len, uint64_t now_ns)
{
	uint8_t bytes[LEN_MAX];
	const struct xsr_message message = {
		.data = bytes,
		.len = len,
		.room = LEN_MAX,
		.id = number,
		.time_ns = number * 3,
		.generation = number,
		.service = 7,
		.has_id = true,
		.buffer = 0xdead,
		.peer = { .port = number, .queue = 5, .link = { 1, [21] = 22 } },
	};

	bytes_fill(bytes, len, number);
	return hold_push(pool, hold, &message, now_ns);
}

/* Takes the next message out, which must be `number`. */
static void pop(struct hold_pool *pool, struct hold *hold, uint64_t number, uint32_t len)
{
	uint8_t bytes[LEN_MAX + 1], expected[LEN_MAX];
	struct xsr_message into = { .data = bytes, .room = LEN_MAX, .buffer = 0xbeef, .len = 1, .id = ~0ULL };

	bytes[len] = 0xa5;
	bytes_fill(expected, len, number);
	assert_true(hold_pop(pool, hold, &into));
	assert_int_equal(into.id, number);
	assert_int_equal(into.len, len);
	assert_memory_equal(bytes, expected, len);
	assert_int_equal(bytes[len], 0xa5);
	assert_ptr_equal(into.data, bytes);
	assert_int_equal(into.room, LEN_MAX);
	assert_int_equal(into.buffer, 0xbeef);
}

static bool is_empty(struct hold_pool *pool, struct hold *hold)
{
	uint8_t bytes[LEN_MAX];
	struct xsr_message into = { .data = bytes, .room = LEN_MAX };

	return !hold->n && !hold_pop(pool, hold, &into);
}

/* --- one hold --- */

static void hold_of_all_zeroes_is_empty(void **state)
{
	struct hold_pool *pool = pool_open(POOL_LEN);
	struct hold hold = {};

	(void)state;
	assert_true(is_empty(pool, &hold));
	hold_clear(pool, &hold);
	assert_int_equal(hold_pool_used(pool), 0);
	hold_pool_close(pool);
}

static void closing_no_pool_does_nothing(void **state)
{
	(void)state;
	hold_pool_close(NULL);
}

static void messages_come_out_in_the_order_they_went_in(void **state)
{
	struct hold_pool *pool = pool_open(POOL_LEN);
	struct hold hold = {};
	uint64_t i;

	(void)state;
	for (i = 0; i < 1000; i++) {
		assert_true(push(pool, &hold, i, i, 0));
		assert_int_equal(hold.n, i + 1);
	}
	for (i = 0; i < 1000; i++)
		pop(pool, &hold, i, i);
	assert_true(is_empty(pool, &hold));
	assert_int_equal(hold_pool_used(pool), 0);
	hold_pool_close(pool);
}

static void messages_of_every_length_come_out_as_they_went_in(void **state)
{
	struct hold_pool *pool = pool_open(POOL_LEN);
	struct hold hold = {};
	uint32_t len;

	(void)state;
	for (len = 0; len <= LEN_MAX; len++) {
		assert_true(push(pool, &hold, len, len, 0));
		pop(pool, &hold, len, len);
		assert_int_equal(hold_pool_used(pool), 0);
	}
	hold_pool_close(pool);
}

static void what_is_known_of_a_message_is_kept(void **state)
{
	struct hold_pool *pool = pool_open(POOL_LEN);
	uint8_t bytes[LEN_MAX];
	struct xsr_message into = { .data = bytes, .room = LEN_MAX };
	struct hold hold = {};

	(void)state;
	assert_true(push(pool, &hold, 42, 300, 0));
	assert_true(hold_pop(pool, &hold, &into));
	assert_int_equal(into.time_ns, 42 * 3);
	assert_int_equal(into.generation, 42);
	assert_int_equal(into.service, 7);
	assert_true(into.has_id);
	assert_int_equal(into.peer.port, 42);
	assert_int_equal(into.peer.queue, 5);
	assert_int_equal(into.peer.link[0], 1);
	assert_int_equal(into.peer.link[21], 22);
	hold_pool_close(pool);
}

static void clearing_gives_all_memory_back(void **state)
{
	struct hold_pool *pool = pool_open(POOL_LEN);
	struct hold hold = {};
	unsigned int i;

	(void)state;
	for (i = 0; i < 100; i++)
		assert_true(push(pool, &hold, i, i * 90, 1));
	pop(pool, &hold, 0, 0);
	hold_clear(pool, &hold);
	assert_true(is_empty(pool, &hold));
	assert_int_equal(hold.first_ns, 0);
	assert_int_equal(hold_pool_used(pool), 0);
	hold_pool_close(pool);
}

static void oldest_message_says_since_when_the_hold_waits(void **state)
{
	struct hold_pool *pool = pool_open(POOL_LEN);
	struct hold hold = {};

	(void)state;
	push(pool, &hold, 1, 10, 1000);
	push(pool, &hold, 2, 10, 2000);
	assert_int_equal(hold.first_ns, 1000);
	pop(pool, &hold, 1, 10);
	assert_int_equal(hold.first_ns, 2000);
	pop(pool, &hold, 2, 10);
	push(pool, &hold, 3, 10, 3000);
	assert_int_equal(hold.first_ns, 3000);
	hold_clear(pool, &hold);
	hold_pool_close(pool);
}

/* --- memory --- */

/* Messages of `len` bytes until there is no room; returns how many went in. */
static uint64_t fill(struct hold_pool *pool, struct hold *hold, uint32_t len)
{
	uint64_t n = 0;

	while (push(pool, hold, n, len, 0))
		n++;
	return n;
}

static void full_pool_keeps_what_it_has_and_takes_no_more(void **state)
{
	static const uint32_t lens[] = { 0, 1, 100, 248, 249, 500, 1472, LEN_MAX };
	struct hold_pool *pool = pool_open(64 * 1024);
	unsigned int k;

	(void)state;
	for (k = 0; k < sizeof(lens) / sizeof(lens[0]); k++) {
		struct hold hold = {};
		uint64_t i, n = fill(pool, &hold, lens[k]);
		size_t used = hold_pool_used(pool);

		assert_in_range(n, 64 * 1024 / (lens[k] + 512), 64 * 1024 / (lens[k] + 1));
		assert_in_range(used, n * lens[k], 64 * 1024);
		assert_int_equal(hold.n, n);
		assert_false(push(pool, &hold, n, lens[k], 0));
		assert_false(push(pool, &hold, n, LEN_MAX, 0));
		assert_int_equal(hold_pool_used(pool), used);
		for (i = 0; i < n; i++)
			pop(pool, &hold, i, lens[k]);
		assert_true(is_empty(pool, &hold));
		assert_int_equal(hold_pool_used(pool), 0);
	}
	hold_pool_close(pool);
}

static void message_that_finds_no_room_leaves_an_empty_hold_empty(void **state)
{
	struct hold_pool *pool = pool_open(16 * 1024);
	struct hold full = {}, empty = {};

	(void)state;
	fill(pool, &full, 0);
	assert_false(push(pool, &empty, 1, 0, 77));
	assert_true(is_empty(pool, &empty));
	hold_clear(pool, &full);
	assert_true(push(pool, &empty, 1, 0, 78));
	assert_int_equal(empty.first_ns, 78);
	pop(pool, &empty, 1, 0);
	hold_pool_close(pool);
}

static void pool_without_memory_holds_nothing(void **state)
{
	static const size_t lens[] = { 0, 1, 100 };
	unsigned int k;

	(void)state;
	for (k = 0; k < sizeof(lens) / sizeof(lens[0]); k++) {
		struct hold_pool *pool = pool_open(lens[k]);
		struct hold hold = {};

		assert_false(push(pool, &hold, 1, 0, 0));
		assert_true(is_empty(pool, &hold));
		hold_pool_close(pool);
	}
}

static void memory_that_came_back_is_as_much_as_before(void **state)
{
	struct hold_pool *pool = pool_open(64 * 1024);
	struct hold hold = {};
	uint64_t n = fill(pool, &hold, 700), round, i;

	(void)state;
	for (round = 0; round < 20; round++) {
		for (i = 0; i < n; i++)
			pop(pool, &hold, i, 700);
		fill(pool, &hold, LEN_MAX - round * 100);
		hold_clear(pool, &hold);
		assert_int_equal(fill(pool, &hold, 700), n);
	}
	hold_clear(pool, &hold);
	hold_pool_close(pool);
}

/* --- against a model --- */

#define N_HOLDS 8
#define N_WAITING 512 /* of one hold; a power of two */
#define N_STEPS 100000

/* Lengths of the messages that wait, by number. */
struct model {
	struct hold_pool *pool;
	struct hold holds[N_HOLDS];
	uint32_t lens[N_HOLDS][N_WAITING];
	uint64_t first[N_HOLDS], next[N_HOLDS]; /* numbers */
	uint64_t n_refused;
	uint64_t seed;
};

static uint32_t random_below(struct model *m, uint32_t n)
{
	m->seed ^= m->seed << 13;
	m->seed ^= m->seed >> 7;
	m->seed ^= m->seed << 17;
	return (m->seed >> 16) % n;
}

/* No two holds have a message of the same number. */
static uint64_t model_number(unsigned int k, uint64_t i)
{
	return i * N_HOLDS + k;
}

static void model_push(struct model *m, unsigned int k)
{
	uint32_t len = random_below(m, 4) ? random_below(m, 600) : random_below(m, LEN_MAX + 1);
	size_t used = hold_pool_used(m->pool);

	if (m->next[k] - m->first[k] == N_WAITING)
		return;
	if (push(m->pool, &m->holds[k], model_number(k, m->next[k]), len, 0)) {
		assert_in_range(hold_pool_used(m->pool), used + len, POOL_LEN);
		m->lens[k][m->next[k]++ % N_WAITING] = len;
	} else {
		assert_int_equal(hold_pool_used(m->pool), used);
		m->n_refused++;
	}
}

static void model_pop(struct model *m, unsigned int k)
{
	if (m->next[k] == m->first[k]) {
		assert_true(is_empty(m->pool, &m->holds[k]));
		return;
	}
	pop(m->pool, &m->holds[k], model_number(k, m->first[k]), m->lens[k][m->first[k] % N_WAITING]);
	m->first[k]++;
}

static void model_clear(struct model *m, unsigned int k)
{
	hold_clear(m->pool, &m->holds[k]);
	m->first[k] = m->next[k];
	assert_true(is_empty(m->pool, &m->holds[k]));
}

static void model_step(struct model *m, uint32_t step)
{
	unsigned int k = random_below(m, N_HOLDS), kind = random_below(m, 1000);
	unsigned int n_pushes = step / 2000 % 2 ? 350 : 650; /* the pool fills, and empties again */

	if (kind == 0)
		model_clear(m, k);
	else if (kind < n_pushes)
		model_push(m, k);
	else
		model_pop(m, k);
	assert_int_equal(m->holds[k].n, m->next[k] - m->first[k]);
}

static void random_steps_leave_what_the_model_has(void **state)
{
	struct model m = { .pool = pool_open(POOL_LEN), .seed = 0x2545f4914f6cdd1d };
	unsigned int k;
	uint32_t step;

	(void)state;
	for (step = 0; step < N_STEPS; step++)
		model_step(&m, step);
	for (k = 0; k < N_HOLDS; k++)
		while (m.holds[k].n)
			model_pop(&m, k);
	assert_int_equal(hold_pool_used(m.pool), 0);
	assert_in_range(m.n_refused, 100, N_STEPS / 4); /* the pool was full at times */
	hold_pool_close(m.pool);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(hold_of_all_zeroes_is_empty),
		cmocka_unit_test(closing_no_pool_does_nothing),
		cmocka_unit_test(messages_come_out_in_the_order_they_went_in),
		cmocka_unit_test(messages_of_every_length_come_out_as_they_went_in),
		cmocka_unit_test(what_is_known_of_a_message_is_kept),
		cmocka_unit_test(clearing_gives_all_memory_back),
		cmocka_unit_test(oldest_message_says_since_when_the_hold_waits),
		cmocka_unit_test(full_pool_keeps_what_it_has_and_takes_no_more),
		cmocka_unit_test(message_that_finds_no_room_leaves_an_empty_hold_empty),
		cmocka_unit_test(pool_without_memory_holds_nothing),
		cmocka_unit_test(memory_that_came_back_is_as_much_as_before),
		cmocka_unit_test(random_steps_leave_what_the_model_has),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
