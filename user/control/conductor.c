/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#include "conductor.h"

#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <time.h>

#include "log.h"

#define NS_PER_S 1000000000ULL
#define WATCH_MS 250
#define QUIET_NS 100000		 /* more is not spent on waiting for the program's runs */
#define COUNTING_NS (10 * NS_PER_S) /* runs are counted for so long after the last handoff */
#define HANGS_NS NS_PER_S /* without a batch, and not asleep */

enum { SOURCE_MAIL, SOURCE_GRACE, SOURCE_TIMER, SOURCE_WATCH };

uint64_t control_clock_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return ts.tv_sec * NS_PER_S + ts.tv_nsec;
}

/* --- grace periods --- */

static void grace_next(struct control *c)
{
	if (c->n_running || !c->n_waiting)
		return;
	memcpy(c->running, c->waiting, sizeof(c->running));
	c->n_running = c->n_waiting;
	c->n_waiting = 0;
	grace_begin(c->grace);
}

void control_grace(struct control *c, void (*over)(void *arg), void *arg)
{
	assert(c->n_waiting < GRACE_WAITERS_MAX);
	c->waiting[c->n_waiting++] = (struct grace_waiter){ over, arg };
	grace_next(c);
}

static int on_grace(sd_event_source *source, int fd, uint32_t events, void *arg)
{
	struct control *c = arg;
	unsigned int i, n = c->n_running;

	(void)source;
	(void)fd;
	(void)events;
	grace_take(c->grace);
	c->n_running = 0;
	for (i = 0; i < n; i++)
		c->running[i].over(c->running[i].arg);
	grace_next(c);
	return 0;
}

static void handoffs_over(void *arg)
{
	struct control *c = arg;

	handoffs_grace_over(c->handoffs);
}

static void handoffs_grace(void *arg)
{
	control_grace(arg, handoffs_over, arg);
}

/* --- runs of the program --- */

static void counting_over(void *arg)
{
	struct control *c = arg;

	c->counting.state = COUNTING_ON;
}

/* When a grace period has passed since, every run counts itself. */
static void counting_begin(struct control *c)
{
	c->counting.state = COUNTING_BEGINS;
	__atomic_store_n(&c->maps->switches->count_runs, 1, __ATOMIC_RELEASE);
	control_grace(c, counting_over, c);
}

static void counting_end(struct control *c)
{
	__atomic_store_n(&c->maps->switches->count_runs, 0, __ATOMIC_RELEASE);
	c->counting.state = COUNTING_OFF;
}

/* Ended first: what has begun when that is read next is no less. */
static bool queue_is_quiet(const struct xsr_runs *runs)
{
	uint64_t ended = __atomic_load_n(&runs->ended, __ATOMIC_SEQ_CST);

	return __atomic_load_n(&runs->begun, __ATOMIC_SEQ_CST) == ended;
}

static bool queue_wait_quiet(const struct xsr_runs *runs, uint64_t until_ns)
{
	while (!queue_is_quiet(runs))
		if (control_clock_ns() >= until_ns)
			return false;
	return true;
}

/* Each queue was quiet at some moment of this call; a run takes well below a microsecond, unless its CPU is taken away. */
static bool queues_quiet(void *arg)
{
	struct control *c = arg;
	uint64_t until_ns;
	unsigned int i;

	c->counting.used_ns = control_clock_ns();
	if (c->counting.state == COUNTING_OFF)
		counting_begin(c);
	if (c->counting.state != COUNTING_ON)
		return false;
	until_ns = c->counting.used_ns + QUIET_NS;
	atomic_thread_fence(memory_order_seq_cst); /* the routes were stored before */
	for (i = 0; i < XSR_QUEUES_MAX; i++)
		if (!queue_wait_quiet(&c->maps->runs[i], until_ns))
			return false;
	return true;
}

/* --- mail --- */

