/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#include "steer_bench.h"

#include <errno.h>
#include <fnmatch.h>
#include <stdio.h>
#include <string.h>

#include "clock.h"
#include "noise.h"
#include "row.h"

#define MS NS_PER_MS

static const struct bench_profile profile_full = {
	.name = "full", .rounds = 3, .warmup_ns = 200 * MS, .window_ns = 1000 * MS, .ping_ns = 1000 * MS, .idle_ns = 5000 * MS,
};

/* Says whether everything works, and roughly how fast. */
static const struct bench_profile profile_quick = {
	.name = "quick", .rounds = 1, .warmup_ns = 50 * MS, .window_ns = 150 * MS, .ping_ns = 100 * MS, .idle_ns = 1000 * MS,
};

#define LEAST .lower_is_better = true
#define ONCE .once = true
#define LOOKUP(kind) .unit = "ns", LEAST, .sample = sample_lookup, .lookup = kind
#define RATE .unit = "M/s", .sample = sample_rate
#define RTT .unit = "us", LEAST, .sample = sample_rtt, .payload_len = 64, .service = BENCH_OWN
#define XSR(wait_for, ...) .server = { .kind = SERVER_XSR, .wait = wait_for, __VA_ARGS__ }
#define UDP(wait_for, ...) .program = ROW_PASS, .server = { .kind = SERVER_UDP, .wait = wait_for, __VA_ARGS__ }
#define HOT .n_ids = BENCH_SESSIONS
#define SMALL .payload_len = 64
#define LARGE .payload_len = 1024
#define TABLE(service_index) .service = service_index, .n_ids = BENCH_ROUTES

static const struct row rows[] = {
	/* The tables, filled. */
	{ "import-hash", "M/s", TABLE(BENCH_HASH), .sample = sample_import },
	{ "import-dense", "M/s", TABLE(BENCH_DENSE), .sample = sample_import },
	{ "memory-hash", "MB", LEAST, ONCE, TABLE(BENCH_HASH), .sample = sample_memory },
	{ "lookup-dense", LOOKUP(TRAFFIC_DENSE), TABLE(BENCH_DENSE) },
	{ "lookup-dense-chained", LOOKUP(TRAFFIC_DENSE_CHAINED), TABLE(BENCH_DENSE) },
	{ "lookup-hash", LOOKUP(TRAFFIC_HASH), TABLE(BENCH_HASH) },
	{ "lookup-hash-chained", LOOKUP(TRAFFIC_HASH_CHAINED), TABLE(BENCH_HASH) },

	/* In the kernel's program, and no further. */
	{ "xdp-drop", RATE, SMALL, .program = ROW_DROP, HOT },
	{ "steer-drop-dense", RATE, SMALL, .service = BENCH_DENSE, HOT },
	{ "steer-drop-hash", RATE, SMALL, .service = BENCH_HASH, HOT },
	{ "steer-drop-dense-1M", RATE, SMALL, TABLE(BENCH_DENSE) },
	{ "steer-drop-hash-1M", RATE, SMALL, TABLE(BENCH_HASH) },
	{ "xdp-drop-large", RATE, LARGE, .program = ROW_DROP, HOT },
	{ "steer-drop-dense-large", RATE, LARGE, .service = BENCH_DENSE, HOT },

	/* To a worker, and to a kernel socket. */
	{ "xsk-receive", RATE, SMALL, .service = BENCH_OWN, HOT, XSR(SERVER_SPIN) },
	{ "xsk-receive-other-queue", RATE, SMALL, .service = BENCH_OTHER, HOT, XSR(SERVER_SPIN) },
	{ "udp-receive", RATE, SMALL, .service = BENCH_OWN, HOT, UDP(SERVER_SLEEP) },
	{ "udp-handoff", RATE, SMALL, .service = BENCH_OWN, HOT, UDP(SERVER_SLEEP, .handoff = true) },
	{ "xsk-receive-large", RATE, LARGE, .service = BENCH_OWN, HOT, XSR(SERVER_SPIN) },
	{ "udp-receive-large", RATE, LARGE, .service = BENCH_OWN, HOT, UDP(SERVER_SLEEP) },
	{ "udp-handoff-large", RATE, LARGE, .service = BENCH_OWN, HOT, UDP(SERVER_SLEEP, .handoff = true) },

	/* And back. */
	{ "xsk-echo", RATE, SMALL, .service = BENCH_OWN, HOT, XSR(SERVER_SPIN, .echo = true) },
	{ "udp-echo", RATE, SMALL, .service = BENCH_OWN, HOT, UDP(SERVER_SLEEP, .echo = true) },
	{ "xsk-echo-large", RATE, LARGE, .service = BENCH_OWN, HOT, XSR(SERVER_SPIN, .echo = true) },
	{ "udp-echo-large", RATE, LARGE, .service = BENCH_OWN, HOT, UDP(SERVER_SLEEP, .echo = true) },

	/* One at a time. */
	{ "rtt-xsk-spin", RTT, XSR(SERVER_SPIN, .echo = true) },
	{ "rtt-xsk-sleep", RTT, XSR(SERVER_SLEEP, .echo = true) },
	{ "rtt-udp-spin", RTT, UDP(SERVER_SPIN, .echo = true) },
	{ "rtt-udp-epoll", RTT, UDP(SERVER_SLEEP, .echo = true) },
	{ "rtt-udp-epoll-handoff", RTT, UDP(SERVER_SLEEP, .echo = true, .handoff = true) },
	{ "idle-router", "%", LEAST, ONCE, .sample = sample_idle, .service = BENCH_OWN,
	  XSR(SERVER_SLEEP, .echo = true, .threads = true) },
};

