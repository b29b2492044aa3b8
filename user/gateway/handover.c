/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#include "handover.h"

#include <stdlib.h>
#include <string.h>

#include "door.h"
#include "errand.h"
#include "link.h"
#include "parcel.h"
#include "place.h"

#define NS_PER_MS 1000000ULL

static void answer(struct gateway *g, uint64_t token, enum handover_result result, uint32_t n_sessions)
{
	const struct mail_parcel room = { .n_sessions = n_sessions };
	struct mail mail = { .type = GATEWAY_MAIL_HANDED, .result = result, .token = token, .worker = g->p.worker };

	memcpy(mail.room, &room, sizeof(room));
	post_mail(&g->post, POST_CONTROL, &mail);
}

/* --- the worker that has it --- */

static void handover_free(struct handover *h)
{
	unsigned int i;

	for (i = 0; i < XSR_BACKENDS_MAX; i++)
		barrier_drop(&h->barriers[i]);
	TAILQ_REMOVE(&h->gateway->handovers, h, of_gateway);
	h->client->handover = NULL;
	free(h);
}

void handover_abort(struct handover *h)
{
	answer(h->gateway, h->token, HANDOVER_AGAIN, 0);
	handover_free(h);
}

/* The connection is read on. */
static void handover_fail(struct handover *h, enum handover_result result)
{
	struct conn *conn = &h->client->conn;

	answer(h->gateway, h->token, result, 0);
	handover_free(h);
	conn_resume(conn);
}

static void on_passed(void *arg, bool lost)
{
	struct handover *h = arg;

	(void)lost; /* then its sessions have their ERR, and go on elsewhere */
	h->n_under_way--;
}

/* To each backend, as soon as there is room; where no link is up nothing is on its way. */
static void barriers_send(struct handover *h)
{
	uint64_t due;

	for (due = h->due; due; due &= due - 1) {
		unsigned int backend = __builtin_ctzll(due);
		struct link *link = link_find(h->gateway, h->client->service, backend);
		bool is_up = link_is_up(link);

		if (is_up && barrier_send(&h->barriers[backend], link))
			continue;
		h->n_under_way += is_up;
		h->due &= ~(1ULL << backend);
	}
}

/* Which backends may have something of it. */
static uint64_t backends_of(const struct front *c)
{
	const struct stream_session *s;
	uint64_t backends = 0;

	LIST_FOREACH(s, &c->sessions, of_client)
		if (link_is_up(s->link) && s->link_epoch == s->link->epoch)
			backends |= 1ULL << s->link->backend;
	return backends;
}

/* No session waits for another worker, or for its backend, or is on its way elsewhere. */
static bool is_at_rest(const struct front *c)
{
	const struct stream_session *s;

	LIST_FOREACH(s, &c->sessions, of_client)
		if (s->errand || s->state != STREAM_OPEN)
			return false;
	return true;
}

static bool is_written(const struct front *c)
{
	return !conn_unsent(&c->conn) && !c->has_errors;
}

/* What it is asked for may have another connection by now. */
static bool has_session(struct handover *h)
{
	const struct stream_session *s = stream_session_find(h->gateway->sessions, h->client->service, h->id);

	return s && s->client == h->client;
}

static void parcel_mail(struct gateway *g, unsigned int to, struct parcel *p)
{
	const struct mail_parcel room = { .parcel = p };
	struct mail mail = { .type = GATEWAY_MAIL_PARCEL };

	memcpy(mail.room, &room, sizeof(room));
	if (!post_mail(&g->post, to, &mail))
		parcel_drop(g, p, XSR_STREAM_STAT_CLOSED_HANDOVER);
}

static void hand(struct handover *h)
{
	struct gateway *g = h->gateway;
	struct front *c = h->client;
	const unsigned int to = h->to;
	const uint64_t id = h->id, token = h->token;
	struct parcel *p;

	handover_free(h);
	p = parcel_pack(c, to);
	if (!p) {
		answer(g, token, HANDOVER_NO_ROOM, 0);
		conn_resume(&c->conn);
		return;
	}
	p->id = id;
	p->token = token;
	parcel_mail(g, to, p);
}

static void handover_step(struct handover *h)
{
	struct front *c = h->client;
	struct gateway *g = h->gateway;

	barriers_send(h);
	if (!h->due && !h->n_under_way && is_written(c) && is_at_rest(c) && post_has_room(&g->post, h->to, 1)) {
		if (has_session(h))
			hand(h);
		else
			handover_fail(h, HANDOVER_AGAIN);
	} else if (g->now_ns >= h->until_ns) {
		handover_fail(h, is_written(c) ? HANDOVER_SILENT : HANDOVER_UNREAD);
	}
}

void handovers_turn(struct gateway *g)
{
	struct handover *h, *next;

	for (h = TAILQ_FIRST(&g->handovers); h; h = next) {
		next = TAILQ_NEXT(h, of_gateway);
		handover_step(h);
	}
}

void handovers_stop(struct gateway *g)
{
	struct handover *h;

	while ((h = TAILQ_FIRST(&g->handovers))) {
		answer(g, h->token, HANDOVER_STOPPED, 0);
		handover_free(h);
	}
}

