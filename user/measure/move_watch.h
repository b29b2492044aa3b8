/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Sessions that are on their way to another worker: how long after the command the new owner served the first message,
 * and how long a session was without an answer. Times are CLOCK_MONOTONIC.
 */
#ifndef XSR_MOVE_WATCH_H
#define XSR_MOVE_WATCH_H

#include <stdbool.h>
#include <stdint.h>

#include "histogram.h"

#define MOVE_PATIENCE_NS 2000000000ULL /* for a session that was moved to show it; then it may be moved again */

struct move_watch;

/* What an answer says. */
struct move_answer {
	uint64_t arrived_ns;
	uint64_t served_ns;  /* by the worker's clock, which is ours */
	uint64_t number;     /* that the session gave it; 0 = not told */
	uint64_t settled;    /* all numbers of the session below this one were seen before */
	uint16_t generation; /* of the route; 0 = not told */
};

struct move_results {
	struct histogram handoffs_ns; /* from the command to the first message that the new owner served */
	struct histogram recent_ns;   /* the same since move_watch_recent() */
	uint64_t weird;               /* the message was served before the command */
	uint64_t gap_ns_max;          /* between two answers of a session */
	uint64_t gap_unmoved_ns_max;  /* the same while it was not on its way */
};

/* 48 bytes a session. 0 or -ENOMEM. */
int move_watch_open(struct move_watch **out, uint32_t n_sessions);
void move_watch_close(struct move_watch *watch); /* takes NULL */

/* Whether the session is where it was sent. */
bool move_watch_free(const struct move_watch *watch, uint32_t session, uint64_t now_ns);

/* The command goes out now; the newest generation of the session, 0 = not known: then no handoff is seen. */
void move_watch_begin(struct move_watch *watch, uint32_t session, uint16_t generation, uint64_t now_ns);

/* The command for this session was answered; it was moved, or not and nothing will be seen. */
void move_watch_end(struct move_watch *watch, uint32_t session, bool moved, uint64_t now_ns);

/* Every first answer to a message of the session. */
void move_watch_answer(struct move_watch *watch, uint32_t session, const struct move_answer *answer);

/* Nothing more will come. */
void move_watch_finish(struct move_watch *watch);

/* Median of the handoffs since the last call, 0 if there was none. */
uint64_t move_watch_recent(struct move_watch *watch);

/* Borrowed until move_watch_close(). */
const struct move_results *move_watch_results(const struct move_watch *watch);

#endif /* XSR_MOVE_WATCH_H */
