/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#include "conn.h"

#include <errno.h>
#include <sys/epoll.h>

#include "gateway.h"

static void watch(struct conn *c)
{
	struct epoll_event event = { .events = EPOLLRDHUP, .data.ptr = &c->watched };

	if (c->connecting)
		event.events = EPOLLOUT;
	else if (c->waits_in)
		event.events = 0; /* its end is seen when it is read on */
	else
		event.events |= EPOLLIN;
	if (tcp_unsent(c->tcp) && !c->is_dirty)
		event.events |= EPOLLOUT;
	if (event.events == c->events || c->has_ended || c->is_deaf || c->socket)
		return;
	epoll_ctl(c->gateway->epoll_fd, EPOLL_CTL_MOD, c->fd, &event);
	c->events = event.events;
}

static void become_dirty(struct conn *c)
{
	if (c->is_dirty || c->has_ended)
		return;
	c->is_dirty = true;
	TAILQ_INSERT_TAIL(&c->gateway->dirty, c, turn);
}

static void wait_in(struct conn *c, struct conn_list *list)
{
	if (c->waits_in)
		TAILQ_REMOVE(c->waits_in, c, waiter);
	c->waits_in = list;
	c->waits_on = NULL;
	c->until_tick = false;
	if (list)
		TAILQ_INSERT_TAIL(list, c, waiter);
}

/* What the kernel moves cannot wait here: who gets -EAGAIN of such a one has to find another answer. Nor does it tell when it has room. */
int conn_wait(struct conn *c, struct conn *on)
{
	if (c->socket)
		return -EAGAIN;
	wait_in(c, on && !on->socket ? &on->waiters : &c->gateway->parked);
	c->waits_on = on;
	c->waits_ns = c->gateway->now_ns;
	c->until_tick = on && on->socket;
	return -EAGAIN;
}

void conn_resume(struct conn *c)
{
	if (c->waits_in && !c->has_ended)
		wait_in(c, &c->gateway->resumed);
}

/* Nothing tells when there is some. */
static int wait_for_memory(struct conn *c)
{
	conn_wait(c, NULL);
	c->until_tick = true;
	return -EAGAIN;
}

/* A frame that waits does so because of us: its time does not run. Behind one that was whole another one begins. */
static void half_note(struct conn *c, bool is_another)
{
	if (!c->tcp->in.len || c->waits_in)
		c->half_ns = 0;
	else if (!c->half_ns || is_another)
		c->half_ns = c->gateway->now_ns;
}

/* Hands out what has come, until there is no whole frame, or one that has to wait. */
static void serve(struct conn *c)
{
	struct tcp_frame frame;
	bool any = false;
	int ret = 0;

	while (!ret && !c->has_ended && tcp_next(c->tcp, &frame) > 0) {
		ret = c->ops->frame(c, &frame);
		any = true;
	}
	tcp_keep(c->tcp); /* also if it has ended: what was read lies where the next one is read */
	if (c->has_ended)
		return;
	half_note(c, any);
	if (c->tcp->end == TCP_END_NONE || c->waits_in)
		return;
	if (c->tcp->end != TCP_END_FIN || !c->ops->lingers || !c->ops->lingers(c))
		conn_end(c);
	else
		conn_wait(c, NULL);
}

bool conn_is_scarce(const struct gateway *g)
{
	return chunk_pool_room(g->shared.pool) < g->shared.len / 2 || (g->sockmap && sockmap_room(g->sockmap) < g->shared.len / 2);
}

/* What each client may have of what is left when memory is scarce: of requests that cannot go on, and of replies it does not read. */
static size_t part_of(const struct gateway *g)
{
	return g->shared.len / 16 / (g->n_clients + 1);
}

/* How much is read at a time: that may have to be kept. */
static size_t read_limit(const struct conn *c)
{
	const struct gateway *g = c->gateway;

	if (c->ops->is_common || !conn_is_scarce(g))
		return g->shared.len / 16;
	return part_of(g) ?: 1;
}

