/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* The table of backends: what stands behind TCP services. Who changes it holds maps_lock(). */
#ifndef XSR_BACKEND_H
#define XSR_BACKEND_H

#include <stdbool.h>

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

/* It is at another address from now on: routers connect to it anew. 0, -EADDRINUSE or -errno. */
int backend_update(struct maps *maps, uint32_t number, const struct xsr_backend *spec);

/* 0, -ENOENT, -errno; -EBUSY: *service, which names it or has routes to it. Looks through all routes of TCP services. */
int backend_delete(struct maps *maps, const char *name, uint32_t *service);

/* The service that names the backend; else one that has routes to it, if such are asked for; 0 = none, or -errno. */
int backend_user(struct maps *maps, uint32_t number, bool routes);

#endif /* XSR_BACKEND_H */
