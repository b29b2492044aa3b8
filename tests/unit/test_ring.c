/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* ring.h: a bounded queue between one producer and one consumer; also built with the thread sanitizer. */
#include <pthread.h>
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

#include "ring.h"

#define N_SLOTS 8

/* A ring with both its ends; a slot is a number. */
struct pipe {
	struct ring *ring;
	struct ring_end p, c;
	uint64_t n_sent, n_received;
};

/* Its indices begin at `at`, so that a test sees them wrap. */
static struct pipe pipe_open(uint64_t at)
{
	struct pipe pipe = { .ring = ring_open(N_SLOTS, sizeof(uint64_t)) };

	assert_non_null(pipe.ring);
	atomic_store(&pipe.ring->tail, at);
	atomic_store(&pipe.ring->head, at);
	pipe.p = pipe.c = ring_end(pipe.ring);
	pipe.p.at = pipe.p.other = pipe.c.at = pipe.c.other = at;
	return pipe;
}

static void pipe_close(struct pipe *pipe)
{
	ring_close(pipe->ring);
}

/* A record of n slots, each with the next number; false if there is no room. */
static bool pipe_reserve(struct pipe *pipe, uint32_t n)
{
	uint64_t first, i;

	if (!ring_reserve(&pipe->p, n, &first))
		return false;
	for (i = 0; i < n; i++)
		*(uint64_t *)ring_slot(&pipe->p, first + i) = pipe->n_sent++;
	return true;
}

static bool pipe_send(struct pipe *pipe, uint32_t n)
{
	if (!pipe_reserve(pipe, n))
		return false;
	ring_submit(&pipe->p);
	return true;
}

/* Takes n slots, which must be there and have the numbers that come next. */
static void pipe_take(struct pipe *pipe, uint32_t n)
{
	uint64_t first = 0, i;

	assert_in_range(ring_recv(&pipe->c, &first), n, N_SLOTS);
	for (i = 0; i < n; i++)
		assert_int_equal(*(uint64_t *)ring_slot(&pipe->c, first + i), pipe->n_received++);
	ring_release(&pipe->c, n);
}

static uint64_t pipe_waiting(struct pipe *pipe)
{
	uint64_t first;

	return ring_recv(&pipe->c, &first);
}

/* --- one slot after the other --- */

static void new_ring_is_empty_and_has_room_for_all_its_slots(void **state)
{
	struct pipe pipe = pipe_open(0);

	(void)state;
	assert_int_equal(pipe_waiting(&pipe), 0);
	assert_int_equal(ring_room(&pipe.p), N_SLOTS);
	pipe_close(&pipe);
}

static void closing_no_ring_does_nothing(void **state)
{
	(void)state;
	ring_close(NULL);
}

static void both_indices_have_a_cache_line_of_their_own(void **state)
{
	struct ring *ring = ring_open(N_SLOTS, 1);

	(void)state;
	assert_int_equal((uintptr_t)ring % RING_LINE, 0);
	assert_true((char *)&ring->head - (char *)&ring->tail >= RING_LINE);
	assert_true((char *)ring->slots - (char *)&ring->head >= RING_LINE);
	ring_close(ring);
}

static void every_slot_can_be_used_and_no_more(void **state)
{
	struct pipe pipe = pipe_open(0);
	unsigned int i;

	(void)state;
	for (i = 0; i < N_SLOTS; i++) {
		assert_int_equal(ring_room(&pipe.p), N_SLOTS - i);
		assert_true(pipe_send(&pipe, 1));
	}
	assert_int_equal(ring_room(&pipe.p), 0);
	assert_false(pipe_send(&pipe, 1));
	pipe_take(&pipe, N_SLOTS);
	assert_int_equal(pipe_waiting(&pipe), 0);
	pipe_close(&pipe);
}

static void released_slot_is_room_for_the_next(void **state)
{
	struct pipe pipe = pipe_open(0);
	unsigned int i;

	(void)state;
	assert_true(pipe_send(&pipe, N_SLOTS));
	for (i = 0; i < 10 * N_SLOTS; i++) {
		assert_false(pipe_send(&pipe, 1));
		pipe_take(&pipe, 1);
		assert_int_equal(ring_room(&pipe.p), 1);
		assert_true(pipe_send(&pipe, 1));
	}
	pipe_take(&pipe, N_SLOTS);
	pipe_close(&pipe);
}

