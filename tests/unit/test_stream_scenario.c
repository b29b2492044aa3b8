/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* The formulas of the stream scenarios, and how a result is told. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "stream_formulas.c"
#include "stream_report.c"

/* What the client of load counts as clean is its own test's. */
bool tcp_load_clean(const struct tcp_load_result *r)
{
	return r->requests.sent && !r->lost && !r->torn;
}

static const struct stream_params s2 = {
	.scenario = STREAM_S2, .ccu = 100, .size = 1024, .inflight = 30, .warmup_s = 1, .measure_s = 4, .drain_s = 5,
	.connect_timeout_s = 10, .io_threads = 2,
};

static struct tcp_load_result result_good(void)
{
	return (struct tcp_load_result){
		.requests = { .sent = 1500, .answered = 1500 },
		.connected = 100,
		.measured_sent = 1000,
		.measured_answered = 1000,
		.answered_inside = 900,
		.ns_p50 = 1500,
		.ns_max = 9000000,
	};
}

static struct stream_outcome outcome_of(const struct stream_params *p, const struct tcp_load_result *r)
{
	struct stream_outcome o = { .mode = "direct" };

	stream_outcome_fill(p, r, &o);
	return o;
}

static void throughput_is_of_what_was_sent_while_measuring(void **state)
{
	const struct tcp_load_result r = result_good();
	const struct stream_outcome o = outcome_of(&s2, &r);

	(void)state;
	assert_float_equal(o.throughput, 250, 1e-9);
	assert_float_equal(o.throughput_in, 225, 1e-9);
	assert_float_equal(o.incomplete_ratio, 0, 1e-9);
	assert_float_equal(o.p50, 1.5, 1e-9);
	assert_float_equal(o.max, 9000, 1e-9);
	assert_true(o.passed);
}

static void one_of_a_hundred_may_be_missing(void **state)
{
	struct tcp_load_result r = result_good();

	(void)state;
	r.measured_answered = 990;
	assert_true(outcome_of(&s2, &r).passed);
	assert_float_equal(outcome_of(&s2, &r).incomplete_ratio, 0.01, 1e-9);
	r.measured_answered = 989;
	assert_false(outcome_of(&s2, &r).passed);
	r.measured_answered = r.measured_sent = 0; /* nothing came */
	assert_false(outcome_of(&s2, &r).passed);
	assert_float_equal(outcome_of(&s2, &r).incomplete_ratio, 0, 1e-9);
}

static void each_condition_counts(void **state)
{
	struct tcp_load_result r = result_good();

	(void)state;
	r.not_opened = 1;
	assert_false(outcome_of(&s2, &r).passed);
	r = result_good();
	r.lost = 1;
	assert_true(outcome_of(&s2, &r).drain_timeout);
	assert_false(outcome_of(&s2, &r).passed);
	r = result_good();
	r.requests.unknown = r.requests.duplicated = r.requests.after_error = 1;
	assert_int_equal(outcome_of(&s2, &r).gating_violation, 3);
	assert_false(outcome_of(&s2, &r).passed);
	r = result_good();
	r.torn = 1;
	assert_false(outcome_of(&s2, &r).passed);
}

static void connections_alone_must_all_be_made_at_once(void **state)
{
	struct stream_params s1 = s2;
	struct tcp_load_result r = { .connected = 100 };

	(void)state;
	s1.scenario = STREAM_S1;
	assert_true(outcome_of(&s1, &r).passed);
	assert_float_equal(outcome_of(&s1, &r).throughput, 0, 1e-9);
	r.connect_failures = 1; /* and it came on the second try */
	assert_false(outcome_of(&s1, &r).passed);
	r.connect_failures = 0;
	r.not_opened = 1;
	assert_false(outcome_of(&s1, &r).passed);
	assert_int_equal(outcome_of(&s1, &r).connect_timeout, 1);
	assert_int_equal(outcome_of(&s1, &r).connect_success, 99);
}

static void one_echo_is_one(void **state)
{
	struct stream_params s0 = s2;
	struct tcp_load_result r = { .requests = { .sent = 1, .answered = 1 }, .measured_sent = 1, .measured_answered = 1 };

	(void)state;
	s0.scenario = STREAM_S0;
	s0.ccu = 1;
	assert_true(outcome_of(&s0, &r).passed);
	r.torn = 1;
	assert_false(outcome_of(&s0, &r).passed);
	r.torn = 0;
	r.measured_answered = 0;
	assert_false(outcome_of(&s0, &r).passed);
}

