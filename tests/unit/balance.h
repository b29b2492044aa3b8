/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Whether everything adds up when nothing is under way any more: messages, states, moves, and what was counted of them. */
#ifndef XSR_TEST_BALANCE_H
#define XSR_TEST_BALANCE_H

#include "moves.h"
#include "world.h"

struct balance {
	struct world *world;
	const struct moves *moves;
	bool overflows; /* holds may be full */
	bool refuses;	/* the handler may fail */
	bool crowded;	/* a table may be full */
};

/* Where sums do not add up, says which. */
static inline void balance_expect(struct world *w, bool holds, const char *what, uint64_t a, uint64_t b)
{
	if (!holds)
		ledger_wrong(&w->ledger, "%s: %llu, %llu", what, (unsigned long long)a, (unsigned long long)b);
}

static inline void balance_equal(struct world *w, const char *what, uint64_t a, uint64_t b)
{
	balance_expect(w, a == b, what, a, b);
}

static inline void balance_messages(const struct balance *b)
{
	struct world *w = b->world;
	uint64_t lost = ledger_n_sent(&w->ledger) - w->ledger.n_served, dropped = net_n_dropped(&w->net);
	uint64_t overflow = world_count(w, XSR_WORKER_STAT_HOLD_OVERFLOW), stale = world_count(w, XSR_WORKER_STAT_STALE);

	balance_equal(w, "messages that were not served, and those that were counted as lost", lost,
		      dropped + overflow + stale);
	balance_equal(w, "frames that are broken", world_count(w, XSR_WORKER_STAT_BAD_FRAME), 0);
	balance_equal(w, "messages without an ID", world_count(w, XSR_WORKER_STAT_NO_ID), 0);
	balance_equal(w, "messages without a session", world_count(w, XSR_WORKER_STAT_SESSIONS_FULL), 0);
	if (!b->overflows)
		balance_equal(w, "messages that found a hold full", overflow, 0);
	if (w->ledger.strict)
		balance_equal(w, "messages that came late", stale, 0);
}

static inline void balance_states(const struct balance *b)
{
	struct world *w = b->world;
	uint64_t failures = w->p.app.n_give_failures + w->p.app.n_take_failures;
	uint64_t no_fence = world_count(w, XSR_WORKER_STAT_NO_FENCE), late = world_count(w, XSR_WORKER_STAT_LATE_FENCE);
	uint64_t refused = world_count(w, XSR_WORKER_STAT_STATE_REFUSED), restarts = w->ledger.n_restarts;

	/* One that hung through two handoffs forgets for the second what it had before the first, though that comes to nothing. */
	if (!w->ledger.strict)
		no_fence += b->moves->sum.n_failed;
	balance_expect(w, restarts <= no_fence + refused, "states begun anew, and those that were counted as lost", restarts,
		       no_fence + refused);
	balance_equal(w, "states that the handler failed to read or write, and those counted", failures, refused);
	balance_expect(w, b->refuses || !failures, "states that the handler failed to read or write", failures, 0);
	if (!w->ledger.strict)
		return;
	balance_equal(w, "fences that did not come", no_fence, 0);
	if (!b->crowded) /* who gave a session up early may have forgotten that when it is asked again */
		balance_equal(w, "fences that came late", late, 0);
	balance_equal(w, "moves without state", b->moves->sum.n_without_state, failures);
}

static inline void balance_route(const struct balance *b, uint32_t i)
{
	const struct moves *m = b->moves;
	const unsigned int owner = fake_route(b->world->maps, i).target, n_moves = moves_of_route(m, i);

	if (m->expected[i].owner != owner || m->expected[i].n_moves != n_moves)
		ledger_wrong(&b->world->ledger, "session %u is at worker %u after %u moves, not at %u after %u", i, owner,
			     n_moves, m->expected[i].owner, m->expected[i].n_moves);
}

static inline void balance_moves(const struct balance *b)
{
	const struct moves *m = b->moves;
	const struct handoff_report *sum = &m->sum;
	struct world *w = b->world;
	uint64_t of_routes = moves_of_routes(m);
	uint32_t i;

	balance_equal(w, "requests, and those that have ended", m->n_requests, m->n_ended);
	balance_equal(w, "moves that were asked for, and those that ended", m->n_wishes, sum->n);
	if (!w->ledger.strict) {
		balance_expect(w, of_routes >= sum->n_moved && of_routes <= sum->n_moved + sum->n_failed,
			       "changes of routes, and moves", of_routes, sum->n_moved);
		return;
	}
	balance_equal(w, "changes of routes, and moves", of_routes, sum->n_moved);
	balance_equal(w, "moves, and sessions taken over", sum->n_moved, world_count(w, XSR_WORKER_STAT_HANDOFFS_IN));
	if (b->crowded)
		return;
	balance_equal(w, "moves, and sessions given up", sum->n_moved, world_count(w, XSR_WORKER_STAT_HANDOFFS_OUT));
	balance_equal(w, "moves that failed, and those to nowhere", sum->n_failed, m->n_void);
	for (i = 0; i < w->p.n_sessions; i++)
		balance_route(b, i);
}

static inline void balance_check(const struct balance *b)
{
	balance_messages(b);
	balance_states(b);
	balance_moves(b);
}

#endif /* XSR_TEST_BALANCE_H */
