/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * A change is a row of stages. Each one begins something and waits until it is over, or goes on at once; the
 * tables at the end say which stages a kind of change has.
 */
#include "membership.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "conductor.h"
#include "log.h"
#include "route.h"
#include "socket.h"
#include "wishes.h"

#define NS_PER_MS 1000000ULL
#define ANSWER_MS 1000
#define LOCK_MS 60000 /* another command does not change routes for longer */
#define STEP_MS 50

enum outcome {
	WAIT,	/* for what was begun; run->over says when */
	GO_ON,
	FAIL,	/* change.why says why */
};

struct change_run {
	TAILQ_ENTRY(change_run) link;
	struct change change;
	struct control *control;
	enum outcome (*const *stages)(struct change_run *run); /* the one that runs; NULL behind the last */
	bool begun, over;
	uint64_t asked;	   /* workers whose word is awaited, a bit each */
	uint8_t answer;	   /* by this mail */
	uint64_t until_ns; /* for so long; 0 = for ever */
	bool (*until)(struct change_run *run); /* or until this is true; NULL = never */
	uint64_t spread;   /* the workers that the default shall know */
	struct xsr_bucket buckets[XSR_BUCKETS_MAX]; /* as they will be */
	struct wishes wishes;
	bool adopting;
	int ret;	   /* of a roster's rows */
};

static enum outcome fail(struct change_run *run, const char *format, ...) __attribute__((format(printf, 2, 3)));
static enum outcome fail(struct change_run *run, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	vsnprintf(run->change.why, sizeof(run->change.why), format, args);
	va_end(args);
	return FAIL;
}

/* --- waiting --- */

/* Sends to all of them; the stage is over when all have answered. */
static enum outcome ask(struct change_run *run, uint64_t workers, enum mail_type type, enum mail_type answer)
{
	const struct mail mail = {
		.type = type, .worker = run->change.worker, .token = ++run->control->membership.n_asked
	};
	struct post *post = &run->control->workers->control;

	run->asked = workers;
	run->answer = answer;
	run->until_ns = control_clock_ns() + ANSWER_MS * NS_PER_MS;
	for (; workers; workers &= workers - 1)
		if (!post_mail(post, __builtin_ctzll(workers), &mail))
			return fail(run, "worker %d does not answer", __builtin_ctzll(workers));
	return run->asked ? WAIT : GO_ON;
}

/* A worker that does not answer: before the default has changed that ends it, afterwards its share is lost time. */
static enum outcome overdue(struct change_run *run)
{
	unsigned int worker;

	if (!run->asked) { /* but for the lock of the routes */
		run->ret = -EAGAIN;
		return GO_ON;
	}
	worker = __builtin_ctzll(run->asked);
	if (run->answer == MAIL_ADOPTING)
		return fail(run, "worker %u does not answer; the default is as it was", worker);
	if (run->answer == MAIL_PARTED) /* it may still look into the rings */
		return fail(run, "worker %d has ended, but worker %u does not answer: its number is not used again",
			    run->change.worker, worker);
	log_warning("worker %u does not answer; it is not waited for", worker);
	return GO_ON;
}

static enum outcome run_wait(struct change_run *run)
{
	if (run->over || (run->until && run->until(run)))
		return GO_ON;
	if (run->until_ns && control_clock_ns() >= run->until_ns)
		return overdue(run);
	return WAIT;
}

static void on_over(void *arg)
{
	struct change_run *run = arg;

	run->over = true;
}

static void on_moves_progress(const struct handoff_report *report, void *arg)
{
	struct change_run *run = arg;

	if (run->change.progress)
		run->change.progress(report, run->change.arg);
}

static void on_moves_done(const struct handoff_report *report, void *arg)
{
	struct change_run *run = arg;
	struct handoff_report *sum = &run->change.report;
	size_t i;

	for (i = 0; i < report->n_failed && i < HANDOFF_FAILURES_MAX && sum->n_failed + i < HANDOFF_FAILURES_MAX; i++)
		sum->failures[sum->n_failed + i] = report->failures[i];
	sum->n += report->n;
	sum->n_done += report->n_done;
	sum->n_moved += report->n_moved;
	sum->n_unchanged += report->n_unchanged;
	sum->n_without_state += report->n_without_state;
	sum->n_failed += report->n_failed;
	sum->time_ns += report->time_ns;
	run->over = true;
}

/* Moves all that was wished for. */
static enum outcome wishes_move(struct change_run *run)
{
	int ret;

	if (!run->wishes.n)
		return GO_ON;
	ret = handoffs_move(run->control->handoffs, run->wishes.list, run->wishes.n, on_moves_progress, on_moves_done,
			    run);
	wishes_clear(&run->wishes);
	return ret ? fail(run, "%s", strerror(-ret)) : WAIT;
}

