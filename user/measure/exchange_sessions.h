/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * What a backend knows of its sessions: which connection each belongs to, how far its requests came, and its last replies, to send
 * them again. A reply is kept as what makes it, not as bytes: its filler follows from its number, so long ones are kept, too. One
 * thread.
 */
#ifndef XSR_EXCHANGE_SESSIONS_H
#define XSR_EXCHANGE_SESSIONS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/queue.h>

#include "frame.h"

/* A reply: header, head, filler. */
struct exchange_reply {
	uint64_t seq;	 /* 0 = none */
	uint64_t served; /* messages of the session that were served, this one included */
	__be64 stamp;	 /* the client's: the first of the payload's head */
	uint32_t len;	 /* of the frame */
	uint8_t type;	 /* of the reply */
	__be16 flags;
};

TAILQ_HEAD(exchange_session_list, exchange_session);

struct exchange_session {
	uint64_t id;
	void *owner;	      /* the connection that its last HELLO came by; NULL = that one ended */
	uint64_t last;	      /* request that was read, the highest ever */
	uint64_t epoch_last;  /* the same since the last HELLO */
	uint64_t written;     /* up to here replies were written, or would have been had there been an owner */
	uint64_t served;      /* requests, each time that one was */
	uint64_t due_ns;      /* of its last reply that waits */
	uint32_t n_waiting;   /* replies that wait for their time */
	bool has_ended;	      /* is not in the table any more */
	LIST_ENTRY(exchange_session) in_bucket;
	struct exchange_session_list *list; /* its owner's, or that of those without */
	TAILQ_ENTRY(exchange_session) in_list;
	struct exchange_reply kept[]; /* by seq modulo n_kept */
};

struct exchange_sessions;

/* What a request is to its session. */
enum exchange_order {
	EXCHANGE_NEXT,
	EXCHANGE_GAP,	    /* some before it did not come, and will not */
	EXCHANGE_AGAIN,	    /* it came before, by an earlier HELLO */
	EXCHANGE_INVERSION, /* it, or a later one, came since the last HELLO */
};

/* n_kept: replies of each session. 0 or -ENOMEM. */
int exchange_sessions_open(struct exchange_sessions **out, uint32_t n_max, uint32_t n_kept);
void exchange_sessions_close(struct exchange_sessions *sessions); /* takes NULL */

struct exchange_session *exchange_session_find(const struct exchange_sessions *sessions, uint64_t id);

/*
 * A new one, without an owner; the ID is not in the table. If that is full the one whose owner ended first makes room, and
 * *evicted counts it. NULL: all have owners, or no memory.
 */
struct exchange_session *exchange_session_add(struct exchange_sessions *sessions, uint64_t id, uint64_t *evicted);

/* The session ends. Its memory is freed with the last reply that waits: exchange_session_release() after each of those. */
void exchange_session_end(struct exchange_sessions *sessions, struct exchange_session *s);
void exchange_session_release(struct exchange_session *s);

/* It belongs to `owner` from now on, and is in that one's list; NULL, NULL: to nobody. */
void exchange_session_bind(struct exchange_sessions *sessions, struct exchange_session *s, void *owner,
			   struct exchange_session_list *of_owner);

/* A HELLO came, by a client that has all replies up to `received`. Returns the last request that was served: 0 = none is known. */
uint64_t exchange_session_hello(struct exchange_session *s, uint64_t received);

/* A request came. */
enum exchange_order exchange_session_note(struct exchange_session *s, uint64_t seq);

void exchange_session_keep(const struct exchange_sessions *sessions, struct exchange_session *s,
			   const struct exchange_reply *reply);

/* The reply to this request; NULL if it is not kept. */
const struct exchange_reply *exchange_session_kept(const struct exchange_sessions *sessions, const struct exchange_session *s,
						   uint64_t seq);

/* Of the replies that were written none before this one is kept. */
uint64_t exchange_session_oldest(const struct exchange_sessions *sessions, const struct exchange_session *s);

uint32_t exchange_sessions_count(const struct exchange_sessions *sessions);

#endif /* XSR_EXCHANGE_SESSIONS_H */
