/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Handoffs: the workers and the control thread as they are, with a kernel, a clock and a client that are not. Who has its turn
 * is drawn by lot, step by step, and at the end of each schedule everything has to add up: each message served once, in order, by the
 * state that was there before.
 *
 * A schedule follows from its seed:
 *   XSR_SEED       of the first one; what kind it is follows from it
 *   XSR_SCHEDULES  how many
 */
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <cmocka.h>

#include "balance.h"
#include "chance.h"
#include "fake_control.h"
#include "world.h"

#define NS_PER_MS 1000000ULL
#define SEED 1
#define SCHEDULES 1040
#define PATIENCE_NS (10 * NS_PER_MS) /* who was not drawn for so long has its turn */
#define REST_ROUNDS 20000
#define LAST_MESSAGES 2		     /* of each session and lane, before and behind all moves */
#define ROUND_UNSERVED 4	     /* no ring is shorter */

/* What a schedule is about; the rest of it is drawn. */
struct kind {
	const char *name;
	uint32_t sessions_max;
	unsigned int steps;
	bool slow;	   /* small batches */
	bool overflow;	   /* holds are small */
	bool crowded;	   /* tables have hardly more room than there are sessions */
	bool refuses;	   /* the handler fails at times */
	unsigned int hang; /* of 10000 steps so many begin one */
	bool hangs_long;   /* longer than a fence is waited for */
};

static const struct kind kinds[] = {
	{ .name = "flow", .sessions_max = 24, .steps = 3000 },
	{ .name = "slow", .sessions_max = 12, .steps = 3000, .slow = true },
	{ .name = "overflow", .sessions_max = 12, .steps = 3000, .overflow = true },
	{ .name = "full", .sessions_max = 24, .steps = 3000, .crowded = true },
	{ .name = "refuse", .sessions_max = 12, .steps = 3000, .refuses = true },
	{ .name = "hang", .sessions_max = 12, .steps = 4000, .hang = 20 },
	{ .name = "hang long", .sessions_max = 12, .steps = 3000, .hang = 20, .hangs_long = true },
	{ .name = "many", .sessions_max = 1000, .steps = 3000 },
};
#define N_KINDS (sizeof(kinds) / sizeof(kinds[0]))

/* Who has turns: the client, then who asks control for something, control, the lanes, the workers. */
enum { CLIENT, MOVER, LISTER, CONTROL, LANE, WORKER = LANE + LANES_MAX, ACTORS = WORKER + NET_WORKERS_MAX };

struct actor {
	unsigned int weight; /* 0 = there is none */
	uint64_t turn_ns;    /* the last one */
	uint64_t hung_until_ns;
};

struct run {
	const struct kind *kind;
	uint64_t seed;
	struct chance chance;
	struct world world;
	struct fake_control control;
	struct actor actors[ACTORS];
	bool busy;		   /* else nothing new is asked for */
	bool own_lane;		   /* a session's messages all come on one */
	uint32_t fill_max;	   /* bytes of a message */
	unsigned int requests_max; /* to move sessions, at a time */
	uint32_t step_ns, jump_ns; /* the clock's */
	uint64_t hang_ns;
	unsigned int n_hangs;
};

static uint64_t now_ns;	 /* clocks take no argument */
static struct run *under_way; /* for who dies in between */

static uint64_t clock_now_ns(void)
{
	return now_ns;
}

/* --- what is drawn for a schedule --- */

static uint32_t power_of_two(struct chance *c, unsigned int min, unsigned int max)
{
	return 1u << chance_from(c, min, max);
}

static struct worker_params worker_draw(struct run *r, const struct world_params *p)
{
	const struct kind *kind = r->kind;
	struct chance *c = &r->chance;
	struct worker_params w = {
		.batch = kind->slow ? chance_from(c, 1, 2) : chance_from(c, 1, 24),
		.sessions_max = p->n_sessions * 2 + 2,
		.hold_max = 1 << 20,
		.hold_ms = 1000,
		.hold_len = 4 << 20,
		.fence_ms = kind->hangs_long ? power_of_two(c, 3, 8) : 4000,
		.clock_ns = clock_now_ns,
	};

	if (kind->crowded)
		w.sessions_max = (p->n_sessions + p->n_workers - 1) / p->n_workers + chance_below(c, 3);
	if (kind->overflow && chance_of(c, 50)) {
		w.hold_max = chance_from(c, 1, 8);
		w.hold_ms = chance_below(c, 2);
	} else if (kind->overflow) {
		w.hold_len = 1024 * chance_from(c, 1, 8);
	}
	return w;
}

static struct world_params world_draw(struct run *r)
{
	static const uint16_t generations[] = { 1, 1, 0x7ffe, 0xfff0, 0xfffe };
	struct chance *c = &r->chance;
	const struct kind *kind = r->kind;
	struct world_params p = {
		.n_workers = chance_from(c, 2, NET_WORKERS_MAX),
		.n_queues = chance_from(c, 1, 3),
		.n_sessions = chance_from(c, kind->sessions_max / 8 + 1, kind->sessions_max),
		.n_max = kind->sessions_max > 100 ? 40 : 1000,
		.generation = generations[chance_below(c, 5)],
		.stamp_percent = chance_of(c, 30) ? 0 : chance_from(c, 1, 100),
		.strict = !kind->hangs_long,
		.generic = chance_of(c, 25),
	};

