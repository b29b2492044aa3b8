/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#include "fence.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "route.h"
#include "socket.h"
#include "worker.h"

#define NS_PER_MS 1000000ULL
#define NS_PER_S 1000000000ULL
#define GIVES_MAX 65536
#define GONE_NS NS_PER_S
#define RELEASE_BATCHES 4 /* worked off of held messages before new ones have their turn */
#define TOLD_MAX 16	  /* sessions without state that are logged in a second, one by one */
#define LIST_ROWS (MAIL_ROOM / sizeof(struct session_row))
#define LIST_MAILS 16
#define LIST_PLACES 4096
#define STATE_LEN_MAX 65536

/* In the room of a fence; the handler's bytes follow, in the slots behind where they do not fit. */
struct mail_fence {
	struct xsr_peer peer;
	uint64_t n_messages;
	uint64_t last_ns;
	uint32_t n_handoffs;
	uint16_t version;
	uint16_t given;	    /* there was a session, and the handler wrote its state */
	uint32_t state_len;
	uint32_t pad;
};

#define FENCE_ROOM (MAIL_ROOM - sizeof(struct mail_fence))

int fence_open(struct xsr_worker *w)
{
	struct fences *f = &w->fences;

	TAILQ_INIT(&f->held);
	TAILQ_INIT(&f->releasing);
	TAILQ_INIT(&f->gone);
	if (w->p.handler->state_len_max > STATE_LEN_MAX)
		return -E2BIG;
	f->gives = calloc(GIVES_MAX, sizeof(*f->gives));
	f->state = malloc(w->p.handler->state_len_max ?: 1);
	if (!f->gives || !f->state)
		return -ENOMEM;
	return hold_pool_open(&f->pool, w->p.hold_len);
}

void fence_close(struct xsr_worker *w)
{
	hold_pool_close(w->fences.pool);
	free(w->fences.gives);
	free(w->fences.state);
}

/* --- states --- */

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

static void state_enter(struct xsr_worker *w, struct session *session, enum session_state state)
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

static void session_remove(struct xsr_worker *w, struct session *session)
{
	hold_clear(w->fences.pool, &session->hold);
	state_enter(w, session, SESSION_ACTIVE);
	session_delete(w->sessions, session);
}

/* As if it had just come into the table. */
static void session_renew(struct xsr_worker *w, struct session *session)
{
	const struct xsr_session fresh = {
		.id = session->s.id, .service = session->s.service, .index = session->s.index
	};

	state_enter(w, session, SESSION_ACTIVE);
	session->s = fresh;
	session->token = 0;
}

static struct session *session_make(struct xsr_worker *w, uint32_t service, uint64_t id)
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

static void session_tell(struct xsr_worker *w, const struct session *session, const char *what)
{
	char sentence[160];

	if (w->fences.n_told == TOLD_MAX) {
		w->fences.n_untold++;
		return;
	}
	w->fences.n_told++;
	snprintf(sentence, sizeof(sentence), "session 0x%llx of service %s goes on at worker %u without its state: %s",
		 (unsigned long long)session->s.id, w->p.maps->services[session->s.service].name, w->p.number, what);
	w->p.log(sentence, w->p.log_arg);
}

/* --- messages --- */

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
 * The stamp says by which generation of the route a message came. A newer one than we knew is fine, an older one only if
 * the route was made anew meanwhile, which begins at 1 again.
 */
