/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* A list of sessions and where they shall go, as it is gathered. */
#ifndef XSR_WISHES_H
#define XSR_WISHES_H

#include <stddef.h>

#include "handoff.h"
#include "maps.h"

/* All zeroes is an empty list. */
struct wishes {
	struct handoff_wish *list;
	size_t n, n_max;
};

/* 0 or -ENOMEM. */
int wishes_add(struct wishes *wishes, uint32_t service, uint64_t id, uint16_t worker, uint16_t from);
void wishes_clear(struct wishes *wishes);

/*
 * The sessions of all services whose routes lead to `worker`, each to where the `hash` default would send it now; -1: those of all
 * workers, each to where it is. 0 or -errno.
 */
int wishes_add_routes(struct wishes *wishes, struct maps *maps, int worker);

/*
 * Of a list of all sessions and where they are, keeps those that have to move so that each worker of `spread` has as many as any other,
 * or one more; as few as possible.
 */
void wishes_even(struct wishes *wishes, uint64_t spread);

#endif /* XSR_WISHES_H */
