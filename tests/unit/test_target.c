/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* The text of a route: what import lines and command lines may say. */
#include <errno.h>
#include <netinet/in.h>
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

/* Numbers 1, 5 and 63. */
static const struct xsr_backend backends[XSR_BACKENDS_MAX] = {
	[1] = { .family = 4, .name = "one" },
	[4] = { .name = "gone" },
	[5] = { .family = 6, .name = "one-b" },
	[63] = { .family = 4, .name = "abcdefghijklmnopqrstuvwxyz01234" },
};
static struct target_names names = { .backends = backends };

/* The text ends where its memory ends: a read past it is seen. */
static int parse(const char *text, uint64_t *id, struct xsr_route *route)
{
	size_t len = strlen(text);
	char *copy = malloc(len ? len : 1);
	int ret;

	memcpy(copy, text, len);
	memset(route, 0, sizeof(*route));
	why[0] = 0;
	ret = target_parse_line(copy, len, &names, id, route, why);
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
	refuses("1 pass 2", "unexpected '2'");
	refuses("1 worker 1 2", "unexpected '2'");
}

static void backends_are_found_by_their_names(void **state)
{
	struct xsr_route route;
	uint64_t id;

	(void)state;
	accepts("1 backend one", 1, XSR_ACTION_BACKEND, 1);
	accepts("1 backend one-b", 1, XSR_ACTION_BACKEND, 5);
	accepts("1 backend one-b", 1, XSR_ACTION_BACKEND, 5);
	accepts("1 backend one", 1, XSR_ACTION_BACKEND, 1);
	accepts("1 backend\tabcdefghijklmnopqrstuvwxyz01234", 1, XSR_ACTION_BACKEND, 63);
	refuses("1 backend", "expected a name");
	refuses("1 backend  ", "expected a name");
	refuses("1 backend on", "no backend 'on'");
	refuses("1 backend one-", "no backend 'one-'");
	refuses("1 backend gone", "no backend 'gone'");
	refuses("1 backend abcdefghijklmnopqrstuvwxyz012345", "no backend 'abc");
	refuses("1 backend one 2", "unexpected '2'");
	assert_int_equal(parse("1 backend nosuch", &id, &route), -ENOENT);
	assert_int_equal(parse("1 backend", &id, &route), -EINVAL);
}

static void without_an_instance_there_are_no_backends(void **state)
{
	char *words[] = { "backend", "one", NULL };
	struct xsr_route route = {};

	(void)state;
	assert_int_equal(target_parse_words(2, words, NULL, &route, why), -ENOENT);
	assert_int_equal(target_parse_words(2, words, &(struct target_names){}, &route, why), -ENOENT);
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
	assert_int_equal(target_parse_words(2, words, NULL, &route, why), 0);
	assert_int_equal(route.target, 5);
	assert_int_not_equal(target_parse_words(3, surplus, NULL, &route, why), 0);
	assert_int_not_equal(target_parse_words(0, NULL, NULL, &route, why), 0);
}

static void expect_text(const struct xsr_route route, const char *text, const char *json)
{
	char buf[TARGET_TEXT_LEN];

	assert_string_equal(target_text(&route, backends, buf), text);
	assert_string_equal(target_json(&route, backends, buf), json);
}

static void text_comes_back(void **state)
{
	(void)state;
	expect_text((struct xsr_route){ .action = XSR_ACTION_WORKER, .target = 7 }, "worker 7", "{\"worker\":7}");
	expect_text((struct xsr_route){ .action = XSR_ACTION_PASS }, "pass", "\"pass\"");
	expect_text((struct xsr_route){ .action = XSR_ACTION_BACKEND, .target = 5 }, "backend one-b", "{\"backend\":\"one-b\"}");
	expect_text((struct xsr_route){ .action = XSR_ACTION_BACKEND, .target = 63 }, "backend abcdefghijklmnopqrstuvwxyz01234",
		    "{\"backend\":\"abcdefghijklmnopqrstuvwxyz01234\"}");
}

static void a_backend_that_is_not_there_has_no_name(void **state)
{
	static const uint16_t gone[] = { 0, 2, 4, 64, 65535 };
	unsigned int i;

	(void)state;
	for (i = 0; i < sizeof(gone) / sizeof(gone[0]); i++)
		expect_text((struct xsr_route){ .action = XSR_ACTION_BACKEND, .target = gone[i] }, "backend ?",
			    "{\"backend\":null}");
}

static void expect_fit(const struct xsr_service *service, enum xsr_action action, uint16_t target, const char *because)
{
	const struct xsr_route route = { .action = action, .target = target };
	int ret = target_check(service, &route, backends, why);

	assert_int_equal(ret, because ? -EINVAL : 0);
	if (because && !strstr(why, because))
		fail_msg("\"%s\" holds no \"%s\"", why, because);
}

static void routes_are_what_their_service_can_follow(void **state)
{
	const struct xsr_service udp = { .name = "game", .proto = IPPROTO_UDP, .n_alternatives = 1 };
	const struct xsr_service tcp = { .name = "gw", .proto = IPPROTO_TCP, .n_alternatives = 1, .backends = 1ULL << 5 };
	const struct xsr_service plain = { .name = "raw", .proto = IPPROTO_TCP, .backends = 1ULL << 5 };

	(void)state;
	expect_fit(&udp, XSR_ACTION_WORKER, 63, NULL);
	expect_fit(&udp, XSR_ACTION_PASS, 0, NULL);
	expect_fit(&udp, XSR_ACTION_DROP, 0, NULL);
	expect_fit(&udp, XSR_ACTION_BACKEND, 5, "service 'game' is a UDP service: expected worker N, pass or drop");
	expect_fit(&tcp, XSR_ACTION_BACKEND, 5, NULL);
	expect_fit(&tcp, XSR_ACTION_DROP, 0, NULL);
	expect_fit(&tcp, XSR_ACTION_WORKER, 0, "service 'gw' is a TCP service: expected backend NAME or drop");
	expect_fit(&tcp, XSR_ACTION_PASS, 0, "is a TCP service");
	expect_fit(&tcp, XSR_ACTION_BACKEND, 1, "backend 'one' is none of service 'gw'");
	expect_fit(&plain, XSR_ACTION_BACKEND, 5, "service 'raw' has no session IDs");
	expect_fit(&plain, XSR_ACTION_DROP, 0, "has no session IDs");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(ids_are_decimal_or_hex),
		cmocka_unit_test(ids_that_do_not_fit_are_refused),
		cmocka_unit_test(ids_that_are_no_numbers_are_refused),
		cmocka_unit_test(workers_are_0_to_63),
		cmocka_unit_test(targets_are_known_words),
		cmocka_unit_test(backends_are_found_by_their_names),
		cmocka_unit_test(without_an_instance_there_are_no_backends),
		cmocka_unit_test(blanks_do_not_count),
		cmocka_unit_test(long_garbage_makes_a_short_sentence),
		cmocka_unit_test(words_say_the_same_as_lines),
		cmocka_unit_test(text_comes_back),
		cmocka_unit_test(a_backend_that_is_not_there_has_no_name),
		cmocka_unit_test(routes_are_what_their_service_can_follow),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
