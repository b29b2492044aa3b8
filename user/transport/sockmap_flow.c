/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Sessions: where their frames go, and how that changes in order. */
#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "mix.h"
#include "sockmap_parts.h"

#define FLIPS_SLOW 16 /* tries after which a source that is slowed and still sends is stopped */

_Static_assert((int)SOCKMAP_REQUESTS == (int)XSR_WAY_REQUESTS && (int)SOCKMAP_REPLIES == (int)XSR_WAY_REPLIES, "the same ways");

/* --- the table --- */

int flows_open(struct sockmap *sm)
{
	uint32_t i;

	sm->flow_share = sm->stream->flows_max / sm->stream->n_workers;
	sm->flow_base = sm->options.worker * sm->flow_share;
	for (sm->n_buckets = 1; sm->n_buckets < sm->flow_share; sm->n_buckets *= 2)
		;
	sm->buckets = calloc(sm->n_buckets, sizeof(*sm->buckets));
	sm->flow_free = calloc(sm->flow_share, sizeof(*sm->flow_free));
	if (!sm->buckets || !sm->flow_free)
		return -ENOMEM;
	for (i = 0; i < sm->flow_share; i++)
		sm->flow_free[i] = sm->flow_base + sm->flow_share - 1 - i;
	sm->n_flow_free = sm->flow_share;
	return 0;
}

static struct sockmap_flow **flow_place(struct sockmap *sm, uint32_t service, uint64_t id)
{
	struct sockmap_flow **at = &sm->buckets[mix64(id ^ (uint64_t)service << 48) & (sm->n_buckets - 1)];

	while (*at && ((*at)->id != id || (*at)->service != service))
		at = &(*at)->next;
	return at;
}

struct sockmap_flow *sockmap_flow_find(struct sockmap *sm, uint32_t service, uint64_t id)
{
	struct sockmap_flow *flow = *flow_place(sm, service, id);

	return flow && !flow->removed ? flow : NULL;
}

static struct xsr_flow_counts *way_counts(const struct sockmap_flow *flow, enum sockmap_way way)
{
	return &flow->sm->stream->counts[flow->index * XSR_WAYS + way];
}

static struct xsr_flow_key way_key(const struct sockmap_flow *flow, enum sockmap_way way)
{
	return (struct xsr_flow_key){ .id = flow->id, .service = flow->service, .way = way };
}

/* Every run of the program after this sees all of the entry; a flip that is on its way is of no more effect. */
static int way_set(struct sockmap_flow *flow, enum sockmap_way way)
{
	struct xsr_flow_key key = way_key(flow, way);

	flow->ways[way].entry.generation++;
	return stream_flow_set(flow->sm->stream, &key, &flow->ways[way].entry);
}

/* --- connections of a flow --- */

static struct sockmap_socket *way_source(const struct sockmap_flow *flow, enum sockmap_way way)
{
	return way == SOCKMAP_REQUESTS ? flow->client : flow->link;
}

void flow_brake(struct sockmap_flow *flow)
{
	struct flow_way *requests = &flow->ways[SOCKMAP_REQUESTS], *replies = &flow->ways[SOCKMAP_REPLIES];

	if (requests->phase == WAY_LOST)
		return;
	brake_set(&requests->full, flow->client, flow->link ? flow->link->full : BRAKE_OFF);
	brake_set(&replies->full, flow->link, flow->client ? flow->client->full : BRAKE_OFF);
	brake_set(&requests->hold, flow->client, requests->hold.level);
	brake_set(&replies->hold, flow->link, replies->hold.level);
}

static void client_set(struct sockmap_flow *flow, struct sockmap_socket *client)
{
	if (flow->client) {
		LIST_REMOVE(&flow->of_client, at);
		flow->client->view.n_flows--;
	}
	flow->client = client;
	if (client) {
		LIST_INSERT_HEAD(&client->flows, &flow->of_client, at);
		client->view.n_flows++;
	}
}

static void link_set(struct sockmap_flow *flow, struct sockmap_socket *link)
{
	if (flow->link) {
		LIST_REMOVE(&flow->of_link, at);
		flow->link->view.n_flows--;
	}
	flow->link = link;
	if (link) {
		LIST_INSERT_HEAD(&link->flows, &flow->of_link, at);
		link->view.n_flows++;
	}
}

/* --- coming and going --- */

static void way_begin(struct sockmap_flow *flow, enum sockmap_way way, struct sockmap_socket *target, bool hold)
{
	struct flow_way *w = &flow->ways[way];

	*way_counts(flow, way) = (struct xsr_flow_counts){};
	w->target = target;
	w->phase = hold || !target ? WAY_DRAINED : WAY_OPEN;
	w->entry = (struct xsr_flow){
		.counts = flow->index * XSR_WAYS + way,
		.source = way == SOCKMAP_REQUESTS ? (flow->client ? flow->client->conn : ~0u) : 0,
		.target = target ? target->conn : 0,
		.state = w->phase == WAY_OPEN ? XSR_WAY_OPEN : XSR_WAY_HELD,
	};
}

