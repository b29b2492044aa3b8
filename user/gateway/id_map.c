/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Linear probing at a load of at most one half; what is removed is filled from behind, so that no marks are needed. */
#include "id_map.h"

#include <errno.h>
#include <stdlib.h>

#include "mix.h"

static uint32_t place_of(const struct id_map *map, uint32_t service, uint64_t id)
{
	return mix64(id + service * 0x9e3779b97f4a7c15ULL) & map->mask;
}

int id_map_open(struct id_map *map, uint32_t n_max)
{
	uint64_t n = 16;

	while (n < 2ULL * n_max)
		n *= 2;
	*map = (struct id_map){ .entries = calloc(n, sizeof(*map->entries)), .mask = n - 1, .n_max = n_max };
	return map->entries ? 0 : -ENOMEM;
}

void id_map_close(struct id_map *map)
{
	free(map->entries);
	map->entries = NULL;
}

/* Where it is, or the free place where the search for it ends. */
static struct id_map_entry *entry_at(const struct id_map *map, uint32_t service, uint64_t id)
{
	uint32_t i = place_of(map, service, id);

	while (map->entries[i].service && (map->entries[i].id != id || map->entries[i].service != service))
		i = (i + 1) & map->mask;
	return &map->entries[i];
}

uint32_t id_map_find(const struct id_map *map, uint32_t service, uint64_t id)
{
	const struct id_map_entry *e = entry_at(map, service, id);

	return e->service ? e->value : ID_MAP_NONE;
}

int id_map_add(struct id_map *map, uint32_t service, uint64_t id, uint32_t value)
{
	if (map->n == map->n_max)
		return -ENOSPC;
	*entry_at(map, service, id) = (struct id_map_entry){ id, service, value };
	map->n++;
	return 0;
}

int id_map_resize(struct id_map *map, uint32_t n_max)
{
	struct id_map new;
	uint32_t i;

	if (id_map_open(&new, n_max))
		return -ENOMEM;
	for (i = 0; i <= map->mask; i++)
		if (map->entries[i].service)
			id_map_add(&new, map->entries[i].service, map->entries[i].id, map->entries[i].value);
	id_map_close(map);
	*map = new;
	return 0;
}

/* Whether an entry that belongs at `home` and stands at `at` may stand at `hole`: the hole is on its way. */
static int may_fill(const struct id_map *map, uint32_t home, uint32_t at, uint32_t hole)
{
	return ((at - home) & map->mask) >= ((at - hole) & map->mask);
}

void id_map_remove(struct id_map *map, uint32_t service, uint64_t id)
{
	struct id_map_entry *e = entry_at(map, service, id), *entries = map->entries;
	uint32_t hole = e - entries, at = hole;

	if (!e->service)
		return;
	map->n--;
	for (;;) {
		entries[hole].service = 0;
		do {
			at = (at + 1) & map->mask;
			if (!entries[at].service)
				return;
		} while (!may_fill(map, place_of(map, entries[at].service, entries[at].id), at, hole));
		entries[hole] = entries[at];
		hole = at;
	}
}
