/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#include "front.h"

#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

#include "errand.h"
#include "express.h"
#include "handover.h"
#include "hello.h"
#include "link.h"
#include "place.h"
#include "sockmap.h"
#include "wire.h"

#define NS_PER_MS 1000000ULL
#define PINGS_MAX 2
#define HANDSHAKE_MS 15000 /* that a frame, or the handshake, may take if there are no heartbeats */
#define WANT_MS 7000	   /* that a session may be on its way from another worker: longer than an errand takes */
#define CHOKE_MS 1000	   /* in which a client must take something of what there is for it */
#define CHOKE_SCARCE_MS 100 /* the same, while memory is scarce */
#define LOOK_TICKS 4 /* until it is asked again what the kernel has counted */

static struct front *front_of(struct conn *conn)
{
	return (struct front *)conn;
}

void front_end(struct front *c, enum xsr_stream_stat why)
{
	if (!c->why)
		c->why = why;
	conn_end(&c->conn);
}

int front_refuse(struct front *c, enum xsr_stream_stat why)
{
	front_end(c, why);
	return -ECANCELED;
}

/* --- what the client is told --- */

static const enum xsr_stream_stat error_stats[XSR_ERROR_MAX] = {
	[XSR_ERROR_NO_BACKEND] = XSR_STREAM_STAT_ERR_NO_BACKEND,
	[XSR_ERROR_STALE] = XSR_STREAM_STAT_ERR_STALE,
	[XSR_ERROR_DEADLINE] = XSR_STREAM_STAT_ERR_DEADLINE,
	[XSR_ERROR_OVERFLOW] = XSR_STREAM_STAT_ERR_OVERFLOW,
	[XSR_ERROR_NO_HANDSHAKE] = XSR_STREAM_STAT_ERR_NO_HANDSHAKE,
};

static int error_send(struct front *c, uint64_t id, uint64_t seq, uint16_t code)
{
	const struct xsr_frame_error error = { htobe16(code) };
	struct wire_frame f;
	int ret = conn_send(&c->conn, &f, wire_frame(&f, XSR_FRAME_ERROR, XSR_FRAME_ERR, id, seq, &error, sizeof(error)));

	if (!ret)
		front_count(c, error_stats[code]);
	return ret;
}

void front_error(struct gateway *g, struct stream_session *s, uint16_t code, uint64_t seq)
{
	stream_session_erred(g->sessions, s, seq);
	if (!s->client)
		return;
	if (s->err_code || error_send(s->client, s->id, seq, code)) {
		s->err_code = code;
		s->err_seq = seq;
		s->client->has_errors = true;
	}
}

void front_overdue(struct gateway *g, struct stream_session *s, uint64_t seq)
{
	express_note(s);
	if (s->answered >= seq)
		return;
	if (express_holds(s)) /* what is held goes, too */
		seq = s->asked;
	if (s->flow) {
		express_end(s);
		s->is_late = true;
	}
	front_error(g, s, XSR_ERROR_DEADLINE, seq);
}

/* Those that found no room before. */
static void errors_send(struct front *c)
{
	struct stream_session *s;

	c->has_errors = false;
	LIST_FOREACH(s, &c->sessions, of_client) {
		if (s->err_code && error_send(c, s->id, s->err_seq, s->err_code))
			c->has_errors = true;
		else
			s->err_code = 0;
	}
}

void front_left(struct front *c)
{
	if (LIST_EMPTY(&c->sessions))
		front_end(c, XSR_STREAM_STAT_CLOSED_TAKEN);
	else
		front_answered(c); /* it may have stayed for this one */
}

/* --- requests --- */

static struct stream_session *session_of(struct front *c, uint64_t id)
{
	struct stream_session *s = c->last;

	if (s && s->id == id)
		return s;
	s = stream_session_find(c->conn.gateway->sessions, c->service, id);
	if (!s || s->client != c || s->state == STREAM_WANTED)
		return NULL;
	return c->last = s;
}

static void request_note(struct front *c, struct stream_session *s, uint64_t seq, size_t len)
{
	struct gateway *g = c->conn.gateway;

	stream_session_asked(g->sessions, s, seq, g->now_ns, g->p.deadline_ms * NS_PER_MS);
	front_count(c, XSR_STREAM_STAT_REQUESTS);
	*gateway_counter(g, c->service, XSR_STREAM_STAT_REQUEST_BYTES) += len;
}

