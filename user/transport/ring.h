/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * A bounded queue between one producer and one consumer, in memory that both see. Indices run freely and are
 * masked on use, so all slots are usable; each side's index has a cache line of its own, and each side keeps a copy of
 * the other's, which it reads again only when the copy says full or empty.
 *
 * A record may take several slots in a row: they are reserved and submitted together, so they are seen together.
 */
#ifndef XSR_RING_H
#define XSR_RING_H

#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>

#define RING_LINE 64 /* bytes of a cache line */

struct ring {
	_Alignas(RING_LINE) _Atomic uint64_t tail; /* slots submitted; written by the producer */
	_Alignas(RING_LINE) _Atomic uint64_t head; /* slots released; written by the consumer */
	_Alignas(RING_LINE) uint32_t n_slots;	   /* a power of two */
	uint32_t slot_len;
	_Alignas(RING_LINE) uint8_t slots[];
};

/* One side's view; what it trusts is copied here, not read from shared memory. */
struct ring_end {
	struct ring *ring; /* NULL = not connected: nothing to read, no room */
	uint64_t at;	   /* own index, which may be ahead of the published one */
	uint64_t other;	   /* the opposite index as last seen */
	uint32_t n_slots;
	uint32_t slot_len;
};

/* A ring of n_slots (a power of two) of slot_len bytes, empty; NULL without memory. ring_close() takes NULL. */
struct ring *ring_open(uint32_t n_slots, uint32_t slot_len);
void ring_close(struct ring *ring);

/* A view for the side that begins now; the producer of a ring and its consumer have one each. */
static inline struct ring_end ring_end(struct ring *ring)
{
	return (struct ring_end){ .ring = ring, .n_slots = ring->n_slots, .slot_len = ring->slot_len };
}

static inline void *ring_slot(const struct ring_end *end, uint64_t index)
{
	return end->ring->slots + (index & (end->n_slots - 1)) * end->slot_len;
}

/* Producer: how many slots it could reserve now. */
static inline uint32_t ring_room(struct ring_end *p)
{
	if (!p->ring)
		return 0;
	/* Acquire pairs with ring_release(): what was read there may be overwritten here. */
	p->other = atomic_load_explicit(&p->ring->head, memory_order_acquire);
	return p->n_slots - (p->at - p->other);
}

/*
 * Producer: room for n slots, the i-th of which is ring_slot(p, *first + i) until ring_submit(). Returns n, or 0 if there is no
 * room for all of them.
 */
static inline uint32_t ring_reserve(struct ring_end *p, uint32_t n, uint64_t *first)
{
	if (!p->ring)
		return 0;
	if (p->at + n - p->other > p->n_slots) {
		/* Acquire pairs with ring_release(): what was read there may be overwritten here. */
		p->other = atomic_load_explicit(&p->ring->head, memory_order_acquire);
		if (p->at + n - p->other > p->n_slots)
			return 0;
	}
	*first = p->at;
	p->at += n;
	return n;
}

/* Producer: all that was reserved is there for the consumer. */
static inline void ring_submit(struct ring_end *p)
{
	/* Release pairs with ring_recv(). */
	atomic_store_explicit(&p->ring->tail, p->at, memory_order_release);
}

/* Consumer: how many slots wait, the first at ring_slot(c, *first); borrowed until ring_release(). */
static inline uint64_t ring_recv(struct ring_end *c, uint64_t *first)
{
	if (!c->ring)
		return 0;
	if (c->other == c->at)
		/* Acquire pairs with ring_submit(). */
		c->other = atomic_load_explicit(&c->ring->tail, memory_order_acquire);
	*first = c->at;
	return c->other - c->at;
}

/* Consumer: is done with the first n slots. */
static inline void ring_release(struct ring_end *c, uint32_t n)
{
	c->at += n;
	/* Release pairs with ring_reserve(). */
	atomic_store_explicit(&c->ring->head, c->at, memory_order_release);
}

#endif /* XSR_RING_H */
