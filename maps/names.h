/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* The printed names of the contract's enums: scripts and dashboards key on them. */
#ifndef XSR_NAMES_H
#define XSR_NAMES_H

#include "types.h"

/* Each returns a constant string, or "?" for a value that is not in the enum. */
const char *stat_name(enum xsr_stat stat);
const char *stat_meaning(enum xsr_stat stat); /* one sentence for `help` and the manual */
const char *worker_stat_name(enum xsr_worker_stat stat);
const char *action_name(enum xsr_action action);

#endif /* XSR_NAMES_H */
