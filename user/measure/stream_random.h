/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Numbers that look random and follow from a seed (splitmix64): a run can be repeated. */
#ifndef XSR_STREAM_RANDOM_H
#define XSR_STREAM_RANDOM_H

#include <stdint.h>

struct stream_random {
	uint64_t state;
};

static inline uint64_t stream_random_next(struct stream_random *r)
{
	uint64_t x = r->state += 0x9e3779b97f4a7c15ULL;

	x = (x ^ x >> 30) * 0xbf58476d1ce4e5b9ULL;
	x = (x ^ x >> 27) * 0x94d049bb133111ebULL;
	return x ^ x >> 31;
}

/* min .. max */
static inline uint32_t stream_random_from(struct stream_random *r, uint32_t min, uint32_t max)
{
	return min + ((stream_random_next(r) >> 32) * ((uint64_t)max - min + 1) >> 32);
}

#endif /* XSR_STREAM_RANDOM_H */
