/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#include "parcel.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "door.h"
#include "errand.h"
#include "hello.h"
#include "link.h"
#include "place.h"

/* --- packing --- */

static uint32_t n_sessions_of(const struct front *c)
{
	const struct stream_session *s;
	uint32_t n = 0;

	LIST_FOREACH(s, &c->sessions, of_client)
		n++;
	return n;
}

static void session_pack(const struct stream_session *s, struct parcel_session *out)
{
	*out = (struct parcel_session){
		.id = s->id,
		.backend = s->link ? s->link->backend : 0,
		.was_up = link_is_up(s->link),
		.is_routed = s->is_routed,
		.generation = s->generation,
		.routes_version = s->routes_version,
		.n_moves = s->n_moves,
	};
	stream_session_save(s, &out->progress);
}

static void sessions_pack(struct front *c, struct parcel *p, unsigned int to)
{
	struct gateway *g = c->conn.gateway;
	struct stream_session *s;
	uint32_t i = 0;

	while ((s = LIST_FIRST(&c->sessions))) {
		session_pack(s, &p->sessions[i++]);
		registry_pass(g->p.registry, s->service, s->id, to);
		session_drop(g, s);
	}
}

struct parcel *parcel_pack(struct front *c, unsigned int to)
{
	struct gateway *g = c->conn.gateway;
	uint32_t n = n_sessions_of(c);
	size_t kept_len = conn_kept(&c->conn);
	struct parcel *p = malloc(sizeof(*p) + n * sizeof(p->sessions[0]) + kept_len);

	if (!p)
		return NULL;
	*p = (struct parcel){
		.service = *door_service(g, c->service),
		.index = c->service,
		.from = g->p.worker,
		.accepted_ns = c->accepted_ns,
		.read_ns = c->conn.read_ns,
		.active_ns = c->conn.active_ns,
		.refused_id = c->refused_id,
		.n_pings = c->conn.n_pings,
		.kept_len = kept_len,
		.n_sessions = n,
	};
	p->kept = (uint8_t *)&p->sessions[n];
	conn_copy(&c->conn, p->kept);
	sessions_pack(c, p, to);
	p->fd = front_release(c);
	return p;
}

/* --- mail --- */

void parcel_send(struct gateway *g, unsigned int to, struct parcel *p)
{
	struct mail mail = { .type = GATEWAY_MAIL_PARCEL };

	memcpy(mail.room, &p, sizeof(p));
	if (!post_mail(&g->post, to, &mail))
		parcel_drop(g, p, XSR_STREAM_STAT_CLOSED_HANDOVER);
}

struct parcel *parcel_of(const struct mail *mail)
{
	struct parcel *p;

	memcpy(&p, mail->room, sizeof(p));
	return p;
}

/* --- unpacking --- */

static void session_fill(struct gateway *g, struct stream_session *s, const struct parcel_session *from)
{
	s->gateway = g;
	s->state = STREAM_OPEN;
	s->is_routed = from->is_routed;
	s->generation = from->generation;
	s->routes_version = from->routes_version;
	s->n_moves = from->n_moves + 1;
	s->moved_ns = g->now_ns;
	stream_session_load(g->sessions, s, &from->progress);
	link_bind(s, from->backend ? link_find(g, s->service, from->backend) : NULL);
	if (link_is_up(s->link))
		link_introduce(s, s->answered); /* or with its next request */
}

/* Its client has come back here meanwhile: then it is known here. */
static bool is_taken(const struct stream_session *s, const struct front *c)
{
	return s && (s->errand || !hello_may_have(s, c->accepted_ns));
}

static void session_unpack(struct front *c, const struct parcel_session *from)
{
	struct gateway *g = c->conn.gateway;
	struct stream_session *s = stream_session_find(g->sessions, c->service, from->id);

	if (is_taken(s, c)) {
		if (s->state == STREAM_WANTED)
			hello_granted(s);
		return;
	}
	if (!s)
		s = stream_session_add(g->sessions, c->service, from->id);
	if (!s) {
		registry_forget(g->p.registry, c->service, from->id);
		return;
	}
	session_bind(c, s);
	session_fill(g, s, from);
}

static void front_fill(struct front *c, const struct parcel *p)
{
	c->accepted_ns = p->accepted_ns;
	c->refused_id = p->refused_id;
	c->conn.read_ns = p->read_ns;
	c->conn.active_ns = p->active_ns;
	c->conn.n_pings = p->n_pings;
	if (p->from == c->conn.gateway->p.worker)
		c->stayed_ns = c->conn.gateway->now_ns;
}

/* What came before is looked at in this turn, unless nothing new is. */
static void front_begin(struct front *c, bool had_sessions)
{
	conn_wait(&c->conn, NULL);
	if (had_sessions && LIST_EMPTY(&c->sessions))
		front_left(c);
	else if (!c->conn.gateway->ends_ns)
		conn_resume(&c->conn);
}

/* NULL: it is closed, and counted. */
static struct front *front_of(struct gateway *g, struct parcel *p)
{
	struct front *c = front_new(g, p->index, p->fd, false);

	p->fd = -1;
	if (!c)
		gateway_count(g, p->index, XSR_STREAM_STAT_CLOSED_HANDOVER);
	if (!c || !conn_restore(&c->conn, p->kept, p->kept_len))
		return c;
	front_end(c, XSR_STREAM_STAT_CLOSED_HANDOVER);
	return NULL;
}

bool parcel_unpack(struct gateway *g, struct parcel *p)
{
	struct front *c = front_of(g, p);
	uint32_t i;

	if (!c) {
		parcel_drop(g, p, XSR_STREAM_STAT_CLOSED_HANDOVER);
		return false;
	}
	front_fill(c, p);
	for (i = 0; i < p->n_sessions; i++)
		session_unpack(c, &p->sessions[i]);
	front_count(c, XSR_STREAM_STAT_TAKEN_OVER);
	front_begin(c, p->n_sessions);
	free(p);
	return true;
}

/* --- what is not taken --- */

/* Whether the session came here by another connection, while the parcel was on its way. */
static bool is_here(struct gateway *g, const struct parcel *p, uint64_t id)
{
	struct stream_session *s = stream_session_find(g->sessions, p->index, id);

	if (s && s->state == STREAM_WANTED)
		hello_granted(s);
	return s;
}

void parcel_return(struct gateway *g, struct parcel *p, unsigned int to)
{
	uint32_t i = 0;

	while (i < p->n_sessions) {
		if (is_here(g, p, p->sessions[i].id))
			p->sessions[i] = p->sessions[--p->n_sessions];
		else
			registry_pass(g->p.registry, p->index, p->sessions[i++].id, to);
	}
}

void parcel_drop(struct gateway *g, struct parcel *p, enum xsr_stream_stat why)
{
	uint32_t i;

	if (p->fd >= 0) {
		close(p->fd);
		gateway_count(g, p->index, why);
	}
	for (i = 0; i < p->n_sessions; i++)
		if (!is_here(g, p, p->sessions[i].id))
			registry_forget(g->p.registry, p->index, p->sessions[i].id);
	free(p);
}
