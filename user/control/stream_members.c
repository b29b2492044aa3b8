/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Connections go in rounds: it is counted how many each worker has, some are told to give away so many, and when as many answers are
 * there the next round begins, until nothing is left to be given. A worker that is to end then goes through the other stages.
 */
#include "stream_members.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "conductor.h"
#include "errand.h"
#include "handover.h"

#define NS_PER_MS 1000000ULL
#define ROUND_MAX 256	  /* connections; all their answers fit into a ring */
#define PATIENCE_MS 20000 /* without a connection that could go; or for all of them to be spread evenly */
#define ANSWER_MS 15000	  /* a worker that does not answer for so long hangs */
#define PROGRESS_MS 100
#define STEP_MS 50

enum members_stage {
	STAGE_BEGIN,
	STAGE_SPREAD, /* in rounds */
	STAGE_LEAVE,  /* the others send no more connections to the worker that is to end */
	STAGE_END,    /* its thread ends */
	STAGE_PART,   /* the others forget it */
};

struct members_run {
	TAILQ_ENTRY(members_run) link;
	struct change change;
	enum members_stage stage;
	unsigned int n_awaited; /* answers of this round */
	uint64_t begun_ns, round_ns, told_ns;
	uint64_t since_ns;	/* when a connection went last */
};

struct stream_members {
	struct maps *maps;
	struct gateways *gateways;
	struct post *post;
	uint64_t running, serving; /* workers, and those of them that take clients, a bit each */
	uint64_t token; /* of this round */
	bool stopped;
	TAILQ_HEAD(, members_run) runs; /* the first is under way */
};

/* --- how many connections there are --- */

struct load {
	uint64_t n[XSR_WORKERS_MAX];
};

static struct load load_of(const struct stream_members *m)
{
	struct load load = {};
	unsigned int w;
	uint32_t s;

	for (s = 1; s < XSR_SERVICES_MAX; s++)
		for (w = 0; w < gateways_count(m->gateways) && m->maps->states[s].mode == XSR_STREAM_EPOLL; w++)
			load.n[w] += __atomic_load_n(&m->maps->streams[xsr_stream_index(s, w)].n[XSR_STREAM_STAT_CONNECTIONS],
						     __ATOMIC_RELAXED);
	return load;
}

static unsigned int least_of(const struct load *load, uint64_t workers)
{
	unsigned int least = __builtin_ctzll(workers);

	for (; workers; workers &= workers - 1)
		if (load->n[__builtin_ctzll(workers)] < load->n[least])
			least = __builtin_ctzll(workers);
	return least;
}

static unsigned int most_of(const struct load *load, uint64_t workers)
{
	unsigned int most = __builtin_ctzll(workers);

	for (; workers; workers &= workers - 1)
		if (load->n[__builtin_ctzll(workers)] > load->n[most])
			most = __builtin_ctzll(workers);
	return most;
}

/* --- a round --- */

struct plan {
	uint16_t n[XSR_WORKERS_MAX][XSR_WORKERS_MAX]; /* connections: from, to */
	unsigned int n_all;
};

/* The next connection that is to go: from which worker. -1: none is. */
static int giver_of(const struct stream_members *m, const struct change *change, const struct load *load)
{
	unsigned int most = most_of(load, m->serving);

	if (change->kind != CHANGE_REBALANCE)
		return load->n[change->worker] ? change->worker : -1;
	return load->n[most] > load->n[least_of(load, m->serving)] + 1 ? (int)most : -1;
}

static void plan_make(const struct stream_members *m, const struct change *change, struct plan *plan)
{
	struct load load = load_of(m);
	int from;

	*plan = (struct plan){};
	while (plan->n_all < ROUND_MAX && (from = giver_of(m, change, &load)) >= 0) {
		unsigned int to = least_of(&load, m->serving);

		load.n[from]--;
		load.n[to]++;
		plan->n[from][to]++;
		plan->n_all++;
	}
}

/* Those whose ring is full give nothing in this round. */
static unsigned int spread_ask(struct stream_members *m, unsigned int from, unsigned int to, unsigned int n)
{
	const struct mail mail = {
		.type = GATEWAY_MAIL_SPREAD, .count = n, .worker = to, .token = STREAM_MEMBERS_TOKEN | m->token
	};

	return n && post_mail(m->post, from, &mail) ? n : 0;
}

static void round_begin(struct stream_members *m, struct members_run *run, const struct plan *plan)
{
	unsigned int from, to;

	m->token++;
	run->round_ns = control_clock_ns();
	for (from = 0; from < gateways_count(m->gateways); from++)
		for (to = 0; to < gateways_count(m->gateways); to++)
			run->n_awaited += spread_ask(m, from, to, plan->n[from][to]);
}

/* --- the run --- */

