/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Numbers that look random and follow from a seed. */
#ifndef XSR_TEST_CHANCE_H
#define XSR_TEST_CHANCE_H

#include <stdbool.h>
#include <stdint.h>

struct chance {
	uint64_t state;
};

/* splitmix64: seeds that follow one another have nothing in common. */
static inline uint64_t chance_next(struct chance *c)
{
	uint64_t x = c->state += 0x9e3779b97f4a7c15ULL;

	x = (x ^ x >> 30) * 0xbf58476d1ce4e5b9ULL;
	x = (x ^ x >> 27) * 0x94d049bb133111ebULL;
	return x ^ x >> 31;
}

/* 0 .. n - 1; 0 if n is 0. */
static inline uint32_t chance_below(struct chance *c, uint32_t n)
{
	return (chance_next(c) >> 32) * n >> 32;
}

/* min .. max */
static inline uint32_t chance_from(struct chance *c, uint32_t min, uint32_t max)
{
	return min + chance_below(c, max - min + 1);
}

static inline bool chance_of(struct chance *c, uint32_t percent)
{
	return chance_below(c, 100) < percent;
}

/* Another one, which follows from this one. */
static inline struct chance chance_split(struct chance *c)
{
	return (struct chance){ .state = chance_next(c) };
}

#endif /* XSR_TEST_CHANCE_H */
