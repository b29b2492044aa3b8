/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * measure/: what a published number rests on. The library has nothing of it, so what is tested is
 * taken as source.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <cmocka.h>

#include "load_child.h" /* first: the kernel's <linux/in.h> gives way to libc's, not the other way round */

#include "cputime.c"
#include "datagram.c"
#include "histogram.c"
#include "noise.c"
#include "results.c"

#include "rule.h"

#define SELF 4711

/* --- histogram --- */

static struct histogram *histogram_new(void **state)
{
	histogram_clear(*state);
	return *state;
}

static int histogram_setup(void **state)
{
	*state = test_malloc(sizeof(struct histogram));
	return 0;
}

static int histogram_teardown(void **state)
{
	test_free(*state);
	return 0;
}

static int values_compare(const void *a, const void *b)
{
	const uint64_t *x = a, *y = b;

	return *x < *y ? -1 : *x > *y;
}

static void a_percentile_is_the_nearest_rank(void **state)
{
	struct histogram *h = histogram_new(state);
	uint64_t value;

	for (value = 1; value <= 100; value++)
		histogram_add(h, value);
	assert_int_equal(histogram_percentile(h, 10), 1);
	assert_int_equal(histogram_percentile(h, 11), 2);
	assert_int_equal(histogram_percentile(h, 500), 50);
	assert_int_equal(histogram_percentile(h, 501), 51);
	assert_int_equal(histogram_percentile(h, 990), 99);
	assert_int_equal(histogram_percentile(h, 999), 100);
	assert_int_equal(histogram_percentile(h, 1000), 100);
}

static void every_percentile_of_one_value_is_that_value(void **state)
{
	struct histogram *h = histogram_new(state);

	histogram_add(h, 123456789);
	assert_int_equal(histogram_percentile(h, 1), 123456789);
	assert_int_equal(histogram_percentile(h, 500), 123456789);
	assert_int_equal(histogram_percentile(h, 999), 123456789);
}

static void no_value_has_the_percentile_zero(void **state)
{
	assert_int_equal(histogram_percentile(histogram_new(state), 500), 0);
}

/* The reference is the definition: sorted[ceil(n * p) - 1]. */
static void a_percentile_is_within_its_resolution(void **state)
{
	static const unsigned int permilles[] = { 1, 10, 100, 250, 500, 900, 950, 990, 999 };
	struct histogram *h = histogram_new(state);
	static uint64_t values[10007];
	const size_t n = sizeof(values) / sizeof(values[0]);
	uint64_t random = 88172645463325252ULL;
	size_t i;

	for (i = 0; i < n; i++) {
		random ^= random << 13;
		random ^= random >> 7;
		random ^= random << 17;
		values[i] = random >> (25 + i % 30);
		histogram_add(h, values[i]);
	}
	qsort(values, n, sizeof(values[0]), values_compare);
	for (i = 0; i < sizeof(permilles) / sizeof(permilles[0]); i++) {
		uint64_t exact = values[(n * permilles[i] + 999) / 1000 - 1];
		uint64_t got = histogram_percentile(h, permilles[i]);

		assert_true((got > exact ? got - exact : exact - got) <= exact / 250);
	}
}

static void values_below_256_are_kept_exactly(void **state)
{
	struct histogram *h;
	uint64_t value;

	for (value = 0; value < 256; value++) {
		h = histogram_new(state);
		histogram_add(h, 0);
		histogram_add(h, value);
		histogram_add(h, 1000);
		assert_int_equal(histogram_percentile(h, 500), value);
	}
}

static void a_value_beyond_the_range_counts_as_the_longest(void **state)
{
	struct histogram *h = histogram_new(state);

	histogram_add(h, 1);
	histogram_add(h, UINT64_MAX);
	histogram_add(h, UINT64_MAX);
	assert_int_equal(h->buckets[HISTOGRAM_BUCKETS - 1], 2);
	assert_true(histogram_percentile(h, 500) >= VALUE_MAX - VALUE_MAX / 250);
	assert_true(histogram_percentile(h, 1000) == UINT64_MAX);
}

