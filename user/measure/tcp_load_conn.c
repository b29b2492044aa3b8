/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#include <errno.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "tcp_load_parts.h"
#include "tcp_socket.h"

#define RETRY_MS_MIN 10
#define RETRY_MS_MAX 1000
#define CONNECT_NS (5 * NS_PER_S)
#define LEAVE_NS (5 * NS_PER_S)

/* --- states --- */

static void state_set(struct load_conn *c, enum load_conn_state state)
{
	c->state = state;
	c->since_ns = c->shard->now_ns;
}

void load_conn_init(struct load_conn *c, struct load_shard *shard)
{
	c->shard = shard;
	c->fd = -1;
	TAILQ_INIT(&c->ready);
	TAILQ_INSERT_TAIL(&shard->down, c, in_down);
}

static void sessions_down(struct load_conn *c)
{
	uint32_t i;

	for (i = 0; i < c->n_sessions; i++)
		load_session_down(&c->sessions[i]);
}

/* A half, and up to as much again: clients of a server that comes back do not all come at once. */
static uint64_t retry_pause_ns(struct load_conn *c)
{
	uint32_t ms = c->retry_ms ? c->retry_ms : RETRY_MS_MIN;

	c->retry_ms = ms * 2 < RETRY_MS_MAX ? ms * 2 : RETRY_MS_MAX;
	return stream_random_from(&c->shard->random, ms / 2, ms + ms / 2) * NS_PER_MS;
}

void load_conn_down(struct load_conn *c, uint64_t pause_ns)
{
	if (c->state == LOAD_DOWN)
		return;
	if (c->tcp)
		chunk_drop(c->shard->shared.pool, &c->uncut, c->uncut.len);
	tcp_close(c->tcp);
	c->tcp = NULL;
	if (c->fd >= 0)
		close(c->fd);
	c->fd = -1;
	c->shard->n_connecting -= c->state == LOAD_CONNECTING;
	load_conn_unlist(c);
	sessions_down(c);
	state_set(c, LOAD_DOWN);
	c->retry_ns = c->shard->now_ns + pause_ns;
	TAILQ_INSERT_TAIL(&c->shard->down, c, in_down);
}

void load_conn_ended(struct load_conn *c)
{
	c->shard->result.torn += c->tcp->end >= TCP_END_BAD_LEN;
	load_conn_down(c, c->state == LOAD_LEAVING ? 0 : retry_pause_ns(c));
}

/* --- connecting --- */

static void connect_failed(struct load_conn *c)
{
	c->shard->result.connect_failures++;
	load_conn_down(c, retry_pause_ns(c));
}

/* A slow reader's buffer is small: what is not read stands at the other side. */
static struct tcp_options conn_options(const struct load_conn *c)
{
	const struct tcp_load_config *config = c->shard->c;
	struct tcp_options options = { .sndbuf = config->sndbuf, .rcvbuf = config->rcvbuf };

	if (c->is_slow && !options.rcvbuf)
		options.rcvbuf = 16 << 10;
	return options;
}

void load_conn_connect(struct load_conn *c)
{
	const struct tcp_options options = conn_options(c);
	struct epoll_event event = { .events = EPOLLOUT, .data.ptr = c };

	TAILQ_REMOVE(&c->shard->down, c, in_down);
	state_set(c, LOAD_CONNECTING);
	c->shard->n_connecting++;
	c->events = event.events;
	c->fd = tcp_connect((const struct sockaddr *)&c->shard->c->address, &options);
	if (c->fd < 0 || epoll_ctl(c->shard->epoll_fd, EPOLL_CTL_ADD, c->fd, &event))
		connect_failed(c);
}

static void conn_up(struct load_conn *c)
{
	int fd = c->fd;
	uint32_t i;

	c->fd = -1;
	if (tcp_open(&c->tcp, &c->shard->shared, fd, TCP_FRAME_MAX, SIZE_MAX)) {
		connect_failed(c);
		return;
	}
	c->shard->n_connecting--;
	c->shard->result.connected++;
	c->shard->result.reconnects += c->n_made++ > 0;
	state_set(c, LOAD_UP);
	load_conn_interest(c);
	for (i = 0; i < c->n_sessions; i++)
		load_session_offer(&c->sessions[i]);
}

void load_conn_connecting(struct load_conn *c)
{
	int ret = tcp_connected(c->fd);

	if (!ret)
		conn_up(c);
	else if (ret != -EINPROGRESS)
		connect_failed(c);
}

/* --- on purpose --- */

static void conn_leave(struct load_conn *c)
{
	if (shutdown(c->tcp->fd, SHUT_WR)) {
		load_conn_down(c, 0);
		return;
	}
	load_conn_unlist(c);
	state_set(c, LOAD_LEAVING);
	load_conn_interest(c);
}

static void conn_reset(struct load_conn *c)
{
	const struct linger linger = { .l_onoff = 1 };

	setsockopt(c->tcp->fd, SOL_SOCKET, SO_LINGER, &linger, sizeof(linger));
	load_conn_down(c, 0);
}

void load_conn_drop(struct load_conn *c)
{
	c->shard->result.drops++;
	switch (stream_random_from(&c->shard->random, 0, 2)) {
	case 0:
		conn_reset(c);
		return;
	case 1:
		load_conn_down(c, 0); /* FIN; RST if something was not read */
		return;
	case 2:
		conn_leave(c);
	}
}

/* --- what is due --- */

void load_conn_check(struct load_conn *c)
{
	uint64_t age_ns = c->shard->now_ns - c->since_ns;

	if (c->state == LOAD_CONNECTING && age_ns > CONNECT_NS)
		connect_failed(c);
	else if (c->state == LOAD_LEAVING && age_ns > LEAVE_NS)
		load_conn_down(c, 0);
}