static int entries_add(struct sockmap_flow *flow)
{
	struct xsr_flow_key requests = way_key(flow, SOCKMAP_REQUESTS), replies = way_key(flow, SOCKMAP_REPLIES);
	int ret = stream_flow_add(flow->sm->stream, &replies, &flow->ways[SOCKMAP_REPLIES].entry);

	if (ret)
		return ret;
	ret = stream_flow_add(flow->sm->stream, &requests, &flow->ways[SOCKMAP_REQUESTS].entry);
	if (ret)
		stream_flow_delete(flow->sm->stream, &replies);
	return ret;
}

/* What an earlier session of this ID left in the lane is not this one's. */
static void stale_take_over(struct sockmap_flow *flow, struct sockmap_flow **at)
{
	struct sockmap_flow *old = *at;
	int way;

	if (old) {
		for (way = 0; way < SOCKMAP_WAYS; way++)
			flow->ways[way].n_stale = old->ways[way].n_stale;
		flow->next = old->next;
		free(old);
	}
	*at = flow;
}

int sockmap_flow_add(struct sockmap *sm, uint32_t service, uint64_t id, struct sockmap_socket *client, struct sockmap_socket *link,
		     bool hold_requests, bool hold_replies, void *owner, struct sockmap_flow **out)
{
	struct sockmap_flow **at = flow_place(sm, service, id), *flow;
	int ret;

	if (*at && !(*at)->removed)
		return -EEXIST;
	flow = sm->n_flow_free ? calloc(1, sizeof(*flow)) : NULL;
	if (!flow)
		return -ENOMEM;
	flow->sm = sm;
	flow->owner = owner;
	flow->service = service;
	flow->id = id;
	flow->index = sm->flow_free[sm->n_flow_free - 1];
	flow->of_client.flow = flow->of_link.flow = flow;
	client_set(flow, client);
	link_set(flow, link);
	way_begin(flow, SOCKMAP_REQUESTS, link, hold_requests);
	way_begin(flow, SOCKMAP_REPLIES, client, hold_replies);
	ret = entries_add(flow);
	if (ret) {
		client_set(flow, NULL);
		link_set(flow, NULL);
		free(flow);
		return ret;
	}
	sm->n_flow_free--;
	stale_take_over(flow, at);
	flow_brake(flow);
	*out = flow;
	return 0;
}

static void moving_set(struct sockmap_flow *flow, bool moving)
{
	if (flow->moving == moving)
		return;
	flow->moving = moving;
	flow->sm->n_moving += moving ? 1 : -1;
	if (moving)
		TAILQ_INSERT_TAIL(&flow->sm->moving, flow, in_moving);
	else
		TAILQ_REMOVE(&flow->sm->moving, flow, in_moving);
}

static void held_drop(struct sockmap_flow *flow, enum sockmap_way way)
{
	flow->sm->n_held -= flow->ways[way].n_waiting;
	flow->ways[way].n_waiting = 0;
	chunk_drop(flow->sm->pool, &flow->ways[way].held, flow->ways[way].held.len);
}

/* What is on its way in the lane is stale from now on. */
static void way_lose(struct sockmap_flow *flow, enum sockmap_way way)
{
	struct flow_way *w = &flow->ways[way];
	bool was_held = w->entry.state == XSR_WAY_HELD;

	if (w->phase == WAY_LOST)
		return;
	w->phase = WAY_LOST;
	w->entry.state = XSR_WAY_LOST;
	way_set(flow, way);
	if (was_held)
		w->n_stale += counter_load(&way_counts(flow, way)->held) - w->n_taken;
	w->n_taken = 0;
	held_drop(flow, way);
	brake_set(&w->full, NULL, BRAKE_OFF);
	brake_set(&w->hold, NULL, BRAKE_OFF);
}

void sockmap_flow_lose(struct sockmap_flow *flow)
{
	way_lose(flow, SOCKMAP_REQUESTS);
	way_lose(flow, SOCKMAP_REPLIES);
	moving_set(flow, false);
}

static void flow_free(struct sockmap_flow *flow)
{
	struct sockmap_flow **at = flow_place(flow->sm, flow->service, flow->id);

	assert(*at == flow);
	*at = flow->next;
	free(flow);
}

void sockmap_flow_remove(struct sockmap_flow *flow)
{
	struct sockmap *sm = flow->sm;
	int way;

	sockmap_flow_lose(flow);
	if (sm->polled == flow)
		sm->polled = NULL;
	for (way = 0; way < SOCKMAP_WAYS; way++) {
		struct xsr_flow_key key = way_key(flow, way);

		stream_flow_delete(sm->stream, &key);
	}
	client_set(flow, NULL);
	link_set(flow, NULL);
	sm->flow_free[sm->n_flow_free++] = flow->index;
	flow->removed = true;
	if (!flow->ways[0].n_stale && !flow->ways[1].n_stale)
		flow_free(flow);
}

