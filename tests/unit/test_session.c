/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* session.h: a bounded table whose sessions keep their place, against a model that is a plain array. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <cmocka.h>

#include "session.h"

static struct session_table *table_open(uint32_t n_max)
{
	struct session_table *table = NULL;

	assert_int_equal(session_table_open(&table, n_max), 0);
	assert_non_null(table);
	return table;
}

static struct session *session_add(struct session_table *table, uint32_t service, uint64_t id)
{
	struct session *session = session_get(table, service, id);

	assert_non_null(session);
	assert_int_equal(session->s.service, service);
	assert_int_equal(session->s.id, id);
	return session;
}

static void new_table_is_empty(void **state)
{
	struct session_table *table = table_open(8);
	uint32_t n = 8;

	(void)state;
	assert_int_equal(session_count(table), 0);
	assert_null(session_find(table, 1, 0));
	assert_null(session_sweep(table, UINT64_MAX, &n));
	assert_int_equal(n, 0);
	session_table_close(table);
}

static void closing_no_table_does_nothing(void **state)
{
	(void)state;
	session_table_close(NULL);
}

static void new_session_is_zeroed_but_for_its_name(void **state)
{
	struct session_table *table = table_open(8);
	struct session *session = session_add(table, 3, 42), expected = { .s = { .id = 42, .service = 3 } };

	(void)state;
	expected.s.index = session->s.index;
	assert_memory_equal(session, &expected, sizeof(expected));
	memset(&session->s.peer, 0xff, sizeof(session->s.peer));
	session->s.state = session;
	session->s.n_messages = session->s.last_ns = ~0ULL;
	session_delete(table, session);
	session = session_add(table, 3, 42);
	expected.s.index = session->s.index;
	assert_memory_equal(session, &expected, sizeof(expected));
	session_table_close(table);
}

static void session_is_found_where_it_was_made(void **state)
{
	struct session_table *table = table_open(8);
	struct session *session = session_add(table, 3, 42);

	(void)state;
	session->s.n_messages = 7;
	assert_ptr_equal(session_get(table, 3, 42), session);
	assert_ptr_equal(session_find(table, 3, 42), session);
	assert_int_equal(session->s.n_messages, 7);
	assert_int_equal(session_count(table), 1);
	session_table_close(table);
}

static void same_id_of_another_service_is_another_session(void **state)
{
	struct session_table *table = table_open(8);
	struct session *one = session_add(table, 1, 42), *two = session_add(table, 2, 42);

	(void)state;
	assert_ptr_not_equal(one, two);
	session_delete(table, one);
	assert_null(session_find(table, 1, 42));
	assert_ptr_equal(session_find(table, 2, 42), two);
	session_table_close(table);
}

static void ids_of_all_zeroes_and_all_ones_are_ids(void **state)
{
	struct session_table *table = table_open(8);
	struct session *zero = session_add(table, 1, 0), *ones = session_add(table, 1, ~0ULL);

	(void)state;
	assert_ptr_equal(session_find(table, 1, 0), zero);
	assert_ptr_equal(session_find(table, 1, ~0ULL), ones);
	assert_int_equal(session_count(table), 2);
	session_table_close(table);
}

static void finding_does_not_make(void **state)
{
	struct session_table *table = table_open(8);

	(void)state;
	assert_null(session_find(table, 1, 42));
	assert_int_equal(session_count(table), 0);
	session_table_close(table);
}

/* Of every size: also those whose slots are filled to the half. */
static void full_table_takes_no_more_and_serves_what_it_has(void **state)
{
	static const uint32_t sizes[] = { 1, 2, 3, 7, 8, 9, 64, 100, 1000 };
	unsigned int k;
	uint32_t i;

	(void)state;
	for (k = 0; k < sizeof(sizes) / sizeof(sizes[0]); k++) {
		struct session_table *table = table_open(sizes[k]);

		for (i = 0; i < sizes[k]; i++)
			session_add(table, 1, i);
		assert_int_equal(session_count(table), sizes[k]);
		assert_null(session_get(table, 1, sizes[k]));
		assert_null(session_get(table, 2, 0));
		for (i = 0; i < sizes[k]; i++)
			assert_ptr_equal(session_get(table, 1, i), session_find(table, 1, i));
		session_delete(table, session_find(table, 1, 0));
		session_add(table, 1, sizes[k]);
		assert_null(session_get(table, 1, 0));
		session_table_close(table);
	}
}

