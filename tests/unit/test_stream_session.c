/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* stream_session.h: what of a session is unanswered, and since when; which sessions have no client. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <cmocka.h>

#include "chance.h"
#include "stream_session.h"

#define N 8
#define DEADLINE 1000ULL

static struct stream_sessions *SESSIONS;
static struct stream_session *S;

static int setup(void **state)
{
	int ret = stream_sessions_open(&SESSIONS, N);

	(void)state;
	S = ret ? NULL : stream_session_add(SESSIONS, 1, 42);
	return !S;
}

static int teardown(void **state)
{
	(void)state;
	stream_sessions_close(SESSIONS);
	return 0;
}

static void ask(uint64_t seq, uint64_t now)
{
	stream_session_asked(SESSIONS, S, seq, now, DEADLINE);
}

static bool is_busy(const struct stream_session *s)
{
	const struct stream_session *each;

	TAILQ_FOREACH(each, &SESSIONS->busy, in_busy)
		if (each == s)
			return true;
	return false;
}

static bool is_left(const struct stream_session *s)
{
	const struct stream_session *each;

	TAILQ_FOREACH(each, &SESSIONS->left, in_left)
		if (each == s)
			return true;
	return false;
}

static void sessions_are_found_by_service_and_id(void **state)
{
	struct stream_session *other = stream_session_add(SESSIONS, 2, 42);

	(void)state;
	assert_ptr_equal(stream_session_find(SESSIONS, 1, 42), S);
	assert_ptr_equal(stream_session_find(SESSIONS, 2, 42), other);
	assert_null(stream_session_find(SESSIONS, 1, 43));
	assert_int_equal(SESSIONS->n, 2);
	stream_session_remove(SESSIONS, S);
	assert_null(stream_session_find(SESSIONS, 1, 42));
	assert_ptr_equal(stream_session_find(SESSIONS, 2, 42), other);
}

static void no_more_than_there_may_be(void **state)
{
	uint64_t id;

	(void)state;
	for (id = 100; id < 100 + N - 1; id++)
		assert_non_null(stream_session_add(SESSIONS, 1, id));
	assert_null(stream_session_add(SESSIONS, 1, id));
	assert_null(stream_session_find(SESSIONS, 1, id));
	ask(5, 1);
	stream_session_remove(SESSIONS, S);
	S = stream_session_add(SESSIONS, 1, id);
	assert_non_null(S);
	assert_int_equal(S->asked, 0);
	assert_false(S->is_busy);
	assert_int_equal(S->n_groups, 0);
}

static void session_is_left_while_it_has_no_client(void **state)
{
	struct stream_set mine = LIST_HEAD_INITIALIZER(mine), others = LIST_HEAD_INITIALIZER(others);
	struct front *client = (struct front *)&mine, *other = (struct front *)&others; /* nobody looks into them */

	(void)state;
	assert_true(is_left(S));
	stream_session_bind(SESSIONS, S, client, &mine, 10);
	assert_false(is_left(S));
	assert_ptr_equal(LIST_FIRST(&mine), S);
	stream_session_bind(SESSIONS, S, other, &others, 20);
	assert_null(LIST_FIRST(&mine));
	assert_ptr_equal(LIST_FIRST(&others), S);
	stream_session_bind(SESSIONS, S, NULL, NULL, 30);
	assert_null(LIST_FIRST(&others));
	assert_true(is_left(S));
	assert_int_equal(S->left_ns, 30);
}

static void who_left_first_stands_first(void **state)
{
	struct stream_set mine = LIST_HEAD_INITIALIZER(mine);
	struct stream_session *other = stream_session_add(SESSIONS, 1, 43);

	(void)state;
	assert_ptr_equal(TAILQ_FIRST(&SESSIONS->left), S);
	stream_session_bind(SESSIONS, S, (struct front *)&mine, &mine, 1);
	stream_session_bind(SESSIONS, S, NULL, NULL, 2);
	assert_ptr_equal(TAILQ_FIRST(&SESSIONS->left), other);
}

