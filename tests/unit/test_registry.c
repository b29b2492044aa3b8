/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* registry.h: one owner for each session, and IDs that nobody has. */
#include <errno.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <cmocka.h>

#include "fake_maps.h"
#include "registry.h"

#define DENSE 8
#define OTHER_SERVICE 2 /* no dense routes */

static struct maps *MAPS;
static struct registry *REGISTRY;

static int setup(void **state)
{
	(void)state;
	MAPS = fake_maps_open(DENSE);
	return registry_open(&REGISTRY, MAPS, 16);
}

static int teardown(void **state)
{
	(void)state;
	registry_close(REGISTRY);
	fake_maps_close(MAPS);
	return 0;
}

static void who_claims_first_owns_it(void **state)
{
	(void)state;
	assert_int_equal(registry_find(REGISTRY, 1, 5), -ENOENT);
	assert_int_equal(registry_claim(REGISTRY, 1, 5, 3), 3);
	assert_int_equal(registry_claim(REGISTRY, 1, 5, 4), 3);
	assert_int_equal(registry_claim(REGISTRY, 2, 5, 4), 4);
	assert_int_equal(registry_find(REGISTRY, 1, 5), 3);
	registry_forget(REGISTRY, 1, 5);
	assert_int_equal(registry_find(REGISTRY, 1, 5), -ENOENT);
	assert_int_equal(registry_claim(REGISTRY, 1, 5, 4), 4);
}

static void session_passes_to_another_worker(void **state)
{
	(void)state;
	assert_int_equal(registry_claim(REGISTRY, 1, 5, 3), 3);
	registry_pass(REGISTRY, 1, 5, 0);
	assert_int_equal(registry_find(REGISTRY, 1, 5), 0);
	assert_int_equal(registry_claim(REGISTRY, 1, 5, 3), 0);
}

static void full_registry_takes_no_more(void **state)
{
	uint64_t id;

	(void)state;
	for (id = 1; id <= 16; id++)
		assert_int_equal(registry_claim(REGISTRY, OTHER_SERVICE, id, 1), 1);
	assert_int_equal(registry_claim(REGISTRY, OTHER_SERVICE, 17, 1), -ENOSPC);
	assert_int_equal(registry_assign(REGISTRY, OTHER_SERVICE, &id, 1), -ENOSPC);
	assert_int_equal(registry_claim(REGISTRY, OTHER_SERVICE, 16, 2), 1);
	registry_forget(REGISTRY, OTHER_SERVICE, 3);
	assert_int_equal(registry_assign(REGISTRY, OTHER_SERVICE, &id, 1), 0);
}

static void full_registry_that_grows_takes_more(void **state)
{
	uint64_t id;

	(void)state;
	for (id = 1; id <= 16; id++)
		assert_int_equal(registry_claim(REGISTRY, OTHER_SERVICE, id, 1), 1);
	assert_int_equal(registry_grow(REGISTRY, 8), 0); /* it has more */
	assert_int_equal(registry_claim(REGISTRY, OTHER_SERVICE, 17, 1), -ENOSPC);
	assert_int_equal(registry_grow(REGISTRY, 17), 0);
	assert_int_equal(registry_claim(REGISTRY, OTHER_SERVICE, 17, 2), 2);
	assert_int_equal(registry_claim(REGISTRY, OTHER_SERVICE, 18, 1), -ENOSPC);
	for (id = 1; id <= 16; id++)
		assert_int_equal(registry_find(REGISTRY, OTHER_SERVICE, id), 1);
}

/* All of the node, all different, in the dense range; a dense place is used again by another generation only. */
static void ids_of_a_dense_service_are_used_in_turn(void **state)
{
	uint64_t ids[3 * DENSE];
	int i, k;

	(void)state;
	for (i = 0; i < 3 * DENSE; i++) {
		assert_int_equal(registry_assign(REGISTRY, FAKE_SERVICE, &ids[i], i % 4), 0);
		assert_int_not_equal(ids[i], 0);
		assert_int_equal(xsr_id_node(ids[i]), FAKE_NODE);
		assert_int_not_equal(xsr_id_generation(ids[i]), 0);
		assert_true(xsr_id_index(ids[i]) < DENSE);
		assert_int_equal(registry_find(REGISTRY, FAKE_SERVICE, ids[i]), i % 4);
		for (k = 0; k < i; k++)
			assert_true(ids[k] != ids[i]);
		if (i >= DENSE)
			registry_forget(REGISTRY, FAKE_SERVICE, ids[i]);
	}
}

/* Someone has claimed those that would be next. */
static void id_that_somebody_wanted_is_not_given_away(void **state)
{
	uint64_t id;
	uint32_t i;

	(void)state;
	for (i = 0; i < 4; i++)
		assert_int_equal(registry_claim(REGISTRY, FAKE_SERVICE, fake_id(1, i), 9), 9);
	assert_int_equal(registry_assign(REGISTRY, FAKE_SERVICE, &id, 2), 0);
	assert_int_equal(id, fake_id(1, 4));
}

static void *claimer(void *arg)
{
	uint32_t worker = (uintptr_t)arg;
	uintptr_t n = 0, i;

	for (i = 0; i < 2000; i++) {
		uint64_t id = i % 5;

		if (registry_claim(REGISTRY, 1, id, worker) != (int)worker)
			continue;
		n++;
		if (registry_find(REGISTRY, 1, id) != (int)worker)
			return NULL;
		registry_forget(REGISTRY, 1, id);
	}
	return (void *)(n + 1);
}

static void threads_agree_who_owns_what(void **state)
{
	pthread_t threads[4];
	uintptr_t i;
	void *n;

	(void)state;
	for (i = 0; i < 4; i++)
		assert_int_equal(pthread_create(&threads[i], NULL, claimer, (void *)i), 0);
	for (i = 0; i < 4; i++) {
		pthread_join(threads[i], &n);
		assert_non_null(n);
	}
}

#define test(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		test(who_claims_first_owns_it),
		test(session_passes_to_another_worker),
		test(full_registry_takes_no_more),
		test(full_registry_that_grows_takes_more),
		test(ids_of_a_dense_service_are_used_in_turn),
		test(id_that_somebody_wanted_is_not_given_away),
		test(threads_agree_who_owns_what),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
