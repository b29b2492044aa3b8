/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Sessions move in order: a way is held, what went before is written, what waited is sent to where it goes from now on, and behind it a word
 * that lets the kernel go on, if nothing more was held meanwhile.
 */
#include <assert.h>
#include <errno.h>

#include "sockmap_parts.h"

#define FLIPS_SLOW 16 /* tries after which a source that is slowed and still sends is stopped */

/* From now on no frame goes to the target; those that did are counted in its `redirected`. */
static int way_hold(struct sockmap_flow *flow, enum sockmap_way way)
{
	struct flow_way *w = &flow->ways[way];

	if (w->entry.state == XSR_WAY_OPEN) {
		way_counts(flow, way)->held = 0;
		w->n_taken = 0;
	}
	w->entry.state = XSR_WAY_HELD;
	return way_set(flow, way);
}

int sockmap_flow_hold(struct sockmap_flow *flow, enum sockmap_way way)
{
	struct flow_way *w = &flow->ways[way];
	int ret;

	if (w->phase != WAY_OPEN)
		return -EBUSY;
	ret = way_hold(flow, way);
	if (ret)
		return ret;
	w->phase = WAY_DRAINING;
	w->drain_injected = w->target->submitted;
	w->drain_redirected = 0;
	if (way == SOCKMAP_REQUESTS)
		brake_set(&w->hold, flow->client, BRAKE_SLOW);
	flow_moving_set(flow, true);
	return 0;
}

int sockmap_flow_take(struct sockmap_flow *flow, struct sockmap_socket *client)
{
	struct flow_way *requests = &flow->ways[SOCKMAP_REQUESTS], *replies = &flow->ways[SOCKMAP_REPLIES];
	int ret;

	if (requests->phase == WAY_LOST || replies->phase == WAY_LOST)
		return -ENOTCONN;
	requests->entry.source = client->conn;
	ret = way_hold(flow, SOCKMAP_REQUESTS);
	if (!ret)
		ret = way_hold(flow, SOCKMAP_REPLIES);
	if (ret)
		return ret;
	requests->phase = replies->phase = WAY_DRAINED;
	flow_held_drop(flow, SOCKMAP_REQUESTS);
	flow_client_set(flow, client);
	replies->target = client;
	flow_brake(flow);
	flow_moving_set(flow, false);
	return 0;
}

/* Frames that were held are at the end of what is to be sent to the target. */
static void held_submit(struct sockmap *sm, struct flow_way *w)
{
	sm->n_held -= w->n_waiting;
	w->n_waiting = 0;
	w->target->submitted += w->held.len;
	chunk_join(&w->target->pending, &w->held);
	socket_ready(w->target);
}

/* Opens the way when all before it in the lane has passed, if no other frame was held meanwhile. */
static bool flip_send(struct sockmap_flow *flow, enum sockmap_way way)
{
	struct flow_way *w = &flow->ways[way];
	struct frame_words flip = {
		.w[0] = be64_to_host((uint64_t)XSR_FRAME_LEN_MIN << 32 | (uint64_t)XSR_FRAME_VERSION << 24 | FRAME_FLIP << 16 |
				     flow->service << 1 | way),
		.w[1] = be64_to_host(flow->id),
		.w[2] = be64_to_host((uint64_t)w->entry.generation << 32 | (uint32_t)w->n_taken),
	};

	w->flip_sent = chunk_append(flow->sm->pool, &w->target->pending, &flip, sizeof(flip));
	if (w->flip_sent)
		socket_ready(w->target);
	return w->flip_sent;
}

int sockmap_flow_release(struct sockmap_flow *flow, enum sockmap_way way, struct sockmap_socket *to)
{
	struct flow_way *w = &flow->ways[way];
	int ret;

	if (w->phase != WAY_DRAINED && w->phase != WAY_DRAINING)
		return -EBUSY;
	w->entry.target = to->conn;
	ret = way_set(flow, way);
	if (ret)
		return ret;
	w->target = to;
	if (way == SOCKMAP_REQUESTS)
		flow_link_set(flow, to);
	w->phase = WAY_RELEASING;
	w->n_flips = 0;
	flow_brake(flow);
	held_submit(flow->sm, w);
	flip_send(flow, way);
	flow_moving_set(flow, true);
	return lane_write(flow->sm);
}

static bool way_drained(struct flow_way *w)
{
	struct sockmap_socket *to = w->target;
	uint64_t redirected = counter_load(&conn_of(to)->redirected);

	if (!w->drain_redirected && counter_load(&conn_of(to)->injected) >= w->drain_injected)
		w->drain_redirected = redirected + 1;
	socket_refresh(to);
	return w->drain_redirected && to->written + 1 >= w->drain_redirected;
}

static void way_opened(struct sockmap_flow *flow, enum sockmap_way way)
{
	struct flow_way *w = &flow->ways[way];

	w->phase = WAY_OPEN;
	w->entry.state = XSR_WAY_OPEN;
	brake_set(&w->hold, NULL, BRAKE_OFF);
	flow->sm->options.events->released(flow, way, flow->sm->options.arg);
}

