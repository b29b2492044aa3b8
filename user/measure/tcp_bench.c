/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#include "tcp_bench.h"

#include "clock.h"
#include "row.h"
#include "tcp_path.h"

#define MS NS_PER_MS

static const struct bench_profile profile_full = { .name = "full", .rounds = 5, .warmup_ns = 200 * MS, .window_ns = 1000 * MS };
static const struct bench_profile profile_quick = { .name = "quick", .rounds = 1, .warmup_ns = 50 * MS, .window_ns = 200 * MS };

/* The loads: frames of that length, so many connections and sessions, so many unanswered on each session. */
#define LOAD(len, conns, sessions, flight)                                                                   \
	.lower_is_better = true, .payload_len = len, .tcp.n_connections = conns, .tcp.n_sessions = sessions, \
	.tcp.window = flight
#define SMALL .unit = "us", .sample = sample_tcp_cpu, LOAD(64, 100, 100, 30)
#define MANY .unit = "us", .sample = sample_tcp_cpu, LOAD(64, 100, 1000, 3)
#define KILO .unit = "us", .sample = sample_tcp_cpu, LOAD(1024, 100, 100, 30)
#define BULK .unit = "s/GB", .sample = sample_tcp_cpu, LOAD(TCP_BULK_LEN, 4, 4, 2)
#define RTT .unit = "us", .sample = sample_tcp_rtt, LOAD(64, 1, 1, 1)

#define WAYS(load, what)                                                                                     \
	{ "direct-" load, what, .tcp.way = TCP_DIRECT }, { "epoll-" load, what, .tcp.way = TCP_EPOLL },      \
	{ "frames-" load, what, .tcp.way = TCP_FRAMES }, { "relay-" load, what, .tcp.way = TCP_RELAY },      \
	{ "splice-" load, what, .tcp.way = TCP_SPLICE }, { "local-" load, what, .tcp.way = TCP_LOCAL },      \
	{ "haproxy-" load, what, .tcp.way = TCP_HAPROXY }, { "nginx-" load, what, .tcp.way = TCP_NGINX }

static const struct row rows[] = {
	WAYS("64", SMALL),
	{ "epoll-many", MANY, .tcp.way = TCP_EPOLL },
	{ "frames-many", MANY, .tcp.way = TCP_FRAMES },
	WAYS("1k", KILO),
	WAYS("bulk", BULK),
	WAYS("rtt", RTT),
};

#define ROWS (sizeof(rows) / sizeof(rows[0]))
_Static_assert(ROWS <= RESULT_ROWS_MAX, "every row has a place");

#define AT_MOST(bound) .at_most = true, .target = bound, .aim = bound
#define TOLD .target = 0

/* The worker that moves frames by epoll is 1. */
static const struct target targets[] = {
	{ "CPU, 64 B: direct / epoll", "direct-64", "epoll-64", TOLD },
	{ "CPU, 64 B: frames / epoll", "frames-64", "epoll-64", AT_MOST(1.0) },
	{ "CPU, 64 B: relay / epoll", "relay-64", "epoll-64", TOLD },
	{ "CPU, 64 B: splice / epoll", "splice-64", "epoll-64", TOLD },
	{ "CPU, 64 B: local pair / epoll", "local-64", "epoll-64", AT_MOST(0.35) },
	{ "CPU, 64 B: haproxy / epoll", "haproxy-64", "epoll-64", TOLD },
	{ "CPU, 64 B: nginx / epoll", "nginx-64", "epoll-64", TOLD },
	{ "CPU, 64 B: epoll / haproxy", "epoll-64", "haproxy-64", AT_MOST(1.0) },
	{ "CPU, 64 B: epoll / nginx", "epoll-64", "nginx-64", AT_MOST(1.0) },

	{ "CPU, many sessions: frames / epoll", "frames-many", "epoll-many", TOLD },

	{ "CPU, 1 KB: direct / epoll", "direct-1k", "epoll-1k", TOLD },
	{ "CPU, 1 KB: frames / epoll", "frames-1k", "epoll-1k", AT_MOST(0.8) },
	{ "CPU, 1 KB: relay / epoll", "relay-1k", "epoll-1k", TOLD },
	{ "CPU, 1 KB: splice / epoll", "splice-1k", "epoll-1k", AT_MOST(0.75) },
	{ "CPU, 1 KB: local pair / epoll", "local-1k", "epoll-1k", AT_MOST(0.35) },
	{ "CPU, 1 KB: haproxy / epoll", "haproxy-1k", "epoll-1k", TOLD },
	{ "CPU, 1 KB: nginx / epoll", "nginx-1k", "epoll-1k", TOLD },
	{ "CPU, 1 KB: epoll / haproxy", "epoll-1k", "haproxy-1k", AT_MOST(1.0) },
	{ "CPU, 1 KB: epoll / nginx", "epoll-1k", "nginx-1k", AT_MOST(1.0) },

	{ "CPU, bulk: direct / epoll", "direct-bulk", "epoll-bulk", TOLD },
	{ "CPU, bulk: frames / epoll", "frames-bulk", "epoll-bulk", TOLD },
	{ "CPU, bulk: relay / epoll", "relay-bulk", "epoll-bulk", TOLD },
	{ "CPU, bulk: splice / epoll", "splice-bulk", "epoll-bulk", AT_MOST(0.75) },
	{ "CPU, bulk: local pair / epoll", "local-bulk", "epoll-bulk", AT_MOST(0.35) },
	{ "CPU, bulk: haproxy / epoll", "haproxy-bulk", "epoll-bulk", TOLD },
	{ "CPU, bulk: nginx / epoll", "nginx-bulk", "epoll-bulk", TOLD },
	{ "CPU, bulk: epoll / haproxy", "epoll-bulk", "haproxy-bulk", AT_MOST(1.0) },
	{ "CPU, bulk: epoll / nginx", "epoll-bulk", "nginx-bulk", AT_MOST(1.0) },

	{ "RTT: direct / epoll", "direct-rtt", "epoll-rtt", TOLD },
	{ "RTT: frames / epoll", "frames-rtt", "epoll-rtt", TOLD },
	{ "RTT: relay / epoll", "relay-rtt", "epoll-rtt", TOLD },
	{ "RTT: splice / epoll", "splice-rtt", "epoll-rtt", TOLD },
	{ "RTT: local pair / epoll", "local-rtt", "epoll-rtt", TOLD },
	{ "RTT: haproxy / epoll", "haproxy-rtt", "epoll-rtt", TOLD },
	{ "RTT: nginx / epoll", "nginx-rtt", "epoll-rtt", TOLD },
	{},
};

const struct bench_table tcp_bench = {
	.name = "tcp",
	.rows = rows,
	.n_rows = ROWS,
	.targets = targets,
	.full = &profile_full,
	.quick = &profile_quick,
	.is_median = true,
	.open = tcp_bench_open,
	.close = tcp_bench_close,
};
