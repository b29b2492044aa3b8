/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#include "front.h"

#include <errno.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <unistd.h>

#include "errand.h"
#include "express.h"
#include "link.h"
#include "names.h"
#include "route.h"
#include "wire.h"

#define NS_PER_MS 1000000ULL
#define PINGS_MAX 2
#define HANDSHAKE_MS 15000 /* that a frame, or the handshake, may take if there are no heartbeats */
#define WANT_MS 7000	   /* that a session may be on its way from another worker: longer than an errand takes */
#define LOOK_TICKS 4 /* until it is asked again what the kernel has counted */

static struct front *front_of(struct conn *conn)
{
	return (struct front *)conn;
}

static void count(const struct front *c, enum xsr_stream_stat stat)
{
	gateway_count(c->conn.gateway, c->service, stat);
}

void front_end(struct front *c, enum xsr_stream_stat why)
{
	if (!c->why)
		c->why = why;
	conn_end(&c->conn);
}

static int refuse(struct front *c, enum xsr_stream_stat why)
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
		count(c, error_stats[code]);
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

static int ack_send(struct front *c, const struct stream_session *s, uint64_t id, uint8_t result, uint64_t seq)
{
	const struct xsr_frame_hello_ack ack = {
		.result = result,
		.role = XSR_ROLE_ROUTER,
		.worker = htobe16(c->conn.gateway->p.worker),
		.generation = htobe32(s ? s->generation : 0),
		.id = htobe64(id),
	};
	struct wire_frame f;

	if (result != XSR_HELLO_OK)
		count(c, XSR_STREAM_STAT_REJECTED);
	return conn_send(&c->conn, &f, wire_frame(&f, XSR_FRAME_HELLO_ACK, XSR_FRAME_REPLY, id, seq, &ack, sizeof(ack)));
}

/* --- its sessions --- */

static void session_unbind(struct stream_session *s)
{
	struct front *c = s->client;

	if (!c)
		return;
	express_end(s);
	if (c->last == s)
		c->last = NULL;
	conn_resume(&c->conn); /* it may wait for this session */
	stream_session_bind(c->conn.gateway->sessions, s, NULL, NULL, c->conn.gateway->now_ns);
	gateway_gauge(c->conn.gateway, s->service, XSR_STREAM_STAT_SESSIONS, -1);
}

static void session_bind(struct front *c, struct stream_session *s)
{
	struct front *before = s->client;

	if (before == c)
		return;
	session_unbind(s);
	stream_session_bind(c->conn.gateway->sessions, s, c, &c->sessions, c->conn.gateway->now_ns);
	gateway_gauge(c->conn.gateway, s->service, XSR_STREAM_STAT_SESSIONS, 1);
	if (before) {
		count(c, XSR_STREAM_STAT_RESUMED);
		front_left(before);
	}
}

void front_left(struct front *c)
{
	if (LIST_EMPTY(&c->sessions))
		front_end(c, XSR_STREAM_STAT_CLOSED_TAKEN);
	else
		front_answered(c); /* it may have stayed for this one */
}

void session_drop(struct gateway *g, struct stream_session *s)
{
	session_unbind(s);
	link_bind(s, NULL);
	stream_session_remove(g->sessions, s);
}

void session_forget(struct gateway *g, struct stream_session *s)
{
	errand_abort(s);
	if (link_is_up(s->link) && s->link_epoch == s->link->epoch)
		link_send(s->link, XSR_FRAME_BYE, s->id, 0);
	if (s->state != STREAM_WANTED)
		registry_forget(g->p.registry, s->service, s->id);
	session_drop(g, s);
}

/* --- where requests go --- */

/* Without a route it stays where it is while that is up. */
static struct link *link_of_default(struct gateway *g, const struct stream_session *s, bool was_routed)
{
	return !was_routed && link_is_up(s->link) ? s->link : link_choose(g, s->service, s->id);
}

/* By its route, or by the service's default; NULL: nowhere now, *rejected tells whether ever. */
static struct link *link_of_route(struct gateway *g, struct stream_session *s, bool *rejected)
{
	const struct xsr_service *service = &g->p.maps->services[s->service];
	struct xsr_route route = {};
	int ret = route_get(g->p.maps, s->service, service, s->id, &route);
	bool was_routed = s->is_routed;

