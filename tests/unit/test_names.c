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
#include "service_spec.h"

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

static const char *stream_stat_of(int value)
{
	return stream_stat_name(value);
}

static const char *stream_meaning_of(int value)
{
	return stream_stat_meaning(value);
}

static const char *stream_mode_of(int value)
{
	return stream_mode_name(value);
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

static void every_counter_of_tcp_services_has_a_name_and_a_meaning_of_its_own(void **state)
{
	int i;

	(void)state;
	expect_words(stream_stat_of, XSR_STREAM_STAT_MAX);
	expect_distinct(stream_stat_of, XSR_STREAM_STAT_MAX);
	expect_distinct(stream_meaning_of, XSR_STREAM_STAT_MAX);
	for (i = 0; i < XSR_STREAM_STAT_MAX; i++)
		assert_true(strlen(stream_stat_meaning(i)) > 10);
	assert_string_equal(stream_stat_meaning(XSR_STREAM_STAT_MAX), "?");
}

/* `stats show` gives no rate of those that stand before. */
static void counters_that_are_no_totals_stand_first(void **state)
{
	(void)state;
	assert_int_equal(STREAM_STAT_FIRST_TOTAL, 3);
	assert_string_equal(stream_stat_name(0), "connections");
	assert_string_equal(stream_stat_name(2), "backends");
}

static void every_mode_has_a_name_of_its_own(void **state)
{
	(void)state;
	expect_words(stream_mode_of, XSR_STREAM_MAX);
	expect_distinct(stream_mode_of, XSR_STREAM_MAX);
}

/* The file's words and the names in results are one. */
static void modes_are_named_as_the_operator_writes_them(void **state)
{
	int mode;

	(void)state;
	for (mode = XSR_STREAM_NONE + 1; mode < XSR_STREAM_MAX; mode++) {
		const char *backends[] = { "one" };
		const struct service_spec spec = {
			.name = "gw",
			.protocol = "tcp",
			.address = "10.0.0.1:7000",
			.id = mode <= XSR_STREAM_FRAMES ? "xsr" : "none",
			.mode = stream_mode_name(mode),
			.backends = backends,
			.n_backends = mode != XSR_STREAM_LOCAL,
			.cgroup = mode == XSR_STREAM_LOCAL ? "/sys/fs/cgroup" : NULL,
		};
		struct xsr_service service = {};
		char why[SERVICE_WHY_LEN];

		if (service_spec_parse(&spec, &service, why))
			fail_msg("%s", why);
		assert_int_equal(service.mode, mode);
	}
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
	assert_string_equal(action_name(XSR_ACTION_BACKEND), "backend");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_counter_has_a_name_of_its_own),
		cmocka_unit_test(every_counter_has_a_meaning_of_its_own),
		cmocka_unit_test(every_worker_counter_has_a_name_of_its_own),
		cmocka_unit_test(every_counter_of_tcp_services_has_a_name_and_a_meaning_of_its_own),
		cmocka_unit_test(counters_that_are_no_totals_stand_first),
		cmocka_unit_test(every_mode_has_a_name_of_its_own),
		cmocka_unit_test(modes_are_named_as_the_operator_writes_them),
		cmocka_unit_test(every_action_has_a_name_of_its_own),
		cmocka_unit_test(default_counters_are_named_by_reason_and_result),
		cmocka_unit_test(actions_are_named_as_the_operator_writes_them),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
