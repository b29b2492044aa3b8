/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#ifndef XSR_DEVICE_STATS_H
#define XSR_DEVICE_STATS_H

#include <stdint.h>

/*
 * The sum of the driver's counters (ethtool -S) whose names end in `suffix`. socket_fd: any socket of
 * the device's network namespace. 0 and *sum, or -errno.
 */
int device_stats_sum(int socket_fd, const char *ifname, const char *suffix, uint64_t *sum);

#endif /* XSR_DEVICE_STATS_H */
