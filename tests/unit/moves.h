/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Requests to move sessions: what was asked for, what came of it, and where each session should be then. */
#ifndef XSR_TEST_MOVES_H
#define XSR_TEST_MOVES_H

#include <stdlib.h>

#include "handoff.h"
#include "world.h"

struct moves {
	struct world *world;
	struct handoffs *handoffs;
	size_t n_requests, n_ended;
	size_t n_wishes, n_void; /* all; to workers that there are not */
	struct handoff_report sum;
	struct {
		unsigned int owner;  /* if all wishes come true, in their order */
		unsigned int n_moves;
	} *expected; /* by session */
};

static inline void moves_open(struct moves *m, struct world *world, struct handoffs *handoffs)
{
	unsigned int i;

	*m = (struct moves){ .world = world, .handoffs = handoffs };
	m->expected = calloc(world->p.n_sessions, sizeof(*m->expected));
	for (i = 0; i < world->p.n_sessions; i++)
		m->expected[i].owner = world_owner(world, i);
}

static inline void moves_close(struct moves *m)
{
	free(m->expected);
}

static inline void moves_ended(const struct handoff_report *r, void *arg)
{
	struct moves *m = arg;

	if (r->n_done != r->n || r->n_moved + r->n_unchanged + r->n_failed != r->n || r->n_without_state > r->n_moved)
		ledger_wrong(&m->world->ledger, "a report of %zu moves says %zu done: %zu + %zu unchanged + %zu failed", r->n,
			     r->n_done, r->n_moved, r->n_unchanged, r->n_failed);
	m->n_ended++;
	m->sum.n += r->n;
	m->sum.n_moved += r->n_moved;
	m->sum.n_unchanged += r->n_unchanged;
	m->sum.n_without_state += r->n_without_state;
	m->sum.n_failed += r->n_failed;
	if (r->n_failed)
		m->sum.failures[0] = r->failures[0];
}

/* Sessions by their number, each to a worker. */
static inline void moves_ask(struct moves *m, const uint32_t *sessions, const uint16_t *workers, size_t n)
{
	struct handoff_wish *wishes = calloc(n ?: 1, sizeof(*wishes));
	size_t i;

	for (i = 0; i < n; i++) {
		wishes[i] = (struct handoff_wish){ .id = m->world->ledger.sessions[sessions[i]].id,
						   .service = FAKE_SERVICE,
						   .worker = workers[i],
						   .from = HANDOFF_FROM_OWNER };
		if (workers[i] >= m->world->p.n_workers) {
			m->n_void++;
		} else if (m->expected[sessions[i]].owner != workers[i]) {
			m->expected[sessions[i]].owner = workers[i];
			m->expected[sessions[i]].n_moves++;
		}
	}
	m->n_requests++;
	m->n_wishes += n;
	if (handoffs_move(m->handoffs, wishes, n, NULL, moves_ended, m))
		ledger_wrong(&m->world->ledger, "a move is not taken");
	free(wishes);
}

/* How often the session's route was changed; it counts from 1 again, not from 0. */
static inline unsigned int moves_of_route(const struct moves *m, uint32_t session)
{
	uint16_t generation = fake_route(m->world->maps, session).generation, first = m->world->p.generation;

	return generation >= first ? generation - first : UINT16_MAX - first + generation;
}

static inline uint64_t moves_of_routes(const struct moves *m)
{
	uint64_t n = 0;
	uint32_t i;

	for (i = 0; i < m->world->p.n_sessions; i++)
		n += moves_of_route(m, i);
	return n;
}

#endif /* XSR_TEST_MOVES_H */
