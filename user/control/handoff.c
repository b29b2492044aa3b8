/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#include "handoff.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>

#include "mix.h"
#include "route.h"

#define HANDOFFS_MAX 65536 /* under way; others of a move wait for a place. A power of two */
#define PLACES_KEPT 4096   /* of them for what is not paused, see handoffs_pause() */
#define BUCKETS 16384
#define ANSWER_MS 1000	   /* a worker that is asked to expect a session answers within */
#define LOCK_MS 60000	   /* another command does not change routes for longer */
#define NS_PER_MS 1000000ULL
#define PROGRESS_NS (100 * NS_PER_MS)
#define STEP_MS 20	   /* between looks at deadlines and full rings */

/* What a handoff waits for. */
enum phase {
	PHASE_TURN,	/* another one of its session */
	PHASE_TO_BEGIN, /* nothing */
	PHASE_TO_EXPECT, /* room in the new owner's ring */
	PHASE_EXPECTING, /* its answer */
	PHASE_READY,	/* its route is to be stored */
	PHASE_TO_GRACE, /* the grace period that runs to end, and the next to begin */
	PHASE_IN_GRACE, /* the grace period */
	PHASE_TO_GIVE,	/* room in the old owner's ring */
	PHASE_GIVING,	/* the new owner's word that it has it */
	PHASE_MAX
};

struct handoff {
	TAILQ_ENTRY(handoff) link;  /* of its phase */
	TAILQ_ENTRY(handoff) chain; /* of its bucket, in the order that they came */
	struct move *move;
	uint64_t id;
	uint64_t token;		    /* its place in the array, and a number that is never used again above it */
	uint64_t until_ns;
	uint32_t service;
	uint16_t from, to;
	uint16_t generation;
	bool direct;		    /* messages go to the new owner already */
	bool alone;		    /* nobody has state to give: the route is all there is to change */
	bool early;		    /* the old owner was asked before the grace period */
	uint8_t phase;
};

TAILQ_HEAD(handoff_list, handoff);

/* One handoffs_move(). */
struct move {
	TAILQ_ENTRY(move) link;
	struct handoff_report report;
	uint64_t start_ns, progress_ns;
	void (*progress)(const struct handoff_report *report, void *arg);
	void (*done)(const struct handoff_report *report, void *arg);
	void *arg;
	size_t next; /* the first wish that has no handoff yet */
	char services[XSR_SERVICES_MAX][XSR_NAME_LEN]; /* as they were: a number may be another's by and by */
	struct handoff_wish wishes[];
};

struct handoffs {
	struct handoffs_params p;
	uint64_t from, to; /* workers that sessions may come from, and go to */
	uint64_t now_ns;
	uint64_t n_tokens;
	struct handoff *all;
	uint32_t *free;
	uint32_t n_free;
	struct handoff_list phases[PHASE_MAX];
	struct handoff_list buckets[BUCKETS];
	TAILQ_HEAD(, move) moves;
	uint64_t refreshed_ns; /* see ready_refresh() */
	bool in_grace, stopped, paused;
};

int handoffs_open(struct handoffs **out, const struct handoffs_params *params)
{
	struct handoffs *h = calloc(1, sizeof(*h));
	uint32_t i;

	if (!h)
		return -ENOMEM;
	h->p = *params;
	TAILQ_INIT(&h->moves);
	for (i = 0; i < PHASE_MAX; i++)
		TAILQ_INIT(&h->phases[i]);
	for (i = 0; i < BUCKETS; i++)
		TAILQ_INIT(&h->buckets[i]);
	h->all = calloc(HANDOFFS_MAX, sizeof(*h->all));
	h->free = calloc(HANDOFFS_MAX, sizeof(*h->free));
	if (!h->all || !h->free) {
		handoffs_close(h);
		return -ENOMEM;
	}
	for (i = 0; i < HANDOFFS_MAX; i++)
		h->free[h->n_free++] = HANDOFFS_MAX - 1 - i;
	*out = h;
	return 0;
}

