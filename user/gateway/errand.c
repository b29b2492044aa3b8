/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#include "errand.h"

#include <stdlib.h>

#include "express.h"
#include "front.h"
#include "place.h"
#include "hello.h"
#include "link.h"

#define NS_PER_MS 1000000ULL
#define ERRAND_MS 5000 /* that a backend may take to answer all it was asked before */

static bool is_move(const struct errand *e)
{
	return e->worker == POST_CONTROL;
}

static void answer(struct gateway *g, const struct errand *e, uint32_t service, uint64_t id, enum errand_result result)
{
	const struct mail mail = {
		.type = is_move(e) ? GATEWAY_MAIL_PASSED : GATEWAY_MAIL_YOURS,
		.result = result,
		.service = service,
		.id = id,
		.token = e->mail_token,
		.worker = g->p.worker,
	};

	post_mail(&g->post, e->worker, &mail);
}

static void errand_free(struct gateway *g, struct errand *e)
{
	TAILQ_REMOVE(&g->errands, e, of_gateway);
	e->session->errand = NULL;
	e->session->is_held = false;
	free(e);
}

/* Its client's requests go on. */
static void session_release(struct gateway *g, struct errand *e)
{
	struct stream_session *s = e->session;
	bool holds = e->holds;

	errand_free(g, e);
	if (holds)
		express_release(s, s->link);
	if (s->client)
		conn_resume(&s->client->conn);
}

/* To another worker: nothing of it stays here. */
static void session_part(struct gateway *g, struct errand *e)
{
	struct stream_session *s = e->session;
	struct front *client = s->client;
	struct errand parting = *e;

	errand_free(g, e);
	registry_pass(g->p.registry, s->service, s->id, parting.worker);
	session_drop(g, s);
	answer(g, &parting, parting.service, parting.id, ERRAND_DONE);
	if (client)
		front_left(client);
}

static void errand_passed(void *arg, bool lost)
{
	struct errand *e = arg;
	struct gateway *g = e->gateway;

	e->passed = true;
	if (is_move(e)) /* held on until GO */
		answer(g, e, e->service, e->id, lost ? ERRAND_LOST : ERRAND_DONE);
	else
		session_part(g, e);
}

/*
 * No request of it goes on. Not before its backend has answered its HELLO, and not while it settles: what its client sends then comes here, and
 * who is in the kernel's hands cannot be kept waiting.
 */
static bool session_hold(struct errand *e)
{
	struct stream_session *s = e->session;

	if (s->is_held)
		return true;
	if (s->state == STREAM_GREETED || (s->flow && express_hold(s)))
		return false;
	e->holds = s->flow;
	return s->is_held = true;
}

/* The barrier goes out as soon as there is room; without a link that is up nothing is on its way. */
static void errand_begin(struct errand *e)
{
	struct stream_session *s = e->session;

	if (!session_hold(e) || (s->flow && !e->is_drained))
		return;
	if (!link_is_up(s->link) || s->link_epoch != s->link->epoch)
		errand_passed(e, false);
	else if (!s->flow && !express_is_clear(s))
		return;
	else
		barrier_send(&e->barrier, s->link);
}

void errand_resume(struct errand *e)
{
	if (!e->barrier.token && !e->passed)
		errand_begin(e);
}

void errand_drained(struct errand *e)
{
	e->is_drained = true;
	errand_resume(e);
}

static struct errand *errand_new(struct gateway *g, unsigned int worker, const struct mail *mail)
{
	struct errand *e = calloc(1, sizeof(*e));

	if (!e)
		return NULL;
	e->barrier.passed = errand_passed;
	e->barrier.owner = e;
	e->gateway = g;
	e->service = mail->service;
	e->id = mail->id;
	e->worker = worker;
	e->mail_token = mail->token;
	e->until_ns = g->now_ns + ERRAND_MS * NS_PER_MS;
	return e;
}

static void errand_hold(struct gateway *g, struct errand *e, struct stream_session *s)
{
	e->session = s;
	s->errand = e;
	TAILQ_INSERT_TAIL(&g->errands, e, of_gateway);
	errand_begin(e);
}

static void refuse(struct gateway *g, unsigned int worker, const struct mail *mail, enum errand_result result)
{
	const struct errand e = { .worker = worker, .mail_token = mail->token };

	answer(g, &e, mail->service, mail->id, result);
}