static int request_refuse(struct front *c, struct stream_session *s, const struct tcp_frame *frame, uint16_t code)
{
	front_error(c->conn.gateway, s, code, be64toh(frame->header->seq));
	conn_take(&c->conn, frame);
	return 0;
}

/* Of no session that was greeted. */
static int stray_refuse(struct front *c, const struct tcp_frame *frame)
{
	const struct xsr_frame *h = frame->header;

	if (error_send(c, be64toh(h->id), be64toh(h->seq), XSR_ERROR_NO_HANDSHAKE))
		return conn_wait(&c->conn, &c->conn);
	conn_take(&c->conn, frame);
	return 0;
}

/* What the kernel moves cannot wait. */
static int request_wait(struct front *c, struct stream_session *s, const struct tcp_frame *frame, struct conn *on)
{
	if (c->conn.socket)
		return request_refuse(c, s, frame, XSR_ERROR_OVERFLOW);
	front_count(c, XSR_STREAM_STAT_STALLS);
	return conn_wait(&c->conn, on);
}

static int request_pass(struct front *c, const struct tcp_frame *frame)
{
	struct stream_session *s = session_of(c, be64toh(frame->header->id));
	uint64_t seq = be64toh(frame->header->seq);
	struct link *link;

	if (!s)
		return stray_refuse(c, frame);
	if (seq)
		stream_session_asks(s, seq);
	if (s->is_held || s->state == STREAM_GREETED)
		return request_wait(c, s, frame, NULL);
	link = session_link(c->conn.gateway, s);
	if (!link)
		return request_refuse(c, s, frame, XSR_ERROR_NO_BACKEND);
	if (link_introduce(s, s->answered))
		return request_wait(c, s, frame, &link->conn->conn);
	if (conn_forward(&c->conn, frame, &link->conn->conn)) {
		if (c->conn.socket)
			return request_refuse(c, s, frame, XSR_ERROR_OVERFLOW);
		front_count(c, XSR_STREAM_STAT_STALLS);
		return -EAGAIN;
	}
	request_note(c, s, seq, frame->len);
	express_begin(s);
	return 0;
}

static int ping_answer(struct front *c, const struct tcp_frame *frame)
{
	const struct xsr_frame *h = frame->header;
	struct wire_frame f;

	if (conn_send(&c->conn, &f, wire_frame(&f, XSR_FRAME_HB_PONG, XSR_FRAME_REPLY, be64toh(h->id), be64toh(h->seq), NULL, 0)))
		return conn_wait(&c->conn, &c->conn);
	return 0;
}

static int bye_take(struct front *c, const struct tcp_frame *frame)
{
	struct stream_session *s = session_of(c, be64toh(frame->header->id));

	if (!frame->header->id)
		return front_refuse(c, XSR_STREAM_STAT_CLOSED_BY_PEER);
	if (s)
		session_forget(c->conn.gateway, s);
	return 0;
}

/* What is not a request: 0 = done with it, 1 = it is one. */
static int control_take(struct front *c, const struct tcp_frame *frame)
{
	switch (frame->header->type) {
	case XSR_FRAME_HELLO:
		return hello_take(c, frame);
	case XSR_FRAME_HB_PING:
		return ping_answer(c, frame);
	case XSR_FRAME_HB_PONG:
		return 0;
	case XSR_FRAME_BYE:
		return bye_take(c, frame);
	case XSR_FRAME_HELLO_ACK:
	case XSR_FRAME_ERROR:
		return front_refuse(c, XSR_STREAM_STAT_CLOSED_BAD_TYPE);
	default:
		return 1;
	}
}

static int front_frame(struct conn *conn, const struct tcp_frame *frame)
{
	struct front *c = front_of(conn);
	uint8_t type = frame->header->type;
	int ret;

	if (c->handover)
		return conn_wait(conn, NULL);
	if (conn_is_full(conn)) /* who does not read his answers asks nothing more */
		return conn_wait(conn, conn);
	ret = control_take(c, frame);
	if (ret == 1) {
		conn->active_ns = conn->gateway->now_ns;
		return request_pass(c, frame);
	}
	if (!ret) {
		conn_take(conn, frame);
		if (type != XSR_FRAME_HB_PONG && type != XSR_FRAME_HB_PING)
			conn->active_ns = conn->gateway->now_ns;
		if (c->wants_kernel && type == XSR_FRAME_HELLO && !LIST_EMPTY(&c->sessions))
			return conn_wait(conn, NULL); /* what comes behind it is the kernel's to read */
	}
	return ret;
}

