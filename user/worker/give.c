/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* The old owner of a session: works off what had arrived for it, and sends its state behind that. */
#include "fence_parts.h"

#include <errno.h>
#include <string.h>

#define EARLY_NS (100 * NS_PER_MS)
#define GIVES_STEP 256

static uint32_t fence_slots(uint32_t state_len)
{
	return state_len <= FENCE_ROOM ? 1 : 1 + (state_len - FENCE_ROOM + MAIL_LEN - 1) / MAIL_LEN;
}

static void state_scatter(struct xsr_worker *w, unsigned int to, uint32_t state_len)
{
	struct mail *mail = post_slot(&w->post, to, 0);
	uint32_t n = state_len < FENCE_ROOM ? state_len : FENCE_ROOM, i;

	memcpy(mail->room + sizeof(struct mail_fence), w->fences.state, n);
	for (i = 1; n < state_len; i++) {
		uint32_t part = state_len - n < MAIL_LEN ? state_len - n : MAIL_LEN;

		memcpy(post_slot(&w->post, to, i), w->fences.state + n, part);
		n += part;
	}
}

/*
 * The length of its state, which is in fences.state; -errno if it cannot be written, which the new owner counts. A handler that did not
 * fail is done with the session, whatever it returned.
 */
static int state_take_out(struct xsr_worker *w, struct session *session)
{
	const struct xsr_handler *h = w->p.handler;
	int len = h->give_up ? h->give_up(w->context, &session->s, w->fences.state) : 0;

	if (len >= 0)
		return (uint32_t)len <= h->state_len_max ? len : -EMSGSIZE;
	if (h->forget)
		h->forget(w->context, &session->s);
	return len;
}

static void fence_fill(const struct xsr_worker *w, struct mail *mail, const struct give *give,
		       const struct session *session, int state_len)
{
	struct mail_fence *fence = (struct mail_fence *)mail->room;

	mail->type = MAIL_FENCE;
	mail->service = give->service;
	mail->id = give->id;
	mail->token = give->token;
	mail->generation = give->generation;
	if (!session)
		return;
	*fence = (struct mail_fence){
		.peer = session->s.peer,
		.n_messages = session->s.n_messages,
		.last_ns = session->s.last_ns,
		.n_handoffs = session->s.n_handoffs,
		.version = w->p.handler->state_version,
		.given = state_len >= 0,
		.state_len = state_len < 0 ? 0 : state_len,
	};
}

/* What comes of the session from now on is late. */
static void session_bury(struct xsr_worker *w, struct session *session, const struct give *give)
{
	if (!session) {
		session = session_make(w, give->service, give->id);
		if (!session)
			return; /* the table is full: nothing of it will find room either */
	}
	session_renew(w, session);
	session->token = give->token;
	session->s.generation = give->generation;
	state_enter(w, session, SESSION_GONE);
}

enum given {
	GIVEN,
	LATER, /* its own fence has to come first */
	FULL,  /* no room in the ring: nor for those behind it */
};

static enum given session_give(struct xsr_worker *w, const struct give *give)
{
	struct session *session = session_find(w->sessions, give->service, give->id);
	int state_len = 0;
	struct mail *mail;

	if (session && session->token >= give->token)
		return GIVEN; /* by this already, and it may even have come back since */
	if (session && session->state == SESSION_HELD && !session->token)
		state_enter(w, session, SESSION_RELEASING); /* it was held as a new one, and it is here that it begins */
	if (session && (session->state == SESSION_HELD || session->state == SESSION_RELEASING))
		return LATER;
	if (session && session->state == SESSION_GONE)
		session = NULL; /* it went by an older one: there is nothing to give */
	if (!w->post.peers[give->to])
		return GIVEN; /* a worker that has left gets nothing */
	if (!post_has_room(&w->post, give->to, fence_slots(w->p.handler->state_len_max)))
		return FULL;
	if (session && session->s.n_messages) /* else the handler has not seen it */
		state_len = state_take_out(w, session);
	mail = post_begin(&w->post, give->to, fence_slots(state_len < 0 ? 0 : state_len));
	fence_fill(w, mail, give, session, state_len);
	if (state_len > 0)
		state_scatter(w, give->to, state_len);
	post_send(&w->post, give->to);
	worker_count(w, XSR_WORKER_STAT_HANDOFFS_OUT);
	session_bury(w, session_find(w->sessions, give->service, give->id), give);
	return GIVEN;
}