void flow_detach(struct sockmap_flow *flow, struct sockmap_socket *s)
{
	sockmap_flow_lose(flow);
	if (flow->client == s)
		client_set(flow, NULL);
	else
		link_set(flow, NULL);
}

void flows_close(struct sockmap *sm)
{
	uint32_t i;

	for (i = 0; sm->buckets && i < sm->n_buckets; i++) {
		while (sm->buckets[i]) {
			struct sockmap_flow *flow = sm->buckets[i];

			if (!flow->removed)
				sockmap_flow_remove(flow);
			if (sm->buckets[i] == flow)
				flow_free(flow);
		}
	}
	free(sm->buckets);
	free(sm->flow_free);
}

/* --- what it tells --- */

void *sockmap_flow_owner(const struct sockmap_flow *flow)
{
	return flow->owner;
}

uint64_t sockmap_flow_id(const struct sockmap_flow *flow)
{
	return flow->id;
}

struct sockmap_socket *sockmap_flow_client(const struct sockmap_flow *flow)
{
	return flow->client;
}

struct sockmap_socket *sockmap_flow_link(const struct sockmap_flow *flow)
{
	return flow->link;
}

void sockmap_flow_counts(const struct sockmap_flow *flow, struct sockmap_counts *counts)
{
	const struct xsr_flow_counts *asked = way_counts(flow, SOCKMAP_REQUESTS), *answered = way_counts(flow, SOCKMAP_REPLIES);

	*counts = (struct sockmap_counts){
		.asked = counter_load(&asked->seq),
		.n_asked = counter_load(&asked->frames),
		.asked_bytes = counter_load(&asked->bytes),
		.answered = counter_load(&answered->seq),
		.n_answered = counter_load(&answered->frames),
		.answered_bytes = counter_load(&answered->bytes),
	};
}

void sockmap_lose(struct sockmap_socket *s, void (*fn)(struct sockmap_flow *flow, const struct sockmap_counts *counts, void *arg), void *arg)
{
	struct flow_node *node, *next;
	struct sockmap_counts counts;

	__atomic_store_n(&conn_of(s)->gone, 1, __ATOMIC_SEQ_CST);
	for (node = LIST_FIRST(&s->flows); node; node = next) {
		next = LIST_NEXT(node, at);
		sockmap_flow_lose(node->flow);
		sockmap_flow_counts(node->flow, &counts);
		if (fn)
			fn(node->flow, &counts, arg);
	}
}

/* --- moves in order --- */

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
	moving_set(flow, true);
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
	held_drop(flow, SOCKMAP_REQUESTS);
	client_set(flow, client);
	replies->target = client;
	flow_brake(flow);
	moving_set(flow, false);
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
		link_set(flow, to);
	w->phase = WAY_RELEASING;
	w->n_flips = 0;
	flow_brake(flow);
	held_submit(flow->sm, w);
	if (!flip_send(flow, way))
		moving_set(flow, true);
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

/* True if there is no more to wait for. */
static bool way_poll(struct sockmap_flow *flow, enum sockmap_way way)
{
	struct flow_way *w = &flow->ways[way];

	if (w->phase == WAY_RELEASING && !w->flip_sent)
		return flip_send(flow, way);
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
		moving_set(flow, false);
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

bool flow_held(struct sockmap *sm, struct sockmap_socket *from, const struct sockmap_frame *frame)
{
	enum sockmap_way way = from->view.kind == SOCKMAP_LINK ? SOCKMAP_REPLIES : SOCKMAP_REQUESTS;
	struct sockmap_flow *flow = *flow_place(sm, from->view.service, be64_to_host(frame->header->id));
	struct flow_way *w;

	if (!flow || held_is_stale(flow, way))
		return true;
	w = &flow->ways[way];
	assert(w->phase != WAY_LOST && w->phase != WAY_OPEN);
	if ((way == SOCKMAP_REPLIES || from == flow->client) && !held_keep(flow, w, frame))
		return false;
	w->n_taken++;
	return true;
}

void flow_flipped(struct sockmap *sm, const struct xsr_frame *flip, bool flipped)
{
	uint32_t flags = be16_to_host(flip->flags), way = flags & 1;
	struct sockmap_flow *flow = sockmap_flow_find(sm, flags >> 1, be64_to_host(flip->id));
	struct flow_way *w = flow ? &flow->ways[way] : NULL;

	if (!flow || be64_to_host(flip->seq) >> 32 != w->entry.generation || w->phase != WAY_RELEASING)
		return;
	w->flip_sent = false;
	if (!flipped) { /* more was held meanwhile; it comes to an end if its source is slow */
		brake_set(&w->hold, way_source(flow, way), ++w->n_flips < FLIPS_SLOW ? BRAKE_SLOW : BRAKE_STOP);
		moving_set(flow, true);
		return;
	}
	w->phase = WAY_OPEN;
	w->entry.state = XSR_WAY_OPEN;
	brake_set(&w->hold, NULL, BRAKE_OFF);
	sm->options.events->released(flow, way, sm->options.arg);
}