static void a_percentile_is_never_outside_of_what_was_measured(void **state)
{
	struct histogram *h = histogram_new(state);
	int i;

	for (i = 0; i < 5; i++)
		histogram_add(h, 1000001);
	assert_int_equal(histogram_percentile(h, 500), 1000001);
	assert_int_equal(histogram_percentile(h, 999), 1000001);
}

/* --- processor time --- */

static void threads_are_told_apart_by_their_number(void **state)
{
	static const struct cputime before = { 1000, 4, { { 3, 100 }, { 7, 50 }, { 9, 900 }, { 20, 5 } } };
	static const struct cputime after = { 3000, 5, { { 3, 130 }, { 8, 4 }, { 9, 10 }, { 20, 5 }, { 21, 1 } } };

	(void)state;
	/* 3 went on, 7 ended, 8 and 21 are new, 9 is another one of that number, 20 slept. */
	assert_int_equal(cputime_grown(&before, &after), 2000 + 30 + 4 + 10 + 0 + 1);
	assert_int_equal(cputime_grown(&after, &after), 0);
	assert_int_equal(cputime_grown(&(struct cputime){}, &(struct cputime){}), 0);
}

static void the_kernel_has_threads_and_this_is_none(void **state)
{
	static struct cputime now;
	uint64_t before_ns, after_ns;
	uint32_t i;

	(void)state;
	assert_int_equal(cputime_read(&now, ""), 0);
	for (i = 0; i < now.n; i++) {
		assert_int_not_equal(now.threads[i].pid, getpid());
		assert_true(!i || now.threads[i].pid > now.threads[i - 1].pid);
	}
	assert_int_equal(cputime_of(getpid(), &before_ns), 0);
	assert_int_equal(cputime_of(getpid(), &after_ns), 0);
	assert_true(after_ns > before_ns);
	assert_true(cputime_of(1 << 26, &after_ns) < 0);
}

/* --- results --- */

static struct result result_of(const char *name, bool lower_is_better, double a, double b, double c)
{
	return (struct result){
		.name = name,
		.unit = "M/s",
		.lower_is_better = lower_is_better,
		.n_samples = 3,
		.samples = { { .value = a, .mode = "one" },
			     { .value = b, .mode = "two" },
			     { .value = c, .mode = "three" } },
	};
}

static void the_best_sample_is_the_result(void **state)
{
	struct result rate = result_of("rate", false, 2, 4, 3), latency = result_of("latency", true, 2, 4, 3);
	struct result empty = {};

	(void)state;
	assert_string_equal(result_best(&rate)->mode, "two");
	assert_string_equal(result_best(&latency)->mode, "one");
	assert_null(result_best(&empty));
}

static void the_median_sample_is_the_result_if_that_is_wished(void **state)
{
	struct result odd = result_of("odd", true, 4, 2, 3), even = result_of("even", true, 4, 2, 3), empty = { .is_median = true };

	(void)state;
	odd.is_median = even.is_median = true;
	even.samples[even.n_samples++] = (struct sample){ .value = 2, .mode = "four" };
	assert_string_equal(result_chosen(&odd)->mode, "three");
	assert_string_equal(result_chosen(&even)->mode, "four"); /* 2 2 3 4: the second */
	assert_null(result_chosen(&empty));
	odd.is_median = false;
	assert_string_equal(result_chosen(&odd)->mode, "two");
}

static void the_spread_is_the_range_over_the_maximum(void **state)
{
	struct result r = result_of("rate", false, 2, 4, 3), empty = {};

	(void)state;
	assert_float_equal(result_spread(&r), 0.5, 1e-9);
	r.n_samples = 1;
	assert_float_equal(result_spread(&r), 0, 1e-9);
	assert_float_equal(result_spread(&empty), 0, 1e-9);
}

static void the_most_disturbed_sample_is_told(void **state)
{
	struct result r = result_of("rate", false, 2, 4, 3);

	(void)state;
	r.samples[2].foreign_percent = 33;
	assert_float_equal(result_foreign(&r), 33, 1e-9);
}

static const struct target judged[] = {
	{ "ratio", "fast", "slow", false, 2, 3 },
	{ "latency", "slow", NULL, true, 2, 1 },
	{ "missing", "fast", "none", false, 1, 1 },
	{ .name = "told", .row = "slow", .over = "fast" },
	{},
};

