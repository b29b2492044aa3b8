/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#include "reconcile.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "backend_plan.h"
#include "names.h"
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
	return a->default_action == b->default_action && a->stamp_interval == b->stamp_interval &&
	       a->backends == b->backends && a->mode == b->mode && a->frame_max == b->frame_max;
}

/* Under way; why has the sentence of what went wrong. */
struct reconciling {
	struct maps *maps;
	const struct config *old, *new;
	struct backend_plan backends;
	struct reconcile_result *result;
	char *why;
};

/* The configuration's i-th service, as the table is to have it. */
static struct xsr_service service_wanted(const struct reconciling *r, unsigned int i)
{
	struct xsr_service want = r->new->services[i];

	want.backends = backend_plan_mask(&r->backends, want.backends);
	return want;
}

static int service_check(const struct reconciling *r, const struct xsr_service *want, const struct xsr_service *has)
{
	if (!same_identity(want, has)) {
		snprintf(r->why, CONFIG_WHY_LEN,
			 "service '%s' exists with another protocol, address, rule, dense or node; delete it first (its routes go with it): xsr service delete %s",
			 want->name, want->name);
		return -EEXIST;
	}
	if (r->old && want->mode != has->mode) {
		snprintf(r->why, CONFIG_WHY_LEN,
			 "service '%s': its mode is read at the start only: expected %s as before, or a restart", want->name,
			 stream_mode_name(has->mode));
		return -EBUSY;
	}
	return 0;
}

/* Services that the table has: those that get their backends from the file, or go, and of them those that go; a bit each. */
static void services_mark(const struct reconciling *r, uint64_t *renamed, uint64_t *gone)
{
	struct xsr_service has;
	unsigned int i;
	int index;

	*renamed = *gone = 0;
	for (i = 0; r->old && i < r->old->n_services; i++) {
		index = service_get(r->maps, r->old->services[i].name, &has);
		if (index > 0 && !config_find(r->new, has.name))
			*gone |= 1ULL << index;
	}
	for (i = 0; i < r->new->n_services; i++) {
		index = service_get(r->maps, r->new->services[i].name, &has);
		if (index > 0)
			*renamed |= 1ULL << index;
	}
	*renamed |= *gone;
}

/* Everything that can be known before something is changed. */
static int all_check(struct reconciling *r)
{
	uint64_t renamed, gone;
	struct xsr_service has;
	unsigned int i;
	int ret = 0;

	for (i = 0; i < r->new->n_services && !ret; i++)
		if (service_get(r->maps, r->new->services[i].name, &has) > 0)
			ret = service_check(r, &r->new->services[i], &has);
	if (!ret)
		ret = backend_plan_make(&r->backends, r->maps, r->old, r->new, r->why);
	if (ret)
		return ret;
	services_mark(r, &renamed, &gone);
	return backend_plan_check(&r->backends, r->maps, renamed, gone, r->why);
}

static int service_failed(const struct reconciling *r, const struct xsr_service *s, int ret)
{
	const char *text = ret == -EADDRINUSE ? "another service has its address and port" :
			   ret == -ENOSPC     ? "the table of services is full" :
			   ret == -E2BIG      ? "too many services on its port" :
			   ret == -ENOBUFS    ? "the dense table has no room for it; ask for fewer, or: prog load dense N" :
						strerror(-ret);

	snprintf(r->why, CONFIG_WHY_LEN, "service '%s': %s", s->name, text);
	return ret;
}

/* Adds what is missing; on failure takes back what it added. */
static int services_add(struct reconciling *r)
{
	bool added[XSR_SERVICES_MAX] = {};
	struct xsr_service has;
	unsigned int i;
	int ret = 0;

	for (i = 0; i < r->new->n_services && ret >= 0; i++) {
		const struct xsr_service want = service_wanted(r, i);

		if (service_get(r->maps, want.name, &has) > 0)
			continue;
		ret = service_add(r->maps, &want);
		added[i] = ret > 0;
		r->result->n_added += added[i];
		if (ret < 0)
			service_failed(r, &want, ret);
	}
	for (i = 0; ret < 0 && i < r->new->n_services; i++)
		if (added[i])
			service_delete(r->maps, r->new->services[i].name);
	return ret < 0 ? ret : 0;
}

static int services_change(struct reconciling *r)
{
	struct xsr_service has;
	unsigned int i;
	int ret;

	for (i = 0; i < r->new->n_services; i++) {
		const struct xsr_service want = service_wanted(r, i);
		int index = service_get(r->maps, want.name, &has);

		if (index < 0 || same_policy(&want, &has))
			continue;
		ret = service_update(r->maps, index, &want);
		if (ret)
			return service_failed(r, &want, ret);
		r->result->n_changed++;
	}
	return 0;
}

static int services_delete(struct reconciling *r)
{
	unsigned int i;
	int ret;

	for (i = 0; r->old && i < r->old->n_services; i++) {
		const struct xsr_service *s = &r->old->services[i];

		if (config_find(r->new, s->name))
			continue;
		ret = service_delete(r->maps, s->name);
		if (ret && ret != -ENOENT)
			return service_failed(r, s, ret);
		r->result->n_deleted++;
	}
	return 0;
}

static int backends_failed(const struct reconciling *r, int ret)
{
	if (ret)
		snprintf(r->why, CONFIG_WHY_LEN, "cannot write the table of backends: %s", strerror(-ret));
	return ret;
}

/* Backends are there before a service names them, and go after the last that did. */
static int all_change(struct reconciling *r)
{
	int ret = backends_failed(r, backend_plan_begin(&r->backends, r->maps));

	if (!ret)
		ret = services_add(r);
	if (ret) {
		backend_plan_undo(&r->backends, r->maps);
		return ret;
	}
	ret = services_change(r);
	if (!ret)
		ret = services_delete(r);
	if (!ret)
		ret = backends_failed(r, backend_plan_end(&r->backends, r->maps));
	return ret;
}

int reconcile_services(struct maps *maps, const struct config *old, const struct config *new,
		       struct reconcile_result *result, char why[CONFIG_WHY_LEN])
{
	struct reconciling r = { .maps = maps, .old = old, .new = new, .result = result, .why = why };
	int ret;

	memset(result, 0, sizeof(*result));
	ret = maps_lock(maps);
	if (ret) {
		snprintf(why, CONFIG_WHY_LEN, "cannot lock the tables: %s", strerror(-ret));
		return ret;
	}
	ret = all_check(&r);
	if (!ret)
		ret = all_change(&r);
	maps_unlock(maps);
	result->n_backends_added = r.backends.n_added;
	result->n_backends_changed = r.backends.n_changed;
	result->n_backends_deleted = r.backends.n_deleted;
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
