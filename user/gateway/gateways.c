/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#include "gateways.h"

#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "cpu.h"
#include "sockmap.h"

#define PATIENCE_S 3

struct gateways {
	struct gateway_params params; /* of all of them */
	unsigned int n;		      /* numbers that are, or were, in use */
	unsigned int n_streams;	      /* that have a share of the kernel's way */
	bool running[XSR_WORKERS_MAX];
	struct registry *registry;
	struct stream *stream; /* NULL = the kernel cannot */
	char broken[XSR_STREAM_MAX][STREAM_WHY_LEN];
	struct post control;
	struct gateway *at[XSR_WORKERS_MAX]; /* NULL = there is none */
	pthread_t threads[XSR_WORKERS_MAX];
	struct ring *rings[POST_MAX][POST_MAX]; /* from, to */
};

static struct post *post_of(struct gateways *gs, unsigned int number)
{
	return number == POST_CONTROL ? &gs->control : &gs->at[number]->post;
}

static int rings_open(struct gateways *gs, unsigned int a, unsigned int b)
{
	gs->rings[a][b] = ring_open(POST_SLOTS, MAIL_LEN);
	gs->rings[b][a] = ring_open(POST_SLOTS, MAIL_LEN);
	return gs->rings[a][b] && gs->rings[b][a] ? 0 : -ENOMEM;
}

/* The way to b, as a sees it. */
static struct mail_join way_of(struct gateways *gs, unsigned int a, unsigned int b)
{
	return (struct mail_join){ .in = gs->rings[b][a], .out = gs->rings[a][b], .peer = post_of(gs, b) };
}

/* For threads that do not run yet, and the control thread. */
static void way_open(struct gateways *gs, unsigned int a, unsigned int b)
{
	const struct mail_join way = way_of(gs, a, b);

	post_join(post_of(gs, a), b, &way);
}

/* For those that do. */
static void way_tell(struct gateways *gs, unsigned int a, unsigned int b)
{
	const struct mail_join way = way_of(gs, a, b);
	struct mail mail = { .type = MAIL_JOIN, .worker = b };

	memcpy(mail.room, &way, sizeof(way));
	post_mail(&gs->control, a, &mail);
}

/* Rings to and from control, and the gateways before it; and its own ends of them. */
static int post_connect(struct gateways *gs, unsigned int a)
{
	int ret = rings_open(gs, a, POST_CONTROL);
	unsigned int b;

	for (b = 0; b < gs->n && !ret; b++)
		if (b != a && gs->at[b])
			ret = rings_open(gs, a, b);
	if (ret)
		return ret;
	way_open(gs, POST_CONTROL, a);
	way_open(gs, a, POST_CONTROL);
	for (b = 0; b < gs->n; b++)
		if (b != a && gs->at[b])
			way_open(gs, a, b);
	return 0;
}

static bool is_wished(const struct maps *maps, enum xsr_stream_mode mode)
{
	uint32_t i;

	for (i = 1; i < XSR_SERVICES_MAX; i++)
		if (maps->services[i].name[0] && maps->services[i].mode == mode)
			return true;
	return false;
}

/* Whether the kernel loads the programs, and then moves bytes rightly. */
static void mode_try(struct gateways *gs, enum xsr_stream_mode mode, struct gateway_params *p)
{
	char *why = gs->broken[mode];

	p->broken[mode] = why;
	if (gs->stream && stream_mode_works(gs->stream, mode, why) && !sockmap_self_test(gs->stream, mode, why))
		p->broken[mode] = NULL;
}

/* What is of no use is not opened by the workers, either: it may be that it cannot be. */
static void kernel_leave(struct gateways *gs)
{
	stream_close(gs->stream);
	gs->stream = NULL;
}

/* Only if a service asks for it. */
static void kernel_try(struct gateways *gs, struct gateway_params *p)
{
	const struct stream_options options = { .n_workers = gs->n };
	char why[STREAM_WHY_LEN] = "no service asked for it when the router started";
	enum xsr_stream_mode modes[] = { XSR_STREAM_FRAMES, XSR_STREAM_SPLICE }; /* of mode local nothing comes here: locals.c */
	unsigned int i;

	if (is_wished(p->maps, XSR_STREAM_FRAMES) || is_wished(p->maps, XSR_STREAM_SPLICE))
		stream_open(&gs->stream, &options, why);
	for (i = 0; i < sizeof(modes) / sizeof(modes[0]); i++) {
		snprintf(gs->broken[modes[i]], sizeof(gs->broken[0]), "%s", why);
		mode_try(gs, modes[i], p);
	}
	if (p->broken[XSR_STREAM_FRAMES] && p->broken[XSR_STREAM_SPLICE])
		kernel_leave(gs);
	p->stream = gs->stream;
}

/* One that comes later has no share of the kernel's way. */
static int worker_open(struct gateways *gs, unsigned int i, int cpu, char why[XSR_WHY_LEN])
{
	static const char late[] = "the worker was added while the router ran";
	struct gateway_params p = gs->params;

	p.worker = i;
	p.cpu = cpu;
	if (i >= gs->n_streams) {
		p.stream = NULL;
		p.broken[XSR_STREAM_FRAMES] = p.broken[XSR_STREAM_SPLICE] = late;
	}
	return gateway_open(&gs->at[i], &p, why) ?: post_connect(gs, i);
}

static int gateways_fill(struct gateways *gs, const struct gateway_params *params, const int *cpus, char why[XSR_WHY_LEN])
{
	unsigned int i, b;
	int ret;

	gs->params = *params;
	ret = registry_open(&gs->registry, params->maps, gs->n * params->sessions_max);
	gs->params.registry = gs->registry;
	kernel_try(gs, &gs->params);
	for (i = 0; i < gs->n && !ret; i++) {
		ret = worker_open(gs, i, cpus ? cpus[i] : cpu_choose(i), why);
		for (b = 0; b < i && !ret; b++)
			way_open(gs, b, i);
	}
	return ret;
}

