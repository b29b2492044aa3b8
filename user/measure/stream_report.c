/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#include "stream_report.h"

#include <errno.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>

const char *const stream_scenario_names[STREAM_SCENARIOS] = { "s0", "s1", "s2" };

enum column_kind {
	REPORT_TEXT, OUTCOME_TEXT, OUTCOME_COUNT, OUTCOME_REAL, OUTCOME_TIME, OUTCOME_BOOL, PARAM_COUNT, SCENARIO, TRANSPORT,
	ERRORS,
	NOTHING, /* not told by what was sent */
};

static const struct column {
	const char *name;
	enum column_kind kind;
	size_t offset;
} columns[] = {
#define REPORT(field) REPORT_TEXT, offsetof(struct stream_report, field)
#define COUNT(field) OUTCOME_COUNT, offsetof(struct stream_outcome, field)
#define REAL(field) OUTCOME_REAL, offsetof(struct stream_outcome, field)
#define TIME(field) OUTCOME_TIME, offsetof(struct stream_outcome, field)
#define BOOL(field) OUTCOME_BOOL, offsetof(struct stream_outcome, field)
#define PARAM(field) PARAM_COUNT, offsetof(struct stream_params, field)
	{ "scenario_id", SCENARIO },
	{ "transport", TRANSPORT },
	{ "ccu", PARAM(ccu) },
	{ "inflight", PARAM(inflight) },
	{ "size", PARAM(size) },
	{ "connect_success", COUNT(connect_success) },
	{ "connect_fail", COUNT(connect_fail) },
	{ "connect_timeout", COUNT(connect_timeout) },
	{ "sent", COUNT(sent) },
	{ "recv", COUNT(recv) },
	{ "incomplete_ratio", REAL(incomplete_ratio) },
	{ "throughput", REAL(throughput) },
	{ "p50", TIME(p50) },
	{ "p95", TIME(p95) },
	{ "p99", TIME(p99) },
	{ "errors_by_errno", ERRORS },
	{ "pass_fail", REPORT(verdict) },
	{ "mode_active", OUTCOME_TEXT, offsetof(struct stream_outcome, mode) },
	{ "drain_timeout", BOOL(drain_timeout) },
	{ "gating_violation", COUNT(gating_violation) },
	{ "throughput_in", REAL(throughput_in) },
	{ "p999", TIME(p999) },
	{ "min", TIME(min) },
	{ "mean", TIME(mean) },
	{ "max", TIME(max) },
	{ "handoff_ratio", NOTHING },
	{ "handoffs", NOTHING },
	{ "lost", COUNT(lost) },
	{ "dup", COUNT(dup) },
	{ "reorder", COUNT(reorder) },
	{ "weird", NOTHING },
	{ "stale_gen", COUNT(stale_gen) },
	{ "cpu_s", REAL(cpu_s) },
	{ "profile", REPORT(profile) },
	{ "git_rev", REPORT(git_rev) },
#undef REPORT
#undef COUNT
#undef REAL
#undef TIME
#undef BOOL
#undef PARAM
};

#define COLUMNS (sizeof(columns) / sizeof(columns[0]))

const char *stream_column(unsigned int i)
{
	return i < COLUMNS ? columns[i].name : NULL;
}

static json_t *value_json(const struct stream_report *r, const struct column *c)
{
	const char *outcome = (const char *)r->outcome + c->offset;

	switch (c->kind) {
	case REPORT_TEXT:
		return json_string(*(const char *const *)((const char *)r + c->offset));
	case OUTCOME_TEXT:
		return json_string(outcome);
	case OUTCOME_COUNT:
		return json_integer(*(const uint64_t *)outcome);
	case OUTCOME_REAL:
		return json_real(*(const double *)outcome);
	case OUTCOME_TIME: /* 0: there was nothing to take it of */
		return *(const double *)outcome ? json_real(*(const double *)outcome) : NULL;
	case OUTCOME_BOOL:
		return json_integer(*(const bool *)outcome);
	case PARAM_COUNT:
		return json_integer(*(const uint32_t *)((const char *)r->params + c->offset));
	case SCENARIO:
		return json_string(stream_scenario_names[r->params->scenario]);
	case TRANSPORT:
		return json_string("tcp");
	case ERRORS: /* the client counts them all as one */
		return json_sprintf("connect:%llu", (unsigned long long)r->outcome->connect_fail);
	case NOTHING:
		break;
	}
	return NULL;
}

