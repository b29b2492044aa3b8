/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * A connection of a gateway, to a client or to a backend: what epoll tells of it, when it is read and when not, what happens to what
 * it has to write. What its frames mean is its owner's matter. The gateway's thread.
 *
 * Back-pressure is one rule: a frame that cannot go on now stays where it is, and its connection is not read until that for which
 * it waits has room again.
 */
#ifndef XSR_CONN_H
#define XSR_CONN_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/queue.h>

#include "sockmap.h"
#include "tcp.h"
#include "tcp_socket.h"

struct gateway;
struct conn;

TAILQ_HEAD(conn_list, conn);

/* What epoll points to. */
struct watched {
	void (*ready)(struct watched *watched, uint32_t events);
};

struct conn_ops {
	/* One frame: 0, -EAGAIN after conn_wait(), or -ECANCELED after conn_end(). */
	int (*frame)(struct conn *conn, const struct tcp_frame *frame);
	/* It is connected, or why not. NULL for those that were accepted. */
	void (*connected)(struct conn *conn, int error);
	/* It carries no more: conn->tcp->end says why, TCP_END_NONE if conn_end() did. Called once; it is freed later. */
	void (*ended)(struct conn *conn);
	/* The peer writes no more: true if something is still to be written to it; then the owner ends it. May be NULL. */
	bool (*lingers)(struct conn *conn);
	/* There is room in its queue. May be NULL. */
	void (*drained)(struct conn *conn);
	/* Carries what many clients ask: it may queue queue_max, however many others there are. */
	bool is_common;
	/* Nothing of it is used any more, but its memory. */
	void (*free)(struct conn *conn);
};

struct conn {
	struct watched watched; /* first */
	const struct conn_ops *ops;
	struct gateway *gateway;
	struct tcp *tcp;
	int fd;
	struct sockmap_socket *socket; /* the kernel moves its bytes, and only some of its frames come here; NULL = all do */
	uint64_t n_received;	   /* by the kernel, as last seen */
	bool is_ending;		   /* the kernel was told of its end, and has something of it to pass on yet */
	uint32_t events;	   /* asked of epoll */
	bool connecting, is_dirty, has_ended;
	bool is_deaf;		   /* epoll does not tell of it any more: both sides have finished */
	struct conn_list *waits_in; /* another's waiters, or the gateway's parked or resumed; NULL = it is read */
	struct conn *waits_on;	   /* whose waiters; itself, if its own queue is full */
	uint64_t waits_ns;	   /* since when */
	bool until_tick;	   /* is parked, and tried again at the next tick */
	struct conn_list waiters;
	TAILQ_ENTRY(conn) waiter;  /* in waits_in */
	TAILQ_ENTRY(conn) turn;	   /* in the gateway's list of those with something to write, or of the ended */
	uint64_t read_ns;	   /* when something was read last */
	uint64_t active_ns;	   /* when a frame that is no heartbeat was */
	uint64_t written_ns;	   /* when the peer took something last; if the kernel moves it, or had room */
	uint64_t n_written;	   /* by the kernel, as last seen when it had none */
	uint64_t half_ns;	   /* since when a frame is not whole; 0 = none */
	unsigned int n_pings;	   /* unanswered */
};

/* Takes fd over, also if it fails. conn was zeroed. 0 or -errno. */
int conn_open(struct conn *conn, struct gateway *gateway, const struct conn_ops *ops, int fd, uint32_t frame_max, bool connecting);

/* Writes what it can, closes, and tells ops->ended(). Its memory is the gateway's to free, at the end of the turn. Again: nothing. */
void conn_end(struct conn *conn);

/*
 * It goes on elsewhere: its descriptor, which is the caller's from now on, or -errno. Nothing is to be written; what was read of it and not
 * handed out is conn_kept() bytes, which are copied before. Here it ends as by conn_end().
 */
int conn_release(struct conn *conn);
size_t conn_kept(const struct conn *conn);
void conn_copy(const struct conn *conn, void *to);

/* Whether one that comes with so much may: what is spared for others is left. */
bool conn_may_restore(const struct gateway *gateway, size_t len);

/* What came on it before it came here, to be handed out when it is resumed. 0 or -ENOBUFS. */
int conn_restore(struct conn *conn, const void *bytes, size_t len);

/* Queues one frame: 0, or -EAGAIN: there is no room, and nothing waits for it. */
int conn_send(struct conn *conn, const void *data, size_t len);

/* The same, also if it is full: for small frames that are few, and on which others wait. -EAGAIN: there is no memory. */
int conn_send_over(struct conn *conn, const void *data, size_t len);

/* The frame that came on `from` goes on to `to`; -EAGAIN: `from` waits for it, if the gateway moves its bytes. */
int conn_forward(struct conn *from, const struct tcp_frame *frame, struct conn *to);

/* Done with a frame that came on it. */
void conn_take(struct conn *conn, const struct tcp_frame *frame);

/*
 * From now on the kernel moves its bytes: nothing is kept that was read, nothing else writes to it. -EAGAIN: something is still to be
 * written; else as sockmap_add(), and it goes on as before.
 */
int conn_join(struct conn *conn, enum sockmap_kind kind, uint32_t service, uint32_t frame_max);
int conn_start(struct conn *conn); /* lets them flow; 0 or -errno */
void conn_unjoin(struct conn *conn); /* after that error: the gateway moves them again */

/* The kernel told that something happened to it, or it is_ending. */
void conn_stir(struct conn *conn);

/* Notes whether something came, if the kernel moves it. */
void conn_look(struct conn *conn);

/* What is still to be written. */
uint64_t conn_unsent(const struct conn *conn);

/* The connection is not read until `on`, which may be itself, has room; NULL: until conn_resume(). Returns -EAGAIN. */
int conn_wait(struct conn *conn, struct conn *on);

/* It goes on in this turn, with the frame that waited. Nothing happens if it does not wait. */
void conn_resume(struct conn *conn);

/* The end of a turn: what was queued goes out, who may go on does, what has ended is freed. */
void conns_turn(struct gateway *gateway);

/* More than half of the memory is in use: each client may have less to write. */
bool conn_is_scarce(const struct gateway *gateway);

/* More than half of what may be queued is. */
bool conn_is_full(const struct conn *conn);

#endif /* XSR_CONN_H */
