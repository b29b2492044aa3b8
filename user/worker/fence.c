/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#include "fence_parts.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "route.h"

#define GONE_NS NS_PER_S
#define TOLD_MAX 16 /* sessions without state that are logged in a second, one by one */
#define STATE_LEN_MAX 65536

int fence_open(struct xsr_worker *w)
{
	struct fences *f = &w->fences;
	int i;

	TAILQ_INIT(&f->held);
	TAILQ_INIT(&f->releasing);
	TAILQ_INIT(&f->gone);
	if (w->p.handler->state_len_max > STATE_LEN_MAX)
		return -E2BIG;
	for (i = 0; i < MARK_MAX; i++)
		f->gives[i].list = calloc(GIVES_MAX, sizeof(struct give));
	f->state = malloc(w->p.handler->state_len_max ?: 1);
	if (!f->gives[MARK_ARRIVED].list || !f->gives[MARK_REDIRECTED].list || !f->state)
		return -ENOMEM;
	return hold_pool_open(&f->pool, w->p.hold_len);
}

void fence_close(struct xsr_worker *w)
{
	int i;

	hold_pool_close(w->fences.pool);
	for (i = 0; i < MARK_MAX; i++)
		free(w->fences.gives[i].list);
	free(w->fences.state);
}

static struct session_list *state_list(struct fences *f, enum session_state state)
{
	switch (state) {
	case SESSION_HELD:
		return &f->held;
	case SESSION_RELEASING:
		return &f->releasing;
	case SESSION_GONE:
		return &f->gone;
	default:
		return NULL;
	}
}

void state_enter(struct xsr_worker *w, struct session *session, enum session_state state)
{
	struct session_list *from = state_list(&w->fences, session->state), *to = state_list(&w->fences, state);

	if (from)
		TAILQ_REMOVE(from, session, listed);
	if (to)
		TAILQ_INSERT_TAIL(to, session, listed);
	session->state = state;
	if (state == SESSION_HELD)
		session->until_ns = w->now_ns + w->p.fence_ms * NS_PER_MS;
	if (state == SESSION_GONE)
		session->until_ns = w->now_ns + GONE_NS;
}

void session_remove(struct xsr_worker *w, struct session *session)
{
	hold_clear(w->fences.pool, &session->hold);
	state_enter(w, session, SESSION_ACTIVE);
	session_delete(w->sessions, session);
}

/* As if it had just come into the table. */
void session_renew(struct xsr_worker *w, struct session *session)
{
	const struct xsr_session fresh = {
		.id = session->s.id, .service = session->s.service, .index = session->s.index
	};

	state_enter(w, session, SESSION_ACTIVE);
	session->s = fresh;
	session->token = 0;
	session->since = 0;
}

struct session *session_make(struct xsr_worker *w, uint32_t service, uint64_t id)
{
	struct session *session = session_get(w->sessions, service, id);

	if (session || TAILQ_EMPTY(&w->fences.gone))
		return session;
	session_remove(w, TAILQ_FIRST(&w->fences.gone));
	return session_get(w->sessions, service, id);
}

struct session *fence_session(struct xsr_worker *w, uint32_t service, uint64_t id)
{
	struct session *session = session_find(w->sessions, service, id);

	if (session)
		return session;
	session = session_make(w, service, id);
	if (session && w->fences.adopting)
		state_enter(w, session, SESSION_HELD);
	return session;
}

void session_tell(struct xsr_worker *w, const struct session *session, const char *what)
{
	char sentence[224];

	if (w->fences.n_told == TOLD_MAX) {
		w->fences.n_untold++;
		return;
	}
	w->fences.n_told++;
	snprintf(sentence, sizeof(sentence), "session 0x%llx of service %s goes on at worker %u without its state: %s",
		 (unsigned long long)session->s.id, w->p.maps->services[session->s.service].name, w->p.number, what);
	w->p.log(sentence, w->p.log_arg);
}

