/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#include "door.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

#include "front.h"
#include "link.h"

#define ACCEPT_MAX 64 /* at a time */

struct door {
	struct watched watched; /* first */
	struct gateway *gateway;
	uint32_t index;
	struct xsr_service service; /* as it was when this opened */
	int fd;
	bool is_paused;
};

static void say(const struct gateway *g, const char *sentence)
{
	g->p.log(sentence, g->p.log_arg);
}

static void watch(struct door *d, int op, uint32_t events)
{
	struct epoll_event event = { .events = events, .data.ptr = &d->watched };

	epoll_ctl(d->gateway->epoll_fd, op, d->fd, &event);
}

/* No descriptor is left: who waits is accepted when others have gone. */
static void accept_pause(struct door *d, int error)
{
	char sentence[XSR_WHY_LEN];

	snprintf(sentence, sizeof(sentence), "service '%s': cannot accept connections: %s; they wait", d->service.name,
		 strerror(error));
	say(d->gateway, sentence);
	d->is_paused = true;
	watch(d, EPOLL_CTL_MOD, 0);
}

static void door_ready(struct watched *watched, uint32_t events)
{
	struct door *d = (struct door *)watched;
	struct gateway *g = d->gateway;
	int i, fd;

	(void)events;
	for (i = 0; i < ACCEPT_MAX; i++) {
		fd = tcp_accept(d->fd, &g->p.options);
		if (fd == -EAGAIN)
			return;
		if (fd == -EMFILE || fd == -ENFILE || fd == -ENOBUFS || fd == -ENOMEM) {
			accept_pause(d, -fd);
			return;
		}
		if (fd < 0) /* it went before it came in */
			continue;
		if (g->n_clients < g->p.connections_max) {
			front_open(g, d->index, fd);
			continue;
		}
		close(fd);
		gateway_count(g, d->index, XSR_STREAM_STAT_REFUSED);
	}
}

static socklen_t address_of(const struct xsr_service *s, struct sockaddr_storage *out)
{
	struct sockaddr_in *v4 = (struct sockaddr_in *)out;
	struct sockaddr_in6 *v6 = (struct sockaddr_in6 *)out;
	bool is_v6 = s->flags & XSR_SERVICE_IPV6;

	memset(out, 0, sizeof(*out));
	if (!is_v6) {
		v4->sin_family = AF_INET;
		v4->sin_port = s->port;
		v4->sin_addr.s_addr = s->flags & XSR_SERVICE_ANY ? 0 : s->addr[3];
		return sizeof(*v4);
	}
	v6->sin6_family = AF_INET6;
	v6->sin6_port = s->port;
	if (!(s->flags & XSR_SERVICE_ANY))
		memcpy(&v6->sin6_addr, s->addr, sizeof(v6->sin6_addr));
	return sizeof(*v6);
}

static int links_open(struct gateway *g, uint32_t index, uint64_t backends)
{
	int ret = 0;

	for (; backends && !ret; backends &= backends - 1)
		ret = link_open(g, index, __builtin_ctzll(backends));
	return ret;
}

static void links_close(struct gateway *g, uint32_t index)
{
	struct link *l;

	while ((l = LIST_FIRST(&g->links[index])))
		link_close(l);
}

static void shut(struct door *d)
{
	if (d->fd >= 0)
		close(d->fd);
	d->fd = -1;
}

static void sessions_forget(struct gateway *g, uint32_t index)
{
	struct stream_session *s, *next;

	for (s = TAILQ_FIRST(&g->sessions->left); s; s = next) {
		next = TAILQ_NEXT(s, in_left);
		if (s->service == index)
			session_forget(g, s);
	}
}

