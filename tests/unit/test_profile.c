/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* rule_compile(): what it stores, and what it says of a rule that is none. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "profile.h"

#define WHY_LEN 256

static struct xsr_service compiled(const char *rule)
{
	struct xsr_service service = {};
	char why[WHY_LEN];

	if (rule_compile(rule, &service, why, sizeof(why)))
		fail_msg("%s", why);
	return service;
}

/* The sentence must hold both words; the service must be as it was. */
static void expect_refusal(const char *rule, const char *part, const char *expected)
{
	struct xsr_service service, before;
	char why[WHY_LEN] = "";

	memset(&service, 0x5a, sizeof(service));
	before = service;
	assert_int_equal(rule_compile(rule, &service, why, sizeof(why)), -EINVAL);
	if (!strstr(why, part) || !strstr(why, expected))
		fail_msg("rule %s: \"%s\" holds not both %s and %s", rule, why, part, expected);
	assert_memory_equal(&service, &before, sizeof(service));
}

static void rule_is_stored_as_written(void **state)
{
	struct xsr_service service = compiled("offset:0x10:4:mask=0xff,suffix:4:4");

	(void)state;
	assert_string_equal(service.rule, "offset:0x10:4:mask=0xff,suffix:4:4");
	assert_int_equal(service.n_alternatives, 2);
}

static void everything_else_of_the_service_stays(void **state)
{
	struct xsr_service service, before;
	char why[WHY_LEN];

	(void)state;
	memset(&service, 0xff, sizeof(service));
	before = service;
	assert_int_equal(rule_compile("gtpu", &service, why, sizeof(why)), 0);
	memcpy(before.alternatives, service.alternatives, sizeof(before.alternatives));
	memcpy(before.rule, service.rule, sizeof(before.rule));
	before.n_alternatives = 1;
	before.flags &= ~XSR_SERVICE_FRAMED;
	assert_memory_equal(&service, &before, sizeof(service));
}

static void unused_room_is_zeroed(void **state)
{
	static const struct xsr_alternative none;
	static const char zeroes[XSR_RULE_LEN];
	struct xsr_service service;
	char why[WHY_LEN];
	int i;

	(void)state;
	memset(&service, 0xff, sizeof(service));
	assert_int_equal(rule_compile("vxlan", &service, why, sizeof(why)), 0);
	for (i = 1; i < XSR_ALTERNATIVES_MAX; i++)
		assert_memory_equal(&service.alternatives[i], &none, sizeof(none));
	assert_memory_equal(service.rule + 5, zeroes, XSR_RULE_LEN - 5);
	assert_int_equal(service.alternatives[0].pad, 0);
}

static void only_xsr_is_framed(void **state)
{
	(void)state;
	assert_int_equal(compiled("xsr").flags, XSR_SERVICE_FRAMED);
	assert_int_equal(compiled("offset:8:8").flags, 0);
}

static void loads_end_where_the_contract_says(void **state)
{
	struct xsr_service service = compiled("offset:10:3:shift=4:match=5/2/0xab00/0xff00,suffix:9:2:le");
	const struct xsr_alternative *alt = service.alternatives;

	(void)state;
	assert_int_equal(alt[0].id_end, 13);
	assert_int_equal(alt[0].id_width, 3);
	assert_int_equal(alt[0].id_shift, 4);
	assert_int_equal(alt[0].id_mask, 0xfffff);
	assert_int_equal(alt[0].match_end, 7);
	assert_int_equal(alt[0].match_mask, 0xff00);
	assert_int_equal(alt[0].match_value, 0xab00);
	assert_int_equal(alt[0].flags, 0);
	assert_int_equal(alt[1].id_end, 7);
	assert_int_equal(alt[1].id_shift, 48);
	assert_int_equal(alt[1].id_mask, 0xffff);
	assert_int_equal(alt[1].match_end, 0);
	assert_int_equal(alt[1].flags, XSR_ALT_FROM_END | XSR_ALT_LITTLE_ENDIAN);
}

static void mask_never_reaches_beyond_the_width(void **state)
{
	struct xsr_service service =
		compiled("offset:0:8,offset:0:1:mask=0xf0f,offset:0:4:shift=31,offset:0:8:shift=63");

	(void)state;
	assert_int_equal(service.alternatives[0].id_mask, UINT64_MAX);
	assert_int_equal(service.alternatives[1].id_mask, 0x0f);
	assert_int_equal(service.alternatives[2].id_mask, 1);
	assert_int_equal(service.alternatives[3].id_mask, 1);
}