static void mail_take(struct control *c, unsigned int from, const struct mail *mail)
{
	switch ((enum mail_type)mail->type) {
	case MAIL_READY:
	case MAIL_REFUSED:
	case MAIL_TAKEN:
		handoffs_mail(c->handoffs, mail);
		break;
	case MAIL_LISTED:
		rosters_mail(&c->rosters, from, mail);
		break;
	default:
		membership_mail(c, from, mail);
	}
}

static void mail_read(struct control *c)
{
	struct post *post = &c->workers->control;
	const struct mail *mail;
	uint64_t known;

	for (known = post->known; known; known &= known - 1) {
		unsigned int from = __builtin_ctzll(known);

		while ((mail = post_next(post, from))) {
			mail_take(c, from, mail);
			post_done(post, from);
		}
	}
}

static int ms_min(int a, int b)
{
	return a < 0 ? b : b < 0 || a < b ? a : b;
}

/* All goes on as far as it can; returns after how many ms it wants to be looked at again, -1: not of itself. */
static int control_step(struct control *c)
{
	int ms = membership_step(c);

	ms = ms_min(ms, rosters_step(&c->rosters));
	return ms_min(ms, handoffs_step(c->handoffs));
}

static void timer_set(struct control *c, int ms)
{
	sd_event_source *timer = c->sources[SOURCE_TIMER];

	if (ms >= 0)
		sd_event_source_set_time_relative(timer, ms * 1000ULL);
	sd_event_source_set_enabled(timer, ms >= 0 ? SD_EVENT_ONESHOT : SD_EVENT_OFF);
}

/* After whatever happened. Sleeps, as far as the workers are told, only when there is no mail. */
static int on_after(sd_event_source *source, void *arg)
{
	struct control *c = arg;
	struct post *post = &c->workers->control;
	int ms;

	(void)source;
	do {
		post_awake(post);
		if (post_rung(post))
			mail_read(c);
		ms = control_step(c);
	} while (!post_sleep(post));
	timer_set(c, ms);
	if (c->idle && handoffs_idle(c->handoffs) && membership_idle(c) && (!c->streams || stream_moves_idle(c->streams)))
		c->idle(c->idle_arg);
	return 0;
}

/* What wakes the loop, so that on_after() runs. */
static int on_mail(sd_event_source *source, int fd, uint32_t events, void *arg)
{
	(void)source;
	(void)fd;
	(void)events;
	post_awake(&((struct control *)arg)->workers->control);
	return 0;
}

static int on_timer(sd_event_source *source, uint64_t now_us, void *arg)
{
	(void)source;
	(void)now_us;
	(void)arg;
	return 0;
}

/* --- watching --- */

static void worker_watch(struct control *c, unsigned int number, uint64_t now_ns)
{
	struct xsr_worker *w = c->workers->at[number];
	unsigned long n_polls = atomic_load_explicit(&w->n_polls, memory_order_relaxed);
	bool asleep = atomic_load_explicit(&w->post.sleeps, memory_order_relaxed);

	if (!c->watched[number].since_ns)
		c->watched[number].since_ns = now_ns; /* seen for the first time */
	if (asleep || n_polls != c->watched[number].n_polls) {
		if (c->watched[number].hangs)
			log_warning("worker %u goes on after %.1f s", number,
				    (now_ns - c->watched[number].since_ns) / (double)NS_PER_S);
		c->watched[number].n_polls = n_polls;
		c->watched[number].since_ns = now_ns;
		c->watched[number].hangs = false;
	} else if (!c->watched[number].hangs && now_ns - c->watched[number].since_ns >= HANGS_NS) {
		c->watched[number].hangs = true;
		log_warning("worker %u hangs: it has not finished a batch for a second; its sessions wait", number);
	}
}