static void what_was_received_stays_until_it_is_released(void **state)
{
	struct pipe pipe = pipe_open(0);
	uint64_t first, again;

	(void)state;
	pipe_send(&pipe, 3);
	assert_int_equal(ring_recv(&pipe.c, &first), 3);
	assert_int_equal(ring_recv(&pipe.c, &again), 3);
	assert_int_equal(first, again);
	assert_int_equal(ring_room(&pipe.p), N_SLOTS - 3);
	pipe_take(&pipe, 2);
	assert_int_equal(ring_room(&pipe.p), N_SLOTS - 1);
	pipe_take(&pipe, 1);
	pipe_close(&pipe);
}

/* --- records --- */

static void record_is_seen_whole_when_it_is_submitted(void **state)
{
	struct pipe pipe = pipe_open(0);

	(void)state;
	assert_true(pipe_reserve(&pipe, 3));
	assert_int_equal(pipe_waiting(&pipe), 0);
	assert_true(pipe_reserve(&pipe, 2));
	assert_int_equal(pipe_waiting(&pipe), 0);
	ring_submit(&pipe.p);
	assert_int_equal(pipe_waiting(&pipe), 5);
	pipe_take(&pipe, 5);
	pipe_close(&pipe);
}

static void reserved_slots_are_no_room_any_more(void **state)
{
	struct pipe pipe = pipe_open(0);

	(void)state;
	assert_true(pipe_reserve(&pipe, 5));
	assert_int_equal(ring_room(&pipe.p), N_SLOTS - 5);
	assert_false(pipe_reserve(&pipe, 4));
	assert_true(pipe_reserve(&pipe, 3));
	ring_submit(&pipe.p);
	pipe_take(&pipe, N_SLOTS);
	pipe_close(&pipe);
}

static void record_that_does_not_fit_leaves_the_ring_as_it_was(void **state)
{
	struct pipe pipe = pipe_open(0);
	uint64_t first = 42;

	(void)state;
	pipe_send(&pipe, 6);
	assert_int_equal(ring_reserve(&pipe.p, 3, &first), 0);
	assert_int_equal(first, 42);
	assert_int_equal(ring_reserve(&pipe.p, N_SLOTS + 1, &first), 0);
	assert_int_equal(ring_reserve(&pipe.p, UINT32_MAX, &first), 0);
	ring_submit(&pipe.p);
	assert_int_equal(pipe_waiting(&pipe), 6);
	assert_true(pipe_send(&pipe, 2));
	pipe_take(&pipe, 6);
	pipe_take(&pipe, 2);
	pipe_close(&pipe);
}

static void record_may_stand_across_the_end_of_the_memory(void **state)
{
	struct pipe pipe = pipe_open(0);
	unsigned int n, i;

	(void)state;
	for (n = 1; n <= N_SLOTS; n++) {
		for (i = 0; i < 3 * N_SLOTS; i++) {
			assert_true(pipe_send(&pipe, n));
			pipe_take(&pipe, n);
		}
	}
	pipe_close(&pipe);
}

/* --- indices --- */

static void indices_run_past_the_largest_number(void **state)
{
	uint64_t k;
	unsigned int n, i;

	(void)state;
	for (k = 0; k < 3 * N_SLOTS; k++) {
		struct pipe pipe = pipe_open(UINT64_MAX - k);

		assert_int_equal(ring_room(&pipe.p), N_SLOTS);
		assert_int_equal(pipe_waiting(&pipe), 0);
		assert_true(pipe_send(&pipe, N_SLOTS));
		assert_false(pipe_send(&pipe, 1));
		pipe_take(&pipe, N_SLOTS);
		for (i = 0; i < 4 * N_SLOTS; i++) {
			n = 1 + i % N_SLOTS;
			assert_true(pipe_send(&pipe, n));
			assert_int_equal(ring_room(&pipe.p), N_SLOTS - n);
			pipe_take(&pipe, n);
		}
		assert_true(atomic_load(&pipe.ring->tail) < UINT64_MAX / 2);
		pipe_close(&pipe);
	}
}

