/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* The services and backends that a configuration wants, and those that the instance has. */
#ifndef XSR_RECONCILE_H
#define XSR_RECONCILE_H

#include "config.h"
#include "maps.h"

struct reconcile_result {
	unsigned int n_added, n_changed, n_deleted; /* services */
	unsigned int n_backends_added, n_backends_changed, n_backends_deleted;
};

/*
 * Brings the instance's services and backends to what `new` says: adds what is missing, changes in place whatever routes do not
 * depend on (a service's mode at the start only), deletes those that `old` (NULL at start) had and `new` has not; others, added
 * by hand, stay. All or nothing: 0, or -errno with one sentence in `why`
 * and everything as it was. Routes of services that stay are not touched.
 */
int reconcile_services(struct maps *maps, const struct config *old, const struct config *new,
		       struct reconcile_result *result, char why[CONFIG_WHY_LEN]);

/*
 * Routes that lead to workers that will not run, as an earlier router with more of them left them, go where the `hash` default
 * sends their sessions among those of `workers`, a bit each. Returns how many, or -errno. Before delivery begins.
 */
long reconcile_routes(struct maps *maps, uint64_t workers);

#endif /* XSR_RECONCILE_H */