/* --- its end --- */

static bool is_waiting(const struct front *c)
{
	struct stream_session *s;

	LIST_FOREACH(s, &c->sessions, of_client) {
		express_note(s);
		if (s->is_busy || express_holds(s))
			return true;
	}
	return c->conn.socket ? !sockmap_drained(c->conn.socket) : tcp_unsent(c->conn.tcp) > 0;
}

static bool front_lingers(struct conn *conn)
{
	struct front *c = front_of(conn);

	c->leaves = is_waiting(c);
	return c->leaves;
}

void front_answered(struct front *c)
{
	if (c->leaves && !c->conn.has_ended && !is_waiting(c) && !c->has_errors)
		front_end(c, XSR_STREAM_STAT_CLOSED_BY_PEER);
}

static enum xsr_stream_stat stat_of_end(const struct front *c)
{
	static const enum xsr_stream_stat stats[] = {
		[TCP_END_NONE] = XSR_STREAM_STAT_CLOSED_STOP,
		[TCP_END_FIN] = XSR_STREAM_STAT_CLOSED_BY_PEER,
		[TCP_END_HALF_FRAME] = XSR_STREAM_STAT_CLOSED_HALF_FRAME,
		[TCP_END_RESET] = XSR_STREAM_STAT_CLOSED_RESET,
		[TCP_END_BAD_LEN] = XSR_STREAM_STAT_CLOSED_BAD_LEN,
		[TCP_END_BAD_VERSION] = XSR_STREAM_STAT_CLOSED_BAD_VERSION,
		[TCP_END_BAD_TYPE] = XSR_STREAM_STAT_CLOSED_BAD_TYPE,
		[TCP_END_LATE] = XSR_STREAM_STAT_CLOSED_SLOW,
	};

	return c->why ?: stats[c->conn.tcp->end];
}

static void front_ended(struct conn *conn)
{
	struct front *c = front_of(conn);
	struct gateway *g = conn->gateway;
	struct stream_session *s;

	front_count(c, stat_of_end(c));
	if (c->handover)
		handover_abort(c->handover);
	LIST_REMOVE(c, of_gateway);
	g->n_clients--;
	gateway_gauge(g, c->service, XSR_STREAM_STAT_CONNECTIONS, -1);
	while ((s = LIST_FIRST(&c->sessions))) {
		session_unbind(s);
		if (s->state == STREAM_WANTED)
			continue; /* until the other worker answers */
		s->state = STREAM_OPEN;
	}
}

static void front_drained(struct conn *conn)
{
	struct front *c = front_of(conn);

	c->is_choked = false;
	if (c->has_errors)
		errors_send(c);
	front_answered(c);
}

static void front_free(struct conn *conn)
{
	free(front_of(conn));
}

static const struct conn_ops front_ops = {
	.frame = front_frame,
	.ended = front_ended,
	.lingers = front_lingers,
	.drained = front_drained,
	.free = front_free,
};

struct front *front_new(struct gateway *g, uint32_t service, int fd, bool wants_kernel)
{
	struct front *c = calloc(1, sizeof(*c));

	if (!c) {
		close(fd);
		return NULL;
	}
	c->service = service;
	if (conn_open(&c->conn, g, &front_ops, fd, g->p.maps->services[service].frame_max, false)) {
		free(c);
		return NULL;
	}
	c->accepted_ns = g->now_ns;
	c->wants_kernel = c->conn.tcp->is_exact = wants_kernel;
	LIST_INSERT_HEAD(&g->clients, c, of_gateway);
	g->n_clients++;
	gateway_gauge(g, service, XSR_STREAM_STAT_CONNECTIONS, 1);
	return c;
}

void front_open(struct gateway *g, uint32_t service, int fd, bool wants_kernel)
{
	struct front *c = front_new(g, service, fd, wants_kernel);

	if (c)
		front_count(c, XSR_STREAM_STAT_ACCEPTED);
}

int front_release(struct front *c)
{
	c->why = XSR_STREAM_STAT_HANDED_OVER;
	return conn_release(&c->conn);
}

/* --- time --- */

