/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The backends that a configuration wants: what the table will be, known whole before an entry of it is changed. The caller holds
 * maps_lock() from the first call to the last.
 */
#ifndef XSR_BACKEND_PLAN_H
#define XSR_BACKEND_PLAN_H

#include "config.h"
#include "maps.h"

struct backend_plan {
	struct xsr_backend now[XSR_BACKENDS_MAX];  /* by number */
	struct xsr_backend then[XSR_BACKENDS_MAX]; /* still with those that go */
	uint8_t number[XSR_BACKENDS_MAX];	   /* of the configuration's i-th */
	uint64_t goes;				   /* a bit for each that is deleted, by number */
	unsigned int n_added, n_changed, n_deleted;
};

/* What `old` (may be NULL) had and `new` has not goes. 0, or -errno and a sentence: there is no room, or an address is another's. */
int backend_plan_make(struct backend_plan *plan, struct maps *maps, const struct config *old, const struct config *new,
		      char why[CONFIG_WHY_LEN]);

/*
 * Whether what goes may go: no service names it that keeps its backends, none has routes to it that stays; a bit each in
 * `renamed` (gets others, or goes) and `gone`. 0, -EBUSY and a sentence, or -errno.
 */
int backend_plan_check(const struct backend_plan *plan, struct maps *maps, uint64_t renamed, uint64_t gone,
		       char why[CONFIG_WHY_LEN]);

/* Places in the configuration's list, a bit each -> numbers. */
uint64_t backend_plan_mask(const struct backend_plan *plan, uint64_t places);

/* Before services change: stores what is new; after: frees what goes. Instead of the latter: all as it was. 0 or -errno. */
int backend_plan_begin(const struct backend_plan *plan, struct maps *maps);
int backend_plan_end(const struct backend_plan *plan, struct maps *maps);
void backend_plan_undo(const struct backend_plan *plan, struct maps *maps);

#endif /* XSR_BACKEND_PLAN_H */
