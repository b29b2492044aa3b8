/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * What a router in user space does with a message that belongs to another thread: a bounded queue under a
 * mutex, and an eventfd that wakes the other side, written only if that found the queue empty and sleeps.
 * One thread puts, one takes. A peer of the measurements; xsr itself has no such queue.
 */
#ifndef XSR_WAKE_QUEUE_H
#define XSR_WAKE_QUEUE_H

struct wake_queue;

/* 0 or -errno. The capacity is a power of two. */
int wake_queue_open(struct wake_queue **out, unsigned int capacity);
void wake_queue_close(struct wake_queue *queue); /* takes NULL */

/* Puts all n items in, by one lock; there is room, the caller sees to that. */
void wake_queue_put(struct wake_queue *queue, void *const *items, unsigned int n);

/* Takes up to n; sleeps while there are none. 0 only if a signal came. */
unsigned int wake_queue_take(struct wake_queue *queue, void **items, unsigned int n);

#endif /* XSR_WAKE_QUEUE_H */
