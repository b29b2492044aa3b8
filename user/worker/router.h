/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* What the controller needs of a router beyond xsr.h. Control thread only. */
#ifndef XSR_ROUTER_H
#define XSR_ROUTER_H

#include "workers.h"
#include "xsr.h"

/* Both borrowed from the router. */
struct workers *router_workers(struct xsr_router *router);
struct maps *router_maps(struct xsr_router *router);
const char *router_instance(const struct xsr_router *router);

/*
 * Whether messages come by the program on devices, one run at a time on each queue: then what was redirected arrives in that
 * order. In generic mode several cores run it for one queue.
 */
bool router_is_native(const struct xsr_router *router);

/* How long a worker waits for a session's fence. */
unsigned int router_fence_ms(const struct xsr_router *router);

/*
 * Opens, runs and publishes one worker more, the lowest number that is free; cpu -1: the next of those that the process may use.
 * The kernel delivers what routes lead to it; the `hash` default does not know it yet. Its number, or -errno with a sentence.
 */
int router_worker_add(struct xsr_router *router, int cpu, char why[XSR_WHY_LEN]);

/*
 * Takes a worker, which nothing leads to any more, from the kernel and ends its thread. Then the others are to
 * part from it (workers_part()) before workers_remove() frees it. 0, or -ETIMEDOUT: it hangs, and stays.
 */
int router_worker_end(struct xsr_router *router, unsigned int number);

#endif /* XSR_ROUTER_H */
