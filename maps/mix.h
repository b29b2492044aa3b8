/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* One way to spread 64-bit numbers, for both sides. */
#ifndef XSR_MIX_H
#define XSR_MIX_H

#include <linux/types.h>

/* The finalizer of MurmurHash3: every bit of x reaches every bit of the result. */
static inline __attribute__((always_inline)) __u64 mix64(__u64 x)
{
	x ^= x >> 33;
	x *= 0xff51afd7ed558ccdULL;
	x ^= x >> 33;
	x *= 0xc4ceb9fe1a85ec53ULL;
	return x ^ x >> 33;
}

#endif /* XSR_MIX_H */