void handoffs_close(struct handoffs *h)
{
	struct move *move;

	if (!h)
		return;
	while ((move = TAILQ_FIRST(&h->moves))) {
		TAILQ_REMOVE(&h->moves, move, link);
		free(move);
	}
	free(h->all);
	free(h->free);
	free(h);
}

void handoffs_workers(struct handoffs *h, uint64_t from, uint64_t to)
{
	h->from = from;
	h->to = to;
}

void handoffs_pause(struct handoffs *h, bool paused)
{
	h->paused = paused;
}

bool handoffs_under_way(const struct handoffs *h)
{
	int phase;

	for (phase = PHASE_TO_BEGIN + 1; phase < PHASE_MAX; phase++)
		if (!TAILQ_EMPTY(&h->phases[phase]))
			return true;
	return false;
}

void handoffs_stop(struct handoffs *h)
{
	h->stopped = true;
}

bool handoffs_idle(const struct handoffs *h)
{
	return TAILQ_EMPTY(&h->moves);
}

static bool is_among(uint64_t workers, int worker)
{
	return worker >= 0 && worker < XSR_WORKERS_MAX && workers >> worker & 1;
}

static void services_note(const struct maps *maps, struct move *move)
{
	unsigned int i;

	for (i = 0; i < XSR_SERVICES_MAX; i++)
		memcpy(move->services[i], maps->services[i].name, XSR_NAME_LEN);
}

int handoffs_move(struct handoffs *h, const struct handoff_wish *wishes, size_t n,
		  void (*progress)(const struct handoff_report *report, void *arg),
		  void (*done)(const struct handoff_report *report, void *arg), void *arg)
{
	struct move *move;

	if (h->stopped)
		return -ESHUTDOWN;
	move = malloc(sizeof(*move) + n * sizeof(*wishes));
	if (!move)
		return -ENOMEM;
	memset(move, 0, sizeof(*move));
	memcpy(move->wishes, wishes, n * sizeof(*wishes));
	services_note(h->p.maps, move);
	move->report.n = n;
	move->start_ns = move->progress_ns = h->p.clock_ns();
	move->progress = progress;
	move->done = done;
	move->arg = arg;
	TAILQ_INSERT_TAIL(&h->moves, move, link);
	return 0;
}

/* --- one handoff --- */

static struct handoff_list *bucket(struct handoffs *h, const struct handoff *o)
{
	return &h->buckets[mix64(o->id + o->service) % BUCKETS];
}

static void phase_enter(struct handoffs *h, struct handoff *o, enum phase phase, uint64_t within_ms)
{
	TAILQ_REMOVE(&h->phases[o->phase], o, link);
	o->phase = phase;
	o->until_ns = within_ms ? h->now_ns + within_ms * NS_PER_MS : o->until_ns;
	TAILQ_INSERT_TAIL(&h->phases[phase], o, link);
}

static bool same_session(const struct handoff *a, const struct handoff *b)
{
	return a->id == b->id && a->service == b->service;
}

/* The first of the session's handoffs; it alone is under way. */
static struct handoff *session_first(struct handoffs *h, const struct handoff *o)
{
	struct handoff *other;

	TAILQ_FOREACH(other, bucket(h, o), chain)
		if (same_session(other, o))
			break;
	return other;
}

static void move_count(struct move *move, const struct handoff *o, const char *why)
{
	struct handoff_report *r = &move->report;

	r->n_done++;
	if (!why)
		return;
	if (r->n_failed < HANDOFF_FAILURES_MAX) {
		r->failures[r->n_failed].id = o->id;
		r->failures[r->n_failed].why = why;
	}
	r->n_failed++;
}

/* why: NULL, or what went wrong. The next one of its session has its turn. */
static void handoff_end(struct handoffs *h, struct handoff *o, const char *why)
{
	struct handoff_list *chain = bucket(h, o);
	struct handoff *next;

	move_count(o->move, o, why);
	TAILQ_REMOVE(chain, o, chain);
	TAILQ_REMOVE(&h->phases[o->phase], o, link);
	next = session_first(h, o);
	o->token = 0;
	h->free[h->n_free++] = o - h->all;
	if (next)
		phase_enter(h, next, PHASE_TO_BEGIN, 0);
}

