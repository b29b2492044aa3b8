/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* The table of services and the index from ports into it, one for each protocol. */
#ifndef XSR_SERVICE_H
#define XSR_SERVICE_H

#include "address.h"
#include "maps.h"

/*
 * Copies the service called `name` into *out. Returns its index (1 ..
 * XSR_SERVICES_MAX - 1), -ENOENT or -errno.
 */
int service_get(struct maps *maps, const char *name, struct xsr_service *out);

/* The service at `index`: 0, -ENOENT if that entry is free, or -errno. */
int service_at(struct maps *maps, uint32_t index, struct xsr_service *out);

/*
 * Adds *spec (dense_base and next are chosen here) and returns its index.
 * -EEXIST: the name is taken; -EADDRINUSE: the same address and port are served;
 * -ENOSPC: the table is full; -E2BIG: that port has XSR_SERVICES_PER_PORT_MAX
 * services; -ENOBUFS: the dense table has no free run of dense_len slots.
 * The kernel sees the whole service or none of it. The caller holds maps_lock().
 */
int service_add(struct maps *maps, const struct xsr_service *spec);

/*
 * Replaces what may differ without losing routes: default action, stamp interval, backends, mode and longest
 * frame, each one aligned word for who reads it. Caller holds maps_lock().
 */
int service_update(struct maps *maps, uint32_t index, const struct xsr_service *spec);

/*
 * Deletes the service with its routes and counters, after every reader has left it
 * (waits as maps_wait_readers() does). 0, -ENOENT or -errno. Caller holds maps_lock().
 */
int service_delete(struct maps *maps, const char *name);

/* How many slots of the dense table the largest free run has. */
uint32_t service_dense_free(struct maps *maps);

#endif /* XSR_SERVICE_H */