static struct results *results_fill(double fast, double slow)
{
	static struct results results;

	results = (struct results){ .n_rows = 2, .targets = judged };
	results.rows[0] = result_of("fast", false, fast, fast / 2, 0);
	results.rows[1] = result_of("slow", true, slow, slow * 2, slow * 3);
	return &results;
}

static enum target_verdict judge(double fast, double slow, int target)
{
	double value;

	return target_judge(results_fill(fast, slow), &judged[target], &value);
}

static void a_bound_itself_is_met(void **state)
{
	double value;

	(void)state;
	assert_int_equal(judge(1.99, 1, 0), TARGET_MISSED);
	assert_int_equal(judge(2, 1, 0), TARGET_MET);
	assert_int_equal(judge(3, 1, 0), TARGET_AIM_MET);
	assert_int_equal(judge(1, 2.01, 1), TARGET_MISSED);
	assert_int_equal(judge(1, 2, 1), TARGET_MET);
	assert_int_equal(judge(1, 1, 1), TARGET_AIM_MET);
	target_judge(results_fill(5, 2), &judged[0], &value);
	assert_float_equal(value, 2.5, 1e-9);
}

static void a_ratio_without_a_bound_is_told_and_not_judged(void **state)
{
	struct results *results = results_fill(4, 1);
	double value;

	(void)state;
	assert_int_equal(target_judge(results, &judged[3], &value), TARGET_NONE);
	assert_float_equal(value, 0.25, 1e-9);
}

static void what_was_not_measured_is_not_judged(void **state)
{
	struct results *results = results_fill(3, 1);
	double value;

	(void)state;
	assert_int_equal(target_judge(results, &judged[2], &value), TARGET_NOT_MEASURED);
	strcpy(results->rows[1].why, "no such thing");
	assert_int_equal(target_judge(results, &judged[0], &value), TARGET_NOT_MEASURED);
	strcpy(results->rows[1].why, "");
	results->rows[1].n_samples = 0;
	assert_int_equal(target_judge(results, &judged[0], &value), TARGET_NOT_MEASURED);
}

/* us that a message takes more with "slow" than with "fast", and a handoff over that. */
static const struct target timed[] = {
	{ .name = "more", .over = "slow", .less = "fast" },
	{ .name = "as many", .row = "handoff", .over = "slow", .less = "fast" },
	{ .name = "bounded",
	  .row = "handoff",
	  .over = "slow",
	  .less = "fast",
	  .at_most = true,
	  .target = 200,
	  .aim = 100 },
	{ .name = "missing", .row = "handoff", .over = "slow", .less = "none" },
	{},
};

static struct results *timed_fill(double fast, double slow)
{
	struct results *results = results_fill(1, 1);

	results->targets = timed;
	results->n_rows = 3;
	results->rows[0] = result_of("fast", false, fast, fast, fast);
	results->rows[1] = result_of("slow", false, slow, slow, slow);
	results->rows[2] = result_of("handoff", true, 150, 200, 300);
	return results;
}

static void the_time_that_a_message_takes_more_comes_from_two_rates(void **state)
{
	struct results *results = timed_fill(2, 0.5);
	double value;

	(void)state;
	assert_int_equal(target_judge(results, &timed[0], &value), TARGET_NONE);
	assert_float_equal(value, 1.5, 1e-9);
	assert_int_equal(target_judge(results, &timed[1], &value), TARGET_NONE);
	assert_float_equal(value, 100, 1e-9);
	assert_int_equal(target_judge(results, &timed[2], &value), TARGET_AIM_MET);
	assert_int_equal(target_judge(results, &timed[3], &value), TARGET_NOT_MEASURED);
}

/* Noise may have it so: the time is told as it is, and nothing is divided by it. */
static void a_time_below_zero_is_not_clamped_and_divides_nothing(void **state)
{
	struct results *results = timed_fill(0.5, 2);
	double value;

	(void)state;
	assert_int_equal(target_judge(results, &timed[0], &value), TARGET_NONE);
	assert_float_equal(value, -1.5, 1e-9);
	assert_int_equal(target_judge(results, &timed[1], &value), TARGET_NOT_MEASURED);
}