static bool mail_send(struct handoffs *h, unsigned int to, enum mail_type type, const struct handoff *o)
{
	const struct mail mail = {
		.type = type,
		.worker = o->to,
		.generation = o->generation,
		.service = o->service,
		.id = o->id,
		.token = o->token,
	};

	return post_mail(h->p.post, to, &mail);
}

/* NULL, or what went wrong. A service may be deleted at any time, and its number another's. Under maps_lock(). */
static const char *route_store(struct handoffs *h, struct handoff *o)
{
	int ret;

	if (strncmp(h->p.maps->services[o->service].name, o->move->services[o->service], XSR_NAME_LEN))
		return "its service was deleted";
	ret = route_move(h->p.maps, o->service, o->id, o->to, &o->generation);
	return ret == -E2BIG ? "its route cannot be stored: the table is full" :
	       ret == -EBUSY ? "its dense route belongs to another generation of the ID" :
	       ret	     ? "its route cannot be stored" : NULL;
}

static void handoff_begin(struct handoffs *h, struct handoff *o)
{
	int owner = o->direct ? o->from : route_owner(h->p.maps, o->service, o->id);

	o->token = ++h->n_tokens * HANDOFFS_MAX + (o - h->all); /* now: they grow in the order that sessions move in */
	if (!is_among(h->to, o->to)) {
		handoff_end(h, o, "no such worker runs, or it is drained");
	} else if (owner == o->to) {
		o->move->report.n_unchanged++;
		handoff_end(h, o, NULL);
	} else if (!is_among(h->from, owner)) {
		o->alone = true;
		phase_enter(h, o, PHASE_READY, LOCK_MS);
	} else {
		o->from = owner;
		phase_enter(h, o, PHASE_TO_EXPECT, ANSWER_MS);
	}
}

/* Behind those of its session; but one that the pause is for goes before one that waits for the pause's end. */
static void handoff_queue(struct handoffs *h, struct handoff *o)
{
	struct handoff *first = session_first(h, o);

	TAILQ_INSERT_TAIL(&h->phases[PHASE_TURN], o, link);
	if (first && o->direct && first->phase == PHASE_TO_BEGIN) {
		phase_enter(h, first, PHASE_TURN, 0);
		TAILQ_INSERT_BEFORE(first, o, chain);
	} else {
		TAILQ_INSERT_TAIL(bucket(h, o), o, chain);
		if (first)
			return;
	}
	phase_enter(h, o, PHASE_TO_BEGIN, 0);
}

/* A place for the wish, in its turn. */
static void handoff_add(struct handoffs *h, struct move *move, const struct handoff_wish *wish)
{
	uint32_t place = h->free[--h->n_free];
	struct handoff *o = &h->all[place];

	*o = (struct handoff){
		.move = move,
		.id = wish->id,
		.service = wish->service,
		.to = wish->worker,
		.from = wish->from,
		.direct = wish->from != HANDOFF_FROM_OWNER,
		.phase = PHASE_TURN,
	};
	handoff_queue(h, o);
}

/* --- phases --- */

/* Those that wait while it is paused leave room for those that it is paused for. */
static uint32_t places_kept(const struct handoff_wish *wish)
{
	return wish->from == HANDOFF_FROM_OWNER ? PLACES_KEPT : 0;
}

static void moves_feed(struct handoffs *h)
{
	struct move *move;

	TAILQ_FOREACH(move, &h->moves, link)
		while (move->next < move->report.n && h->n_free > places_kept(&move->wishes[move->next]))
			handoff_add(h, move, &move->wishes[move->next++]);
}

