/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#include "results.h"

#include <string.h>

static bool better(const struct result *r, const struct sample *a, const struct sample *b)
{
	return r->lower_is_better ? a->value < b->value : a->value > b->value;
}

static const struct sample *result_best(const struct result *r)
{
	const struct sample *best = NULL;
	unsigned int i;

	for (i = 0; i < r->n_samples; i++)
		if (!best || better(r, &r->samples[i], best))
			best = &r->samples[i];
	return best;
}

/* How many come before it when the samples are sorted; of equal ones the first comes first. */
static unsigned int sample_rank(const struct result *r, unsigned int of)
{
	unsigned int i, n = 0;

	for (i = 0; i < r->n_samples; i++)
		n += r->samples[i].value < r->samples[of].value || (r->samples[i].value == r->samples[of].value && i < of);
	return n;
}

static const struct sample *result_median(const struct result *r)
{
	unsigned int i;

	for (i = 0; i < r->n_samples; i++)
		if (sample_rank(r, i) == (r->n_samples + 1) / 2 - 1)
			return &r->samples[i];
	return NULL;
}

const struct sample *result_chosen(const struct result *r)
{
	return r->is_median ? result_median(r) : result_best(r);
}

double result_spread(const struct result *r)
{
	double min = 0, max = 0;
	unsigned int i;

	for (i = 0; i < r->n_samples; i++) {
		double value = r->samples[i].value;

		min = i == 0 || value < min ? value : min;
		max = i == 0 || value > max ? value : max;
	}
	return max > 0 ? (max - min) / max : 0;
}

double result_foreign(const struct result *r)
{
	double max = 0;
	unsigned int i;

	for (i = 0; i < r->n_samples; i++)
		if (r->samples[i].foreign_percent > max)
			max = r->samples[i].foreign_percent;
	return max;
}

const struct result *results_find(const struct results *results, const char *name)
{
	unsigned int i;

	for (i = 0; i < results->n_rows; i++)
		if (!strcmp(results->rows[i].name, name))
			return &results->rows[i];
	return NULL;
}

/* False if the row was not measured. */
static bool row_value(const struct results *results, const char *name, double *value)
{
	const struct result *r = results_find(results, name);
	const struct sample *best = r && !r->why[0] ? result_chosen(r) : NULL;

	if (best)
		*value = best->value;
	return best;
}

static bool time_more(const struct results *results, const struct target *t, double *us)
{
	double over, less;

	if (!row_value(results, t->over, &over) || !row_value(results, t->less, &less) || over <= 0 ||
	    less <= 0)
		return false;
	*us = 1 / over - 1 / less;
	return true;
}

/* False if there is none. */
static bool target_value(const struct results *results, const struct target *t, double *value)
{
	double of, over = 1;

	if (t->less && !time_more(results, t, &over))
		return false;
	if (!t->row) {
		*value = over;
		return true;
	}
	if (!row_value(results, t->row, &of) || (t->over && !t->less && !row_value(results, t->over, &over)))
		return false;
	*value = over > 0 ? of / over : 0;
	return over > 0;
}

enum target_verdict target_judge(const struct results *results, const struct target *t, double *value)
{
	*value = 0;
	if (!target_value(results, t, value))
		return TARGET_NOT_MEASURED;
	if (t->target == 0)
		return TARGET_NONE;
	if (t->at_most ? *value <= t->aim : *value >= t->aim)
		return TARGET_AIM_MET;
	return (t->at_most ? *value <= t->target : *value >= t->target) ? TARGET_MET : TARGET_MISSED;
}

const char *target_verdict_name(enum target_verdict verdict)
{
	static const char *const names[] = {
		[TARGET_NOT_MEASURED] = "not measured",
		[TARGET_NONE] = "",
		[TARGET_MISSED] = "MISSED",
		[TARGET_MET] = "met",
		[TARGET_AIM_MET] = "met, the aim too",
	};

	return names[verdict];
}

/* Three digits that say something, whatever the size. */
static int decimals(double value)
{
	return value >= 100 ? 0 : value >= 10 ? 1 : value >= 1 ? 2 : 3;
}

/* With the rate behind it, if there is one. */
static void path_print(const struct sample *s, FILE *out)
{
	char text[RESULT_MODE_LEN + 32];

	if (s->rate > 0)
		snprintf(text, sizeof(text), "%s, %.*f %s", s->mode, decimals(s->rate), s->rate, s->rate_unit);
	else
		snprintf(text, sizeof(text), "%s", s->mode);
	fprintf(out, "%-24s ", text);
}

static void row_print(const struct result *r, FILE *out)
{
	const struct sample *best = result_chosen(r);
	unsigned int i;

	fprintf(out, "%-24s ", r->name);
	if (r->payload_len)
		fprintf(out, "%5u", r->payload_len);
	else
		fprintf(out, "%5s", "");
	if (r->why[0] || !best) {
		fprintf(out, "  %s: %s\n", r->is_skipped ? "SKIP" : "not measured", r->why);
		return;
	}
	fprintf(out, " %8.*f %-4s", decimals(best->value), best->value, r->unit);
	if (best->p99 > 0)
		fprintf(out, " %7.*f %7.*f", decimals(best->p99), best->p99, decimals(best->p999),
			best->p999);
	else
		fprintf(out, " %7s %7s", "", "");
	fprintf(out, " %5.1f%% %5.0f%%  ", 100 * result_spread(r), result_foreign(r));
	path_print(best, out);
	for (i = 0; i < r->n_samples; i++)
		fprintf(out, " %.*f", decimals(best->value), r->samples[i].value);
	fputc('\n', out);
}