int gateways_open(struct gateways **out, const struct gateway_params *params, unsigned int n, const int *cpus,
		  char why[XSR_WHY_LEN])
{
	struct gateways *gs = calloc(1, sizeof(*gs));
	int ret;

	snprintf(why, XSR_WHY_LEN, "out of memory");
	if (!gs)
		return -ENOMEM;
	gs->n = gs->n_streams = n;
	ret = post_open(&gs->control, POST_CONTROL);
	if (!ret)
		ret = gateways_fill(gs, params, cpus, why);
	if (ret)
		gateways_close(gs);
	else
		*out = gs;
	return ret;
}

static void *thread_main(void *arg)
{
	gateway_run(arg);
	return NULL;
}

static int thread_start(struct gateways *gs, unsigned int i)
{
	pthread_attr_t attr;
	char name[24];
	cpu_set_t set;
	int ret;

	pthread_attr_init(&attr);
	if (gs->at[i]->p.cpu >= 0) {
		CPU_ZERO(&set);
		CPU_SET(gs->at[i]->p.cpu, &set);
		pthread_attr_setaffinity_np(&attr, sizeof(set), &set);
	}
	ret = -pthread_create(&gs->threads[i], &attr, thread_main, gs->at[i]);
	pthread_attr_destroy(&attr);
	if (ret)
		return ret;
	snprintf(name, sizeof(name), "xsr-tcp-%u", i);
	pthread_setname_np(gs->threads[i], name);
	gs->running[i] = true;
	return 0;
}

int gateways_start(struct gateways *gs)
{
	unsigned int i;
	int ret = 0;

	for (i = 0; i < gs->n && !ret; i++)
		ret = thread_start(gs, i);
	return ret;
}

int gateways_stop(struct gateways *gs)
{
	struct timespec until;
	unsigned int i;
	int ret = 0;

	for (i = 0; i < gs->n; i++)
		if (gs->running[i])
			gateway_stop(gs->at[i]);
	clock_gettime(CLOCK_MONOTONIC, &until);
	until.tv_sec += PATIENCE_S;
	for (i = 0; i < gs->n && !ret; i++) {
		if (gs->running[i])
			ret = -pthread_clockjoin_np(gs->threads[i], NULL, CLOCK_MONOTONIC, &until);
		gs->running[i] = ret;
	}
	return ret;
}

static void rings_close(struct gateways *gs, unsigned int a)
{
	unsigned int b;

	for (b = 0; b < POST_MAX; b++) {
		ring_close(gs->rings[a][b]);
		ring_close(gs->rings[b][a]);
		gs->rings[a][b] = gs->rings[b][a] = NULL;
	}
}

void gateways_close(struct gateways *gs)
{
	unsigned int a;

	if (!gs)
		return;
	for (a = 0; a < gs->n; a++)
		gateway_close(gs->at[a]);
	for (a = 0; a < POST_MAX; a++)
		rings_close(gs, a);
	post_close(&gs->control);
	registry_close(gs->registry);
	stream_close(gs->stream);
	free(gs);
}

/* --- workers come and go --- */

static unsigned int number_free(const struct gateways *gs)
{
	unsigned int i = 0;

	while (i < gs->n && gs->at[i])
		i++;
	return i;
}

/* All are told of one that comes, or none. */
static bool can_tell(struct gateways *gs)
{
	unsigned int i;

	for (i = 0; i < gs->n; i++)
		if (gs->at[i] && !post_has_room(&gs->control, i, 1))
			return false;
	return true;
}

void gateways_free(struct gateways *gs, unsigned int i)
{
	post_part(&gs->control, i);
	gateway_close(gs->at[i]);
	gs->at[i] = NULL;
	rings_close(gs, i);
}

static int worker_start(struct gateways *gs, unsigned int i, int cpu, char why[XSR_WHY_LEN])
{
	int ret = registry_grow(gs->registry, (i + 1) * gs->params.sessions_max);

	if (!ret)
		ret = worker_open(gs, i, cpu < 0 ? cpu_choose(i) : cpu, why);
	return ret ?: thread_start(gs, i);
}

int gateways_add(struct gateways *gs, int cpu, char why[XSR_WHY_LEN])
{
	unsigned int i = number_free(gs), b;
	int ret;

	snprintf(why, XSR_WHY_LEN, "out of memory");
	if (i == XSR_WORKERS_MAX || !can_tell(gs)) {
		snprintf(why, XSR_WHY_LEN, i == XSR_WORKERS_MAX ? "there are as many workers as there may be" : "a worker does not answer");
		return -EAGAIN;
	}
	ret = worker_start(gs, i, cpu, why);
	if (ret) {
		gateways_free(gs, i);
		return ret;
	}
	for (b = 0; b < gs->n; b++)
		if (b != i && gs->at[b])
			way_tell(gs, b, i);
	if (i == gs->n)
		gs->n++;
	return i;
}

bool gateways_ended(struct gateways *gs, unsigned int i)
{
	if (gs->running[i] && !pthread_tryjoin_np(gs->threads[i], NULL))
		gs->running[i] = false;
	return !gs->running[i];
}

void gateways_end(struct gateways *gs, unsigned int i)
{
	gateway_stop(gs->at[i]);
}

unsigned int gateways_count(const struct gateways *gs)
{
	return gs->n;
}

struct post *gateways_post(struct gateways *gs)
{
	return &gs->control;
}

int gateways_owner(struct gateways *gs, uint32_t service, uint64_t id)
{
	return registry_find(gs->registry, service, id);
}
