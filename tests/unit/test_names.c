/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* names.c: scripts key on these names, so each value has one of its own. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>

#include "names.h"

typedef const char *(*name_fn)(int value);

static const char *stat_of(int value)
{
	return stat_name(value);
}

static const char *meaning_of(int value)
{
	return stat_meaning(value);
}

static const char *worker_stat_of(int value)
{
	return worker_stat_name(value);
}

static const char *action_of(int value)
{
	return action_name(value);
}

static void expect_distinct(name_fn name, int n)
{
	int i, j;

	for (i = 0; i < n; i++)
		for (j = 0; j < i; j++)
			if (!strcmp(name(i), name(j)))
				fail_msg("%d and %d are both %s", i, j, name(i));
}

/* What may be a JSON key, a metric's name and a shell word. */
static void expect_words(name_fn name, int n)
{
	int i;

	for (i = 0; i < n; i++)
		if (!*name(i) || name(i)[strspn(name(i), "abcdefghijklmnopqrstuvwxyz0123456789_")])
			fail_msg("%d is called \"%s\"", i, name(i));
	assert_string_equal(name(n), "?");
	assert_string_equal(name(-1), "?");
	assert_string_equal(name(1 << 20), "?");
}

static void every_counter_has_a_name_of_its_own(void **state)
{
	(void)state;
	expect_words(stat_of, XSR_STAT_MAX);
	expect_distinct(stat_of, XSR_STAT_MAX);
}

static void every_counter_has_a_meaning_of_its_own(void **state)
{
	int i;

	(void)state;
	expect_distinct(meaning_of, XSR_STAT_MAX);
	for (i = 0; i < XSR_STAT_MAX; i++)
		assert_true(strlen(stat_meaning(i)) > 10);
	assert_string_equal(stat_meaning(XSR_STAT_MAX), "?");
}

static void every_worker_counter_has_a_name_of_its_own(void **state)
{
	(void)state;
	expect_words(worker_stat_of, XSR_WORKER_STAT_MAX);
	expect_distinct(worker_stat_of, XSR_WORKER_STAT_MAX);
}

static void every_action_has_a_name_of_its_own(void **state)
{
	(void)state;
	expect_words(action_of, XSR_ACTION_MAX);
	expect_distinct(action_of, XSR_ACTION_MAX);
}

/* The kernel's program computes these counters: a swapped label would lie. */
static void default_counters_are_named_by_reason_and_result(void **state)
{
	static const char *const reasons[XSR_REASON_MAX] = { "no_id", "no_route", "stale_id", "worker_gone" };
	static const char *const results[XSR_RESULT_MAX] = { "pass", "drop", "hash", "no_worker" };
	char expected[32];
	int reason, result;

	(void)state;
	for (reason = 0; reason < XSR_REASON_MAX; reason++)
		for (result = 0; result < XSR_RESULT_MAX; result++) {
			snprintf(expected, sizeof(expected), "%s_%s", reasons[reason], results[result]);
			assert_string_equal(stat_name(xsr_stat_default(reason, result)), expected);
		}
}

/* Words of the command line and of its output. */
static void actions_are_named_as_the_operator_writes_them(void **state)
{
	(void)state;
	assert_string_equal(action_name(XSR_ACTION_PASS), "pass");
	assert_string_equal(action_name(XSR_ACTION_DROP), "drop");
	assert_string_equal(action_name(XSR_ACTION_WORKER), "worker");
	assert_string_equal(action_name(XSR_ACTION_HASH), "hash");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_counter_has_a_name_of_its_own),
		cmocka_unit_test(every_counter_has_a_meaning_of_its_own),
		cmocka_unit_test(every_worker_counter_has_a_name_of_its_own),
		cmocka_unit_test(every_action_has_a_name_of_its_own),
		cmocka_unit_test(default_counters_are_named_by_reason_and_result),
		cmocka_unit_test(actions_are_named_as_the_operator_writes_them),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
