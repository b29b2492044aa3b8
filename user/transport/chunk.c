/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * A queue is a list of chunks, each with bytes; only a reservation adds some without. The pool gives away first what was used
 * before: those pages are there already, and in the cache. But a queue grows by the chunk behind its last one, if that is free: so few vectors
 * name many.
 */
#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/queue.h>

#include "chunk.h"

struct chunk {
	struct chunk *next; /* of its queue */
	LIST_ENTRY(chunk) free; /* of the pool's, if it is_free */
	bool is_free;
	uint8_t *data;	     /* its place in the memory */
	uint32_t start, end; /* of the bytes in data */
};

struct chunk_pool {
	uint8_t *memory;
	struct chunk *chunks; /* one for each CHUNK_LEN of it */
	size_t n_chunks;
	size_t n_touched; /* the first so many were in use before; the others are not even memory */
	LIST_HEAD(, chunk) free; /* of those */
	size_t n_free;
	size_t n_held;
};

static size_t min_len(size_t a, size_t b)
{
	return a < b ? a : b;
}

static size_t chunks_for(size_t len)
{
	return (len + CHUNK_LEN - 1) / CHUNK_LEN;
}

/* --- the pool --- */

static void *memory_map(size_t len)
{
	void *memory = mmap(NULL, len, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	return memory == MAP_FAILED ? NULL : memory;
}

int chunk_pool_open(struct chunk_pool **out, size_t len_max)
{
	struct chunk_pool *pool;

	if (len_max < CHUNK_LEN)
		return -EINVAL;
	pool = calloc(1, sizeof(*pool));
	if (!pool)
		return -ENOMEM;
	pool->n_chunks = len_max / CHUNK_LEN;
	pool->memory = memory_map(pool->n_chunks * CHUNK_LEN);
	pool->chunks = memory_map(pool->n_chunks * sizeof(*pool->chunks));
	if (!pool->memory || !pool->chunks) {
		chunk_pool_close(pool);
		return -ENOMEM;
	}
	*out = pool;
	return 0;
}

void chunk_pool_close(struct chunk_pool *pool)
{
	if (!pool)
		return;
	if (pool->memory)
		munmap(pool->memory, pool->n_chunks * CHUNK_LEN);
	if (pool->chunks)
		munmap(pool->chunks, pool->n_chunks * sizeof(*pool->chunks));
	free(pool);
}

static size_t pool_left(const struct chunk_pool *pool)
{
	return pool->n_free + pool->n_chunks - pool->n_touched - pool->n_held;
}

size_t chunk_pool_room(const struct chunk_pool *pool)
{
	return pool_left(pool) * CHUNK_LEN;
}

void chunk_pool_hold(struct chunk_pool *pool, size_t len)
{
	pool->n_held = 0;
	assert(chunks_for(len) <= pool_left(pool));
	pool->n_held = chunks_for(len);
}

/* The one behind `after`, which may be NULL, if it is free. */
static struct chunk *chunk_get(struct chunk_pool *pool, struct chunk *after)
{
	struct chunk *c = LIST_FIRST(&pool->free);

	if (!pool_left(pool))
		return NULL;
	if (after && after + 1 < pool->chunks + pool->n_touched && after[1].is_free)
		c = after + 1;
	if (c) {
		LIST_REMOVE(c, free);
		pool->n_free--;
	} else {
		c = &pool->chunks[pool->n_touched];
		c->data = pool->memory + pool->n_touched++ * CHUNK_LEN;
	}
	c->is_free = false;
	c->next = NULL;
	c->start = c->end = 0;
	return c;
}

/* Given away next, or behind `before`. */
static void chunk_put(struct chunk_pool *pool, struct chunk *before, struct chunk *c)
{
	c->is_free = true;
	if (before)
		LIST_INSERT_AFTER(before, c, free);
	else
		LIST_INSERT_HEAD(&pool->free, c, free);
	pool->n_free++;
}

/* --- at the end of a queue --- */

static size_t tail_room(const struct chunk_queue *q)
{
	return q->tail ? CHUNK_LEN - q->tail->end : 0;
}

/* Where the next chunk goes, or a reservation is. */
static struct chunk **queue_link(struct chunk_queue *q)
{
	return q->tail ? &q->tail->next : &q->head;
}

bool chunk_has_room(const struct chunk_pool *pool, const struct chunk_queue *q, size_t len)
{
	return len <= tail_room(q) + chunk_pool_room(pool);
}

bool chunk_append(struct chunk_pool *pool, struct chunk_queue *q, const void *data, size_t len)
{
	const uint8_t *from = data;
	size_t n;

	if (!chunk_has_room(pool, q, len))
		return false;
	q->len += len;
	for (; len; from += n, len -= n) {
		if (!tail_room(q)) {
			struct chunk *c = chunk_get(pool, q->tail);

			*queue_link(q) = c;
			q->tail = c;
		}
		n = min_len(len, tail_room(q));
		memcpy(q->tail->data + q->tail->end, from, n);
		q->tail->end += n;
	}
	return true;
}

bool chunk_append_queue(struct chunk_pool *pool, struct chunk_queue *q, const struct chunk_queue *from, size_t len)
{
	const struct chunk *c;
	size_t n;

	if (len > tail_room(q) + chunk_pool_room(pool))
		return false;
	for (c = from->head; len; c = c->next, len -= n) {
		n = min_len(len, c->end - c->start);
		chunk_append(pool, q, c->data + c->start, n);
	}
	return true;
}

void chunk_join(struct chunk_queue *to, struct chunk_queue *from)
{
	if (!from->head)
		return;
	*queue_link(to) = from->head;
	to->tail = from->tail;
	to->len += from->len;
	*from = (struct chunk_queue){};
}

/* Its first chunk becomes the last of `to`. */
static void chunk_pass(struct chunk_queue *to, struct chunk_queue *from)
{
	struct chunk *c = from->head;
	struct chunk_queue one = { .head = c, .tail = c, .len = c->end - c->start };

	from->head = c->next;
	if (!from->head)
		from->tail = NULL;
	from->len -= one.len;
	c->next = NULL;
	chunk_join(to, &one);
}

bool chunk_move(struct chunk_pool *pool, struct chunk_queue *to, struct chunk_queue *from, size_t len)
{
	struct chunk_queue part = {};
	size_t rest;

	assert(len <= from->len);
	while (from->head && from->head->end - from->head->start <= len - part.len)
		chunk_pass(&part, from);
	rest = len - part.len;
	if (rest && !chunk_append(pool, &part, from->head->data + from->head->start, rest)) {
		chunk_join(&part, from);
		*from = part;
		return false;
	}
	chunk_drop(pool, from, rest);
	chunk_join(to, &part);
	return true;
}

/* What lies right behind the last vector makes that longer. False: n are used, and it is none of those. */
static bool vector_add(struct iovec *iov, int *used, int n, void *data, size_t len)
{
	struct iovec *last = iov + *used - 1;

	if (*used && (uint8_t *)last->iov_base + last->iov_len == data) {
		last->iov_len += len;
		return true;
	}
	if (*used == n)
		return false;
	iov[(*used)++] = (struct iovec){ data, len };
	return true;
}

int chunk_reserve(struct chunk_pool *pool, struct chunk_queue *q, struct iovec *iov, int n, size_t len)
{
	struct chunk **link = queue_link(q), *last = q->tail, *c;
	size_t room = min_len(len, tail_room(q));
	int used = 0;

	if (room && !vector_add(iov, &used, n, q->tail->data + q->tail->end, room))
		return 0;
	for (len -= room; len && (c = chunk_get(pool, last)); len -= room) {
		room = min_len(len, CHUNK_LEN);
		if (!vector_add(iov, &used, n, c->data, room)) {
			chunk_put(pool, NULL, c);
			break;
		}
		*link = last = c;
		link = &c->next;
	}
	return used;
}

void chunk_commit(struct chunk_pool *pool, struct chunk_queue *q, size_t len)
{
	size_t n = min_len(len, tail_room(q));
	struct chunk *c, *rest;

	q->len += len;
	if (q->tail)
		q->tail->end += n;
	for (len -= n; len; len -= n) {
		c = *queue_link(q);
		assert(c); /* no more than was reserved */
		n = min_len(len, CHUNK_LEN);
		c->end = n;
		q->tail = c;
	}
	rest = *queue_link(q);
	*queue_link(q) = NULL;
	while ((c = rest)) {
		rest = c->next;
		chunk_put(pool, NULL, c);
	}
}

/* --- at its front --- */

int chunk_vectors(const struct chunk_queue *q, struct iovec *iov, int n, size_t len)
{
	struct chunk *c;
	int used = 0;
	size_t here;

	for (c = q->head; c && len; c = c->next, len -= here) {
		here = min_len(len, c->end - c->start);
		if (!vector_add(iov, &used, n, c->data + c->start, here))
			break;
	}
	return used;
}

void chunk_copy(const struct chunk_queue *q, size_t offset, void *to, size_t len)
{
	const struct chunk *c = q->head;
	uint8_t *at = to;
	size_t n;

	assert(offset <= q->len && len <= q->len - offset);
	for (; len; c = c->next) {
		size_t here = c->end - c->start;

		if (offset >= here) {
			offset -= here;
			continue;
		}
		n = min_len(len, here - offset);
		memcpy(at, c->data + c->start + offset, n);
		at += n;
		len -= n;
		offset = 0;
	}
}

void chunk_drop(struct chunk_pool *pool, struct chunk_queue *q, size_t len)
{
	struct chunk *c, *before = NULL;
	size_t n;

	assert(len <= q->len);
	q->len -= len;
	for (c = q->head; len; c = q->head) {
		n = min_len(len, c->end - c->start);
		c->start += n;
		len -= n;
		if (c->start < c->end)
			break;
		q->head = c->next;
		chunk_put(pool, before, c);
		before = c;
	}
	if (!q->head)
		q->tail = NULL;
}
