/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Many routes at once. Dense ones are stores into the mapping; hashed ones go
 * by batch, with the generations that are there read by batch before.
 */
#include "route.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <bpf/bpf.h>

#include "mix.h"

#define BATCH 1024
#define PROGRESS_EVERY 65536

/* What the hash table holds: IDs of this service with their generations, open addressing. */
struct known {
	struct route_entry *slots; /* route.action NONE = empty */
	size_t mask;
	size_t n;	/* of this service */
	size_t n_all;	/* of all services */
};

static size_t known_probe(const struct known *known, uint64_t id)
{
	size_t i = mix64(id) & known->mask;

	while (known->slots[i].route.action != XSR_ACTION_NONE && known->slots[i].id != id)
		i = (i + 1) & known->mask;
	return i;
}

static bool hash_is_empty(struct maps *maps)
{
	struct xsr_route_key key;

	return bpf_map_get_next_key(maps->fds[MAPS_ROUTES], NULL, &key) && errno == ENOENT;
}

static int known_fill(struct maps *maps, uint32_t index, struct known *known)
{
	struct xsr_route_key *keys = calloc(BATCH * 4, sizeof(*keys));
	struct xsr_route *values = calloc(BATCH * 4, sizeof(*values));
	__u32 token, n, i;
	bool started = false;
	int ret = keys && values ? 0 : -ENOMEM;

	while (!ret) {
		n = BATCH * 4;
		if (bpf_map_lookup_batch(maps->fds[MAPS_ROUTES], started ? &token : NULL, &token, keys, values, &n,
					 NULL))
			ret = -errno;
		started = true;
		if (ret && ret != -ENOENT)
			break;
		known->n_all += n;
		for (i = 0; i < n; i++)
			if (keys[i].service == index && known->n < known->mask)
				known->slots[known_probe(known, keys[i].id)] =
					(struct route_entry){ keys[i].id, values[i] };
	}
	free(keys);
	free(values);
	return ret == -ENOENT ? 0 : ret;
}

static int known_read(struct maps *maps, uint32_t index, struct known *known)
{
	size_t size = 64;

	memset(known, 0, sizeof(*known));
	if (hash_is_empty(maps))
		return 0;
	while (size < (size_t)maps->routes_max * 2)
		size *= 2;
	known->slots = calloc(size, sizeof(*known->slots));
	if (!known->slots)
		return -ENOMEM;
	known->mask = size - 1;
	return known_fill(maps, index, known);
}

/* The generation that the entry gets. */
static uint16_t known_next(const struct known *known, const struct route_entry *entry, bool *is_new)
{
	struct route_entry *slot;
	uint16_t generation;

	*is_new = !known->slots;
	if (!known->slots)
		return 1;
	slot = &known->slots[known_probe(known, entry->id)];
	*is_new = slot->route.action == XSR_ACTION_NONE;
	generation = *is_new ? 0 : slot->route.generation;
	return generation == UINT16_MAX ? 1 : generation + 1;
}

struct progress {
	void (*fn)(size_t done, void *arg);
	void *arg;
};

static void progress_say(const struct progress *progress, size_t before, size_t now)
{
	if (progress->fn && before / PROGRESS_EVERY != now / PROGRESS_EVERY)
		progress->fn(now, progress->arg);
}

/* Entries that the hash table is to take; pass 1: give generations, count the new. */
static size_t generations_give(const struct xsr_service *service, const struct known *known,
			       struct route_entry *entries, size_t n)
{
	size_t i, n_new = 0;
	bool is_new;

	for (i = 0; i < n; i++) {
		struct route_entry *e = &entries[i];

		if (route_is_dense(service, e->id))
			continue;
		e->route.id_generation = xsr_id_generation(e->id);
		e->route.generation = known_next(known, e, &is_new);
		n_new += is_new;
	}
	return n_new;
}

static int hash_store(struct maps *maps, const struct xsr_route_key *keys, const struct xsr_route *values, __u32 n)
{
	if (!n)
		return 0;
	return bpf_map_update_batch(maps->fds[MAPS_ROUTES], keys, values, &n, NULL) ? -errno : 0;
}

static int hash_import(struct maps *maps, uint32_t index, const struct xsr_service *service,
		       const struct route_entry *entries, size_t n, const struct progress *progress)
{
	struct xsr_route_key keys[BATCH];
	struct xsr_route values[BATCH];
	__u32 n_batch = 0;
	int ret = 0;
	size_t i;

	for (i = 0; i < n && !ret; i++) {
		if (route_is_dense(service, entries[i].id))
			continue;
		keys[n_batch] = (struct xsr_route_key){ .id = entries[i].id, .service = index };
		values[n_batch++] = entries[i].route;
		if (n_batch < BATCH)
			continue;
		ret = hash_store(maps, keys, values, n_batch);
		n_batch = 0;
		progress_say(progress, i - BATCH, i);
	}
	return ret ? ret : hash_store(maps, keys, values, n_batch);
}

/*
 * Counts the hashed entries; sees before anything is stored that no dense slot
 * belongs to another generation of the ID.
 */
static int entries_check(const struct maps *maps, const struct xsr_service *service,
			 const struct route_entry *entries, size_t n, size_t *n_hashed, size_t *bad)
{
	const struct xsr_route *dense = maps->dense + service->dense_base;
	size_t i;

	*n_hashed = 0;
	for (i = 0; i < n; i++) {
		const uint64_t id = entries[i].id;
		const struct xsr_route *slot = &dense[xsr_id_index(id)];

		if (!route_is_dense(service, id)) {
			++*n_hashed;
		} else if (slot->action != XSR_ACTION_NONE && slot->id_generation != xsr_id_generation(id)) {
			*bad = i;
			return -EBUSY;
		}
	}
	return 0;
}

static void dense_import(struct maps *maps, const struct xsr_service *service, struct route_entry *entries,
			 size_t n)
{
	struct xsr_route *dense = maps->dense + service->dense_base;
	size_t i;

	for (i = 0; i < n; i++) {
		struct route_entry *e = &entries[i];
		struct xsr_route *slot = &dense[xsr_id_index(e->id)];

		if (!route_is_dense(service, e->id))
			continue;
		e->route.id_generation = xsr_id_generation(e->id);
		e->route.generation = slot->generation == UINT16_MAX ? 1 : slot->generation + 1;
		__atomic_store(slot, &e->route, __ATOMIC_RELEASE);
	}
}

/* Gives the hashed entries their generations, and sees that the table has room for the new ones. */
static int hash_prepare(struct maps *maps, uint32_t index, const struct xsr_service *service,
			struct route_entry *entries, size_t n)
{
	struct known known;
	int ret;

	ret = known_read(maps, index, &known);
	if (!ret && known.n_all + generations_give(service, &known, entries, n) > maps->routes_max)
		ret = -E2BIG;
	free(known.slots);
	return ret;
}

int route_import(struct maps *maps, uint32_t index, const struct xsr_service *service,
		 struct route_entry *entries, size_t n, size_t *bad, void (*progress)(size_t done, void *arg),
		 void *arg)
{
	const struct progress say = { progress, arg };
	size_t n_hashed;
	int ret;

	ret = entries_check(maps, service, entries, n, &n_hashed, bad);
	if (!ret && n_hashed)
		ret = hash_prepare(maps, index, service, entries, n);
	if (ret)
		return ret;
	if (n_hashed < n)
		dense_import(maps, service, entries, n);
	if (n_hashed)
		ret = hash_import(maps, index, service, entries, n, &say);
	routes_changed(maps, service);
	return ret;
}