/* What the kernel's entry says is true. */
static bool way_is_open(struct sockmap_flow *flow, enum sockmap_way way)
{
	struct xsr_flow_key key = flow_way_key(flow, way);
	struct xsr_flow now = {};

	return !stream_flow_get(flow->sm->stream, &key, &now) && now.state == XSR_WAY_OPEN &&
	       now.generation == flow->ways[way].entry.generation;
}

/* True if there is no more to wait for. */
static bool way_poll(struct sockmap_flow *flow, enum sockmap_way way)
{
	struct flow_way *w = &flow->ways[way];

	if (w->phase == WAY_RELEASING) {
		if (!w->flip_sent)
			flip_send(flow, way);
		return false;
	}
	if (w->phase != WAY_DRAINING)
		return true;
	if (!way_drained(w))
		return false;
	w->phase = WAY_DRAINED;
	flow->sm->options.events->drained(flow, way, flow->sm->options.arg);
	return true;
}

static void flow_poll(struct sockmap_flow *flow)
{
	struct sockmap *sm = flow->sm;
	bool waits = false;
	int way;

	sm->polled = flow;
	for (way = 0; way < SOCKMAP_WAYS && sm->polled; way++)
		if (!way_poll(flow, way))
			waits = true;
	if (sm->polled && !waits)
		flow_moving_set(flow, false);
	sm->polled = NULL;
}

/* Each once. A callback may remove any of them. */
void flows_poll(struct sockmap *sm)
{
	struct sockmap_flow *flow;
	uint32_t n = sm->n_moving;

	while (n-- && (flow = TAILQ_FIRST(&sm->moving))) {
		TAILQ_REMOVE(&sm->moving, flow, in_moving);
		TAILQ_INSERT_TAIL(&sm->moving, flow, in_moving);
		flow_poll(flow);
	}
}

/* Of an earlier session, or of a connection that is not its own any more: nobody waits for it. */
static bool held_is_stale(struct sockmap_flow *flow, enum sockmap_way way)
{
	if (!flow->ways[way].n_stale)
		return false;
	flow->ways[way].n_stale--;
	if (flow->removed && !flow->ways[0].n_stale && !flow->ways[1].n_stale)
		flow_free(flow);
	return true;
}

/* While it is released they go to the end of what is to be sent, each behind the other: a queue of its own takes a chunk at least. */
static bool held_keep(struct sockmap_flow *flow, struct flow_way *w, const struct sockmap_frame *frame)
{
	struct sockmap *sm = flow->sm;

	if (w->phase == WAY_RELEASING) {
		if (!chunk_append(sm->pool, &w->target->pending, frame->data, frame->len))
			return false;
		w->target->submitted += frame->len;
		socket_ready(w->target);
		return true;
	}
	if (!chunk_append(sm->pool, &w->held, frame->data, frame->len))
		return false;
	w->n_waiting++;
	sm->n_held++;
	if (sm->n_held > sm->stats.held_max)
		sm->stats.held_max = sm->n_held;
	return true;
}

/* The source may have been removed meanwhile. Its frames count all the same, and its entry is as it was while any are in the lane. */
bool flow_held(struct sockmap *sm, uint32_t conn, const struct sockmap_frame *frame)
{
	const struct xsr_conn *from = &sm->stream->conns[conn];
	enum sockmap_way way = from->kind == XSR_CONN_LINK ? SOCKMAP_REPLIES : SOCKMAP_REQUESTS;
	struct sockmap_flow *flow = *flow_place(sm, from->service, be64_to_host(frame->header->id));
	struct flow_way *w;

	if (!flow || held_is_stale(flow, way))
		return true;
	w = &flow->ways[way];
	assert(w->phase != WAY_LOST && w->phase != WAY_OPEN);
	if ((way == SOCKMAP_REPLIES || conn == w->entry.source) && !held_keep(flow, w, frame))
		return false;
	w->n_taken++;
	return true;
}

/* The word came back: what it was for may have ended meanwhile. */
void flow_flipped(struct sockmap *sm, const struct xsr_frame *flip)
{
	uint32_t flags = be16_to_host(flip->flags), way = flags & 1;
	struct sockmap_flow *flow = sockmap_flow_find(sm, flags >> 1, be64_to_host(flip->id));
	struct flow_way *w = flow ? &flow->ways[way] : NULL;

	if (!flow || be64_to_host(flip->seq) >> 32 != w->entry.generation || w->phase != WAY_RELEASING)
		return;
	w->flip_sent = false;
	if (!way_is_open(flow, way)) { /* more was held meanwhile; it comes to an end if its source is slow */
		brake_set(&w->hold, way_source(flow, way), ++w->n_flips < FLIPS_SLOW ? BRAKE_SLOW : BRAKE_STOP);
		flow_moving_set(flow, true);
		return;
	}
	way_opened(flow, way);
}
