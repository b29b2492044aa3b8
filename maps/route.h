/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Routes: (service, ID) -> target with a generation. Which of the two tables
 * holds an ID follows from the ID and the service alone: see route_is_dense().
 * `index` is always the service's index and `service` its entry, as
 * service_get() gave them. Who changes routes holds maps_lock().
 */
#ifndef XSR_ROUTE_H
#define XSR_ROUTE_H

#include <stdbool.h>
#include <stddef.h>

#include "maps.h"

/* An ID with its route; 16 bytes, as many as a million are handled at once. */
struct route_entry {
	uint64_t id;
	struct xsr_route route;
};

/* True if the ID's word stands in the dense table: the service's node, and an index in its range. */
static inline bool route_is_dense(const struct xsr_service *service, uint64_t id)
{
	return xsr_id_index(id) < service->dense_len && xsr_id_node(id) == service->node;
}

/*
 * Whether the service can have a route with that action. Sessions of a TCP service go to a backend, or are refused; without IDs it has
 * none. What a program finds nevertheless it drops and counts.
 */
bool route_action_fits(const struct xsr_service *service, enum xsr_action action);

/* 0, -ENOENT, or -errno. */
int route_get(struct maps *maps, uint32_t index, const struct xsr_service *service, uint64_t id,
	      struct xsr_route *out);

/*
 * The worker that the session's messages go to: by its route, else by the default `hash`; -1 if to none. Whether that worker runs
 * is not asked.
 */
int route_owner(struct maps *maps, uint32_t index, uint64_t id);

/*
 * Adds a route, generation 1. -EEXIST if the ID has one, -EBUSY if its dense slot
 * belongs to another generation of the ID, -E2BIG if the hash table is full.
 */
int route_add(struct maps *maps, uint32_t index, const struct xsr_service *service, uint64_t id,
	      enum xsr_action action, uint16_t target);

/* Like route_add(), but a route that is there gets the target and its next generation. */
int route_replace(struct maps *maps, uint32_t index, const struct xsr_service *service, uint64_t id,
		  enum xsr_action action, uint16_t target);

/* route_replace() to a worker, or a backend; *generation gets what the route then has. */
int route_move(struct maps *maps, uint32_t index, uint64_t id, uint16_t worker, uint16_t *generation);
int route_move_backend(struct maps *maps, uint32_t index, uint64_t id, uint16_t backend, uint16_t *generation);

/* 0 or -ENOENT, -errno. */
int route_delete(struct maps *maps, uint32_t index, const struct xsr_service *service, uint64_t id);

/*
 * Calls fn with runs of routes (borrowed until it returns) until all were seen or
 * fn returns other than 0, which is returned. Dense routes come by index,
 * hashed ones in no order; routes changed meanwhile may be seen or not.
 */
int route_for_each(struct maps *maps, uint32_t index, const struct xsr_service *service,
		   int (*fn)(const struct route_entry *entries, size_t n, void *arg), void *arg);

/*
 * Replaces or adds all entries (action and target of each route count, the
 * generations are given here and written back). All or nothing for what can be known before: -E2BIG if
 * the hash table has no room, -EBUSY with *bad = the entry whose dense slot another
 * generation of the ID holds. progress (may be NULL) is called now and then.
 */
int route_import(struct maps *maps, uint32_t index, const struct xsr_service *service,
		 struct route_entry *entries, size_t n, size_t *bad, void (*progress)(size_t done, void *arg),
		 void *arg);

/* Deletes all routes of the service; returns how many, or -errno. */
long route_flush(struct maps *maps, uint32_t index, const struct xsr_service *service);

/*
 * What everything above that changes routes of a TCP service calls last: workers keep copies of such routes, and look whether
 * switches->routes_version is still the same (acquire) before they believe one. Nothing for other services.
 */
void routes_changed(struct maps *maps, const struct xsr_service *service);

#endif /* XSR_ROUTE_H */
