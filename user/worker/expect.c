/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* The new owner of a session: holds its messages, installs its state, works off what it held. */
#include "fence_parts.h"

#include <string.h>

#define RELEASE_BATCHES 4 /* worked off of held messages before new ones have their turn */

/* Whatever we knew of it is older than what will come. */
bool expect_session(struct xsr_worker *w, const struct mail *mail)
{
	struct session *session = session_find(w->sessions, mail->service, mail->id);
	const bool known = session;

	if (session && session->state != SESSION_HELD && session->token >= mail->token)
		return true; /* told again, while its fence was on the way: it has come already */
	if (!session)
		session = session_make(w, mail->service, mail->id);
	if (!session || session->state == SESSION_RELEASING)
		return false;
	if (known && session->state == SESSION_ACTIVE && session->s.n_messages && w->p.handler->forget)
		w->p.handler->forget(w->context, &session->s);
	if (session->state != SESSION_HELD)
		session_renew(w, session);
	state_enter(w, session, SESSION_HELD);
	session->token = mail->token;
	return true;
}

static void session_taken(struct xsr_worker *w, struct session *session, enum mail_taken how)
{
	state_enter(w, session, SESSION_RELEASING);
	session->taken = how;
	if (how == TAKEN_NO_FENCE) {
		worker_count(w, XSR_WORKER_STAT_NO_FENCE);
		session_tell(w, session, session->token ? "its fence did not come in time" :
				"it was new while workers changed, and none said in time that it had it");
	}
	if (how == TAKEN_STATE_REFUSED)
		worker_count(w, XSR_WORKER_STAT_STATE_REFUSED);
}

/* The expected session with this token, or NULL. */
static struct session *session_expected(const struct xsr_worker *w, const struct mail *mail)
{
	struct session *session = session_find(w->sessions, mail->service, mail->id);

	return session && session->state == SESSION_HELD && session->token == mail->token ? session : NULL;
}

void expect_cancel(struct xsr_worker *w, const struct mail *mail)
{
	struct session *session = session_expected(w, mail);

	if (!session)
		return;
	session->token = 0;
	if (session->hold.n)
		state_enter(w, session, SESSION_RELEASING);
	else
		session_remove(w, session);
}

/* The handler's bytes in one piece. */
static const uint8_t *state_gather(struct xsr_worker *w, unsigned int from, const struct mail *mail,
				   const struct mail_fence *fence)
{
	uint32_t n = fence->state_len < FENCE_ROOM ? fence->state_len : FENCE_ROOM, i;
	uint8_t *at = w->fences.state;

	memcpy(at, mail->room + sizeof(*fence), n);
	for (i = 1; i < mail->n_slots; i++) {
		uint32_t left = fence->state_len - n, part = left < MAIL_LEN ? left : MAIL_LEN;

		memcpy(at + n, post_more(&w->post, from, i), part);
		n += part;
	}
	return w->fences.state;
}

static enum mail_taken state_install(struct xsr_worker *w, struct session *session, unsigned int from,
				     const struct mail *mail, const struct mail_fence *fence)
{
	const struct xsr_handler *h = w->p.handler;

	if (!fence->n_messages)
		return TAKEN_EMPTY;
	session->s.peer = fence->peer;
	session->s.n_messages = fence->n_messages;
	session->s.last_ns = fence->last_ns;
	if (!h->take_over)
		return TAKEN_WITH_STATE;
	if (!fence->given || h->take_over(w->context, &session->s, fence->version, state_gather(w, from, mail, fence),
					  fence->state_len))
		return TAKEN_STATE_REFUSED;
	return TAKEN_WITH_STATE;
}

void expect_fence(struct xsr_worker *w, unsigned int from, const struct mail *mail)
{
	const struct mail_fence *fence = (const struct mail_fence *)mail->room;
	struct session *session = session_expected(w, mail);
	enum mail_taken how;

	if (!session) {
		worker_count(w, XSR_WORKER_STAT_LATE_FENCE);
		return;
	}
	how = state_install(w, session, from, mail, fence);
	if (how == TAKEN_STATE_REFUSED) {
		session->s.n_messages = 0; /* a handler knows by it that the session is new to it */
		session_tell(w, session, fence->given ? "the handler refused it" : "the handler could not write it");
	}
	session->s.n_handoffs = fence->n_handoffs + 1;
	session->s.moved_ns = w->now_ns;
	session->s.generation = session->since = mail->generation;
	session_taken(w, session, how);
}

static void held_expire(struct xsr_worker *w)
{
	struct session *session;

	while ((session = TAILQ_FIRST(&w->fences.held)) && session->until_ns <= w->now_ns)
		session_taken(w, session, TAKEN_NO_FENCE);
}

/* Those that were held only because they were new. */
void expect_adopted(struct xsr_worker *w)
{
	struct session *session, *next;

	w->fences.adopting = false;
	for (session = TAILQ_FIRST(&w->fences.held); session; session = next) {
		next = TAILQ_NEXT(session, listed);
		if (!session->token)
			state_enter(w, session, SESSION_RELEASING);
	}
}

/*
 * The oldest held messages of the sessions from *session on, which it moves to the first that has some left: as many as the transport has
 * room for, and a batch at most. Many sessions that hold little cost no more than one that holds much.
 */
static int holds_gather(struct xsr_worker *w, struct session **session)
{
	int i, n = w->p.ops->reserve(w->transport, w->messages, w->p.batch);

	for (i = 0; i < n && *session;) {
		if (hold_pop(w->fences.pool, &(*session)->hold, &w->messages[i]))
			w->of[i++] = *session;
		else
			*session = TAILQ_NEXT(*session, listed);
	}
	if (i < n)
		w->p.ops->release(w->transport, w->messages + i, n - i);
	return i;
}

static void session_resume(struct xsr_worker *w, struct session *session)
{
	const struct mail mail = {
		.type = MAIL_TAKEN,
		.result = session->taken,
		.generation = session->s.generation,
		.service = session->s.service,
		.id = session->s.id,
		.token = session->token,
	};

	if (session->token) {
		if (!post_mail(&w->post, POST_CONTROL, &mail))
			return; /* another time */
		worker_count(w, XSR_WORKER_STAT_HANDOFFS_IN);
	}
	state_enter(w, session, SESSION_ACTIVE);
}

/* Those that hold nothing any more; they stand before the one that does. */
static void releasing_end(struct xsr_worker *w)
{
	struct session *session, *next;

	for (session = TAILQ_FIRST(&w->fences.releasing); session && !session->hold.n; session = next) {
		next = TAILQ_NEXT(session, listed);
		session_resume(w, session);
	}
}

static void releasing_step(struct xsr_worker *w)
{
	struct session *session = TAILQ_FIRST(&w->fences.releasing);
	int i, n;

	for (i = 0; i < RELEASE_BATCHES && session; i++) {
		n = holds_gather(w, &session);
		if (!n)
			break;
		worker_serve_held(w, n);
	}
	releasing_end(w);
}

void expect_step(struct xsr_worker *w)
{
	held_expire(w);
	releasing_step(w);
}

void fence_release_all(struct xsr_worker *w)
{
	while (!TAILQ_EMPTY(&w->fences.held))
		session_taken(w, TAILQ_FIRST(&w->fences.held), TAKEN_NO_FENCE);
}
