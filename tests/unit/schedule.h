/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Schedules: the workers and the control thread as they are, in one thread, with a kernel, a clock and a client that are not. Who has
 * its turn is drawn by lot, step by step. A schedule follows from its seed; what kind it is, too.
 *   XSR_SEED       of the first one
 *   XSR_SCHEDULES  how many
 */
#ifndef XSR_TEST_SCHEDULE_H
#define XSR_TEST_SCHEDULE_H

#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/file.h>
#include <cmocka.h>

#include "balance.h"
#include "run.h"

#define PATIENCE_NS (10 * NS_PER_MS) /* who was not drawn for so long has its turn */
#define REST_ROUNDS 20000
#define ROUND_UNSERVED 4	    /* no ring is shorter */
#define LOCKED_NS (300 * NS_PER_MS) /* so long another command changes routes */

/* --- turns --- */

static bool client_send(struct run *r, uint32_t session, unsigned int lane)
{
	return net_send(&r->world.net, lane, session, chance_below(&r->chance, r->fill_max + 1));
}

static void client_turn(struct run *r)
{
	const struct world_params *p = &r->world.p;
	uint32_t session = chance_below(&r->chance, p->n_sessions);
	unsigned int lane = r->own_lane ? session % p->n_lanes : chance_below(&r->chance, p->n_lanes);
	unsigned int n = chance_from(&r->chance, 1, 3);

	while (n-- && r->world.ledger.n_sent[session][lane] < p->n_max - LAST_MESSAGES)
		client_send(r, session, lane);
}

static void lister_turn(struct run *r)
{
	if (!r->control.listing && chance_of(&r->chance, 20))
		fake_list(&r->control);
}

/* Another command changes routes for a while. */
static void locker_turn(struct run *r)
{
	if (r->locked_until_ns && (r->locked_until_ns <= now_ns || !r->busy)) {
		flock(r->lock_fd, LOCK_UN);
		r->locked_until_ns = 0;
	} else if (r->busy && chance_of(&r->chance, 5) && flock(r->lock_fd, LOCK_EX | LOCK_NB) == 0) {
		r->locked_until_ns = now_ns + chance_below(&r->chance, LOCKED_NS);
	}
}

static void actor_turn(struct run *r, unsigned int i)
{
	r->actors[i].turn_ns = now_ns;
	if (i >= WORKER)
		xsr_worker_poll(r->world.workers.at[i - WORKER], 0);
	else if (i >= LANE)
		lane_step(&r->world.net, &r->world.net.lanes[i - LANE]);
	else if (i == CONTROL)
		fake_control_turn(&r->control, chance_of(&r->chance, 50));
	else if (i == LOCKER)
		locker_turn(r);
	else if (i == LISTER)
		lister_turn(r);
	else if (i == MOVER)
		r->kind->move(r);
	else
		client_turn(r);
}

static bool actor_is_ready(const struct run *r, unsigned int i)
{
	const struct actor *a = &r->actors[i];

	if (i >= WORKER && !r->world.workers.at[i - WORKER])
		return false;
	return a->weight && a->hung_until_ns <= now_ns && (r->busy || i >= LOCKER);
}

/* By lot; but who has waited for too long has its turn. */
static unsigned int actor_draw(struct run *r)
{
	unsigned int i, weights = 0, at;

	for (i = 0; i < ACTORS; i++) {
		if (!actor_is_ready(r, i))
			continue;
		if (i >= LOCKER && now_ns - r->actors[i].turn_ns > PATIENCE_NS)
			return i;
		weights += r->actors[i].weight;
	}
	at = chance_below(&r->chance, weights);
	for (i = 0; i < ACTORS; i++) {
		if (!actor_is_ready(r, i))
			continue;
		if (at < r->actors[i].weight)
			return i;
		at -= r->actors[i].weight;
	}
	return ACTORS; /* all of them hang */
}

/* A worker has no turns for a while; where the longest hangs are, the kernel and the control thread neither. */
static void hang_begin(struct run *r)
{
	unsigned int i = r->kind->hangs_long ? chance_from(&r->chance, CONTROL, ACTORS - 1) :
					       WORKER + chance_below(&r->chance, r->world.p.n_workers);

	if (!r->busy || !r->actors[i].weight || r->actors[i].hung_until_ns > now_ns)
		return;
	r->actors[i].hung_until_ns = now_ns + chance_below(&r->chance, r->hang_ns);
	r->n_hangs++;
}

static void clock_step(struct run *r)
{
	now_ns += chance_below(&r->chance, 2 * r->step_ns);
	if (chance_below(&r->chance, 64) == 0)
		now_ns += chance_below(&r->chance, r->jump_ns);
}

/* False if something is wrong. */
static bool run_step(struct run *r)
{
	unsigned int i;

	clock_step(r);
	if (chance_below(&r->chance, 10000) < r->kind->hang)
		hang_begin(r);
	i = actor_draw(r);
	if (i < ACTORS)
		actor_turn(r, i);
	return !r->world.ledger.is_wrong;
}