/* More than hold_max, and the oldest has waited for more than hold_ms. */
static bool hold_is_full(const struct xsr_worker *w, const struct hold *hold)
{
	return hold->n >= w->p.hold_max && w->now_ns - hold->first_ns >= w->p.hold_ms * NS_PER_MS;
}

static void message_hold(struct xsr_worker *w, struct session *session, const struct xsr_message *m)
{
	if (hold_is_full(w, &session->hold) || !hold_push(w->fences.pool, &session->hold, m, w->now_ns))
		worker_count(w, XSR_WORKER_STAT_HOLD_OVERFLOW);
	else
		worker_count(w, XSR_WORKER_STAT_HELD);
}

/* What the route says now; -1 if the session has none, or it leads to no worker. */
static int route_ask(const struct xsr_worker *w, const struct session *session, struct xsr_route *route)
{
	const struct xsr_service *service = &w->p.maps->services[session->s.service];

	return route_get(w->p.maps, session->s.service, service, session->s.id, route);
}

/* Whether messages of a session that has gone are ours again, by a change of its route that was no handoff. */
static bool session_is_back(struct xsr_worker *w, const struct session *session)
{
	return route_owner(w->p.maps, session->s.service, session->s.id) == (int)w->p.number;
}

/*
 * The stamp says by which generation of the route a message came. One from before the session moved here cannot be: the old owner has
 * worked all of them off. Unless the route was made anew meanwhile, which begins at 1 again. A route that is only written again
 * changes nothing: messages of both generations may wait in different queues.
 */
static bool generation_fits(struct xsr_worker *w, struct session *session, const struct xsr_message *m)
{
	struct xsr_route route;

	if (!m->generation)
		return true;
	if (session->since && (int16_t)(m->generation - session->since) < 0) {
		if (route_ask(w, session, &route) || route.generation != m->generation)
			return false;
		session->since = m->generation;
	}
	session->s.generation = m->generation;
	return true;
}

bool fence_admit(struct xsr_worker *w, struct session *session, const struct xsr_message *m)
{
	switch (session->state) {
	case SESSION_ACTIVE:
		if (generation_fits(w, session, m))
			return true;
		worker_count(w, XSR_WORKER_STAT_STALE);
		return false;
	case SESSION_GONE:
		if (!session_is_back(w, session)) {
			worker_count(w, XSR_WORKER_STAT_STALE);
			return false;
		}
		session_renew(w, session);
		if (!w->fences.adopting)
			return true;
		state_enter(w, session, SESSION_HELD);
		/* fallthrough */
	default:
		message_hold(w, session, m);
		return false;
	}
}

void fence_step(struct xsr_worker *w)
{
	expect_step(w);
	give_step(w);
	if (w->fences.mail_left)
		fence_read_mail(w);
}

void fence_tick(struct xsr_worker *w)
{
	struct fences *f = &w->fences;
	struct session *session;
	char sentence[96];

	while ((session = TAILQ_FIRST(&f->gone)) && session->until_ns <= w->now_ns)
		session_remove(w, session);
	if (f->n_untold) {
		snprintf(sentence, sizeof(sentence), "%u more sessions go on at worker %u without their state",
			 f->n_untold, w->p.number);
		w->p.log(sentence, w->p.log_arg);
	}
	f->n_untold = f->n_told = 0;
}

int fence_timeout_ms(const struct xsr_worker *w, int timeout_ms)
{
	const struct fences *f = &w->fences;
	const struct session *first = TAILQ_FIRST(&f->held);
	uint64_t left_ms;

	if (f->gives[MARK_ARRIVED].n || f->gives[MARK_REDIRECTED].n || f->mail_left || !TAILQ_EMPTY(&f->releasing))
		return 0;
	if (!first)
		return timeout_ms;
	left_ms = first->until_ns > w->now_ns ? (first->until_ns - w->now_ns) / NS_PER_MS + 1 : 0;
	return timeout_ms < 0 || left_ms < (uint64_t)timeout_ms ? (int)left_ms : timeout_ms;
}
