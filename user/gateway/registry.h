/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Which worker owns which session of a router's TCP services. It is asked when a session begins and ends, never for a frame. Any
 * thread; a lock inside.
 */
#ifndef XSR_REGISTRY_H
#define XSR_REGISTRY_H

#include <stdint.h>

#include "maps.h"

struct registry;

int registry_open(struct registry **out, const struct maps *maps, uint32_t n_sessions_max); /* 0 or -errno */
void registry_close(struct registry *registry); /* takes NULL */

/* Room for at least so many. 0 or -ENOMEM. */
int registry_grow(struct registry *registry, uint32_t n_sessions_max);

/* Makes `worker` the owner if there is none. Returns who is, or -ENOSPC. */
int registry_claim(struct registry *registry, uint32_t service, uint64_t id, uint32_t worker);

/* The same for an ID that nobody has: a new one is put into *id. 0 or -ENOSPC. */
int registry_assign(struct registry *registry, uint32_t service, uint64_t *id, uint32_t worker);

/* Who owns it, or -ENOENT. */
int registry_find(struct registry *registry, uint32_t service, uint64_t id);

/* From one worker to another, who need not ask then. */
void registry_pass(struct registry *registry, uint32_t service, uint64_t id, uint32_t worker);

void registry_forget(struct registry *registry, uint32_t service, uint64_t id);

#endif /* XSR_REGISTRY_H */
