/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* What the files of sockmap share; nobody else includes it. */
#ifndef XSR_SOCKMAP_PARTS_H
#define XSR_SOCKMAP_PARTS_H

#include <sys/queue.h>

#include "chunk.h"
#include "frames.h"
#include "sockmap.h"


/* A flow's place in the list of one of its connections. */
struct flow_node {
	LIST_ENTRY(flow_node) at;
	struct sockmap_flow *flow;
};

/* How much a source is held back. */
enum brake_level {
	BRAKE_OFF,
	BRAKE_SLOW, /* a window of a kilobyte: stops who sends much at a time, at once and gently */
	BRAKE_STOP, /* what it sends is not let in, and it sends it again: stops also who sends little at a time */
};

/* One reason to hold a source back. */
struct brake {
	struct sockmap_socket *source; /* NULL: none */
	enum brake_level level;
};

struct sockmap_socket {
	struct sockmap_view view;
	struct sockmap *sm;
	uint32_t conn;
	uint64_t cookie;
	uint32_t window;	     /* bytes; what its window may grow to when it is not slowed */
	struct sockmap_socket *peer; /* of a pair */
	LIST_HEAD(, flow_node) flows;
	LIST_ENTRY(sockmap_socket) all;

	/* As a target. */
	struct chunk_queue pending; /* to be injected: whole frames */
	uint64_t submitted;	    /* bytes, ever, without what is for the kernel's part itself */
	bool ready;		    /* in sm->ready: there is something pending */
	TAILQ_ENTRY(sockmap_socket) in_ready;
	uint64_t written_before;    /* bytes that were written to it before it was added */
	uint64_t written;	    /* of those redirected; as last seen */
	bool watched;
	enum brake_level full;	    /* what its sources are held back by */
	uint64_t full_since_ns, full_settled; /* since when, and what waited soon after */
	TAILQ_ENTRY(sockmap_socket) in_watched;

	/* As a source. */
	unsigned int n_brakes, n_stops; /* reasons to hold it back, and those of them to stop it */
	struct brake on_peer;	   /* because this one is full */
	struct brake for_lane;	   /* on itself, because the lane is full */
	struct brake for_choke;	   /* on itself, because it does not read */
	uint64_t laned_seen;
	uint64_t lane_taken;	   /* bytes of it that came out of the lane */
	uint64_t received_before; /* bytes that were read of it before it was added */
	bool started;
	enum sockmap_end end;	   /* as it was last seen */
	uint64_t end_passed;	   /* as it stood when it was first found to have ended, */
	uint64_t end_ns;	   /* at that time; 0 = it had not */
};

enum way_phase {
	WAY_OPEN,
	WAY_DRAINING,
	WAY_DRAINED,
	WAY_RELEASING,
	WAY_LOST,
};

struct flow_way {
	enum way_phase phase;
	struct xsr_flow entry;	       /* as it was last set */
	struct chunk_queue held;
	uint64_t n_taken;	       /* held frames that came out of the lane, since it is held */
	uint64_t n_stale;	       /* held frames of an earlier session of this ID that are still in the lane */
	uint64_t drain_injected;       /* draining: so much must have been injected to the target, */
	uint64_t drain_redirected;     /* and then so much written to it; 0 = not known yet */
	bool flip_sent;
	uint32_t n_waiting;	       /* frames in `held` */
	struct sockmap_socket *target; /* or NULL */
	struct brake full, hold;       /* on the source: its target is full; it is held */
	unsigned int n_flips;	       /* tried since it was released */
};

struct sockmap_flow {
	struct sockmap *sm;
	void *owner;
	uint32_t service;
	uint64_t id;
	uint32_t index;
	bool removed; /* it stands here only for its n_stale */
	struct flow_way ways[SOCKMAP_WAYS];
	struct sockmap_socket *client, *link;
	struct flow_node of_client, of_link;
	struct sockmap_flow *next; /* in its bucket */
	bool moving;
	TAILQ_ENTRY(sockmap_flow) in_moving; /* a way is draining, or its flip is still to be sent */
};

/* A conn that was given back: used again when nothing that names it can be on its way. */
struct conn_rest {
	uint32_t conn;
	uint64_t time_ns, lane_to, lane_from;
};

/* Bytes are written to the lane in pieces: the target's name, then whole frames for it. */
struct lane_writer {
	struct sockmap_socket *to;  /* whose frames they are, NULL: its connection is gone, they lie in `rest` */
	struct chunk_queue rest;
	size_t left;		    /* of the piece */
	struct frame_words name;
	size_t name_left;
	uint32_t named;		    /* conn that was named last */
	uint64_t n_bytes;	    /* written, ever */
	bool blocked;		    /* the lane takes no more now */
};

struct sockmap {
	struct stream *stream;
	struct stream_told *told;
	struct sockmap_options options;
	struct chunk_pool *pool;
	int epoll_fd;
	struct sockmap_stats stats;
	uint64_t n_held; /* now */

