/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Closed loop: how many messages may be sent while no more than some are unanswered. A message that has no answer for
 * two seconds is given up, so that lost ones do not end the run; an answer may still come. Messages have indices from
 * 0.
 */
#ifndef XSR_WINDOW_H
#define XSR_WINDOW_H

#include <stdint.h>

#define WINDOW_PATIENCE_NS 2000000000ULL
#define WINDOW_MARK_NS 50000000ULL /* as exactly as this */
#define WINDOW_MARKS 64            /* more than fit into the patience */

struct answer_check;

/* All zeroes is an open one. */
struct window {
	uint64_t n_sent, n_answered;
	uint64_t n_given_up; /* in all, also those that were answered later */
	uint64_t n_missing;  /* given up and not answered */
	uint64_t passed;     /* messages before this one are answered or given up */
	struct {
		uint64_t time_ns, n_sent;
	} marks[WINDOW_MARKS]; /* how many were sent by when, a ring */
	uint64_t oldest_mark, next_mark;
};

void window_sent(struct window *w, uint64_t n_sent);    /* in all */
void window_answered(struct window *w, uint64_t index); /* for the first time */

/* Gives up what has waited for too long. `check` knows what was answered. */
void window_expire(struct window *w, const struct answer_check *check, uint64_t now_ns);

/* How many more may be sent if `size` may be under way. */
uint64_t window_room(const struct window *w, uint64_t size);

#endif /* XSR_WINDOW_H */