/* Some end at once, and give the next of their session its turn. */
static void handoffs_begin(struct handoffs *h)
{
	struct handoff *o, *next;

	for (o = TAILQ_FIRST(&h->phases[PHASE_TO_BEGIN]); o; o = next) {
		next = TAILQ_NEXT(o, link);
		if (h->paused && !o->direct)
			continue;
		handoff_begin(h, o);
		if (!next) /* it may have given the next of its session its turn */
			next = h->paused ? NULL : TAILQ_FIRST(&h->phases[PHASE_TO_BEGIN]);
	}
}

/* Who finds no room in a worker's ring waits; the others go on. */
static void mails_send(struct handoffs *h, enum phase phase, enum mail_type type)
{
	uint64_t full = 0;
	struct handoff *o, *next;

	for (o = TAILQ_FIRST(&h->phases[phase]); o && full != h->from; o = next) {
		unsigned int to = type == MAIL_GIVE ? o->from : o->to;

		next = TAILQ_NEXT(o, link);
		if (!(full >> to & 1) && mail_send(h, to, type, o))
			phase_enter(h, o, phase + 1, 0);
		else
			full |= 1ULL << to;
	}
}

/*
 * All runs that read an old route have ended: what they redirected is counted, so the old owners need not wait for the
 * grace period to know what is still to come. The grace period ends it where that cannot be told.
 */
static void early_give(struct handoffs *h)
{
	struct handoff *o;

	if (TAILQ_EMPTY(&h->phases[PHASE_TO_GRACE]) || !h->p.quiet || !h->p.quiet(h->p.arg))
		return;
	TAILQ_FOREACH(o, &h->phases[PHASE_TO_GRACE], link)
		if (!o->early)
			o->early = mail_send(h, o->from, MAIL_GIVE_EARLY, o);
}

/* Another command changes routes, and may take long: the new owners are told to expect their sessions for longer. */
static void ready_refresh(struct handoffs *h)
{
	struct handoff *o;

	if (h->now_ns - h->refreshed_ns < h->p.fence_ms * NS_PER_MS / 4)
		return;
	h->refreshed_ns = h->now_ns;
	TAILQ_FOREACH(o, &h->phases[PHASE_READY], link)
		if (!o->alone)
			mail_send(h, o->to, MAIL_EXPECT, o);
}

/* From here on the session's messages go to the new owner, which holds them if somebody has state to give. */
static void ready_go_on(struct handoffs *h, struct handoff *o)
{
	const char *why = o->direct ? NULL : route_store(h, o);

	if (why) {
		mail_send(h, o->to, MAIL_CANCEL, o);
		handoff_end(h, o, why);
	} else if (o->alone) {
		o->move->report.n_moved++;
		handoff_end(h, o, NULL);
	} else {
		phase_enter(h, o, o->direct ? PHASE_TO_GIVE : PHASE_TO_GRACE, h->p.fence_ms + ANSWER_MS);
	}
}

static void routes_store(struct handoffs *h)
{
	struct handoff *o;

	if (TAILQ_EMPTY(&h->phases[PHASE_READY]))
		return;
	if (maps_trylock(h->p.maps)) {
		ready_refresh(h);
		return;
	}
	while ((o = TAILQ_FIRST(&h->phases[PHASE_READY])))
		ready_go_on(h, o);
	maps_unlock(h->p.maps);
}

static void phase_move_all(struct handoffs *h, enum phase from, enum phase to)
{
	struct handoff *o;

	TAILQ_FOREACH(o, &h->phases[from], link)
		o->phase = to;
	TAILQ_CONCAT(&h->phases[to], &h->phases[from], link);
}

static void grace_begin(struct handoffs *h)
{
	if (h->in_grace || TAILQ_EMPTY(&h->phases[PHASE_TO_GRACE]))
		return;
	phase_move_all(h, PHASE_TO_GRACE, PHASE_IN_GRACE);
	h->in_grace = true;
	h->p.grace(h->p.arg);
}

void handoffs_grace_over(struct handoffs *h)
{
	h->in_grace = false;
	phase_move_all(h, PHASE_IN_GRACE, PHASE_TO_GIVE);
}

