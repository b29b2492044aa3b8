/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#include "steer_bench.h"

#include "clock.h"
#include "row.h"

#define MS NS_PER_MS

static const struct bench_profile profile_full = {
	.name = "full",
	.rounds = 3,
	.warmup_ns = 200 * MS,
	.window_ns = 1000 * MS,
	.ping_ns = 1000 * MS,
	.idle_ns = 5000 * MS,
	.moves_ns = 2000 * MS,
};

/* Says whether everything works, and roughly how fast. */
static const struct bench_profile profile_quick = {
	.name = "quick",
	.rounds = 1,
	.warmup_ns = 50 * MS,
	.window_ns = 150 * MS,
	.ping_ns = 100 * MS,
	.idle_ns = 1000 * MS,
	.moves_ns = 400 * MS,
};

/* What a row measures; ROUTES: on full tables, FLOOD: a rate on few sessions, RTT: of one session. */
#define SMALL 64
#define LARGE 1024
#define LEAST .lower_is_better = true
#define ONCE .once = true
#define ROUTES(table) .service = table, .n_ids = BENCH_ROUTES
#define RATE(len) .unit = "M/s", .sample = sample_rate, .payload_len = len
#define FLOOD(of, len) RATE(len), .service = of, .n_ids = BENCH_SESSIONS
#define RTT .unit = "us", LEAST, .sample = sample_rtt, .payload_len = SMALL, .service = BENCH_OWN, .n_ids = 1
#define IMPORT .unit = "M/s", .sample = sample_import
#define LOOKUP(kind) .unit = "ns", LEAST, .sample = sample_lookup, .lookup = kind
#define LIVE(which, what) .sample = sample_live, .run = which, .figure = what

/* Who serves it, behind which program on the device. */
#define XSR(how, ...) .server = { .kind = SERVER_XSR, .wait = how, __VA_ARGS__ }
#define UDP(device, how, ...) .program = device, .server = { .kind = SERVER_UDP, .wait = how, __VA_ARGS__ }
#define ECHO .echo = true
#define EACH .handoff = SERVER_HANDOFF_EACH
#define BATCH .handoff = SERVER_HANDOFF_BATCH

