/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The controller's side of handoffs: sessions on their way from one worker to another. For each one: the new owner is told to
 * expect it, the route is stored, one grace period later the old owner is told to give it up, and the new owner
 * reports that it took it. One grace period serves all that wait for it. Control thread only.
 */
#ifndef XSR_HANDOFF_H
#define XSR_HANDOFF_H

#include <stddef.h>
#include <stdint.h>

struct handoffs;

/* A session and where it shall go. */
struct handoff_wish {
	uint64_t id;
	uint32_t service;
	uint16_t worker;
};

#define HANDOFF_FAILURES_MAX 16

/* What became of a move of many. */
struct handoff_report {
	size_t n, n_done;
	size_t n_moved;		/* to another worker than before */
	size_t n_unchanged;	/* were there already */
	size_t n_without_state; /* of the moved: no fence came in time */
	size_t n_failed;
	struct {
		uint64_t id;
		const char *why; /* a constant sentence */
	} failures[HANDOFF_FAILURES_MAX]; /* the first of them */
	uint64_t time_ns;	/* from handoffs_move() to now */
};

/*
 * Moves n sessions. `wishes` are copied. progress() is called now and then, done() once, at the end, never from within this call;
 * both borrow the report. Either may be NULL. A session that is being moved already waits for its turn. 0, or -ENOMEM, -ESHUTDOWN
 * and nothing is begun.
 */
int handoffs_move(struct handoffs *handoffs, const struct handoff_wish *wishes, size_t n,
		  void (*progress)(const struct handoff_report *report, void *arg),
		  void (*done)(const struct handoff_report *report, void *arg), void *arg);

#endif /* XSR_HANDOFF_H */
