/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* `xsr bench steer`: the rows of the datagram path and their targets. */
#ifndef XSR_STEER_BENCH_H
#define XSR_STEER_BENCH_H

#include <stdbool.h>
#include <stddef.h>

#include "lab.h"
#include "results.h"

struct steer_bench_options {
	bool quick;
	const char *only; /* a shell pattern that a row's name must match; NULL = all rows */
	/* Told what is under way: which sample of how many, and of which row. */
	void (*progress)(unsigned int done, unsigned int all, const char *row);
};

/* The names of all rows, in order; NULL past the last. */
const char *steer_bench_row(size_t i);

/*
 * Measures. 0 with *results filled (rows that failed say why), or -errno with a sentence if nothing could be
 * measured; -EINTR if a signal ended it. Blocks for minutes; leaves nothing behind.
 */
int steer_bench_run(const struct steer_bench_options *options, struct results *results,
		    char why[LAB_WHY_LEN]);

#endif /* XSR_STEER_BENCH_H */