const char *stream_value(const struct stream_report *r, unsigned int i, char text[STREAM_VALUE_LEN])
{
	json_t *value = value_json(r, &columns[i]);

	text[0] = 0;
	if (json_is_string(value))
		snprintf(text, STREAM_VALUE_LEN, "%s", json_string_value(value));
	else if (json_is_real(value))
		snprintf(text, STREAM_VALUE_LEN, "%.*f",
			 columns[i].offset == offsetof(struct stream_outcome, incomplete_ratio) ? 6 : 2, json_real_value(value));
	else if (value)
		snprintf(text, STREAM_VALUE_LEN, "%lld", (long long)json_integer_value(value));
	json_decref(value);
	return text;
}

void stream_result_print(const struct stream_report *r, FILE *out)
{
	char text[STREAM_VALUE_LEN];
	unsigned int i;

	fprintf(out, "RESULT");
	for (i = 0; i < COLUMNS; i++)
		if (stream_value(r, i, text)[0])
			fprintf(out, " %s=%s", columns[i].name, text);
	fputc('\n', out);
}

void stream_metrics_print(const struct stream_report *r, FILE *out)
{
	char text[STREAM_VALUE_LEN];
	unsigned int i;

	for (i = 0; i < COLUMNS; i++)
		fprintf(out, "%s%s", i ? "," : "", columns[i].name);
	for (i = 0; i < COLUMNS; i++)
		fprintf(out, "%s%s", i ? "," : "\n", stream_value(r, i, text));
	fputc('\n', out);
}

json_t *stream_report_json(const struct stream_report *r)
{
	json_t *o = json_object();
	unsigned int i;

	for (i = 0; i < COLUMNS; i++)
		json_object_set_new(o, columns[i].name, value_json(r, &columns[i])); /* does nothing with NULL */
	return o;
}

/* --- files --- */

static int dir_make(const char *path)
{
	char part[256];
	char *slash;

	snprintf(part, sizeof(part), "%s", path);
	for (slash = strchr(part + 1, '/'); slash; slash = strchr(slash + 1, '/')) {
		*slash = 0;
		if (mkdir(part, 0755) && errno != EEXIST)
			return -errno;
		*slash = '/';
	}
	return mkdir(part, 0755) && errno != EEXIST ? -errno : 0;
}

static FILE *file_open(const char *dir, const char *name)
{
	char path[300];

	snprintf(path, sizeof(path), "%s/%s", dir, name);
	return fopen(path, "w");
}

static void report_text(const struct stream_report *r, FILE *out)
{
	char text[STREAM_VALUE_LEN];
	unsigned int i;

	for (i = 0; i < COLUMNS; i++)
		if (stream_value(r, i, text)[0])
			fprintf(out, "%-18s %s\n", columns[i].name, text);
	if (r->why[0])
		fprintf(out, "%-18s %s\n", "why", r->why);
}

static void summary_text(const struct stream_report *r, json_t *environment, FILE *out)
{
	const struct stream_params *p = r->params;
	json_t *o = json_pack("{s:o,s:O,s:{s:i,s:i,s:i,s:i,s:i,s:i,s:i},s:s,s:i}", "result", stream_report_json(r), "environment",
			      environment, "parameters", "warmup", p->warmup_s, "measure", p->measure_s, "drain_timeout",
			      p->drain_s, "connect_timeout", p->connect_timeout_s, "sndbuf", p->sndbuf, "rcvbuf", p->rcvbuf, "io_threads",
			      p->io_threads, "why", r->why, "exit_status", r->exit_status);

	json_dumpf(o, out, JSON_INDENT(2) | JSON_REAL_PRECISION(6));
	fputc('\n', out);
	json_decref(o);
}

static int files_write(const struct stream_report *r, json_t *environment, const char *dir)
{
	FILE *files[] = { file_open(dir, "report.txt"), file_open(dir, "metrics.csv"), file_open(dir, "summary.json") };
	int ret = 0;
	size_t i;

	if (files[0])
		report_text(r, files[0]);
	if (files[1])
		stream_metrics_print(r, files[1]);
	if (files[2])
		summary_text(r, environment, files[2]);
	for (i = 0; i < sizeof(files) / sizeof(files[0]); i++)
		if (!files[i] || fclose(files[i]))
			ret = -EIO;
	return ret;
}

int stream_report_write(const struct stream_report *r, const char *dir, json_t *environment, char path[256],
			char why[LAB_WHY_LEN])
{
	char stamp[32];
	time_t now = time(NULL);
	struct tm utc;
	int ret;

	strftime(stamp, sizeof(stamp), "%Y%m%dT%H%M%SZ", gmtime_r(&now, &utc));
	snprintf(path, 256, "%s/stream-%s/%s", dir, stream_scenario_names[r->params->scenario], stamp);
	ret = dir_make(path);
	if (!ret)
		ret = files_write(r, environment, path);
	if (ret)
		snprintf(why, LAB_WHY_LEN, "cannot write the results to %.200s: %s", path, strerror(-ret));
	return ret;
}