static bool nothing_under_way(struct change_run *run)
{
	return !handoffs_under_way(run->control->handoffs);
}

/* Sessions do not begin to move from here on, and those that have begun arrive: who has which is known. */
static enum outcome stage_pause(struct change_run *run)
{
	handoffs_pause(run->control->handoffs, true);
	run->until = nothing_under_way;
	return nothing_under_way(run) ? GO_ON : WAIT;
}

static enum outcome stage_resume(struct change_run *run)
{
	handoffs_pause(run->control->handoffs, false);
	return GO_ON;
}

static void on_listed(bool incomplete, void *arg)
{
	struct change_run *run = arg;

	if (incomplete)
		log_warning("a worker does not say which sessions it has; those are left where they are");
	run->over = true;
}

static enum outcome list(struct change_run *run, uint64_t workers,
			 void (*rows)(unsigned int worker, const struct session_row *rows, unsigned int n, void *arg))
{
	const struct roster_wish wish = { .workers = workers, .rows = rows, .done = on_listed, .arg = run };
	int ret;

	run->ret = 0;
	if (!workers)
		return GO_ON;
	ret = roster_begin(&run->control->rosters, &wish);
	return ret ? fail(run, "%s", strerror(-ret)) : WAIT;
}

/* --- the default changes --- */

static struct maps *maps_of(const struct change_run *run)
{
	return run->control->maps;
}

/* True of a session whose messages come by the `hash` default alone. */
static bool comes_by_hash(struct maps *maps, uint32_t index, uint64_t id)
{
	const struct xsr_service *service = &maps->services[index];
	struct xsr_route route;

	return service->default_action == XSR_ACTION_HASH && route_get(maps, index, service, id, &route) == -ENOENT;
}

/* Whoever would lose a session gets a route that keeps it there. */
static void rows_keep(unsigned int worker, const struct session_row *rows, unsigned int n, void *arg)
{
	struct change_run *run = arg;
	unsigned int i;

	for (i = 0; i < n; i++)
		if (comes_by_hash(maps_of(run), rows[i].service, rows[i].id) &&
		    bucket_owner(run->buckets, rows[i].id) != (int)worker)
			run->ret = wishes_add(&run->wishes, rows[i].service, rows[i].id, worker, worker) ?: run->ret;
}

/* Only those who stay keep theirs; who leaves gives them up later. */
static enum outcome stage_keep(struct change_run *run)
{
	buckets_spread(run->buckets, run->spread);
	return list(run, run->control->membership.spread & run->spread, rows_keep);
}

/* A dense place that belongs to a newer ID is not taken from it: the messages of the old one go to no worker any more. */
static int pin(struct maps *maps, const struct handoff_wish *wish)
{
	uint16_t generation;
	int ret = route_move(maps, wish->service, wish->id, wish->worker, &generation);

	return ret == -EBUSY ? 0 : ret;
}

/* True when it is done: the lock may be another command's, and is not waited for here. */
static bool pin_all(struct change_run *run)
{
	struct maps *maps = maps_of(run);
	size_t i;

	if (maps_trylock(maps))
		return false;
	for (i = 0; i < run->wishes.n && !run->ret; i++)
		if (comes_by_hash(maps, run->wishes.list[i].service, run->wishes.list[i].id))
			run->ret = pin(maps, &run->wishes.list[i]);
	maps_unlock(maps);
	wishes_clear(&run->wishes);
	return true;
}

static enum outcome stage_pin(struct change_run *run)
{
	if (!run->wishes.n)
		return GO_ON;
	run->until = pin_all;
	run->until_ns = control_clock_ns() + LOCK_MS * NS_PER_MS;
	return run_wait(run);
}

static enum outcome stage_pinned(struct change_run *run)
{
	return run->ret ? fail(run, "known sessions cannot be given routes: %s; the default is as it was",
			       run->ret == -E2BIG  ? "the table is full" :
			       run->ret == -EAGAIN ? "another command keeps them locked" :
						     strerror(-run->ret)) : GO_ON;
}

/* From here on a session that is new to a worker is held: another one may have it still. */
static enum outcome stage_adopt(struct change_run *run)
{
	run->adopting = true;
	run->control->membership.untold &= ~run->spread;
	return ask(run, run->spread, MAIL_ADOPT, MAIL_ADOPTING);
}

static enum outcome stage_spread(struct change_run *run)
{
	struct membership *m = &run->control->membership;
	uint64_t before = m->spread;

	buckets_spread(maps_of(run)->buckets, run->spread);
	m->spread = run->spread;
	run->spread = before; /* who may have what goes elsewhere now */
	control_grace(run->control, on_over, run);
	return WAIT;
}

static enum outcome stage_settle(struct change_run *run)
{
	return ask(run, run->spread & run->control->workers->serving, MAIL_SETTLE, MAIL_SETTLED);
}