static void every_session_has_an_index_of_its_own(void **state)
{
	struct session_table *table = table_open(100);
	bool used[100] = {};
	uint32_t i;

	(void)state;
	for (i = 0; i < 100; i++) {
		struct session *session = session_add(table, 1 + i % 5, i * 0x9e3779b97f4a7c15ULL);

		assert_in_range(session->s.index, 0, 99);
		assert_false(used[session->s.index]);
		used[session->s.index] = true;
	}
	session_table_close(table);
}

/* --- the sweep --- */

static void sweep_finds_who_was_silent_since_before(void **state)
{
	struct session_table *table = table_open(8);
	uint32_t n = 8;

	(void)state;
	session_add(table, 1, 1)->s.last_ns = 100;
	session_add(table, 1, 2)->s.last_ns = 200;
	session_add(table, 1, 3)->s.last_ns = 99;
	assert_int_equal(session_sweep(table, 100, &n)->s.id, 3);
	assert_null(session_sweep(table, 100, &n));
	assert_int_equal(n, 0);
	session_table_close(table);
}

static void sweep_of_one_round_sees_each_session_once(void **state)
{
	struct session_table *table = table_open(100);
	struct session *session;
	bool seen[60] = {};
	uint32_t i, n = 100, n_seen = 0;

	(void)state;
	for (i = 0; i < 60; i++)
		session_add(table, 1, i);
	while ((session = session_sweep(table, 1, &n))) {
		assert_false(seen[session->s.id]);
		seen[session->s.id] = true;
		n_seen++;
	}
	assert_int_equal(n_seen, 60);
	session_table_close(table);
}

static void sweep_goes_on_where_the_last_one_ended(void **state)
{
	struct session_table *table = table_open(100);
	bool seen[100] = {};
	uint32_t i, call;

	(void)state;
	for (i = 0; i < 100; i++)
		session_add(table, 1, i);
	for (call = 0; call < 10; call++) {
		uint32_t n = 10, n_seen = 0;
		struct session *session;

		while ((session = session_sweep(table, 1, &n))) {
			assert_false(seen[session->s.id]);
			seen[session->s.id] = true;
			n_seen++;
		}
		assert_int_equal(n_seen, 10);
	}
	session_table_close(table);
}

static void sweep_may_delete_what_it_finds(void **state)
{
	struct session_table *table = table_open(1000);
	struct session *session;
	uint32_t i, n = 1000;

	(void)state;
	for (i = 0; i < 1000; i++)
		session_add(table, 1, i)->s.last_ns = i % 3;
	while ((session = session_sweep(table, 1, &n)))
		session_delete(table, session);
	assert_int_equal(session_count(table), 666);
	for (i = 0; i < 1000; i++)
		assert_int_equal(session_find(table, 1, i) != NULL, i % 3 != 0);
	session_table_close(table);
}

static void sweep_of_nothing_finds_nothing(void **state)
{
	struct session_table *table = table_open(8);
	uint32_t n = 0;

	(void)state;
	session_add(table, 1, 1);
	assert_null(session_sweep(table, UINT64_MAX, &n));
	session_table_close(table);
}

/* --- against a model --- */

#define N_IDS 300
#define N_SERVICES 3
#define N_MAX 200
#define N_STEPS 300000

struct model {
	struct session_table *table;
	struct session *sessions[N_SERVICES][N_IDS]; /* NULL = not there */
	uint64_t n_messages[N_SERVICES][N_IDS];
	uint32_t n;
	uint64_t seed;
};

static uint32_t random_below(struct model *m, uint32_t n)
{
	m->seed ^= m->seed << 13;
	m->seed ^= m->seed >> 7;
	m->seed ^= m->seed << 17;
	return (m->seed >> 16) % n;
}

/* Some follow one another, some differ in their upper bits only, some are all over. */
static uint64_t model_id(uint32_t i)
{
	return i % 3 == 0 ? i : i % 3 == 1 ? (uint64_t)i << 48 : i * 0x9e3779b97f4a7c15ULL;
}