static void want_take(struct gateway *g, unsigned int from, const struct mail *mail)
{
	struct stream_session *s = stream_session_find(g->sessions, mail->service, mail->id);
	bool may = s && s->state != STREAM_WANTED && hello_may_have(s, mail->token);
	struct errand *e = may && !s->errand ? errand_new(g, from, mail) : NULL;

	if (may && s->errand)
		session_leave(s); /* the errand must not count on what its old connection was given */
	if (e)
		errand_hold(g, e, s);
	else if (s)
		refuse(g, from, mail, ERRAND_REFUSED);
	else
		refuse(g, from, mail, ERRAND_EMPTY);
}

static void move_take(struct gateway *g, unsigned int from, const struct mail *mail)
{
	struct stream_session *s = stream_session_find(g->sessions, mail->service, mail->id);
	struct link *to = link_find(g, mail->service, mail->count);
	struct errand *e = NULL;

	if (s && link_is_up(to) && !s->errand && s->state != STREAM_WANTED)
		e = errand_new(g, from, mail);
	if (e) {
		e->to = to->backend;
		errand_hold(g, e, s);
	} else {
		refuse(g, from, mail, s ? ERRAND_REFUSED : ERRAND_EMPTY);
	}
}

/* What came of the WANT: it is ours; or it is nobody's, then it is claimed when the HELLO is looked at again; or not now. */
static void yours_take(struct gateway *g, const struct mail *mail)
{
	struct stream_session *s = stream_session_find(g->sessions, mail->service, mail->id);

	if (!s || s->state != STREAM_WANTED) {
		if (mail->result == ERRAND_DONE && !s) /* who wanted it has gone */
			registry_forget(g->p.registry, mail->service, mail->id);
		return;
	}
	if (mail->result == ERRAND_DONE)
		hello_granted(s);
	else
		hello_refused(g, s);
}

/* One that has closed its way, and waits for nothing more, may be gone. */
static bool client_is_here(const struct stream_session *s)
{
	return s->client && s->link_epoch && (!s->client->leaves || s->asked > s->answered);
}

/*
 * Who is here has what was passed on to him. Who is not, or has not said yet what he has, greets first: else the new backend would take for served
 * what only the old one could repeat.
 */
static void session_relink(struct stream_session *s, struct link *to)
{
	bool is_here = client_is_here(s);

	if (!is_here)
		express_end(s); /* nothing of it is held */
	link_bind(s, to);
	if (link_is_up(to) && is_here)
		link_introduce(s, s->answered);
}

static void go_take(struct gateway *g, const struct mail *mail)
{
	struct stream_session *s = stream_session_find(g->sessions, mail->service, mail->id);
	struct errand *e = s ? s->errand : NULL;
	struct link *to;

	if (!e || !is_move(e) || e->mail_token != mail->token)
		return;
	to = mail->result == ERRAND_DONE ? link_find(g, s->service, e->to) : NULL;
	if (to) {
		express_note(s);
		session_relink(s, to);
		s->is_routed = true;
		s->generation = mail->generation;
		s->n_moves++;
		s->moved_ns = g->now_ns;
		gateway_count(g, s->service, XSR_STREAM_STAT_MOVES);
	}
	session_release(g, e);
}

void errand_mail(struct gateway *g, unsigned int from, const struct mail *mail)
{
	if (mail->service >= XSR_SERVICES_MAX)
		return;
	switch (mail->type) {
	case GATEWAY_MAIL_WANT:
		want_take(g, from, mail);
		break;
	case GATEWAY_MAIL_YOURS:
		yours_take(g, mail);
		break;
	case GATEWAY_MAIL_MOVE:
		move_take(g, from, mail);
		break;
	case GATEWAY_MAIL_GO:
		go_take(g, mail);
		break;
	}
}

void errand_abort(struct stream_session *s)
{
	struct errand *e = s->errand;
	struct errand gone;

	if (!e)
		return;
	gone = *e;
	barrier_drop(&e->barrier);
	errand_free(e->gateway, e);
	if (!gone.passed)
		answer(gone.gateway, &gone, gone.service, gone.id, ERRAND_EMPTY);
}

static void errand_give_up(struct gateway *g, struct errand *e)
{
	barrier_drop(&e->barrier);
	if (!e->passed)
		answer(g, e, e->service, e->id, ERRAND_TIMEOUT);
	session_release(g, e);
}

void errands_tick(struct gateway *g)
{
	struct errand *e, *next;

	for (e = TAILQ_FIRST(&g->errands); e; e = next) {
		next = TAILQ_NEXT(e, of_gateway);
		if (g->now_ns >= e->until_ns)
			errand_give_up(g, e);
		else
			errand_resume(e);
	}
}
