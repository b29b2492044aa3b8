/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * A router as operators run it, for what only a whole one can do: `xsr run` with a configuration file, an
 * instance of its own, two workers that share the second core, dense routes. Its session i has the ID
 * BENCH_ID_FIRST + i.
 */
#ifndef XSR_LIVE_H
#define XSR_LIVE_H

#include <netinet/in.h>

#include "bench.h"
#include "child.h"

#define LIVE_INSTANCE "xsr-bench-run"
#define LIVE_SERVICE "live"
#define LIVE_WORKERS 2
#define LIVE_SESSIONS_MAX 65536

struct live {
	struct child child; /* report->mode: the path that really runs */
	struct maps *maps;
	unsigned int shift; /* session i's route leads to worker (i + shift) % LIVE_WORKERS, unless others
			       move it */
};

/* What a move of many came to. */
struct live_move {
	uint64_t n_moved, n_without_state;
	double command_ms; /* from before the command was started until it had ended */
	double router_ms;  /* of that */
};

/*
 * Starts one with the transport "xdp" or "udp" on the wide wire, from which it takes what programs are there,
 * and with routes for the first n_sessions. 0, or -errno with a sentence and nothing left running.
 */
int live_open(struct live *live, const struct bench *b, const char *transport, uint32_t n_sessions,
	      char why[LAB_WHY_LEN]);
void live_close(struct live *live);

/* Removes the instance, and what a killed router left of it. */
void live_remove(void);

struct sockaddr_in live_address(const struct bench *b);

/*
 * The first n sessions, each to the other worker, by the command `xsr session move`. 0; -EPROTO if not all
 * moved; or -errno. With a sentence.
 */
int live_move(struct live *live, uint32_t n, struct live_move *out, char why[LAB_WHY_LEN]);

/*
 * What the last router's workers counted of lost messages and state, in words; "" if there is nothing. `text`
 * gets what fits.
 */
void live_losses(char *text, size_t size);

#endif /* XSR_LIVE_H */
