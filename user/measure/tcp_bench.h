/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* `xsr bench tcp`: the ways of a TCP service, and what they are compared with. */
#ifndef XSR_TCP_BENCH_H
#define XSR_TCP_BENCH_H

#include "bench_table.h"

extern const struct bench_table tcp_bench;

#endif /* XSR_TCP_BENCH_H */
