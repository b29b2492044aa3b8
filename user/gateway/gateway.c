/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#include "gateway.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <time.h>
#include <unistd.h>

#include "front.h"
#include "place.h"
#include "door.h"
#include "errand.h"
#include "express.h"
#include "handover.h"
#include "link.h"
#include "relay.h"
#include "takeover.h"
#include "stream_rows.h"

#define NS_PER_MS 1000000ULL
#define EVENTS_MAX 256
#define SYNC_MS 1000
#define LEFT_MS 60000	 /* a session without client is remembered for so long */
#define PATIENCE_MS 2000 /* for answers that are under way when it is told to stop */

static uint64_t clock_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return ts.tv_sec * 1000000000ULL + ts.tv_nsec;
}

/* --- mail --- */

static void mail_take(struct gateway *g, unsigned int from, const struct mail *mail);

static void mail_read(struct gateway *g, unsigned int from)
{
	const struct mail *mail;

	while ((mail = post_next(&g->post, from))) {
		mail_take(g, from, mail);
		post_done(&g->post, from);
	}
}

/* What it sent before it ended is read first. */
static void peer_part(struct gateway *g, const struct mail *mail)
{
	const struct mail parted = { .type = MAIL_PARTED, .token = mail->token };

	mail_read(g, mail->worker);
	post_part(&g->post, mail->worker);
	post_mail(&g->post, POST_CONTROL, &parted);
}

static void peer_join(struct gateway *g, const struct mail *mail)
{
	post_join(&g->post, mail->worker, (const struct mail_join *)mail->room);
	g->leaving &= ~(1ULL << mail->worker);
}

static void mail_take(struct gateway *g, unsigned int from, const struct mail *mail)
{
	if (mail->type == MAIL_LIST)
		stream_rows_answer(g, mail);
	else if (mail->type == MAIL_JOIN)
		peer_join(g, mail);
	else if (mail->type == MAIL_PART)
		peer_part(g, mail);
	else if (mail->type >= GATEWAY_MAIL_HAND)
		handover_mail(g, mail);
	else
		errand_mail(g, from, mail);
}

static void bell_ready(struct watched *watched, uint32_t events)
{
	(void)watched; /* post_awake() empties it */
	(void)events;
}

static void mail_read_all(struct gateway *g)
{
	uint64_t known;

	if (!post_rung(&g->post))
		return;
	mail_read(g, POST_CONTROL);
	for (known = g->post.known; known; known &= known - 1)
		mail_read(g, __builtin_ctzll(known));
}

/* --- time --- */

static void deadlines_look(struct gateway *g)
{
	uint64_t before_ns = g->now_ns - g->p.deadline_ms * NS_PER_MS, seq;
	struct stream_session *s, *next;

	if (!g->p.deadline_ms)
		return;
	for (s = TAILQ_FIRST(&g->sessions->busy); s; s = next) {
		next = TAILQ_NEXT(s, in_busy);
		seq = stream_session_overdue(s, before_ns);
		if (seq)
			front_overdue(g, s, seq);
	}
}

/* Sessions whose clients did not come back; one that is still on its way from another worker is not ours to forget. */
static void left_look(struct gateway *g)
{
	struct stream_session *s;

	while ((s = TAILQ_FIRST(&g->sessions->left)) && g->now_ns - s->left_ns > LEFT_MS * NS_PER_MS)
		session_forget(g, s);
}

static void links_tick(struct gateway *g)
{
	struct link *l;
	uint32_t service;

	for (service = 1; service < XSR_SERVICES_MAX; service++)
		LIST_FOREACH(l, &g->links[service], of_service)
			link_tick(l);
}

static void clients_tick(struct gateway *g)
{
	struct front *c, *next;

	for (c = LIST_FIRST(&g->clients); c; c = next) {
		next = LIST_NEXT(c, of_gateway);
		front_tick(c);
	}
}

static void relays_tick(struct gateway *g)
{
	struct relay *r, *next;

	for (r = LIST_FIRST(&g->relays); r; r = next) {
		next = relay_next(r);
		relay_tick(r);
	}
}

static void services_sync(struct gateway *g)
{
	char why[XSR_WHY_LEN] = "out of memory";

	if (doors_sync(g, why))
		g->p.log(why, g->p.log_arg);
	g->sync_ns = g->now_ns + SYNC_MS * NS_PER_MS;
}

static void tick(struct gateway *g)
{
	if (g->now_ns < g->tick_ns)
		return;
	g->tick_ns = g->now_ns + GATEWAY_TICK_MS * NS_PER_MS;
	g->n_ticks++;
	clients_tick(g);
	relays_tick(g);
	deadlines_look(g);
	left_look(g);
	errands_tick(g);
	links_tick(g);
	doors_tick(g);
	if (g->now_ns >= g->sync_ns && !g->ends_ns)
		services_sync(g);
}

/* --- turns --- */