static void without_a_rate_there_is_no_time(void **state)
{
	struct results *results = timed_fill(2, 0.5);
	double value;

	(void)state;
	strcpy(results->rows[0].why, "no such thing");
	assert_int_equal(target_judge(results, &timed[0], &value), TARGET_NOT_MEASURED);
	assert_int_equal(target_judge(results, &timed[1], &value), TARGET_NOT_MEASURED);
}

/* What results_print() prints; the caller frees it. */
static char *results_text(const struct results *results)
{
	char *text = NULL;
	size_t len = 0;
	FILE *out = open_memstream(&text, &len);

	assert_non_null(out);
	results_print(results, out);
	fclose(out);
	return text;
}

static void the_table_has_samples_path_and_verdicts(void **state)
{
	char *text = results_text(results_fill(4, 1));

	(void)state;
	assert_non_null(strstr(text, "4.00 2.00 0.00"));
	assert_non_null(strstr(text, " one "));
	assert_non_null(strstr(text, "met, the aim too"));
	assert_null(strstr(text, "note:"));
	free(text);
}

static void a_failed_row_says_why(void **state)
{
	struct results *results = results_fill(4, 1);
	char *text;

	(void)state;
	strcpy(results->rows[1].why, "the sky fell");
	text = results_text(results);
	assert_non_null(strstr(text, "not measured: the sky fell"));
	free(text);
}

static void what_is_not_there_to_be_measured_is_skipped(void **state)
{
	struct results *results = results_fill(4, 1);
	char *text;
	json_t *rows;

	(void)state;
	strcpy(results->rows[1].why, "install it");
	results->rows[1].is_skipped = true;
	text = results_text(results);
	assert_non_null(strstr(text, "SKIP: install it"));
	assert_non_null(strstr(text, "not measured\n")); /* the target */
	free(text);
	rows = results_rows_json(results);
	assert_string_equal(json_string_value(json_object_get(json_array_get(rows, 1), "skipped")), "install it");
	assert_null(json_object_get(json_array_get(rows, 1), "failed"));
	json_decref(rows);
}

static void a_rate_stands_behind_the_path(void **state)
{
	struct results *results = results_fill(4, 1);
	json_t *rows, *sample;
	const char *unit;
	double rate, kernel;
	char *text;

	(void)state;
	results->rows[0].samples[0].rate = 1.5;
	results->rows[0].samples[0].rate_unit = "M/s";
	results->rows[0].samples[0].parts[SAMPLE_CLIENT] = 3;
	results->rows[0].samples[0].parts[SAMPLE_KERNEL] = 1;
	text = results_text(results);
	assert_non_null(strstr(text, " one, 1.50 M/s "));
	free(text);
	rows = results_rows_json(results);
	sample = json_array_get(json_object_get(json_array_get(rows, 0), "samples"), 0);
	assert_int_equal(json_unpack(sample, "{s:F,s:s,s:{s:F}}", "rate", &rate, "rate_unit", &unit, "parts", "kernel_threads",
				     &kernel), 0);
	assert_float_equal(rate, 1.5, 1e-9);
	assert_string_equal(unit, "M/s");
	assert_float_equal(kernel, 1, 1e-9);
	json_decref(rows);
}

static void disturbance_is_noted(void **state)
{
	struct results *results = results_fill(4, 1);
	char *text;

	(void)state;
	results->rows[0].samples[1].foreign_percent = 50;
	text = results_text(results);
	assert_non_null(strstr(text, "note: other processes"));
	free(text);
}

static void json_has_every_sample_with_its_path(void **state)
{
	struct results *results = results_fill(4, 1);
	json_t *rows = results_rows_json(results), *targets = results_targets_json(results), *row;
	const char *mode, *name;
	double best, spread;

	(void)state;
	row = json_array_get(rows, 0);
	assert_int_equal(json_unpack(row, "{s:s,s:F,s:F}", "row", &name, "best", &best, "spread", &spread),
			 0);
	assert_string_equal(name, "fast");
	assert_float_equal(best, 4, 1e-9);
	assert_float_equal(spread, 1, 1e-9);
	assert_int_equal(json_array_size(json_object_get(row, "samples")), 3);
	assert_int_equal(json_unpack(json_array_get(json_object_get(row, "samples"), 1), "{s:s}",
				     "mode_active", &mode),
			 0);
	assert_string_equal(mode, "two");
	assert_int_equal(json_array_size(targets), 3); /* one has a row that was not asked for */
	assert_string_equal(json_string_value(json_object_get(json_array_get(targets, 0), "result")),
			    "met, the aim too");
	assert_null(json_object_get(json_array_get(targets, 2), "result"));
	json_decref(rows);
	json_decref(targets);
}