static void handover_begin(struct gateway *g, struct front *c, const struct mail *mail)
{
	struct handover *h = calloc(1, sizeof(*h));
	unsigned int i;

	if (!h) {
		answer(g, mail->token, HANDOVER_NO_ROOM, 0);
		return;
	}
	h->gateway = g;
	h->client = c;
	h->to = mail->count;
	h->id = mail->id;
	h->token = mail->token;
	h->due = backends_of(c);
	h->until_ns = g->now_ns + HANDOVER_MS * NS_PER_MS;
	for (i = 0; i < XSR_BACKENDS_MAX; i++)
		h->barriers[i] = (struct barrier){ .passed = on_passed, .owner = h };
	c->handover = h;
	TAILQ_INSERT_TAIL(&g->handovers, h, of_gateway);
	if (!c->conn.waits_in)
		conn_wait(&c->conn, NULL);
}

/* Why it cannot begin; HANDOVER_DONE: it can. A session that is not here may have gone on just now, or be about to come. */
static enum handover_result obstacle(const struct gateway *g, const struct stream_session *s, unsigned int to)
{
	const struct front *c = s ? s->client : NULL;

	if (!s)
		return HANDOVER_AGAIN;
	if (!c || c->conn.has_ended)
		return HANDOVER_NOBODY;
	if (c->conn.socket || c->wants_kernel)
		return HANDOVER_KERNEL;
	if (g->ends_ns || !(g->post.known >> to & 1))
		return HANDOVER_STOPPED;
	return c->handover ? HANDOVER_AGAIN : HANDOVER_DONE;
}

static void hand_take(struct gateway *g, const struct mail *mail)
{
	struct stream_session *s = stream_session_find(g->sessions, mail->service, mail->id);
	enum handover_result result = obstacle(g, s, mail->count);

	if (result == HANDOVER_DONE)
		handover_begin(g, s->client, mail);
	else
		answer(g, mail->token, result, 0);
}

/* --- the worker that gets it --- */

/* Sessions that have no client make room for those that have one. */
static bool has_places(struct gateway *g, uint32_t n)
{
	struct stream_session *s;

	while (g->sessions->n_max - g->sessions->n < n && (s = TAILQ_FIRST(&g->sessions->left)))
		session_forget(g, s);
	return g->sessions->n_max - g->sessions->n >= n && g->n_clients < g->p.connections_max;
}

static bool has_links(struct gateway *g, const struct parcel *p)
{
	uint32_t i;

	for (i = 0; i < p->n_sessions; i++)
		if (p->sessions[i].was_up && !link_is_up(link_find(g, p->index, p->sessions[i].backend)))
			return false;
	return true;
}

/* Why this worker does not take it; HANDOVER_DONE: it does. What it had before it takes in any case, if there is room. */
static enum handover_result refusal(struct gateway *g, const struct parcel *p)
{
	bool was_here = p->from == g->p.worker;

	if (!door_is_of(g, p->index, &p->service) || (!was_here && !door_is_open(g, p->index)))
		return HANDOVER_STOPPED;
	if (!has_places(g, p->n_sessions))
		return HANDOVER_NO_ROOM;
	return was_here || has_links(g, p) ? HANDOVER_DONE : HANDOVER_NO_LINK;
}

static void parcel_accept(struct gateway *g, struct parcel *p)
{
	enum handover_result result = p->result;
	uint32_t n = p->n_sessions;
	uint64_t token = p->token;

	if (!parcel_unpack(g, p))
		result = HANDOVER_CLOSED;
	answer(g, token, result, n);
}

static void parcel_refuse(struct gateway *g, struct parcel *p, enum handover_result result)
{
	if (p->from != g->p.worker) {
		p->result = result;
		parcel_return(g, p, p->from);
		parcel_mail(g, p->from, p);
		return;
	}
	answer(g, p->token, HANDOVER_CLOSED, 0);
	parcel_drop(g, p, result == HANDOVER_STOPPED ? XSR_STREAM_STAT_CLOSED_STOP : XSR_STREAM_STAT_CLOSED_HANDOVER);
}

static struct parcel *parcel_of(const struct mail *mail)
{
	struct mail_parcel room;

	memcpy(&room, mail->room, sizeof(room));
	return room.parcel;
}

static void parcel_take(struct gateway *g, struct parcel *p)
{
	enum handover_result result = refusal(g, p);

	if (result == HANDOVER_DONE)
		parcel_accept(g, p);
	else
		parcel_refuse(g, p, result);
}

void handover_mail(struct gateway *g, const struct mail *mail)
{
	switch (mail->type) {
	case GATEWAY_MAIL_HAND:
		if (mail->service < XSR_SERVICES_MAX)
			hand_take(g, mail);
		break;
	case GATEWAY_MAIL_PARCEL:
		parcel_take(g, parcel_of(mail));
		break;
	}
}

void handovers_close(struct gateway *g)
{
	const struct mail *mail;
	uint64_t known;

	for (known = g->post.known; known; known &= known - 1) {
		unsigned int from = __builtin_ctzll(known);

		while ((mail = post_next(&g->post, from))) {
			if (mail->type == GATEWAY_MAIL_PARCEL)
				parcel_drop(g, parcel_of(mail), XSR_STREAM_STAT_CLOSED_STOP);
			post_done(&g->post, from);
		}
	}
}
