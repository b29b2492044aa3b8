/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* The text of a route: what import lines and command lines may say. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "cmd/target.h"

static char why[TARGET_WHY_LEN];

/* The text ends where its memory ends: a read past it is seen. */
static int parse(const char *text, uint64_t *id, struct xsr_route *route)
{
	size_t len = strlen(text);
	char *copy = malloc(len ? len : 1);
	int ret;

	memcpy(copy, text, len);
	memset(route, 0, sizeof(*route));
	why[0] = 0;
	ret = target_parse_line(copy, len, id, route, why);
	free(copy);
	return ret;
}

static void accepts(const char *text, uint64_t id, enum xsr_action action, uint16_t target)
{
	struct xsr_route route;
	uint64_t got = ~id;

	assert_int_equal(parse(text, &got, &route), 0);
	assert_true(got == id);
	assert_int_equal(route.action, action);
	assert_int_equal(route.target, target);
}

static void refuses(const char *text, const char *because)
{
	struct xsr_route route;
	uint64_t id;

	assert_int_not_equal(parse(text, &id, &route), 0);
	if (!strstr(why, because))
		fail_msg("'%s' was refused with '%s'", text, why);
}

static void ids_are_decimal_or_hex(void **state)
{
	(void)state;
	accepts("0 pass", 0, XSR_ACTION_PASS, 0);
	accepts("0x2a drop", 0x2a, XSR_ACTION_DROP, 0);
	accepts("0X2A drop", 0x2a, XSR_ACTION_DROP, 0);
	accepts("00042 drop", 42, XSR_ACTION_DROP, 0);
	accepts("18446744073709551615 pass", UINT64_MAX, XSR_ACTION_PASS, 0);
	accepts("0xffffffffffffffff pass", UINT64_MAX, XSR_ACTION_PASS, 0);
	accepts("9999999999999999999 pass", 9999999999999999999u, XSR_ACTION_PASS, 0);
	accepts("0000000000000000000000000007 pass", 7, XSR_ACTION_PASS, 0);
}

static void ids_that_do_not_fit_are_refused(void **state)
{
	(void)state;
	refuses("18446744073709551616 pass", "64 bits");
	refuses("28446744073709551615 pass", "64 bits");
	refuses("99999999999999999999999999 pass", "64 bits");
	refuses("0x10000000000000000 pass", "64 bits");
}

static void ids_that_are_no_numbers_are_refused(void **state)
{
	(void)state;
	refuses("", "ID ''");
	refuses("pass", "ID 'pass'");
	refuses("0x pass", "ID '0x'");
	refuses("-1 pass", "ID '-1'");
	refuses("12a pass", "ID '12a'");
	refuses("0x12g pass", "ID '0x12g'");
	refuses("1,2 pass", "ID '1,2'");
}

static void workers_are_0_to_63(void **state)
{
	(void)state;
	accepts("1 worker 0", 1, XSR_ACTION_WORKER, 0);
	accepts("1 worker 63", 1, XSR_ACTION_WORKER, 63);
	accepts("1 worker 0x10", 1, XSR_ACTION_WORKER, 16);
	refuses("1 worker 64", "0 to 63");
	refuses("1 worker 4294967296", "0 to 63");
	refuses("1 worker", "expected a number");
	refuses("1 worker -1", "expected a number");
	refuses("1 worker one", "worker 'one'");
}

static void targets_are_known_words(void **state)
{
	(void)state;
	refuses("1", "target ''");
	refuses("1 hash", "target 'hash'");
	refuses("1 passx", "target 'passx'");
	refuses("1 backend b0", "target 'backend'");
	refuses("1 pass 2", "unexpected '2'");
	refuses("1 worker 1 2", "unexpected '2'");
}

static void blanks_do_not_count(void **state)
{
	(void)state;
	accepts("  \t7\t worker   3 \t\r", 7, XSR_ACTION_WORKER, 3);
}

static void long_garbage_makes_a_short_sentence(void **state)
{
	char text[5000];

	(void)state;
	memset(text, 'z', sizeof(text) - 1);
	text[sizeof(text) - 1] = 0;
	refuses(text, "expected a decimal");
	assert_true(strlen(why) < TARGET_WHY_LEN);
}

static void words_say_the_same_as_lines(void **state)
{
	char *words[] = { "worker", "5", NULL };
	char *surplus[] = { "worker", "5", "6", NULL };
	struct xsr_route route = {};

	(void)state;
	assert_int_equal(target_parse_words(2, words, &route, why), 0);
	assert_int_equal(route.target, 5);
	assert_int_not_equal(target_parse_words(3, surplus, &route, why), 0);
	assert_int_not_equal(target_parse_words(0, NULL, &route, why), 0);
}

static void text_comes_back(void **state)
{
	struct xsr_route worker = { .action = XSR_ACTION_WORKER, .target = 7 }, pass = { .action = XSR_ACTION_PASS };
	char buf[TARGET_TEXT_LEN];

	(void)state;
	assert_string_equal(target_text(&worker, buf), "worker 7");
	assert_string_equal(target_json(&worker, buf), "{\"worker\":7}");
	assert_string_equal(target_text(&pass, buf), "pass");
	assert_string_equal(target_json(&pass, buf), "\"pass\"");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(ids_are_decimal_or_hex),
		cmocka_unit_test(ids_that_do_not_fit_are_refused),
		cmocka_unit_test(ids_that_are_no_numbers_are_refused),
		cmocka_unit_test(workers_are_0_to_63),
		cmocka_unit_test(targets_are_known_words),
		cmocka_unit_test(blanks_do_not_count),
		cmocka_unit_test(long_garbage_makes_a_short_sentence),
		cmocka_unit_test(words_say_the_same_as_lines),
		cmocka_unit_test(text_comes_back),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