static void json_of_a_failed_row_has_no_result(void **state)
{
	struct results *results = results_fill(4, 1);
	json_t *rows;

	(void)state;
	strcpy(results->rows[0].why, "the sky fell");
	rows = results_rows_json(results);
	assert_string_equal(json_string_value(json_object_get(json_array_get(rows, 0), "failed")),
			    "the sky fell");
	assert_null(json_object_get(json_array_get(rows, 0), "best"));
	json_decref(rows);
}

static void a_target_without_a_row_of_its_own_is_in_json(void **state)
{
	json_t *targets = results_targets_json(timed_fill(2, 0.5)), *target;
	const char *less;
	double value;

	(void)state;
	assert_int_equal(json_array_size(targets), 3); /* one has a row that was not asked for */
	target = json_array_get(targets, 0);
	assert_true(json_is_null(json_object_get(target, "row")));
	assert_int_equal(json_unpack(target, "{s:s,s:F}", "less", &less, "value", &value), 0);
	assert_string_equal(less, "fast");
	assert_float_equal(value, 1.5, 1e-9);
	json_decref(targets);
}

/* --- loads --- */

static const struct udp_load_result exact = {
	.sent = 10, .received = 10, .moves = 2, .moves_done = 2, .handoffs = 2
};

static void a_load_of_which_all_is_right_is_exact(void **state)
{
	char why[LAB_WHY_LEN];

	(void)state;
	assert_int_equal(load_exact(&exact, why), 0);
}

static void a_load_that_sent_nothing_is_not_exact(void **state)
{
	const struct udp_load_result nothing = {};
	char why[LAB_WHY_LEN];

	(void)state;
	assert_int_equal(load_exact(&nothing, why), -EBADMSG);
	assert_string_equal(why, "no message was sent");
}

/* Each of them alone. */
static void whatever_went_wrong_makes_a_load_inexact(void **state)
{
	static const size_t faults[] = {
#define FAULT(field) offsetof(struct udp_load_result, field)
		FAULT(lost),    FAULT(duplicated), FAULT(reordered),    FAULT(misrouted),
		FAULT(unknown), FAULT(state_lost), FAULT(moves_failed), FAULT(moves_without_state),
		FAULT(weird),
#undef FAULT
	};
	char why[LAB_WHY_LEN];
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(faults) / sizeof(faults[0]); i++) {
		struct udp_load_result result = exact;

		*(uint64_t *)((char *)&result + faults[i]) = 7;
		assert_int_equal(load_exact(&result, why), -EBADMSG);
		assert_non_null(strstr(why, "not exact: 7 "));
	}
}

static void the_routers_reason_is_told(void **state)
{
	struct udp_load_result result = exact;
	char why[LAB_WHY_LEN];

	(void)state;
	result.lost = 3;
	result.moves_failed = 1;
	strcpy(result.moves_why, "the table is full");
	assert_int_equal(load_exact(&result, why), -EBADMSG);
	assert_string_equal(why, "not exact: 3 messages lost, 1 moves failed: the table is full");
}

static void all_that_can_go_wrong_fits_into_a_sentence(void **state)
{
	struct udp_load_result result;
	char why[LAB_WHY_LEN];

	(void)state;
	memset(&result, 0xff, sizeof(result));
	result.moves_why[0] = 0;
	assert_int_equal(load_exact(&result, why), -EBADMSG);
	assert_true(strnlen(why, sizeof(why)) < sizeof(why));
}

/* --- noise --- */

#define STAT(pid, name, ppid, flags)                                                                         \
	pid " (" name ") R " ppid " 7 8 9 10 " flags " 11 12 13 14 100 20 3 4 15 16"

