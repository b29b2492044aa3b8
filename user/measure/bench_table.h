/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* A table of rows and targets that one command measures, and the run of it. */
#ifndef XSR_BENCH_TABLE_H
#define XSR_BENCH_TABLE_H

#include <stdbool.h>
#include <stddef.h>

#include "bench.h"
#include "results.h"

struct row;

struct bench_table {
	const char *name; /* of the command: `xsr bench NAME` */
	const struct row *rows;
	size_t n_rows; /* at most RESULT_ROWS_MAX */
	const struct target *targets;
	const struct bench_profile *full, *quick;
	bool is_median; /* a row's result is its median sample, not its best */
	int (*open)(struct bench *b, const struct bench_profile *profile, char why[LAB_WHY_LEN]);
	void (*close)(struct bench *b);
};

struct bench_options {
	bool quick;
	const char *only; /* a shell pattern that a row's name must match; NULL = all rows */
	/* Told what is under way: which sample of how many, and of which row. */
	void (*progress)(unsigned int done, unsigned int all, const char *row);
};

/* The name of the table's row, in order; NULL past the last. */
const char *bench_table_row(const struct bench_table *table, size_t i);

/*
 * Measures. 0 with *results filled (rows that failed say why), or -errno with a sentence if nothing could be
 * measured; -EINTR if a signal ended it. Blocks for minutes; leaves nothing behind.
 */
int bench_table_run(const struct bench_table *table, const struct bench_options *options, struct results *results,
		    char why[LAB_WHY_LEN]);

#endif /* XSR_BENCH_TABLE_H */
