/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* What the kernel's programs counted, summed over the CPUs. */
#ifndef XSR_COUNTER_H
#define XSR_COUNTER_H

#include "maps.h"

/* By the hook on devices: of one service (0: messages of no service). 0 or -errno. */
int counter_read(struct maps *maps, uint32_t service, struct xsr_counters *out);

/* By the hook on devices: of all services together. 0 or -errno. */
int counter_read_all(struct maps *maps, struct xsr_counters *out);

/* By the hook on sockets: of all services together; all zeroes if it is not loaded. 0 or -errno. */
int choice_read_all(struct maps *maps, struct xsr_counters *out);

/* All messages that a set of counters stands for. */
uint64_t counter_sum(const struct xsr_counters *counters);

/* Sets a service's counters of both hooks to zero, for a new service in an old entry. 0 or -errno. */
int counter_clear(struct maps *maps, uint32_t service);

#endif /* XSR_COUNTER_H */