static void read_on(struct conn *c)
{
	int ret;

	c->gateway->shared.once = read_limit(c);
	ret = tcp_read(c->tcp);
	if (ret > 0) {
		c->read_ns = c->gateway->now_ns;
		c->n_pings = 0;
	}
	if (ret != -ENOBUFS) {
		serve(c);
		return;
	}
	wait_for_memory(c);
}

/* Both sides have finished: epoll tells nothing more, but what came before may still be there. */
static void read_rest(struct conn *c)
{
	uint64_t n_read;

	while (c->is_deaf && !c->tcp->end && !c->waits_in && !c->has_ended) {
		n_read = c->tcp->n_read;
		read_on(c);
		if (c->tcp->n_read == n_read && !c->tcp->end && !c->waits_in)
			wait_for_memory(c);
	}
}

/* epoll tells this of those that are not read, too, and again and again. */
static void hang_up(struct conn *c, uint32_t events)
{
	if (!(events & EPOLLERR)) {
		c->is_deaf = true;
		epoll_ctl(c->gateway->epoll_fd, EPOLL_CTL_DEL, c->fd, NULL);
		return;
	}
	c->tcp->end = TCP_END_RESET;
	conn_end(c);
}

static void conn_ready(struct watched *watched, uint32_t events)
{
	struct conn *c = (struct conn *)watched;

	if (c->has_ended)
		return;
	if (c->socket) {
		conn_stir(c);
		return;
	}
	if (c->connecting) {
		c->connecting = false;
		c->ops->connected(c, tcp_connected(c->tcp->fd));
	} else if (c->waits_in && events & (EPOLLERR | EPOLLHUP)) {
		hang_up(c, events);
	} else if (!c->waits_in && events & ~EPOLLOUT) {
		read_on(c);
	}
	if (events & EPOLLOUT && tcp_unsent(c->tcp))
		become_dirty(c);
	if (!c->has_ended)
		watch(c);
}

int conn_open(struct conn *c, struct gateway *g, const struct conn_ops *ops, int fd, uint32_t frame_max, bool connecting)
{
	struct epoll_event event = { .events = connecting ? EPOLLOUT : EPOLLIN | EPOLLRDHUP, .data.ptr = &c->watched };
	int ret = tcp_open(&c->tcp, &g->shared, fd, frame_max, g->p.queue_max);

	if (ret)
		return ret;
	c->watched.ready = conn_ready;
	c->ops = ops;
	c->gateway = g;
	c->fd = fd;
	c->tcp->is_common = ops->is_common;
	c->connecting = connecting;
	c->read_ns = c->active_ns = c->written_ns = g->now_ns;
	c->events = event.events;
	TAILQ_INIT(&c->waiters);
	if (epoll_ctl(g->epoll_fd, EPOLL_CTL_ADD, fd, &event)) {
		ret = -errno;
		tcp_close(c->tcp);
	}
	return ret;
}

void conn_end(struct conn *c)
{
	struct conn *waiter;

	if (c->has_ended)
		return;
	if (!c->connecting && !c->socket && c->tcp->end != TCP_END_RESET)
		tcp_flush(c->tcp);
	wait_in(c, NULL);
	if (c->is_dirty)
		TAILQ_REMOVE(&c->gateway->dirty, c, turn);
	c->has_ended = true;
	TAILQ_INSERT_TAIL(&c->gateway->ended, c, turn);
	while ((waiter = TAILQ_FIRST(&c->waiters)))
		conn_resume(waiter); /* it finds another way, or none */
	c->ops->ended(c);
}

size_t conn_kept(const struct conn *c)
{
	return c->tcp->in.len;
}

void conn_copy(const struct conn *c, void *to)
{
	chunk_copy(&c->tcp->in, 0, to, c->tcp->in.len);
}

bool conn_may_restore(const struct gateway *g, size_t len)
{
	return chunk_pool_room(g->shared.pool) >= g->shared.spare + len;
}

int conn_restore(struct conn *c, const void *bytes, size_t len)
{
	return chunk_append(c->tcp->shared->pool, &c->tcp->in, bytes, len) ? 0 : -ENOBUFS;
}