	s->generation = ret ? 0 : route.generation;
	s->is_routed = !ret;
	*rejected = ret ? service->default_action != XSR_ACTION_HASH : route.action != XSR_ACTION_BACKEND;
	if (*rejected)
		return NULL;
	return ret ? link_of_default(g, s, was_routed) : link_find(g, s->service, route.target);
}

static uint32_t routes_version(const struct gateway *g)
{
	return __atomic_load_n(&g->p.maps->switches->routes_version, __ATOMIC_ACQUIRE);
}

/* False: its requests go nowhere by the operator's will. */
static bool session_route(struct gateway *g, struct stream_session *s)
{
	uint32_t version = routes_version(g);
	bool rejected;
	struct link *link = link_of_route(g, s, &rejected);

	s->routes_version = version;
	if (s->link != link) {
		express_end(s);
		link_bind(s, link);
	}
	return !rejected;
}

/* Its link, if requests may go there now. A session that has no route goes to a backend that is up. */
static struct link *session_link(struct gateway *g, struct stream_session *s)
{
	if (!s->link || s->routes_version != routes_version(g) || (!link_is_up(s->link) && !s->is_routed))
		session_route(g, s);
	return link_is_up(s->link) ? s->link : NULL;
}

/* --- HELLO --- */

/* The handshake is over: the kernel moves its frames from here on. */
static void front_join(struct front *c)
{
	struct conn *conn = &c->conn;
	int ret = conn_join(conn, SOCKMAP_CLIENT, c->service, conn->tcp->frame_max);

	c->wants_kernel = false;
	if (!ret)
		ret = conn_start(conn);
	if (ret)
		front_end(c, XSR_STREAM_STAT_CLOSED_RESET);
}

/* Replies that the client has not got yet come again: if they do not, it is told so as of others. */
static void session_go(struct stream_session *s, uint64_t seq)
{
	struct gateway *g = s->gateway;

	if (g->p.deadline_ms && seq > s->asked)
		stream_session_asked(g->sessions, s, seq, g->now_ns, g->p.deadline_ms * NS_PER_MS);
	if (s->client->wants_kernel)
		front_join(s->client);
	else
		conn_resume(&s->client->conn);
	express_begin(s);
}

/* Its backend does not want it: it has no client until another HELLO. */
static void session_stay(struct stream_session *s)
{
	struct front *c = s->client;

	session_unbind(s);
	conn_resume(&c->conn);
}

void front_greeted(struct stream_session *s, uint8_t result, uint64_t seq)
{
	bool asked = s->state == STREAM_GREETED;

	s->state = STREAM_OPEN;
	if (!asked || !s->client)
		return;
	ack_send(s->client, s, s->id, result, seq);
	if (result == XSR_HELLO_OK)
		session_go(s, seq);
	else
		session_stay(s);
}

/* What has to wait cannot, if the kernel moves the connection: the client tries again. */
static int hello_wait(struct front *c, uint64_t id, struct conn *on)
{
	if (!c->conn.socket)
		return conn_wait(&c->conn, on);
	return ack_send(c, NULL, id, XSR_HELLO_BUSY, 0), 0;
}

/* Who gets any ID gets another one then. */
static int greet_later(struct front *c, struct stream_session *s)
{
	struct conn *on = &s->link->conn->conn;
	uint64_t id = s->id;

	if (!s->client)
		session_forget(c->conn.gateway, s);
	return hello_wait(c, id, on);
}

/* At the next tick. */
static int hello_later(struct front *c, uint64_t id)
{
	int ret = hello_wait(c, id, NULL);

	c->conn.until_tick = ret == -EAGAIN;
	return ret;
}

