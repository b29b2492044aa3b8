/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The worker's side of handoffs. A session that is expected holds its messages until its fence brings its state from the old
 * owner; one that is to be given up goes when all that had arrived for it has been worked off. Nothing waits without an
 * end: what a hold may take is bounded, and so is the time until a fence. The worker's thread, but for open and close.
 */
#ifndef XSR_FENCE_H
#define XSR_FENCE_H

#include <stdbool.h>
#include <stdint.h>

#include "hold.h"
#include "session.h"
#include "transport.h"

struct xsr_worker;

/* What waits until everything that had arrived is worked off: a session to be given up, or word of it. */
struct give {
	uint64_t id, token;
	uint64_t until_ns; /* early ones: worth waiting for */
	uint32_t service; /* 0: only word to control is wanted */
	uint16_t generation;
	uint16_t to;	  /* worker */
};

/* Those that wait for the same kind of mark. */
struct gives {
	struct give *list;
	uint32_t n;
	uint32_t n_marked; /* the first ones: they go when the transport has passed its mark */
	uint32_t at;	   /* where the next one to be forgotten stands, if all goes in order */
	uint32_t n_void;   /* those that were forgotten */
	bool marked;
};

struct fences {
	struct session_list held; /* by the time that they wait until */
	struct session_list releasing;
	struct session_list gone; /* by the time that they are kept until */
	struct hold_pool *pool;
	struct gives gives[MARK_MAX];
	bool adopting;	   /* sessions that are new are held */
	bool mail_left;	   /* it could not be taken yet */
	uint8_t *state;	   /* room for one session's state */
	uint32_t n_untold; /* sessions that lost their state and were not logged one by one */
	uint32_t n_told;
};

int fence_open(struct xsr_worker *w); /* 0 or -errno */
void fence_close(struct xsr_worker *w);

/* The session of a message, made if it was not there; NULL if the table is full. */
struct session *fence_session(struct xsr_worker *w, uint32_t service, uint64_t id);

/* Whether the session is to be served the message now. If not, it was held or refused here, and counted. */
bool fence_admit(struct xsr_worker *w, struct session *session, const struct xsr_message *m);

/* Takes the mail. */
void fence_read_mail(struct xsr_worker *w);

/* After each batch: what can go on, goes on. */
void fence_step(struct xsr_worker *w);

/* About once a second. */
void fence_tick(struct xsr_worker *w);

/* How long the worker may sleep: at most timeout_ms, 0 if there is something to do. */
int fence_timeout_ms(const struct xsr_worker *w, int timeout_ms);

/* The router ends: no fence is waited for any more. */
void fence_release_all(struct xsr_worker *w);

#endif /* XSR_FENCE_H */
