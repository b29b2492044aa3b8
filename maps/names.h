/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* The printed names of the contract's enums: scripts and dashboards key on them. */
#ifndef XSR_NAMES_H
#define XSR_NAMES_H

#include "types.h"

/* Each returns a constant string, or "?" for a value that is not in the enum. */
const char *stat_name(enum xsr_stat stat);
const char *stat_meaning(enum xsr_stat stat); /* one sentence for `help` and the manual */
const char *worker_stat_name(enum xsr_worker_stat stat);
const char *stream_stat_name(enum xsr_stream_stat stat);
const char *stream_stat_meaning(enum xsr_stream_stat stat);
const char *stream_mode_name(enum xsr_stream_mode mode);
const char *action_name(enum xsr_action action);

/* Counters that say how many there are now, which stand first; the others are totals. */
#define STREAM_STAT_FIRST_TOTAL XSR_STREAM_STAT_ACCEPTED

#endif /* XSR_NAMES_H */
