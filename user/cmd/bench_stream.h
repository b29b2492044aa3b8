/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#ifndef XSR_BENCH_STREAM_H
#define XSR_BENCH_STREAM_H

#include "cli.h"

/* `xsr bench stream SCENARIO [OPTION N]...`. Exit status: 0 passed or skipped, 1 not measured, 2 failed, or wrong usage. */
int bench_stream(struct cli *cli, int argc, char **argv);

#endif /* XSR_BENCH_STREAM_H */
