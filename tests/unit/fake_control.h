/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The control thread's part, as the conductor does it: reads its mail, ends grace periods, lets handoffs, rosters and what else there
 * is go on.
 */
#ifndef XSR_TEST_FAKE_CONTROL_H
#define XSR_TEST_FAKE_CONTROL_H

#include "conductor.h"
#include "moves.h"
#include "world.h"

struct fake_control {
	struct control c; /* workers, maps, handoffs, rosters; the rest is for who uses it */
	struct world *world;
	struct moves moves;
	/* What is neither handoffs nor rosters; may be NULL. Returns what membership_step() does. */
	int (*more)(struct fake_control *control);
	uint64_t parted;  /* workers that said so, a bit each */
	uint32_t *listed; /* how often each session was, in the last roster; and by whom */
	unsigned int *listed_by;
	unsigned int n_rosters, n_incomplete;
	bool listing;
};

/* --- grace periods: one at a time --- */

static inline void fake_grace_next(struct fake_control *f)
{
	struct control *c = &f->c;

	if (c->n_running || !c->n_waiting)
		return;
	memcpy(c->running, c->waiting, sizeof(c->running));
	c->n_running = c->n_waiting;
	c->n_waiting = 0;
	net_grace_begin(&f->world->net);
}

static inline void fake_grace(struct fake_control *f, void (*over)(void *arg), void *arg)
{
	f->c.waiting[f->c.n_waiting++] = (struct grace_waiter){ over, arg };
	fake_grace_next(f);
}

static inline void fake_grace_over(struct fake_control *f)
{
	unsigned int i, n = f->c.n_running;

	if (!n || !net_grace_is_over(&f->world->net))
		return;
	f->c.n_running = 0;
	for (i = 0; i < n; i++)
		f->c.running[i].over(f->c.running[i].arg);
	fake_grace_next(f);
}

static inline void fake_handoffs_over(void *arg)
{
	handoffs_grace_over(((struct fake_control *)arg)->c.handoffs);
}

static inline void fake_handoffs_grace(void *arg)
{
	fake_grace(arg, fake_handoffs_over, arg);
}

static inline bool fake_quiet(void *arg)
{
	return net_is_quiet(&((struct fake_control *)arg)->world->net);
}

/* --- beginning and end --- */

static inline void fake_control_open(struct fake_control *f, struct world *world, uint64_t (*clock_ns)(void))
{
	const struct handoffs_params params = {
		.maps = world->maps,
		.post = &world->workers.control,
		.fence_ms = world->p.worker.fence_ms,
		.clock_ns = clock_ns,
		.quiet = world->p.umem.redirects_known ? fake_quiet : NULL,
		.grace = fake_handoffs_grace,
		.arg = f,
	};
	const uint64_t all = (1ULL << world->p.n_workers) - 1;

	*f = (struct fake_control){ .world = world, .c = { .maps = world->maps, .workers = &world->workers } };
	if (handoffs_open(&f->c.handoffs, &params))
		abort();
	handoffs_workers(f->c.handoffs, all, all);
	rosters_init(&f->c.rosters, &world->workers.control, clock_ns);
	moves_open(&f->moves, world, f->c.handoffs);
	f->listed = calloc(world->p.n_sessions, sizeof(*f->listed));
	f->listed_by = calloc(world->p.n_sessions, sizeof(*f->listed_by));
}

static inline void fake_control_close(struct fake_control *f)
{
	rosters_close(&f->c.rosters);
	handoffs_close(f->c.handoffs);
	moves_close(&f->moves);
	free(f->listed);
	free(f->listed_by);
}

/* --- rosters --- */

static inline void fake_rows(unsigned int worker, const struct session_row *rows, unsigned int n, void *arg)
{
	struct fake_control *f = arg;
	unsigned int i;

	for (i = 0; i < n; i++) {
		uint32_t index = rows[i].id;

		if (index >= f->world->p.n_sessions || rows[i].id != f->world->ledger.sessions[index].id ||
		    rows[i].service != FAKE_SERVICE || rows[i].state >= SESSION_GONE) {
			ledger_wrong(&f->world->ledger, "worker %u lists what is no session", worker);
			return;
		}
		f->listed[index]++;
		f->listed_by[index] = worker;
	}
}

static inline void fake_listed(bool incomplete, void *arg)
{
	struct fake_control *f = arg;

	f->listing = false;
	f->n_rosters++;
	f->n_incomplete += incomplete;
}

/* All sessions that the workers have. */
static inline void fake_list(struct fake_control *f)
{
	const struct roster_wish wish = {
		.workers = f->world->workers.open, .rows = fake_rows, .done = fake_listed, .arg = f
	};

	memset(f->listed, 0, f->world->p.n_sessions * sizeof(*f->listed));
	f->listing = true;
	if (roster_begin(&f->c.rosters, &wish))
		abort();
}

/* --- a turn --- */

static inline void fake_mail(struct fake_control *f, unsigned int from, const struct mail *mail)
{
	switch (mail->type) {
	case MAIL_READY:
	case MAIL_REFUSED:
	case MAIL_TAKEN:
		handoffs_mail(f->c.handoffs, mail);
		break;
	case MAIL_LISTED:
		rosters_mail(&f->c.rosters, from, mail);
		break;
	default:
		if (mail->type == MAIL_PARTED)
			f->parted |= 1ULL << from;
		membership_mail(&f->c, from, mail);
	}
}

static inline void fake_read(struct fake_control *f)
{
	struct post *post = &f->world->workers.control;
	const struct mail *mail;
	uint64_t known;

	for (known = post->known; known; known &= known - 1) {
		unsigned int from = __builtin_ctzll(known);

		while ((mail = post_next(post, from))) {
			fake_mail(f, from, mail);
			post_done(post, from);
		}
	}
}

/* grace_may_end: it is noticed now if it is over. */
static inline void fake_control_turn(struct fake_control *f, bool grace_may_end)
{
	if (post_rung(&f->world->workers.control))
		fake_read(f);
	if (grace_may_end)
		fake_grace_over(f);
	if (f->more)
		f->more(f);
	rosters_step(&f->c.rosters);
	handoffs_step(f->c.handoffs);
}

static inline bool fake_control_rests(const struct fake_control *f)
{
	return handoffs_idle(f->c.handoffs) && !f->c.n_running && TAILQ_EMPTY(&f->c.rosters.all) &&
	       (!f->more || membership_idle(&f->c));
}

#endif /* XSR_TEST_FAKE_CONTROL_H */