static enum given give_carry_out(struct xsr_worker *w, const struct give *give)
{
	const struct mail settled = { .type = MAIL_SETTLED, .token = give->token };

	if (give->service)
		return session_give(w, give);
	return post_mail(&w->post, POST_CONTROL, &settled) ? GIVEN : FULL;
}

/* Asked for again, now that a grace period is over: the early one is forgotten. Both come in the same order. */
static void early_forget(struct gives *early, uint64_t token)
{
	uint32_t i;

	for (i = 0; i < early->n; i++, early->at++) {
		if (early->at >= early->n)
			early->at = 0;
		if (early->list[early->at].token != token)
			continue;
		early->list[early->at].token = 0;
		early->n_void++;
		return;
	}
}

void give_add(struct xsr_worker *w, const struct mail *mail)
{
	struct gives *g = &w->fences.gives[mail->type == MAIL_GIVE_EARLY ? MARK_REDIRECTED : MARK_ARRIVED];

	if (mail->type == MAIL_GIVE && w->fences.gives[MARK_REDIRECTED].n)
		early_forget(&w->fences.gives[MARK_REDIRECTED], mail->token);
	g->list[g->n++] = (struct give){
		.id = mail->id,
		.token = mail->token,
		.until_ns = w->now_ns + EARLY_NS,
		.service = mail->service,
		.generation = mail->generation,
		.to = mail->worker,
	};
}

/* The first n are done, but for `kept` of them, which stand first. */
static void gives_close_up(struct gives *g, uint32_t n, uint32_t kept)
{
	memmove(g->list + kept, g->list + n, (g->n - n) * sizeof(*g->list));
	g->n -= n - kept;
	g->n_marked -= n - kept;
	g->at = 0;
}

static void gives_clear(struct gives *g)
{
	g->n = g->n_marked = g->n_void = g->at = 0;
	g->marked = false;
}

/* Those whose mark has been passed go, some at a time, for messages have their turn between; who cannot waits in its place. */
static void gives_go(struct xsr_worker *w, struct gives *g)
{
	enum given given = GIVEN;
	uint32_t i, kept = 0;

	for (i = 0; i < g->n_marked && i < GIVES_STEP; i++) {
		if (g->list[i].service && !g->list[i].token) {
			g->n_void--;
			continue;
		}
		given = give_carry_out(w, &g->list[i]);
		if (given == FULL)
			break;
		if (given == LATER)
			g->list[kept++] = g->list[i];
	}
	gives_close_up(g, i, kept);
}

/* All were asked for again, or would have been long ago: what the mark waits for will not come. */
static bool early_is_over(const struct xsr_worker *w, const struct gives *early)
{
	return early->n && (early->n_void == early->n || early->list[early->n - 1].until_ns <= w->now_ns);
}

static void gives_step(struct xsr_worker *w, enum transport_mark kind)
{
	struct gives *g = &w->fences.gives[kind];

	if (kind == MARK_REDIRECTED && early_is_over(w, g))
		gives_clear(g);
	if (!g->n)
		return;
	if (g->n_marked < g->n && !g->marked) {
		g->marked = w->p.ops->mark(w->transport, kind);
		if (!g->marked) {
			gives_clear(g); /* early ones, of a transport that cannot tell: they are asked for again */
			return;
		}
		g->n_marked = g->n;
	}
	if (g->marked && !w->p.ops->passed(w->transport, kind))
		return;
	g->marked = false;
	gives_go(w, g);
}

void give_step(struct xsr_worker *w)
{
	gives_step(w, MARK_REDIRECTED);
	gives_step(w, MARK_ARRIVED);
}
