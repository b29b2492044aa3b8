/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* id_map.h: whatever is added and removed, in whatever order, what is there is found, and nothing else. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <cmocka.h>

#include "chance.h"
#include "id_map.h"
#include "mix.h"

#define SERVICES 3
#define IDS 64

static void empty_map_has_nothing(void **state)
{
	struct id_map map;

	(void)state;
	assert_int_equal(id_map_open(&map, 4), 0);
	assert_int_equal(id_map_find(&map, 1, 0), ID_MAP_NONE);
	id_map_remove(&map, 1, 0);
	assert_int_equal(map.n, 0);
	id_map_close(&map);
}

static void same_id_of_two_services_is_two(void **state)
{
	struct id_map map;

	(void)state;
	assert_int_equal(id_map_open(&map, 4), 0);
	assert_int_equal(id_map_add(&map, 1, 7, 10), 0);
	assert_int_equal(id_map_add(&map, 2, 7, 20), 0);
	assert_int_equal(id_map_find(&map, 1, 7), 10);
	assert_int_equal(id_map_find(&map, 2, 7), 20);
	assert_int_equal(id_map_find(&map, 3, 7), ID_MAP_NONE);
	id_map_remove(&map, 1, 7);
	assert_int_equal(id_map_find(&map, 1, 7), ID_MAP_NONE);
	assert_int_equal(id_map_find(&map, 2, 7), 20);
	id_map_close(&map);
}

static void full_map_takes_no_more_and_finds_all(void **state)
{
	const uint32_t n = 1000;
	struct id_map map;
	uint32_t i;

	(void)state;
	assert_int_equal(id_map_open(&map, n), 0);
	for (i = 0; i < n; i++)
		assert_int_equal(id_map_add(&map, 1, i * 3, i), 0);
	assert_int_equal(id_map_add(&map, 1, 1, 1), -ENOSPC);
	for (i = 0; i < 3 * n; i++)
		assert_int_equal(id_map_find(&map, 1, i), i % 3 ? ID_MAP_NONE : i / 3);
	id_map_remove(&map, 1, 0);
	assert_int_equal(id_map_add(&map, 1, 1, 77), 0);
	assert_int_equal(id_map_find(&map, 1, 1), 77);
	id_map_close(&map);
}

static void full_map_that_grows_keeps_all_and_takes_more(void **state)
{
	const uint32_t n = 1000;
	struct id_map map;
	uint32_t i;

	(void)state;
	assert_int_equal(id_map_open(&map, n), 0);
	for (i = 0; i < n; i++)
		assert_int_equal(id_map_add(&map, 1 + i % 2, i, i), 0);
	assert_int_equal(id_map_resize(&map, 3 * n), 0);
	assert_int_equal(map.n, n);
	for (i = 0; i < n; i++)
		assert_int_equal(id_map_find(&map, 1 + i % 2, i), i);
	for (i = n; i < 3 * n; i++)
		assert_int_equal(id_map_add(&map, 1, i, i), 0);
	assert_int_equal(id_map_add(&map, 1, i, i), -ENOSPC);
	id_map_close(&map);
}

/* An ID whose search begins at `place` of a map of so many. */
static uint64_t id_at(const struct id_map *map, uint32_t place, uint64_t above)
{
	uint64_t id = above + 1;

	while ((mix64(id + 0x9e3779b97f4a7c15ULL) & map->mask) != place)
		id++;
	return id;
}

/* All begin at the last place, so that they go round its end; each may go first. */
static void what_stands_behind_a_removed_one_is_found(void **state)
{
	enum { N = 6 };
	uint64_t ids[N] = {};
	struct id_map map;
	uint32_t gone, i;

	(void)state;
	for (gone = 0; gone < N; gone++) {
		assert_int_equal(id_map_open(&map, 8), 0);
		for (i = 0; i < N; i++) { /* two of them belong to the places behind */
			ids[i] = id_at(&map, i < 4 ? map.mask : i - 4, i ? ids[i - 1] : 0);
			assert_int_equal(id_map_add(&map, 1, ids[i], i), 0);
		}
		id_map_remove(&map, 1, ids[gone]);
		for (i = 0; i < N; i++)
			assert_int_equal(id_map_find(&map, 1, ids[i]), i == gone ? ID_MAP_NONE : i);
		id_map_close(&map);
	}
}

struct model {
	uint32_t values[SERVICES][IDS]; /* ID_MAP_NONE: it is not there */
	uint32_t n;
};

static void expect_model(const struct id_map *map, const struct model *model, const uint64_t *ids)
{
	uint32_t service, i;

	assert_int_equal(map->n, model->n);
	for (service = 0; service < SERVICES; service++)
		for (i = 0; i < IDS; i++)
			assert_int_equal(id_map_find(map, service + 1, ids[i]), model->values[service][i]);
}

static void step(struct id_map *map, struct model *model, const uint64_t *ids, struct chance *chance, uint32_t value)
{
	uint32_t service = chance_below(chance, SERVICES), i = chance_below(chance, IDS);
	uint32_t *has = &model->values[service][i];

	if (*has != ID_MAP_NONE || chance_of(chance, 10)) {
		model->n -= *has != ID_MAP_NONE;
		*has = ID_MAP_NONE;
		id_map_remove(map, service + 1, ids[i]);
	} else if (model->n == map->n_max) {
		assert_int_equal(id_map_add(map, service + 1, ids[i], value), -ENOSPC);
	} else {
		assert_int_equal(id_map_add(map, service + 1, ids[i], value), 0);
		*has = value;
		model->n++;
	}
}

/* Some IDs are neighbours in the map, some look alike, some are any. */
static void any_order_of_adds_and_removes_is_right(void **state)
{
	uint64_t ids[IDS];
	uint32_t seed, i, k;

	(void)state;
	for (seed = 0; seed < 200; seed++) {
		struct chance chance = { .state = seed };
		struct model model = {};
		struct id_map map;

		assert_int_equal(id_map_open(&map, chance_from(&chance, 1, 60)), 0);
		for (i = 0; i < IDS; i++)
			ids[i] = i % 3 == 0 ? id_at(&map, i % 5, i * 1000000ULL) :
				 i % 3 == 1 ? (uint64_t)i << 56 : chance_next(&chance) | 1ULL << 40;
		for (k = 0; k < SERVICES; k++)
			for (i = 0; i < IDS; i++)
				model.values[k][i] = ID_MAP_NONE;
		for (k = 0; k < 300; k++) {
			step(&map, &model, ids, &chance, k);
			if (k % 10 == 0)
				expect_model(&map, &model, ids);
		}
		expect_model(&map, &model, ids);
		id_map_close(&map);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(empty_map_has_nothing),
		cmocka_unit_test(same_id_of_two_services_is_two),
		cmocka_unit_test(full_map_takes_no_more_and_finds_all),
		cmocka_unit_test(full_map_that_grows_keeps_all_and_takes_more),
		cmocka_unit_test(what_stands_behind_a_removed_one_is_found),
		cmocka_unit_test(any_order_of_adds_and_removes_is_right),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
