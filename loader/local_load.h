/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The programs that join the two ends of connections of this host, for one service. Nothing is pinned, but what was joined stays so
 * until it ends: a connection's socket keeps the program, the program its maps. So nothing that is under way is lost when this
 * process ends, however it does.
 */
#ifndef XSR_LOCAL_LOAD_H
#define XSR_LOCAL_LOAD_H

#include <stdbool.h>
#include <stdint.h>

#include "types.h"

#define LOCAL_WHY_LEN 240 /* as that of struct xsr_stream_state */
#define LOCAL_CGROUP_LEN 256

struct local;

struct local_options {
	const struct xsr_service *service; /* its address, port and name; copied */
	uint32_t index;			   /* of the service: where it is counted */
	int counters_fd;		   /* the map of struct xsr_stream_counters; -1 = one of its own */
};

/* Loads them; joins nothing yet. 0 and *out, or -errno and a sentence in `why`. */
int local_open(struct local **out, const struct local_options *options, char why[LOCAL_WHY_LEN]);

/*
 * New connections are joined from now on, if both ends are of processes of this cgroup v2 directory, or of one below it; instead of
 * the one that was given before. 0, or -errno and a sentence: then it is as before.
 */
int local_attach(struct local *local, const char *cgroup, char why[LOCAL_WHY_LEN]);

/* Whether what the path leads to is the directory that it is attached to: one that is removed, and made anew, is another. */
bool local_is_attached(const struct local *local, const char *cgroup);

/* The directory of this process' cgroup. 0, or -errno and a sentence. */
int local_own_cgroup(char cgroup[LOCAL_CGROUP_LEN], char why[LOCAL_WHY_LEN]);

/* Takes NULL. What is joined goes on by TCP, after what is under way. */
void local_close(struct local *local);

/* The sum of a counter, for one that has its own map. */
uint64_t local_counter(const struct local *local, enum xsr_stream_stat stat);

#endif /* XSR_LOCAL_LOAD_H */
