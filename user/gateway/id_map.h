/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* From (service, session ID) to a small number. Bounded; nothing is allocated once it is open. One thread, or the caller's lock. */
#ifndef XSR_ID_MAP_H
#define XSR_ID_MAP_H

#include <stdint.h>

#define ID_MAP_NONE UINT32_MAX

struct id_map_entry {
	uint64_t id;
	uint32_t service; /* 0 = free */
	uint32_t value;
};

struct id_map {
	struct id_map_entry *entries;
	uint32_t mask;
	uint32_t n, n_max;
};

int id_map_open(struct id_map *map, uint32_t n_max); /* 0 or -ENOMEM */
void id_map_close(struct id_map *map);

/* Room for n_max, which is not less than it has. 0 or -ENOMEM: then it is as it was. */
int id_map_resize(struct id_map *map, uint32_t n_max);

/* The value, or ID_MAP_NONE. */
uint32_t id_map_find(const struct id_map *map, uint32_t service, uint64_t id);

/* It is not there yet. 0 or -ENOSPC. */
int id_map_add(struct id_map *map, uint32_t service, uint64_t id, uint32_t value);

/* Nothing happens if it is not there. */
void id_map_remove(struct id_map *map, uint32_t service, uint64_t id);

#endif /* XSR_ID_MAP_H */
