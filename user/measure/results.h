/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * What was measured: rows of samples, and targets that compare rows of the same run. A row's result is
 * its best sample, or its median one; the others and their spread stand next to it.
 */
#ifndef XSR_RESULTS_H
#define XSR_RESULTS_H

#include <jansson.h>
#include <stdbool.h>
#include <stdio.h>

#define RESULT_SAMPLES_MAX 8
#define RESULT_ROWS_MAX 64
#define RESULT_WHY_LEN 384
#define RESULT_MODE_LEN 64
#define RESULT_FOREIGN_NOTE 5.0 /* percent of a core, from which on other processes are worth a note */

/* Whose processor time a sample of it is made of. */
enum sample_part { SAMPLE_CLIENT, SAMPLE_BACKEND, SAMPLE_BETWEEN, SAMPLE_KERNEL, SAMPLE_PARTS };

/* One measurement of a row. */
struct sample {
	double value;               /* of latencies: the median */
	double p99, p999;           /* of latencies, else 0 */
	double rate;                /* that it was measured at; 0 = none */
	const char *rate_unit;
	double parts[SAMPLE_PARTS]; /* their sum is the value; all 0 where it is made of something else */
	double foreign_percent;     /* of one core, used by others meanwhile */
	unsigned long long n_lost;  /* pings without an answer */
	char mode[RESULT_MODE_LEN]; /* the path that really ran */
};

struct result {
	const char *name;
	const char *unit;
	bool lower_is_better;
	bool is_median;           /* the result is the median sample, not the best */
	bool is_skipped;          /* it is not there to be measured: that is no failure; why[] says what is missing */
	unsigned int payload_len; /* bytes of UDP payload, or of a TCP frame; 0 = no matter */
	unsigned int n_samples;
	struct sample samples[RESULT_SAMPLES_MAX];
	char why[RESULT_WHY_LEN]; /* not empty: it could not be measured, and why */
};

/* A bound on one row's result, or on its ratio to another row's. */
struct target {
	const char *name;
	const char *row, *over; /* over NULL: the row's value itself */
	bool at_most;           /* else at least */
	double target, aim;     /* what must be, and what is hoped for; target 0: told, not judged */
	/*
	 * If not NULL: both `over` and `less` are rates in M/s, and what counts is the time, in us, that a
	 * message takes more with `over` than with `less`: the value is the row's over that, or that itself
	 * if `row` is NULL.
	 */
	const char *less;
};

enum target_verdict { TARGET_NOT_MEASURED, TARGET_NONE, TARGET_MISSED, TARGET_MET, TARGET_AIM_MET };

struct results {
	struct result rows[RESULT_ROWS_MAX];
	unsigned int n_rows;
	const struct target *targets; /* ended by a row without a name */
};

/* The sample that stands for the row: the best, or the median one (nearest rank). NULL if there is none. */
const struct sample *result_chosen(const struct result *result);
double result_spread(const struct result *result);             /* (max - min) / max; 0 without samples */
double result_foreign(const struct result *result);            /* of the sample that was disturbed most */

/* The row that is called so, or NULL. */
const struct result *results_find(const struct results *results, const char *name);

/* What came of the target, and in *value what it is about. */
enum target_verdict target_judge(const struct results *results, const struct target *target, double *value);
const char *target_verdict_name(enum target_verdict verdict);

/* The table: the rows, the targets, notes. */
void results_print(const struct results *results, FILE *out);

/* Arrays of rows and of targets; the caller lets go of them. */
json_t *results_rows_json(const struct results *results);
json_t *results_targets_json(const struct results *results);

#endif /* XSR_RESULTS_H */
