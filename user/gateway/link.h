/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* The gateway's connection to one backend of one service: kept, and made again when it is lost. The gateway's thread. */
#ifndef XSR_LINK_H
#define XSR_LINK_H

#include "barrier.h"
#include "gateway.h"

enum link_state {
	LINK_DOWN,	 /* until retry_ns */
	LINK_CONNECTING,
	LINK_GREETING,	 /* its HELLO is not answered yet */
	LINK_UP,
};

struct link {
	struct gateway *gateway;
	uint32_t service;
	uint32_t backend;	 /* number */
	struct xsr_backend address; /* that it was connected to last */
	enum link_state state;
	uint32_t epoch;		 /* counts the times that it came up; 0 = never */
	struct link_conn *conn;	 /* NULL while it is down */
	struct stream_set sessions;
	bool wants_kernel;	 /* once it is up the kernel moves its frames */
	bool is_closing;	 /* by our own will */
	uint64_t retry_ns;
	unsigned int retry_ms;	 /* the next pause */
	uint64_t state_ns;	 /* since when it is in this state */
	uint64_t token;		 /* of the last barrier */
	TAILQ_HEAD(, barrier) barriers; /* that were sent, in order */
	LIST_ENTRY(link) of_service;
};

struct link_conn {
	struct conn conn;    /* first */
	struct link *link;
};

/* 0 and a new link, which begins to connect at the next tick; wants_kernel: once it is up the kernel moves its frames; or -ENOMEM. */
int link_open(struct gateway *gateway, uint32_t service, uint32_t backend, bool wants_kernel);
void link_close(struct link *link); /* its sessions lose it */

static inline bool link_is_up(const struct link *link)
{
	return link && link->state == LINK_UP;
}

/* The link of the service to this backend; NULL if there is none. */
struct link *link_find(struct gateway *gateway, uint32_t service, uint32_t backend);

/* The service's link that is up and has this ID by rendezvous hashing; NULL if none is up. */
struct link *link_choose(struct gateway *gateway, uint32_t service, uint64_t id);

/* The session's link from now on; NULL = none. */
void link_bind(struct stream_session *session, struct link *link);

/*
 * The session's HELLO to its backend, if that was not done since the link is up: seq = the last reply that the client has. 0, -EAGAIN: it is
 * full.
 */
int link_introduce(struct stream_session *session, uint64_t seq);

/* A frame without payload but for what is given; 0, or -EAGAIN: it is full. */
int link_send(struct link *link, uint8_t type, uint64_t id, uint64_t seq);

void link_tick(struct link *link);

#endif /* XSR_LINK_H */