static int ms_to_tick(const struct gateway *g)
{
	int ms = g->tick_ns > g->now_ns ? (g->tick_ns - g->now_ns) / NS_PER_MS + 1 : 0;

	return (express_busy(g) || !TAILQ_EMPTY(&g->finishing)) && ms > EXPRESS_MS ? EXPRESS_MS : ms;
}

static void turn(struct gateway *g)
{
	struct epoll_event events[EVENTS_MAX];
	struct watched *watched;
	bool sleeps = post_sleep(&g->post);
	int i, n;

	n = epoll_wait(g->epoll_fd, events, EVENTS_MAX, sleeps ? ms_to_tick(g) : 0);
	post_awake(&g->post);
	g->now_ns = clock_ns();
	atomic_fetch_add_explicit(&g->n_turns, 1, memory_order_relaxed);
	mail_read_all(g);
	for (i = 0; i < n; i++) {
		watched = events[i].data.ptr;
		watched->ready(watched, events[i].events);
	}
	express_turn(g);
	relays_turn(g);
	tick(g);
	conns_turn(g);
	handovers_turn(g);
}

/* Nobody comes in, nothing new is read; what was asked is answered. */
/* What the kernel passes on by itself it is told to stop. */
static void sessions_stop(struct front *c)
{
	struct stream_session *s;

	LIST_FOREACH(s, &c->sessions, of_client) {
		if (!s->flow)
			continue;
		express_note(s);
		express_hold(s);
	}
}

static void stop_begin(struct gateway *g)
{
	struct front *c;
	struct relay *r;

	doors_shut(g);
	handovers_stop(g);
	LIST_FOREACH(c, &g->clients, of_gateway) {
		sessions_stop(c);
		if (!c->conn.waits_in)
			conn_wait(&c->conn, NULL);
	}
	for (r = LIST_FIRST(&g->relays); r; r = relay_next(r))
		relay_hold(r);
	g->ends_ns = g->now_ns + PATIENCE_MS * NS_PER_MS;
}

/* Something was asked and is not answered, or is not written yet. */
static bool is_under_way(const struct gateway *g)
{
	const struct front *c;
	const struct relay *r;

	if (!TAILQ_EMPTY(&g->sessions->busy))
		return true;
	LIST_FOREACH(c, &g->clients, of_gateway)
		if (conn_unsent(&c->conn))
			return true;
	for (r = LIST_FIRST(&g->relays); r; r = relay_next(r))
		if (relay_unsent(r))
			return true;
	return false;
}

void gateway_run(struct gateway *g)
{
	while (!atomic_load_explicit(&g->stopping, memory_order_relaxed))
		turn(g);
	stop_begin(g);
	while (is_under_way(g) && g->now_ns < g->ends_ns)
		turn(g);
	doors_close(g);
	conns_turn(g);
	mail_read_all(g); /* what came in the end is sent back */
}

void gateway_stop(struct gateway *g)
{
	atomic_store(&g->stopping, true);
	post_wake(&g->post);
}

static int gateway_fill(struct gateway *g, char why[XSR_WHY_LEN])
{
	struct epoll_event event = { .events = EPOLLIN, .data.ptr = &g->bell };
	int ret;

	g->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
	if (g->epoll_fd < 0)
		return -errno;
	ret = post_open(&g->post, g->p.worker);
	if (!ret)
		ret = tcp_shared_open(&g->shared, g->p.memory_max);
	if (!ret)
		ret = stream_sessions_open(&g->sessions, g->p.sessions_max);
	if (!ret && g->p.stream)
		ret = express_open(g, why);
	if (ret)
		return ret;
	g->bell.ready = bell_ready;
	epoll_ctl(g->epoll_fd, EPOLL_CTL_ADD, g->post.fd, &event);
	g->now_ns = clock_ns();
	g->sync_ns = g->now_ns + SYNC_MS * NS_PER_MS;
	return doors_sync(g, why);
}

int gateway_open(struct gateway **out, const struct gateway_params *params, char why[XSR_WHY_LEN])
{
	struct gateway *g = calloc(1, sizeof(*g));
	int ret;

	snprintf(why, XSR_WHY_LEN, "out of memory");
	if (!g)
		return -ENOMEM;
	g->p = *params;
	g->epoll_fd = g->post.fd = -1;
	TAILQ_INIT(&g->dirty);
	TAILQ_INIT(&g->parked);
	TAILQ_INIT(&g->resumed);
	TAILQ_INIT(&g->ended);
	TAILQ_INIT(&g->errands);
	TAILQ_INIT(&g->handovers);
	TAILQ_INIT(&g->settling);
	TAILQ_INIT(&g->finishing);
	ret = gateway_fill(g, why);
	if (ret)
		gateway_close(g);
	else
		*out = g;
	return ret;
}

void gateway_close(struct gateway *g)
{
	if (!g)
		return;
	if (g->sessions) {
		doors_close(g);
		conns_turn(g);
		takeovers_close(g);
	}
	express_close(g);
	stream_sessions_close(g->sessions);
	tcp_shared_close(&g->shared);
	post_close(&g->post);
	if (g->epoll_fd >= 0)
		close(g->epoll_fd);
	free(g);
}
