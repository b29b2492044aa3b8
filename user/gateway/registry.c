/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#include "registry.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>

#include "id_map.h"

struct registry {
	const struct maps *maps;
	pthread_mutex_t lock;
	struct id_map owners;
	uint32_t next[XSR_SERVICES_MAX]; /* index of the next ID that is handed out */
	uint16_t generation[XSR_SERVICES_MAX];
};

int registry_open(struct registry **out, const struct maps *maps, uint32_t n_sessions_max)
{
	struct registry *r = calloc(1, sizeof(*r));

	if (!r)
		return -ENOMEM;
	r->maps = maps;
	pthread_mutex_init(&r->lock, NULL);
	if (id_map_open(&r->owners, n_sessions_max)) {
		registry_close(r);
		return -ENOMEM;
	}
	*out = r;
	return 0;
}

void registry_close(struct registry *r)
{
	if (!r)
		return;
	id_map_close(&r->owners);
	pthread_mutex_destroy(&r->lock);
	free(r);
}

int registry_grow(struct registry *r, uint32_t n_sessions_max)
{
	int ret = 0;

	pthread_mutex_lock(&r->lock);
	if (n_sessions_max > r->owners.n_max)
		ret = id_map_resize(&r->owners, n_sessions_max);
	pthread_mutex_unlock(&r->lock);
	return ret;
}

int registry_find(struct registry *r, uint32_t service, uint64_t id)
{
	uint32_t owner;

	pthread_mutex_lock(&r->lock);
	owner = id_map_find(&r->owners, service, id);
	pthread_mutex_unlock(&r->lock);
	return owner == ID_MAP_NONE ? -ENOENT : (int)owner;
}

static int claim(struct registry *r, uint32_t service, uint64_t id, uint32_t worker)
{
	uint32_t owner = id_map_find(&r->owners, service, id);

	if (owner != ID_MAP_NONE)
		return owner;
	return id_map_add(&r->owners, service, id, worker) ? -ENOSPC : (int)worker;
}

int registry_claim(struct registry *r, uint32_t service, uint64_t id, uint32_t worker)
{
	int owner;

	pthread_mutex_lock(&r->lock);
	owner = claim(r, service, id, worker);
	pthread_mutex_unlock(&r->lock);
	return owner;
}

/* generation 16 | node 16 | index 32: indices go round, and the generation tells the rounds apart. */
static uint64_t id_next(struct registry *r, uint32_t service)
{
	const struct xsr_service *s = &r->maps->services[service];
	uint32_t n = s->dense_len ?: UINT32_MAX;

	if (r->next[service] == 0 && ++r->generation[service] == 0)
		r->generation[service] = 1;
	return (uint64_t)r->generation[service] << 48 | (uint64_t)s->node << 32 |
	       (r->next[service] = (r->next[service] + 1) % n);
}

/* A dense service's indices may all be in use. */
int registry_assign(struct registry *r, uint32_t service, uint64_t *id, uint32_t worker)
{
	uint32_t tries = r->maps->services[service].dense_len ?: UINT32_MAX;
	int ret = -ENOSPC;

	pthread_mutex_lock(&r->lock);
	if (r->owners.n < r->owners.n_max)
		while (ret && tries--) {
			*id = id_next(r, service);
			if (id_map_find(&r->owners, service, *id) == ID_MAP_NONE)
				ret = id_map_add(&r->owners, service, *id, worker);
		}
	pthread_mutex_unlock(&r->lock);
	return ret;
}

void registry_pass(struct registry *r, uint32_t service, uint64_t id, uint32_t worker)
{
	pthread_mutex_lock(&r->lock);
	id_map_remove(&r->owners, service, id);
	id_map_add(&r->owners, service, id, worker);
	pthread_mutex_unlock(&r->lock);
}

void registry_forget(struct registry *r, uint32_t service, uint64_t id)
{
	pthread_mutex_lock(&r->lock);
	id_map_remove(&r->owners, service, id);
	pthread_mutex_unlock(&r->lock);
}
