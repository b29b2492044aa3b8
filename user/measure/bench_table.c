/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#include "bench_table.h"

#include <errno.h>
#include <fnmatch.h>
#include <stdio.h>
#include <string.h>

#include "noise.h"
#include "row.h"

/* A table while it is measured: the rows that are wanted, each with its result. */
struct run {
	struct bench b;
	const struct bench_options *options;
	const struct row *rows[RESULT_ROWS_MAX];
	struct results *results;
};

const char *bench_table_row(const struct bench_table *table, size_t i)
{
	return i < table->n_rows ? table->rows[i].name : NULL;
}

static bool row_wanted(const struct row *row, const char *only)
{
	return !only || fnmatch(only, row->name, 0) == 0;
}

static void rows_choose(struct run *run, const struct bench_table *table)
{
	struct results *results = run->results;
	size_t i;

	memset(results, 0, sizeof(*results));
	results->targets = table->targets;
	for (i = 0; i < table->n_rows; i++) {
		if (!row_wanted(&table->rows[i], run->options->only))
			continue;
		run->rows[results->n_rows] = &table->rows[i];
		results->rows[results->n_rows++] = (struct result){
			.name = table->rows[i].name,
			.unit = table->rows[i].unit,
			.lower_is_better = table->rows[i].lower_is_better,
			.is_median = table->is_median,
			.payload_len = table->rows[i].payload_len,
		};
	}
}

/* A row that failed once is not tried again. */
static int sample_take(struct bench *b, const struct row *row, struct result *result)
{
	struct sample *sample = &result->samples[result->n_samples];
	char why[LAB_WHY_LEN] = "";
	struct noise before, after;
	double foreign_percent;
	int ret;

	memset(sample, 0, sizeof(*sample));
	noise_read(&before);
	ret = row->sample(b, row, sample, why);
	noise_read(&after);
	foreign_percent = noise_percent(&before, &after);
	if (foreign_percent > sample->foreign_percent) /* of a run of before the sample has its own */
		sample->foreign_percent = foreign_percent;
	if (!ret)
		result->n_samples++;
	else if (ret != -EINTR)
		snprintf(result->why, sizeof(result->why), "%s", why[0] ? why : strerror(-ret));
	result->is_skipped = ret == -EOPNOTSUPP;
	return ret == -EINTR ? ret : 0;
}

static bool sample_due(const struct row *row, const struct result *result)
{
	return !result->why[0] && !(row->once && result->n_samples);
}

static int round_run(struct run *run, unsigned int round)
{
	struct bench *b = &run->b;
	unsigned int i, n = run->results->n_rows, n_all = n * b->profile.rounds;
	int ret = 0;

	b->round = round + 1;
	for (i = 0; i < n && !ret; i++) {
		run->options->progress(round * n + i, n_all, run->rows[i]->name);
		ret = bench_sleep(b, 0);
		if (!ret && sample_due(run->rows[i], &run->results->rows[i]))
			ret = sample_take(b, run->rows[i], &run->results->rows[i]);
	}
	return ret;
}

/* Round by round: what disturbs the machine for a while disturbs one sample of many rows, not all of one. */
static int rounds_run(struct run *run)
{
	unsigned int round;
	int ret = 0;

	for (round = 0; round < run->b.profile.rounds && !ret; round++)
		ret = round_run(run, round);
	return ret;
}

int bench_table_run(const struct bench_table *table, const struct bench_options *options, struct results *results,
		    char why[LAB_WHY_LEN])
{
	struct run run = { .options = options, .results = results };
	int ret;

	rows_choose(&run, table);
	ret = table->open(&run.b, options->quick ? table->quick : table->full, why);
	if (ret)
		return ret;
	ret = rounds_run(&run);
	if (ret == -EINTR)
		snprintf(why, LAB_WHY_LEN, "interrupted");
	table->close(&run.b);
	return ret;
}
