/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#include "handover.h"

#include <stdlib.h>
#include <string.h>

#include "door.h"
#include "errand.h"
#include "link.h"
#include "parcel.h"
#include "takeover.h"

#define NS_PER_MS 1000000ULL

void handover_answer(struct gateway *g, uint64_t token, uint64_t id, enum handover_result result, uint32_t n_sessions)
{
	const struct mail_handed room = { .n_sessions = n_sessions };
	struct mail mail = { .type = GATEWAY_MAIL_HANDED, .result = result, .token = token, .id = id, .worker = g->p.worker };

	memcpy(mail.room, &room, sizeof(room));
	post_mail(&g->post, POST_CONTROL, &mail);
}

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
	handover_answer(h->gateway, h->token, h->id, HANDOVER_AGAIN, 0);
	handover_free(h);
}

/* The connection is read on. */
static void handover_fail(struct handover *h, enum handover_result result)
{
	struct conn *conn = &h->client->conn;

	handover_answer(h->gateway, h->token, h->id, result, 0);
	h->client->stayed_ns = h->gateway->now_ns;
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

/*
 * No session waits for another worker, or for its backend, or is on its way elsewhere. One that came to another backend meanwhile was
 * introduced there: that must be read before the other worker's HELLO is.
 */
static bool is_at_rest(const struct front *c)
{
	const struct stream_session *s;

	LIST_FOREACH(s, &c->sessions, of_client)
		if (s->errand || s->n_hellos || s->state != STREAM_OPEN)
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

	return h->is_any || (s && s->client == h->client);
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
		handover_answer(g, token, id, HANDOVER_NO_ROOM, 0);
		conn_resume(&c->conn);
		return;
	}
	p->id = id;
	p->token = token;
	parcel_send(g, to, p);
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
		handover_answer(g, h->token, h->id, HANDOVER_STOPPED, 0);
		handover_free(h);
	}
}

static void handover_begin(struct gateway *g, struct front *c, const struct handover *wish)
{
	struct handover *h = malloc(sizeof(*h));
	unsigned int i;

	if (!h) {
		handover_answer(g, wish->token, wish->id, HANDOVER_NO_ROOM, 0);
		return;
	}
	*h = *wish;
	h->gateway = g;
	h->client = c;
	h->due = backends_of(c);
	h->until_ns = g->now_ns + HANDOVER_MS * NS_PER_MS;
	for (i = 0; i < XSR_BACKENDS_MAX; i++)
		h->barriers[i] = (struct barrier){ .passed = on_passed, .owner = h };
	c->handover = h;
	TAILQ_INSERT_TAIL(&g->handovers, h, of_gateway);
	if (!c->conn.waits_in)
		conn_wait(&c->conn, NULL);
}

/* Why a connection cannot go now; HANDOVER_DONE: it can. */
static enum handover_result obstacle(const struct gateway *g, const struct front *c, unsigned int to)
{
	if (!c || c->conn.has_ended)
		return HANDOVER_NOBODY;
	if (c->conn.socket || c->wants_kernel)
		return HANDOVER_KERNEL;
	if (g->ends_ns || !((g->post.known & ~g->leaving) >> to & 1))
		return HANDOVER_STOPPED;
	return c->handover ? HANDOVER_AGAIN : HANDOVER_DONE;
}

/* A session that is not here may have gone on just now, or be about to come. */
static void hand_take(struct gateway *g, const struct mail *mail)
{
	struct stream_session *s = stream_session_find(g->sessions, mail->service, mail->id);
	const struct handover wish = { .to = mail->count, .id = mail->id, .token = mail->token };
	enum handover_result result = s ? obstacle(g, s->client, wish.to) : HANDOVER_AGAIN;

	if (result == HANDOVER_DONE)
		handover_begin(g, s->client, &wish);
	else
		handover_answer(g, wish.token, wish.id, result, 0);
}

/* Who could not go a moment ago is not tried again before others. */
static bool may_spread(const struct front *c, unsigned int to)
{
	const struct gateway *g = c->conn.gateway;

	return obstacle(g, c, to) == HANDOVER_DONE && (!c->stayed_ns || g->now_ns - c->stayed_ns > HANDOVER_MS * NS_PER_MS);
}

static void spread_take(struct gateway *g, const struct mail *mail)
{
	struct handover wish = { .to = mail->worker, .token = mail->token, .is_any = true };
	unsigned int n = mail->count;
	struct front *c;

	LIST_FOREACH(c, &g->clients, of_gateway) {
		if (!n)
			return;
		if (!may_spread(c, wish.to))
			continue;
		handover_begin(g, c, &wish);
		n--;
	}
	while (n--)
		handover_answer(g, wish.token, 0, HANDOVER_NOBODY, 0);
}

static void shut_take(struct gateway *g, const struct mail *mail)
{
	g->is_shut = true;
	doors_leave(g);
	handover_answer(g, mail->token, 0, HANDOVER_DONE, 0);
}

/* Those that are to go there stay. */
static void leave_take(struct gateway *g, const struct mail *mail)
{
	struct handover *h, *next;

	g->leaving |= 1ULL << mail->worker;
	for (h = TAILQ_FIRST(&g->handovers); h; h = next) {
		next = TAILQ_NEXT(h, of_gateway);
		if (h->to == mail->worker)
			handover_fail(h, HANDOVER_STOPPED);
	}
	handover_answer(g, mail->token, 0, HANDOVER_DONE, 0);
}

void handover_mail(struct gateway *g, const struct mail *mail)
{
	switch (mail->type) {
	case GATEWAY_MAIL_HAND:
		if (mail->service < XSR_SERVICES_MAX)
			hand_take(g, mail);
		break;
	case GATEWAY_MAIL_SPREAD:
		spread_take(g, mail);
		break;
	case GATEWAY_MAIL_SHUT:
		shut_take(g, mail);
		break;
	case GATEWAY_MAIL_LEAVE:
		leave_take(g, mail);
		break;
	case GATEWAY_MAIL_PARCEL:
		takeover(g, parcel_of(mail));
		break;
	}
}
