/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * What the files of the TCP client share.
 *
 *   tcp_load.c		threads, sums
 *   tcp_load_shard.c	one thread's turn: who sends, what is due
 *   tcp_load_conn.c	a connection: made, dropped, made again
 *   tcp_load_io.c	what it reads and writes
 *   tcp_load_session.c	a session: sends, judges what comes
 *   tcp_load_greet.c	its handshake
 *   tcp_load_ids.c	sessions by ID
 *   request_ledger.c	what is expected of a session
 *
 * Who has something to send is in a list: sessions of their connection, connections of their shard. Nothing is searched for, but
 * once in 100 ms for sessions that are overdue.
 */
#ifndef XSR_TCP_LOAD_PARTS_H
#define XSR_TCP_LOAD_PARTS_H

#include <pthread.h>
#include <sys/queue.h>

#include "clock.h"
#include "histogram.h"
#include "stream_frame.h"
#include "stream_random.h"
#include "tcp_load.h"

#define LOAD_QUEUE_LEN (256u << 10) /* bytes that a connection has to write, from where it takes no more */

struct load_shard;

enum load_session_state {
	LOAD_WAITING, /* to greet */
	LOAD_GREETED,
	LOAD_OPEN,
};

struct load_session {
	uint64_t id; /* 0 = not assigned yet */
	struct load_conn *conn;
	struct request_ledger ledger;
	enum load_session_state state;
	bool was_opened;   /* ever */
	bool is_finished;  /* nothing of it is expected any more */
	bool is_ready;	   /* in the connection's list */
	uint64_t n_left;   /* messages to begin */
	uint64_t alive_ns; /* heard of, or begun to wait */
	uint64_t pause_ns; /* it sends nothing until then; 0 = it may */
	TAILQ_ENTRY(load_session) in_ready, in_paused;
	LIST_ENTRY(load_session) in_bucket;
};

TAILQ_HEAD(load_session_list, load_session);
LIST_HEAD(load_session_bucket, load_session);

enum load_conn_state {
	LOAD_DOWN, /* until retry_ns, or for good */
	LOAD_CONNECTING,
	LOAD_UP,
	LOAD_LEAVING, /* writes no more, on purpose, and reads to the end */
};

struct load_conn {
	struct load_shard *shard;
	enum load_conn_state state;
	int fd;		  /* while it connects */
	struct tcp *tcp;  /* then */
	uint32_t events;  /* asked of epoll */
	struct load_session *sessions;
	uint32_t n_sessions;
	struct load_session_list ready;
	struct chunk_queue uncut; /* written, and not cut into pieces yet */
	uint64_t n_made;	  /* times */
	uint64_t since_ns;	  /* it is in this state */
	uint64_t retry_ns;
	uint32_t retry_ms;	  /* the next pause */
	bool is_slow, is_ready, is_dirty;
	int64_t allowance;	  /* bytes that a slow one may read */
	TAILQ_ENTRY(load_conn) in_ready, in_dirty, in_down;
};

TAILQ_HEAD(load_conn_list, load_conn);

struct load_shard {
	const struct tcp_load_config *c;
	const volatile bool *stop;
	pthread_t thread;
	int epoll_fd;
	int error; /* of epoll: it had to end */
	struct tcp_shared shared;
	struct load_conn *conns;
	uint32_t n_conns, n_connecting;
	uint32_t stride, place; /* its first connection is number `place` of all, the others follow in steps of `stride` */
	struct load_session *sessions;
	uint32_t n_sessions, n_unopened, n_unfinished;
	uint64_t n_left; /* messages to begin, of all sessions */
	struct request *requests;
	struct load_session_bucket *buckets; /* by ID, if those are assigned */
	uint32_t bucket_mask;
	struct load_conn_list ready, dirty, down;
	struct load_session_list paused;
	struct stream_random random;
	double rate; /* its share; 0 = none */
	uint64_t now_ns, open_ns, start_ns, end_ns; /* opened; began to send; ended that. 0 = not yet */
	uint64_t measure_ns; /* the end of the warm-up */
	uint64_t latency_sum_ns;
	uint64_t tick_ns, check_ns, publish_ns;
	uint64_t n_begun; /* requests */
	uint64_t n_dropped;
	uint64_t answered_in_time, bytes_in_time; /* until end_ns */
	uint8_t *in, *out; /* a frame each */
	struct tcp_load_result result;
	struct histogram latency_ns;
	pthread_mutex_t lock; /* of what follows */
	struct tcp_load_result published;
	bool has_ended;
};

