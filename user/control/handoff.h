/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The controller's side of handoffs: sessions on their way from one worker to another. For each one: the new owner is told to
 * expect it, the route is stored, one grace period later the old owner is told to give it up, and the new owner
 * reports that it took it. One grace period serves all that wait for it. Control thread only.
 */
#ifndef XSR_HANDOFF_H
#define XSR_HANDOFF_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "maps.h"
#include "post.h"

struct handoffs;

/* What it needs of the world; borrowed. */
struct handoffs_params {
	struct maps *maps;
	struct post *post;	/* the control thread's */
	unsigned int fence_ms;	/* the workers' */
	uint64_t (*clock_ns)(void);
	/* Whether no run of the program is under way that could have begun before this call. May be NULL: never known. */
	bool (*quiet)(void *arg);
	/* Begins to wait for a grace period, after which handoffs_grace_over() is called. One at a time. */
	void (*grace)(void *arg);
	void *arg;
};

int handoffs_open(struct handoffs **out, const struct handoffs_params *params); /* 0 or -errno */
void handoffs_close(struct handoffs *handoffs);					/* takes NULL */

/* A session and where it shall go. */
struct handoff_wish {
	uint64_t id;
	uint32_t service;
	uint16_t worker;
	/*
	 * HANDOFF_FROM_OWNER, or the worker that has it although its messages go to `worker` already: then no route is
	 * changed and no grace period waited for.
	 */
	uint16_t from;
};

#define HANDOFF_FROM_OWNER 0xffff

#define HANDOFF_FAILURES_MAX 16

/* What became of a move of many. */
struct handoff_report {
	size_t n, n_done;
	size_t n_moved;		/* to another worker than before */
	size_t n_unchanged;	/* were there already */
	size_t n_along;		/* of TCP services: others that shared a connection with those, and came along */
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

/* The workers that sessions may come from, and those that they may go to, a bit each. */
void handoffs_workers(struct handoffs *handoffs, uint64_t from, uint64_t to);

/* READY, REFUSED, TAKEN of a worker. */
void handoffs_mail(struct handoffs *handoffs, const struct mail *mail);

void handoffs_grace_over(struct handoffs *handoffs);

/* Does what can be done now. Returns after how many ms it wants to be called again at the latest; -1: nothing is under way. */
int handoffs_step(struct handoffs *handoffs);

/*
 * While it is paused no handoff begins, but for those from a given worker; those under way go on. For changes of the `hash` default, by
 * which the old owner of a session without a route is known.
 */
void handoffs_pause(struct handoffs *handoffs, bool paused);
bool handoffs_under_way(const struct handoffs *handoffs);

/* From now on handoffs_move() refuses; what is under way goes on. */
void handoffs_stop(struct handoffs *handoffs);
bool handoffs_idle(const struct handoffs *handoffs);

#endif /* XSR_HANDOFF_H */
