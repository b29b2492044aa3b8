/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* The gateways of a router, one for each worker, in threads of their own, and the rings between them. Control thread only. */
#ifndef XSR_GATEWAYS_H
#define XSR_GATEWAYS_H

#include "gateway.h"

struct gateways;

/*
 * params->worker, ->cpu, ->registry, ->stream and ->broken are chosen here; cpus: the core of each, -1 = not pinned, NULL = the i-th that the process may use. Listens from
 * here on, serves once it is started. 0, or -errno with a sentence.
 */
int gateways_open(struct gateways **out, const struct gateway_params *params, unsigned int n, const int *cpus,
		  char why[XSR_WHY_LEN]);
int gateways_start(struct gateways *gateways); /* 0 or -errno */

/* All at once; each ends within 2 s. 0, or -ETIMEDOUT: one hangs, and nothing may be freed. */
int gateways_stop(struct gateways *gateways);
void gateways_close(struct gateways *gateways); /* takes NULL; stopped */

/*
 * One more, of the lowest number that is free, on this core; -1: as gateways_open() chooses. It serves when this returns: its number, or -errno with
 * a sentence.
 */
int gateways_add(struct gateways *gateways, int cpu, char why[XSR_WHY_LEN]);

/*
 * One ends: all others have heard LEAVE before gateways_end(), and PART, which they answered, after gateways_ended() is true and before
 * gateways_free(). Its connections are closed by that, and its sessions forgotten: they are to be moved before.
 */
void gateways_end(struct gateways *gateways, unsigned int worker);
bool gateways_ended(struct gateways *gateways, unsigned int worker);
void gateways_free(struct gateways *gateways, unsigned int worker);

/* All workers that there are, or were, have a lower number. */
unsigned int gateways_count(const struct gateways *gateways);

/* The control thread's post: mail of errand.h and handover.h goes by it. Borrowed. */
struct post *gateways_post(struct gateways *gateways);

/* The worker that owns the session, or -ENOENT. */
int gateways_owner(struct gateways *gateways, uint32_t service, uint64_t id);

#endif /* XSR_GATEWAYS_H */