static void rows_stray(unsigned int worker, const struct session_row *rows, unsigned int n, void *arg)
{
	struct change_run *run = arg;
	struct maps *maps = maps_of(run);
	unsigned int i;

	for (i = 0; i < n; i++) {
		int owner = bucket_owner(maps->buckets, rows[i].id);

		if (owner >= 0 && owner != (int)worker && comes_by_hash(maps, rows[i].service, rows[i].id))
			run->ret = wishes_add(&run->wishes, rows[i].service, rows[i].id, owner, worker) ?: run->ret;
	}
}

/* Sessions whose messages go elsewhere by now. */
static enum outcome stage_strays(struct change_run *run)
{
	return list(run, run->spread & run->control->workers->serving, rows_stray);
}

static enum outcome stage_move(struct change_run *run)
{
	if (run->ret)
		return fail(run, "%s", strerror(-run->ret));
	return wishes_move(run);
}

/* Who has no room for it is told later, and holds what is new until then. */
static void untold_tell(struct control *c)
{
	const struct mail mail = { .type = MAIL_ADOPTED };
	uint64_t *untold = &c->membership.untold, left;

	*untold &= c->workers->serving;
	for (left = *untold; left; left &= left - 1)
		if (post_mail(&c->workers->control, __builtin_ctzll(left), &mail))
			*untold &= ~(left & -left);
}

static void adopted_tell(struct change_run *run)
{
	if (!run->adopting)
		return;
	run->adopting = false;
	run->control->membership.untold = run->control->workers->serving;
	untold_tell(run->control);
}

static enum outcome stage_adopted(struct change_run *run)
{
	adopted_tell(run);
	return GO_ON;
}

/* --- who comes, who leaves --- */

static enum outcome stage_come(struct change_run *run)
{
	struct control *c = run->control;
	int number = router_worker_add(c->router, run->change.cpu, run->change.why);

	if (number < 0)
		return FAIL;
	run->change.worker = number;
	run->spread = c->membership.spread | 1ULL << number;
	handoffs_workers(c->handoffs, c->workers->serving, run->spread);
	return GO_ON;
}

static enum outcome worker_check(struct change_run *run)
{
	int worker = run->change.worker;

	if (worker < 0 || worker >= XSR_WORKERS_MAX || !(run->control->workers->serving >> worker & 1))
		return fail(run, "no worker %d runs", worker);
	if (run->change.kind == CHANGE_REMOVE && !(run->control->workers->running >> worker & 1))
		return fail(run, "worker %d runs in a thread of the program's own: drain it, and end it there", worker);
	if (run->control->membership.spread == 1ULL << worker)
		return fail(run, "worker %d is the last one that takes sessions; add another first", worker);
	return GO_ON;
}

static enum outcome stage_leave(struct change_run *run)
{
	enum outcome outcome = worker_check(run);

	if (outcome != GO_ON)
		return outcome;
	run->spread = run->control->membership.spread & ~(1ULL << run->change.worker);
	handoffs_workers(run->control->handoffs, run->control->workers->serving, run->spread);
	return GO_ON;
}

/* What routes lead to it goes where the default would send it. */
static enum outcome stage_routes(struct change_run *run)
{
	int ret = wishes_add_routes(&run->wishes, maps_of(run), run->change.worker);

	return ret ? fail(run, "%s", strerror(-ret)) : wishes_move(run);
}

/* Where a route could not be moved the session needs it. */
static enum outcome stage_empty(struct change_run *run)
{
	if (run->change.report.n_failed)
		return fail(run, "%zu sessions could not be moved from worker %d; it stays",
			    run->change.report.n_failed, run->change.worker);
	return GO_ON;
}

static enum outcome stage_end(struct change_run *run)
{
	if (router_worker_end(run->control->router, run->change.worker))
		return fail(run, "worker %d hangs and cannot be ended; nothing leads to it any more", run->change.worker);
	handoffs_workers(run->control->handoffs, run->control->workers->serving, run->control->membership.spread);
	return ask(run, run->control->workers->serving, MAIL_PART, MAIL_PARTED);
}

static enum outcome stage_remove(struct change_run *run)
{
	workers_remove(run->control->workers, run->change.worker);
	rosters_part(&run->control->rosters, run->change.worker);
	return GO_ON;
}

static void rows_weigh(unsigned int worker, const struct session_row *rows, unsigned int n, void *arg)
{
	struct change_run *run = arg;
	unsigned int i;

	for (i = 0; i < n; i++)
		if (comes_by_hash(maps_of(run), rows[i].service, rows[i].id))
			run->ret = wishes_add(&run->wishes, rows[i].service, rows[i].id, worker, HANDOFF_FROM_OWNER) ?:
				   run->ret;
}

