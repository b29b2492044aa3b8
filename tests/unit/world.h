/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* The workers of a router, as they are, between a kernel and a handler that are not. */
#ifndef XSR_TEST_WORLD_H
#define XSR_TEST_WORLD_H

#include "chance.h"
#include "fake_maps.h"
#include "fake_transport.h"
#include "ledger.h"
#include "ledger_handler.h"
#include "net.h"
#include "workers.h"

struct world_params {
	unsigned int n_workers; /* that there may be */
	unsigned int n_owners;	/* the first ones; sessions are theirs when all begins */
	unsigned int n_queues, n_lanes, n_sessions;
	uint32_t n_max; /* messages of a session and a lane */
	uint32_t wire_len, ring_len;
	bool generic, strict;
	uint16_t generation;	       /* of all routes when all begins */
	unsigned int hashed;	       /* percent of the sessions that have no route, but come by the default */
	unsigned int stamp_percent;
	struct fake_umem umem;	       /* but for net and chance */
	struct app_common app;	       /* but for ledger and chance */
	struct worker_params worker;   /* sizes and times */
};

struct world {
	struct world_params p;
	struct maps *maps;
	struct ledger ledger;
	struct net net;
	struct workers workers;
	uint64_t past[XSR_WORKER_STAT_MAX]; /* counted by workers that have left */
};

static inline void route_begin(struct world *w, uint32_t i)
{
	const struct xsr_service *service = &w->maps->services[FAKE_SERVICE];

	if (route_add(w->maps, FAKE_SERVICE, service, w->ledger.sessions[i].id, XSR_ACTION_WORKER, i % w->p.n_owners))
		abort();
	w->maps->dense[i].generation = w->p.generation;
}

static inline void routes_begin(struct world *w, struct chance *chance)
{
	uint32_t i;

	buckets_spread(w->maps->buckets, (1ULL << w->p.n_owners) - 1);
	for (i = 0; i < w->p.n_sessions; i++) {
		w->ledger.sessions[i].id = fake_id(chance_below(chance, 1 << 16), i);
		if (!chance_of(chance, w->p.hashed))
			route_begin(w, i);
	}
}

/* Where the session's messages go now. */
static inline unsigned int world_owner(const struct world *w, uint32_t i)
{
	return route_owner(w->maps, FAKE_SERVICE, w->ledger.sessions[i].id);
}

/* Joins it to those that are there. */
static inline void world_worker_add(struct world *w, unsigned int number)
{
	struct worker_params params = w->p.worker;
	char why[XSR_WHY_LEN];

	params.instance = "model";
	params.number = number;
	params.cpu = -1;
	params.handler = &handler_ledger;
	params.ops = &transport_fake;
	params.maps = w->maps;
	params.umem = (struct umem *)&w->p.umem;
	params.log = app_log;
	params.log_arg = &w->p.app;
	if (workers_add(&w->workers, &params, why))
		abort();
}

/* Without workers. */
static inline void world_open(struct world *w, const struct world_params *params, struct chance *chance)
{
	*w = (struct world){ .p = *params };
	w->maps = fake_maps_open(params->n_sessions);
	ledger_open(&w->ledger, params->n_sessions, params->n_max, params->strict);
	routes_begin(w, chance);
	w->net = (struct net){
		.maps = w->maps,
		.ledger = &w->ledger,
		.n_workers = params->n_workers,
		.n_queues = params->n_queues,
		.n_lanes = params->n_lanes,
		.generic = params->generic,
		.stamp_percent = params->stamp_percent,
	};
	net_open(&w->net, params->wire_len, params->ring_len, chance);
	w->p.umem.net = &w->net;
	w->p.umem.chance = chance_split(chance);
	w->p.app.ledger = &w->ledger;
	w->p.app.chance = chance_split(chance);
	if (workers_open(&w->workers))
		abort();
}

static inline void world_close(struct world *w)
{
	workers_close(&w->workers);
	net_close(&w->net);
	ledger_close(&w->ledger);
	fake_maps_close(w->maps);
}

/* Of all workers that ever were. */
static inline uint64_t world_count(const struct world *w, enum xsr_worker_stat stat)
{
	uint64_t n = w->past[stat];
	unsigned int i;

	for (i = 0; i < w->p.n_workers; i++)
		n += w->maps->workers[i].n[stat];
	return n;
}

static inline bool worker_rests(const struct xsr_worker *w)
{
	const struct fences *f = &w->fences;

	return TAILQ_EMPTY(&f->held) && TAILQ_EMPTY(&f->releasing) && !f->mail_left && !f->gives[MARK_ARRIVED].n &&
	       !f->gives[MARK_REDIRECTED].n && !hold_pool_used(f->pool);
}

static inline bool mail_is_read(const struct workers *ws)
{
	unsigned int a, b;

	for (a = 0; a < POST_MAX; a++)
		for (b = 0; b < POST_MAX; b++)
			if (ws->rings[a][b] && ws->rings[a][b]->tail != ws->rings[a][b]->head)
				return false;
	return true;
}

/* Nothing waits for anything. Nobody runs. */
static inline bool world_rests(struct world *w)
{
	unsigned int i;

	for (i = 0; i < w->p.n_workers; i++)
		if (w->workers.at[i] && !worker_rests(w->workers.at[i]))
			return false;
	return net_is_empty(&w->net) && mail_is_read(&w->workers);
}

#endif /* XSR_TEST_WORLD_H */
