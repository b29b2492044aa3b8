/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * What all rows of `xsr bench steer` share: the lab, an instance of xsr of its own with services and
 * routes, the programs, the two cores. Traffic and what the kernel does with it run on one
 * core, whoever serves it on the other.
 */
#ifndef XSR_BENCH_H
#define XSR_BENCH_H

#include <signal.h>
#include <stdbool.h>

#include "lab.h"
#include "live_runs.h"
#include "maps.h"
#include "traffic.h"

#define BENCH_INSTANCE "xsr-bench"
#define BENCH_WORKERS 2             /* one for each queue of the wide wire */
#define BENCH_ID_FIRST (1ULL << 48) /* as xsr hands them out: generation 1, node 0, index 0 */
#define BENCH_ROUTES 1000000
#define BENCH_SESSIONS 1000 /* hot ones */

/* Each has a port of its own; its routes lead all to the same target. */
enum bench_service {
	BENCH_HASH,  /* up to BENCH_ROUTES hashed routes: drop */
	BENCH_DENSE, /* up to BENCH_ROUTES dense routes: drop */
	BENCH_OWN,   /* hashed routes: the worker whose own queue the traffic arrives on */
	BENCH_OTHER, /* the same: the other worker, whose own queue is the other one */
	BENCH_SERVICES
};

/* How long things last. */
struct bench_profile {
	const char *name;
	unsigned int rounds; /* samples of each row */
	uint64_t warmup_ns, window_ns, ping_ns, idle_ns, moves_ns;
};

struct tcp_parties;

struct bench {
	struct bench_profile profile;
	struct lab lab;
	struct maps *maps;
	struct traffic *traffic;
	int steer_fd;
	int cpu_traffic, cpu_worker;
	unsigned int own_worker; /* of BENCH_OWN */
	uint32_t services[BENCH_SERVICES];
	uint32_t routes[BENCH_SERVICES]; /* that are loaded */
	char file[32];                   /* of routes; "" = none yet */
	uint32_t file_routes;            /* in it */
	unsigned int round;              /* from 1 */
	uint64_t grace_ns;               /* that a grace period takes on this host; 0 = not measured yet */
	struct live_memo live_runs[LIVE_RUNS];
	struct tcp_parties *tcp; /* of `xsr bench tcp` */
	uint64_t next_id;        /* of its sessions */
	sigset_t signals; /* held back, and looked at by bench_sleep() */
};

/*
 * Builds all of it. 0, or -errno with a sentence and nothing left behind. From here on SIGINT and SIGTERM
 * end bench_sleep() and nothing else.
 */
int bench_open(struct bench *b, const struct bench_profile *profile, char why[LAB_WHY_LEN]);
void bench_close(struct bench *b);

/* The same, but the lab, the cores and the signals alone. */
int bench_place_open(struct bench *b, const struct bench_profile *profile, char why[LAB_WHY_LEN]);
void bench_place_close(struct bench *b);

/* Sleeps, if ns > 0. 0, or -EINTR when the user has had enough: then every later call returns that at once. */
int bench_sleep(struct bench *b, uint64_t ns);

/* The worker that serves BENCH_OWN or BENCH_OTHER. */
unsigned int bench_worker(const struct bench *b, enum bench_service service);

uint16_t bench_port(enum bench_service service);
/* The whole of its IDs, or the first n. */
struct traffic_ids bench_ids(const struct bench *b, enum bench_service service, uint32_t n);

/*
 * Sees to it that the service has its first n routes, if they are not there yet. 0, or -errno with a
 * sentence.
 */
int bench_routes_load(struct bench *b, enum bench_service service, uint32_t n, char why[LAB_WHY_LEN]);

/*
 * Imports n routes into BENCH_HASH or BENCH_DENSE, which are emptied before, by the command `xsr route
 * import`. 0 and how long the command says that it took, or -errno with a sentence.
 */
int bench_import(struct bench *b, enum bench_service service, uint32_t n, double *seconds,
		 char why[LAB_WHY_LEN]);

#endif /* XSR_BENCH_H */
