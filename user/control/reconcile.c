/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#include "reconcile.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "route.h"
#include "service.h"
#include "socket.h"
#include "wishes.h"

static const struct xsr_service *config_find(const struct config *config, const char *name)
{
	unsigned int i;

	for (i = 0; config && i < config->n_services; i++)
		if (!strcmp(config->services[i].name, name))
			return &config->services[i];
	return NULL;
}

/* What routes depend on: it cannot change under them. */
static bool same_identity(const struct xsr_service *a, const struct xsr_service *b)
{
	return service_same_address(a, b) && !strcmp(a->rule, b->rule) && a->dense_len == b->dense_len &&
	       a->node == b->node;
}

static bool same_policy(const struct xsr_service *a, const struct xsr_service *b)
{
	return a->default_action == b->default_action && a->stamp_interval == b->stamp_interval;
}

/* Everything that can be known before something is changed. */
static int services_check(struct maps *maps, const struct config *new, char why[CONFIG_WHY_LEN])
{
	struct xsr_service has;
	unsigned int i;

	for (i = 0; i < new->n_services; i++) {
		const struct xsr_service *want = &new->services[i];

		if (service_get(maps, want->name, &has) < 0 || same_identity(want, &has))
			continue;
		snprintf(why, CONFIG_WHY_LEN,
			 "service '%s' exists with another address, rule, dense or node; delete it first (its routes go with it): xsr service delete %s",
			 want->name, want->name);
		return -EEXIST;
	}
	return 0;
}

static int service_failed(const struct xsr_service *s, int ret, char why[CONFIG_WHY_LEN])
{
	const char *text = ret == -EADDRINUSE ? "another service has its address and port" :
			   ret == -ENOSPC     ? "the table of services is full" :
			   ret == -E2BIG      ? "too many services on its port" :
			   ret == -ENOBUFS    ? "the dense table has no room for it; ask for fewer, or: prog load dense N" :
						strerror(-ret);

	snprintf(why, CONFIG_WHY_LEN, "service '%s': %s", s->name, text);
	return ret;
}

/* Adds what is missing; on failure takes back what it added. */
static int services_add(struct maps *maps, const struct config *new, struct reconcile_result *result,
			char why[CONFIG_WHY_LEN])
{
	bool added[XSR_SERVICES_MAX] = {};
	struct xsr_service has;
	unsigned int i;
	int ret = 0;

	for (i = 0; i < new->n_services && ret >= 0; i++) {
		if (service_get(maps, new->services[i].name, &has) > 0)
			continue;
		ret = service_add(maps, &new->services[i]);
		added[i] = ret > 0;
		result->n_added += added[i];
		if (ret < 0)
			service_failed(&new->services[i], ret, why);
	}
	for (i = 0; ret < 0 && i < new->n_services; i++)
		if (added[i])
			service_delete(maps, new->services[i].name);
	return ret < 0 ? ret : 0;
}

static int services_change(struct maps *maps, const struct config *new, struct reconcile_result *result,
			   char why[CONFIG_WHY_LEN])
{
	struct xsr_service has;
	unsigned int i;
	int ret;

	for (i = 0; i < new->n_services; i++) {
		int index = service_get(maps, new->services[i].name, &has);

		if (index < 0 || same_policy(&new->services[i], &has))
			continue;
		ret = service_update(maps, index, &new->services[i]);
		if (ret)
			return service_failed(&new->services[i], ret, why);
		result->n_changed++;
	}
	return 0;
}

static int services_delete(struct maps *maps, const struct config *old, const struct config *new,
			   struct reconcile_result *result, char why[CONFIG_WHY_LEN])
{
	unsigned int i;
	int ret;

	for (i = 0; old && i < old->n_services; i++) {
		if (config_find(new, old->services[i].name))
			continue;
		ret = service_delete(maps, old->services[i].name);
		if (ret && ret != -ENOENT)
			return service_failed(&old->services[i], ret, why);
		result->n_deleted++;
	}
	return 0;
}

int reconcile_services(struct maps *maps, const struct config *old, const struct config *new,
		       struct reconcile_result *result, char why[CONFIG_WHY_LEN])
{
	int ret;

	memset(result, 0, sizeof(*result));
	ret = maps_lock(maps);
	if (ret)
		return ret;
	ret = services_check(maps, new, why);
	if (!ret)
		ret = services_add(maps, new, result, why);
	if (!ret)
		ret = services_change(maps, new, result, why);
	if (!ret)
		ret = services_delete(maps, old, new, result, why);
	maps_unlock(maps);
	return ret;
}

static int orphan_move(struct maps *maps, const struct xsr_bucket *buckets, uint64_t workers,
		       const struct handoff_wish *at, long *n)
{
	uint16_t generation;
	int ret;

	if (at->worker < XSR_WORKERS_MAX && workers >> at->worker & 1)
		return 0;
	ret = route_move(maps, at->service, at->id, bucket_owner(buckets, at->id), &generation);
	*n += !ret;
	return ret;
}

long reconcile_routes(struct maps *maps, uint64_t workers)
{
	struct xsr_bucket buckets[XSR_BUCKETS_MAX];
	struct wishes all = {};
	long n = 0;
	size_t i;
	int ret;

	buckets_spread(buckets, workers);
	ret = maps_lock(maps);
	if (ret)
		return ret;
	ret = wishes_add_routes(&all, maps, -1);
	for (i = 0; i < all.n && !ret; i++)
		ret = orphan_move(maps, buckets, workers, &all.list[i], &n);
	maps_unlock(maps);
	wishes_clear(&all);
	return ret ? ret : n;
}