static bool is_late_since(uint64_t then_ns, uint64_t ms)
{
	return control_clock_ns() - then_ns > ms * NS_PER_MS;
}

/* Why a worker cannot go; or NULL. */
static const char *refusal_of(const struct stream_members *m, const struct change *change)
{
	if (change->kind == CHANGE_ADD || change->kind == CHANGE_REBALANCE)
		return NULL;
	if (!(m->running >> change->worker & 1))
		return "no such worker runs";
	if (m->serving == 1ULL << change->worker)
		return "it is the last worker that takes clients";
	if (change->kind == CHANGE_REMOVE && change->worker == 0)
		return "it speaks for all services, and stays; it can be drained";
	return NULL;
}

static bool is_fixed(uint32_t mode)
{
	return mode == XSR_STREAM_FRAMES || mode == XSR_STREAM_SPLICE || mode == XSR_STREAM_RELAY;
}

/* A service whose connections the kernel moves, or that have no sessions; or NULL. */
static const char *fixed_service(const struct stream_members *m)
{
	uint32_t s;

	for (s = 1; s < XSR_SERVICES_MAX; s++)
		if (m->maps->services[s].name[0] && is_fixed(m->maps->states[s].mode))
			return m->maps->services[s].name;
	return NULL;
}

static bool run_refuse(struct stream_members *m, struct change *change)
{
	const char *service = fixed_service(m), *why = refusal_of(m, change);

	if (why)
		snprintf(change->why, sizeof(change->why), "worker %d: %s", change->worker, why);
	else if (service)
		snprintf(change->why, sizeof(change->why),
			 "connections change their worker in mode epoll only, and service '%s' runs in another one", service);
	return why || service;
}

static void run_end(struct stream_members *m, struct members_run *run, bool failed)
{
	TAILQ_REMOVE(&m->runs, run, link);
	run->change.report.time_ns = run->begun_ns ? control_clock_ns() - run->begun_ns : 0;
	run->change.done(&run->change, failed, run->change.arg);
	free(run);
}

static void run_add(struct stream_members *m, struct members_run *run)
{
	char why[XSR_WHY_LEN];
	int number = gateways_add(m->gateways, run->change.cpu, why);

	run->change.worker = number;
	if (number < 0)
		snprintf(run->change.why, sizeof(run->change.why), "%s", why);
	else
		m->serving |= 1ULL << number;
	m->running |= m->serving;
	run_end(m, run, number < 0);
}

/* Answered by each of them; who has no room for it is asked at the next try. */
static bool others_ask(struct stream_members *m, struct members_run *run, uint8_t type)
{
	uint64_t others = m->running & ~(1ULL << run->change.worker);
	struct mail mail = { .type = type, .worker = run->change.worker, .token = STREAM_MEMBERS_TOKEN | ++m->token };

	run->round_ns = control_clock_ns();
	run->n_awaited = 0;
	for (; others; others &= others - 1)
		run->n_awaited += post_mail(m->post, __builtin_ctzll(others), &mail);
	return run->n_awaited == (unsigned int)__builtin_popcountll(m->running) - 1;
}

/* A mail that finds no room is sent by the next try. */
static void run_begin(struct stream_members *m, struct members_run *run)
{
	const struct mail shut = { .type = GATEWAY_MAIL_SHUT, .token = STREAM_MEMBERS_TOKEN | ++m->token };
	bool is_leave = run->change.kind != CHANGE_REBALANCE;

	if (run->change.kind == CHANGE_ADD) {
		run_add(m, run);
		return;
	}
	if (is_leave && !post_mail(m->post, run->change.worker, &shut))
		return;
	if (is_leave)
		m->serving &= ~(1ULL << run->change.worker);
	run->n_awaited = is_leave;
	run->begun_ns = run->since_ns = run->round_ns = control_clock_ns();
	run->stage = STAGE_SPREAD;
}

static void run_hang_up(struct stream_members *m, struct members_run *run)
{
	snprintf(run->change.why, sizeof(run->change.why), "a worker does not answer; not all that was to be done is");
	run_end(m, run, true);
}

static void run_give_up(struct stream_members *m, struct members_run *run)
{
	struct load load = load_of(m);

	snprintf(run->change.why, sizeof(run->change.why),
		 "%llu connections of worker %d could not be moved, and stay there; it takes no more. Is there room at the others, and do "
		 "backends answer?",
		 (unsigned long long)load.n[run->change.worker], run->change.worker);
	run_end(m, run, true);
}

/* All that can be spread is. */
static void spread_end(struct stream_members *m, struct members_run *run)
{
	if (run->change.kind != CHANGE_REMOVE)
		run_end(m, run, false);
	else if (others_ask(m, run, GATEWAY_MAIL_LEAVE))
		run->stage = STAGE_LEAVE;
}

