/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The processor time of a handoff: all that the router takes while sessions with state and without messages
 * move, one by one and many at once. With messages it could not be told apart: who is awake for one takes
 * less for the other.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "clock.h"
#include "histogram.h"
#include "live.h"
#include "load_child.h"

#define SESSIONS 10000
#define WINDOW 256
#define MESSAGES 2 /* of each session, before */
#define STEP_NS                                                                                              \
	(20 * NS_PER_MS) /* one by one: twice as many as fit into the window, if each takes so long          \
			  */

/* Every session becomes known to its worker. */
static int states_make(struct bench *b, const struct live_run *run, char why[LAB_WHY_LEN])
{
	struct udp_load_config config = live_run_load(b, run, SESSIONS);
	struct udp_load_result result;
	struct load_child load;
	int ret;

	config.window = WINDOW;
	config.n_messages = MESSAGES * SESSIONS;
	ret = load_child_start(&load, b, &config, why);
	return ret ? ret : load_child_wait(&load, b, &result, why);
}

static int cpu_read(const struct live *live, uint64_t *ns, char why[LAB_WHY_LEN])
{
	int ret = child_cpu_ns(&live->child, ns);

	if (ret)
		snprintf(why, LAB_WHY_LEN, "cannot read the router's processor time: %s", strerror(-ret));
	return ret;
}

struct moves {
	uint32_t n; /* sessions, each time */
	unsigned int n_times;
	double cpu_us; /* of one session's handoff */
	struct histogram router_ns;
};

static int moves_make(struct bench *b, struct live *live, struct moves *m, char why[LAB_WHY_LEN])
{
	struct live_move move;
	unsigned int i;
	int ret = 0;

	for (i = 0; i < m->n_times && !ret; i++) {
		ret = live_move(live, m->n, &move, why);
		if (ret)
			break;
		histogram_add(&m->router_ns, move.router_ms * NS_PER_MS);
		ret = bench_sleep(b, 0);
	}
	return ret;
}

static int moves_measure(struct bench *b, struct live *live, struct moves *m, char why[LAB_WHY_LEN])
{
	uint64_t before_ns, after_ns;
	int ret = cpu_read(live, &before_ns, why);

	if (!ret)
		ret = moves_make(b, live, m, why);
	if (!ret)
		ret = cpu_read(live, &after_ns, why);
	if (!ret)
		m->cpu_us = (after_ns - before_ns) / 1e3 / m->n_times / m->n;
	return ret;
}

/* First one session there and back, again and again: so all are where they were when all move. */
static int both_measure(struct bench *b, const struct live_run *run, struct live *live,
			struct sample figures[LIVE_FIGURES], char why[LAB_WHY_LEN])
{
	struct moves one = { .n = 1, .n_times = 2 * (b->profile.window_ns / STEP_NS) };
	struct moves many = { .n = SESSIONS, .n_times = 1 };
	int ret = moves_measure(b, live, &one, why);

	if (!ret)
		ret = live_run_way(b, run, live, histogram_percentile(&one.router_ns, 500),
				   figures[CPU_ONE].mode, why);
	if (!ret)
		ret = moves_measure(b, live, &many, why);
	figures[CPU_ONE].value = one.cpu_us;
	figures[CPU_MANY].value = many.cpu_us;
	snprintf(figures[CPU_MANY].mode, RESULT_MODE_LEN, "%s", live->child.report->mode);
	return ret;
}

int live_run_cpu(struct bench *b, const struct live_run *run, struct sample figures[LIVE_FIGURES],
		 char why[LAB_WHY_LEN])
{
	struct live live;
	int ret = live_run_open(&live, b, run, SESSIONS, why);

	if (ret)
		return ret;
	ret = states_make(b, run, why);
	if (!ret)
		ret = both_measure(b, run, &live, figures, why);
	live_close(&live);
	return ret;
}
