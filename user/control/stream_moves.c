/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#include "stream_moves.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/queue.h>

#include "conductor.h"
#include "errand.h"
#include "handover.h"
#include "route.h"
#include "stream_members.h"

#define ITEMS_MAX 256	  /* sessions under way at a time; answers of all fit into a ring */
#define RETRY_MS 2	  /* until a full ring, or the routes' lock, is tried again */
#define WATCH_MS 100	  /* until who does not answer is looked for */
#define ANSWER_MS 15000	  /* a worker that does not answer for so long hangs */

enum item_state {
	ITEM_FREE,
	ITEM_ASKED,  /* the worker holds the session, and waits for its old backend */
	ITEM_PASSED, /* its route is to be stored */
	ITEM_STORED, /* the worker is to be told */
	ITEM_AGAIN,  /* to another worker: what is on its way has to arrive first */
};

struct item {
	enum item_state state;
	struct stream_job *job;
	struct stream_wish wish;
	int worker;	   /* that owns the session; negative: none does */
	uint16_t serial;   /* tells the uses of this place apart */
	uint16_t generation;
	bool has_failed;
	uint64_t since_ns;
	uint64_t again_ns; /* ITEM_AGAIN: not before that */
};

struct stream_moves {
	struct maps *maps;
	struct gateways *gateways;
	struct post *post; /* the gateways' */
	sd_event_source *mail, *timer;
	TAILQ_HEAD(, stream_job) jobs;
	struct item items[ITEMS_MAX];
	unsigned int n_items;
	struct rosters rosters;
	struct stream_members *members;
	bool stopping;
	void (*idle)(void *arg);
	void *idle_arg;
};

static uint64_t token_of(const struct stream_moves *m, const struct item *item)
{
	return (uint64_t)item->serial << 16 | (item - m->items);
}

static void item_free(struct stream_moves *m, struct item *item)
{
	item->state = ITEM_FREE;
	item->serial++;
	m->n_items--;
}

static void item_fail(struct stream_moves *m, struct item *item, const char *why)
{
	stream_job_fail(item->job, item->wish.id, why);
	item_free(m, item);
}

static void item_done(struct stream_moves *m, struct item *item)
{
	item->job->report.n_moved++;
	item->job->report.n_done++;
	item_free(m, item);
}

/* --- steps --- */

static bool leads_there(const struct stream_moves *m, const struct stream_wish *wish)
{
	const struct xsr_service *service = &m->maps->services[wish->service];
	struct xsr_route route;

	return !route_get(m->maps, wish->service, service, wish->id, &route) && route.action == XSR_ACTION_BACKEND &&
	       route.target == wish->number;
}

static bool is_there(const struct stream_moves *m, const struct stream_wish *wish)
{
	if (!wish->to_worker)
		return leads_there(m, wish);
	return gateways_owner(m->gateways, wish->service, wish->id) == (int)wish->number;
}

static struct item *item_new(struct stream_moves *m)
{
	unsigned int i;

	for (i = 0; i < ITEMS_MAX; i++)
		if (m->items[i].state == ITEM_FREE) {
			m->n_items++;
			return &m->items[i];
		}
	return NULL;
}

/* A session that is under way already waits for its turn. */
static bool is_under_way(const struct stream_moves *m, const struct stream_wish *wish)
{
	unsigned int i;

	for (i = 0; i < ITEMS_MAX; i++)
		if (m->items[i].state != ITEM_FREE && m->items[i].wish.id == wish->id &&
		    m->items[i].wish.service == wish->service)
			return true;
	return false;
}

static bool ask(struct stream_moves *m, const struct item *item)
{
	const struct mail mail = {
		.type = item->wish.to_worker ? GATEWAY_MAIL_HAND : GATEWAY_MAIL_MOVE,
		.service = item->wish.service,
		.id = item->wish.id,
		.count = item->wish.number,
		.token = token_of(m, item),
	};

	return post_mail(m->post, item->worker, &mail);
}

static void item_unchanged(struct stream_moves *m, struct item *item)
{
	item->job->report.n_unchanged++;
	item->job->report.n_done++;
	item_free(m, item);
}