/* Targets of rows that were not asked for are left out. */
static bool target_asked(const struct results *results, const struct target *t)
{
	const char *const names[] = { t->row, t->over, t->less };
	unsigned int i;

	for (i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		if (names[i] && !results_find(results, names[i]))
			return false;
	return true;
}

static void target_print(const struct results *results, const struct target *t, FILE *out)
{
	const char *relation = t->at_most ? "<=" : ">=";
	double value;
	enum target_verdict verdict = target_judge(results, t, &value);

	fprintf(out, "%-48s ", t->name);
	if (verdict == TARGET_NOT_MEASURED)
		fprintf(out, "%8s", "-");
	else
		fprintf(out, "%8.*f", decimals(value), value);
	if (t->target != 0)
		fprintf(out, "   %s %-7.4g %s %-7.4g %s", relation, t->target, relation, t->aim,
			target_verdict_name(verdict));
	fputc('\n', out);
}

static void notes_print(const struct results *results, FILE *out)
{
	unsigned int i, n_disturbed = 0, n_lost = 0;

	for (i = 0; i < results->n_rows; i++) {
		const struct sample *best = result_chosen(&results->rows[i]);

		n_disturbed += result_foreign(&results->rows[i]) >= RESULT_FOREIGN_NOTE;
		n_lost += best && best->n_lost;
	}
	if (n_disturbed)
		fprintf(out,
			"note: other processes used the processors during %u row(s), see `others` (100%% = "
			"one core)\n",
			n_disturbed);
	if (n_lost)
		fprintf(out, "note: pings were lost in %u row(s)\n", n_lost);
}

void results_print(const struct results *results, FILE *out)
{
	const struct target *t;
	unsigned int i;

	fprintf(out, "%-24s %5s %8s %-4s %7s %7s %6s %6s  %-24s  %s\n", "row", "bytes",
		results->n_rows && results->rows[0].is_median ? "median" : "best", "", "p99",
		"p99.9", "spread", "others", "path", "samples");
	for (i = 0; i < results->n_rows; i++)
		row_print(&results->rows[i], out);
	fprintf(out, "\n%-48s %8s   %-10s %-10s %s\n", "target", "value", "target", "aim", "result");
	for (t = results->targets; t->name; t++)
		if (target_asked(results, t))
			target_print(results, t, out);
	notes_print(results, out);
}

static json_t *sample_json(const struct sample *s)
{
	json_t *json = json_pack("{s:f,s:f,s:s}", "value", s->value, "foreign_percent", s->foreign_percent,
				 "mode_active", s->mode);

	if (s->p99 > 0)
		json_object_update_new(json, json_pack("{s:f,s:f,s:I}", "p99", s->p99, "p999", s->p999,
						       "lost", (json_int_t)s->n_lost));
	if (s->parts[SAMPLE_CLIENT] > 0)
		json_object_update_new(json, json_pack("{s:{s:f,s:f,s:f,s:f}}", "parts", "client", s->parts[SAMPLE_CLIENT],
						       "backend", s->parts[SAMPLE_BACKEND], "between", s->parts[SAMPLE_BETWEEN],
						       "kernel_threads", s->parts[SAMPLE_KERNEL]));
	if (s->rate > 0)
		json_object_update_new(json, json_pack("{s:f,s:s}", "rate", s->rate, "rate_unit", s->rate_unit));
	return json;
}

static json_t *row_json(const struct result *r)
{
	const struct sample *best = result_chosen(r);
	json_t *json = json_pack("{s:s,s:s,s:i,s:b}", "row", r->name, "unit", r->unit, "bytes",
				 (int)r->payload_len, "lower_is_better", r->lower_is_better);
	json_t *samples = json_array();
	unsigned int i;

	for (i = 0; i < r->n_samples; i++)
		json_array_append_new(samples, sample_json(&r->samples[i]));
	json_object_set_new(json, "samples", samples);
	if (r->why[0] || !best)
		json_object_set_new(json, r->is_skipped ? "skipped" : "failed", json_string(r->why));
	else
		json_object_update_new(json, json_pack("{s:f,s:f,s:s}", r->is_median ? "median" : "best", best->value,
						       "spread", result_spread(r), "mode_active", best->mode));
	return json;
}

json_t *results_rows_json(const struct results *results)
{
	json_t *rows = json_array();
	unsigned int i;

	for (i = 0; i < results->n_rows; i++)
		json_array_append_new(rows, row_json(&results->rows[i]));
	return rows;
}

static json_t *target_json(const struct results *results, const struct target *t)
{
	double value;
	enum target_verdict verdict = target_judge(results, t, &value);
	json_t *json =
		json_pack("{s:s,s:s?,s:s?,s:s?,s:o}", "name", t->name, "row", t->row, "over", t->over, "less",
			  t->less, "value", verdict == TARGET_NOT_MEASURED ? json_null() : json_real(value));

	if (t->target != 0)
		json_object_update_new(json,
				       json_pack("{s:s,s:f,s:f,s:s}", "relation",
						 t->at_most ? "at_most" : "at_least", "target", t->target,
						 "aim", t->aim, "result", target_verdict_name(verdict)));
	return json;
}

json_t *results_targets_json(const struct results *results)
{
	json_t *targets = json_array();
	const struct target *t;

	for (t = results->targets; t->name; t++)
		if (target_asked(results, t))
			json_array_append_new(targets, target_json(results, t));
	return targets;
}