static void model_get(struct model *m, uint32_t service, uint32_t i)
{
	struct session *session = session_get(m->table, service + 1, model_id(i));

	if (m->sessions[service][i]) {
		assert_ptr_equal(session, m->sessions[service][i]);
		assert_int_equal(session->s.n_messages, m->n_messages[service][i]);
	} else if (m->n == N_MAX) {
		assert_null(session);
		return;
	} else {
		assert_non_null(session);
		assert_int_equal(session->s.n_messages, 0);
		m->sessions[service][i] = session;
		m->n_messages[service][i] = 0;
		m->n++;
	}
	session->s.n_messages = ++m->n_messages[service][i];
}

static void model_find(struct model *m, uint32_t service, uint32_t i)
{
	struct session *session = session_find(m->table, service + 1, model_id(i));

	assert_ptr_equal(session, m->sessions[service][i]);
	if (session)
		assert_int_equal(session->s.n_messages, m->n_messages[service][i]);
}

static void model_delete(struct model *m, uint32_t service, uint32_t i)
{
	if (!m->sessions[service][i])
		return;
	session_delete(m->table, m->sessions[service][i]);
	m->sessions[service][i] = NULL;
	m->n--;
}

static void model_check(struct model *m)
{
	uint32_t service, i;

	assert_int_equal(session_count(m->table), m->n);
	for (service = 0; service < N_SERVICES; service++)
		for (i = 0; i < N_IDS; i++)
			model_find(m, service, i);
}

static void random_steps_leave_what_the_model_has(void **state)
{
	static void (*const steps[])(struct model * m, uint32_t service,
				     uint32_t i) = { model_get, model_get, model_find, model_delete };
	struct model m = { .table = table_open(N_MAX), .seed = 0x2545f4914f6cdd1d };
	uint32_t step;

	(void)state;
	for (step = 0; step < N_STEPS; step++) {
		/* The table fills, and empties again. */
		uint32_t kind = step / 1000 % 5 == 4 ? 3 : random_below(&m, 4);

		steps[kind](&m, random_below(&m, N_SERVICES), random_below(&m, N_IDS));
		if (step % 1000 == 999)
			model_check(&m);
	}
	session_table_close(m.table);
}

/* --- how long a search takes, whatever IDs the clients choose --- */

#define N_TIMED 20000

/* Seconds to make and find N_TIMED sessions whose IDs count up from bit `shift`. */
static double table_fill_s(unsigned int shift)
{
	struct session_table *table = table_open(N_TIMED);
	clock_t start = clock();
	uint64_t i;

	for (i = 0; i < N_TIMED; i++)
		session_add(table, 1, i << shift);
	for (i = 0; i < N_TIMED; i++)
		assert_non_null(session_find(table, 1, i << shift));
	session_table_close(table);
	return (double)(clock() - start) / CLOCKS_PER_SEC;
}

static void ids_that_differ_in_their_upper_bits_only_are_found_as_fast(void **state)
{
	double lower_s = table_fill_s(0);
	unsigned int shift;

	(void)state;
	for (shift = 8; shift <= 48; shift += 8) {
		double upper_s = table_fill_s(shift);

		if (upper_s > 20 * lower_s + 0.05)
			fail_msg("IDs from bit %u on: %.3f s, from bit 0 on: %.3f s", shift, upper_s,
				 lower_s);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(new_table_is_empty),
		cmocka_unit_test(closing_no_table_does_nothing),
		cmocka_unit_test(new_session_is_zeroed_but_for_its_name),
		cmocka_unit_test(session_is_found_where_it_was_made),
		cmocka_unit_test(same_id_of_another_service_is_another_session),
		cmocka_unit_test(ids_of_all_zeroes_and_all_ones_are_ids),
		cmocka_unit_test(finding_does_not_make),
		cmocka_unit_test(full_table_takes_no_more_and_serves_what_it_has),
		cmocka_unit_test(every_session_has_an_index_of_its_own),
		cmocka_unit_test(sweep_finds_who_was_silent_since_before),
		cmocka_unit_test(sweep_of_one_round_sees_each_session_once),
		cmocka_unit_test(sweep_goes_on_where_the_last_one_ended),
		cmocka_unit_test(sweep_may_delete_what_it_finds),
		cmocka_unit_test(sweep_of_nothing_finds_nothing),
		cmocka_unit_test(random_steps_leave_what_the_model_has),
		cmocka_unit_test(ids_that_differ_in_their_upper_bits_only_are_found_as_fast),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
