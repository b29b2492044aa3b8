/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* The run of one schedule: what there is in it, and how much of each, which is drawn by lot. See schedule.h. */
#ifndef XSR_TEST_RUN_H
#define XSR_TEST_RUN_H

#include <fcntl.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#include "chance.h"
#include "fake_control.h"
#include "world.h"

#define NS_PER_MS 1000000ULL
#define LAST_MESSAGES 2 /* of each session and lane, before and behind all moves */

struct run;

/* What a schedule is about; the rest of it is drawn. */
struct kind {
	const char *name;
	uint32_t sessions_max;
	unsigned int steps;
	bool slow;	   /* small batches */
	bool overflow;	   /* holds are small */
	bool crowded;	   /* tables have hardly more room than there are sessions */
	bool refuses;	   /* the handler fails at times */
	bool hashed;	   /* some sessions have no route */
	unsigned int hang; /* of 10000 steps so many begin one */
	bool hangs_long;   /* longer than a fence is waited for */
	void (*begin)(struct run *r); /* may be NULL */
	void (*move)(struct run *r);  /* asks control for something */
	void (*check)(struct run *r); /* all is at rest */
	void (*end)(struct run *r);   /* may be NULL */
};

/* Who has turns: the client, then who asks control for something, another command, control, the lanes, the workers. */
enum { CLIENT, MOVER, LISTER, LOCKER, CONTROL, LANE, WORKER = LANE + LANES_MAX, ACTORS = WORKER + NET_WORKERS_MAX };

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
	int lock_fd;		   /* of another command */
	uint64_t locked_until_ns;  /* 0 = it has not locked the routes */
};

static uint64_t now_ns;	      /* clocks take no argument */
static struct run *under_way; /* for who dies in between, and for what takes no argument */

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
		.hashed = kind->hashed ? chance_from(c, 20, 100) : 0,
	};

	p.n_owners = kind->hashed ? chance_from(c, 1, p.n_workers) : p.n_workers;
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
	r->actors[LOCKER].weight = chance_below(&r->chance, 2);
	r->actors[CONTROL].weight = chance_from(&r->chance, 1, 8);
	for (i = 0; i < p->n_lanes; i++)
		r->actors[LANE + i].weight = chance_from(&r->chance, 1, 16);
	for (i = 0; i < p->n_workers; i++)
		r->actors[WORKER + i].weight = chance_from(&r->chance, 1, 8);
	for (i = 0; i < ACTORS; i++)
		r->actors[i].turn_ns = now_ns;
}

static void times_draw(struct run *r)
{
	const uint64_t fence_ns = r->world.p.worker.fence_ms * NS_PER_MS;
	struct chance *c = &r->chance;

	r->step_ns = chance_from(c, 1, 20000);
	r->jump_ns = r->kind->hangs_long ? 20 * NS_PER_MS : chance_from(c, 1, 4 * NS_PER_MS);
	r->hang_ns = r->kind->hangs_long ? fence_ns * chance_from(c, 1, 8) : chance_from(c, 1, 200) * NS_PER_MS;
}

/* As another process has it. */
static int lock_open(const struct maps *maps)
{
	char path[64];

	snprintf(path, sizeof(path), "/proc/self/fd/%d", maps->lock_fd);
	return open(path, O_RDONLY | O_CLOEXEC);
}

static void run_open(struct run *r, const struct kind *kind, uint64_t seed)
{
	struct world_params params;
	unsigned int i;

	*r = (struct run){ .seed = seed, .kind = kind, .chance = { .state = seed } };
	now_ns = 3600 * 1000 * NS_PER_MS;
	params = world_draw(r);
	world_open(&r->world, &params, &r->chance);
	for (i = 0; i < params.n_owners; i++)
		world_worker_add(&r->world, i);
	fake_control_open(&r->control, &r->world, clock_now_ns);
	r->lock_fd = lock_open(r->world.maps);
	actors_draw(r);
	times_draw(r);
	r->own_lane = chance_of(&r->chance, 50);
	r->fill_max = r->world.p.n_sessions > 100 || chance_of(&r->chance, 50) ? 30 : 1500;
	r->requests_max = chance_from(&r->chance, 1, 6);
	if (kind->begin)
		kind->begin(r);
}

static void run_close(struct run *r)
{
	if (r->kind->end)
		r->kind->end(r);
	close(r->lock_fd);
	fake_control_close(&r->control);
	world_close(&r->world);
}

#endif /* XSR_TEST_RUN_H */
