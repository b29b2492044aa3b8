/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#include "place.h"

#include "errand.h"
#include "express.h"
#include "front.h"
#include "link.h"
#include "route.h"

void session_unbind(struct stream_session *s)
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

void session_leave(struct stream_session *s)
{
	struct front *before = s->client;

	if (!before)
		return;
	session_unbind(s);
	front_left(before);
}

void session_come(struct front *c, struct stream_session *s)
{
	if (!s->client || s->client == c)
		return;
	session_leave(s);
	front_count(c, XSR_STREAM_STAT_RESUMED);
}

void session_bind(struct front *c, struct stream_session *s)
{
	session_come(c, s);
	if (s->client == c)
		return;
	stream_session_bind(c->conn.gateway->sessions, s, c, &c->sessions, c->conn.gateway->now_ns);
	gateway_gauge(c->conn.gateway, s->service, XSR_STREAM_STAT_SESSIONS, 1);
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

uint32_t routes_version(const struct gateway *g)
{
	return __atomic_load_n(&g->p.maps->switches->routes_version, __ATOMIC_ACQUIRE);
}

/* False: its requests go nowhere by the operator's will. */
bool session_route(struct gateway *g, struct stream_session *s)
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
struct link *session_link(struct gateway *g, struct stream_session *s)
{
	bool is_old = s->routes_version != routes_version(g) && !express_holds(s); /* what is held goes first, and where it was to */

	if (!s->link || is_old || (!link_is_up(s->link) && !s->is_routed))
		session_route(g, s);
	return link_is_up(s->link) ? s->link : NULL;
}