static int on_watch(sd_event_source *source, uint64_t now_us, void *arg)
{
	struct control *c = arg;
	uint64_t serving, now_ns = control_clock_ns();

	(void)now_us;
	for (serving = ~c->workers->serving; serving; serving &= serving - 1)
		c->watched[__builtin_ctzll(serving)].since_ns = 0;
	for (serving = c->workers->serving; serving; serving &= serving - 1)
		worker_watch(c, __builtin_ctzll(serving), now_ns);
	if (c->counting.state == COUNTING_ON && now_ns - c->counting.used_ns > COUNTING_NS)
		counting_end(c);
	sd_event_source_set_time_relative(source, WATCH_MS * 1000ULL);
	return sd_event_source_set_enabled(source, SD_EVENT_ONESHOT);
}

/* --- beginning and end --- */

static int sources_add(struct control *c)
{
	struct post *post = &c->workers->control;
	int ret;

	ret = sd_event_add_io(c->event, &c->sources[SOURCE_MAIL], post->fd, EPOLLIN, on_mail, c);
	if (ret >= 0)
		ret = sd_event_add_io(c->event, &c->sources[SOURCE_GRACE], grace_fd(c->grace), EPOLLIN, on_grace, c);
	if (ret >= 0)
		ret = sd_event_add_time_relative(c->event, &c->sources[SOURCE_TIMER], CLOCK_MONOTONIC, 0, 1000, on_timer,
						 c);
	if (ret >= 0)
		ret = sd_event_add_time_relative(c->event, &c->sources[SOURCE_WATCH], CLOCK_MONOTONIC, 0, 10000,
						 on_watch, c);
	return ret < 0 ? ret : sd_event_add_post(c->event, &c->after, on_after, c);
}

static int conductor_fill(struct control *c)
{
	const struct handoffs_params params = {
		.maps = c->maps,
		.post = &c->workers->control,
		.fence_ms = router_fence_ms(c->router),
		.clock_ns = control_clock_ns,
		.quiet = router_is_native(c->router) ? queues_quiet : NULL,
		.grace = handoffs_grace,
		.arg = c,
	};
	int ret = handoffs_open(&c->handoffs, &params);

	rosters_init(&c->rosters, &c->workers->control, control_clock_ns);
	membership_init(c);
	if (!ret)
		ret = grace_open(&c->grace);
	return ret ? ret : sources_add(c);
}

int conductor_open(struct control **out, sd_event *event, struct maps *maps, struct xsr_router *router,
		   char why[CONDUCTOR_WHY_LEN])
{
	struct control *c = calloc(1, sizeof(*c));
	int ret = 0;

	if (!c)
		return -ENOMEM;
	c->event = event;
	c->maps = maps;
	c->router = router;
	c->workers = router ? router_workers(router) : NULL;
	if (router)
		ret = conductor_fill(c);
	if (ret < 0) {
		snprintf(why, CONDUCTOR_WHY_LEN, "cannot begin to control the workers: %s", strerror(-ret));
		conductor_close(c);
		return ret;
	}
	*out = c;
	return 0;
}

/* The workers' side looks by itself, after whatever happens. */
static void streams_idle(void *arg)
{
	struct control *c = arg;

	if (!c->handoffs)
		c->idle(c->idle_arg);
}

void conductor_stop(struct control *c, void (*idle)(void *arg), void *arg)
{
	c->idle = idle;
	c->idle_arg = arg;
	if (c->streams)
		stream_moves_stop(c->streams, streams_idle, c);
	if (c->handoffs) {
		handoffs_stop(c->handoffs);
		membership_stop(c);
	} else if (!c->streams) {
		idle(arg);
	}
}

static void workers_leave(struct control *c)
{
	unsigned int i;

	for (i = 0; i < sizeof(c->sources) / sizeof(c->sources[0]); i++)
		sd_event_source_unref(c->sources[i]);
	sd_event_source_unref(c->after);
	counting_end(c);
	grace_close(c->grace);
	handoffs_close(c->handoffs);
	rosters_close(&c->rosters);
	membership_close(c);
}

void conductor_close(struct control *c)
{
	if (!c)
		return;
	if (c->router)
		workers_leave(c);
	free(c);
}
