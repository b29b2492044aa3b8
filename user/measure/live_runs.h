/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Measurements with a whole router (live.h) whose sessions move. One run yields what several rows tell: it is
 * made once in a round, for the first of them.
 */
#ifndef XSR_LIVE_RUNS_H
#define XSR_LIVE_RUNS_H

#include <stdbool.h>

#include "lab.h"
#include "results.h"
#include "udp_load.h"

struct bench;
struct live;

enum live_run_name {
	LIVE_XDP,   /* hot sessions, one move at a time */
	LIVE_UDP,   /* the same with transport udp */
	LIVE_FIRST, /* the first move after the router's start */
	LIVE_BULK,  /* ten thousand in one command */
	LIVE_RATE,  /* as many messages as go through, without moves and with */
	LIVE_CPU,   /* processor time */
	LIVE_RUNS
};

enum { HOT_TIME, HOT_GAP, HOT_STALL };
enum { BULK_TIME, BULK_ROUTER, BULK_OTHERS };
enum { RATE_STILL, RATE_MOVING };
enum { CPU_ONE, CPU_MANY };
#define LIVE_FIGURES 3

/* Which way handoffs must have gone for a figure to count. */
enum live_way {
	LIVE_EARLY, /* the old owner gave up the session before a grace period had passed */
	LIVE_GRACE, /* after it */
};

struct live_run {
	int (*run)(struct bench *b, const struct live_run *run, struct sample figures[LIVE_FIGURES],
		   char why[LAB_WHY_LEN]);
	const char *transport;
	enum live_way way;
	unsigned int moves_rate; /* a second */
	unsigned int n_moves;    /* in all; 0 = no limit */
	bool unprimed;           /* no session has moved before, and the program does not count its runs */
};

/* What came of a run, until the next round. */
struct live_memo {
	unsigned int round; /* 0 = none yet */
	int ret;
	char why[LAB_WHY_LEN];
	struct sample figures[LIVE_FIGURES];
};

/* --- what runs are made of --- */

/* As live_open(); then all sessions move once, unless the run is about the first move. */
int live_run_open(struct live *live, const struct bench *b, const struct live_run *run, uint32_t n_sessions,
		  char why[LAB_WHY_LEN]);

/* A load on the first n_sessions, without a rate or a window, nor moves unless the run has them. */
struct udp_load_config live_run_load(const struct bench *b, const struct live_run *run, uint32_t n_sessions);

/*
 * Fills in the path that really ran, told by how long a move usually took the router. 0; -EPROTO with a
 * sentence if the handoffs went the other way.
 */
int live_run_way(struct bench *b, const struct live_run *run, const struct live *live, uint64_t move_ns,
		 char mode[RESULT_MODE_LEN], char why[LAB_WHY_LEN]);

/* --- the runs: 0, -EINTR, or -errno with a sentence; they leave nothing running --- */

int live_run_hot(struct bench *b, const struct live_run *run, struct sample figures[LIVE_FIGURES],
		 char why[LAB_WHY_LEN]);
int live_run_bulk(struct bench *b, const struct live_run *run, struct sample figures[LIVE_FIGURES],
		  char why[LAB_WHY_LEN]);
int live_run_rate(struct bench *b, const struct live_run *run, struct sample figures[LIVE_FIGURES],
		  char why[LAB_WHY_LEN]);
int live_run_cpu(struct bench *b, const struct live_run *run, struct sample figures[LIVE_FIGURES],
		 char why[LAB_WHY_LEN]);

#endif /* XSR_LIVE_RUNS_H */
