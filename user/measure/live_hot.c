/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * How long a handoff takes, from the command to the first message that the new owner serves, and how long a
 * session is without an answer. Few sessions whose next message comes within 20 us or so: else that would be
 * measured.
 */
#include <errno.h>
#include <stdio.h>

#include "clock.h"
#include "live.h"
#include "load_child.h"

#define SESSIONS 4
#define WINDOW 16
#define FIRST_NS (200 * NS_PER_MS) /* for one move */

static int load_run(struct bench *b, const struct live_run *run, struct udp_load_result *result,
		    char why[LAB_WHY_LEN])
{
	struct udp_load_config config = live_run_load(b, run, SESSIONS);
	struct load_child load;
	int ret;

	config.window = WINDOW;
	ret = load_child_start(&load, b, &config, why);
	if (!ret)
		ret = bench_sleep(b, run->n_moves ? FIRST_NS : b->profile.moves_ns);
	if (!ret)
		ret = load_child_end(&load, b, result, why);
	else
		load_child_stop(&load);
	return ret;
}

static void figures_fill(const struct udp_load_result *r, struct sample figures[LIVE_FIGURES])
{
	figures[HOT_TIME].value = r->handoff_ns_p50 / 1e3;
	if (r->handoffs > 1) {
		figures[HOT_TIME].p99 = r->handoff_ns_p99 / 1e3;
		figures[HOT_TIME].p999 = r->handoff_ns_p999 / 1e3;
	}
	figures[HOT_GAP].value = r->gap_ns_max / 1e6;
	figures[HOT_STALL].value = r->stall_ns_max / 1e6;
}

int live_run_hot(struct bench *b, const struct live_run *run, struct sample figures[LIVE_FIGURES],
		 char why[LAB_WHY_LEN])
{
	struct udp_load_result result;
	char mode[RESULT_MODE_LEN];
	struct live live;
	int i, ret = live_run_open(&live, b, run, SESSIONS, why);

	if (ret)
		return ret;
	ret = load_run(b, run, &result, why);
	if (!ret && !result.handoffs) {
		snprintf(why, LAB_WHY_LEN, "no session moved: %s", result.moves_why);
		ret = -EPROTO;
	}
	if (!ret)
		ret = live_run_way(b, run, &live, result.moves_ns_p50, mode, why);
	live_close(&live);
	if (ret)
		return ret;
	figures_fill(&result, figures);
	for (i = 0; i < LIVE_FIGURES; i++)
		snprintf(figures[i].mode, sizeof(figures[i].mode), "%s", mode);
	return 0;
}