int conn_release(struct conn *c)
{
	if (!c->is_deaf)
		epoll_ctl(c->gateway->epoll_fd, EPOLL_CTL_DEL, c->fd, NULL);
	c->tcp->fd = -1;
	conn_end(c);
	return c->fd;
}

/* What the peer takes of this, it takes from now on. */
static void queue_begin(struct conn *c)
{
	if (!tcp_unsent(c->tcp))
		c->written_ns = c->gateway->now_ns;
}

/*
 * How much it may have to write. While half of the memory is free that is queue_max; then no more than its part, so that those who do not read
 * what they asked for leave something for the others.
 */
static size_t queue_limit(const struct conn *c)
{
	const struct gateway *g = c->gateway;
	size_t part = part_of(g), max = c->tcp->queue_max;

	if (c->ops->is_common || part > max || !conn_is_scarce(g))
		return max;
	return part;
}

/* What waits in this process. */
static size_t queued(const struct conn *c)
{
	return c->socket ? sockmap_pending(c->socket) : tcp_unsent(c->tcp);
}

/* An empty one takes any frame. */
static bool may_queue(const struct conn *c, size_t len)
{
	return !queued(c) || queued(c) + len <= queue_limit(c);
}

int conn_send(struct conn *c, const void *data, size_t len)
{
	if (c->has_ended)
		return -EPIPE;
	if (c->socket)
		return may_queue(c, len) && !sockmap_send(c->socket, data, len) ? 0 : -EAGAIN;
	queue_begin(c);
	if (tcp_send(c->tcp, data, len))
		return -EAGAIN;
	become_dirty(c);
	return 0;
}

int conn_send_over(struct conn *c, const void *data, size_t len)
{
	if (c->has_ended || c->socket)
		return conn_send(c, data, len);
	queue_begin(c);
	if (!chunk_append(c->tcp->shared->pool, &c->tcp->out, data, len))
		return -EAGAIN;
	become_dirty(c);
	return 0;
}

void conn_take(struct conn *c, const struct tcp_frame *frame)
{
	if (!c->socket)
		tcp_take(c->tcp, frame);
}

/* What the kernel moves cannot wait; what the other one reads can, and is kept then. */
static int lane_forward(struct conn *from, const struct tcp_frame *frame, struct conn *to)
{
	int ret;

	if (frame->data)
		ret = conn_send(to, frame->data, frame->len);
	else
		ret = may_queue(to, frame->len) ? sockmap_send_queue(to->socket, &from->tcp->in, frame->len) : -EAGAIN;
	if (ret)
		return conn_wait(from, to);
	conn_take(from, frame);
	return 0;
}

int conn_forward(struct conn *from, const struct tcp_frame *frame, struct conn *to)
{
	int ret;

	if (from->socket || to->socket)
		return lane_forward(from, frame, to);
	queue_begin(to);
	ret = may_queue(to, frame->len) ? tcp_forward(from->tcp, frame, to->tcp) : -EAGAIN;
	if (ret == -ENOBUFS)
		return wait_for_memory(from);
	if (ret)
		return conn_wait(from, to);
	become_dirty(to);
	return 0;
}

bool conn_is_full(const struct conn *c)
{
	return !c->socket && queued(c) > queue_limit(c) / 2;
}

/* --- what the kernel moves --- */

int conn_join(struct conn *c, enum sockmap_kind kind, uint32_t service, uint32_t frame_max)
{
	struct epoll_event event = { .events = EPOLLRDHUP | EPOLLET, .data.ptr = &c->watched };
	int ret = tcp_flush(c->tcp);

	if (ret <= 0)
		return ret ?: -EAGAIN;
	ret = sockmap_add(c->gateway->sockmap, c->fd, kind, service, frame_max, c, &c->socket);
	if (ret)
		return ret;
	c->tcp->fd = -1;
	wait_in(c, NULL);
	epoll_ctl(c->gateway->epoll_fd, EPOLL_CTL_MOD, c->fd, &event);
	return 0;
}

int conn_start(struct conn *c)
{
	int ret = sockmap_start(c->socket);

	c->is_ending = true; /* it may have ended before */
	return ret;
}

