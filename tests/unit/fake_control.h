/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* The control thread's part: reads its mail, ends grace periods, lets handoffs and rosters go on, as the conductor does. */
#ifndef XSR_TEST_FAKE_CONTROL_H
#define XSR_TEST_FAKE_CONTROL_H

#include "handoff.h"
#include "moves.h"
#include "roster.h"
#include "world.h"

struct fake_control {
	struct world *world;
	struct handoffs *handoffs;
	struct rosters rosters;
	struct moves moves;
	bool in_grace;
	uint64_t parted; /* workers that said so, a bit each */
	uint32_t *listed; /* how often each session was, in the last roster; and by whom */
	unsigned int *listed_by;
	unsigned int n_rosters, n_incomplete;
	bool listing;
};

static inline void control_grace(void *arg)
{
	struct fake_control *c = arg;

	net_grace_begin(&c->world->net);
	c->in_grace = true;
}

static inline bool control_quiet(void *arg)
{
	struct fake_control *c = arg;

	return net_is_quiet(&c->world->net);
}

static inline void control_open(struct fake_control *c, struct world *world, uint64_t (*clock_ns)(void))
{
	const struct handoffs_params params = {
		.maps = world->maps,
		.post = &world->workers.control,
		.fence_ms = world->p.worker.fence_ms,
		.clock_ns = clock_ns,
		.quiet = world->p.umem.redirects_known ? control_quiet : NULL,
		.grace = control_grace,
		.arg = c,
	};
	const uint64_t all = (1ULL << world->p.n_workers) - 1;

	*c = (struct fake_control){ .world = world };
	if (handoffs_open(&c->handoffs, &params))
		abort();
	handoffs_workers(c->handoffs, all, all);
	rosters_init(&c->rosters, &world->workers.control, clock_ns);
	moves_open(&c->moves, world, c->handoffs);
	c->listed = calloc(world->p.n_sessions, sizeof(*c->listed));
	c->listed_by = calloc(world->p.n_sessions, sizeof(*c->listed_by));
}

static inline void control_close(struct fake_control *c)
{
	rosters_close(&c->rosters);
	handoffs_close(c->handoffs);
	moves_close(&c->moves);
	free(c->listed);
	free(c->listed_by);
}

/* --- rosters --- */

static inline void control_rows(unsigned int worker, const struct session_row *rows, unsigned int n, void *arg)
{
	struct fake_control *c = arg;
	unsigned int i;

	for (i = 0; i < n; i++) {
		uint32_t index = rows[i].id;

		if (index >= c->world->p.n_sessions || rows[i].id != c->world->ledger.sessions[index].id ||
		    rows[i].service != FAKE_SERVICE || rows[i].state >= SESSION_GONE) {
			ledger_wrong(&c->world->ledger, "worker %u lists what is no session", worker);
			return;
		}
		c->listed[index]++;
		c->listed_by[index] = worker;
	}
}

static inline void control_listed(bool incomplete, void *arg)
{
	struct fake_control *c = arg;

	c->listing = false;
	c->n_rosters++;
	c->n_incomplete += incomplete;
}

/* All sessions, or those of one page of many. */
static inline void control_list(struct fake_control *c)
{
	const struct roster_wish wish = {
		.workers = c->world->workers.open, .rows = control_rows, .done = control_listed, .arg = c
	};

	memset(c->listed, 0, c->world->p.n_sessions * sizeof(*c->listed));
	c->listing = true;
	if (roster_begin(&c->rosters, &wish))
		abort();
}

/* --- a turn --- */

static inline void control_mail(struct fake_control *c, unsigned int from, const struct mail *mail)
{
	switch (mail->type) {
	case MAIL_READY:
	case MAIL_REFUSED:
	case MAIL_TAKEN:
		handoffs_mail(c->handoffs, mail);
		break;
	case MAIL_LISTED:
		rosters_mail(&c->rosters, from, mail);
		break;
	case MAIL_PARTED:
		c->parted |= 1ULL << from;
		break;
	default:
		ledger_wrong(&c->world->ledger, "worker %u writes control a mail of type %u", from, mail->type);
	}
}

static inline void control_read(struct fake_control *c)
{
	struct post *post = &c->world->workers.control;
	const struct mail *mail;
	uint64_t known;

	for (known = post->known; known; known &= known - 1) {
		unsigned int from = __builtin_ctzll(known);

		while ((mail = post_next(post, from))) {
			control_mail(c, from, mail);
			post_done(post, from);
		}
	}
}

/* grace_may_end: it is noticed now if it is over. Returns after how many ms it wants to be called again, -1: not of itself. */
static inline int control_turn(struct fake_control *c, bool grace_may_end)
{
	int ms;

	if (post_rung(&c->world->workers.control))
		control_read(c);
	if (c->in_grace && grace_may_end && net_grace_is_over(&c->world->net)) {
		c->in_grace = false;
		handoffs_grace_over(c->handoffs);
	}
	ms = rosters_step(&c->rosters);
	return handoffs_step(c->handoffs) >= 0 ? 0 : ms;
}

static inline bool control_rests(const struct fake_control *c)
{
	return handoffs_idle(c->handoffs) && !c->in_grace && TAILQ_EMPTY(&c->rosters.all);
}

#endif /* XSR_TEST_FAKE_CONTROL_H */
