/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#include "histogram.h"

#include <string.h>

#define EXACT (1u << HISTOGRAM_BITS)
#define VALUE_MAX ((1ULL << HISTOGRAM_VALUE_BITS) - 1)

/* The power of two and the HISTOGRAM_BITS bits behind the leading one. */
static unsigned int bucket_of(uint64_t value)
{
	unsigned int shift;

	if (value < EXACT)
		return value;
	if (value > VALUE_MAX)
		value = VALUE_MAX;
	shift = 63 - HISTOGRAM_BITS - __builtin_clzll(value);
	return (shift << HISTOGRAM_BITS) + (value >> shift);
}

static uint64_t bucket_middle(unsigned int bucket)
{
	unsigned int shift;

	if (bucket < 2 * EXACT)
		return bucket;
	shift = (bucket >> HISTOGRAM_BITS) - 1;
	return ((uint64_t)(bucket & (EXACT - 1)) + EXACT) * (1ULL << shift) + ((1ULL << shift) >> 1);
}

void histogram_clear(struct histogram *h)
{
	memset(h, 0, sizeof(*h));
}

void histogram_add(struct histogram *h, uint64_t value)
{
	if (h->n == 0 || value < h->min)
		h->min = value;
	if (value > h->max)
		h->max = value;
	h->n++;
	h->buckets[bucket_of(value)]++;
}

static uint64_t clamp(uint64_t value, uint64_t min, uint64_t max)
{
	return value < min ? min : value > max ? max : value;
}

uint64_t histogram_percentile(const struct histogram *h, unsigned int permille)
{
	uint64_t rank = (h->n * permille + 999) / 1000, seen = 0;
	unsigned int i;

	/* The ends are known exactly. */
	if (rank >= h->n)
		return h->max;
	if (rank <= 1)
		return h->min;
	for (i = 0; i < HISTOGRAM_BUCKETS; i++) {
		seen += h->buckets[i];
		if (seen >= rank)
			return clamp(bucket_middle(i), h->min, h->max);
	}
	return h->max;
}
