/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#ifndef XSR_CPU_H
#define XSR_CPU_H

#include <sched.h>

/* The i-th of the cores that this process may use, round and round; -1: they are not known. */
static inline int cpu_choose(unsigned int i)
{
	cpu_set_t set;
	int cpu, n;

	if (sched_getaffinity(0, sizeof(set), &set))
		return -1;
	n = i % CPU_COUNT(&set);
	for (cpu = 0; cpu < CPU_SETSIZE; cpu++)
		if (CPU_ISSET(cpu, &set) && n-- == 0)
			return cpu;
	return -1;
}

#endif /* XSR_CPU_H */