	p.n_owners = p.n_workers;
	p.n_lanes = p.generic && p.n_queues < LANES_MAX ? p.n_queues + 1 : p.n_queues;
	p.wire_len = power_of_two(c, 2, 5);
	p.ring_len = kind->slow ? power_of_two(c, 2, 4) : power_of_two(c, 3, 6);
	p.umem.recv_max = kind->slow ? 1 : chance_from(c, 1, 24);
	p.umem.reserve_failures = chance_of(c, 50) ? 0 : chance_from(c, 1, 60);
	p.umem.redirects_known = !p.generic && chance_of(c, 60);
	p.app.bytes_max = chance_of(c, 40) ? 0 : chance_from(c, 1, STATE_BYTES_MAX);
	p.app.give_failures = kind->refuses ? chance_from(c, 1, 40) : 0;
	p.app.take_failures = kind->refuses ? chance_from(c, 1, 40) : 0;
	p.worker = worker_draw(r, &p);
	return p;
}

/* Some have turns often, others seldom. */
static void actors_draw(struct run *r)
{
	const struct world_params *p = &r->world.p;
	unsigned int i;

	r->actors[CLIENT].weight = chance_from(&r->chance, 1, 16);
	r->actors[MOVER].weight = 1;
	r->actors[LISTER].weight = chance_below(&r->chance, 2);
	r->actors[CONTROL].weight = chance_from(&r->chance, 1, 8);
	for (i = 0; i < p->n_lanes; i++)
		r->actors[LANE + i].weight = chance_from(&r->chance, 1, 16);
	for (i = 0; i < p->n_workers; i++)
		r->actors[WORKER + i].weight = chance_from(&r->chance, 1, 8);
	for (i = 0; i < ACTORS; i++)
		r->actors[i].turn_ns = now_ns;
}

static void run_open(struct run *r, uint64_t seed)
{
	struct world_params params;
	unsigned int i;

	*r = (struct run){ .seed = seed, .kind = &kinds[seed % N_KINDS], .chance = { .state = seed } };
	now_ns = 3600 * 1000 * NS_PER_MS;
	params = world_draw(r);
	world_open(&r->world, &params, &r->chance);
	for (i = 0; i < params.n_workers; i++)
		world_worker_add(&r->world, i);
	control_open(&r->control, &r->world, clock_now_ns);
	actors_draw(r);
	r->own_lane = chance_of(&r->chance, 50);
	r->fill_max = params.n_sessions > 100 || chance_of(&r->chance, 50) ? 30 : 1500;
	r->requests_max = chance_from(&r->chance, 1, 6);
	r->step_ns = chance_from(&r->chance, 1, 20000);
	r->jump_ns = r->kind->hangs_long ? 20 * NS_PER_MS : chance_from(&r->chance, 1, 4 * NS_PER_MS);
	r->hang_ns = r->kind->hangs_long ? params.worker.fence_ms * NS_PER_MS * chance_from(&r->chance, 1, 8) :
					   chance_from(&r->chance, 1, 200) * NS_PER_MS;
}

static void run_close(struct run *r)
{
	control_close(&r->control);
	world_close(&r->world);
}

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

/* One session, some of them, one back and forth, all of them to one worker, all of them anywhere. */
static void mover_turn(struct run *r)
{
	const struct world_params *p = &r->world.p;
	struct chance *c = &r->chance;
	const struct moves *m = &r->control.moves;
	unsigned int kind = chance_below(c, 100), one = chance_below(c, p->n_workers);
	uint32_t session = chance_below(c, p->n_sessions);
	size_t i, n = kind < 40 ? 1 : kind < 65 ? chance_below(c, 8) : kind < 85 ? chance_from(c, 2, 4) : p->n_sessions;
	uint32_t *sessions = calloc(n ?: 1, sizeof(*sessions));
	uint16_t *workers = calloc(n ?: 1, sizeof(*workers));

	for (i = 0; i < n; i++) {
		sessions[i] = n == p->n_sessions ? i : kind < 65 ? chance_below(c, p->n_sessions) : session;
		workers[i] = kind >= 93 ? one : chance_below(c, p->n_workers);
		if (chance_below(c, 500) == 0)
			workers[i] = p->n_workers; /* there is none */
	}
	if (m->n_requests - m->n_ended < r->requests_max)
		moves_ask(&r->control.moves, sessions, workers, n);
	free(sessions);
	free(workers);
}

static void lister_turn(struct run *r)
{
	if (!r->control.listing && chance_of(&r->chance, 20))
		control_list(&r->control);
}

static void actor_turn(struct run *r, unsigned int i)
{
	r->actors[i].turn_ns = now_ns;
	if (i >= WORKER)
		xsr_worker_poll(r->world.workers.at[i - WORKER], 0);
	else if (i >= LANE)
		lane_step(&r->world.net, &r->world.net.lanes[i - LANE]);
	else if (i == CONTROL)
		control_turn(&r->control, chance_of(&r->chance, 50));
	else if (i == LISTER)
		lister_turn(r);
	else if (i == MOVER)
		mover_turn(r);
	else
		client_turn(r);
}

