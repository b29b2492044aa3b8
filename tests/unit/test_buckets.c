/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* buckets_spread(): all workers get their share, and a change of the set moves no more than it must. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

#include "socket.h"

static uint32_t worker_of(const struct xsr_bucket *bucket)
{
	return bucket->worker - 1;
}

static uint64_t workers_below(unsigned int n)
{
	return n == 64 ? ~0ULL : (1ULL << n) - 1;
}

static void shares_count(const struct xsr_bucket buckets[XSR_BUCKETS_MAX], unsigned int n[XSR_WORKERS_MAX])
{
	uint32_t i;

	memset(n, 0, XSR_WORKERS_MAX * sizeof(*n));
	for (i = 0; i < XSR_BUCKETS_MAX; i++) {
		assert_in_range(buckets[i].worker, 1, XSR_WORKERS_MAX);
		n[worker_of(&buckets[i])]++;
	}
}

/* From one set of workers to the other: a bucket moves only off a worker that left, or to one that came. */
static void expect_least_movement(uint64_t before, uint64_t after)
{
	struct xsr_bucket old[XSR_BUCKETS_MAX] = {}, new[XSR_BUCKETS_MAX] = {};
	uint32_t i;

	buckets_spread(old, before);
	buckets_spread(new, after);
	for (i = 0; i < XSR_BUCKETS_MAX; i++) {
		uint64_t left = before & ~after, came = after & ~before;

		if (old[i].worker == new[i].worker)
			continue;
		assert_true(left >> worker_of(&old[i]) & 1 || came >> worker_of(&new[i]) & 1);
	}
}

static void without_workers_no_bucket_has_one(void **state)
{
	struct xsr_bucket buckets[XSR_BUCKETS_MAX];
	uint32_t i;

	(void)state;
	buckets_spread(buckets, ~0ULL);
	buckets_spread(buckets, 0);
	for (i = 0; i < XSR_BUCKETS_MAX; i++)
		assert_int_equal(buckets[i].worker, 0);
}

static void only_live_workers_get_buckets(void **state)
{
	static const uint64_t sets[] = { 1, 1ULL << 63, 0x8000000000000001, 0xaaaaaaaaaaaaaaaa, 0x00ff00, 6 };
	struct xsr_bucket buckets[XSR_BUCKETS_MAX] = {};
	unsigned int n[XSR_WORKERS_MAX], i, worker;

	(void)state;
	for (i = 0; i < sizeof(sets) / sizeof(sets[0]); i++) {
		buckets_spread(buckets, sets[i]);
		shares_count(buckets, n);
		for (worker = 0; worker < XSR_WORKERS_MAX; worker++)
			assert_int_equal(n[worker] != 0, sets[i] >> worker & 1);
	}
}

/* Give or take a bit less than five standard deviations of a binomial distribution. */
static void workers_get_equal_shares(void **state)
{
	struct xsr_bucket buckets[XSR_BUCKETS_MAX] = {};
	unsigned int n[XSR_WORKERS_MAX], n_workers, worker;

	(void)state;
	for (n_workers = 1; n_workers <= XSR_WORKERS_MAX; n_workers++) {
		unsigned int share = XSR_BUCKETS_MAX / n_workers, slack = 0;

		while (n_workers > 1 && slack * slack < 24 * share)
			slack++;
		buckets_spread(buckets, workers_below(n_workers));
		shares_count(buckets, n);
		for (worker = 0; worker < n_workers; worker++)
			assert_in_range(n[worker], share > slack ? share - slack : 1, share + slack);
	}
}

static void worker_that_leaves_gives_away_only_its_own_buckets(void **state)
{
	unsigned int n_workers, worker;

	(void)state;
	for (n_workers = 1; n_workers <= XSR_WORKERS_MAX; n_workers += 7)
		for (worker = 0; worker < n_workers; worker++)
			expect_least_movement(workers_below(n_workers),
					      workers_below(n_workers) & ~(1ULL << worker));
}

static void worker_that_comes_takes_only_its_share(void **state)
{
	struct xsr_bucket old[XSR_BUCKETS_MAX] = {}, new[XSR_BUCKETS_MAX] = {};
	unsigned int i, n_moved = 0;

	(void)state;
	buckets_spread(old, workers_below(7));
	buckets_spread(new, workers_below(8));
	for (i = 0; i < XSR_BUCKETS_MAX; i++) {
		if (old[i].worker == new[i].worker)
			continue;
		assert_int_equal(worker_of(&new[i]), 7);
		n_moved++;
	}
	assert_in_range(n_moved, 512 - 110, 512 + 110);
}

static void what_a_leaving_worker_had_goes_to_all_others(void **state)
{
	struct xsr_bucket old[XSR_BUCKETS_MAX] = {}, new[XSR_BUCKETS_MAX] = {};
	unsigned int n[4] = {}, i;

	(void)state;
	buckets_spread(old, workers_below(4));
	buckets_spread(new, workers_below(4) & ~2ULL);
	for (i = 0; i < XSR_BUCKETS_MAX; i++)
		if (worker_of(&old[i]) == 1)
			n[worker_of(&new[i])]++;
	assert_int_equal(n[1], 0);
	assert_in_range(n[0], 341 - 80, 341 + 80);
	assert_in_range(n[2], 341 - 80, 341 + 80);
	assert_in_range(n[3], 341 - 80, 341 + 80);
}

static void any_change_moves_no_more_than_it_must(void **state)
{
	uint64_t seed = 0x9e3779b97f4a7c15, before = 5;
	int i;

	(void)state;
	for (i = 0; i < 50; i++) {
		seed = seed * 6364136223846793005ULL + 1442695040888963407ULL;
		expect_least_movement(before, seed);
		before = seed;
	}
}

static void worker_that_comes_back_gets_its_buckets_back(void **state)
{
	struct xsr_bucket first[XSR_BUCKETS_MAX] = {}, again[XSR_BUCKETS_MAX] = {};

	(void)state;
	buckets_spread(first, 0xf);
	buckets_spread(again, 0xf);
	buckets_spread(again, 0xb);
	buckets_spread(again, 0xf);
	assert_memory_equal(first, again, sizeof(first));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(without_workers_no_bucket_has_one),
		cmocka_unit_test(only_live_workers_get_buckets),
		cmocka_unit_test(workers_get_equal_shares),
		cmocka_unit_test(worker_that_leaves_gives_away_only_its_own_buckets),
		cmocka_unit_test(worker_that_comes_takes_only_its_share),
		cmocka_unit_test(what_a_leaving_worker_had_goes_to_all_others),
		cmocka_unit_test(any_change_moves_no_more_than_it_must),
		cmocka_unit_test(worker_that_comes_back_gets_its_buckets_back),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
