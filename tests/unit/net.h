/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The wire and the kernel's part, in memory. A lane is what the kernel does one after the other: it takes a frame off its wire, runs the
 * program, which reads the route, counts the redirect, gives the frame a place in the ring of the worker that it had read, and
 * shows the rings their frames at the end of a poll of several frames. Between any two of these others may have their turn.
 * In native mode a queue is one lane; in generic mode several processors serve it, and each shows its frame at once.
 */
#ifndef XSR_TEST_NET_H
#define XSR_TEST_NET_H

#include <stdatomic.h>
#include <stdlib.h>
#include <unistd.h>

#include "chance.h"
#include "ledger.h"
#include "maps.h"
#include "payload.h"
#include "ring.h"
#include "socket.h"

#define NET_WORKERS_MAX 4
#define NET_POLL_MAX 8

struct net_frame {
	uint16_t generation; /* the stamp; 0 = none */
	uint32_t len;
	struct payload payload;
};

/* A socket's ring: of one queue, to one worker. Its frames are pointers. */
struct net_ring {
	struct ring *ring;
	struct ring_end p, c;
	_Atomic uint64_t n_redirected, n_dropped;
};

/* Where the kernel is with the frame that it has in hand. */
enum lane_at {
	LANE_IDLE,	/* there is none */
	LANE_BEGINS,	/* the program's run has begun */
	LANE_HAS_READ,	/* it has read the route */
	LANE_REDIRECTS, /* it has ended, and counted the redirect */
};

struct net_lane {
	unsigned int number, queue;
	struct ring *wire;
	struct ring_end p, c;		   /* the client's, the kernel's */
	enum lane_at at;
	bool flushes;			   /* the poll ends: rings are shown what they got */
	struct net_frame *frame;
	unsigned int target;		   /* worker */
	unsigned int n_frames;		   /* of this poll */
	unsigned int dirty;		   /* rings to be shown, a bit for each worker */
	_Atomic uint64_t n_begun, n_ended; /* runs of the program */
	_Atomic uint64_t n_polls;	   /* that have ended */
	uint64_t grace;			   /* n_polls that ends the grace period */
	struct chance chance;
};

struct net {
	struct maps *maps;
	struct ledger *ledger;
	unsigned int n_workers, n_queues, n_lanes;
	bool generic;
	unsigned int stamp_percent;
	int fds[NET_WORKERS_MAX]; /* eventfds, written when a ring is shown something; -1 = none */
	struct net_lane lanes[LANES_MAX];
	struct net_ring rings[LANES_MAX][NET_WORKERS_MAX];
};

/* maps, ledger, n_*, generic, stamp_percent are set; lengths are powers of two. */
static inline void net_open(struct net *net, uint32_t wire_len, uint32_t ring_len, struct chance *chance)
{
	unsigned int i, w;

	for (i = 0; i < net->n_lanes; i++) {
		struct net_lane *lane = &net->lanes[i];

		lane->number = i;
		lane->queue = i % net->n_queues;
		lane->wire = ring_open(wire_len, sizeof(struct net_frame *));
		lane->p = lane->c = ring_end(lane->wire);
		lane->chance = chance_split(chance);
	}
	for (i = 0; i < net->n_queues; i++) {
		for (w = 0; w < net->n_workers; w++) {
			struct net_ring *r = &net->rings[i][w];

			r->ring = ring_open(ring_len, sizeof(struct net_frame *));
			r->p = r->c = ring_end(r->ring);
		}
	}
	for (w = 0; w < NET_WORKERS_MAX; w++)
		net->fds[w] = -1;
}

/* The next frame, or NULL; the caller frees it. */
static inline struct net_frame *net_take(struct ring_end *c)
{
	struct net_frame *frame;
	uint64_t first;

	if (!ring_recv(c, &first))
		return NULL;
	frame = *(struct net_frame **)ring_slot(c, first);
	ring_release(c, 1);
	return frame;
}

static inline bool net_put(struct ring_end *p, struct net_frame *frame)
{
	uint64_t first;

	if (!ring_reserve(p, 1, &first))
		return false;
	*(struct net_frame **)ring_slot(p, first) = frame;
	return true;
}

static inline void net_close(struct net *net)
{
	struct net_frame *frame;
	unsigned int i, w;

	for (i = 0; i < net->n_lanes; i++) {
		free(net->lanes[i].frame);
		while ((frame = net_take(&net->lanes[i].c)))
			free(frame);
		ring_close(net->lanes[i].wire);
	}
	for (i = 0; i < net->n_queues; i++) {
		for (w = 0; w < net->n_workers; w++) {
			ring_submit(&net->rings[i][w].p);
			while ((frame = net_take(&net->rings[i][w].c)))
				free(frame);
			ring_close(net->rings[i][w].ring);
		}
	}
}

/* The client sends the session's next message; false if the wire is full, or it has sent enough. */
static inline bool net_send(struct net *net, unsigned int lane_number, uint32_t index, uint32_t fill_len)
{
	struct net_lane *lane = &net->lanes[lane_number];
	struct net_frame *frame;
	uint32_t number, len = sizeof(struct payload) + fill_len;

	number = ring_room(&lane->p) ? ledger_send(net->ledger, index, lane_number) : 0;
	if (!number)
		return false;
	frame = calloc(1, sizeof(*frame) + fill_len);
	frame->len = len;
	payload_write(&frame->payload, len, net->ledger->sessions[index].id, index, lane_number, number);
	net_put(&lane->p, frame);
	ring_submit(&lane->p);
	return true;
}

