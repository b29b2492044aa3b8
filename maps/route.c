/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#include "route.h"

#include <errno.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>

#include <bpf/bpf.h>

#include "socket.h"

#define BATCH 4096 /* entries a system call; more than 64 gain nothing but fewer calls */

static struct xsr_route *dense_slot(struct maps *maps, const struct xsr_service *service, uint64_t id)
{
	return &maps->dense[service->dense_base + xsr_id_index(id)];
}

/* The word is read and written whole: the kernel follows it at the same time. */
static struct xsr_route word_load(const struct xsr_route *slot)
{
	struct xsr_route word;

	__atomic_load(slot, &word, __ATOMIC_ACQUIRE);
	return word;
}

static void word_store(struct xsr_route *slot, struct xsr_route word)
{
	__atomic_store(slot, &word, __ATOMIC_RELEASE);
}

static struct xsr_route_key hash_key(uint32_t index, uint64_t id)
{
	return (struct xsr_route_key){ .id = id, .service = index };
}

bool route_action_fits(const struct xsr_service *service, enum xsr_action action)
{
	if (service->proto != IPPROTO_TCP)
		return action == XSR_ACTION_WORKER || action == XSR_ACTION_PASS || action == XSR_ACTION_DROP;
	return service->n_alternatives && (action == XSR_ACTION_BACKEND || action == XSR_ACTION_DROP);
}

/* 0 is no generation: a stamp of 0 says "by default action". */
static uint16_t generation_next(uint16_t generation)
{
	return generation == UINT16_MAX ? 1 : generation + 1;
}

static int dense_get(struct maps *maps, const struct xsr_service *service, uint64_t id, struct xsr_route *out)
{
	*out = word_load(dense_slot(maps, service, id));
	if (out->action == XSR_ACTION_NONE)
		return -ENOENT;
	return out->id_generation == xsr_id_generation(id) ? 0 : -EBUSY;
}

static int hash_get(struct maps *maps, uint32_t index, uint64_t id, struct xsr_route *out)
{
	struct xsr_route_key key = hash_key(index, id);

	return bpf_map_lookup_elem(maps->fds[MAPS_ROUTES], &key, out) ? -errno : 0;
}

/* Like route_get(), but a dense slot of another generation is -EBUSY. */
static int route_find(struct maps *maps, uint32_t index, const struct xsr_service *service, uint64_t id,
		      struct xsr_route *out)
{
	if (route_is_dense(service, id))
		return dense_get(maps, service, id, out);
	return hash_get(maps, index, id, out);
}

int route_get(struct maps *maps, uint32_t index, const struct xsr_service *service, uint64_t id,
	      struct xsr_route *out)
{
	int ret = route_find(maps, index, service, id, out);

	return ret == -EBUSY ? -ENOENT : ret;
}

int route_owner(struct maps *maps, uint32_t index, uint64_t id)
{
	const struct xsr_service *service = &maps->services[index];
	struct xsr_route route;

	if (route_get(maps, index, service, id, &route) == 0)
		return route.action == XSR_ACTION_WORKER ? route.target : -1;
	return service->default_action == XSR_ACTION_HASH ? bucket_owner(maps->buckets, id) : -1;
}

void routes_changed(struct maps *maps, const struct xsr_service *service)
{
	if (service->proto == IPPROTO_TCP)
		__atomic_fetch_add(&maps->switches->routes_version, 1, __ATOMIC_RELEASE);
}

static int route_store(struct maps *maps, uint32_t index, const struct xsr_service *service, uint64_t id,
		       struct xsr_route word)
{
	struct xsr_route_key key = hash_key(index, id);
	int ret = 0;

	if (route_is_dense(service, id))
		word_store(dense_slot(maps, service, id), word);
	else if (bpf_map_update_elem(maps->fds[MAPS_ROUTES], &key, &word, BPF_ANY))
		ret = -errno;
	routes_changed(maps, service);
	return ret;
}

static struct xsr_route word_make(uint64_t id, enum xsr_action action, uint16_t target, uint16_t generation)
{
	return (struct xsr_route){ .generation = generation,
				   .action = action,
				   .target = target,
				   .id_generation = xsr_id_generation(id) };
}

int route_add(struct maps *maps, uint32_t index, const struct xsr_service *service, uint64_t id,
	      enum xsr_action action, uint16_t target)
{
	struct xsr_route old;
	int ret = route_find(maps, index, service, id, &old);

	if (ret != -ENOENT)
		return ret ? ret : -EEXIST;
	return route_store(maps, index, service, id, word_make(id, action, target, 1));
}

static int route_change(struct maps *maps, uint32_t index, const struct xsr_service *service, uint64_t id,
			enum xsr_action action, uint16_t target, uint16_t *generation)
{
	struct xsr_route old = {};
	int ret = route_find(maps, index, service, id, &old);

	if (ret && ret != -ENOENT)
		return ret;
	*generation = ret ? 1 : generation_next(old.generation);
	return route_store(maps, index, service, id, word_make(id, action, target, *generation));
}

int route_replace(struct maps *maps, uint32_t index, const struct xsr_service *service, uint64_t id,
		  enum xsr_action action, uint16_t target)
{
	uint16_t generation;

	return route_change(maps, index, service, id, action, target, &generation);
}

int route_move(struct maps *maps, uint32_t index, uint64_t id, uint16_t worker, uint16_t *generation)
{
	return route_change(maps, index, &maps->services[index], id, XSR_ACTION_WORKER, worker, generation);
}

int route_move_backend(struct maps *maps, uint32_t index, uint64_t id, uint16_t backend, uint16_t *generation)
{
	return route_change(maps, index, &maps->services[index], id, XSR_ACTION_BACKEND, backend, generation);
}