/* Clients come and go while connections are spread: what is even enough by then has to do. */
static void round_next(struct stream_members *m, struct members_run *run)
{
	bool is_rebalance = run->change.kind == CHANGE_REBALANCE;
	bool is_late = is_late_since(is_rebalance ? run->begun_ns : run->since_ns, PATIENCE_MS);
	struct plan plan;

	plan_make(m, &run->change, &plan);
	if (!plan.n_all || (is_late && is_rebalance))
		spread_end(m, run);
	else if (is_late)
		run_give_up(m, run);
	else
		round_begin(m, run, &plan);
}

static void worker_end(struct stream_members *m, struct members_run *run)
{
	gateways_end(m->gateways, run->change.worker);
	run->round_ns = control_clock_ns();
	run->stage = STAGE_END;
}

/* The others may have sent something until its end: they take back what it did not take. */
static void worker_part(struct stream_members *m, struct members_run *run)
{
	if (gateways_ended(m->gateways, run->change.worker) && others_ask(m, run, MAIL_PART))
		run->stage = STAGE_PART;
}

static void worker_free(struct stream_members *m, struct members_run *run)
{
	gateways_free(m->gateways, run->change.worker);
	m->running &= ~(1ULL << run->change.worker);
	run_end(m, run, false);
}

static void stage_go(struct stream_members *m, struct members_run *run)
{
	switch (run->stage) {
	case STAGE_BEGIN:
		run_begin(m, run);
		break;
	case STAGE_SPREAD:
		round_next(m, run);
		break;
	case STAGE_LEAVE:
		worker_end(m, run);
		break;
	case STAGE_END:
		worker_part(m, run);
		break;
	case STAGE_PART:
		worker_free(m, run);
		break;
	}
}

static void progress_tell(struct members_run *run)
{
	uint64_t now_ns = control_clock_ns();

	if (!run->change.progress || now_ns - run->told_ns < PROGRESS_MS * NS_PER_MS)
		return;
	run->told_ns = now_ns;
	run->change.progress(&run->change.report, run->change.arg);
}

int stream_members_step(struct stream_members *m)
{
	struct members_run *run = TAILQ_FIRST(&m->runs);

	if (!run)
		return -1;
	progress_tell(run);
	if (run->stage == STAGE_BEGIN && run_refuse(m, &run->change))
		run_end(m, run, true);
	else if (run->stage != STAGE_BEGIN && is_late_since(run->round_ns, ANSWER_MS))
		run_hang_up(m, run);
	else if (!run->n_awaited)
		stage_go(m, run);
	return TAILQ_EMPTY(&m->runs) ? -1 : STEP_MS;
}

void stream_members_mail(struct stream_members *m, const struct mail *mail)
{
	struct members_run *run = TAILQ_FIRST(&m->runs);
	struct mail_handed room;

	if (!run || mail->token != (STREAM_MEMBERS_TOKEN | m->token) || !run->n_awaited)
		return;
	run->n_awaited--;
	if (mail->result != HANDOVER_DONE)
		return;
	memcpy(&room, mail->room, sizeof(room));
	run->change.report.n_moved += room.n_sessions;
	run->change.report.n_done += room.n_sessions;
	run->since_ns = control_clock_ns();
}

/* --- what others call --- */

int stream_members_open(struct stream_members **out, struct maps *maps, struct gateways *gateways)
{
	struct stream_members *m = calloc(1, sizeof(*m));

	if (!m)
		return -ENOMEM;
	m->maps = maps;
	m->gateways = gateways;
	m->post = gateways_post(gateways);
	m->running = m->serving = ~0ULL >> (64 - gateways_count(gateways));
	TAILQ_INIT(&m->runs);
	*out = m;
	return 0;
}

void stream_members_close(struct stream_members *m)
{
	struct members_run *run;

	if (!m)
		return;
	while ((run = TAILQ_FIRST(&m->runs))) {
		TAILQ_REMOVE(&m->runs, run, link);
		free(run);
	}
	free(m);
}

int stream_members_change(struct stream_members *m, const struct change *change)
{
	struct members_run *run;

	if (m->stopped)
		return -ESHUTDOWN;
	run = calloc(1, sizeof(*run));
	if (!run)
		return -ENOMEM;
	run->change = *change;
	TAILQ_INSERT_TAIL(&m->runs, run, link);
	return 0;
}

uint64_t stream_members_serving(const struct stream_members *m)
{
	return m->serving;
}

uint64_t stream_members_answering(const struct stream_members *m)
{
	const struct members_run *run = TAILQ_FIRST(&m->runs);

	return run && run->stage >= STAGE_END ? m->running & ~(1ULL << run->change.worker) : m->running;
}

void stream_members_stop(struct stream_members *m)
{
	m->stopped = true;
}

bool stream_members_idle(const struct stream_members *m)
{
	return TAILQ_EMPTY(&m->runs);
}