/* --- tcp_load_shard.c --- */

/* The share of thread `place`. 0 or -errno; load_shard_close() in any case. */
int load_shard_open(struct load_shard *shard, const struct tcp_load_config *config, uint32_t place, const volatile bool *stop);
void load_shard_close(struct load_shard *shard);

/* The thread; arg is the shard. */
void *load_shard_run(void *arg);

/* Requests that may be begun now. */
bool load_shard_may_begin(const struct load_shard *shard);

/* When the next one is due, or what is now without a rate. */
uint64_t load_shard_due_ns(const struct load_shard *shard);

/* --- tcp_load_conn.c --- */

void load_conn_init(struct load_conn *c, struct load_shard *shard);

/* It is down, and may be made now. */
void load_conn_connect(struct load_conn *c);

/* It connects, and epoll tells how that went. */
void load_conn_connecting(struct load_conn *c);

/* Whatever it was: now it is down, and is made again after a pause. */
void load_conn_down(struct load_conn *c, uint64_t pause_ns);

/* It came to its end, by tcp->end; all is well if it was leaving. */
void load_conn_ended(struct load_conn *c);

/* Ends it at random in one of three ways; it comes back at once. */
void load_conn_drop(struct load_conn *c);

/* It is down if it connects, or leaves, for too long. */
void load_conn_check(struct load_conn *c);

/* --- tcp_load_io.c --- */

/* What epoll tells of it. */
void load_conn_ready(struct load_conn *c, uint32_t events);

/* What epoll is to tell, in its present state. */
void load_conn_interest(struct load_conn *c);

/* A slow one may read more. */
void load_conn_allow(struct load_conn *c, uint64_t passed_ns);

/* Bytes that it has to write; 0 if it is not up. */
size_t load_conn_queued(const struct load_conn *c);

/* Queues a frame: there is no other limit than memory. */
void load_conn_write(struct load_conn *c, const void *frame, size_t len);

/* It has room, and something to send: it joins the shard's list, at its head if that is urgent. */
void load_conn_offer(struct load_conn *c, bool is_urgent);

/* Leaves the shard's lists. */
void load_conn_unlist(struct load_conn *c);

/* Its turn: its sessions send. False: there was nothing to send, or it is not time yet. */
bool load_conn_send(struct load_conn *c);

/* What was written in this turn leaves. */
void load_conns_flush(struct load_shard *shard);

/* The end: says so for each session. */
void load_conn_bye(struct load_conn *c);

/* --- tcp_load_session.c --- */

void load_session_init(struct load_session *s, struct load_conn *conn, uint64_t id, struct request *ring);

/* It has something to send and its connection is up: it joins the connection's list. */
void load_session_offer(struct load_session *s);

/* Sends one frame: its length. 0 = none: it has left the list, or it is still there and it is not time yet. */
size_t load_session_send(struct load_session *s);

/* Its connection is lost. */
void load_session_down(struct load_session *s);

/* A frame came. */
void load_session_frame(struct load_conn *c, const struct tcp_frame *frame);

/* It sends nothing for so long. */
void load_session_pause(struct load_session *s, uint64_t ns);
void load_session_unpause(struct load_session *s);

/* Those that paused long enough go on. */
void load_sessions_unpause(struct load_shard *shard);

/* Finished, if no more is sent and nothing is expected. */
void load_session_settle(struct load_session *s);

/* It begins no more requests. */
void load_session_leave(struct load_session *s);

/* Has waited for longer than it may: given up. */
void load_session_check(struct load_session *s);

/* --- tcp_load_greet.c --- */

/* HELLO: the frame's length. */
size_t load_session_greet(struct load_session *s);

/* HELLO_ACK came. */
void load_session_greeted(struct load_conn *c, const struct tcp_frame *frame);

/* --- tcp_load_ids.c --- */

int load_ids_open(struct load_shard *shard); /* 0 or -ENOMEM */
void load_ids_close(struct load_shard *shard);

/* The shard's session; NULL = none. */
struct load_session *load_ids_find(struct load_shard *shard, uint64_t id);

/* The server chose it. */
void load_ids_assign(struct load_shard *shard, struct load_session *s, uint64_t id);

#endif /* XSR_TCP_LOAD_PARTS_H */
