/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Counts of durations, in bounded memory and without a pointer, so that it may lie in memory shared by
 * two processes. Below 256 a value is kept exactly; above, its 8 leading bits count: what is read back
 * is the middle of a range, at most 0.4 % away.
 */
#ifndef XSR_HISTOGRAM_H
#define XSR_HISTOGRAM_H

#include <stdint.h>

#define HISTOGRAM_BITS 7        /* behind the leading one */
#define HISTOGRAM_VALUE_BITS 40 /* 18 minutes, in ns; what is longer counts as that */
#define HISTOGRAM_BUCKETS ((HISTOGRAM_VALUE_BITS - HISTOGRAM_BITS + 1) << HISTOGRAM_BITS)

struct histogram {
	uint64_t n;   /* all values */
	uint64_t min; /* exact; 0 if there is none */
	uint64_t max; /* exact */
	uint64_t buckets[HISTOGRAM_BUCKETS];
};

void histogram_clear(struct histogram *h);
void histogram_add(struct histogram *h, uint64_t value);

/*
 * Nearest rank: the ceil(n * permille / 1000)-th smallest value, 1 <= permille <= 1000; 0 if there is no
 * value. Never outside of min and max.
 */
uint64_t histogram_percentile(const struct histogram *h, unsigned int permille);

#endif /* XSR_HISTOGRAM_H */