/* The session is this worker's: its backend says how far it came. */
static int session_greet(struct front *c, struct stream_session *s, uint64_t seq)
{
	struct gateway *g = c->conn.gateway;
	bool may = session_route(g, s);

	if (!may || !session_link(g, s)) {
		ack_send(c, s, s->id, may ? XSR_HELLO_BUSY : XSR_HELLO_REJECT, 0);
		if (!s->client)
			session_forget(g, s);
		return 0;
	}
	express_end(s);
	if (!express_is_clear(s))
		return hello_later(c, s->id);
	s->link_epoch = 0;
	if (link_introduce(s, seq))
		return greet_later(c, s);
	session_bind(c, s);
	stream_session_begin(g->sessions, s, seq);
	s->state = STREAM_GREETED;
	count(c, XSR_STREAM_STAT_HELLOS);
	return 0;
}

/*
 * When it was accepted, for front_may_have(). The peer may have closed it, although frames of it are still to be read: then it is older than any,
 * whatever the clocks of the workers' turns say.
 */
static uint64_t came_ns(const struct front *c)
{
	struct tcp_info info = {};
	socklen_t len = sizeof(info);
	bool has_left = getsockopt(c->conn.fd, IPPROTO_TCP, TCP_INFO, &info, &len) || info.tcpi_state != TCP_ESTABLISHED;

	return has_left ? 0 : c->accepted_ns;
}

/* Another worker owns it: the HELLO waits here until that one has parted with it. */
static int session_want(struct front *c, uint64_t id, unsigned int owner)
{
	struct gateway *g = c->conn.gateway;
	const struct mail want = { .type = GATEWAY_MAIL_WANT, .service = c->service, .id = id, .token = came_ns(c) };
	struct stream_session *s = stream_session_add(g->sessions, c->service, id);

	if (!s)
		return ack_send(c, NULL, id, XSR_HELLO_BUSY, 0), 0;
	s->gateway = g;
	s->left_ns = g->now_ns;
	s->state = STREAM_WANTED;
	session_bind(c, s);
	if (!post_mail(&g->post, owner, &want)) {
		session_forget(g, s);
		return ack_send(c, NULL, id, XSR_HELLO_BUSY, 0), 0;
	}
	return hello_wait(c, id, NULL);
}

void front_owns(struct stream_session *s)
{
	s->state = STREAM_OPEN;
	if (s->client)
		conn_resume(&s->client->conn);
}

/* Its HELLO, which waits, is looked at again. */
void front_refused(struct gateway *g, struct stream_session *s)
{
	struct front *c = s->client;
	uint64_t id = s->id;

	session_drop(g, s);
	if (!c)
		return;
	c->refused_id = id;
	conn_resume(&c->conn);
}

bool front_may_have(const struct stream_session *s, uint64_t accepted_ns)
{
	return !s->client || s->client->conn.has_ended || s->client->accepted_ns <= accepted_ns;
}

/* If there are as many as there may be, who has been without client for the longest time makes room. */
static bool room_make(struct gateway *g)
{
	struct stream_session *oldest = TAILQ_FIRST(&g->sessions->left);

	if (oldest)
		session_forget(g, oldest);
	return oldest;
}

static struct stream_session *session_new(struct gateway *g, uint32_t service, uint64_t id)
{
	struct stream_session *s = stream_session_add(g->sessions, service, id);

	return s || !room_make(g) ? s : stream_session_add(g->sessions, service, id);
}

/* The worker that owns the session, or -ENOSPC; any ID (0) is this one's. */
static int session_claim(struct front *c, uint64_t *id)
{
	const struct gateway_params *p = &c->conn.gateway->p;

	if (*id)
		return registry_claim(p->registry, c->service, *id, p->worker);
	return registry_assign(p->registry, c->service, id, p->worker) ?: (int)p->worker;
}

static int session_begin(struct front *c, uint64_t id, uint64_t seq)
{
	struct gateway *g = c->conn.gateway;
	struct stream_session *s;
	int owner = session_claim(c, &id);

	if (owner == -ENOSPC && room_make(g))
		owner = session_claim(c, &id);
	if (owner >= 0 && (unsigned int)owner != g->p.worker)
		return session_want(c, id, owner);
	s = owner < 0 ? NULL : session_new(g, c->service, id);
	if (!s) {
		if (owner >= 0)
			registry_forget(g->p.registry, c->service, id);
		return ack_send(c, NULL, id, XSR_HELLO_BUSY, 0), 0;
	}
	s->gateway = g;
	s->left_ns = g->now_ns;
	s->state = STREAM_OPEN;
	return session_greet(c, s, seq);
}

