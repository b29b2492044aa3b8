/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * What a router in user space does with a message that belongs to another thread: a bounded queue under a
 * mutex, and an eventfd that wakes the other side, written only if that found the queue empty and sleeps.
 * One thread puts, one takes. A peer of the measurements; xsr itself has no such queue.
 */
#ifndef XSR_HANDOFF_H
#define XSR_HANDOFF_H

struct handoff;

/* 0 or -errno. The capacity is a power of two. */
int handoff_open(struct handoff **out, unsigned int capacity);
void handoff_close(struct handoff *handoff); /* takes NULL */

/* Puts all n items in, by one lock; there is room, the caller sees to that. */
void handoff_put(struct handoff *handoff, void *const *items, unsigned int n);

/* Takes up to n; sleeps while there are none. 0 only if a signal came. */
unsigned int handoff_take(struct handoff *handoff, void **items, unsigned int n);

#endif /* XSR_HANDOFF_H */
