/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * What the files of the exchange share.
 *
 *   exchange.c		 opening, the turn
 *   exchange_conn.c	 a connection: when it is read and when not, its end
 *   exchange_answer.c	 what a frame means
 *   exchange_reply.c	 replies: now, later, again
 *   exchange_sessions.c sessions, the last replies of each
 *   exchange_waiting.c	 what waits for its time
 *
 * Back-pressure is one rule: a frame whose reply finds no room stays where it is, and its connection is not read until there is.
 */
#ifndef XSR_EXCHANGE_PARTS_H
#define XSR_EXCHANGE_PARTS_H

#include "exchange.h"
#include "exchange_sessions.h"
#include "exchange_waiting.h"
#include "stream_frame.h"
#include "stream_random.h"

enum conn_pause {
	CONN_READS,
	CONN_FULL,    /* until its own queue is shorter */
	CONN_STARVED, /* until there is memory, or fewer replies wait */
	CONN_STALLED, /* for ever */
	CONN_LEAVES,  /* the peer writes no more: what it asked is still answered */
	CONN_ENDED,   /* is freed at the end of the turn, or with the last reply that waits */
};

TAILQ_HEAD(exchange_conn_list, exchange_conn);
LIST_HEAD(exchange_conn_set, exchange_conn);

struct exchange_conn {
	struct exchange *exchange;
	struct tcp *tcp;
	enum conn_pause pause;
	uint32_t events; /* asked of epoll */
	struct exchange_session_list sessions;
	size_t stays_len;     /* of the reply that found no room, if it is full */
	uint64_t read_ns;
	uint64_t due_ns;      /* of the last reply that waits */
	uint32_t n_waiting;   /* requests of it whose reply waits */
	size_t waiting_len;   /* bytes of those */
	bool is_dirty;	      /* is in the list of those to look after at the end of the turn */
	LIST_ENTRY(exchange_conn) in_all;
	TAILQ_ENTRY(exchange_conn) in_dirty;
	struct exchange_conn_list *queue; /* of those that go on: starved ones, or in the next turn; NULL = none */
	TAILQ_ENTRY(exchange_conn) in_queue;
};

struct exchange {
	struct exchange_config c;
	struct exchange_counts counts;
	int listener, epoll_fd;
	uint64_t accept_ns; /* when connections are accepted again; 0 = they are */
	uint64_t now_ns;
	bool is_short; /* of memory for replies that are due */
	struct tcp_shared shared;
	struct exchange_sessions *sessions;
	struct exchange_waiting *waiting;
	struct exchange_conn_set conns;
	struct exchange_conn_list dirty, again, starved;
	struct stream_random random;
	uint64_t last_id; /* that was handed out */
	uint8_t *in, *out; /* a frame each: one that lay in parts, and the reply under construction */
};

/* --- exchange_conn.c --- */

/* Takes fd over. */
void exchange_conn_open(struct exchange *e, int fd);

/* What epoll tells of it. */
void exchange_conn_ready(struct exchange_conn *c, uint32_t events);

/* It does not read until there is memory, or fewer replies wait. */
void exchange_conn_starve(struct exchange_conn *c);

/* All that are in the queue may go on: with the frames that stayed, then with what is new. */
void exchange_conns_go_on(struct exchange_conn_list *queue);

/* It carries no more; its sessions have no connection then. Not freed before the end of the turn. */
void exchange_conn_end(struct exchange_conn *c);

/* Something was queued, or taken from what waits: it is looked after at the end of the turn. */
void exchange_conn_touch(struct exchange_conn *c);

/* The end of the turn. */
void exchange_conns_flush(struct exchange *e);

/* Closes and frees it, whatever waits. */
void exchange_conn_free(struct exchange_conn *c);

/* --- exchange_answer.c --- */

/* One frame: 0, or -EAGAIN and c->pause says why it has to stay, or -ECANCELED: the connection has ended. */
int exchange_answer(struct exchange_conn *c, const struct tcp_frame *frame);

/* --- exchange_reply.c --- */

/* Room for a frame on the connection; else -EAGAIN, and it pauses. */
int exchange_reply_room(struct exchange_conn *c, size_t len);

/*
 * The reply to a request of this connection, now or in its time. head: of the request's payload, as long as stream_head_len() says
 * of the reply. There is room.
 */
void exchange_reply(struct exchange_conn *c, struct exchange_session *s, const struct exchange_reply *reply, const uint8_t *head);

/* The answer to a heartbeat: behind the replies to all that came before it. There is room. */
void exchange_reply_pong(struct exchange_conn *c, const struct xsr_frame *ping);

/* A frame that is ready. There is room, but for what the whole process lacks: then the connection ends. */
void exchange_reply_send(struct exchange_conn *c, const void *frame, size_t len);

/* Replies behind `received` that were written before, once more; an ERR in place of those that are not kept. */
void exchange_reply_again(struct exchange_conn *c, struct exchange_session *s, uint64_t received);

/* What is due. False: some of it found no memory, and has to be tried again soon. */
bool exchange_replies_due(struct exchange *e);

#endif /* XSR_EXCHANGE_PARTS_H */