static int hello_take(struct front *c, const struct tcp_frame *frame)
{
	struct gateway *g = c->conn.gateway;
	uint64_t id = be64toh(frame->header->id), seq = be64toh(frame->header->seq);
	struct stream_session *s = id ? stream_session_find(g->sessions, c->service, id) : NULL;
	struct xsr_frame_hello hello;

	if (frame->len < XSR_FRAME_HEADER_LEN + sizeof(hello))
		return refuse(c, XSR_STREAM_STAT_CLOSED_BAD_LEN);
	tcp_frame_copy(c->conn.tcp, frame, XSR_FRAME_HEADER_LEN, &hello, sizeof(hello));
	if (hello.role != XSR_ROLE_CLIENT || be64toh(hello.id) != id)
		return ack_send(c, NULL, id, XSR_HELLO_REJECT, 0), 0;
	if (c->refused_id) {
		c->refused_id = 0;
		return ack_send(c, NULL, id, XSR_HELLO_BUSY, 0), 0;
	}
	if (!s)
		return session_begin(c, id, seq);
	if (s->client != c && !front_may_have(s, came_ns(c)))
		return ack_send(c, NULL, id, XSR_HELLO_BUSY, 0), 0;
	if (s->state == STREAM_WANTED || s->is_held)
		return s->client == c ? hello_wait(c, id, NULL) : hello_later(c, id);
	return session_greet(c, s, seq);
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
	count(c, XSR_STREAM_STAT_REQUESTS);
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
	count(c, XSR_STREAM_STAT_STALLS);
	return conn_wait(&c->conn, on);
}

static int request_pass(struct front *c, const struct tcp_frame *frame)
{
	struct stream_session *s = session_of(c, be64toh(frame->header->id));
	uint64_t seq = be64toh(frame->header->seq);
	struct link *link;

	if (!s)
		return stray_refuse(c, frame);
	if (seq && seq <= s->erred) /* sent again, although it was given up: it is asked anew */
		s->erred = seq - 1;
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
		count(c, XSR_STREAM_STAT_STALLS);
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
		return refuse(c, XSR_STREAM_STAT_CLOSED_BY_PEER);
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
		return refuse(c, XSR_STREAM_STAT_CLOSED_BAD_TYPE);
	default:
		return 1;
	}
}

static int front_frame(struct conn *conn, const struct tcp_frame *frame)
{
	struct front *c = front_of(conn);
	uint8_t type = frame->header->type;
	int ret;

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
	const struct stream_session *s;

	LIST_FOREACH(s, &c->sessions, of_client)
		if (s->is_busy)
			return true;
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

	count(c, stat_of_end(c));
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

void front_open(struct gateway *g, uint32_t service, int fd, bool wants_kernel)
{
	struct front *c = calloc(1, sizeof(*c));

	if (!c) {
		close(fd);
		return;
	}
	c->service = service;
	if (conn_open(&c->conn, g, &front_ops, fd, g->p.maps->services[service].frame_max, false)) {
		free(c);
		return;
	}
	c->accepted_ns = g->now_ns;
	c->wants_kernel = c->conn.tcp->is_exact = wants_kernel;
	LIST_INSERT_HEAD(&g->clients, c, of_gateway);
	g->n_clients++;
	gateway_gauge(g, service, XSR_STREAM_STAT_CONNECTIONS, 1);
	count(c, XSR_STREAM_STAT_ACCEPTED);
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
		front_refused(c->conn.gateway, s);
}

/* What the kernel did by itself. */
static void sessions_look(struct front *c)
{
	struct gateway *g = c->conn.gateway;
	struct stream_session *s, *next;

	conn_look(&c->conn);
	if (!c->conn.socket || c->conn.has_ended || (g->n_ticks % LOOK_TICKS && !c->leaves))
		return;
	for (s = LIST_FIRST(&c->sessions); s; s = next) {
		next = LIST_NEXT(s, of_client);
		express_note(s);
		if (s->flow && !s->is_held && s->routes_version != routes_version(g))
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
