/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* The old owner of a session: works off what had arrived for it, and sends its state behind that. */
#include "fence_parts.h"

#include <string.h>

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

/* The length of its state, which is in fences.state; -errno if it cannot be written. */
static int state_take_out(struct xsr_worker *w, struct session *session)
{
	const struct xsr_handler *h = w->p.handler;
	int len = h->give_up ? h->give_up(w->context, &session->s, w->fences.state) : 0;

	if (len >= 0)
		return len;
	worker_count(w, XSR_WORKER_STAT_STATE_REFUSED);
	session_tell(w, session, "the handler cannot write it");
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
	session->s.generation = give->generation;
	state_enter(w, session, SESSION_GONE);
}

/* False if it cannot go yet. */
static bool session_give(struct xsr_worker *w, const struct give *give)
{
	struct session *session = session_find(w->sessions, give->service, give->id);
	int state_len = 0;
	struct mail *mail;

	if (session && (session->state == SESSION_HELD || session->state == SESSION_RELEASING))
		return false; /* its own fence has to come first */
	if (session && session->state == SESSION_GONE)
		session = NULL;
	if (!post_has_room(&w->post, give->to, fence_slots(w->p.handler->state_len_max)))
		return w->post.peers[give->to] == NULL; /* a worker that has left gets nothing */
	if (session)
		state_len = state_take_out(w, session);
	mail = post_begin(&w->post, give->to, fence_slots(state_len < 0 ? 0 : state_len));
	fence_fill(w, mail, give, session, state_len);
	if (state_len > 0)
		state_scatter(w, give->to, state_len);
	post_send(&w->post, give->to);
	worker_count(w, XSR_WORKER_STAT_HANDOFFS_OUT);
	session_bury(w, session_find(w->sessions, give->service, give->id), give);
	return true;
}

static bool give_carry_out(struct xsr_worker *w, const struct give *give)
{
	const struct mail settled = { .type = MAIL_SETTLED, .token = give->token };

	return give->service ? session_give(w, give) : post_mail(&w->post, POST_CONTROL, &settled);
}

void give_add(struct xsr_worker *w, const struct mail *mail)
{
	w->fences.gives[w->fences.n_gives++] = (struct give){
		.id = mail->id,
		.token = mail->token,
		.service = mail->service,
		.generation = mail->generation,
		.to = mail->worker,
	};
}

/* Those whose mark has been passed go; who cannot waits in its place. */
static void gives_go(struct xsr_worker *w)
{
	struct fences *f = &w->fences;
	uint32_t i, kept = 0;

	for (i = 0; i < f->n_marked; i++)
		if (!give_carry_out(w, &f->gives[i]))
			f->gives[kept++] = f->gives[i];
	memmove(f->gives + kept, f->gives + f->n_marked, (f->n_gives - f->n_marked) * sizeof(*f->gives));
	f->n_gives -= f->n_marked - kept;
	f->n_marked = kept;
}

void give_step(struct xsr_worker *w)
{
	struct fences *f = &w->fences;

	if (!f->n_gives)
		return;
	if (f->n_marked < f->n_gives && !f->marked) {
		w->p.ops->mark(w->transport);
		f->n_marked = f->n_gives;
		f->marked = true;
	}
	if (f->marked && !w->p.ops->passed(w->transport))
		return;
	f->marked = false;
	gives_go(w);
}
