/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#include "roster.h"

#include <errno.h>
#include <stdlib.h>

#define ANSWER_NS 1000000000ULL
#define STEP_MS 50

enum asking {
	TO_ASK, /* the next page */
	ASKED,
	PAUSED,
};

struct roster {
	TAILQ_ENTRY(roster) link;
	struct roster_wish wish; /* workers: those that are not done */
	uint64_t token;
	uint64_t next;		 /* place in the worker's table */
	uint64_t until_ns;	 /* the answer is waited for; 0 = nothing is */
	enum asking asking;
	bool incomplete;
};

void rosters_init(struct rosters *rs, struct post *post, uint64_t (*clock_ns)(void))
{
	rs->post = post;
	rs->clock_ns = clock_ns;
	rs->n_tokens = 0;
	TAILQ_INIT(&rs->all);
}

void rosters_close(struct rosters *rs)
{
	struct roster *r;

	while ((r = TAILQ_FIRST(&rs->all))) {
		TAILQ_REMOVE(&rs->all, r, link);
		free(r);
	}
}

int roster_begin(struct rosters *rs, const struct roster_wish *wish)
{
	struct roster *r = calloc(1, sizeof(*r));

	if (!r)
		return -ENOMEM;
	r->wish = *wish;
	r->token = ++rs->n_tokens;
	TAILQ_INSERT_TAIL(&rs->all, r, link);
	return 0;
}

void roster_resume(struct roster *r)
{
	r->asking = TO_ASK;
}

static unsigned int worker_now(const struct roster *r)
{
	return __builtin_ctzll(r->wish.workers);
}

static void worker_done(struct roster *r)
{
	r->wish.workers &= r->wish.workers - 1;
	r->next = 0;
	r->until_ns = 0;
	r->asking = TO_ASK;
}

/* False if there is no room in the worker's ring: another time. */
static bool roster_ask(struct rosters *rs, struct roster *r)
{
	const struct mail mail = {
		.type = MAIL_LIST,
		.service = r->wish.service,
		.count = r->wish.one,
		.id = r->wish.one ? r->wish.id : r->next,
		.token = r->token,
	};

	if (!r->until_ns)
		r->until_ns = rs->clock_ns() + ANSWER_NS;
	if (!post_mail(rs->post, worker_now(r), &mail))
		return false;
	r->asking = ASKED;
	return true;
}

static void roster_answered(struct roster *r, const struct mail *mail)
{
	bool go_on = true;

	if (mail->result == LISTED_SOME)
		return;
	r->next = mail->id;
	r->until_ns = 0;
	r->asking = TO_ASK;
	if (mail->result == LISTED_ALL)
		worker_done(r);
	if (r->wish.page && r->wish.workers) {
		r->asking = PAUSED; /* page() may resume it already */
		go_on = r->wish.page(r, r->wish.arg);
	}
	if (go_on)
		r->asking = TO_ASK;
}

static void roster_part(struct roster *r, unsigned int worker)
{
	if (!(r->wish.workers >> worker & 1))
		return;
	if (worker_now(r) == worker) {
		r->next = 0;
		r->until_ns = 0;
		r->asking = r->asking == PAUSED ? PAUSED : TO_ASK;
	}
	r->wish.workers &= ~(1ULL << worker);
}

void rosters_part(struct rosters *rs, unsigned int worker)
{
	struct roster *r;

	TAILQ_FOREACH(r, &rs->all, link)
		roster_part(r, worker);
}

void rosters_mail(struct rosters *rs, unsigned int from, const struct mail *mail)
{
	struct roster *r;

	TAILQ_FOREACH(r, &rs->all, link)
		if (r->token == mail->token)
			break;
	if (!r || r->asking != ASKED || worker_now(r) != from)
		return;
	if (mail->count)
		r->wish.rows(from, (const struct session_row *)mail->room, mail->count, r->wish.arg);
	roster_answered(r, mail);
}

static void roster_step(struct rosters *rs, struct roster *r)
{
	if (r->until_ns && rs->clock_ns() >= r->until_ns) {
		r->incomplete = true;
		worker_done(r);
	}
	while (r->wish.workers && r->asking == TO_ASK && roster_ask(rs, r))
		;
	if (r->wish.workers)
		return;
	TAILQ_REMOVE(&rs->all, r, link);
	r->wish.done(r->incomplete, r->wish.arg);
	free(r);
}

int rosters_step(struct rosters *rs)
{
	struct roster *r, *next;

	for (r = TAILQ_FIRST(&rs->all); r; r = next) {
		next = TAILQ_NEXT(r, link);
		roster_step(rs, r);
	}
	return TAILQ_EMPTY(&rs->all) ? -1 : STEP_MS;
}
