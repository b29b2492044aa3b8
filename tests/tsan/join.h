/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Included by a test program once: threads are waited for as the thread sanitizer knows it. */
#ifndef XSR_TEST_JOIN_H
#define XSR_TEST_JOIN_H

#include <pthread.h>
#include <stdint.h>
#include <time.h>

#define JOIN_NS_PER_S 1000000000LL

/* The sanitizer does not know this one, and would not see that the thread has ended: one that it knows. */
int pthread_clockjoin_np(pthread_t thread, void **ret, clockid_t clock, const struct timespec *until)
{
	struct timespec now, wall;
	int64_t ns;

	clock_gettime(clock, &now);
	clock_gettime(CLOCK_REALTIME, &wall);
	ns = wall.tv_nsec + until->tv_nsec - now.tv_nsec + (int64_t)(until->tv_sec - now.tv_sec) * JOIN_NS_PER_S;
	wall.tv_sec += ns / JOIN_NS_PER_S;
	wall.tv_nsec = ns % JOIN_NS_PER_S;
	return pthread_timedjoin_np(thread, ret, &wall);
}

#endif /* XSR_TEST_JOIN_H */
