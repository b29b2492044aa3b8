/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The programs that join the two ends of connections of this host, of services in mode `local`. Attached to a cgroup (version 2): both
 * ends must be in it, or below. They live as long as the process that opened them. For flows that are bounded by themselves: what an end that does
 * not read is sent waits in the kernel's memory, and no window tells the sender.
 */
#ifndef XSR_LOCAL_LOAD_H
#define XSR_LOCAL_LOAD_H

#include "maps.h"

#define LOCAL_WHY_LEN 384

struct local;

/*
 * Loads them on the instance's services and attaches them to the cgroup, a directory ("/sys/fs/cgroup/user.slice"; NULL: the whole of the
 * first cgroup2 that is mounted). 0 and *out, or -errno and a sentence.
 */
int local_open(struct local **out, const struct maps *maps, const char *cgroup, char why[LOCAL_WHY_LEN]);
void local_close(struct local *local); /* takes NULL; ends that were joined go on with TCP at their next byte */

/* What was counted of a service, of all CPUs. */
int local_sum(const struct local *local, uint32_t service, struct xsr_local_counters *out);

#endif /* XSR_LOCAL_LOAD_H */