/* --- what a lane does --- */

static inline bool lane_begin(struct net_lane *lane)
{
	if (lane->n_frames == NET_POLL_MAX || (lane->n_frames && chance_of(&lane->chance, 20)))
		return false;
	lane->frame = net_take(&lane->c);
	if (!lane->frame)
		return false;
	lane->n_frames++;
	lane->at = LANE_BEGINS;
	atomic_fetch_add(&lane->n_begun, 1);
	return true;
}

/* By the session's route, else by the default; the stamp of that is 0. */
static inline int lane_target(const struct net *net, const struct net_frame *frame, uint16_t *generation)
{
	struct xsr_route route;

	__atomic_load(&net->maps->dense[frame->payload.index], &route, __ATOMIC_ACQUIRE);
	*generation = route.generation;
	if (route.action == XSR_ACTION_WORKER)
		return route.target;
	return route.action == XSR_ACTION_NONE ? bucket_owner(net->maps->buckets, be64toh(frame->payload.frame.id)) : -1;
}

static inline void lane_read(struct net *net, struct net_lane *lane)
{
	uint16_t generation;
	int target = lane_target(net, lane->frame, &generation);

	if (target < 0 || target >= (int)net->n_workers)
		ledger_wrong(net->ledger, "messages of session %u go to nobody", lane->frame->payload.index);
	lane->target = target & (NET_WORKERS_MAX - 1);
	lane->frame->generation = chance_of(&lane->chance, net->stamp_percent) ? generation : 0;
	lane->at = LANE_HAS_READ;
}

static inline void lane_end(struct net *net, struct net_lane *lane)
{
	atomic_fetch_add(&net->rings[lane->queue][lane->target].n_redirected, 1);
	atomic_fetch_add(&lane->n_ended, 1);
	lane->at = LANE_REDIRECTS;
}

static inline void lane_redirect(struct net *net, struct net_lane *lane)
{
	struct net_ring *ring = &net->rings[lane->queue][lane->target];

	if (net_put(&ring->p, lane->frame)) {
		lane->dirty |= 1u << lane->target;
	} else {
		atomic_fetch_add(&ring->n_dropped, 1);
		free(lane->frame);
	}
	if (net->generic)
		ring_submit(&ring->p);
	lane->frame = NULL;
	lane->at = LANE_IDLE;
	lane->flushes = net->generic;
}

/* One ring after the other; an empty poll ends at once. */
static inline void lane_flush(struct net *net, struct net_lane *lane)
{
	const uint64_t one = 1;
	unsigned int w;

	lane->flushes = lane->dirty;
	if (!lane->dirty) {
		lane->n_frames = 0;
		atomic_fetch_add(&lane->n_polls, 1);
		return;
	}
	w = __builtin_ctz(lane->dirty);
	lane->dirty &= lane->dirty - 1;
	ring_submit(&net->rings[lane->queue][w].p);
	if (net->fds[w] >= 0 && write(net->fds[w], &one, sizeof(one)) < 0)
		abort();
}

/* The smallest thing that can happen on a lane. */
static inline void lane_step(struct net *net, struct net_lane *lane)
{
	switch (lane->at) {
	case LANE_BEGINS:
		lane_read(net, lane);
		break;
	case LANE_HAS_READ:
		lane_end(net, lane);
		break;
	case LANE_REDIRECTS:
		lane_redirect(net, lane);
		break;
	default:
		if (lane->flushes || !lane_begin(lane))
			lane_flush(net, lane);
	}
}

/* --- what is known of all lanes --- */

/* Each lane was without a run of the program at some moment of this call. */
static inline bool net_is_quiet(struct net *net)
{
	unsigned int i;

	for (i = 0; i < net->n_lanes; i++) {
		uint64_t n_ended = atomic_load(&net->lanes[i].n_ended);

		if (atomic_load(&net->lanes[i].n_begun) != n_ended)
			return false;
	}
	return true;
}

/* A grace period: it may be over when the polls that had begun have ended. */
static inline void net_grace_begin(struct net *net)
{
	unsigned int i;

	for (i = 0; i < net->n_lanes; i++)
		net->lanes[i].grace = atomic_load(&net->lanes[i].n_polls) + 1;
}

static inline bool net_grace_is_over(struct net *net)
{
	unsigned int i;

	for (i = 0; i < net->n_lanes; i++)
		if (atomic_load(&net->lanes[i].n_polls) < net->lanes[i].grace)
			return false;
	return true;
}

static inline uint64_t net_n_dropped(struct net *net)
{
	uint64_t n = 0;
	unsigned int i, w;

	for (i = 0; i < net->n_queues; i++)
		for (w = 0; w < net->n_workers; w++)
			n += net->rings[i][w].n_dropped;
	return n;
}

/* Nothing is on its way. The lanes stand still. */
static inline bool net_is_empty(struct net *net)
{
	unsigned int i, w;

	for (i = 0; i < net->n_lanes; i++)
		if (net->lanes[i].at != LANE_IDLE || net->lanes[i].n_frames ||
		    ring_room(&net->lanes[i].p) != net->lanes[i].p.n_slots)
			return false;
	for (i = 0; i < net->n_queues; i++)
		for (w = 0; w < net->n_workers; w++)
			if (ring_room(&net->rings[i][w].p) != net->rings[i][w].p.n_slots)
				return false;
	return true;
}

#endif /* XSR_TEST_NET_H */
