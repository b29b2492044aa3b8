/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* The maps of an instance without a kernel: one service of our frames, whose routes are all in the dense table, `hash` by default. */
#ifndef XSR_TEST_FAKE_MAPS_H
#define XSR_TEST_FAKE_MAPS_H

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "chance.h"
#include "maps.h"
#include "profile.h"
#include "route.h"

#define FAKE_SERVICE 1
#define FAKE_NODE 7

static inline void *fake_array(size_t n, size_t len)
{
	void *array = NULL;

	/* As mapped ones are: counters of workers stand in cache lines of their own. */
	if (posix_memalign(&array, 4096, n * len))
		abort();
	return memset(array, 0, n * len);
}

static inline struct xsr_service *fake_services(uint32_t n_routes)
{
	struct xsr_service *services = fake_array(XSR_SERVICES_MAX, sizeof(*services));
	struct xsr_service *service = &services[FAKE_SERVICE];
	char why[256];

	service->dense_len = n_routes;
	service->node = FAKE_NODE;
	service->default_action = XSR_ACTION_HASH;
	snprintf(service->name, sizeof(service->name), "model");
	if (rule_compile("xsr", service, why, sizeof(why)))
		abort();
	return services;
}

/* n_routes places for routes. */
static inline struct maps *fake_maps_open(uint32_t n_routes)
{
	struct maps *maps = calloc(1, sizeof(*maps));
	unsigned int i;

	for (i = 0; i < MAPS_MAX; i++)
		maps->fds[i] = -1;
	maps->lock_fd = memfd_create("xsr-test", MFD_CLOEXEC);
	maps->dense_len = n_routes;
	maps->services = fake_services(n_routes);
	maps->dense = fake_array(n_routes, sizeof(*maps->dense));
	maps->buckets = fake_array(XSR_BUCKETS_MAX, sizeof(*maps->buckets));
	maps->workers = fake_array(XSR_WORKERS_MAX, sizeof(*maps->workers));
	maps->backends = fake_array(XSR_BACKENDS_MAX, sizeof(*maps->backends));
	maps->switches = fake_array(1, sizeof(*maps->switches));
	maps->streams = fake_array(XSR_STREAMS_MAX, sizeof(*maps->streams));
	maps->states = fake_array(XSR_SERVICES_MAX, sizeof(*maps->states));
	return maps;
}

static inline void fake_maps_close(struct maps *maps)
{
	free((void *)maps->services);
	free(maps->dense);
	free(maps->buckets);
	free(maps->workers);
	free((void *)maps->backends);
	free(maps->switches);
	free(maps->streams);
	free(maps->states);
	close(maps->lock_fd);
	free(maps);
}

/* The ID of the route at `index` of the dense table. */
static inline uint64_t fake_id(uint16_t generation, uint32_t index)
{
	return (uint64_t)generation << 48 | (uint64_t)FAKE_NODE << 32 | index;
}

static inline struct xsr_route fake_route(const struct maps *maps, uint32_t index)
{
	struct xsr_route route;

	__atomic_load(&maps->dense[index], &route, __ATOMIC_ACQUIRE);
	return route;
}

#endif /* XSR_TEST_FAKE_MAPS_H */