/* All sessions: those that have routes, and those that workers know without. */
static enum outcome stage_weigh(struct change_run *run)
{
	int ret = wishes_add_routes(&run->wishes, maps_of(run), -1);

	if (ret)
		return fail(run, "%s", strerror(-ret));
	return list(run, run->control->membership.spread, rows_weigh);
}

static enum outcome stage_even(struct change_run *run)
{
	wishes_even(&run->wishes, run->control->membership.spread);
	return stage_move(run);
}

/* --- the stages of each change --- */

typedef enum outcome (*const stage)(struct change_run *run);

static stage stages_add[] = {
	stage_come, stage_pause, stage_keep, stage_pin, stage_pinned, stage_adopt, stage_spread, stage_settle,
	stage_strays, stage_move, stage_adopted, stage_resume, NULL,
};

static stage stages_drain[] = {
	stage_leave, stage_pause, stage_adopt, stage_spread, stage_settle, stage_strays, stage_move, stage_adopted,
	stage_resume, stage_routes, NULL,
};

static stage stages_remove[] = {
	stage_leave, stage_pause, stage_adopt, stage_spread, stage_settle, stage_strays, stage_move, stage_adopted,
	stage_resume, stage_routes, stage_empty, stage_end, stage_remove, NULL,
};

static stage stages_rebalance[] = { stage_weigh, stage_even, NULL };

static stage *const stages[] = {
	[CHANGE_ADD] = stages_add,
	[CHANGE_DRAIN] = stages_drain,
	[CHANGE_REMOVE] = stages_remove,
	[CHANGE_REBALANCE] = stages_rebalance,
};

/* --- the run --- */

void membership_init(struct control *c)
{
	TAILQ_INIT(&c->membership.waiting);
	c->membership.spread = c->workers->serving;
	handoffs_workers(c->handoffs, c->workers->serving, c->membership.spread);
}

static void run_free(struct change_run *run)
{
	wishes_clear(&run->wishes);
	free(run);
}

void membership_close(struct control *c)
{
	struct change_run *run;

	while ((run = TAILQ_FIRST(&c->membership.waiting))) {
		TAILQ_REMOVE(&c->membership.waiting, run, link);
		run_free(run);
	}
	if (c->membership.run)
		run_free(c->membership.run);
}

int membership_change(struct control *c, const struct change *change)
{
	struct change_run *run;

	if (c->membership.stopped)
		return -ESHUTDOWN;
	run = calloc(1, sizeof(*run));
	if (!run)
		return -ENOMEM;
	run->change = *change;
	run->control = c;
	run->stages = stages[change->kind];
	TAILQ_INSERT_TAIL(&c->membership.waiting, run, link);
	return 0;
}

void membership_mail(struct control *c, unsigned int from, const struct mail *mail)
{
	struct change_run *run = c->membership.run;

	if (!run || mail->token != run->control->membership.n_asked || !(run->asked >> from & 1))
		return; /* the answer to an earlier question comes late */
	run->asked &= ~(1ULL << from);
	if (!run->asked)
		run->over = true;
}

static enum outcome run_stage(struct change_run *run)
{
	enum outcome outcome;

	if (run->begun) {
		outcome = run_wait(run);
	} else {
		run->begun = true;
		run->over = false;
		run->until = NULL;
		run->until_ns = 0;
		run->asked = 0;
		outcome = (*run->stages)(run);
	}
	if (outcome != GO_ON)
		return outcome;
	run->begun = false;
	run->stages++;
	return GO_ON;
}

static void run_end(struct control *c, bool failed)
{
	struct change_run *run = c->membership.run;

	adopted_tell(run);
	stage_resume(run);
	handoffs_workers(c->handoffs, c->workers->serving, c->membership.spread);
	c->membership.run = NULL;
	run->change.done(&run->change, failed, run->change.arg);
	run_free(run);
}

static void run_next(struct control *c)
{
	struct change_run *run = TAILQ_FIRST(&c->membership.waiting);

	TAILQ_REMOVE(&c->membership.waiting, run, link);
	c->membership.run = run;
}

int membership_step(struct control *c)
{
	struct membership *m = &c->membership;
	enum outcome outcome = GO_ON;

	untold_tell(c);
	while (outcome != WAIT && (m->run || !TAILQ_EMPTY(&m->waiting))) {
		if (!m->run)
			run_next(c);
		outcome = *m->run->stages ? run_stage(m->run) : FAIL;
		if (outcome == FAIL)
			run_end(c, *m->run->stages);
	}
	return m->run || m->untold ? STEP_MS : -1;
}

void membership_stop(struct control *c)
{
	c->membership.stopped = true;
}

bool membership_idle(const struct control *c)
{
	return !c->membership.run && TAILQ_EMPTY(&c->membership.waiting);
}