int route_delete(struct maps *maps, uint32_t index, const struct xsr_service *service, uint64_t id)
{
	struct xsr_route_key key = hash_key(index, id);
	struct xsr_route old;
	int ret = route_get(maps, index, service, id, &old);

	if (ret)
		return ret;
	if (route_is_dense(service, id))
		word_store(dense_slot(maps, service, id), (struct xsr_route){});
	else if (bpf_map_delete_elem(maps->fds[MAPS_ROUTES], &key))
		ret = -errno;
	routes_changed(maps, service);
	return ret;
}

struct route_walk {
	int (*fn)(const struct route_entry *entries, size_t n, void *arg);
	void *arg;
	struct route_entry entries[BATCH];
	size_t n;
};

static int walk_flush(struct route_walk *walk)
{
	size_t n = walk->n;

	walk->n = 0;
	return n ? walk->fn(walk->entries, n, walk->arg) : 0;
}

static int walk_push(struct route_walk *walk, uint64_t id, struct xsr_route route)
{
	walk->entries[walk->n++] = (struct route_entry){ .id = id, .route = route };
	return walk->n == BATCH ? walk_flush(walk) : 0;
}

static int dense_walk(struct maps *maps, const struct xsr_service *service, struct route_walk *walk)
{
	uint32_t i;

	for (i = 0; i < service->dense_len; i++) {
		struct xsr_route word = word_load(&maps->dense[service->dense_base + i]);
		uint64_t id = (uint64_t)word.id_generation << 48 | (uint64_t)service->node << 32 | i;
		int ret = word.action == XSR_ACTION_NONE ? 0 : walk_push(walk, id, word);

		if (ret)
			return ret;
	}
	return 0;
}

/* One system call's worth of the hash table, of whatever services. */
struct hash_batch {
	struct xsr_route_key keys[BATCH];
	struct xsr_route values[BATCH];
	__u32 n;
	__u32 token;
	bool started;
	bool ended;
};

/* 0, or -errno; batch->ended is set with the last entries. */
static int hash_batch_next(struct maps *maps, struct hash_batch *batch)
{
	batch->n = BATCH;
	if (bpf_map_lookup_batch(maps->fds[MAPS_ROUTES], batch->started ? &batch->token : NULL, &batch->token,
				 batch->keys, batch->values, &batch->n, NULL)) {
		if (errno != ENOENT)
			return -errno;
		batch->ended = true;
	}
	batch->started = true;
	return 0;
}

static int hash_walk(struct maps *maps, uint32_t index, struct route_walk *walk)
{
	struct hash_batch *batch = calloc(1, sizeof(*batch));
	int ret = batch ? 0 : -ENOMEM;
	__u32 i;

	while (!ret && !batch->ended) {
		ret = hash_batch_next(maps, batch);
		for (i = 0; !ret && i < batch->n; i++)
			if (batch->keys[i].service == index)
				ret = walk_push(walk, batch->keys[i].id, batch->values[i]);
	}
	free(batch);
	return ret;
}

int route_for_each(struct maps *maps, uint32_t index, const struct xsr_service *service,
		   int (*fn)(const struct route_entry *entries, size_t n, void *arg), void *arg)
{
	struct route_walk *walk = calloc(1, sizeof(*walk));
	int ret;

	if (!walk)
		return -ENOMEM;
	walk->fn = fn;
	walk->arg = arg;
	ret = dense_walk(maps, service, walk);
	if (!ret)
		ret = hash_walk(maps, index, walk);
	if (!ret)
		ret = walk_flush(walk);
	free(walk);
	return ret;
}

static int hash_delete(struct maps *maps, uint32_t index, const struct route_entry *entries, size_t n)
{
	size_t i;

	for (i = 0; i < n; i++) {
		struct xsr_route_key key = hash_key(index, entries[i].id);

		if (bpf_map_delete_elem(maps->fds[MAPS_ROUTES], &key) && errno != ENOENT)
			return -errno;
	}
	return 0;
}

/* Entries that are collected before the table changes under the walk. */
struct route_list {
	struct route_entry *entries;
	size_t n, capacity;
};

static int list_append(const struct route_entry *entries, size_t n, void *arg)
{
	struct route_list *list = arg;

	if (list->n + n > list->capacity) {
		size_t capacity = (list->n + n) * 2;
		struct route_entry *grown = realloc(list->entries, capacity * sizeof(*grown));

		if (!grown)
			return -ENOMEM;
		list->entries = grown;
		list->capacity = capacity;
	}
	memcpy(list->entries + list->n, entries, n * sizeof(*entries));
	list->n += n;
	return 0;
}

static long dense_flush(struct maps *maps, const struct xsr_service *service)
{
	long n = 0;
	uint32_t i;

	for (i = 0; i < service->dense_len; i++) {
		struct xsr_route *slot = &maps->dense[service->dense_base + i];

		if (word_load(slot).action == XSR_ACTION_NONE)
			continue;
		word_store(slot, (struct xsr_route){});
		n++;
	}
	return n;
}

long route_flush(struct maps *maps, uint32_t index, const struct xsr_service *service)
{
	struct xsr_service hashed_only = *service;
	struct route_list list = {};
	long n;
	int ret;

	hashed_only.dense_len = 0;
	ret = route_for_each(maps, index, &hashed_only, list_append, &list);
	if (!ret)
		ret = hash_delete(maps, index, list.entries, list.n);
	n = dense_flush(maps, service) + list.n;
	routes_changed(maps, service);
	free(list.entries);
	return ret ? ret : n;
}
