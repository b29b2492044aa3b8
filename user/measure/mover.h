/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Moves sessions to the next worker, so many a second, by asking the router on its control socket
 * (docs/control-socket.md). Never blocks. The caller's epoll tells when the socket is ready; one thread.
 */
#ifndef XSR_MOVER_H
#define XSR_MOVER_H

#include <stdbool.h>
#include <stdint.h>

#include "move_watch.h"
#include "owner_check.h"

#define MOVER_WHY_LEN 256
#define MOVER_TICK_NS 10000000ULL /* what falls due within one goes in one request */

struct mover;

struct mover_config {
	const char *instance;
	const char *service;
	uint64_t first_id;
	uint32_t n_sessions;
	uint32_t n_workers; /* targets are 0 .. n_workers - 1 */
	uint32_t rate;      /* moves a second */
	uint32_t n_max;     /* in all; 0 = no limit */
};

struct mover_counts {
	uint64_t asked;         /* moves */
	uint64_t moved;         /* of those */
	uint64_t unchanged;     /* the session was there already */
	uint64_t without_state; /* of the moved */
	uint64_t failed;
	char why[MOVER_WHY_LEN]; /* the first failure's */
};

/*
 * Connects. The config, the owners (which session is where) and the watch are borrowed until mover_close(). 0 or -errno
 * with a sentence.
 */
int mover_open(struct mover **out, const struct mover_config *config, const struct owner_check *owners,
	       struct move_watch *watch, int epoll_fd, char why[MOVER_WHY_LEN]);
void mover_close(struct mover *mover); /* takes NULL */

/* What epoll knows the socket by; -1 once the router has closed it. */
int mover_fd(const struct mover *mover);

/* The socket is ready. */
void mover_handle(struct mover *mover, uint64_t now_ns);

/*
 * Asks for the moves that are due. The time begins with the first call that finds every session heard. A session that
 * is on its way, or not heard yet, is left out; what is due waits for one that is not.
 */
void mover_ask(struct mover *mover, uint64_t now_ns);

/* The router's own time for a request, the median; 0 without one. */
uint64_t mover_time_ns(const struct mover *mover);

/* Whether answers are to come. */
bool mover_waits(const struct mover *mover);

/* Borrowed until mover_close(). */
const struct mover_counts *mover_counts(const struct mover *mover);

#endif /* XSR_MOVER_H */
