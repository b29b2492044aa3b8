/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * A question behind all that was sent to a backend: an HB_PING with a number. When its HB_PONG is back the backend has read and
 * answered all before. The gateway's thread.
 */
#ifndef XSR_BARRIER_H
#define XSR_BARRIER_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/queue.h>

struct link;

/* All zeroes but for passed() and owner to begin with; its memory is its owner's. */
struct barrier {
	struct link *link; /* that it is under way on; NULL = none is */
	uint64_t token;	   /* 0 = not sent yet */
	void (*passed)(void *owner, bool lost); /* it is back, or its link was lost */
	void *owner;
	TAILQ_ENTRY(barrier) of_link;
};

/* -EAGAIN: not now. */
int barrier_send(struct barrier *barrier, struct link *link);

/* passed() is not called any more. Nothing happens if it is not under way. */
void barrier_drop(struct barrier *barrier);

/* All of the link's up to this number are back; or all are lost. */
void barriers_pass(struct link *link, uint64_t token);
void barriers_lose(struct link *link);

#endif /* XSR_BARRIER_H */
