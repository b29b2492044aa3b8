/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * A session of a TCP service: the client's connection that it came by, the link to its backend, and what of it is not answered
 * yet. Requests are numbered by their seq, and are answered in that order. The gateway's thread.
 */
#ifndef XSR_STREAM_SESSION_H
#define XSR_STREAM_SESSION_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/queue.h>

#include "sockmap.h"

struct front;
struct errand;
struct gateway;
struct link;

#define ASKED_GROUPS 8

/* Requests that were passed on at about the same time. */
struct asked_group {
	uint64_t seq; /* of the last */
	uint64_t first_ns, last_ns;
};

enum stream_state {
	STREAM_WANTED,	/* another worker owns it, and was asked for it */
	STREAM_GREETED, /* its HELLO was passed on to the backend: the client waits for the answer */
	STREAM_OPEN,
};

struct stream_session {
	uint64_t id;
	uint32_t service;
	enum stream_state state;
	struct gateway *gateway;
	struct front *client;	 /* NULL: it went, and may come back */
	struct link *link;	 /* NULL: none was found yet */
	uint32_t link_epoch;	 /* the link's when the session was introduced to it */
	unsigned int n_hellos;	 /* to its backend, that are not answered */
	uint32_t routes_version; /* when its route was looked up */
	bool is_routed;		 /* to its link, by a route; else by the default `hash` */
	bool is_held;		 /* no request goes on: an errand has to be done first */
	bool is_busy;		 /* something is unanswered */
	uint16_t generation;	 /* of its route; 0 = none */
	uint16_t err_code;	 /* ERR that the client has yet to be told, up to err_seq; 0 = none */
	uint64_t err_seq;
	uint64_t asked;		 /* the last request passed on */
	uint64_t answered;	 /* the last reply passed on */
	uint64_t erred;		 /* requests up to here that have no answer get none any more */
	uint64_t last_ns;	 /* when a request or reply passed last, as far as that is known */
	uint64_t moved_ns;	 /* when it went to another backend; 0 = never */
	uint32_t n_moves;
	uint64_t left_ns;	 /* when its client went */
	struct errand *errand;

	/* See express.h. */
	struct sockmap_flow *flow; /* NULL: it is not express */
	bool is_late;		 /* requests were given up that may still be answered: it is not express until that has come */
	bool is_settling;
	unsigned int n_releases; /* ways that are to be opened by the kernel */
	uint64_t settle_client, settle_link; /* what must have come out of the lane of each */
	uint64_t sent_mark;	 /* what its link must have written until all is out that the kernel passed on */
	const struct link *sent_link; /* only compared; NULL = nothing of it is under way */
	uint32_t sent_epoch;	 /* the link's then */
	struct sockmap_counts seen;
	TAILQ_ENTRY(stream_session) in_settling;

	unsigned int n_groups;
	struct asked_group groups[ASKED_GROUPS]; /* oldest first */
	LIST_ENTRY(stream_session) of_client;
	LIST_ENTRY(stream_session) of_link;
	TAILQ_ENTRY(stream_session) in_busy;	 /* while something is unanswered */
	TAILQ_ENTRY(stream_session) in_left;	 /* while it has no client */
};

TAILQ_HEAD(stream_list, stream_session);
LIST_HEAD(stream_set, stream_session);

struct stream_sessions {
	struct stream_list busy; /* who has waited longest is not always the first */
	struct stream_list left; /* who has been without client longest is */
	uint32_t n, n_max;
};

/* 0 or -ENOMEM. */
int stream_sessions_open(struct stream_sessions **out, uint32_t n_max);
void stream_sessions_close(struct stream_sessions *sessions); /* takes NULL */

/* NULL if there is none; a new one, zeroed but for ID and service, or NULL if there are as many as there may be. */
struct stream_session *stream_session_find(struct stream_sessions *sessions, uint32_t service, uint64_t id);
struct stream_session *stream_session_add(struct stream_sessions *sessions, uint32_t service, uint64_t id);

/* The one at this place, 0 .. n_max - 1, or NULL. */
struct stream_session *stream_session_at(struct stream_sessions *sessions, uint32_t place);

/* It has neither client nor link any more. */
void stream_session_remove(struct stream_sessions *sessions, struct stream_session *session);

/* Its client comes, or goes (NULL). */
void stream_session_bind(struct stream_sessions *sessions, struct stream_session *session, struct front *client,
			 struct stream_set *of_client, uint64_t now_ns);

/* What is known of its requests, as it goes along to another worker. */
struct stream_progress {
	uint64_t asked, answered, erred;
	uint64_t last_ns;
	unsigned int n_groups;
	struct asked_group groups[ASKED_GROUPS];
};

void stream_session_save(const struct stream_session *session, struct stream_progress *out);
void stream_session_load(struct stream_sessions *sessions, struct stream_session *session, const struct stream_progress *progress);

/* Its client greets, and has replies up to seq: what was asked behind that is asked, or answered, again. */
void stream_session_begin(struct stream_sessions *sessions, struct stream_session *session, uint64_t seq);

/* A request was passed on, a reply came. deadline_ns / ASKED_GROUPS is how exactly their times are known. */
void stream_session_asked(struct stream_sessions *sessions, struct stream_session *session, uint64_t seq, uint64_t now_ns,
			  uint64_t deadline_ns);
void stream_session_answered(struct stream_sessions *sessions, struct stream_session *session, uint64_t seq);

/* A request is there to be passed on: if it was given up, or answered, before, it is asked anew. seq > 0. */
static inline void stream_session_asks(struct stream_session *s, uint64_t seq)
{
	if (seq <= s->erred)
		s->erred = seq - 1;
	if (seq <= s->answered)
		s->answered = seq - 1;
}

/* Requests up to seq are not answered any more: the client is told so. */
void stream_session_erred(struct stream_sessions *sessions, struct stream_session *session, uint64_t seq);

/* The last of those requests that were passed on before `before_ns` and are not answered; 0 = none. */
uint64_t stream_session_overdue(const struct stream_session *session, uint64_t before_ns);

#endif /* XSR_STREAM_SESSION_H */