/* Whoever has it now; of what nobody has only the route is to be stored. False: not now. */
static bool item_ask(struct stream_moves *m, struct item *item)
{
	item->worker = gateways_owner(m->gateways, item->wish.service, item->wish.id);
	if (is_there(m, &item->wish)) {
		item_unchanged(m, item);
	} else if (item->worker >= 0) {
		if (!ask(m, item))
			return false;
		item->state = ITEM_ASKED;
	} else if (item->wish.to_worker) {
		item_fail(m, item, "no worker has it: it will be where its client connects");
	} else {
		item->state = ITEM_PASSED;
	}
	return true;
}

/* False: not now. */
static bool item_begin(struct stream_moves *m, struct stream_job *job, const struct stream_wish *wish)
{
	struct item *item;

	if (m->n_items == ITEMS_MAX || is_under_way(m, wish))
		return false;
	item = item_new(m);
	item->job = job;
	item->wish = *wish;
	item->has_failed = false;
	item->since_ns = control_clock_ns();
	if (item_ask(m, item))
		return true;
	item_free(m, item);
	return false;
}

static bool items_begin(struct stream_moves *m)
{
	struct stream_job *job;

	TAILQ_FOREACH(job, &m->jobs, link) {
		while (job->next < job->report.n && item_begin(m, job, &job->wishes[job->next]))
			job->next++;
		if (job->next < job->report.n)
			return false;
	}
	return true;
}

static bool any(const struct stream_moves *m, enum item_state state)
{
	unsigned int i;

	for (i = 0; i < ITEMS_MAX; i++)
		if (m->items[i].state == state)
			return true;
	return false;
}

static void item_store(struct stream_moves *m, struct item *item)
{
	int ret = route_move_backend(m->maps, item->wish.service, item->wish.id, item->wish.number, &item->generation);

	item->has_failed = ret;
	if (ret)
		stream_job_fail(item->job, item->wish.id, "its route could not be stored; it stays where it is");
	item->state = ITEM_STORED;
}

/* All that wait, under one lock. */
static void items_store(struct stream_moves *m)
{
	unsigned int i;

	if (!any(m, ITEM_PASSED) || maps_trylock(m->maps))
		return;
	for (i = 0; i < ITEMS_MAX; i++)
		if (m->items[i].state == ITEM_PASSED)
			item_store(m, &m->items[i]);
	maps_unlock(m->maps);
}

static bool item_go(struct stream_moves *m, struct item *item)
{
	const struct mail mail = {
		.type = GATEWAY_MAIL_GO,
		.result = item->has_failed ? ERRAND_REFUSED : ERRAND_DONE,
		.service = item->wish.service,
		.id = item->wish.id,
		.generation = item->generation,
		.token = token_of(m, item),
	};

	if (item->worker >= 0 && !post_mail(m->post, item->worker, &mail))
		return false;
	if (item->has_failed)
		item_free(m, item);
	else
		item_done(m, item);
	return true;
}

/* The longer it takes the more seldom it is asked for. */
static void item_again(struct item *item)
{
	uint64_t now_ns = control_clock_ns();

	item->state = ITEM_AGAIN;
	item->again_ns = now_ns + (now_ns - item->since_ns) / 4;
}

static void item_step(struct stream_moves *m, struct item *item, uint64_t now_ns)
{
	bool is_late = now_ns > item->since_ns + ANSWER_MS * 1000000ULL;

	if (item->state == ITEM_STORED)
		item_go(m, item);
	else if (item->state == ITEM_ASKED && is_late)
		item_fail(m, item, "its worker does not answer");
	else if (item->state == ITEM_AGAIN && is_late)
		item_fail(m, item, "its client comes and goes, or another one of its connection's sessions is on its way all the time");
	else if (item->state == ITEM_AGAIN && now_ns >= item->again_ns)
		item_ask(m, item);
}

static void items_go(struct stream_moves *m)
{
	uint64_t now_ns = control_clock_ns();
	unsigned int i;

	for (i = 0; i < ITEMS_MAX; i++)
		item_step(m, &m->items[i], now_ns);
}