static void four_alternatives_fit(void **state)
{
	(void)state;
	assert_int_equal(compiled("wireguard,vxlan").n_alternatives, 4);
	assert_int_equal(compiled("quic-lb:4,dtls-cid:4").n_alternatives, 4);
	assert_int_equal(compiled("vxlan,geneve,gtpu,offset:0:1").n_alternatives, 4);
	expect_refusal("vxlan,geneve,gtpu,offset:0:1,offset:0:2", "\"offset\"", "at most 4 alternatives");
	expect_refusal("quic-lb:4,wireguard", "\"wireguard\"", "at most 4 alternatives");
}

static void rule_of_79_characters_fits(void **state)
{
	char rule[128] = "offset:1:2:match=3/4/";

	(void)state;
	memset(rule + strlen(rule), '0', 79 - strlen(rule));
	assert_string_equal(compiled(rule).rule, rule);
	strcat(rule, "1");
	expect_refusal(rule, "80 characters", "at most 79");
	memset(rule, 'x', sizeof(rule) - 1);
	expect_refusal(rule, "127 characters", "at most 79");
}

static void sentence_is_cut_to_its_buffer(void **state)
{
	static const char *const rules[] = {
		"",
		"offset:0:9",
		"nonsense",
		"xsr,xsr",
		"offset:0:4:match=0/3/1",
		"a rule that is longer than the eighty characters that a service has room for it in it",
	};
	struct xsr_service service = {};
	unsigned int i;
	size_t len;

	(void)state;
	for (i = 0; i < sizeof(rules) / sizeof(rules[0]); i++)
		for (len = 1; len < 200; len++) {
			char *why = malloc(len);

			assert_int_equal(rule_compile(rules[i], &service, why, len), -EINVAL);
			assert_true(strlen(why) < len);
			free(why);
		}
}

static void none_has_no_alternative_and_stands_alone(void **state)
{
	struct xsr_service service = compiled("none");

	(void)state;
	assert_int_equal(service.n_alternatives, 0);
	assert_int_equal(service.flags, 0);
	assert_string_equal(service.rule, "none");
	expect_refusal("none,vxlan", "\"none\"", "takes no other alternative");
	expect_refusal("xsr,none", "\"none\"", "takes no other alternative");
	expect_refusal("none,none", "\"none\"", "takes no other alternative");
	expect_refusal("none:1", "\"1\"", "takes no arguments");
}

static void unknown_profile_is_answered_with_the_known_ones(void **state)
{
	(void)state;
	expect_refusal("", "\"\"", "expected one of");
	expect_refusal("quic", "\"quic\"",
		       "xsr, quic-lb, gtpu, wireguard, dtls-cid, vxlan, geneve, offset, suffix, none");
	expect_refusal("XSR", "\"XSR\"", "expected one of");
	expect_refusal(" xsr", "\" xsr\"", "expected one of");
	expect_refusal("xsr ", "\"xsr \"", "expected one of");
	expect_refusal("vxlan,", "\"\"", "expected one of");
	expect_refusal(",vxlan", "\"\"", "expected one of");
	expect_refusal("vxlan,,geneve", "\"\"", "expected one of");
	expect_refusal(":", "\"\"", "expected one of");
}

static void profile_without_arguments_refuses_them(void **state)
{
	(void)state;
	expect_refusal("xsr:8", "\"8\"", "takes no arguments");
	expect_refusal("gtpu:", "\"\"", "takes no arguments");
	expect_refusal("wireguard:le", "\"le\"", "takes no arguments");
	expect_refusal("vxlan:1:2", "\"1:2\"", "takes no arguments");
	expect_refusal("geneve:1", "\"1\"", "takes no arguments");
}

static void length_must_be_1_to_8(void **state)
{
	static const char *const rules[] = { "quic-lb:0",   "quic-lb:9",   "quic-lb:",   "quic-lb:x",
					     "quic-lb:8:",  "dtls-cid:0",  "dtls-cid:9", "dtls-cid:",
					     "dtls-cid:-1", "dtls-cid:4:4" };
	unsigned int i;

	(void)state;
	expect_refusal("quic-lb", "LEN is missing", "from 1 to 8");
	expect_refusal("dtls-cid", "LEN is missing", "from 1 to 8");
	for (i = 0; i < sizeof(rules) / sizeof(rules[0]); i++)
		expect_refusal(rules[i], strchr(rules[i], ':') + 1, "from 1 to 8");
}