static const struct target targets[] = {
	{ "steer+drop, dense / XDP_DROP", "steer-drop-dense", "xdp-drop", false, 0.8, 0.95 },
	{ "steer+drop, hash / XDP_DROP", "steer-drop-hash", "xdp-drop", false, 0.8, 0.95 },
	{ "dense lookup among 1 M routes, ns", "lookup-dense", NULL, true, 30, 30 },
	{ "AF_XDP receive / UDP receive", "xsk-receive", "udp-receive", false, 3, 4.5 },
	{ "AF_XDP receive, other queue / own queue", "xsk-receive-other-queue", "xsk-receive", false, 0.9, 0.97 },
	{ "AF_XDP receive / UDP with handoff", "xsk-receive", "udp-handoff", false, 6, 9 },
	{ "AF_XDP echo / UDP echo", "xsk-echo", "udp-echo", false, 1.5, 2.2 },
	{ "RTT p50, AF_XDP spinning / UDP epoll + handoff", "rtt-xsk-spin", "rtt-udp-epoll-handoff", true, 1 / 4., 1 / 7. },
	{ "import of hashed routes, M/s", "import-hash", NULL, false, 1, 1 },
	{ "import of dense routes, M/s", "import-dense", NULL, false, 20, 20 },
	{ "memory of 1 M hashed routes, MB", "memory-hash", NULL, true, 100, 100 },
	{ "idle router, % of a core", "idle-router", NULL, true, 1, 1 },
	{},
};

#define ROWS (sizeof(rows) / sizeof(rows[0]))
_Static_assert(ROWS <= RESULT_ROWS_MAX, "every row has a place");

const char *steer_bench_row(size_t i)
{
	return i < ROWS ? rows[i].name : NULL;
}

static bool row_wanted(const struct row *row, const char *only)
{
	return !only || fnmatch(only, row->name, 0) == 0;
}

/* The rows that are wanted, each with an empty result. */
static void rows_choose(const struct row *chosen[ROWS], const char *only, struct results *results)
{
	size_t i;

	memset(results, 0, sizeof(*results));
	results->targets = targets;
	for (i = 0; i < ROWS; i++) {
		if (!row_wanted(&rows[i], only))
			continue;
		chosen[results->n_rows] = &rows[i];
		results->rows[results->n_rows++] = (struct result){
			.name = rows[i].name,
			.unit = rows[i].unit,
			.lower_is_better = rows[i].lower_is_better,
			.payload_len = rows[i].payload_len,
		};
	}
}

/* A row that failed once is not tried again. */
static int sample_take(struct bench *b, const struct row *row, struct result *result)
{
	struct sample *sample = &result->samples[result->n_samples];
	char why[LAB_WHY_LEN] = "";
	struct noise before, after;
	int ret;

	memset(sample, 0, sizeof(*sample));
	noise_read(&before);
	ret = row->sample(b, row, sample, why);
	noise_read(&after);
	sample->foreign_percent = noise_percent(&before, &after);
	if (!ret)
		result->n_samples++;
	else if (ret != -EINTR)
		snprintf(result->why, sizeof(result->why), "%s", why[0] ? why : strerror(-ret));
	return ret == -EINTR ? ret : 0;
}

static bool sample_due(const struct row *row, const struct result *result)
{
	return !result->why[0] && !(row->once && result->n_samples);
}

/* Round by round: what disturbs the machine for a while disturbs one sample of many rows, not all of one. */
static int rounds_run(struct bench *b, const struct row *const *chosen, const struct steer_bench_options *options,
		      struct results *results)
{
	unsigned int round, i, n = 0, ret = 0, n_all = results->n_rows * b->profile.rounds;

	for (round = 0; round < b->profile.rounds; round++)
		for (i = 0; i < results->n_rows && !ret; i++) {
			options->progress(n++, n_all, chosen[i]->name);
			if (sample_due(chosen[i], &results->rows[i]))
				ret = sample_take(b, chosen[i], &results->rows[i]);
		}
	return ret;
}

int steer_bench_run(const struct steer_bench_options *options, struct results *results, char why[LAB_WHY_LEN])
{
	const struct row *chosen[ROWS];
	struct bench b;
	int ret;

	rows_choose(chosen, options->only, results);
	ret = bench_open(&b, options->quick ? &profile_quick : &profile_full, why);
	if (ret)
		return ret;
	ret = rounds_run(&b, chosen, options, results);
	if (ret == -EINTR)
		snprintf(why, LAB_WHY_LEN, "interrupted");
	bench_close(&b);
	return ret;
}
