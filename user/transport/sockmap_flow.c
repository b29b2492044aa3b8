/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Sessions: where their frames go, and what became of them. */
#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "mix.h"
#include "sockmap_parts.h"

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
	sm->generation = sm->options.worker * (UINT32_MAX / sm->stream->n_workers);
	return 0;
}

struct sockmap_flow **flow_place(struct sockmap *sm, uint32_t service, uint64_t id)
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

struct xsr_flow_counts *way_counts(const struct sockmap_flow *flow, enum sockmap_way way)
{
	return &flow->sm->stream->counts[flow->index * XSR_WAYS + way];
}

struct xsr_flow_key flow_way_key(const struct sockmap_flow *flow, enum sockmap_way way)
{
	return (struct xsr_flow_key){ .id = flow->id, .service = flow->service, .way = way };
}

int way_set(struct sockmap_flow *flow, enum sockmap_way way)
{
	struct xsr_flow_key key = flow_way_key(flow, way);

	flow->ways[way].entry.generation = ++flow->sm->generation;
	return stream_flow_set(flow->sm->stream, &key, &flow->ways[way].entry);
}

/* --- connections of a flow --- */

struct sockmap_socket *way_source(const struct sockmap_flow *flow, enum sockmap_way way)
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

void flow_client_set(struct sockmap_flow *flow, struct sockmap_socket *client)
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

void flow_link_set(struct sockmap_flow *flow, struct sockmap_socket *link)
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

static void entry_delete(struct sockmap_flow *flow, enum sockmap_way way)
{
	struct xsr_flow_key key = flow_way_key(flow, way);

	stream_flow_delete(flow->sm->stream, &key);
}

/*
 * The kernel gives a new entry the memory of one that was deleted, in which a program may still look for the session of before, and fills it without
 * its lock: so it says first that there is nothing.
 */
static int entry_add(struct sockmap_flow *flow, enum sockmap_way way)
{
	static const struct xsr_flow nothing = { .state = XSR_WAY_LOST };
	struct xsr_flow_key key = flow_way_key(flow, way);
	int ret = stream_flow_add(flow->sm->stream, &key, &nothing);

	if (ret)
		return ret;
	ret = way_set(flow, way);
	if (ret)
		entry_delete(flow, way);
	return ret;
}

static int entries_add(struct sockmap_flow *flow)
{
	int ret = entry_add(flow, SOCKMAP_REPLIES);

	if (ret)
		return ret;
	ret = entry_add(flow, SOCKMAP_REQUESTS);
	if (ret)
		entry_delete(flow, SOCKMAP_REPLIES);
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
	flow_client_set(flow, client);
	flow_link_set(flow, link);
	way_begin(flow, SOCKMAP_REQUESTS, link, hold_requests);
	way_begin(flow, SOCKMAP_REPLIES, client, hold_replies);
	ret = entries_add(flow);
	if (ret) {
		flow_client_set(flow, NULL);
		flow_link_set(flow, NULL);
		free(flow);
		return ret;
	}
	sm->n_flow_free--;
	stale_take_over(flow, at);
	flow_brake(flow);
	*out = flow;
	return 0;
}

void flow_moving_set(struct sockmap_flow *flow, bool moving)
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

void flow_held_drop(struct sockmap_flow *flow, enum sockmap_way way)
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
	flow_held_drop(flow, way);
	brake_set(&w->full, NULL, BRAKE_OFF);
	brake_set(&w->hold, NULL, BRAKE_OFF);
}

void sockmap_flow_lose(struct sockmap_flow *flow)
{
	way_lose(flow, SOCKMAP_REQUESTS);
	way_lose(flow, SOCKMAP_REPLIES);
	flow_moving_set(flow, false);
}

void flow_free(struct sockmap_flow *flow)
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
	for (way = 0; way < SOCKMAP_WAYS; way++)
		entry_delete(flow, way);
	flow_client_set(flow, NULL);
	flow_link_set(flow, NULL);
	sm->flow_free[sm->n_flow_free++] = flow->index;
	flow->removed = true;
	if (!flow->ways[0].n_stale && !flow->ways[1].n_stale)
		flow_free(flow);
}

void flow_detach(struct sockmap_flow *flow, struct sockmap_socket *s)
{
	sockmap_flow_lose(flow);
	if (flow->client == s)
		flow_client_set(flow, NULL);
	else
		flow_link_set(flow, NULL);
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