static bool generation_fits(struct xsr_worker *w, struct session *session, const struct xsr_message *m)
{
	struct xsr_route route;

	if (!m->generation || m->generation == session->s.generation)
		return true;
	if (session->s.generation && (int16_t)(m->generation - session->s.generation) < 0 &&
	    (route_ask(w, session, &route) || route.generation != m->generation))
		return false;
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

/* --- the new owner --- */

static void reply(struct xsr_worker *w, const struct mail *to, enum mail_type type)
{
	const struct mail mail = { .type = type, .service = to->service, .id = to->id, .token = to->token };

	post_mail(&w->post, POST_CONTROL, &mail); /* there is room: mail_can_be_taken() */
}

/* Whatever we knew of it is older than what will come. */
static void session_expect(struct xsr_worker *w, const struct mail *mail)
{
	struct session *session = session_find(w->sessions, mail->service, mail->id);
	const bool known = session;

	if (!session)
		session = session_make(w, mail->service, mail->id);
	if (!session || session->state == SESSION_RELEASING) {
		reply(w, mail, MAIL_REFUSED);
		return;
	}
	if (known && session->state == SESSION_ACTIVE && session->s.n_messages && w->p.handler->forget)
		w->p.handler->forget(w->context, &session->s);
	if (session->state != SESSION_HELD)
		session_renew(w, session);
	state_enter(w, session, SESSION_HELD);
	session->token = mail->token;
	reply(w, mail, MAIL_READY);
}

static void session_taken(struct xsr_worker *w, struct session *session, enum mail_taken how)
{
	state_enter(w, session, SESSION_RELEASING);
	session->taken = how;
	if (how == TAKEN_NO_FENCE) {
		worker_count(w, XSR_WORKER_STAT_NO_FENCE);
		session_tell(w, session, "its fence did not come in time");
	}
	if (how == TAKEN_STATE_REFUSED) {
		worker_count(w, XSR_WORKER_STAT_STATE_REFUSED);
		session_tell(w, session, "the handler refused it");
	}
}

/* The expected session with this token, or NULL. */
static struct session *session_expected(const struct xsr_worker *w, const struct mail *mail)
{
	struct session *session = session_find(w->sessions, mail->service, mail->id);

	return session && session->state == SESSION_HELD && session->token == mail->token ? session : NULL;
}

static void session_cancel(struct xsr_worker *w, const struct mail *mail)
{
	struct session *session = session_expected(w, mail);

	if (!session)
		return;
	session->token = 0;
	state_enter(w, session, SESSION_RELEASING);
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

static void fence_take(struct xsr_worker *w, unsigned int from, const struct mail *mail)
{
	const struct mail_fence *fence = (const struct mail_fence *)mail->room;
	struct session *session = session_expected(w, mail);
	enum mail_taken how;

	if (!session) {
		worker_count(w, XSR_WORKER_STAT_LATE_FENCE);
		return;
	}
	how = state_install(w, session, from, mail, fence);
	if (how == TAKEN_STATE_REFUSED)
		session->s.n_messages = 0; /* a handler knows by it that the session is new to it */
	session->s.n_handoffs = fence->n_handoffs + 1;
	session->s.moved_ns = w->now_ns;
	session->s.generation = mail->generation;
	session_taken(w, session, how);
}

static void held_expire(struct xsr_worker *w)
{
	struct session *session;

	while ((session = TAILQ_FIRST(&w->fences.held)) && session->until_ns <= w->now_ns)
		session_taken(w, session, TAKEN_NO_FENCE);
}

/* Those that were held only because they were new. */
static void adopted_release(struct xsr_worker *w)
{
	struct session *session, *next;

	w->fences.adopting = false;
	for (session = TAILQ_FIRST(&w->fences.held); session; session = next) {
		next = TAILQ_NEXT(session, listed);
		if (!session->token)
			state_enter(w, session, SESSION_RELEASING);
	}
}

/* Works off up to n held messages; returns how many, 0 if there are none or the transport has no room. */
static int hold_work_off(struct xsr_worker *w, struct session *session, int n)
{
	int i;

	if (n > (int)session->hold.n)
		n = session->hold.n;
	n = n ? w->p.ops->reserve(w->transport, w->messages, n) : 0;
	for (i = 0; i < n; i++)
		hold_pop(w->fences.pool, &session->hold, &w->messages[i]);
	if (n)
		worker_serve(w, n, session);
	return n;
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
	session->token = 0;
	state_enter(w, session, SESSION_ACTIVE);
}

static void releasing_step(struct xsr_worker *w)
{
	int left = RELEASE_BATCHES * w->p.batch, n;
	struct session *session, *next;

	for (session = TAILQ_FIRST(&w->fences.releasing); session && left > 0; session = next) {
		next = TAILQ_NEXT(session, listed);
		while (session->hold.n && left > 0) {
			n = hold_work_off(w, session, w->p.batch);
			if (!n)
				return;
			left -= n;
		}
		if (!session->hold.n)
			session_resume(w, session);
		left--;
	}
}

/* --- the old owner --- */

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

static void give_add(struct xsr_worker *w, const struct mail *mail)
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

static void gives_step(struct xsr_worker *w)
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

/* --- what there is --- */

static void row_fill(struct session_row *row, const struct session *session)
{
	*row = (struct session_row){
		.id = session->s.id,
		.service = session->s.service,
		.generation = session->s.generation,
		.state = session->state,
		.n_held = session->hold.n,
		.n_handoffs = session->s.n_handoffs,
		.n_messages = session->s.n_messages,
		.last_ns = session->s.last_ns,
		.moved_ns = session->s.moved_ns,
	};
}

/* Fills one mail from place `next` on, which it moves; never looks at `end` or behind. */
static void rows_fill(struct xsr_worker *w, struct mail *mail, uint32_t service, uint32_t *next, uint32_t end)
{
	struct session_row *rows = (struct session_row *)mail->room;

	for (; mail->count < LIST_ROWS && *next < end; ++*next) {
		const struct session *session = session_at(w->sessions, *next);

		if (session && session->state != SESSION_GONE && (!service || service == session->s.service))
			row_fill(&rows[mail->count++], session);
	}
}

static void session_list(struct xsr_worker *w, const struct mail *asked)
{
	const struct session *session = session_find(w->sessions, asked->service, asked->id);
	struct mail mail = { .type = MAIL_LISTED, .result = LISTED_ALL, .token = asked->token };

	if (session && session->state != SESSION_GONE) {
		row_fill((struct session_row *)mail.room, session);
		mail.count = 1;
	}
	post_mail(&w->post, POST_CONTROL, &mail);
}

/* A page: so many mails, and so many places, that messages do not wait long. */
static void sessions_list(struct xsr_worker *w, const struct mail *asked)
{
	uint32_t size = session_table_size(w->sessions), next = asked->id < size ? asked->id : size;
	uint32_t end = size - next < LIST_PLACES ? size : next + LIST_PLACES;
	struct mail *mail;
	int i;

	for (i = 1; i <= LIST_MAILS; i++) {
		mail = post_begin(&w->post, POST_CONTROL, 1); /* there is room: mail_can_be_taken() */
		mail->type = MAIL_LISTED;
		mail->token = asked->token;
		rows_fill(w, mail, asked->service, &next, end);
		mail->id = next;
		if (next == end || i == LIST_MAILS)
			mail->result = next == size ? LISTED_ALL : LISTED_PAGE;
		post_send(&w->post, POST_CONTROL);
		if (mail->result)
			break;
	}
}

/* --- mail --- */

/* An answer needs room, a session to be given up a place. */
static bool mail_can_be_taken(struct xsr_worker *w)
{
	return post_has_room(&w->post, POST_CONTROL, LIST_MAILS) && w->fences.n_gives < GIVES_MAX;
}

static void mail_take(struct xsr_worker *w, unsigned int from, const struct mail *mail);

static void ring_read(struct xsr_worker *w, unsigned int from)
{
	const struct mail *mail;

	while ((mail = post_next(&w->post, from))) {
		if (!mail_can_be_taken(w)) {
			w->fences.mail_left = true;
			return;
		}
		mail_take(w, from, mail);
		post_done(&w->post, from);
	}
}

static void mail_take(struct xsr_worker *w, unsigned int from, const struct mail *mail)
{
	switch ((enum mail_type)mail->type) {
	case MAIL_JOIN:
		post_join(&w->post, mail->worker, (const struct mail_join *)mail->room);
		break;
	case MAIL_PART:
		ring_read(w, mail->worker); /* what it sent before it left */
		post_part(&w->post, mail->worker);
		reply(w, mail, MAIL_PARTED);
		break;
	case MAIL_EXPECT:
		session_expect(w, mail);
		break;
	case MAIL_CANCEL:
		session_cancel(w, mail);
		break;
	case MAIL_GIVE:
	case MAIL_SETTLE:
		give_add(w, mail);
		break;
	case MAIL_ADOPT:
		w->fences.adopting = true;
		reply(w, mail, MAIL_ADOPTING);
		break;
	case MAIL_ADOPTED:
		adopted_release(w);
		break;
	case MAIL_LIST:
		if (mail->count)
			session_list(w, mail);
		else
			sessions_list(w, mail);
		break;
	case MAIL_FENCE:
		fence_take(w, from, mail);
		break;
	default:
		break; /* only control gets the others */
	}
}

void fence_read_mail(struct xsr_worker *w)
{
	uint64_t known;

	w->fences.mail_left = false;
	ring_read(w, POST_CONTROL);
	for (known = w->post.known; known; known &= known - 1)
		ring_read(w, __builtin_ctzll(known));
}

void fence_step(struct xsr_worker *w)
{
	held_expire(w);
	releasing_step(w);
	gives_step(w);
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

	if (f->n_gives || f->mail_left || !TAILQ_EMPTY(&f->releasing))
		return 0;
	if (!first)
		return timeout_ms;
	left_ms = first->until_ns > w->now_ns ? (first->until_ns - w->now_ns) / NS_PER_MS + 1 : 0;
	return timeout_ms < 0 || left_ms < (uint64_t)timeout_ms ? (int)left_ms : timeout_ms;
}

void fence_release_all(struct xsr_worker *w)
{
	while (!TAILQ_EMPTY(&w->fences.held))
		session_taken(w, TAILQ_FIRST(&w->fences.held), TAKEN_NO_FENCE);
}