static bool actor_is_ready(const struct run *r, unsigned int i)
{
	const struct actor *a = &r->actors[i];

	return a->weight && a->hung_until_ns <= now_ns && (r->busy || i >= CONTROL);
}

/* By lot; but who has waited for too long has its turn. */
static unsigned int actor_draw(struct run *r)
{
	unsigned int i, weights = 0, at;

	for (i = 0; i < ACTORS; i++) {
		if (!actor_is_ready(r, i))
			continue;
		if (i >= CONTROL && now_ns - r->actors[i].turn_ns > PATIENCE_NS)
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
		if (world_rests(&r->world) && control_rests(&r->control))
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

/* --- at the end --- */

/* Each session stands once in the tables, at its owner, and what had gone is forgotten. */
static void check_tables(struct run *r)
{
	struct world *w = &r->world;
	uint64_t n = 0;
	unsigned int i;

	now_ns += 5000 * NS_PER_MS;
	control_list(&r->control);
	if (!run_rest(r))
		return;
	for (i = 0; i < w->p.n_workers; i++) {
		n += session_count(w->workers.at[i]->sessions);
		balance_equal(w, "sessions that a worker remembers to have gone",
			      !TAILQ_EMPTY(&w->workers.at[i]->fences.gone), 0);
	}
	if (!w->ledger.strict)
		return;
	balance_equal(w, "sessions, and those in the tables", w->p.n_sessions, n);
	for (i = 0; i < w->p.n_sessions; i++) {
		balance_equal(w, "times that a session is listed", r->control.listed[i], 1);
		balance_equal(w, "who has it, and who should", r->control.listed_by[i], fake_route(w->maps, i).target);
	}
	balance_equal(w, "rosters that are incomplete", r->control.n_incomplete, 0);
}

static bool run_schedule(struct run *r)
{
	const struct balance balance = {
		.world = &r->world,
		.moves = &r->control.moves,
		.overflows = r->kind->overflow,
		.refuses = r->kind->refuses,
		.crowded = r->kind->crowded,
	};

	/* All are known where they are, so that a table that is full is so because of moves. */
	if (!run_round(r) || !run_busy(r) || !run_rest(r) || !run_round(r))
		return false;
	balance_check(&balance);
	check_tables(r);
	return !r->world.ledger.is_wrong;
}

/* --- tests --- */

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

static void schedule_run(uint64_t seed)
{
	static struct run run;

	run_open(&run, seed);
	under_way = &run;
	run_schedule(&run);
	under_way = NULL;
	run_close(&run);
	if (run.world.ledger.is_wrong)
		fail_msg("%s\n\"%s\", %u workers, %u lanes, %u sessions; again: XSR_SEED=%llu XSR_SCHEDULES=1",
			 run.world.ledger.wrong, run.kind->name, run.world.p.n_workers, run.world.p.n_lanes,
			 run.world.p.n_sessions, (unsigned long long)seed);
}

static void kind_run(unsigned int kind)
{
	uint64_t seed = number_of("XSR_SEED", SEED), end = seed + number_of("XSR_SCHEDULES", SCHEDULES);

	for (; seed < end; seed++)
		if (seed % N_KINDS == kind)
			schedule_run(seed);
}

static void moved_sessions_lose_nothing(void **state)
{
	(void)state;
	kind_run(0);
}

static void slow_workers_keep_the_order(void **state)
{
	(void)state;
	kind_run(1);
}

static void holds_that_overflow_lose_what_is_counted_and_no_more(void **state)
{
	(void)state;
	kind_run(2);
}

static void full_table_refuses_a_session_and_leaves_it_where_it_was(void **state)
{
	(void)state;
	kind_run(3);
}

static void state_that_the_handler_refuses_is_counted(void **state)
{
	(void)state;
	kind_run(4);
}

static void workers_that_hang_for_less_than_the_fence_lose_nothing(void **state)
{
	(void)state;
	kind_run(5);
}

static void workers_that_hang_for_longer_lose_states_that_are_counted(void **state)
{
	(void)state;
	kind_run(6);
}

static void many_sessions_move_at_once(void **state)
{
	(void)state;
	kind_run(7);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(moved_sessions_lose_nothing),
		cmocka_unit_test(slow_workers_keep_the_order),
		cmocka_unit_test(holds_that_overflow_lose_what_is_counted_and_no_more),
		cmocka_unit_test(full_table_refuses_a_session_and_leaves_it_where_it_was),
		cmocka_unit_test(state_that_the_handler_refuses_is_counted),
		cmocka_unit_test(workers_that_hang_for_less_than_the_fence_lose_nothing),
		cmocka_unit_test(workers_that_hang_for_longer_lose_states_that_are_counted),
		cmocka_unit_test(many_sessions_move_at_once),
	};

	signal(SIGABRT, on_abort);
	if (__sanitizer_set_death_callback)
		__sanitizer_set_death_callback(seed_print);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