static void session_is_busy_until_all_is_answered(void **state)
{
	(void)state;
	assert_false(is_busy(S));
	ask(1, 0);
	ask(2, 1);
	ask(3, DEADLINE);
	assert_true(is_busy(S) && S->is_busy);
	stream_session_answered(SESSIONS, S, 1);
	stream_session_answered(SESSIONS, S, 2);
	assert_true(is_busy(S));
	stream_session_answered(SESSIONS, S, 3);
	assert_false(is_busy(S) || S->is_busy);
	assert_int_equal(S->asked, 3);
	assert_int_equal(S->answered, 3);
}

static void error_covers_all_before(void **state)
{
	(void)state;
	ask(1, 0);
	ask(2, DEADLINE);
	ask(3, 2 * DEADLINE);
	stream_session_erred(SESSIONS, S, 2);
	assert_true(is_busy(S));
	assert_int_equal(S->erred, 2);
	stream_session_erred(SESSIONS, S, 3);
	assert_false(is_busy(S));
	stream_session_erred(SESSIONS, S, 1);
	assert_int_equal(S->erred, 3);
}

static void what_waits_too_long_is_overdue(void **state)
{
	(void)state;
	assert_int_equal(stream_session_overdue(S, UINT64_MAX), 0);
	ask(1, 1000);
	ask(2, 2000);
	ask(3, 3000);
	assert_int_equal(stream_session_overdue(S, 1000), 0);
	assert_int_equal(stream_session_overdue(S, 1001), 1);
	assert_int_equal(stream_session_overdue(S, 2001), 2);
	stream_session_answered(SESSIONS, S, 2);
	assert_int_equal(stream_session_overdue(S, 3000), 0);
	assert_int_equal(stream_session_overdue(S, 3001), 3);
}

/* A number below the first is no request's: it does not make the session busy for ever. */
static void request_zero_is_not_waited_for(void **state)
{
	(void)state;
	ask(0, 1);
	assert_false(is_busy(S));
	ask(1, 2);
	assert_true(is_busy(S));
}

static void greeting_begins_anew(void **state)
{
	(void)state;
	ask(1000, 1);
	stream_session_erred(SESSIONS, S, 900);
	stream_session_begin(SESSIONS, S, 5);
	assert_false(is_busy(S));
	assert_int_equal(S->asked, 5);
	assert_int_equal(S->answered, 5);
	assert_true(S->erred <= 5);
	ask(6, 2);
	assert_int_equal(stream_session_overdue(S, 3), 6);
	stream_session_answered(SESSIONS, S, 6);
	assert_false(is_busy(S));
}

/* What was asked and when, one by one; groups may be late by a quarter of the deadline, never early, and never forget one. */
static void groups_are_as_exact_as_they_say(void **state)
{
	static uint64_t times[4001];
	uint64_t seed;

	(void)state;
	for (seed = 0; seed < 50; seed++) {
		struct chance chance = { .state = seed };
		uint64_t now = 1000000, asked = 0, answered = 0, seq, step;

		stream_session_begin(SESSIONS, S, 0);
		while (asked < 4000) {
			now += chance_below(&chance, chance_of(&chance, 5) ? 300 : 5);
			if (chance_of(&chance, 60)) {
				times[++asked] = now;
				ask(asked, now);
			} else if (answered < asked) {
				step = chance_below(&chance, 3);
				answered = answered + step < asked ? answered + step : asked;
				stream_session_answered(SESSIONS, S, answered);
			}
			assert_int_equal(S->is_busy, answered < asked);
			seq = stream_session_overdue(S, now - DEADLINE);
			if (seq)
				assert_true(seq > answered && times[seq] < now - DEADLINE);
			if (answered < asked && times[answered + 1] < now - DEADLINE - DEADLINE / 4)
				assert_true(seq > answered);
			if (seq) {
				stream_session_erred(SESSIONS, S, seq);
				answered = seq;
			}
		}
	}
}

#define test(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		test(sessions_are_found_by_service_and_id),
		test(no_more_than_there_may_be),
		test(session_is_left_while_it_has_no_client),
		test(who_left_first_stands_first),
		test(session_is_busy_until_all_is_answered),
		test(error_covers_all_before),
		test(what_waits_too_long_is_overdue),
		test(request_zero_is_not_waited_for),
		test(greeting_begins_anew),
		test(groups_are_as_exact_as_they_say),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
