/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * A part of a measurement that runs as a process of its own, on a core of its own, in one side's
 * network namespace: the traffic, a server, the pinger. It ends with its parent, whatever ends that.
 */
#ifndef XSR_CHILD_H
#define XSR_CHILD_H

#include <stdatomic.h>
#include <stdbool.h>
#include <sys/types.h>

#include "histogram.h"
#include "lab.h"

#define CHILD_MODE_LEN 64

enum child_state { CHILD_STARTING, CHILD_READY, CHILD_FAILED };

/* What a child tells its parent, in memory that both see. */
struct child_report {
	atomic_int state;                      /* enum child_state */
	char mode[CHILD_MODE_LEN];             /* the path that really runs; set when ready */
	char why[LAB_WHY_LEN];                 /* set when failed */
	_Alignas(64) atomic_ullong n_messages; /* served so far */
	_Alignas(64) atomic_bool stopping;
	uint64_t n_lost; /* pings that were not answered in time */
	struct histogram rtt_ns;
};

struct child_params {
	const struct lab *lab;
	enum lab_side side;
	int cpu;
	bool is_ordinary; /* of ordinary priority: the kernel's threads, which are that, do its work too */
	/*
	 * The child's life: says child_ready(), works until child_stopping(), returns 0 or -errno. If it
	 * fails there is a sentence in report->why.
	 */
	int (*main)(struct child_report *report, const void *arg);
	const void *arg; /* borrowed by the child: a copy, as of now */
};

struct child {
	pid_t pid; /* 0 = none */
	struct child_report *report;
};

/* Starts it and waits until it is ready. 0, or -errno with a sentence; then there is no child. */
int child_start(struct child *child, const struct child_params *params, char why[LAB_WHY_LEN]);

/* Ends it, by force if it does not end by itself, and frees. Does nothing if there is none. */
void child_stop(struct child *child);

/* False if it has ended: *why says with what, if it is not NULL. */
bool child_alive(struct child *child, char why[LAB_WHY_LEN]);

/* Processor time that all its threads took so far. 0 or -errno. */
int child_cpu_ns(const struct child *child, uint64_t *ns);

/* For the child. */
void child_ready(struct child_report *report, const char *mode);
static inline bool child_stopping(const struct child_report *report)
{
	return atomic_load_explicit(&report->stopping, memory_order_relaxed);
}

/* Pins the calling thread. 0 or -errno. */
int cpu_pin(int cpu);

/*
 * The calling process, a new one, becomes first in line, in a session of its own: what else runs on the
 * machine disturbs less.
 */
void priority_raise(void);

#endif /* XSR_CHILD_H */
