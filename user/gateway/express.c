/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#include "express.h"

#include <errno.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>

#include "errand.h"
#include "front.h"
#include "link.h"
#include "sockmap.h"

#define NS_PER_MS 1000000ULL
#define BACKLOG_LOW 4 /* times less than the high mark, */
#define BACKLOG_MAX 2 /* and times more */

/* --- what the kernel does not decide --- */

static void on_frame(const struct sockmap_frame *f, void *arg)
{
	struct conn *conn = sockmap_view(f->from)->owner;
	const struct tcp_frame frame = { .header = f->header, .data = f->data, .len = f->len };

	(void)arg;
	if (conn->has_ended)
		return;
	conn->read_ns = conn->gateway->now_ns;
	conn->n_pings = 0;
	conn->ops->frame(conn, &frame);
}

static void on_drained(struct sockmap_flow *flow, enum sockmap_way way, void *arg)
{
	struct stream_session *s = sockmap_flow_owner(flow);

	(void)way;
	(void)arg;
	if (s->errand)
		errand_drained(s->errand);
}

static void on_released(struct sockmap_flow *flow, enum sockmap_way way, void *arg)
{
	struct stream_session *s = sockmap_flow_owner(flow);

	(void)way;
	(void)arg;
	s->n_releases--;
}

static const struct sockmap_events events = { .frame = on_frame, .drained = on_drained, .released = on_released };

static void lane_ready(struct watched *watched, uint32_t what)
{
	struct gateway *g = (struct gateway *)((char *)watched - offsetof(struct gateway, lane));

	(void)what;
	g->lane_is_ready = true;
}

int express_open(struct gateway *g, char why[XSR_WHY_LEN])
{
	const struct sockmap_options options = {
		.worker = g->p.worker,
		.memory_max = g->p.memory_max,
		.backlog_high = g->p.kernel_queue_max,
		.backlog_low = g->p.kernel_queue_max / BACKLOG_LOW,
		.backlog_max = g->p.kernel_queue_max * BACKLOG_MAX,
		.rcvbuf = g->p.options.rcvbuf,
		.half_frame_ms = g->p.heartbeat_ms,
		.events = &events,
		.arg = g,
	};
	struct epoll_event event = { .events = EPOLLIN, .data.ptr = &g->lane };
	int ret = sockmap_open(&g->sockmap, g->p.stream, &options, why);

	_Static_assert(XSR_WHY_LEN >= STREAM_WHY_LEN, "sentences fit");
	if (ret)
		return ret;
	g->lane.ready = lane_ready;
	epoll_ctl(g->epoll_fd, EPOLL_CTL_ADD, sockmap_fd(g->sockmap), &event);
	return 0;
}

void express_close(struct gateway *g)
{
	sockmap_close(g->sockmap);
	g->sockmap = NULL;
}

bool express_busy(const struct gateway *g)
{
	return g->sockmap && (sockmap_busy(g->sockmap) || !TAILQ_EMPTY(&g->settling));
}

/* --- sessions --- */

static struct sockmap_socket *socket_of_link(const struct link *l)
{
	return link_is_up(l) ? l->conn->conn.socket : NULL;
}

void express_begin(struct stream_session *s)
{
	struct sockmap_socket *client = s->client ? s->client->conn.socket : NULL, *link = socket_of_link(s->link);
	struct gateway *g;

	if (s->flow || !client || !link || s->state != STREAM_OPEN || s->is_held || s->is_late || s->client->is_choked ||
	    s->link_epoch != s->link->epoch)
		return;
	g = s->client->conn.gateway;
	if (sockmap_flow_add(g->sockmap, s->service, s->id, client, link, true, true, s, &s->flow)) {
		s->flow = NULL; /* its frames go on from here */
		return;
	}
	/* From here on the lane gets no more of its frames than are under way now. */
	s->settle_client = sockmap_laned(client);
	s->settle_link = sockmap_laned(link);
	s->n_releases = 0;
	memset(&s->seen, 0, sizeof(s->seen));
	s->is_settling = true;
	TAILQ_INSERT_TAIL(&g->settling, s, in_settling);
}

static void settled(struct gateway *g, struct stream_session *s)
{
	TAILQ_REMOVE(&g->settling, s, in_settling);
	s->is_settling = false;
}