static const char *overdue_why(enum phase phase)
{
	switch (phase) {
	case PHASE_TO_EXPECT:
	case PHASE_EXPECTING:
		return "the new owner does not answer: nothing was changed";
	case PHASE_READY:
		return "another command keeps the routes locked: nothing was changed";
	default:
		return "the new owner does not say that it took the session";
	}
}

static void overdue_end(struct handoffs *h, enum phase phase)
{
	struct handoff *o, *next;

	for (o = TAILQ_FIRST(&h->phases[phase]); o && o->until_ns <= h->now_ns; o = next) {
		next = TAILQ_NEXT(o, link);
		if (phase <= PHASE_READY)
			mail_send(h, o->to, MAIL_CANCEL, o);
		handoff_end(h, o, overdue_why(phase));
	}
}

static void moves_report(struct handoffs *h)
{
	struct move *move, *next;

	for (move = TAILQ_FIRST(&h->moves); move; move = next) {
		struct handoff_report *r = &move->report;

		next = TAILQ_NEXT(move, link);
		r->time_ns = h->now_ns - move->start_ns;
		if (r->n_done == r->n) {
			TAILQ_REMOVE(&h->moves, move, link);
			if (move->done)
				move->done(r, move->arg);
			free(move);
		} else if (move->progress && h->now_ns - move->progress_ns >= PROGRESS_NS) {
			move->progress_ns = h->now_ns;
			move->progress(r, move->arg);
		}
	}
}

static struct handoff *handoff_find(struct handoffs *h, uint64_t token)
{
	struct handoff *o = &h->all[token % HANDOFFS_MAX];

	return token && o->token == token ? o : NULL;
}

static void handoff_taken(struct handoffs *h, struct handoff *o, enum mail_taken how)
{
	o->move->report.n_moved++;
	if (how == TAKEN_NO_FENCE || how == TAKEN_STATE_REFUSED)
		o->move->report.n_without_state++;
	handoff_end(h, o, NULL);
}

void handoffs_mail(struct handoffs *h, const struct mail *mail)
{
	struct handoff *o = handoff_find(h, mail->token);

	if (!o)
		return; /* it was given up meanwhile */
	h->now_ns = h->p.clock_ns();
	if (mail->type == MAIL_READY && o->phase == PHASE_EXPECTING)
		phase_enter(h, o, PHASE_READY, LOCK_MS);
	else if (mail->type == MAIL_REFUSED && o->phase == PHASE_EXPECTING)
		handoff_end(h, o, "the new owner has no room for it: its table is full; raise `sessions`");
	else if (mail->type == MAIL_TAKEN && o->phase > PHASE_READY)
		handoff_taken(h, o, mail->result);
	else if (mail->type == MAIL_TAKEN)
		handoff_end(h, o, "the new owner waited too long to be sent its messages: nothing was changed");
}

/* Some have ended, and the next of their session has its turn. */
static bool more_can_begin(const struct handoffs *h)
{
	return !h->paused && !TAILQ_EMPTY(&h->phases[PHASE_TO_BEGIN]);
}

int handoffs_step(struct handoffs *h)
{
	h->now_ns = h->p.clock_ns();
	moves_feed(h);
	handoffs_begin(h);
	mails_send(h, PHASE_TO_EXPECT, MAIL_EXPECT);
	routes_store(h); /* under a lock that another command may keep: it is never waited for */
	early_give(h);
	grace_begin(h);
	mails_send(h, PHASE_TO_GIVE, MAIL_GIVE);
	overdue_end(h, PHASE_TO_EXPECT);
	overdue_end(h, PHASE_EXPECTING);
	overdue_end(h, PHASE_READY);
	overdue_end(h, PHASE_TO_GIVE);
	overdue_end(h, PHASE_GIVING);
	moves_report(h);
	return TAILQ_EMPTY(&h->moves) ? -1 : more_can_begin(h) ? 0 : STEP_MS;
}