static void producer_looks_at_the_consumer_only_when_it_thinks_it_full(void **state)
{
	struct pipe pipe = pipe_open(0);

	(void)state;
	pipe_send(&pipe, 4);
	pipe_take(&pipe, 4);
	assert_int_equal(pipe.p.other, 0);
	pipe_send(&pipe, 4);
	assert_int_equal(pipe.p.other, 0);
	pipe_send(&pipe, 1);
	assert_int_equal(pipe.p.other, 4);
	pipe_take(&pipe, 5);
	pipe_close(&pipe);
}

static void end_without_a_ring_has_nothing_and_no_room(void **state)
{
	struct ring_end end = {};
	uint64_t first = 42;

	(void)state;
	assert_int_equal(ring_room(&end), 0);
	assert_int_equal(ring_reserve(&end, 1, &first), 0);
	assert_int_equal(ring_recv(&end, &first), 0);
	assert_int_equal(first, 42);
}

/* --- two threads --- */

#define N_RECORDS 200000
#define RECORD_MAX 5

/* The first slot says how many the record has. */
static void *producer_main(void *arg)
{
	struct pipe *pipe = arg;
	uint64_t first, number = 0;
	uint32_t i, k, n;

	for (k = 0; k < N_RECORDS; k++) {
		n = 1 + k % RECORD_MAX;
		while (!ring_reserve(&pipe->p, n, &first))
			sched_yield();
		*(uint64_t *)ring_slot(&pipe->p, first) = n;
		for (i = 1; i < n; i++)
			*(uint64_t *)ring_slot(&pipe->p, first + i) = ++number;
		ring_submit(&pipe->p);
	}
	return NULL;
}

/* Takes one record; false if it is not whole, or its numbers are not those that come next. */
static bool record_take(struct pipe *pipe, uint64_t *number)
{
	uint64_t first, i, n, n_waiting;
	bool whole;

	while (!(n_waiting = ring_recv(&pipe->c, &first)))
		sched_yield();
	n = *(uint64_t *)ring_slot(&pipe->c, first);
	whole = n >= 1 && n <= n_waiting;
	for (i = 1; i < n && whole; i++)
		whole = *(uint64_t *)ring_slot(&pipe->c, first + i) == ++*number;
	ring_release(&pipe->c, n);
	return whole;
}

static void threads_see_whole_records_in_order(void **state)
{
	struct pipe pipe = pipe_open(UINT64_MAX - N_RECORDS);
	uint64_t number = 0;
	unsigned int k, n_broken = 0;
	pthread_t producer;

	(void)state;
	assert_int_equal(pthread_create(&producer, NULL, producer_main, &pipe), 0);
	for (k = 0; k < N_RECORDS; k++)
		n_broken += !record_take(&pipe, &number);
	pthread_join(producer, NULL);
	assert_int_equal(n_broken, 0);
	assert_int_equal(pipe_waiting(&pipe), 0);
	pipe_close(&pipe);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(new_ring_is_empty_and_has_room_for_all_its_slots),
		cmocka_unit_test(closing_no_ring_does_nothing),
		cmocka_unit_test(both_indices_have_a_cache_line_of_their_own),
		cmocka_unit_test(every_slot_can_be_used_and_no_more),
		cmocka_unit_test(released_slot_is_room_for_the_next),
		cmocka_unit_test(what_was_received_stays_until_it_is_released),
		cmocka_unit_test(record_is_seen_whole_when_it_is_submitted),
		cmocka_unit_test(reserved_slots_are_no_room_any_more),
		cmocka_unit_test(record_that_does_not_fit_leaves_the_ring_as_it_was),
		cmocka_unit_test(record_may_stand_across_the_end_of_the_memory),
		cmocka_unit_test(indices_run_past_the_largest_number),
		cmocka_unit_test(producer_looks_at_the_consumer_only_when_it_thinks_it_full),
		cmocka_unit_test(end_without_a_ring_has_nothing_and_no_room),
		cmocka_unit_test(threads_see_whole_records_in_order),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