static const struct row rows[] = {
	/* In the kernel's program, and no further. */
	{ "xdp-drop", FLOOD(BENCH_HASH, SMALL), .program = ROW_DROP },
	{ "steer-drop-dense", FLOOD(BENCH_DENSE, SMALL) },
	{ "steer-drop-hash", FLOOD(BENCH_HASH, SMALL) },
	{ "xdp-drop-large", FLOOD(BENCH_HASH, LARGE), .program = ROW_DROP },
	{ "steer-drop-dense-large", FLOOD(BENCH_DENSE, LARGE) },

	/* The tables, and the kernel's program on full ones. */
	{ "import-hash", IMPORT, ROUTES(BENCH_HASH) },
	{ "import-dense", IMPORT, ROUTES(BENCH_DENSE) },
	{ "memory-hash", .unit = "MB", LEAST, ONCE, .sample = sample_memory, ROUTES(BENCH_HASH) },
	{ "steer-drop-dense-1M", RATE(SMALL), ROUTES(BENCH_DENSE) },
	{ "steer-drop-hash-1M", RATE(SMALL), ROUTES(BENCH_HASH) },
	{ "lookup-dense", LOOKUP(TRAFFIC_DENSE), ROUTES(BENCH_DENSE) },
	{ "lookup-dense-chained", LOOKUP(TRAFFIC_DENSE_CHAINED), ROUTES(BENCH_DENSE) },
	{ "lookup-hash", LOOKUP(TRAFFIC_HASH), ROUTES(BENCH_HASH) },
	{ "lookup-hash-chained", LOOKUP(TRAFFIC_HASH_CHAINED), ROUTES(BENCH_HASH) },

	/* To a worker, and to a kernel socket, which gets nothing from our wire without an XDP program. */
	{ "xsk-receive", FLOOD(BENCH_OWN, SMALL), XSR(SERVER_SPIN) },
	{ "xsk-receive-other-queue", FLOOD(BENCH_OTHER, SMALL), XSR(SERVER_SPIN) },
	{ "udp-receive", FLOOD(BENCH_OWN, SMALL), UDP(ROW_PASS, SERVER_SLEEP) },
	{ "udp-handoff", FLOOD(BENCH_OWN, SMALL), UDP(ROW_PASS, SERVER_SLEEP, EACH) },
	{ "udp-handoff-batch", FLOOD(BENCH_OWN, SMALL), UDP(ROW_PASS, SERVER_SLEEP, BATCH) },
	{ "xsk-receive-large", FLOOD(BENCH_OWN, LARGE), XSR(SERVER_SPIN) },
	{ "udp-receive-large", FLOOD(BENCH_OWN, LARGE), UDP(ROW_PASS, SERVER_SLEEP) },
	{ "udp-handoff-large", FLOOD(BENCH_OWN, LARGE), UDP(ROW_PASS, SERVER_SLEEP, EACH) },

	/* And back. */
	{ "xsk-echo", FLOOD(BENCH_OWN, SMALL), XSR(SERVER_SPIN, ECHO) },
	{ "xsk-echo-other-queue", FLOOD(BENCH_OTHER, SMALL), XSR(SERVER_SPIN, ECHO) },
	{ "udp-echo", FLOOD(BENCH_OWN, SMALL), UDP(ROW_PASS, SERVER_SLEEP, ECHO) },
	{ "xsk-echo-large", FLOOD(BENCH_OWN, LARGE), XSR(SERVER_SPIN, ECHO) },
	{ "udp-echo-large", FLOOD(BENCH_OWN, LARGE), UDP(ROW_PASS, SERVER_SLEEP, ECHO) },

	/* One at a time. Without xsr there would be no program on the device. */
	{ "rtt-xsk-spin", RTT, XSR(SERVER_SPIN, ECHO) },
	{ "rtt-xsk-sleep", RTT, XSR(SERVER_SLEEP, ECHO) },
	{ "rtt-udp-spin", RTT, UDP(ROW_NO_PROGRAM, SERVER_SPIN, ECHO) },
	{ "rtt-udp-epoll", RTT, UDP(ROW_NO_PROGRAM, SERVER_SLEEP, ECHO) },
	{ "rtt-udp-epoll-handoff", RTT, UDP(ROW_NO_PROGRAM, SERVER_SLEEP, ECHO, EACH) },

	{ "idle-router", .unit = "%", LEAST, ONCE, .sample = sample_idle, .service = BENCH_OWN,
	  .n_ids = BENCH_SESSIONS, XSR(SERVER_SLEEP, ECHO, .threads = true) },

	/* A whole router whose sessions move. */
	{ "handoff-xdp", .unit = "us", LEAST, LIVE(LIVE_XDP, HOT_TIME) },
	{ "handoff-xdp-gap", .unit = "ms", LEAST, LIVE(LIVE_XDP, HOT_GAP) },
	{ "handoff-xdp-stall", .unit = "ms", LEAST, LIVE(LIVE_XDP, HOT_STALL) },
	{ "handoff-xdp-first", .unit = "us", LEAST, LIVE(LIVE_FIRST, HOT_TIME) },
	{ "handoff-xdp-cpu", .unit = "us", LEAST, LIVE(LIVE_CPU, CPU_ONE) },
	{ "handoff-udp", .unit = "us", LEAST, LIVE(LIVE_UDP, HOT_TIME) },
	{ "handoff-udp-gap", .unit = "ms", LEAST, LIVE(LIVE_UDP, HOT_GAP) },
	{ "handoff-udp-stall", .unit = "ms", LEAST, LIVE(LIVE_UDP, HOT_STALL) },
	{ "handoff-10k", .unit = "ms", LEAST, LIVE(LIVE_BULK, BULK_TIME) },
	{ "handoff-10k-router", .unit = "ms", LEAST, LIVE(LIVE_BULK, BULK_ROUTER) },
	{ "handoff-10k-others", .unit = "", LIVE(LIVE_BULK, BULK_OTHERS) },
	{ "handoff-10k-cpu", .unit = "us", LEAST, LIVE(LIVE_CPU, CPU_MANY) },
	{ "handoff-rate-still", .unit = "M/s", LIVE(LIVE_RATE, RATE_STILL) },
	{ "handoff-rate-moving", .unit = "M/s", LIVE(LIVE_RATE, RATE_MOVING) },
};

