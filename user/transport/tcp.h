/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * TCP connections that carry frames: they read what has come, cut it into frames, and queue what is to be
 * written, all without waiting. Memory is bounded: by the pool for all, by queue_max for what one has yet to write. One thread owns a
 * set of connections and the memory that they share.
 */
#ifndef XSR_TCP_H
#define XSR_TCP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "chunk.h"
#include "frame.h"

#define TCP_FRAME_MAX (1u << 20)      /* the len field of any frame */
#define TCP_CONTIGUOUS_MAX (64u << 10) /* frames of up to so many bytes are handed out in one piece */

struct tcp;

/* What the connections of a thread share: the pool, and the memory that is read into. */
struct tcp_shared {
	struct chunk_pool *pool;
	uint8_t *read;	  /* what was just read, of one connection at a time */
	size_t read_len;  /* bytes there are */
	size_t len;	  /* bytes of the pool when it is empty */
	size_t once;	  /* the most that is read at a time; the owner may change it */
	size_t spare;	  /* those of them that are not read into, but by one whose long frame has begun: */
	const struct tcp *finisher; /* NULL = nobody; else of many such frames none might become whole */
	const struct tcp *reader; /* whose bytes are there; NULL = nobody's */
};

int tcp_shared_open(struct tcp_shared *shared, size_t memory_max); /* 0 or -errno */
void tcp_shared_close(struct tcp_shared *shared);		   /* its connections are closed */

/* Why a connection carries no more. */
enum tcp_end {
	TCP_END_NONE,
	TCP_END_FIN,	     /* the peer writes no more */
	TCP_END_HALF_FRAME,  /* likewise, in the middle of a frame */
	TCP_END_RESET,	     /* or another error of the socket */
	TCP_END_BAD_LEN,
	TCP_END_BAD_VERSION,
	TCP_END_BAD_TYPE,
	TCP_END_LATE,	     /* a frame was not whole in time; only where the kernel reads */
};

struct tcp {
	struct tcp_shared *shared;
	int fd;
	uint32_t frame_max;	 /* the most that a len field may say; 0 = no frames: whatever comes is handed out as it comes */
	size_t queue_max;
	bool is_common;		 /* many wait for what comes: it may be read also into the memory that is spared */
	bool is_exact;		 /* nothing behind the frame that is being read is taken from the socket */
	enum tcp_end end;	 /* of reading; set by tcp_read() and tcp_next() */
	int error;		 /* errno of a RESET */
	struct chunk_queue in;	 /* read, and not handed out yet */
	struct chunk_queue out;	 /* to be written */
	const uint8_t *at, *stop; /* of what was just read: what is not handed out yet; NULL = it lies in `in` */
	uint64_t n_read, n_written; /* bytes */
	bool is_blocked;	 /* the socket took less than there was, when it was last asked */
};

/* A frame that came. Borrowed until tcp_take(), tcp_forward() or tcp_keep(). */
struct tcp_frame {
	const struct xsr_frame *header; /* NULL without frames: then it is some of what came, up to TCP_CONTIGUOUS_MAX */
	const uint8_t *data;	/* the whole of it, header included; NULL if it is longer than TCP_CONTIGUOUS_MAX: then it lies in tcp->in */
	size_t len;		/* of it, header included */
};

/* Takes fd over, also if it fails. frame_max as in struct tcp. 0 or -errno. */
int tcp_open(struct tcp **out, struct tcp_shared *shared, int fd, uint32_t frame_max, size_t queue_max);
void tcp_close(struct tcp *t); /* takes NULL; closes fd, drops what is queued */

/*
 * Reads once, as much as there is and fits: more than 0 = bytes read, 0 = nothing there, -ENOBUFS = the pool has no memory for it
 * now, another error = t->end says what. Then tcp_next() until it returns 0, then tcp_keep(), before another connection of
 * the thread is read. What an earlier tcp_keep() kept is handed out first: call tcp_next() also without anything new.
 */
int tcp_read(struct tcp *t);

/* The next whole frame: 1 and *frame, 0 = none, -EPROTO = what comes is no frame: t->end says why, and nothing follows. */
int tcp_next(struct tcp *t, struct tcp_frame *frame);

/* Done with the frame that tcp_next() showed. */
void tcp_take(struct tcp *t, const struct tcp_frame *frame);

/*
 * The same, and it goes to the end of what `to` has to write, or nothing happens: -EAGAIN, `to` is full, or -ENOBUFS. What is long, with
 * nothing before it, may be written at once.
 */
int tcp_forward(struct tcp *t, const struct tcp_frame *frame, struct tcp *to);

/* Keeps what was not handed out, in memory that tcp_read() made sure of. */
void tcp_keep(struct tcp *t);

/* Bytes of a frame, from offset on, wherever it lies. */
void tcp_frame_copy(const struct tcp *t, const struct tcp_frame *frame, size_t offset, void *to, size_t len);

/* To the end of what is to be written, whole or not at all: -EAGAIN if it is full, which an empty one never is, or -ENOBUFS. */
int tcp_send(struct tcp *t, const void *data, size_t len);
bool tcp_has_room(const struct tcp *t, size_t len);

/* Writes what the socket takes: 1 = all, 0 = some is left (wait until it is writable), -errno = it is lost. */
int tcp_flush(struct tcp *t);

static inline size_t tcp_unsent(const struct tcp *t)
{
	return t->out.len;
}

#endif /* XSR_TCP_H */