static uint64_t ticks_of(const char *stat)
{
	uint64_t ticks = 0;

	return noise_parse_process(stat, SELF, &ticks) ? ticks : 0;
}

static void a_foreign_process_counts_with_its_ended_children(void **state)
{
	(void)state;
	assert_int_equal(ticks_of(STAT("12", "cc1", "1", "4194304")), 127);
}

static void a_name_may_hold_blanks_and_parentheses(void **state)
{
	(void)state;
	assert_int_equal(ticks_of(STAT("12", "a) R 4711 (b", "1", "4194304")), 127);
}

static void neither_we_nor_our_children_are_foreign(void **state)
{
	(void)state;
	assert_int_equal(ticks_of(STAT("4711", "xsr", "1", "4194304")), 0);
	assert_int_equal(ticks_of(STAT("12", "xsr", "4711", "4194304")), 0);
}

static void threads_of_the_kernel_are_not_foreign(void **state)
{
	(void)state;
	assert_int_equal(ticks_of(STAT("12", "ksoftirqd/0", "2", "69238848")), 0);
}

static void a_line_that_is_cut_off_counts_nothing(void **state)
{
	(void)state;
	assert_int_equal(ticks_of("12 (cc1) R 1 7 8"), 0);
	assert_int_equal(ticks_of("12"), 0);
	assert_int_equal(ticks_of(""), 0);
}

static void noise_is_in_percent_of_one_core(void **state)
{
	const uint64_t hz = sysconf(_SC_CLK_TCK);
	struct noise before = { .time_ns = 5 }, after = { .foreign_ticks = hz, .time_ns = 2 * NS_PER_S + 5 };

	(void)state;
	assert_float_equal(noise_percent(&before, &after), 50, 1e-6);
	after.stolen_ticks = hz;
	assert_float_equal(noise_percent(&before, &after), 100, 1e-6);
	before.foreign_ticks = 2 * hz; /* somebody ended */
	assert_float_equal(noise_percent(&before, &after), 50, 1e-6);
}

static void of_a_moment_no_noise_is_told(void **state)
{
	struct noise before = {}, after = { .foreign_ticks = 1, .time_ns = NS_PER_MS };

	(void)state;
	assert_float_equal(noise_percent(&before, &after), 0, 1e-6);
}

static void what_proc_says_can_be_read(void **state)
{
	struct noise noise;

	(void)state;
	assert_int_equal(noise_read(&noise), 0);
	assert_true(noise.time_ns > 0);
}

/* --- datagram --- */

static const struct lab_device client = { .name = "a", .mac = { 2, 0, 0, 0, 0, 1 }, .addr = 0x0101630a };
static const struct lab_device server = { .name = "b", .mac = { 2, 0, 0, 0, 0, 2 }, .addr = 0x0201630a };

static void the_datagram_is_what_the_kernels_program_takes(void **state)
{
	static const uint32_t lens[] = { 24, 64, 1024, DATAGRAM_MAX - DATAGRAM_HEADERS_LEN };
	uint8_t frame[DATAGRAM_MAX + 2];
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(lens) / sizeof(lens[0]); i++) {
		uint32_t len = datagram_fill(frame + 2, &client, &server, 7001, lens[i], 0x1000000000002ULL);
		struct cursor c = { frame + 2, frame + 2 + len };
		struct datagram d = {};

		assert_int_equal(len, DATAGRAM_HEADERS_LEN + lens[i]);
		assert_int_equal(parse_datagram(&c, &d), 0);
		assert_int_equal(frame_check(&d), 0);
		assert_int_equal(d.len, lens[i]);
		assert_int_equal(be16toh(d.dport), 7001);
		assert_int_equal(*d.saddr, client.addr);
		assert_int_equal(*d.daddr, server.addr);
	}
}

static void it_goes_from_one_end_of_the_wire_to_the_other(void **state)
{
	uint8_t frame[DATAGRAM_MAX];
	uint64_t id;

	(void)state;
	datagram_fill(frame, &client, &server, 7001, 64, 0x0102030405060708ULL);
	assert_memory_equal(frame, server.mac, 6);
	assert_memory_equal(frame + 6, client.mac, 6);
	memcpy(&id, (uint8_t *)datagram_frame(frame) + offsetof(struct xsr_frame, id), sizeof(id));
	assert_true(be64toh(id) == 0x0102030405060708ULL);
}