void conn_unjoin(struct conn *c)
{
	sockmap_give_back(c->socket);
	c->socket = NULL;
	c->tcp->fd = c->fd;
	c->is_ending = false;
	c->events = 0; /* conn_join() asked for others */
	wait_in(c, &c->gateway->resumed);
}

void conn_stir(struct conn *c)
{
	static const enum tcp_end ends[] = {
		[SOCKMAP_END_FIN] = TCP_END_FIN,
		[SOCKMAP_END_HALF_FRAME] = TCP_END_HALF_FRAME,
		[SOCKMAP_END_LATE] = TCP_END_LATE,
		[SOCKMAP_END_RESET] = TCP_END_RESET,
		[SOCKMAP_END_BAD_LEN] = TCP_END_BAD_LEN,
		[SOCKMAP_END_BAD_VERSION] = TCP_END_BAD_VERSION,
		[SOCKMAP_END_BAD_TYPE] = TCP_END_BAD_TYPE,
	};
	enum sockmap_end end = c->has_ended || c->tcp->end ? SOCKMAP_END_NONE : sockmap_end(c->socket);

	c->is_ending = end == SOCKMAP_END_UNREAD;
	if (end == SOCKMAP_END_NONE || end == SOCKMAP_END_UNREAD)
		return;
	c->tcp->end = ends[end];
	if (end != SOCKMAP_END_FIN || !c->ops->lingers || !c->ops->lingers(c))
		conn_end(c);
}

static void written_look(struct conn *c)
{
	uint64_t n = sockmap_is_full(c->socket) ? sockmap_written(c->socket) : 0;

	if (!n || n != c->n_written)
		c->written_ns = c->gateway->now_ns;
	c->n_written = n;
}

void conn_look(struct conn *c)
{
	uint64_t n;

	if (!c->socket)
		return;
	written_look(c);
	n = sockmap_received(c->socket);
	if (n != c->n_received || sockmap_is_slowed(c->socket)) {
		c->read_ns = c->gateway->now_ns;
		c->n_pings = 0;
	}
	c->n_received = n;
	if (c->is_ending)
		conn_stir(c);
}

uint64_t conn_unsent(const struct conn *c)
{
	return c->socket ? sockmap_backlog(c->socket) : tcp_unsent(c->tcp);
}

/* --- turns --- */

static void flush(struct conn *c)
{
	uint64_t n_written = c->tcp->n_written;
	struct conn *waiter;

	if (tcp_flush(c->tcp) < 0) {
		c->tcp->end = TCP_END_RESET;
		conn_end(c);
		return;
	}
	if (c->tcp->n_written != n_written)
		c->written_ns = c->gateway->now_ns;
	if (!conn_is_full(c)) {
		while ((waiter = TAILQ_FIRST(&c->waiters)))
			conn_resume(waiter);
		if (c->ops->drained)
			c->ops->drained(c);
	}
	watch(c);
}

static void flush_all(struct gateway *g)
{
	struct conn *c;

	while ((c = TAILQ_FIRST(&g->dirty))) {
		TAILQ_REMOVE(&g->dirty, c, turn);
		c->is_dirty = false;
		flush(c);
	}
}

/* Those that are resumed now; who has to wait again comes behind them. */
static void resume_all(struct gateway *g)
{
	struct conn_list now = TAILQ_HEAD_INITIALIZER(now);
	struct conn *c;

	TAILQ_CONCAT(&now, &g->resumed, waiter);
	TAILQ_FOREACH(c, &now, waiter)
		c->waits_in = &now;
	while ((c = TAILQ_FIRST(&now))) {
		wait_in(c, NULL);
		serve(c);
		read_rest(c);
		if (!c->has_ended)
			watch(c);
	}
}

void conns_turn(struct gateway *g)
{
	struct conn *c;

	flush_all(g);
	while (!TAILQ_EMPTY(&g->resumed)) {
		resume_all(g);
		flush_all(g);
	}
	while ((c = TAILQ_FIRST(&g->ended))) {
		TAILQ_REMOVE(&g->ended, c, turn);
		if (c->socket)
			sockmap_remove(c->socket);
		tcp_close(c->tcp);
		c->ops->free(c);
	}
}
