/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The processor time that the kernel takes besides what it does for a process within its system calls: its own threads, which
 * write what a socket map redirects (see worktime.h); and interrupts, as those that deliver a packet of the loopback device. Time
 * in interrupts is in the time of whoever was interrupted (with the loopback device, who sends), unless this kernel accounts for it apart.
 */
#ifndef XSR_CPUTIME_H
#define XSR_CPUTIME_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#define CPUTIME_THREADS_MAX 2048

struct cputime_thread {
	pid_t pid;
	uint64_t ns;
};

/* What all have taken so far; those past the last there is room for are left out. */
struct cputime {
	uint64_t interrupts_ns; /* 0 where they are in others' time; in steps of 10 ms */
	uint32_t n;
	struct cputime_thread threads[CPUTIME_THREADS_MAX]; /* by rising pid */
};

/* Of the threads whose names begin so; "" = of all. 0 or -errno (no /proc). Takes a few ms. */
int cputime_read(struct cputime *c, const char *name);

/* What both took in between, of threads those that are still there. */
uint64_t cputime_grown(const struct cputime *before, const struct cputime *after);

/* Whether this kernel accounts for interrupts apart, as its configuration says; no, if there is none to read. */
bool cputime_interrupts_apart(void);

/* What a process took so far, all its threads. 0 or -errno. */
int cputime_of(pid_t pid, uint64_t *ns);

#endif /* XSR_CPUTIME_H */