static void door_close(struct gateway *g, uint32_t index)
{
	struct door *d = g->doors[index];
	struct front *c, *next;

	shut(d);
	for (c = LIST_FIRST(&g->clients); c; c = next) {
		next = LIST_NEXT(c, of_gateway);
		if (c->service == index)
			front_end(c, XSR_STREAM_STAT_CLOSED_STOP);
	}
	sessions_forget(g, index);
	links_close(g, index);
	free(d);
	g->doors[index] = NULL;
}

static int listen_at(struct door *d, char why[XSR_WHY_LEN])
{
	struct sockaddr_storage address;

	address_of(&d->service, &address);
	d->fd = tcp_listen((struct sockaddr *)&address, &d->gateway->p.options, d->gateway->p.backlog);
	if (d->fd < 0) {
		snprintf(why, XSR_WHY_LEN, "service '%s': cannot listen: %s", d->service.name, strerror(-d->fd));
		return d->fd;
	}
	watch(d, EPOLL_CTL_ADD, EPOLLIN);
	return 0;
}

static int door_open(struct gateway *g, uint32_t index, char why[XSR_WHY_LEN])
{
	struct door *d = calloc(1, sizeof(*d));
	int ret = -ENOMEM;

	if (d) {
		d->watched.ready = door_ready;
		d->gateway = g;
		d->index = index;
		d->service = g->p.maps->services[index];
		d->fd = -1;
		g->doors[index] = d;
		ret = listen_at(d, why);
	}
	if (!ret)
		ret = links_open(g, index, d->service.backends);
	if (ret && d)
		door_close(g, index);
	return ret;
}

static bool is_ours(const struct xsr_service *s)
{
	return s->name[0] && s->proto == IPPROTO_TCP && (s->mode == XSR_STREAM_EPOLL || s->mode == XSR_STREAM_FRAMES);
}

/* Whether it is still the service for which the door was opened. Its default action may change meanwhile. */
static bool is_same(const struct door *d, const struct xsr_service *s)
{
	return is_ours(s) && !memcmp(d->service.addr, s->addr, sizeof(s->addr)) && d->service.port == s->port &&
	       !strcmp(d->service.name, s->name) && d->service.frame_max == s->frame_max;
}

/* Backends that a service got, or lost. */
static void backends_sync(struct gateway *g, struct door *d, uint64_t wanted)
{
	uint64_t gone = d->service.backends & ~wanted;

	links_open(g, d->index, wanted & ~d->service.backends);
	for (; gone; gone &= gone - 1)
		link_close(link_find(g, d->index, __builtin_ctzll(gone)));
	d->service.backends = wanted;
}

static int door_sync(struct gateway *g, uint32_t index, char why[XSR_WHY_LEN])
{
	const struct xsr_service *s = &g->p.maps->services[index];
	struct door *d = g->doors[index];

	if (d && !is_same(d, s))
		door_close(g, index);
	if (!g->doors[index])
		return is_ours(s) ? door_open(g, index, why) : 0;
	if (d->service.backends != s->backends)
		backends_sync(g, d, s->backends);
	return 0;
}

int doors_sync(struct gateway *g, char why[XSR_WHY_LEN])
{
	uint32_t index;
	int ret = 0;

	for (index = 1; index < XSR_SERVICES_MAX; index++)
		ret = door_sync(g, index, why) ?: ret;
	return ret;
}

void doors_shut(struct gateway *g)
{
	uint32_t index;

	for (index = 1; index < XSR_SERVICES_MAX; index++)
		if (g->doors[index])
			shut(g->doors[index]);
}

void doors_close(struct gateway *g)
{
	uint32_t index;

	for (index = 1; index < XSR_SERVICES_MAX; index++)
		if (g->doors[index])
			door_close(g, index);
}

void doors_tick(struct gateway *g)
{
	struct door *d;
	uint32_t index;

	for (index = 1; index < XSR_SERVICES_MAX; index++) {
		d = g->doors[index];
		if (!d || !d->is_paused)
			continue;
		d->is_paused = false;
		watch(d, EPOLL_CTL_MOD, EPOLLIN);
	}
}