static void place_must_be_within_its_limits(void **state)
{
	(void)state;
	expect_refusal("offset", "OFF is missing", "from 0 to 2047");
	expect_refusal("offset:", "OFF \"\"", "from 0 to 2047");
	expect_refusal("offset:2048:1", "OFF \"2048\"", "from 0 to 2047");
	expect_refusal("offset:-1:1", "OFF \"-1\"", "from 0 to 2047");
	expect_refusal("offset:18446744073709551616:1", "OFF \"18446744073709551616\"", "from 0 to 2047");
	expect_refusal("offset:4", "WIDTH is missing", "from 1 to 8");
	expect_refusal("offset:4:", "WIDTH \"\"", "from 1 to 8");
	expect_refusal("offset:4:0", "WIDTH \"0\"", "from 1 to 8");
	expect_refusal("offset:4:9", "WIDTH \"9\"", "from 1 to 8");
	expect_refusal("suffix", "OFF is missing", "from 1 to 2047");
	expect_refusal("suffix:0:1", "OFF \"0\"", "from 1 to 2047");
	expect_refusal("suffix:2048:1", "OFF \"2048\"", "from 1 to 2047");
	expect_refusal("suffix:4:9", "WIDTH \"9\"", "from 1 to 8");
	assert_int_equal(compiled("offset:2047:8").alternatives[0].id_end, 2055);
	assert_int_equal(compiled("suffix:2047:8").alternatives[0].id_end, 2039);
}

static void suffix_may_not_run_past_the_payload(void **state)
{
	(void)state;
	expect_refusal("suffix:3:4", "4 bytes that begin 3 before", "OFF of at least WIDTH");
	expect_refusal("suffix:7:8", "8 bytes that begin 7 before", "OFF of at least WIDTH");
	assert_int_equal(compiled("suffix:8:8").alternatives[0].id_end, 0);
}

static void unknown_option_is_answered_with_the_known_ones(void **state)
{
	static const char *const rules[] = {
		"offset:0:4:be",    "offset:0:4:",        "offset:0:4::le", "offset:0:4:le=1",
		"offset:0:4:mask",  "offset:0:4:=1",      "offset:0:4:LE",  "offset:0:4:shift",
		"offset:0:4:match", "suffix:4:4:mask:le",
	};
	unsigned int i;

	(void)state;
	for (i = 0; i < sizeof(rules) / sizeof(rules[0]); i++)
		expect_refusal(rules[i], "is not an option",
			       "expected le, mask=M, shift=S or match=OFF/WIDTH/VALUE[/MASK]");
	expect_refusal("offset:0:4:le=1", "\"le=1\" is not an option", "expected");
	expect_refusal("offset:0:4:le=", "\"le=\" is not an option", "expected");
}

static void option_may_be_given_once(void **state)
{
	(void)state;
	expect_refusal("offset:0:4:le:le", "\"le\"", "given twice");
	expect_refusal("offset:0:4:mask=1:le:mask=2", "\"mask\"", "given twice");
	expect_refusal("offset:0:4:shift=1:shift=1", "\"shift\"", "given twice");
	expect_refusal("offset:0:4:match=0/1/1:match=0/1/1", "\"match\"", "given twice");
	assert_int_equal(compiled("offset:0:4:le,offset:0:4:le").n_alternatives, 2);
}

static void mask_must_keep_a_bit(void **state)
{
	(void)state;
	expect_refusal("offset:0:4:mask=0", "mask \"0\"", "from 0x1 to 0xffffffffffffffff");
	expect_refusal("offset:0:4:mask=", "mask \"\"", "from 0x1 to 0xffffffffffffffff");
	expect_refusal("offset:0:1:mask=0x100", "mask 0x100 keeps no bit", "some of 0xff");
	expect_refusal("offset:0:4:mask=0x10000:shift=16", "mask 0x10000 keeps no bit", "some of 0xffff");
	expect_refusal("offset:0:4:shift=16:mask=0x10000", "mask 0x10000 keeps no bit", "some of 0xffff");
	assert_int_equal(compiled("offset:0:4:mask=0x8000:shift=16").alternatives[0].id_mask, 0x8000);
}

static void shift_must_leave_a_bit(void **state)
{
	(void)state;
	expect_refusal("offset:0:1:shift=8", "shift \"8\"", "from 0 to 7");
	expect_refusal("offset:0:8:shift=64", "shift \"64\"", "from 0 to 63");
	expect_refusal("suffix:4:4:shift=32:le", "shift \"32\"", "from 0 to 31");
	expect_refusal("offset:0:4:shift=", "shift \"\"", "from 0 to 31");
	assert_int_equal(compiled("offset:0:4:le:shift=31").alternatives[0].id_shift, 63);
}

