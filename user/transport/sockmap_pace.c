/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The kernel queues what is redirected to a connection without bound, and tells its source nothing. So the program tells when more
 * than the high mark may wait; TCP_INFO says what really does; and whoever feeds that connection gets a window of almost nothing
 * until less than the low mark is left.
 */
#include <errno.h>
#include <linux/tcp.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include "sockmap_parts.h"

#define WINDOW_CLOSED 1 /* the kernel makes about a kilobyte of it */
#define REPAIR_OFF 0	/* of a socket that is not in repair: does nothing but tell the peer our window at once */

int socket_info(const struct sockmap_socket *s, uint64_t *written, uint64_t *received, uint8_t *state)
{
	struct tcp_info info = {};
	socklen_t len = sizeof(info);

	if (getsockopt(s->view.fd, IPPROTO_TCP, TCP_INFO, &info, &len))
		return -errno;
	*written = info.tcpi_bytes_sent - info.tcpi_bytes_retrans + info.tcpi_notsent_bytes;
	*received = info.tcpi_bytes_received;
	if (state)
		*state = info.tcpi_state;
	return 0;
}

static void window_set(const struct sockmap_socket *s, int window)
{
	setsockopt(s->view.fd, IPPROTO_TCP, TCP_WINDOW_CLAMP, &window, sizeof(window));
}

void socket_slow(struct sockmap_socket *s)
{
	if (s->n_slow++)
		return;
	s->sm->stats.slowed++;
	window_set(s, WINDOW_CLOSED);
}

/* Its peer may be waiting for a timer of its own, up to seconds: it is told at once. Without the right to, it waits. */
void socket_go(struct sockmap_socket *s)
{
	int repair = REPAIR_OFF, reuse = 1;

	if (--s->n_slow)
		return;
	window_set(s, s->window);
	if (setsockopt(s->view.fd, IPPROTO_TCP, TCP_REPAIR, &repair, sizeof(repair)) == 0)
		setsockopt(s->view.fd, SOL_SOCKET, SO_REUSEADDR, &reuse, sizeof(reuse)); /* which repair takes away */
}

/* --- who feeds a connection --- */

/* All that sent to the slow lane since it was last looked at. */
static void lane_feeders_slow(struct sockmap *sm)
{
	struct sockmap_socket *s;

	LIST_FOREACH(s, &sm->all, all) {
		uint64_t laned = counter_load(&conn_of(s)->laned);

		if (laned != s->laned_seen && !s->lane_slowed) {
			s->lane_slowed = true;
			socket_slow(s);
		}
		s->laned_seen = laned;
	}
}

static void lane_feeders_go(struct sockmap *sm)
{
	struct sockmap_socket *s;

	LIST_FOREACH(s, &sm->all, all) {
		if (s->lane_slowed)
			socket_go(s);
		s->lane_slowed = false;
	}
}

static void full_begin(struct sockmap_socket *s)
{
	struct flow_node *node;

	s->full = true;
	if (s->peer && !s->peer_slowed) {
		s->peer_slowed = true;
		socket_slow(s->peer);
	}
	LIST_FOREACH(node, &s->flows, at)
		flow_full_begin(node->flow, s);
	if (s == &s->sm->lane)
		lane_feeders_slow(s->sm);
}

static void full_end(struct sockmap_socket *s)
{
	struct flow_node *node;

	s->full = false;
	if (s->peer_slowed)
		socket_go(s->peer);
	s->peer_slowed = false;
	LIST_FOREACH(node, &s->flows, at)
		flow_full_end(node->flow, s);
	if (s == &s->sm->lane)
		lane_feeders_go(s->sm);
}

/* --- how much waits --- */

void socket_watch(struct sockmap_socket *s)
{
	if (s->watched)
		return;
	s->watched = true;
	TAILQ_INSERT_TAIL(&s->sm->watched, s, in_watched);
}

void socket_unwatch(struct sockmap_socket *s)
{
	if (!s->watched)
		return;
	s->watched = false;
	TAILQ_REMOVE(&s->sm->watched, s, in_watched);
}

void socket_told(uint32_t conn, void *arg)
{
	struct sockmap *sm = arg;
	struct sockmap_socket *s = conn == sm->lane.conn ? &sm->lane : sockmap_by_conn(sm, conn);

	if (s)
		socket_watch(s);
}

/* What is redirected is read first: then less may seem to wait than does, by what is written meanwhile; never for long. */
static uint64_t socket_waiting(struct sockmap_socket *s)
{
	uint64_t redirected = counter_load(&conn_of(s)->redirected), written, received;

	if (socket_info(s, &written, &received, NULL) == 0)
		s->written = written - s->written_before;
	return redirected > s->written ? redirected - s->written : 0;
}

void socket_refresh(struct sockmap_socket *s)
{
	uint64_t waiting = socket_waiting(s);

	__atomic_store_n(&conn_of(s)->tell_at, s->written + s->sm->options.backlog_high, __ATOMIC_RELAXED);
	if (waiting > s->sm->stats.backlog_max)
		s->sm->stats.backlog_max = waiting;
	if (waiting > s->sm->options.backlog_high && !s->full)
		full_begin(s);
	if (waiting < s->sm->options.backlog_low && s->full)
		full_end(s);
	if (!s->full)
		socket_unwatch(s);
}

void pace_poll(struct sockmap *sm)
{
	struct sockmap_socket *s, *next;

	for (s = TAILQ_FIRST(&sm->watched); s; s = next) {
		next = TAILQ_NEXT(s, in_watched);
		socket_refresh(s);
		if (s == &sm->lane && s->full)
			lane_feeders_slow(sm);
	}
}

uint64_t sockmap_backlog(struct sockmap_socket *s)
{
	uint64_t injected = counter_load(&conn_of(s)->injected);

	return s->submitted - injected + socket_waiting(s);
}
