/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* What a connection reads and writes; its lists. */
#include <errno.h>
#include <sys/epoll.h>
#include <sys/socket.h>

#include "tcp_load_parts.h"

#define TURN_LEN (64u << 10) /* bytes that a connection may write until it is another's turn */
#define TURN_FRAMES 64
#define SLOW_BURST_NS (200 * NS_PER_MS) /* an unused allowance is kept for so long */

/* --- lists --- */

static void conn_touch(struct load_conn *c)
{
	if (c->is_dirty)
		return;
	c->is_dirty = true;
	TAILQ_INSERT_TAIL(&c->shard->dirty, c, in_dirty);
}

static void ready_leave(struct load_conn *c)
{
	if (c->is_ready)
		TAILQ_REMOVE(&c->shard->ready, c, in_ready);
	c->is_ready = false;
}

void load_conn_unlist(struct load_conn *c)
{
	if (c->is_dirty)
		TAILQ_REMOVE(&c->shard->dirty, c, in_dirty);
	c->is_dirty = false;
	ready_leave(c);
}

/* --- what epoll is asked --- */

static bool may_read(const struct load_conn *c)
{
	return !c->is_slow || c->shard->end_ns || c->allowance > 0;
}

static void events_ask(struct load_conn *c, uint32_t events)
{
	struct epoll_event event = { .events = events, .data.ptr = c };

	if (events == c->events)
		return;
	c->events = events;
	epoll_ctl(c->shard->epoll_fd, EPOLL_CTL_MOD, c->tcp->fd, &event);
}

void load_conn_interest(struct load_conn *c)
{
	bool writes = c->state == LOAD_UP && tcp_unsent(c->tcp);

	events_ask(c, (may_read(c) ? EPOLLIN : 0) | (writes ? EPOLLOUT : 0));
}

void load_conn_allow(struct load_conn *c, uint64_t passed_ns)
{
	const uint64_t rate = c->shard->c->slow_rate;
	const int64_t most = rate * SLOW_BURST_NS / NS_PER_S + 1;

	c->allowance += rate * passed_ns / NS_PER_S;
	if (c->allowance > most)
		c->allowance = most;
	if (c->tcp)
		load_conn_interest(c);
}

/* --- reading --- */

static void conn_read(struct load_conn *c)
{
	struct tcp_frame frame;
	int ret = tcp_read(c->tcp);

	if (ret == -ENOBUFS)
		return;
	if (ret < 0) {
		load_conn_ended(c);
		return;
	}
	c->allowance -= ret;
	c->shard->now_ns = clock_now_ns();
	while ((ret = tcp_next(c->tcp, &frame)) > 0) {
		load_session_frame(c, &frame);
		tcp_take(c->tcp, &frame);
	}
	tcp_keep(c->tcp);
	if (ret < 0)
		load_conn_ended(c);
}

void load_conn_ready(struct load_conn *c, uint32_t events)
{
	if (c->state == LOAD_CONNECTING) {
		load_conn_connecting(c);
		return;
	}
	if (c->state == LOAD_DOWN)
		return;
	if (events & (EPOLLIN | EPOLLERR | EPOLLHUP))
		conn_read(c);
	if (c->state == LOAD_UP && events & EPOLLOUT)
		conn_touch(c);
	if (c->tcp)
		load_conn_interest(c);
}

/* --- writing --- */

size_t load_conn_queued(const struct load_conn *c)
{
	return c->state == LOAD_UP ? c->uncut.len + tcp_unsent(c->tcp) : 0;
}

/* What is in pieces goes on only when the last piece has left. */
static bool has_room(const struct load_conn *c)
{
	if (c->state != LOAD_UP)
		return false;
	return c->shard->c->cut ? !tcp_unsent(c->tcp) : load_conn_queued(c) < LOAD_QUEUE_LEN;
}

void load_conn_offer(struct load_conn *c, bool is_urgent)
{
	if (!has_room(c) || (TAILQ_EMPTY(&c->ready) && !c->uncut.len) || (c->is_ready && !is_urgent))
		return;
	if (c->is_ready)
		TAILQ_REMOVE(&c->shard->ready, c, in_ready);
	c->is_ready = true;
	if (is_urgent)
		TAILQ_INSERT_HEAD(&c->shard->ready, c, in_ready);
	else
		TAILQ_INSERT_TAIL(&c->shard->ready, c, in_ready);
}

void load_conn_write(struct load_conn *c, const void *frame, size_t len)
{
	struct load_shard *shard = c->shard;

	if (c->state != LOAD_UP)
		return;
	if (shard->c->cut ? !chunk_append(shard->shared.pool, &c->uncut, frame, len) : tcp_send(c->tcp, frame, len) != 0)
		shutdown(c->tcp->fd, SHUT_RDWR); /* no memory, and half a stream is none: it ends, and comes back */
	conn_touch(c);
}

/* From single bytes to more than a frame or a segment. */
static size_t piece_len(struct load_conn *c)
{
	static const uint32_t max[] = { 30, 1500, 16 << 10, 64 << 10 };
	struct stream_random *random = &c->shard->random;
	uint32_t len = stream_random_from(random, 1, max[stream_random_from(random, 0, 3)]);

	return len < c->uncut.len ? len : c->uncut.len;
}

static void piece_write(struct load_conn *c)
{
	struct load_shard *shard = c->shard;
	size_t len = piece_len(c);

	if (!len || tcp_unsent(c->tcp))
		return;
	chunk_copy(&c->uncut, 0, shard->out, len);
	tcp_send(c->tcp, shard->out, len);
	chunk_drop(shard->shared.pool, &c->uncut, len);
	conn_touch(c);
}

static bool may_take(const struct load_conn *c, size_t sent)
{
	return sent < TURN_LEN && load_conn_queued(c) < LOAD_QUEUE_LEN && !TAILQ_EMPTY(&c->ready);
}

/* With a rate each connection has one message a turn: they are due one after another. */
bool load_conn_send(struct load_conn *c)
{
	unsigned int n = c->shard->rate ? 1 : TURN_FRAMES;
	struct load_session *s;
	size_t sent = 0, len;

	ready_leave(c);
	while (n-- && may_take(c, sent)) {
		s = TAILQ_FIRST(&c->ready);
		len = load_session_send(s);
		sent += len;
		if (!len && s->is_ready)
			break;
	}
	if (c->uncut.len) {
		piece_write(c);
		sent++;
	}
	load_conn_offer(c, false);
	return sent;
}

static void conn_flush(struct load_conn *c)
{
	if (tcp_flush(c->tcp) < 0) {
		c->tcp->end = TCP_END_RESET;
		load_conn_ended(c);
		return;
	}
	load_conn_interest(c);
	load_conn_offer(c, false);
}

void load_conns_flush(struct load_shard *shard)
{
	struct load_conn *c;

	while ((c = TAILQ_FIRST(&shard->dirty))) {
		TAILQ_REMOVE(&shard->dirty, c, in_dirty);
		c->is_dirty = false;
		if (c->state == LOAD_UP)
			conn_flush(c);
	}
}

void load_conn_bye(struct load_conn *c)
{
	uint8_t out[STREAM_SMALL_MAX];
	uint32_t i;

	if (c->state != LOAD_UP)
		return;
	for (i = 0; i < c->n_sessions; i++)
		if (c->sessions[i].state == LOAD_OPEN)
			load_conn_write(c, out, stream_bye_write(out, c->sessions[i].id));
	load_conn_write(c, out, stream_bye_write(out, 0));
}
