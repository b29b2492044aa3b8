/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Ten thousand sessions in one command, with traffic on all of them, and what others notice that do not move.
 * Two loads, so that nobody has to wait for a client that has answers of moves to read.
 */
#include <errno.h>
#include <stdio.h>

#include "clock.h"
#include "live.h"
#include "load_child.h"

#define MOVED 10000
#define OTHERS 1000
#define MOVED_RATE 40000 /* messages a second */
#define OTHERS_RATE 10000
#define SLICE_NS (100 * NS_PER_MS)
#define SLICES_MAX 20
#define CLEAN 0.02                  /* answers may be so many more or less than were due */
#define SETTLE_NS (100 * NS_PER_MS) /* traffic goes on for so long after the command */

struct loads {
	struct load_child moved, others;
};

static int loads_start(struct bench *b, const struct live_run *run, struct loads *loads,
		       char why[LAB_WHY_LEN])
{
	struct udp_load_config config = live_run_load(b, run, MOVED);
	int ret;

	*loads = (struct loads){};
	config.rate = MOVED_RATE;
	ret = load_child_start(&loads->moved, b, &config, why);
	if (ret)
		return ret;
	config.n_sessions = OTHERS;
	config.first_id = BENCH_ID_FIRST + MOVED;
	config.rate = OTHERS_RATE;
	return load_child_start(&loads->others, b, &config, why);
}

static void loads_stop(struct loads *loads)
{
	load_child_stop(&loads->moved);
	load_child_stop(&loads->others);
}

static int loads_end(struct bench *b, struct loads *loads, char why[LAB_WHY_LEN])
{
	struct udp_load_result result;
	int ret = load_child_end(&loads->others, b, &result, why);

	return ret ? ret : load_child_end(&loads->moved, b, &result, why);
}

/* Messages a ns since *n and *since_ns, which become those of now. */
static double rate_since(const struct load_child *load, uint64_t *n, uint64_t *since_ns)
{
	uint64_t n_now = load_child_answered(load), now_ns = clock_now_ns();
	double rate = (n_now - *n) / (double)(now_ns - *since_ns);

	*n = n_now;
	*since_ns = now_ns;
	return rate;
}

/*
 * Answers a ns, over a slice of time in which all were answered as they were due: right before the command
 * nobody waits, and nothing is made up for.
 */
static int clean_measure(struct bench *b, const struct load_child *load, double *rate, char why[LAB_WHY_LEN])
{
	const double due = OTHERS_RATE / (double)NS_PER_S;
	uint64_t n = 0, since_ns = 0;
	int i, ret = 0;

	rate_since(load, &n, &since_ns);
	for (i = 0; i < SLICES_MAX && !ret; i++) {
		ret = bench_sleep(b, SLICE_NS);
		*rate = rate_since(load, &n, &since_ns);
		if (!ret && *rate > (1 - CLEAN) * due && *rate < (1 + CLEAN) * due)
			return 0;
	}
	if (ret)
		return ret;
	snprintf(why, LAB_WHY_LEN,
		 "the machine is too busy: the others are not answered as they should be without moves, "
		 "either");
	return -EBUSY;
}

static int move_measure(struct bench *b, struct live *live, const struct loads *loads,
			struct sample figures[LIVE_FIGURES], char why[LAB_WHY_LEN])
{
	uint64_t n = 0, since_ns = 0;
	struct live_move move;
	double before;
	int ret = bench_sleep(b, b->profile.warmup_ns);

	if (!ret)
		ret = clean_measure(b, &loads->others, &before, why);
	rate_since(&loads->others, &n, &since_ns);
	if (!ret)
		ret = live_move(live, MOVED, &move, why);
	if (ret)
		return ret;
	figures[BULK_OTHERS].value = rate_since(&loads->others, &n, &since_ns) / before;
	figures[BULK_TIME].value = move.command_ms;
	figures[BULK_ROUTER].value = move.router_ms;
	return bench_sleep(b, SETTLE_NS);
}

static int bulk_measure(struct bench *b, const struct live_run *run, struct live *live,
			struct sample figures[LIVE_FIGURES], char why[LAB_WHY_LEN])
{
	struct loads loads;
	int ret = loads_start(b, run, &loads, why);

	if (!ret)
		ret = move_measure(b, live, &loads, figures, why);
	if (!ret)
		ret = loads_end(b, &loads, why);
	loads_stop(&loads);
	return ret;
}

int live_run_bulk(struct bench *b, const struct live_run *run, struct sample figures[LIVE_FIGURES],
		  char why[LAB_WHY_LEN])
{
	struct live live;
	int i, ret = live_run_open(&live, b, run, MOVED + OTHERS, why);

	if (ret)
		return ret;
	for (i = 0; i < LIVE_FIGURES; i++)
		snprintf(figures[i].mode, RESULT_MODE_LEN, "%s", live.child.report->mode);
	ret = bulk_measure(b, run, &live, figures, why);
	live_close(&live);
	return ret;
}
