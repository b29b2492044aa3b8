/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* A client's connection: it greets for each of its sessions, then its requests go on to their backends. The gateway's thread. */
#ifndef XSR_FRONT_H
#define XSR_FRONT_H

#include "gateway.h"

struct front {
	struct conn conn; /* first */
	uint32_t service;
	struct stream_set sessions;
	uint64_t accepted_ns;
	uint64_t refused_id;	     /* the session that another worker does not part with, whose HELLO waits; 0 = none */
	struct stream_session *last; /* that a frame was for; NULL = look it up */
	enum xsr_stream_stat why;    /* how it ended, if not by what tcp says */
	bool wants_kernel;
	bool leaves;		     /* it writes no more, and waits for answers */
	bool is_choked;		     /* it reads nothing: replies to it are thrown away, and answered for by an ERR */
	bool has_errors;	     /* some of its sessions have yet to be told of one */
	struct handover *handover;   /* it is to go to another worker; NULL = it is not */
	uint64_t stayed_ns;	     /* when it could not last; 0 = never */
	LIST_ENTRY(front) of_gateway;
};

/* Takes the connection over that came in by the service's door; wants_kernel: after the handshake the kernel moves its frames. */
void front_open(struct gateway *gateway, uint32_t service, int fd, bool wants_kernel);

/* The same, of one that came in elsewhere, and is counted there. It has no session yet. NULL: it is closed. */
struct front *front_new(struct gateway *gateway, uint32_t service, int fd, bool wants_kernel);

/* It goes on at another worker, without its sessions: returns its descriptor. See conn_release(). */
int front_release(struct front *client);

/* Closes it; `why` is one of XSR_STREAM_STAT_CLOSED_*. */
void front_end(struct front *client, enum xsr_stream_stat why);

/* The same, from within conn_ops.frame: returns -ECANCELED. */
int front_refuse(struct front *front, enum xsr_stream_stat why);

/* The session's client is told that requests up to seq, which have no answer, get none. */
void front_error(struct gateway *gateway, struct stream_session *session, uint16_t code, uint64_t seq);

/* The same, because it takes too long. */
void front_overdue(struct gateway *gateway, struct stream_session *session, uint64_t seq);

/* It has taken nothing for so long that it may hold up the others no more. */
bool front_is_stuck(const struct front *client);

/* One of its sessions has another client now, or none. */
void front_left(struct front *client);

/* Something was answered or written: it may be that for which it stayed. */
void front_answered(struct front *client);

/* About 20 times a second: heartbeats, those that are silent, idle, or slow. */
void front_tick(struct front *client);

static inline void front_count(const struct front *front, enum xsr_stream_stat stat)
{
	gateway_count(front->conn.gateway, front->service, stat);
}

#endif /* XSR_FRONT_H */
