/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#include "hold.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#define CHUNK_LEN 256

/* A message is a chain of chunks: its head, which begins with what is known of it, then data alone. */
struct chunk {
	uint32_t next;	  /* of the same message; number + 1, 0 = its last */
	uint32_t message; /* head only: the next message's head, likewise */
	uint8_t room[CHUNK_LEN - 8];
};
_Static_assert(sizeof(struct chunk) == CHUNK_LEN, "chunks are an array");

/* A head's room begins with the struct xsr_message, whose data and room mean nothing there, and whose buffer is when it came. */
#define HEAD_ROOM (CHUNK_LEN - 8 - sizeof(struct xsr_message))
#define TAIL_ROOM (CHUNK_LEN - 8)

struct hold_pool {
	struct chunk *chunks;
	size_t len;
	uint32_t n_max;
	uint32_t n_used;
	uint32_t n_fresh; /* chunks from here on were never used */
	uint32_t free;	  /* a list by `next` of those that were */
};

int hold_pool_open(struct hold_pool **out, size_t len)
{
	struct hold_pool *pool = calloc(1, sizeof(*pool));

	if (!pool)
		return -ENOMEM;
	pool->n_max = len / CHUNK_LEN;
	pool->len = (size_t)pool->n_max * CHUNK_LEN;
	pool->chunks = mmap(NULL, pool->len ?: CHUNK_LEN, PROT_READ | PROT_WRITE,
			    MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (pool->chunks == MAP_FAILED) {
		free(pool);
		return -ENOMEM;
	}
	*out = pool;
	return 0;
}

void hold_pool_close(struct hold_pool *pool)
{
	if (!pool)
		return;
	munmap(pool->chunks, pool->len ?: CHUNK_LEN);
	free(pool);
}

size_t hold_pool_used(const struct hold_pool *pool)
{
	return (size_t)pool->n_used * CHUNK_LEN;
}

static uint32_t chunks_needed(uint32_t len)
{
	return len <= HEAD_ROOM ? 1 : 1 + (len - HEAD_ROOM + TAIL_ROOM - 1) / TAIL_ROOM;
}

static struct chunk *chunk_at(const struct hold_pool *pool, uint32_t number)
{
	return &pool->chunks[number - 1];
}

static uint32_t chunk_take(struct hold_pool *pool)
{
	uint32_t number = pool->free;

	if (number)
		pool->free = chunk_at(pool, number)->next;
	else
		number = ++pool->n_fresh;
	pool->n_used++;
	chunk_at(pool, number)->next = 0;
	return number;
}

static void chain_put(struct hold_pool *pool, uint32_t number)
{
	while (number) {
		struct chunk *chunk = chunk_at(pool, number);
		uint32_t next = chunk->next;

		chunk->next = pool->free;
		pool->free = number;
		pool->n_used--;
		number = next;
	}
}

static void data_write(struct hold_pool *pool, struct chunk *chunk, const uint8_t *data, uint32_t len)
{
	uint32_t n = len < HEAD_ROOM ? len : HEAD_ROOM;

	memcpy(chunk->room + sizeof(struct xsr_message), data, n);
	for (data += n, len -= n; len; data += n, len -= n) {
		chunk->next = chunk_take(pool);
		chunk = chunk_at(pool, chunk->next);
		n = len < TAIL_ROOM ? len : TAIL_ROOM;
		memcpy(chunk->room, data, n);
	}
}

static void data_read(const struct hold_pool *pool, const struct chunk *chunk, uint8_t *data, uint32_t len)
{
	uint32_t n = len < HEAD_ROOM ? len : HEAD_ROOM;

	memcpy(data, chunk->room + sizeof(struct xsr_message), n);
	for (data += n, len -= n; len; data += n, len -= n) {
		chunk = chunk_at(pool, chunk->next);
		n = len < TAIL_ROOM ? len : TAIL_ROOM;
		memcpy(data, chunk->room, n);
	}
}

bool hold_push(struct hold_pool *pool, struct hold *hold, const struct xsr_message *m, uint64_t now_ns)
{
	struct xsr_message kept = *m;
	struct chunk *chunk;
	uint32_t number;

	if (pool->n_used + chunks_needed(m->len) > pool->n_max)
		return false;
	number = chunk_take(pool);
	chunk = chunk_at(pool, number);
	chunk->message = 0;
	kept.buffer = now_ns;
	memcpy(chunk->room, &kept, sizeof(kept));
	data_write(pool, chunk, m->data, m->len);
	if (hold->last)
		chunk_at(pool, hold->last)->message = number;
	else
		hold->first = number;
	hold->last = number;
	if (!hold->n++)
		hold->first_ns = now_ns;
	return true;
}

static uint64_t head_time(const struct hold_pool *pool, uint32_t number)
{
	struct xsr_message kept;

	memcpy(&kept, chunk_at(pool, number)->room, sizeof(kept));
	return kept.buffer;
}

/* The head off the front; its chain is the caller's. */
static uint32_t head_take(struct hold_pool *pool, struct hold *hold)
{
	uint32_t number = hold->first;

	hold->first = chunk_at(pool, number)->message;
	if (--hold->n)
		hold->first_ns = head_time(pool, hold->first);
	else
		hold->last = 0;
	return number;
}

bool hold_pop(struct hold_pool *pool, struct hold *hold, struct xsr_message *into)
{
	const struct xsr_message room = *into;
	const struct chunk *chunk;
	uint32_t number;

	if (!hold->n)
		return false;
	number = head_take(pool, hold);
	chunk = chunk_at(pool, number);
	memcpy(into, chunk->room, sizeof(*into));
	into->data = room.data;
	into->room = room.room;
	into->buffer = room.buffer;
	assert(into->len <= room.room);
	data_read(pool, chunk, into->data, into->len);
	chain_put(pool, number);
	return true;
}

void hold_clear(struct hold_pool *pool, struct hold *hold)
{
	while (hold->n)
		chain_put(pool, head_take(pool, hold));
	hold->first_ns = 0;
}
