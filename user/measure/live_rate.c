/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * What moves cost those who are served: as many messages as go through, in a closed loop, without moves and
 * then, with the same router, while sessions move all the time.
 */
#include <errno.h>
#include <stdio.h>

#include "clock.h"
#include "live.h"
#include "load_child.h"

#define SESSIONS 1000
#define WINDOW 512
#define MOVES_SHARE 0.9 /* of those that were wanted have to be made */

static int window_measure(struct bench *b, const struct load_child *load, double *per_us)
{
	uint64_t start_ns, n;
	int ret = bench_sleep(b, b->profile.warmup_ns);

	if (ret)
		return ret;
	n = load_child_answered(load);
	start_ns = clock_now_ns();
	ret = bench_sleep(b, b->profile.window_ns);
	n = load_child_answered(load) - n;
	*per_us = n * 1000.0 / (clock_now_ns() - start_ns);
	return ret;
}

static int rate_measure(struct bench *b, const struct udp_load_config *config, struct udp_load_result *result,
			double *per_us, char why[LAB_WHY_LEN])
{
	struct load_child load;
	int ret = load_child_start(&load, b, config, why);

	if (ret)
		return ret;
	ret = window_measure(b, &load, per_us);
	if (!ret)
		return load_child_end(&load, b, result, why);
	load_child_stop(&load);
	return ret;
}

static int moves_check(const struct live_run *run, const struct udp_load_result *r, char why[LAB_WHY_LEN])
{
	double wanted = run->moves_rate * r->seconds;

	if (r->moves_done >= MOVES_SHARE * wanted)
		return 0;
	snprintf(why, LAB_WHY_LEN, "only %llu of %.0f moves were made", (unsigned long long)r->moves_done,
		 wanted);
	return -EPROTO;
}

static int both_measure(struct bench *b, const struct live_run *run, const struct live *live,
			struct sample figures[LIVE_FIGURES], char why[LAB_WHY_LEN])
{
	struct udp_load_config config = live_run_load(b, run, SESSIONS);
	struct udp_load_result result;
	int ret;

	config.window = WINDOW;
	config.moves_rate = 0;
	ret = rate_measure(b, &config, &result, &figures[RATE_STILL].value, why);
	config.moves_rate = run->moves_rate;
	if (!ret)
		ret = rate_measure(b, &config, &result, &figures[RATE_MOVING].value, why);
	if (!ret)
		ret = moves_check(run, &result, why);
	if (!ret)
		ret = live_run_way(b, run, live, result.moves_ns_p50, figures[RATE_MOVING].mode, why);
	return ret;
}

int live_run_rate(struct bench *b, const struct live_run *run, struct sample figures[LIVE_FIGURES],
		  char why[LAB_WHY_LEN])
{
	struct live live;
	int ret = live_run_open(&live, b, run, SESSIONS, why);

	if (ret)
		return ret;
	snprintf(figures[RATE_STILL].mode, RESULT_MODE_LEN, "%s", live.child.report->mode);
	ret = both_measure(b, run, &live, figures, why);
	live_close(&live);
	return ret;
}