/* The ID changes in every packet: a checksum over it would be wrong, and none is allowed. */
static void the_ip_header_has_a_checksum_and_udp_has_none(void **state)
{
	uint8_t frame[DATAGRAM_MAX];

	(void)state;
	datagram_fill(frame, &client, &server, 7001, 64, 42);
	assert_int_equal(checksum_fold(checksum_add(frame + 14, 20, 0)), 0);
	assert_int_equal(frame[40] | frame[41], 0);
}

int main(void)
{
	const struct CMUnitTest histogram_tests[] = {
		cmocka_unit_test(a_percentile_is_the_nearest_rank),
		cmocka_unit_test(every_percentile_of_one_value_is_that_value),
		cmocka_unit_test(no_value_has_the_percentile_zero),
		cmocka_unit_test(a_percentile_is_within_its_resolution),
		cmocka_unit_test(values_below_256_are_kept_exactly),
		cmocka_unit_test(a_value_beyond_the_range_counts_as_the_longest),
		cmocka_unit_test(a_percentile_is_never_outside_of_what_was_measured),
	};
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(threads_are_told_apart_by_their_number),
		cmocka_unit_test(the_kernel_has_threads_and_this_is_none),
		cmocka_unit_test(the_best_sample_is_the_result),
		cmocka_unit_test(the_median_sample_is_the_result_if_that_is_wished),
		cmocka_unit_test(what_is_not_there_to_be_measured_is_skipped),
		cmocka_unit_test(a_rate_stands_behind_the_path),
		cmocka_unit_test(the_spread_is_the_range_over_the_maximum),
		cmocka_unit_test(the_most_disturbed_sample_is_told),
		cmocka_unit_test(a_bound_itself_is_met),
		cmocka_unit_test(a_ratio_without_a_bound_is_told_and_not_judged),
		cmocka_unit_test(what_was_not_measured_is_not_judged),
		cmocka_unit_test(the_time_that_a_message_takes_more_comes_from_two_rates),
		cmocka_unit_test(a_time_below_zero_is_not_clamped_and_divides_nothing),
		cmocka_unit_test(without_a_rate_there_is_no_time),
		cmocka_unit_test(the_table_has_samples_path_and_verdicts),
		cmocka_unit_test(a_failed_row_says_why),
		cmocka_unit_test(disturbance_is_noted),
		cmocka_unit_test(json_has_every_sample_with_its_path),
		cmocka_unit_test(json_of_a_failed_row_has_no_result),
		cmocka_unit_test(a_target_without_a_row_of_its_own_is_in_json),
		cmocka_unit_test(a_load_of_which_all_is_right_is_exact),
		cmocka_unit_test(a_load_that_sent_nothing_is_not_exact),
		cmocka_unit_test(whatever_went_wrong_makes_a_load_inexact),
		cmocka_unit_test(the_routers_reason_is_told),
		cmocka_unit_test(all_that_can_go_wrong_fits_into_a_sentence),
		cmocka_unit_test(a_foreign_process_counts_with_its_ended_children),
		cmocka_unit_test(a_name_may_hold_blanks_and_parentheses),
		cmocka_unit_test(neither_we_nor_our_children_are_foreign),
		cmocka_unit_test(threads_of_the_kernel_are_not_foreign),
		cmocka_unit_test(a_line_that_is_cut_off_counts_nothing),
		cmocka_unit_test(noise_is_in_percent_of_one_core),
		cmocka_unit_test(of_a_moment_no_noise_is_told),
		cmocka_unit_test(what_proc_says_can_be_read),
		cmocka_unit_test(the_datagram_is_what_the_kernels_program_takes),
		cmocka_unit_test(it_goes_from_one_end_of_the_wire_to_the_other),
		cmocka_unit_test(the_ip_header_has_a_checksum_and_udp_has_none),
	};
	int failed = cmocka_run_group_tests_name("histogram", histogram_tests, histogram_setup,
						 histogram_teardown);

	return failed + cmocka_run_group_tests_name("measure", tests, NULL, NULL);
}
