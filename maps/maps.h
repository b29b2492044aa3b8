/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The maps of one instance, opened from their pins. This folder alone calls
 * bpf_map_*; a noun's functions stand in its own header: service.h, route.h,
 * backend.h, socket.h, counter.h, stream.h.
 */
#ifndef XSR_MAPS_H
#define XSR_MAPS_H

#include <stdint.h>

#include "types.h"

enum maps_index {
	MAPS_PORTS,
	MAPS_SERVICES,
	MAPS_DENSE,
	MAPS_ROUTES,
	MAPS_BUCKETS,
	MAPS_DEVICES,
	MAPS_SLOTS,
	MAPS_RUNS,
	MAPS_SWITCHES,
	MAPS_SOCKETS,
	MAPS_STATS,
	MAPS_WORKERS,
	MAPS_BACKENDS,
	MAPS_STREAMS,
	MAPS_STATES,
	MAPS_LISTENERS, /* this and the next: -1 if only `ip link ... xdp obj` made the instance */
	MAPS_CHOICES,
	MAPS_MAX
};

struct maps {
	int fds[MAPS_MAX];
	int lock_fd;			     /* see maps_lock() */
	uint32_t dense_len;		     /* slots of the whole dense table */
	uint32_t routes_max;		     /* entries of the hash table */
	const struct xsr_port *ports;   /* mapped, read only: 65536 */
	const struct xsr_service *services;  /* mapped, read only: XSR_SERVICES_MAX; what the kernel follows now */
	struct xsr_route *dense;	     /* mapped: dense_len words */
	struct xsr_bucket *buckets;	     /* mapped: XSR_BUCKETS_MAX */
	struct xsr_worker_counters *workers; /* mapped: XSR_WORKERS_MAX */
	const struct xsr_backend *backends;  /* mapped, read only: XSR_BACKENDS_MAX */
	struct xsr_stream_counters *streams; /* mapped: XSR_STREAMS_MAX, by xsr_stream_index() */
	struct xsr_stream_state *states;     /* mapped: XSR_SERVICES_MAX, by service */
	const struct xsr_slot *slots;	     /* mapped, read only: XSR_SLOTS_MAX */
	const struct xsr_runs *runs;	     /* mapped, read only: XSR_QUEUES_MAX */
	struct xsr_switches *switches;	     /* mapped: one */
};

/* The map's pinned name, "xsr_ports" and so on. */
const char *maps_name(enum maps_index index);

/*
 * Opens the maps that are pinned in the directory `dir`; writers agree by a lock
 * on `lock_path`, which outlives a reload of the programs. 0 and a new *out,
 * which maps_close() frees; -ENOENT if nothing is pinned there, -EPROTO if what
 * is there has another layout, else -errno. An opened instance may be used by
 * several threads; what changes services or hashed routes takes maps_lock().
 */
int maps_open(const char *dir, const char *lock_path, struct maps **out);
void maps_close(struct maps *maps); /* takes NULL */

/*
 * One writer at a time, across processes: read-modify-write of services,
 * routes, devices. Blocks; held until maps_unlock() or the process ends.
 */
int maps_lock(struct maps *maps);
int maps_trylock(struct maps *maps); /* -EAGAIN instead of blocking */
void maps_unlock(struct maps *maps);

/*
 * Returns when every run of a program that could have read what was there
 * before this call has ended: 8 to 16 ms, up to 50 ms on a busy machine.
 */
void maps_wait_readers(void);

#endif /* XSR_MAPS_H */
