/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#include <errno.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <unistd.h>

#include "clock.h"
#include "exchange_parts.h"

static void queue_join(struct exchange_conn *c, struct exchange_conn_list *queue)
{
	c->queue = queue;
	TAILQ_INSERT_TAIL(queue, c, in_queue);
}

static void queue_leave(struct exchange_conn *c)
{
	if (c->queue)
		TAILQ_REMOVE(c->queue, c, in_queue);
	c->queue = NULL;
}

/* --- beginning and end --- */

static int conn_watch(struct exchange_conn *c)
{
	struct epoll_event event = { .events = EPOLLIN, .data.ptr = c };

	c->events = event.events;
	return epoll_ctl(c->exchange->epoll_fd, EPOLL_CTL_ADD, c->tcp->fd, &event);
}

/* What a connection may queue is our own matter: a session's replies may come to it that were asked for on another. */
void exchange_conn_open(struct exchange *e, int fd)
{
	struct exchange_conn *c = calloc(1, sizeof(*c));

	if (!c) {
		close(fd);
		return;
	}
	if (tcp_open(&c->tcp, &e->shared, fd, TCP_FRAME_MAX, SIZE_MAX)) {
		free(c);
		return;
	}
	c->exchange = e;
	TAILQ_INIT(&c->sessions);
	LIST_INSERT_HEAD(&e->conns, c, in_all);
	e->counts.connections++;
	e->counts.connections_now++;
	if (conn_watch(c))
		exchange_conn_end(c);
}

static void sessions_unbind(struct exchange_conn *c)
{
	struct exchange_session *s;

	while ((s = TAILQ_FIRST(&c->sessions)))
		exchange_session_bind(c->exchange->sessions, s, NULL, NULL);
}

static void end_count(struct exchange_counts *counts, enum tcp_end end)
{
	counts->closed_half_frame += end == TCP_END_HALF_FRAME;
	counts->closed_reset += end == TCP_END_RESET;
	counts->closed_bad_len += end == TCP_END_BAD_LEN;
	counts->closed_bad_version += end == TCP_END_BAD_VERSION;
	counts->closed_bad_type += end == TCP_END_BAD_TYPE;
}

void exchange_conn_end(struct exchange_conn *c)
{
	if (c->pause == CONN_ENDED)
		return;
	c->pause = CONN_ENDED;
	end_count(&c->exchange->counts, c->tcp->end);
	c->exchange->counts.connections_now--;
	queue_leave(c);
	sessions_unbind(c);
	exchange_conn_touch(c);
}

void exchange_conn_free(struct exchange_conn *c)
{
	tcp_close(c->tcp);
	LIST_REMOVE(c, in_all);
	free(c);
}

/* --- reading --- */

void exchange_conn_starve(struct exchange_conn *c)
{
	c->pause = CONN_STARVED;
	queue_join(c, &c->exchange->starved);
	exchange_conn_touch(c);
}

/* Behind what cannot be a frame nothing is one. */
static void conn_serve(struct exchange_conn *c)
{
	struct tcp_frame frame;
	int ret;

	while ((ret = tcp_next(c->tcp, &frame)) > 0) {
		ret = exchange_answer(c, &frame);
		if (ret)
			break;
		tcp_take(c->tcp, &frame);
	}
	tcp_keep(c->tcp);
	if (ret == -EPROTO)
		exchange_conn_end(c);
	if (c->pause != CONN_READS)
		exchange_conn_touch(c);
}

static void conn_read_end(struct exchange_conn *c)
{
	if (c->tcp->end != TCP_END_FIN && c->tcp->end != TCP_END_HALF_FRAME) {
		exchange_conn_end(c);
		return;
	}
	c->pause = CONN_LEAVES;
	exchange_conn_touch(c);
}

static void conn_read(struct exchange_conn *c)
{
	const struct exchange_config *config = &c->exchange->c;
	int ret;

	if (config->stall_after && c->tcp->n_read >= config->stall_after) {
		c->pause = CONN_STALLED;
		exchange_conn_touch(c);
		return;
	}
	ret = tcp_read(c->tcp);
	c->read_ns = clock_now_ns();
	if (ret == -ENOBUFS)
		exchange_conn_starve(c);
	else if (ret < 0)
		conn_read_end(c);
	else
		conn_serve(c);
}

void exchange_conns_go_on(struct exchange_conn_list *queue)
{
	struct exchange_conn *last = TAILQ_LAST(queue, exchange_conn_list), *c;

	while (last && (c = TAILQ_FIRST(queue))) {
		queue_leave(c);
		c->pause = CONN_READS;
		exchange_conn_touch(c);
		conn_serve(c);
		if (c == last)
			return;
	}
}

/* Who is not read is told of its end only so. */
void exchange_conn_ready(struct exchange_conn *c, uint32_t events)
{
	if (c->pause == CONN_READS && events & (EPOLLIN | EPOLLERR | EPOLLHUP)) {
		conn_read(c);
	} else if (events & (EPOLLERR | EPOLLHUP)) {
		c->tcp->end = TCP_END_RESET;
		exchange_conn_end(c);
	}
	if (events & EPOLLOUT)
		exchange_conn_touch(c);
}

/* --- the end of a turn --- */

void exchange_conn_touch(struct exchange_conn *c)
{
	if (c->is_dirty)
		return;
	c->is_dirty = true;
	TAILQ_INSERT_TAIL(&c->exchange->dirty, c, in_dirty);
}

static void events_ask(struct exchange_conn *c)
{
	struct epoll_event event = { .data.ptr = c };

	event.events = (c->pause == CONN_READS ? EPOLLIN : 0) | (tcp_unsent(c->tcp) ? EPOLLOUT : 0);
	if (event.events == c->events)
		return;
	c->events = event.events;
	if (epoll_ctl(c->exchange->epoll_fd, EPOLL_CTL_MOD, c->tcp->fd, &event))
		exchange_conn_end(c);
}

static void ended_settle(struct exchange_conn *c)
{
	tcp_close(c->tcp);
	c->tcp = NULL;
	if (!c->n_waiting)
		exchange_conn_free(c);
}

/* Not at each byte that has left: half of the queue is worth a turn. */
static bool may_go_on(const struct exchange_conn *c)
{
	size_t queued = tcp_unsent(c->tcp) + c->waiting_len, max = c->exchange->c.queue_max;

	return c->pause == CONN_FULL && !c->queue && queued <= max / 2 && (!queued || queued + c->stays_len <= max);
}

/* Ends are dealt with when it comes by again. */
static void conn_settle(struct exchange_conn *c)
{
	if (c->pause == CONN_ENDED) {
		ended_settle(c);
	} else if (tcp_flush(c->tcp) < 0) {
		c->tcp->end = TCP_END_RESET;
		exchange_conn_end(c);
	} else if (c->pause == CONN_LEAVES && !tcp_unsent(c->tcp) && !c->n_waiting) {
		exchange_conn_end(c);
	} else {
		if (may_go_on(c))
			queue_join(c, &c->exchange->again);
		events_ask(c);
	}
}

void exchange_conns_flush(struct exchange *e)
{
	struct exchange_conn *c;

	while ((c = TAILQ_FIRST(&e->dirty))) {
		TAILQ_REMOVE(&e->dirty, c, in_dirty);
		c->is_dirty = false;
		conn_settle(c);
	}
}
