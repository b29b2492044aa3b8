/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * A gateway: one worker's share of a router's TCP services. Clients' connections, a link to each backend, the sessions that it owns,
 * one thread.
 *
 *   front.c    a client's connection: HELLO, requests
 *   link.c      the connection to a backend: comes back by itself, carries the sessions of all clients
 *   session.c   which connection and which link a session has, what of it is unanswered
 *   relay.c     a service whose bytes are not looked at: a connection to a backend for each client
 *   express.c   sessions whose frames the kernel passes on by itself
 *   handover.c  a client's connection goes to another worker, with its sessions
 *   errand.c    what takes several steps: a session comes from another worker, or goes to another backend
 */
#ifndef XSR_GATEWAY_H
#define XSR_GATEWAY_H

#include <stdatomic.h>

#include "conn.h"
#include "maps.h"
#include "post.h"
#include "stream_load.h"
#include "registry.h"
#include "stream_session.h"
#include "xsr.h"

#define GATEWAY_TICK_MS 50

struct gateway_params {
	struct maps *maps;
	struct registry *registry;
	unsigned int worker;	      /* its number */
	int cpu;		      /* -1 = not pinned */
	unsigned int connections_max; /* clients */
	uint32_t sessions_max;
	size_t memory_max;	      /* of all that is read and not yet written */
	size_t queue_max;	      /* of one connection */
	size_t kernel_queue_max;      /* of one whose bytes the kernel moves */
	unsigned int deadline_ms;     /* of a request; 0 = none */
	unsigned int heartbeat_ms;
	unsigned int idle_s;	      /* 0 = never */
	unsigned int reconnect_max_ms;
	int backlog;
	bool require_mode;	      /* no other mode than wished */
	struct tcp_options options;
	struct stream *stream;	      /* the kernel's way; NULL = none of it works */
	const char *broken[XSR_STREAM_MAX]; /* why the kernel cannot serve in this mode; NULL = it can */
	void (*log)(const char *sentence, void *arg);
	void *log_arg;
};

struct front;
struct door;
struct errand;
struct handover;
struct link;
struct relay;

LIST_HEAD(front_list, front);
LIST_HEAD(link_list, link);
LIST_HEAD(relay_list, relay);

struct gateway {
	struct gateway_params p;
	int epoll_fd;
	struct tcp_shared shared;
	uint64_t now_ns;		 /* of this turn */
	uint64_t tick_ns, sync_ns;	 /* when the next tick, and the next look at the services, are due */
	uint64_t ends_ns;		 /* when it ends at the latest; 0 = it was not told to */
	struct conn_list dirty, parked, resumed, ended;
	struct front_list clients;
	struct link_list links[XSR_SERVICES_MAX];
	struct relay_list relays;
	TAILQ_HEAD(, relay) finishing;	 /* see relays_turn() */
	uint32_t turns[XSR_SERVICES_MAX]; /* the backend that a relay was connected to last */
	bool is_shut;			 /* it is to have no clients: no door listens */
	struct door *doors[XSR_SERVICES_MAX]; /* where clients come in; NULL = not a TCP service */
	struct stream_sessions *sessions;
	TAILQ_HEAD(, errand) errands;
	TAILQ_HEAD(, handover) handovers;
	unsigned int n_clients;
	uint64_t gauges[XSR_SERVICES_MAX][XSR_STREAM_STAT_ACCEPTED]; /* those counters that are no totals */
	struct sockmap *sockmap;	 /* its share of the kernel's way; NULL = none */
	struct watched lane;		 /* what the kernel did not decide */
	bool lane_is_ready;
	struct stream_list settling;	 /* see express.h */
	unsigned int n_ticks;
	struct post post;
	uint64_t leaving;		 /* workers that will end, a bit each */
	struct watched bell;		 /* the post's */
	atomic_bool stopping;
	atomic_ulong n_turns;		 /* that it lives */
};

/* 0 and a new *out, or -errno with a sentence. Control thread. */
int gateway_open(struct gateway **out, const struct gateway_params *params, char why[XSR_WHY_LEN]);
void gateway_close(struct gateway *gateway); /* takes NULL; its thread has ended */

/* Serves until gateway_stop(); then what is queued is written, for at most 2 s. The gateway's thread. */
void gateway_run(struct gateway *gateway);

/* From any thread; returns at once. */
void gateway_stop(struct gateway *gateway);

static inline __u64 *gateway_counter(struct gateway *g, uint32_t service, enum xsr_stream_stat stat)
{
	return &g->p.maps->streams[xsr_stream_index(service, g->p.worker)].n[stat];
}

static inline void gateway_count(struct gateway *g, uint32_t service, enum xsr_stream_stat stat)
{
	++*gateway_counter(g, service, stat);
}

/* Those that are no totals. */
static inline void gateway_gauge(struct gateway *g, uint32_t service, enum xsr_stream_stat stat, int by)
{
	*gateway_counter(g, service, stat) = g->gauges[service][stat] += by;
}

#endif /* XSR_GATEWAY_H */
