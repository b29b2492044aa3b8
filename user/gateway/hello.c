/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#include "hello.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>

#include "errand.h"
#include "express.h"
#include "link.h"
#include "place.h"
#include "wire.h"

#define NS_PER_MS 1000000ULL

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
		front_count(c, XSR_STREAM_STAT_REJECTED);
	return conn_send(&c->conn, &f, wire_frame(&f, XSR_FRAME_HELLO_ACK, XSR_FRAME_REPLY, id, seq, &ack, sizeof(ack)));
}

/*
 * The handshake is over: the kernel moves its frames from here on. If it does not take the connection, as of one whose client has already closed
 * its way, it goes on as it is.
 */
static void front_join(struct front *c)
{
	struct conn *conn = &c->conn;
	int ret = conn_join(conn, SOCKMAP_CLIENT, c->service, conn->tcp->frame_max);

	c->wants_kernel = false;
	if (!ret && conn_start(conn))
		conn_unjoin(conn);
	conn->tcp->is_exact = false;
}

/* Replies that the client has not got yet come again: if they do not, it is told so as of others. */
static void session_go(struct stream_session *s, uint64_t seq)
{
	struct gateway *g = s->gateway;

	if (g->p.deadline_ms && seq > s->asked)
		stream_session_asked(g->sessions, s, seq, g->now_ns, g->p.deadline_ms * NS_PER_MS);
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

/* Nobody waits for the answer. If the backend knows of more than was asked, its client will ask that, and not wait for what is repeated. */
static void answer_note(struct stream_session *s, uint64_t seq)
{
	express_note(s);
	if (seq > s->asked)
		stream_session_answered(s->gateway->sessions, s, seq);
}

void hello_answered(struct stream_session *s, uint8_t result, uint64_t seq)
{
	bool asked = s->state == STREAM_GREETED;

	s->state = STREAM_OPEN;
	if (!asked)
		answer_note(s, seq);
	if (!asked || !s->client)
		return;
	if (result == XSR_HELLO_OK && s->client->wants_kernel)
		front_join(s->client); /* before it knows: then it sends, and may end */
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
	session_come(c, s);
	express_end(s);
	if (!express_is_clear(s))
		return hello_later(c, s->id);
	s->link_epoch = 0;
	if (link_introduce(s, seq))
		return greet_later(c, s);
	session_bind(c, s);
	stream_session_begin(g->sessions, s, seq);
	s->state = STREAM_GREETED;
	front_count(c, XSR_STREAM_STAT_HELLOS);
	return 0;
}

/*
 * When it was accepted, for hello_may_have(). The peer may have closed it, although frames of it are still to be read: then it is older than any,
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

void hello_granted(struct stream_session *s)
{
	s->state = STREAM_OPEN;
	if (s->client)
		conn_resume(&s->client->conn);
}

/* Its HELLO, which waits, is looked at again. */
void hello_refused(struct gateway *g, struct stream_session *s)
{
	struct front *c = s->client;
	uint64_t id = s->id;

	session_drop(g, s);
	if (!c)
		return;
	c->refused_id = id;
	conn_resume(&c->conn);
}

bool hello_may_have(const struct stream_session *s, uint64_t accepted_ns)
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

int hello_take(struct front *c, const struct tcp_frame *frame)
{
	struct gateway *g = c->conn.gateway;
	uint64_t id = be64toh(frame->header->id), seq = be64toh(frame->header->seq);
	struct stream_session *s = id ? stream_session_find(g->sessions, c->service, id) : NULL;
	struct xsr_frame_hello hello;

	if (frame->len < XSR_FRAME_HEADER_LEN + sizeof(hello))
		return front_refuse(c, XSR_STREAM_STAT_CLOSED_BAD_LEN);
	tcp_frame_copy(c->conn.tcp, frame, XSR_FRAME_HEADER_LEN, &hello, sizeof(hello));
	if (hello.role != XSR_ROLE_CLIENT || be64toh(hello.id) != id)
		return ack_send(c, NULL, id, XSR_HELLO_REJECT, 0), 0;
	if (c->refused_id) {
		c->refused_id = 0;
		return ack_send(c, NULL, id, XSR_HELLO_BUSY, 0), 0;
	}
	if (!s)
		return session_begin(c, id, seq);
	if (s->client != c && !hello_may_have(s, came_ns(c)))
		return ack_send(c, NULL, id, XSR_HELLO_BUSY, 0), 0;
	if (s->is_held)
		session_come(c, s); /* the errand must not count on what the other one has */
	if (s->state == STREAM_WANTED || s->is_held)
		return s->client == c ? hello_wait(c, id, NULL) : hello_later(c, id);
	return session_greet(c, s, seq);
}
