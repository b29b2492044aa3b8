/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * What waits for its time: soonest first, what came first of those of one time. Bounded; all memory is taken at its opening. One
 * thread.
 */
#ifndef XSR_EXCHANGE_WAITING_H
#define XSR_EXCHANGE_WAITING_H

#include <stdbool.h>
#include <stdint.h>

#include "exchange_sessions.h"

/* A reply of a session, or, without one, a PONG. */
struct exchange_wait {
	uint64_t due_ns;
	uint64_t order; /* in which they came; set by exchange_waiting_add() */
	void *source;	/* the connection that the request came by */
	struct exchange_session *session;
	struct exchange_reply reply; /* of a PONG seq alone */
	uint64_t id;
	uint8_t *head;	/* of the payload, to be freed by whoever takes it; NULL = it is in the reply */
};

struct exchange_waiting;

int exchange_waiting_open(struct exchange_waiting **out, uint32_t n_max); /* 0 or -ENOMEM */
void exchange_waiting_close(struct exchange_waiting *waiting);		  /* takes NULL; with what waits */

bool exchange_waiting_is_full(const struct exchange_waiting *waiting);

/* Not full: it is copied. */
void exchange_waiting_add(struct exchange_waiting *waiting, const struct exchange_wait *wait);

/* The one that is due first, borrowed until the next call; NULL = nothing waits. */
const struct exchange_wait *exchange_waiting_first(const struct exchange_waiting *waiting);

/* Takes that one away; its head is the caller's. */
struct exchange_wait exchange_waiting_take(struct exchange_waiting *waiting);

#endif /* XSR_EXCHANGE_WAITING_H */
