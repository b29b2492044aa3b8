/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Samples of a router whose sessions move: each run is made once in a round, and its rows take their figures
 * from it. */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "clock.h"
#include "frame.h"
#include "live.h"
#include "noise.h"
#include "row.h"

#define LOAD_SECONDS 10 /* no run sends for so long */
#define DRAIN_SECONDS 2
#define LEN (XSR_FRAME_HEADER_LEN + sizeof(struct xsr_frame_perf))
#define GRACE_TRIES 3

static const struct live_run runs[LIVE_RUNS] = {
	[LIVE_XDP] = { live_run_hot, "xdp", LIVE_EARLY, .moves_rate = 100 },
	[LIVE_UDP] = { live_run_hot, "udp", LIVE_GRACE, .moves_rate = 20 },
	[LIVE_FIRST] = { live_run_hot, "xdp", LIVE_GRACE, .moves_rate = 100, .n_moves = 1, .unprimed = true },
	[LIVE_BULK] = { live_run_bulk, "xdp" },
	[LIVE_RATE] = { live_run_rate, "xdp", LIVE_EARLY, .moves_rate = 1000 },
	[LIVE_CPU] = { live_run_cpu, "xdp", LIVE_EARLY },
};

/* With transport udp a worker knows the generation of a session's route only once it has moved. */
int live_run_open(struct live *live, const struct bench *b, const struct live_run *run, uint32_t n_sessions,
		  char why[LAB_WHY_LEN])
{
	struct live_move move;
	int ret = live_open(live, b, run->transport, n_sessions, why);

	if (ret || run->unprimed)
		return ret;
	ret = live_move(live, n_sessions, &move, why);
	if (ret)
		live_close(live);
	return ret;
}

struct udp_load_config live_run_load(const struct bench *b, const struct live_run *run, uint32_t n_sessions)
{
	struct udp_load_config config = {
		.n_sessions = n_sessions,
		.first_id = BENCH_ID_FIRST,
		.n_sockets = 1,
		.n_sources = 1,
		.seconds = LOAD_SECONDS,
		.len = LEN,
		.drain_s = DRAIN_SECONDS,
		.instance = LIVE_INSTANCE,
		.service = LIVE_SERVICE,
		.moves_rate = run->moves_rate,
		.n_moves = run->n_moves,
		.n_workers = LIVE_WORKERS,
	};

	*(struct sockaddr_in *)&config.address = live_address(b);
	return config;
}

/* The shortest of some, as nothing can end a grace period early. */
static uint64_t grace_measure(void)
{
	uint64_t min_ns = UINT64_MAX, start_ns, ns;
	int i;

	for (i = 0; i < GRACE_TRIES; i++) {
		start_ns = clock_now_ns();
		maps_wait_readers();
		ns = clock_now_ns() - start_ns;
		min_ns = ns < min_ns ? ns : min_ns;
	}
	return min_ns;
}

/* A move that took the router less than half of the shortest grace period cannot have waited for one. */
int live_run_way(struct bench *b, const struct live_run *run, const struct live *live, uint64_t move_ns,
		 char mode[RESULT_MODE_LEN], char why[LAB_WHY_LEN])
{
	static const char *const names[] = { [LIVE_EARLY] = "early", [LIVE_GRACE] = "grace" };
	enum live_way way;

	if (!b->grace_ns)
		b->grace_ns = grace_measure();
	way = move_ns < b->grace_ns / 2 ? LIVE_EARLY : LIVE_GRACE;
	snprintf(mode, RESULT_MODE_LEN, "%.40s, %s", live->child.report->mode, names[way]);
	if (way == run->way)
		return 0;
	snprintf(why, LAB_WHY_LEN, "handoffs went another way than the row is about: %s (%.1f ms)", mode,
		 move_ns / (double)NS_PER_MS);
	return -EPROTO;
}

/* Of messages that are lost, it is good to know where. */
static void losses_add(char why[LAB_WHY_LEN])
{
	char text[LAB_WHY_LEN / 2];
	size_t len = strlen(why);

	live_losses(text, sizeof(text));
	snprintf(why + len, LAB_WHY_LEN - len, "; the router counted %s", text[0] ? text : "nothing of that");
}

static void memo_fill(struct bench *b, const struct live_run *run, struct live_memo *memo)
{
	struct noise before, after;
	unsigned int i;

	*memo = (struct live_memo){ .round = b->round };
	noise_read(&before);
	memo->ret = run->run(b, run, memo->figures, memo->why);
	if (memo->ret == -EBADMSG)
		losses_add(memo->why);
	noise_read(&after);
	for (i = 0; i < LIVE_FIGURES; i++)
		memo->figures[i].foreign_percent = noise_percent(&before, &after);
}

int sample_live(struct bench *b, const struct row *row, struct sample *sample, char why[LAB_WHY_LEN])
{
	struct live_memo *memo = &b->live_runs[row->run];

	if (memo->round != b->round)
		memo_fill(b, &runs[row->run], memo);
	*sample = memo->figures[row->figure];
	snprintf(why, LAB_WHY_LEN, "%s", memo->why);
	return memo->ret;
}