#define AT_LEAST(bound, hope) .target = bound, .aim = hope
#define AT_MOST(bound, hope) .at_most = true, .target = bound, .aim = hope

/* Where there is no bound, the ratio is told: like is compared with like. */
static const struct target targets[] = {
	{ "steer+drop, dense / XDP_DROP", "steer-drop-dense", "xdp-drop", AT_LEAST(0.8, 0.95) },
	{ "steer+drop, hash / XDP_DROP", "steer-drop-hash", "xdp-drop", AT_LEAST(0.8, 0.95) },
	{ "dense lookup among 1 M routes, ns", "lookup-dense", NULL, AT_MOST(30, 30) },
	{ "import of hashed routes, M/s", "import-hash", NULL, AT_LEAST(1, 1) },
	{ "import of dense routes, M/s", "import-dense", NULL, AT_LEAST(20, 20) },
	{ "memory of 1 M hashed routes, MB", "memory-hash", NULL, AT_MOST(100, 100) },
	{ "AF_XDP receive / UDP receive", "xsk-receive", "udp-receive", AT_LEAST(3, 4.5) },
	{ "AF_XDP receive / UDP receive, 1024 B", "xsk-receive-large", "udp-receive-large", .target = 0 },
	{ "AF_XDP receive / UDP, handoff of each message", "xsk-receive", "udp-handoff", AT_LEAST(6, 9) },
	{ "AF_XDP receive / UDP, handoff by the batch", "xsk-receive", "udp-handoff-batch", .target = 0 },
	{ "AF_XDP receive, other queue / own queue", "xsk-receive-other-queue", "xsk-receive",
	  AT_LEAST(0.9, 0.97) },
	{ "AF_XDP echo / UDP echo", "xsk-echo", "udp-echo", AT_LEAST(1.5, 2.2) },
	{ "AF_XDP echo / UDP echo, 1024 B", "xsk-echo-large", "udp-echo-large", .target = 0 },
	{ "AF_XDP echo from another queue / UDP echo", "xsk-echo-other-queue", "udp-echo", .target = 0 },
	{ "RTT, AF_XDP spinning / UDP epoll + handoff", "rtt-xsk-spin", "rtt-udp-epoll-handoff",
	  AT_MOST(1 / 4., 1 / 7.) },
	{ "RTT, AF_XDP spinning / UDP spinning", "rtt-xsk-spin", "rtt-udp-spin", .target = 0 },
	{ "RTT, AF_XDP sleeping / UDP epoll", "rtt-xsk-sleep", "rtt-udp-epoll", .target = 0 },
	{ "idle router, % of a core", "idle-router", NULL, AT_MOST(1, 1) },
	{ "10,000 sessions move in one command, ms", "handoff-10k", NULL, AT_MOST(1000, 1000) },
	{ "others' answers meanwhile / before", "handoff-10k-others", NULL, AT_LEAST(0.9, 0.9) },
	{ "answers while 1000 sessions a second move / still", "handoff-rate-moving", "handoff-rate-still",
	  .target = 0 },
	{ "handoff, transport udp / xdp", "handoff-udp", "handoff-xdp", .target = 0 },
	{ "UDP: handing a message over, us of a core", .over = "udp-handoff", .less = "udp-receive" },
	{ "a session's handoff, alone / a message's", "handoff-xdp-cpu", "udp-handoff",
	  .less = "udp-receive" },
	{ "a session's handoff, one of 10,000 / a message's", "handoff-10k-cpu", "udp-handoff",
	  .less = "udp-receive" },
	{},
};

#define ROWS (sizeof(rows) / sizeof(rows[0]))
_Static_assert(ROWS <= RESULT_ROWS_MAX, "every row has a place");

const struct bench_table steer_bench = {
	.name = "steer",
	.rows = rows,
	.n_rows = ROWS,
	.targets = targets,
	.full = &profile_full,
	.quick = &profile_quick,
	.open = bench_open,
	.close = bench_close,
};
