/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Messages that wait for their session's state, in order. They are copied out of the transport's buffers: a frame of the UMEM that
 * waits is one that its queue cannot receive into, and a grace period at full rate is more messages than a
 * queue has frames. All memory is taken at open. One thread owns a pool and its holds.
 */
#ifndef XSR_HOLD_H
#define XSR_HOLD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "xsr.h"

struct hold_pool;

/* The messages of one session; all zeroes is an empty one. */
struct hold {
	uint32_t first, last; /* number of a chunk + 1; 0 = none */
	uint32_t n;
	uint64_t first_ns;    /* when the oldest came */
};

/* len bytes for all holds together; pages are touched as they are needed. 0 or -ENOMEM. */
int hold_pool_open(struct hold_pool **out, size_t len);
void hold_pool_close(struct hold_pool *pool); /* takes NULL */

/* Bytes that are taken now. */
size_t hold_pool_used(const struct hold_pool *pool);

/* Copies the message to the end. False if there is no room: nothing is kept. */
bool hold_push(struct hold_pool *pool, struct hold *hold, const struct xsr_message *message, uint64_t now_ns);

/*
 * Takes the oldest message out into `into`, whose data, room and buffer stay: the room must be enough for any message that was
 * pushed. False if there is none.
 */
bool hold_pop(struct hold_pool *pool, struct hold *hold, struct xsr_message *into);

/* Lets all of them go. */
void hold_clear(struct hold_pool *pool, struct hold *hold);

#endif /* XSR_HOLD_H */
