/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#include "door.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

#include "endpoint.h"
#include "front.h"
#include "place.h"
#include "link.h"
#include "names.h"
#include "relay.h"
#include "stream.h"

#define ACCEPT_MAX 64 /* at a time */
#define SILENCE_NS 10000000000ULL

struct door {
	struct watched watched; /* first */
	struct gateway *gateway;
	uint32_t index;
	struct xsr_service service; /* as it was when this opened */
	enum xsr_stream_mode mode;  /* active */
	int fd;
	bool is_paused;
	uint64_t silent_ns; /* until when it does not say so again */
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
	if (d->gateway->now_ns >= d->silent_ns) {
		say(d->gateway, sentence);
		d->silent_ns = d->gateway->now_ns + SILENCE_NS;
	}
	d->is_paused = true;
	watch(d, EPOLL_CTL_MOD, 0);
}

static bool has_links(const struct door *d)
{
	return d->mode == XSR_STREAM_EPOLL || d->mode == XSR_STREAM_FRAMES;
}

static void client_take(struct door *d, int fd)
{
	struct gateway *g = d->gateway;

	if (g->n_clients >= g->p.connections_max) {
		close(fd);
		gateway_count(g, d->index, XSR_STREAM_STAT_REFUSED);
	} else if (!has_links(d)) {
		relay_open(g, d->index, fd, d->mode == XSR_STREAM_SPLICE);
	} else {
		front_open(g, d->index, fd, d->mode == XSR_STREAM_FRAMES);
	}
}

/* False: nobody waits there, or nobody can be let in. */
static bool client_accept(struct door *d)
{
	int fd = tcp_accept(d->fd, &d->gateway->p.options);

	if (fd == -EAGAIN)
		return false;
	if (fd == -EMFILE || fd == -ENFILE || fd == -ENOBUFS || fd == -ENOMEM) {
		accept_pause(d, -fd);
		return false;
	}
	if (fd >= 0) /* else it went before it came in */
		client_take(d, fd);
	return true;
}

static void door_ready(struct watched *watched, uint32_t events)
{
	int i = 0;

	(void)events;
	while (i++ < ACCEPT_MAX && client_accept((struct door *)watched))
		;
}

static int links_open(struct gateway *g, uint32_t index, uint64_t backends, bool wants_kernel)
{
	int ret = 0;

	for (; backends && !ret; backends &= backends - 1)
		ret = link_open(g, index, __builtin_ctzll(backends), wants_kernel);
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

static void fronts_end(struct gateway *g, uint32_t index)
{
	struct front *c, *next;

	for (c = LIST_FIRST(&g->clients); c; c = next) {
		next = LIST_NEXT(c, of_gateway);
		if (c->service == index)
			front_end(c, XSR_STREAM_STAT_CLOSED_STOP);
	}
}

static void relays_end(struct gateway *g, uint32_t index)
{
	struct relay *r, *next;

	for (r = LIST_FIRST(&g->relays); r; r = next) {
		next = relay_next(r);
		if (relay_service(r) == index)
			relay_end(r, XSR_STREAM_STAT_CLOSED_STOP);
	}
}

static void door_close(struct gateway *g, uint32_t index)
{
	struct door *d = g->doors[index];

	shut(d);
	fronts_end(g, index);
	relays_end(g, index);
	sessions_forget(g, index);
	links_close(g, index);
	if (g->p.worker == 0)
		stream_leave(g->p.maps, index);
	free(d);
	g->doors[index] = NULL;
}

static int listen_at(struct door *d, char why[XSR_WHY_LEN])
{
	struct sockaddr_storage address;

	endpoint_of_service(&d->service, &address);
	d->fd = tcp_listen((struct sockaddr *)&address, &d->gateway->p.options, d->gateway->p.backlog);
	if (d->fd < 0) {
		snprintf(why, XSR_WHY_LEN, "service '%s': cannot listen: %s", d->service.name, strerror(-d->fd));
		return d->fd;
	}
	watch(d, EPOLL_CTL_ADD, EPOLLIN);
	return 0;
}

/* As wished, or what does the same without the kernel's help. */
static enum xsr_stream_mode mode_choose(const struct gateway *g, const struct xsr_service *s, const char **why)
{
	*why = g->p.broken[s->mode];
	if (!*why)
		return s->mode;
	return s->mode == XSR_STREAM_FRAMES ? XSR_STREAM_EPOLL : XSR_STREAM_RELAY;
}

/* One worker speaks for all: they have the same kernel. */
static int mode_settle(struct door *d, char why[XSR_WHY_LEN])
{
	struct gateway *g = d->gateway;
	const char *reason;

	d->mode = mode_choose(g, &d->service, &reason);
	if (reason)
		snprintf(why, XSR_WHY_LEN, "service '%s': mode %s %s: %s", d->service.name, stream_mode_name(d->service.mode),
			 g->p.require_mode ? "is required" : "is not to be had, it is served otherwise", reason);
	if (reason && g->p.require_mode)
		return -EOPNOTSUPP;
	if (g->p.worker != 0)
		return 0;
	if (reason)
		say(g, why);
	stream_claim(g->p.maps, d->index, d->mode, reason);
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
		ret = mode_settle(d, why);
	}
	if (!ret && !g->is_shut)
		ret = listen_at(d, why);
	if (!ret && has_links(d))
		ret = links_open(g, index, d->service.backends, d->mode == XSR_STREAM_FRAMES);
	if (ret && d)
		door_close(g, index);
	return ret;
}

static bool is_ours(const struct xsr_service *s)
{
	return s->name[0] && s->proto == IPPROTO_TCP && s->mode != XSR_STREAM_LOCAL; /* of those nothing comes here */
}

/* Whether it is still the service for which the door was opened. Its default action may change meanwhile. */
static bool is_same(const struct door *d, const struct xsr_service *s)
{
	return is_ours(s) && !memcmp(d->service.addr, s->addr, sizeof(s->addr)) && d->service.port == s->port && d->service.flags == s->flags &&
	       !strcmp(d->service.name, s->name) && d->service.frame_max == s->frame_max && d->service.mode == s->mode;
}

const struct xsr_service *door_service(const struct gateway *g, uint32_t index)
{
	return g->doors[index] ? &g->doors[index]->service : NULL;
}

bool door_is_of(const struct gateway *g, uint32_t index, const struct xsr_service *service)
{
	return g->doors[index] && is_same(g->doors[index], service);
}

bool door_is_open(const struct gateway *g, uint32_t index)
{
	return g->doors[index] && g->doors[index]->fd >= 0;
}

/* Backends that a service got, or lost. */
static void backends_sync(struct gateway *g, struct door *d, uint64_t wanted)
{
	uint64_t gone = d->service.backends & ~wanted;

	links_open(g, d->index, wanted & ~d->service.backends, d->mode == XSR_STREAM_FRAMES);
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
	if (has_links(d) && d->service.backends != s->backends)
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

static void leave(struct door *d)
{
	int i = 0;

	while (d->fd >= 0 && i++ < d->gateway->p.backlog && client_accept(d))
		;
	shut(d);
}

void doors_leave(struct gateway *g)
{
	uint32_t index;

	for (index = 1; index < XSR_SERVICES_MAX; index++)
		if (g->doors[index])
			leave(g->doors[index]);
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