static void jobs_report(struct stream_moves *m)
{
	struct stream_job *job, *next;

	for (job = TAILQ_FIRST(&m->jobs); job; job = next) {
		next = TAILQ_NEXT(job, link);
		if (!stream_job_report(job))
			continue;
		TAILQ_REMOVE(&m->jobs, job, link);
		stream_job_end(job);
	}
}

/* --- mail --- */

static void passed_take(struct stream_moves *m, const struct mail *mail)
{
	struct item *item = &m->items[mail->token & (ITEMS_MAX - 1)];

	if (item->state != ITEM_ASKED || token_of(m, item) != mail->token)
		return;
	switch ((enum errand_result)mail->result) {
	case ERRAND_EMPTY: /* it ended meanwhile, or it is between two workers, and requests of it will be under way */
		item_again(item);
		break;
	case ERRAND_DONE:
	case ERRAND_LOST:
		item->state = ITEM_PASSED;
		break;
	case ERRAND_TIMEOUT:
		item_fail(m, item, "its backend does not answer what it was asked before; the session stays there");
		break;
	case ERRAND_REFUSED:
		item_fail(m, item, "the session is on its way elsewhere, or the service does not use that backend");
		break;
	}
}

static const char *const handover_failures[HANDOVER_RESULTS] = {
	[HANDOVER_NOBODY] = "its client is not connected: it will be where that one connects",
	[HANDOVER_KERNEL] = "the kernel moves its connection, which stays with its worker",
	[HANDOVER_SILENT] = "its backend does not answer what it was asked before; the connection stays where it is",
	[HANDOVER_UNREAD] = "its client does not read its answers; the connection stays where it is",
	[HANDOVER_NO_ROOM] = "the other worker has no room for the connection; it stays where it is",
	[HANDOVER_NO_LINK] = "the other worker is not connected to its backend; the connection stays where it is",
	[HANDOVER_STOPPED] = "the other worker, the service or the router is ending",
	[HANDOVER_CLOSED] = "no worker could take the connection on its way; it was closed",
};

static void handed_take(struct stream_moves *m, const struct mail *mail)
{
	struct item *item = &m->items[mail->token & (ITEMS_MAX - 1)];
	struct mail_handed room;

	if (item->state != ITEM_ASKED || token_of(m, item) != mail->token)
		return;
	memcpy(&room, mail->room, sizeof(room));
	if (mail->result == HANDOVER_DONE) {
		item->job->report.n_along += room.n_sessions - 1;
		item_done(m, item);
	} else if (mail->result == HANDOVER_AGAIN) {
		item_again(item);
	} else {
		item_fail(m, item, handover_failures[mail->result]);
	}
}

static void mail_read(struct stream_moves *m)
{
	const struct mail *mail;
	uint64_t known;

	for (known = m->post->known; known; known &= known - 1) {
		unsigned int from = __builtin_ctzll(known);

		while ((mail = post_next(m->post, from))) {
			if (mail->token & STREAM_MEMBERS_TOKEN)
				stream_members_mail(m->members, mail);
			else if (mail->type == GATEWAY_MAIL_PASSED)
				passed_take(m, mail);
			else if (mail->type == GATEWAY_MAIL_HANDED)
				handed_take(m, mail);
			else if (mail->type == MAIL_LISTED)
				rosters_mail(&m->rosters, from, mail);
			post_done(m->post, from);
		}
	}
}

/* Negative: never. */
static int ms_min(int a, int b)
{
	return a < 0 || (b >= 0 && b < a) ? b : a;
}

/* Returns after how many ms it wants to be called again, -1: not of itself. */
static int step(struct stream_moves *m)
{
	int ms = ms_min(rosters_step(&m->rosters), stream_members_step(m->members));
	bool all;

	items_store(m);
	items_go(m);
	all = items_begin(m);
	items_store(m);
	items_go(m);
	jobs_report(m);
	if (!all || any(m, ITEM_PASSED) || any(m, ITEM_STORED) || any(m, ITEM_AGAIN))
		return RETRY_MS;
	return TAILQ_EMPTY(&m->jobs) ? ms : ms_min(ms, WATCH_MS);
}