static void the_size_is_that_of_the_len_field(void **state)
{
	struct stream_params p = s2;
	struct tcp_load_config c = stream_load_config(&p);

	(void)state;
	assert_int_equal(c.len, 1028);
	assert_int_equal(c.window, 30);
	assert_int_equal(c.deadline_ms, 5000);
	assert_int_equal(c.n_messages, 0);
	assert_false(c.opens_only);
	p.scenario = STREAM_S1;
	c = stream_load_config(&p);
	assert_true(c.opens_only);
	assert_int_equal(c.n_messages, 0); /* or those without one would be done before they are open */
	assert_int_equal(c.deadline_ms, 10000);
	p.scenario = STREAM_S0;
	p.ccu = 1;
	c = stream_load_config(&p);
	assert_int_equal(c.n_messages, 1);
	assert_int_equal(c.n_threads, 1);
}

/* --- the report --- */

static struct stream_report report_of(const struct stream_outcome *o)
{
	return (struct stream_report){
		.params = &s2, .outcome = o, .profile = "ci", .git_rev = "abc", .verdict = "PASS", .why = "",
	};
}

static char *printed(void (*print)(const struct stream_report *, FILE *), const struct stream_report *r)
{
	char *text = NULL;
	size_t len;
	FILE *out = open_memstream(&text, &len);

	print(r, out);
	fclose(out);
	return text;
}

static void columns_stand_where_scripts_look(void **state)
{
	static const char names[] = "scenario_id,transport,ccu,inflight,size,connect_success,connect_fail,connect_timeout,sent,recv,"
				    "incomplete_ratio,throughput,p50,p95,p99,errors_by_errno,pass_fail,mode_active,drain_timeout,"
				    "gating_violation,throughput_in,p999,min,mean,max,handoff_ratio,handoffs,lost,dup,reorder,weird,"
				    "stale_gen,cpu_s,profile,git_rev\n";
	const struct tcp_load_result r = result_good();
	const struct stream_outcome o = outcome_of(&s2, &r);
	const struct stream_report report = report_of(&o);
	char *text = printed(stream_metrics_print, &report);

	(void)state;
	assert_string_equal(stream_column(STREAM_PASS_COLUMN - 1), "pass_fail");
	assert_memory_equal(text, names, sizeof(names) - 1);
	assert_string_equal(text + sizeof(names) - 1, "s2,tcp,100,30,1024,100,0,0,1000,1000,0.000000,250.00,1.50,,,connect:0,PASS,"
						      "direct,0,0,225.00,,,,9000.00,,,0,0,0,,0,0.00,ci,abc\n");
	free(text);
}

static void the_line_leaves_out_what_has_no_value(void **state)
{
	const struct tcp_load_result r = result_good();
	const struct stream_outcome o = outcome_of(&s2, &r);
	const struct stream_report report = report_of(&o);
	char *text = printed(stream_result_print, &report);

	(void)state;
	assert_memory_equal(text, "RESULT scenario_id=s2 transport=tcp ", 36);
	assert_non_null(strstr(text, " pass_fail=PASS mode_active=direct "));
	assert_non_null(strstr(text, " incomplete_ratio=0.000000 "));
	assert_null(strstr(text, "handoffs"));
	assert_null(strstr(text, "p99="));
	free(text);
}

static void a_folder_has_all_of_it(void **state)
{
	static const char *const names[] = { "report.txt", "metrics.csv", "summary.json" };
	char dir[] = "/tmp/xsr-test-XXXXXX", base[64], path[256], file[300], why[LAB_WHY_LEN];
	const struct tcp_load_result r = result_good();
	const struct stream_outcome o = outcome_of(&s2, &r);
	const struct stream_report report = report_of(&o);
	json_t *environment = json_pack("{s:s}", "system", "here"), *summary;
	const char *mode;
	size_t i;

	(void)state;
	assert_non_null(mkdtemp(dir));
	snprintf(base, sizeof(base), "%s/a/b", dir);
	assert_int_equal(stream_report_write(&report, base, environment, path, why), 0);
	json_decref(environment);
	snprintf(file, sizeof(file), "%s/summary.json", path);
	summary = json_load_file(file, 0, NULL);
	assert_int_equal(json_unpack(summary, "{s:{s:s},s:{s:s}}", "result", "mode_active", &mode, "environment", "system", &mode), 0);
	json_decref(summary);
	for (i = 0; i < 3; i++) {
		snprintf(file, sizeof(file), "%s/%s", path, names[i]);
		assert_int_equal(unlink(file), 0);
	}
	assert_int_not_equal(stream_report_write(&report, "/proc/nowhere", NULL, path, why), 0);
	snprintf(file, sizeof(file), "rm -rf %s", dir);
	assert_int_equal(system(file), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(throughput_is_of_what_was_sent_while_measuring),
		cmocka_unit_test(one_of_a_hundred_may_be_missing),
		cmocka_unit_test(each_condition_counts),
		cmocka_unit_test(connections_alone_must_all_be_made_at_once),
		cmocka_unit_test(one_echo_is_one),
		cmocka_unit_test(the_size_is_that_of_the_len_field),
		cmocka_unit_test(columns_stand_where_scripts_look),
		cmocka_unit_test(the_line_leaves_out_what_has_no_value),
		cmocka_unit_test(a_folder_has_all_of_it),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