	int lane_fd;		    /* the end that user space has */
	struct sockmap_socket lane; /* the other one */
	uint8_t *in;
	size_t in_len;
	uint64_t in_bytes;	    /* of the lane, ever, but for what is in `in` */
	struct frame_mark mark;	    /* of the run that is being read */
	bool in_stuck;		    /* no memory to hold the next frame */
	struct lane_writer out;

	uint32_t conn_base, conn_share, conn_next;
	struct sockmap_socket **sockets; /* by conn - conn_base */
	struct conn_rest *rests;	 /* a ring of conn_share */
	uint32_t rest_first, n_rests;
	LIST_HEAD(, sockmap_socket) all;
	TAILQ_HEAD(, sockmap_socket) ready, watched;

	uint32_t flow_base, flow_share, n_flow_free;
	uint32_t generation;	    /* of the entry that was set last */
	uint32_t *flow_free;
	struct sockmap_flow **buckets;
	uint32_t n_buckets; /* a power of two */
	TAILQ_HEAD(, sockmap_flow) moving;
	uint32_t n_moving;
	struct sockmap_flow *polled; /* NULL again if a callback removed it */
};

#define LANE_IN_MAX (4u << 20)	  /* memory to read the lane to: more than a frame; touched as it is used */
#define LANE_PIECE_MAX (64u << 10)

static inline struct xsr_conn *conn_of(const struct sockmap_socket *s)
{
	return &s->sm->stream->conns[s->conn];
}

/* Other threads' programs write it while it is read. */
static inline uint64_t counter_load(const __u64 *counter)
{
	return __atomic_load_n(counter, __ATOMIC_RELAXED);
}

uint64_t sockmap_now_ns(void);

/* sockmap_lane.c: the connection between the kernel's part and this thread. */
int socket_pair(int fds[2]); /* two TCP sockets of this host, connected; -1 where there is none, also if it fails */
int lane_open(struct sockmap *sm, char why[STREAM_WHY_LEN]);
void lane_close(struct sockmap *sm);
int lane_read(struct sockmap *sm);	   /* 0 or -errno */
int lane_write(struct sockmap *sm);	   /* what is ready, as far as it goes */
void socket_ready(struct sockmap_socket *s); /* something is pending */
void lane_forget(struct sockmap *sm, struct sockmap_socket *s); /* it is being removed */

/* sockmap.c */
int socket_open(struct sockmap *sm, struct sockmap_socket *s, int fd, uint32_t frame_max);
int socket_kick(struct sockmap_socket *s); /* bytes that no program saw are looked at. 0 or -errno */
struct sockmap_socket *sockmap_by_conn(struct sockmap *sm, uint32_t conn); /* or NULL */

/* sockmap_end.c: what to take off the bytes that came, in this state of TCP: the kernel counts a FIN as one. */
unsigned int socket_fin_counts(uint8_t state);

/* sockmap_pace.c: how far what was redirected is written, and who is slowed for it. */
void socket_told(uint32_t conn, void *sm);
void socket_watch(struct sockmap_socket *s);
void socket_unwatch(struct sockmap_socket *s);
int socket_info(const struct sockmap_socket *s, uint64_t *written, uint64_t *received, uint8_t *state);
void socket_refresh(struct sockmap_socket *s);
void brake_set(struct brake *brake, struct sockmap_socket *source, enum brake_level level);
void pace_poll(struct sockmap *sm);

/* sockmap_flow.c: the table of sessions, and their entries in the kernel's. */
int flows_open(struct sockmap *sm);
void flows_close(struct sockmap *sm);
struct sockmap_flow **flow_place(struct sockmap *sm, uint32_t service, uint64_t id); /* where it stands, or would; also one that is removed */
void flow_free(struct sockmap_flow *flow);
struct xsr_flow_key flow_way_key(const struct sockmap_flow *flow, enum sockmap_way way);
void flow_detach(struct sockmap_flow *flow, struct sockmap_socket *s); /* the connection is being removed */
void flow_client_set(struct sockmap_flow *flow, struct sockmap_socket *client);
void flow_link_set(struct sockmap_flow *flow, struct sockmap_socket *link);
void flow_brake(struct sockmap_flow *flow); /* its sources, as its targets are full */
void flow_moving_set(struct sockmap_flow *flow, bool moving);
void flow_held_drop(struct sockmap_flow *flow, enum sockmap_way way);
struct xsr_flow_counts *way_counts(const struct sockmap_flow *flow, enum sockmap_way way);
struct sockmap_socket *way_source(const struct sockmap_flow *flow, enum sockmap_way way);
/* Every run of the program after this sees all of the entry; a flip that is on its way is of no more effect. 0 or -errno. */
int way_set(struct sockmap_flow *flow, enum sockmap_way way);

/* sockmap_move.c: moves in order. */
bool flow_held(struct sockmap *sm, uint32_t conn, const struct sockmap_frame *frame); /* false: no memory now */
void flow_flipped(struct sockmap *sm, const struct xsr_frame *flip);
void flows_poll(struct sockmap *sm);

#endif /* XSR_SOCKMAP_PARTS_H */
