/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* The table of backends: what stands behind TCP services. Who changes it holds maps_lock(). */
#ifndef XSR_BACKEND_H
#define XSR_BACKEND_H

#include "maps.h"

/* The backend of that number: 0, -ENOENT if the entry is free, or -errno. */
int backend_at(struct maps *maps, uint32_t number, struct xsr_backend *out);

/* The backend called `name` into *out. Returns its number (1 .. XSR_BACKENDS_MAX - 1), -ENOENT or -errno. */
int backend_get(struct maps *maps, const char *name, struct xsr_backend *out);

/*
 * Adds *spec and returns its number. -EEXIST: the name is taken; -EADDRINUSE: another has the address and port; -ENOSPC: the table
 * is full.
 */
int backend_add(struct maps *maps, const struct xsr_backend *spec);

/* Stores the entry as it is, empty to free it, for a caller that knows that it fits the others. 0 or -errno. */
int backend_put(struct maps *maps, uint32_t number, const struct xsr_backend *backend);

/* 0, -ENOENT, -errno; -EBUSY: *service names it, or has routes to it. Looks through all routes of TCP services. */
int backend_delete(struct maps *maps, const char *name, uint32_t *service);

/* A service that names the backend, and one that has routes to it; 0 = none, or -errno. Those with a bit in `but` do not count. */
int backend_named_by(struct maps *maps, uint32_t number, uint64_t but);
int backend_routed_by(struct maps *maps, uint32_t number, uint64_t but);

#endif /* XSR_BACKEND_H */
