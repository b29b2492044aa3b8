/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* `xsr bench steer`: the rows of the datagram path and their targets. */
#ifndef XSR_STEER_BENCH_H
#define XSR_STEER_BENCH_H

#include "bench_table.h"

extern const struct bench_table steer_bench;

#endif /* XSR_STEER_BENCH_H */
