/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* handoff.h, while another command keeps the routes locked: the control thread never waits for it. */
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <unistd.h>
#include <cmocka.h>

#include "fake_maps.h"
#include "handoff.h"

#define NS_PER_S 1000000000ULL
#define GONE 0 /* a worker that does not run any more */
#define RUNS 1
#define ID fake_id(3, 0)

static uint64_t now_ns;
static struct maps *maps;
static struct post post;
static struct handoffs *handoffs;
static struct handoff_report report; /* of the move that has ended */
static int lock_fd;		     /* another command's */

static uint64_t clock_now_ns(void)
{
	return now_ns;
}

static void on_done(const struct handoff_report *r, void *arg)
{
	(void)arg;
	report = *r;
}

static int begin(void **state)
{
	struct handoffs_params params = { .post = &post, .fence_ms = 100, .clock_ns = clock_now_ns };
	char path[64];

	(void)state;
	now_ns = 3600 * NS_PER_S;
	memset(&report, 0, sizeof(report));
	maps = params.maps = fake_maps_open(4);
	assert_int_equal(route_add(maps, FAKE_SERVICE, &maps->services[FAKE_SERVICE], ID, XSR_ACTION_WORKER, GONE), 0);
	assert_int_equal(post_open(&post, POST_CONTROL), 0);
	assert_int_equal(handoffs_open(&handoffs, &params), 0);
	handoffs_workers(handoffs, 1 << RUNS, 1 << RUNS);
	snprintf(path, sizeof(path), "/proc/self/fd/%d", maps->lock_fd);
	lock_fd = open(path, O_RDONLY | O_CLOEXEC);
	assert_int_equal(flock(lock_fd, LOCK_EX), 0);
	return 0;
}

static int end(void **state)
{
	(void)state;
	close(lock_fd);
	handoffs_close(handoffs);
	post_close(&post);
	fake_maps_close(maps);
	return 0;
}

static void move_begin(void)
{
	const struct handoff_wish wish = {
		.id = ID, .service = FAKE_SERVICE, .worker = RUNS, .from = HANDOFF_FROM_OWNER
	};

	assert_int_equal(handoffs_move(handoffs, &wish, 1, NULL, on_done, NULL), 0);
	handoffs_step(handoffs);
}

static void session_that_nobody_has_waits_for_the_lock(void **state)
{
	(void)state;
	move_begin();
	now_ns += NS_PER_S;
	handoffs_step(handoffs);
	assert_int_equal(report.n, 0);
	assert_int_equal(route_owner(maps, FAKE_SERVICE, ID), GONE);
	flock(lock_fd, LOCK_UN);
	handoffs_step(handoffs);
	assert_int_equal(report.n_moved, 1);
	assert_int_equal(route_owner(maps, FAKE_SERVICE, ID), RUNS);
	assert_true(handoffs_idle(handoffs));
}

static void session_that_nobody_has_moves_again_at_once(void **state)
{
	const struct handoff_wish wishes[] = {
		{ .id = ID, .service = FAKE_SERVICE, .worker = RUNS, .from = HANDOFF_FROM_OWNER },
		{ .id = ID, .service = FAKE_SERVICE, .worker = RUNS + 1, .from = HANDOFF_FROM_OWNER },
	};

	(void)state;
	flock(lock_fd, LOCK_UN);
	handoffs_workers(handoffs, 0, 3 << RUNS);
	assert_int_equal(handoffs_move(handoffs, wishes, 2, NULL, on_done, NULL), 0);
	assert_int_equal(handoffs_step(handoffs), 0);
	handoffs_step(handoffs);
	assert_int_equal(report.n_moved, 2);
	assert_int_equal(route_owner(maps, FAKE_SERVICE, ID), RUNS + 1);
}

static void lock_that_is_kept_is_not_waited_for_without_end(void **state)
{
	(void)state;
	move_begin();
	now_ns += 61 * NS_PER_S;
	handoffs_step(handoffs);
	assert_int_equal(report.n_failed, 1);
	assert_non_null(strstr(report.failures[0].why, "another command keeps the routes locked"));
	assert_int_equal(route_owner(maps, FAKE_SERVICE, ID), GONE);
	assert_true(handoffs_idle(handoffs));
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, begin, end)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(session_that_nobody_has_waits_for_the_lock),
		TEST(session_that_nobody_has_moves_again_at_once),
		TEST(lock_that_is_kept_is_not_waited_for_without_end),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
