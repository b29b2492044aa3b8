/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Where the workers' sockets are: devices, the XSKMAP with its shadow, and the
 * buckets of the `hash` default. Written by a running router, read by the
 * kernel's program and by `show`.
 */
#ifndef XSR_SOCKET_H
#define XSR_SOCKET_H

#include <stdbool.h>

#include "maps.h"
#include "mix.h"

/*
 * Gives the device's queues their numbers in the instance and tells the kernel. Returns
 * the number of its queue 0, or -ENOSPC (too many queues), -EBUSY (another
 * router serves it, or another device with the same low bits of ifindex), -errno.
 * What a dead router left is taken over. Caller holds maps_lock().
 */
int device_publish(struct maps *maps, uint32_t ifindex, uint16_t n_queues);
int device_withdraw(struct maps *maps, uint32_t ifindex);

/*
 * Puts an AF_XDP socket into its slot, shadow last. `queue` is the instance's
 * number, n_redirected how many frames were sent to the socket before. 0 or -errno. withdraw clears the shadow first.
 */
int socket_publish(struct maps *maps, uint16_t queue, uint16_t worker, int xsk_fd, uint32_t ifindex,
		   uint64_t n_redirected);
int socket_withdraw(struct maps *maps, uint16_t queue, uint16_t worker);

/*
 * Puts a UDP socket of a service, bound and in a SO_REUSEPORT group, into the worker's
 * slot; the kernel takes it out when it is closed. 0, -ENOENT if the sockets' hook is not loaded, -errno.
 */
int listener_publish(struct maps *maps, uint32_t service, uint16_t worker, int fd);

/* The worker whose bucket an ID falls into; -1 if none runs. */
static inline int bucket_owner(const struct xsr_bucket *buckets, uint64_t id)
{
	const struct xsr_bucket *bucket = &buckets[mix64(id) & (XSR_BUCKETS_MAX - 1)];

	return (int)__atomic_load_n(&bucket->worker, __ATOMIC_RELAXED) - 1;
}

/*
 * Spreads the `hash` default over the workers whose bit in `live` is set, by the
 * highest random weight: a worker that leaves gives away only its own buckets,
 * one that comes takes only its share. 0 = none: messages go to the stack.
 */
void buckets_spread(struct xsr_bucket buckets[XSR_BUCKETS_MAX], uint64_t live);

/*
 * A process's start in clock ticks since boot: with the pid it names the process. 0 if it does not
 * run; one that was killed and not yet waited for runs no more.
 */
uint64_t process_start(uint32_t pid);

/* The process that serves a worker, if it is alive: its pid, else 0. */
uint32_t worker_pid(const struct xsr_worker_counters *worker);

/*
 * This process runs the worker from now on, with counters from zero; and from now on no more: what it
 * counted stays to be read.
 */
void worker_claim(struct xsr_worker_counters *worker, int cpu, const char *transport);
void worker_leave(struct xsr_worker_counters *worker);

#endif /* XSR_SOCKET_H */