static void settle(struct gateway *g)
{
	struct stream_session *s, *next;

	for (s = TAILQ_FIRST(&g->settling); s; s = next) {
		next = TAILQ_NEXT(s, in_settling);
		if (sockmap_lane_taken(sockmap_flow_client(s->flow)) < s->settle_client ||
		    sockmap_lane_taken(sockmap_flow_link(s->flow)) < s->settle_link)
			continue;
		settled(g, s);
		s->n_releases = 2;
		sockmap_flow_release(s->flow, SOCKMAP_REQUESTS, sockmap_flow_link(s->flow));
		sockmap_flow_release(s->flow, SOCKMAP_REPLIES, sockmap_flow_client(s->flow));
	}
}

void express_turn(struct gateway *g)
{
	if (!g->lane_is_ready && !express_busy(g))
		return;
	g->lane_is_ready = false;
	sockmap_poll(g->sockmap);
	settle(g);
}

static void count_add(struct gateway *g, const struct stream_session *s, enum xsr_stream_stat stat, uint64_t n)
{
	*gateway_counter(g, s->service, stat) += n;
}

void express_note(struct stream_session *s)
{
	struct gateway *g = s->gateway;
	struct sockmap_counts now;

	if (!s->flow)
		return;
	sockmap_flow_counts(s->flow, &now);
	count_add(g, s, XSR_STREAM_STAT_REQUESTS, now.n_asked - s->seen.n_asked);
	count_add(g, s, XSR_STREAM_STAT_REQUEST_BYTES, now.asked_bytes - s->seen.asked_bytes);
	count_add(g, s, XSR_STREAM_STAT_REPLIES, now.n_answered - s->seen.n_answered);
	count_add(g, s, XSR_STREAM_STAT_REPLY_BYTES, now.answered_bytes - s->seen.answered_bytes);
	if (now.n_asked != s->seen.n_asked && !g->ends_ns) /* then it is held, and nobody will answer */
		stream_session_asked(g->sessions, s, now.asked, g->now_ns, g->p.deadline_ms * NS_PER_MS);
	if (now.n_answered != s->seen.n_answered)
		stream_session_answered(g->sessions, s, now.answered);
	if (now.n_asked != s->seen.n_asked || now.n_answered != s->seen.n_answered)
		s->client->conn.active_ns = g->now_ns;
	s->seen = now;
}

void express_end(struct stream_session *s)
{
	if (!s->flow)
		return;
	express_note(s);
	if (s->is_settling)
		settled(s->gateway, s);
	sockmap_flow_lose(s->flow); /* what was to go on by now is counted */
	s->sent_link = s->link;
	s->sent_epoch = s->link_epoch;
	s->sent_mark = sockmap_flow_link(s->flow) ? sockmap_redirected(sockmap_flow_link(s->flow)) : 0;
	sockmap_flow_remove(s->flow);
	s->flow = NULL;
}

bool express_is_clear(struct stream_session *s)
{
	struct sockmap_socket *link = socket_of_link(s->link);

	if (link && s->sent_link == s->link && s->sent_epoch == s->link->epoch && sockmap_written(link) < s->sent_mark)
		return false;
	s->sent_link = NULL;
	return true;
}

int express_hold(struct stream_session *s)
{
	if (s->is_settling || s->n_releases)
		return -EAGAIN;
	return sockmap_flow_hold(s->flow, SOCKMAP_REQUESTS) ? -EAGAIN : 0;
}

void express_release(struct stream_session *s, struct link *to)
{
	if (!s->flow)
		return;
	s->n_releases = 1;
	if (socket_of_link(to) && !sockmap_flow_release(s->flow, SOCKMAP_REQUESTS, socket_of_link(to)))
		return;
	express_end(s);
	front_error(s->gateway, s, XSR_ERROR_NO_BACKEND, s->asked);
}

static void on_lost(struct sockmap_flow *flow, const struct sockmap_counts *counts, void *arg)
{
	(void)counts;
	(void)arg;
	express_end(sockmap_flow_owner(flow));
}

void express_lose(struct link *l)
{
	if (l->conn->conn.socket)
		sockmap_lose(l->conn->conn.socket, on_lost, NULL);
}