static void heartbeat(struct front *c, uint64_t silent_ms)
{
	struct conn *conn = &c->conn;
	unsigned int due = silent_ms / conn->gateway->p.heartbeat_ms;
	struct wire_frame f;

	if (due > PINGS_MAX)
		front_end(c, XSR_STREAM_STAT_CLOSED_SILENT);
	else if (due > conn->n_pings &&
		 !conn_send(conn, &f, wire_frame(&f, XSR_FRAME_HB_PING, 0, 0, 0, NULL, 0)))
		conn->n_pings = due;
}

static uint64_t ms_since(const struct front *c, uint64_t then_ns)
{
	uint64_t now_ns = c->conn.gateway->now_ns;

	return now_ns > then_ns ? (now_ns - then_ns) / NS_PER_MS : 0;
}

static bool is_slow(const struct front *c)
{
	const struct conn *conn = &c->conn;
	uint64_t since_ns = LIST_EMPTY(&c->sessions) ? conn->active_ns : conn->half_ns;

	return since_ns && ms_since(c, since_ns) > (conn->gateway->p.heartbeat_ms ?: HANDSHAKE_MS);
}

/*
 * Who waits for another worker, whose answer found no room, asks again. Who has said all, and neither gets an answer nor reads what
 * there is for him, is not waited for for ever.
 */
static void wait_look(struct front *c)
{
	const struct gateway_params *p = &c->conn.gateway->p;
	struct stream_session *s = LIST_FIRST(&c->sessions);
	uint64_t ms = ms_since(c, c->conn.waits_ns);

	front_answered(c);
	if (c->conn.has_ended)
		return;
	if (c->leaves && ms > (PINGS_MAX + 1) * (p->heartbeat_ms ?: HANDSHAKE_MS) + p->deadline_ms)
		front_end(c, XSR_STREAM_STAT_CLOSED_BY_PEER);
	else if (s && s->state == STREAM_WANTED && ms > WANT_MS)
		hello_refused(c->conn.gateway, s);
}

bool front_is_stuck(const struct front *c)
{
	return ms_since(c, c->conn.written_ns) >= (conn_is_scarce(c->conn.gateway) ? CHOKE_SCARCE_MS : CHOKE_MS);
}

/* The kernel holds up all who share a link with one that does not read: that one's sessions come here, and get ERRs in place of replies. */
static void choke(struct front *c)
{
	struct stream_session *s;
	bool held;

	c->is_choked = true;
	sockmap_choke(c->conn.socket, true);
	LIST_FOREACH(s, &c->sessions, of_client) {
		held = express_holds(s);
		express_end(s);
		if (held)
			front_error(c->conn.gateway, s, XSR_ERROR_OVERFLOW, s->asked);
	}
}

static void unchoke(struct front *c)
{
	struct stream_session *s;

	c->is_choked = false;
	sockmap_choke(c->conn.socket, false);
	LIST_FOREACH(s, &c->sessions, of_client)
		express_begin(s);
}

static void choke_look(struct front *c)
{
	if (c->is_choked && !sockmap_is_full(c->conn.socket))
		unchoke(c);
	else if (!c->is_choked && sockmap_is_full(c->conn.socket) && front_is_stuck(c))
		choke(c);
	if (c->has_errors)
		errors_send(c);
}

/* What the kernel did by itself. */
static void sessions_look(struct front *c)
{
	struct gateway *g = c->conn.gateway;
	struct stream_session *s, *next;

	conn_look(&c->conn);
	if (!c->conn.socket || c->conn.has_ended)
		return;
	choke_look(c);
	if (g->n_ticks % LOOK_TICKS && !c->leaves)
		return;
	for (s = LIST_FIRST(&c->sessions); s; s = next) {
		next = LIST_NEXT(s, of_client);
		express_note(s);
		if (s->flow && !express_holds(s) && s->routes_version != routes_version(g))
			session_route(g, s);
	}
	front_answered(c);
}

void front_tick(struct front *c)
{
	struct conn *conn = &c->conn;
	const struct gateway_params *p = &conn->gateway->p;

	if (conn->until_tick)
		conn_resume(conn);
	sessions_look(c);
	if (conn->has_ended)
		return;
	if (conn->waits_in)
		wait_look(c);
	else if (is_slow(c))
		front_end(c, XSR_STREAM_STAT_CLOSED_SLOW);
	else if (p->idle_s && ms_since(c, conn->active_ns) >= p->idle_s * 1000ULL)
		front_end(c, XSR_STREAM_STAT_CLOSED_IDLE);
	else if (p->heartbeat_ms)
		heartbeat(c, ms_since(c, conn->read_ns));
}
