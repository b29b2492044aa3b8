/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * How long the kernel's workers work for the sockets of a network namespace: on a host that does other things with socket maps,
 * too, the time of all workers does not tell.
 */
#ifndef XSR_WORKTIME_H
#define XSR_WORKTIME_H

#include <stdint.h>

struct worktime;

/* From now on, for the namespace of that descriptor. 0 or -errno: this kernel cannot tell. */
int worktime_open(struct worktime **out, int netns_fd);
void worktime_close(struct worktime *w); /* takes NULL */

/* So far, in ns; behind by no more than one piece of work of each worker. */
uint64_t worktime_ns(const struct worktime *w);

#endif /* XSR_WORKTIME_H */
