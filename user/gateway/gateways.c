/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#include "gateways.h"

#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "cpu.h"
#include "sockmap.h"

#define PATIENCE_S 3

struct gateways {
	unsigned int n, n_running;
	struct registry *registry;
	struct stream *stream; /* NULL = the kernel cannot */
	char broken[XSR_STREAM_MAX][STREAM_WHY_LEN];
	struct post control;
	struct gateway *at[XSR_WORKERS_MAX];
	pthread_t threads[XSR_WORKERS_MAX];
	struct ring *rings[POST_MAX][POST_MAX]; /* from, to */
};

static struct post *post_of(struct gateways *gs, unsigned int number)
{
	return number == POST_CONTROL ? &gs->control : &gs->at[number]->post;
}

static int pair_join(struct gateways *gs, unsigned int a, unsigned int b)
{
	struct ring *there = ring_open(POST_SLOTS, MAIL_LEN), *back = ring_open(POST_SLOTS, MAIL_LEN);
	const struct mail_join of_a = { .in = back, .out = there, .peer = post_of(gs, b) };
	const struct mail_join of_b = { .in = there, .out = back, .peer = post_of(gs, a) };

	gs->rings[a][b] = there;
	gs->rings[b][a] = back;
	if (!there || !back)
		return -ENOMEM;
	post_join(post_of(gs, a), b, &of_a);
	post_join(post_of(gs, b), a, &of_b);
	return 0;
}

static int posts_join(struct gateways *gs)
{
	unsigned int a, b;
	int ret = 0;

	for (a = 0; a < gs->n && !ret; a++) {
		ret = pair_join(gs, a, POST_CONTROL);
		for (b = 0; b < a && !ret; b++)
			ret = pair_join(gs, a, b);
	}
	return ret;
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

static int gateways_fill(struct gateways *gs, const struct gateway_params *params, const int *cpus, char why[XSR_WHY_LEN])
{
	struct gateway_params p = *params;
	unsigned int i;
	int ret;

	ret = registry_open(&gs->registry, params->maps, gs->n * params->sessions_max);
	p.registry = gs->registry;
	kernel_try(gs, &p);
	for (i = 0; i < gs->n && !ret; i++) {
		p.worker = i;
		p.cpu = cpus ? cpus[i] : cpu_choose(i);
		ret = gateway_open(&gs->at[i], &p, why);
	}
	return ret ?: posts_join(gs);
}

int gateways_open(struct gateways **out, const struct gateway_params *params, unsigned int n, const int *cpus,
		  char why[XSR_WHY_LEN])
{
	struct gateways *gs = calloc(1, sizeof(*gs));
	int ret;

	snprintf(why, XSR_WHY_LEN, "out of memory");
	if (!gs)
		return -ENOMEM;
	gs->n = n;
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
	gs->n_running++;
	return 0;
}

int gateways_start(struct gateways *gs)
{
	int ret = 0;

	while (gs->n_running < gs->n && !ret)
		ret = thread_start(gs, gs->n_running);
	return ret;
}

int gateways_stop(struct gateways *gs)
{
	struct timespec until;
	unsigned int i;
	int ret = 0;

	for (i = 0; i < gs->n_running; i++)
		gateway_stop(gs->at[i]);
	clock_gettime(CLOCK_MONOTONIC, &until);
	until.tv_sec += PATIENCE_S;
	while (gs->n_running && !ret) {
		ret = -pthread_clockjoin_np(gs->threads[gs->n_running - 1], NULL, CLOCK_MONOTONIC, &until);
		gs->n_running -= !ret;
	}
	return ret;
}

void gateways_close(struct gateways *gs)
{
	unsigned int a, b;

	if (!gs)
		return;
	for (a = 0; a < gs->n; a++)
		gateway_close(gs->at[a]);
	for (a = 0; a < POST_MAX; a++)
		for (b = 0; b < POST_MAX; b++)
			ring_close(gs->rings[a][b]);
	post_close(&gs->control);
	registry_close(gs->registry);
	stream_close(gs->stream);
	free(gs);
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
