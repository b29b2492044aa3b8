/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* What the parts of fence.h share: fence.c (states), expect.c (the new owner), give.c (the old one), inbox.c (mail). */
#ifndef XSR_FENCE_PARTS_H
#define XSR_FENCE_PARTS_H

#include "fence.h"
#include "worker.h"

#define NS_PER_MS 1000000ULL
#define NS_PER_S 1000000000ULL
#define GIVES_MAX 65536

/* In the room of a fence; the handler's bytes follow, in the slots behind where they do not fit. */
struct mail_fence {
	struct xsr_peer peer;
	uint64_t n_messages;
	uint64_t last_ns;
	uint32_t n_handoffs;
	uint16_t version;
	uint16_t given;	    /* there was a session, and the handler wrote its state */
	uint32_t state_len;
	uint32_t pad;
};

#define FENCE_ROOM (MAIL_ROOM - sizeof(struct mail_fence))

/* fence.c: from one state, and its list, to another. */
void state_enter(struct xsr_worker *w, struct session *session, enum session_state state);
/* As if it had just come into the table; ACTIVE. */
void session_renew(struct xsr_worker *w, struct session *session);
/* Out of the table, with what it held. */
void session_remove(struct xsr_worker *w, struct session *session);
/* A place in the table, if need be that of a session that has gone; NULL if it is full. */
struct session *session_make(struct xsr_worker *w, uint32_t service, uint64_t id);
/* Logs that it lost its state; those that are too many for a second are summed up. */
void session_tell(struct xsr_worker *w, const struct session *session, const char *what);

/* expect.c: EXPECT, CANCEL, FENCE, ADOPTED came. expect_session(): false if there is no room for it. */
bool expect_session(struct xsr_worker *w, const struct mail *mail);
void expect_cancel(struct xsr_worker *w, const struct mail *mail);
void expect_fence(struct xsr_worker *w, unsigned int from, const struct mail *mail);
void expect_adopted(struct xsr_worker *w);
/* Those whose fence is overdue go on without; held messages are worked off. */
void expect_step(struct xsr_worker *w);

/* give.c: GIVE, GIVE_EARLY or SETTLE came; there is a place for it while there are less than GIVES_MAX of its kind. */
void give_add(struct xsr_worker *w, const struct mail *mail);
void give_step(struct xsr_worker *w);

#endif /* XSR_FENCE_PARTS_H */