static void match_must_be_one_that_can_hold(void **state)
{
	(void)state;
	expect_refusal("offset:0:4:match=", "match offset \"\"", "from 0 to 2047");
	expect_refusal("offset:0:4:match=2048/1/1", "match offset \"2048\"", "from 0 to 2047");
	expect_refusal("offset:0:4:match=0", "match width is missing", "from 1 to 4");
	expect_refusal("offset:0:4:match=0/5/1", "match width \"5\"", "from 1 to 4");
	expect_refusal("offset:0:4:match=0/3/1", "match width \"3\"", "not 1, 2 or 4");
	expect_refusal("offset:0:4:match=0/1", "match value is missing", "from 0 to 255");
	expect_refusal("offset:0:4:match=0/1/256", "match value \"256\"", "from 0 to 255");
	expect_refusal("offset:0:4:match=0/2/0x10000", "match value \"0x10000\"", "from 0 to 65535");
	expect_refusal("offset:0:4:match=0/4/0x100000000", "match value", "from 0 to 0xffffffff");
	expect_refusal("offset:0:4:match=0/1/1/0", "match mask \"0\"", "from 1 to 255");
	expect_refusal("offset:0:4:match=0/1/1/", "match mask \"\"", "from 1 to 255");
	expect_refusal("offset:0:4:match=0/1/1/0x100", "match mask \"0x100\"", "from 1 to 255");
	expect_refusal("offset:0:4:match=0/1/0x12/0x10", "value 0x12", "mask 0x10");
	expect_refusal("offset:0:4:match=0/1/1/1/1", "\"1\" is behind the match", "OFF/WIDTH/VALUE[/MASK]");
	expect_refusal("offset:0:4:match=0/1/1/1/", "\"\" is behind the match", "OFF/WIDTH/VALUE[/MASK]");
	assert_int_equal(compiled("offset:0:4:match=2047/4/0xffffffff").alternatives[0].match_end, 2051);
	assert_int_equal(compiled("offset:0:4:match=0/1/0").alternatives[0].match_end, 1);
}

static void xsr_stands_alone(void **state)
{
	(void)state;
	expect_refusal("xsr,vxlan", "\"xsr\"", "no other alternative");
	expect_refusal("offset:0:4,xsr", "\"xsr\"", "no other alternative");
	expect_refusal("xsr,xsr", "\"xsr\"", "no other alternative");
}

static void sentence_names_the_whole_rule(void **state)
{
	(void)state;
	expect_refusal("vxlan,offset:4:9:le", "rule \"vxlan,offset:4:9:le\": ", "WIDTH \"9\"");
}

/* What `help` lists must work: each usage's name, with its capitals filled in. */
static void every_listed_profile_compiles(void **state)
{
	static const char *const samples[] = { "xsr",   "quic-lb:8", "gtpu",       "wireguard", "dtls-cid:8",
					       "vxlan", "geneve",    "offset:0:8", "suffix:8:8", "none" };
	const char *usage, *meaning;
	int i;

	(void)state;
	for (i = 0; (usage = rule_profile_usage(i, &meaning)); i++) {
		assert_in_range(i, 0, sizeof(samples) / sizeof(samples[0]) - 1);
		assert_int_equal(strncmp(usage, samples[i], strcspn(samples[i], ":")), 0);
		assert_int_equal(strcspn(usage, ":"), strcspn(samples[i], ":"));
		assert_true(strlen(meaning) > 10);
		compiled(samples[i]);
	}
	assert_int_equal(i, sizeof(samples) / sizeof(samples[0]));
	assert_null(rule_profile_usage(-1, &meaning));
	assert_null(rule_profile_usage(i + 1, &meaning));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(rule_is_stored_as_written),
		cmocka_unit_test(everything_else_of_the_service_stays),
		cmocka_unit_test(unused_room_is_zeroed),
		cmocka_unit_test(only_xsr_is_framed),
		cmocka_unit_test(loads_end_where_the_contract_says),
		cmocka_unit_test(mask_never_reaches_beyond_the_width),
		cmocka_unit_test(four_alternatives_fit),
		cmocka_unit_test(rule_of_79_characters_fits),
		cmocka_unit_test(sentence_is_cut_to_its_buffer),
		cmocka_unit_test(none_has_no_alternative_and_stands_alone),
		cmocka_unit_test(unknown_profile_is_answered_with_the_known_ones),
		cmocka_unit_test(profile_without_arguments_refuses_them),
		cmocka_unit_test(length_must_be_1_to_8),
		cmocka_unit_test(place_must_be_within_its_limits),
		cmocka_unit_test(suffix_may_not_run_past_the_payload),
		cmocka_unit_test(unknown_option_is_answered_with_the_known_ones),
		cmocka_unit_test(option_may_be_given_once),
		cmocka_unit_test(mask_must_keep_a_bit),
		cmocka_unit_test(shift_must_leave_a_bit),
		cmocka_unit_test(match_must_be_one_that_can_hold),
		cmocka_unit_test(xsr_stands_alone),
		cmocka_unit_test(sentence_names_the_whole_rule),
		cmocka_unit_test(every_listed_profile_compiles),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
