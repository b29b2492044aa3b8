/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Who else used the processors while something was measured. Counted are the processes that are neither this
 * one nor its children, with what their own ended children used, and what the hypervisor took.
 * The kernel's threads are not counted: they do our work too.
 */
#ifndef XSR_NOISE_H
#define XSR_NOISE_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

struct noise {
	uint64_t foreign_ticks; /* of all foreign processes */
	uint64_t stolen_ticks;  /* by the hypervisor, of all cores */
	uint64_t time_ns;
};

/* What stands now. 0 or -errno (no /proc). Takes a few ms: call it outside of what is measured. */
int noise_read(struct noise *noise);

/* Percent of one core that others used between the two; 0 if that was too short to tell, below 100 ms. */
double noise_percent(const struct noise *before, const struct noise *after);

/*
 * One process of /proc/PID/stat: true if it is foreign to `self`, and then *ticks that it and its ended
 * children used.
 */
bool noise_parse_process(const char *stat, pid_t self, uint64_t *ticks);

#endif /* XSR_NOISE_H */
