/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Queues of bytes, made of chunks from a pool of bounded size. A queue that is empty holds none. One thread owns a
 * pool and all queues on it.
 */
#ifndef XSR_CHUNK_H
#define XSR_CHUNK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/uio.h>

#define CHUNK_LEN 4096

struct chunk;
struct chunk_pool;

/* All zeroes is an empty queue. */
struct chunk_queue {
	struct chunk *head, *tail;
	size_t len; /* bytes queued */
};

/* Memory for len_max bytes, taken from the system only as they are used. 0 or -errno. */
int chunk_pool_open(struct chunk_pool **out, size_t len_max);
void chunk_pool_close(struct chunk_pool *pool); /* takes NULL; with all that is queued */

/* How many bytes could be appended to an empty queue. */
size_t chunk_pool_room(const struct chunk_pool *pool);

/* Sets aside what an empty queue needs for len bytes, in place of what was set aside before; 0 gives it back. It must be there. */
void chunk_pool_hold(struct chunk_pool *pool, size_t len);

/* Whether so much could be appended to the queue. */
bool chunk_has_room(const struct chunk_pool *pool, const struct chunk_queue *q, size_t len);

/* Copies to the end. False if the pool has not enough: then nothing was appended. */
bool chunk_append(struct chunk_pool *pool, struct chunk_queue *q, const void *data, size_t len);

/* The same with the first len bytes of a queue, which must be there; it may be of another pool. */
bool chunk_append_queue(struct chunk_pool *pool, struct chunk_queue *q, const struct chunk_queue *from, size_t len);

/* All of `from` to the end of `to`, without copying; `from` is empty then. */
void chunk_join(struct chunk_queue *to, struct chunk_queue *from);

/*
 * The first len bytes of `from`, which must be there, to the end of `to`; only what shares a chunk with others is copied. False if
 * the pool has none for that: then nothing was moved.
 */
bool chunk_move(struct chunk_pool *pool, struct chunk_queue *to, struct chunk_queue *from, size_t len);

/*
 * To read straight into the queue: makes room for up to len bytes behind its end, and says where, in at most n vectors. Returns
 * how many vectors, 0 if the pool is empty; chunk_commit() says how many bytes were written there and gives the rest of the room back.
 */
int chunk_reserve(struct chunk_pool *pool, struct chunk_queue *q, struct iovec *iov, int n, size_t len);
void chunk_commit(struct chunk_pool *pool, struct chunk_queue *q, size_t len);

/* Where the queue's first bytes are, up to len: at most n vectors, borrowed until it changes. Returns how many. */
int chunk_vectors(const struct chunk_queue *q, struct iovec *iov, int n, size_t len);

/* len bytes from offset on; they must be there. */
void chunk_copy(const struct chunk_queue *q, size_t offset, void *to, size_t len);

/* Takes len bytes off the front; they must be there. */
void chunk_drop(struct chunk_pool *pool, struct chunk_queue *q, size_t len);

#endif /* XSR_CHUNK_H */