/* Until nothing is under way; false if that does not happen. */
static bool run_rest(struct run *r)
{
	unsigned int i, k;

	r->busy = false;
	for (i = 0; i < REST_ROUNDS; i++) {
		for (k = 0; k < 4 * ACTORS; k++)
			if (!run_step(r))
				return false;
		if (world_rests(&r->world) && fake_control_rests(&r->control))
			return true;
		now_ns += NS_PER_MS;
	}
	ledger_wrong(&r->world.ledger, "something does not come to its end");
	return false;
}

static bool run_busy(struct run *r)
{
	unsigned int i;

	r->busy = true;
	for (i = 0; i < r->kind->steps; i++)
		if (!run_step(r))
			return false;
	return true;
}

/* Sends when the rings have room for certain. */
static bool round_send(struct run *r, uint32_t session, unsigned int lane, uint32_t n_done)
{
	while (n_done - r->world.ledger.n_served >= ROUND_UNSERVED || !client_send(r, session, lane))
		if (!run_step(r))
			return false;
	return true;
}

/* A message of each session on each lane, while no session moves: all are served. */
static bool run_round(struct run *r)
{
	struct world *w = &r->world;
	uint32_t i, n_done = w->ledger.n_served;
	unsigned int lane;

	for (i = 0; i < w->p.n_sessions; i++)
		for (lane = 0; lane < w->p.n_lanes; lane++, n_done++)
			if (!round_send(r, i, lane, n_done))
				return false;
	if (run_rest(r) && w->ledger.n_served != n_done)
		ledger_wrong(&w->ledger, "of %u messages %u were not served when all moves were over",
			     w->p.n_sessions * w->p.n_lanes, n_done - w->ledger.n_served);
	return !w->ledger.is_wrong;
}

/* --- a schedule --- */

/* Each session stands once in the tables, at its owner, and what had gone is forgotten. */
static void check_tables(struct run *r)
{
	struct world *w = &r->world;
	uint64_t n = 0;
	unsigned int i;

	now_ns += 5000 * NS_PER_MS;
	fake_list(&r->control);
	if (!run_rest(r))
		return;
	for (i = 0; i < w->p.n_workers; i++) {
		if (!w->workers.at[i])
			continue;
		n += session_count(w->workers.at[i]->sessions);
		balance_equal(w, "sessions that a worker remembers to have gone",
			      !TAILQ_EMPTY(&w->workers.at[i]->fences.gone), 0);
	}
	if (!w->ledger.strict)
		return;
	balance_equal(w, "sessions, and those in the tables", w->p.n_sessions, n);
	for (i = 0; i < w->p.n_sessions; i++) {
		balance_equal(w, "times that a session is listed", r->control.listed[i], 1);
		balance_equal(w, "who has it, and who should", r->control.listed_by[i], world_owner(w, i));
	}
	balance_equal(w, "rosters that are incomplete", r->control.n_incomplete, 0);
}

static bool run_schedule(struct run *r)
{
	/* A table that is full is to be so because of moves; a worker that is new is to meet sessions that are, too. */
	if (!r->kind->hashed && !run_round(r))
		return false;
	if (!run_busy(r) || !run_rest(r) || !run_round(r))
		return false;
	r->kind->check(r);
	check_tables(r);
	return !r->world.ledger.is_wrong;
}

/* --- seeds --- */

static uint64_t number_of(const char *name, uint64_t otherwise)
{
	const char *text = getenv(name);

	return text && *text ? strtoull(text, NULL, 0) : otherwise;
}

static void seed_print(void)
{
	if (under_way)
		fprintf(stderr, "schedule \"%s\" ended; again: XSR_SEED=%llu XSR_SCHEDULES=1\n", under_way->kind->name,
			(unsigned long long)under_way->seed);
}

static void on_abort(int signal_number)
{
	seed_print();
	signal(signal_number, SIG_DFL);
	raise(signal_number);
}

extern void __sanitizer_set_death_callback(void (*callback)(void)) __attribute__((weak));

/* The schedules of this kind among those that are to be run: kinds follow one another by the seed. */
static void schedules_run(const struct kind *kinds, unsigned int n_kinds, unsigned int kind, uint64_t n)
{
	static struct run run;
	uint64_t seed = number_of("XSR_SEED", 1), end = seed + number_of("XSR_SCHEDULES", n);

	for (; seed < end; seed++) {
		if (seed % n_kinds != kind)
			continue;
		under_way = &run;
		run_open(&run, &kinds[kind], seed);
		run_schedule(&run);
		run_close(&run);
		under_way = NULL;
		if (run.world.ledger.is_wrong)
			fail_msg("%s\n\"%s\", %u workers, %u lanes, %u sessions; again: XSR_SEED=%llu XSR_SCHEDULES=1",
				 run.world.ledger.wrong, run.kind->name, run.world.p.n_workers, run.world.p.n_lanes,
				 run.world.p.n_sessions, (unsigned long long)seed);
	}
}

/* Whoever dies says in which schedule. */
static void schedules_watch(void)
{
	signal(SIGABRT, on_abort);
	if (__sanitizer_set_death_callback)
		__sanitizer_set_death_callback(seed_print);
}

#endif /* XSR_TEST_SCHEDULE_H */