/* Until nothing is to be read; the timer looks again at what could not be done now, or at who does not answer. */
static void pump(struct stream_moves *m)
{
	int ms;

	do {
		post_awake(m->post);
		if (post_rung(m->post))
			mail_read(m);
		ms = step(m);
	} while (!post_sleep(m->post));
	if (ms >= 0)
		sd_event_source_set_time_relative(m->timer, ms * 1000ULL);
	sd_event_source_set_enabled(m->timer, ms >= 0 ? SD_EVENT_ONESHOT : SD_EVENT_OFF);
	if (m->idle && stream_moves_idle(m))
		m->idle(m->idle_arg);
}

static int on_mail(sd_event_source *source, int fd, uint32_t events, void *arg)
{
	(void)source;
	(void)fd;
	(void)events;
	pump(arg);
	return 0;
}

static int on_timer(sd_event_source *source, uint64_t now_us, void *arg)
{
	(void)source;
	(void)now_us;
	pump(arg);
	return 0;
}

/* --- what others call --- */

int stream_moves_open(struct stream_moves **out, sd_event *event, struct maps *maps, struct gateways *gateways)
{
	struct stream_moves *m = calloc(1, sizeof(*m));
	int ret;

	if (!m)
		return -ENOMEM;
	m->maps = maps;
	m->gateways = gateways;
	m->post = gateways_post(gateways);
	TAILQ_INIT(&m->jobs);
	rosters_init(&m->rosters, m->post, control_clock_ns);
	ret = stream_members_open(&m->members, maps, gateways);
	if (ret >= 0)
		ret = sd_event_add_io(event, &m->mail, m->post->fd, EPOLLIN, on_mail, m);
	if (ret >= 0)
		ret = sd_event_add_time_relative(event, &m->timer, CLOCK_MONOTONIC, 0, 1000, on_timer, m);
	if (ret < 0) {
		stream_moves_close(m);
		return ret;
	}
	*out = m;
	return 0;
}

void stream_moves_close(struct stream_moves *m)
{
	struct stream_job *job;

	if (!m)
		return;
	while ((job = TAILQ_FIRST(&m->jobs))) {
		TAILQ_REMOVE(&m->jobs, job, link);
		stream_job_free(job);
	}
	rosters_close(&m->rosters);
	stream_members_close(m->members);
	sd_event_source_unref(m->mail);
	sd_event_source_unref(m->timer);
	free(m);
}

int stream_moves_begin(struct stream_moves *m, const struct stream_wish *wishes, size_t n,
		       void (*progress)(const struct handoff_report *report, void *arg),
		       void (*done)(const struct handoff_report *report, void *arg), void *arg)
{
	struct stream_job *job;

	if (m->stopping)
		return -ESHUTDOWN;
	job = stream_job_new(wishes, n);
	if (!job)
		return -ENOMEM;
	job->progress = progress;
	job->done = done;
	job->arg = arg;
	TAILQ_INSERT_TAIL(&m->jobs, job, link);
	pump(m);
	return 0;
}

int stream_moves_list(struct stream_moves *m, const struct roster_wish *wish)
{
	struct roster_wish all = *wish;
	int ret;

	all.workers = stream_members_answering(m->members);
	ret = roster_begin(&m->rosters, &all);
	stream_moves_resume(m);
	return ret;
}

int stream_moves_change(struct stream_moves *m, const struct change *change)
{
	int ret = stream_members_change(m->members, change);

	stream_moves_resume(m);
	return ret;
}

uint64_t stream_moves_serving(const struct stream_moves *m)
{
	return stream_members_serving(m->members);
}

/* Not from here: who asked may be in the middle of an answer. */
void stream_moves_resume(struct stream_moves *m)
{
	sd_event_source_set_time_relative(m->timer, 0);
	sd_event_source_set_enabled(m->timer, SD_EVENT_ONESHOT);
}

void stream_moves_stop(struct stream_moves *m, void (*idle)(void *arg), void *arg)
{
	m->stopping = true;
	stream_members_stop(m->members);
	m->idle = idle;
	m->idle_arg = arg;
	pump(m);
}

bool stream_moves_idle(const struct stream_moves *m)
{
	return TAILQ_EMPTY(&m->jobs) && stream_members_idle(m->members);
}
