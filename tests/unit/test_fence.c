/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* fence.h, mail by mail: two workers, one queue, and a control thread that is the test. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <cmocka.h>

#include "world.h"

#define NS_PER_MS 1000000ULL
#define FENCE_MS 100
#define HOLD_MAX 6 /* of a session, or what comes in */
#define HOLD_MS 50
#define A 0 /* has the session by its route */
#define B 1
#define SESSION 0

static uint64_t now_ns; /* clocks take no argument */
static struct world world;

static uint64_t clock_now_ns(void)
{
	return now_ns;
}

static int world_begin(void **state)
{
	const struct world_params params = {
		.n_workers = 2, .n_owners = 1, .n_queues = 1, .n_lanes = 1, .n_sessions = 4, .n_max = 100, .wire_len = 64,
		.ring_len = 64, .strict = true, .generation = 5, .stamp_percent = 100,
		.umem = { .recv_max = 1, .redirects_known = true },
		.worker = { .batch = 2, .sessions_max = 4, .hold_max = HOLD_MAX, .hold_ms = HOLD_MS, .hold_len = 1 << 16,
			    .fence_ms = FENCE_MS, .clock_ns = clock_now_ns },
	};
	struct chance chance = { .state = 1 };

	(void)state;
	now_ns = 1000000 * NS_PER_MS;
	world_open(&world, &params, &chance);
	world_worker_add(&world, A);
	world_worker_add(&world, B);
	return 0;
}

static int world_end(void **state)
{
	bool wrong = world.ledger.is_wrong;

	(void)state;
	if (wrong)
		print_error("%s\n", world.ledger.wrong);
	world_close(&world);
	return wrong;
}

/* --- what the test does in the others' place --- */

static void tell(unsigned int worker, enum mail_type type, uint64_t token)
{
	const struct mail mail = {
		.type = type,
		.worker = A + B - worker, /* GIVE: to the other one */
		.generation = 6,
		.service = FAKE_SERVICE,
		.id = world.ledger.sessions[SESSION].id,
		.token = token,
	};

	assert_true(post_mail(&world.workers.control, worker, &mail));
}

/* The next thing that the worker says; 0 if it says nothing. */
static struct mail answer(unsigned int worker)
{
	const struct mail *mail = post_next(&world.workers.control, worker);
	struct mail copy = {};

	if (mail) {
		copy = *mail;
		post_done(&world.workers.control, worker);
	}
	return copy;
}

static void poll_once(unsigned int worker)
{
	xsr_worker_poll(world.workers.at[worker], 0);
}

static void poll_often(unsigned int worker)
{
	int i;

	for (i = 0; i < 20; i++)
		poll_once(worker);
}

/* What the kernel has done of a frame when it stops. */
static void lane_until(enum lane_at at)
{
	do
		lane_step(&world.net, &world.net.lanes[0]);
	while (world.net.lanes[0].at != at);
}

static void deliver(void)
{
	while (!net_is_empty(&world.net) && world.net.lanes[0].wire->tail != world.net.lanes[0].wire->head)
		lane_step(&world.net, &world.net.lanes[0]);
	while (world.net.lanes[0].at != LANE_IDLE || world.net.lanes[0].n_frames)
		lane_step(&world.net, &world.net.lanes[0]);
}

static void send(unsigned int n)
{
	while (n--)
		assert_true(net_send(&world.net, 0, SESSION, 10));
}

static void route_to(unsigned int worker)
{
	uint16_t generation;

	assert_int_equal(route_move(world.maps, FAKE_SERVICE, world.ledger.sessions[SESSION].id, worker, &generation), 0);
}

static const struct session *session_of(unsigned int worker)
{
	return session_find(world.workers.at[worker]->sessions, FAKE_SERVICE, world.ledger.sessions[SESSION].id);
}

static void expect_served(unsigned int n)
{
	assert_int_equal(world.ledger.n_served, n);
}

/* A has served three messages; B expects the session, whose messages go to B now. */
static void session_on_its_way(uint64_t token)
{
	send(3);
	deliver();
	poll_often(A);
	tell(B, MAIL_EXPECT, token);
	poll_once(B);
	assert_int_equal(answer(B).type, MAIL_READY);
	route_to(B);
}

/* --- the new owner --- */

static void expected_session_is_held_until_its_fence_comes(void **state)
{
	(void)state;
	session_on_its_way(7);
	send(5);
	deliver();
	poll_often(B);
	expect_served(3);
	assert_int_equal(session_of(B)->hold.n, 5);
	tell(A, MAIL_GIVE, 7);
	poll_once(A);
	assert_int_equal(session_of(A)->state, SESSION_GONE);
	poll_often(B);
	expect_served(8);
	assert_int_equal(answer(B).type, MAIL_TAKEN);
	assert_int_equal(session_of(B)->state, SESSION_ACTIVE);
	assert_int_equal(session_of(B)->s.n_handoffs, 1);
}

/* What has waited since the beginning has been served; what is left came a moment ago. */
static void session_that_is_worked_off_holds_what_comes_in_the_time(void **state)
{
	(void)state;
	session_on_its_way(7);
	send(1);
	deliver();
	poll_once(B);
	now_ns += (HOLD_MS - 1) * NS_PER_MS;
	send(20);
	deliver();
	poll_often(B);
	tell(A, MAIL_GIVE, 7);
	poll_once(A);
	poll_once(B);
	assert_in_range(session_of(B)->hold.n, HOLD_MAX, 20);
	now_ns += 2 * NS_PER_MS;
	send(1);
	deliver();
	poll_often(B);
	expect_served(25);
	assert_int_equal(world_count(&world, XSR_WORKER_STAT_HOLD_OVERFLOW), 0);
}

static void fence_of_another_handoff_is_thrown_away(void **state)
{
	(void)state;
	session_on_its_way(7);
	tell(A, MAIL_GIVE, 6);
	poll_once(A);
	poll_often(B);
	assert_int_equal(session_of(B)->state, SESSION_HELD);
	assert_int_equal(world_count(&world, XSR_WORKER_STAT_LATE_FENCE), 1);
	assert_int_equal(answer(B).type, 0);
}

static void fence_that_does_not_come_is_not_waited_for_any_longer(void **state)
{
	struct mail taken;

	(void)state;
	session_on_its_way(7);
	send(2);
	deliver();
	poll_often(B);
	now_ns += (FENCE_MS - 1) * NS_PER_MS;
	poll_often(B);
	expect_served(3);
	now_ns += NS_PER_MS;
	world.ledger.strict = false;
	poll_often(B);
	expect_served(5);
	taken = answer(B);
	assert_int_equal(taken.type, MAIL_TAKEN);
	assert_int_equal(taken.result, TAKEN_NO_FENCE);
	assert_int_equal(world_count(&world, XSR_WORKER_STAT_NO_FENCE), 1);
	tell(A, MAIL_GIVE, 7);
	poll_once(A);
	poll_often(B);
	assert_int_equal(world_count(&world, XSR_WORKER_STAT_LATE_FENCE), 1);
}

static void session_that_is_told_again_is_waited_for_longer(void **state)
{
	(void)state;
	session_on_its_way(7);
	now_ns += (FENCE_MS - 1) * NS_PER_MS;
	tell(B, MAIL_EXPECT, 7);
	poll_often(B);
	now_ns += (FENCE_MS - 1) * NS_PER_MS;
	poll_often(B);
	assert_int_equal(session_of(B)->state, SESSION_HELD);
}

static void cancelled_session_leaves_nothing_behind(void **state)
{
	(void)state;
	session_on_its_way(7);
	tell(B, MAIL_CANCEL, 6);
	poll_once(B);
	assert_int_equal(session_of(B)->state, SESSION_HELD);
	tell(B, MAIL_CANCEL, 7);
	poll_often(B);
	assert_null(session_of(B));
	assert_int_equal(answer(B).type, 0);
}

/* --- the old owner --- */

static void session_is_given_up_behind_all_that_had_arrived(void **state)
{
	(void)state;
	session_on_its_way(7);
	route_to(A);
	send(5);
	deliver();
	tell(A, MAIL_GIVE, 7);
	poll_once(A);
	expect_served(4);
	assert_int_equal(session_of(A)->state, SESSION_ACTIVE);
	poll_often(A);
	expect_served(8);
	assert_int_equal(session_of(A)->state, SESSION_GONE);
}

static void session_is_given_up_early_behind_all_that_was_redirected(void **state)
{
	(void)state;
	session_on_its_way(7);
	route_to(A);
	send(1);
	lane_until(LANE_REDIRECTS);
	tell(A, MAIL_GIVE_EARLY, 7);
	poll_often(A);
	assert_int_equal(session_of(A)->state, SESSION_ACTIVE);
	deliver();
	poll_often(A);
	expect_served(4);
	assert_int_equal(session_of(A)->state, SESSION_GONE);
}

static void early_request_that_comes_to_nothing_ends(void **state)
{
	struct xsr_worker *a = world.workers.at[A];

	(void)state;
	session_on_its_way(7);
	atomic_fetch_add(&world.net.rings[0][A].n_redirected, 1); /* and dropped, which nobody counted */
	tell(A, MAIL_GIVE_EARLY, 7);
	poll_often(A);
	assert_int_equal(session_of(A)->state, SESSION_ACTIVE);
	assert_int_equal(fence_timeout_ms(a, 1000), 0);
	now_ns += 1000 * NS_PER_MS;
	poll_often(A);
	assert_int_equal(fence_timeout_ms(a, 1000), 1000);
	assert_int_equal(session_of(A)->state, SESSION_ACTIVE);
}

static void session_that_came_back_is_not_given_up_by_an_old_request(void **state)
{
	(void)state;
	session_on_its_way(7);
	tell(A, MAIL_GIVE_EARLY, 7);
	poll_often(A);
	assert_int_equal(session_of(A)->state, SESSION_GONE);
	tell(A, MAIL_EXPECT, 8);
	tell(A, MAIL_GIVE, 7);
	poll_often(A);
	poll_often(B);
	tell(B, MAIL_GIVE, 8);
	poll_often(B);
	poll_often(A);
	assert_int_equal(session_of(A)->state, SESSION_ACTIVE);
	assert_int_equal(session_of(A)->s.n_handoffs, 2);
	assert_int_equal(world_count(&world, XSR_WORKER_STAT_HANDOFFS_OUT), 2);
}

/* As of a handler that returns what it would have written; no ring has room for so much. */
static void state_that_is_longer_than_the_handler_may_write_is_not_sent(void **state)
{
	(void)state;
	world.ledger.strict = false;
	world.p.app.give_excess = 200000;
	session_on_its_way(7);
	send(1);
	deliver();
	tell(A, MAIL_GIVE, 7);
	poll_often(A);
	poll_often(B);
	assert_int_equal(answer(B).result, TAKEN_STATE_REFUSED);
	assert_int_equal(world_count(&world, XSR_WORKER_STAT_STATE_REFUSED), 1);
	expect_served(4);
}

static void message_of_a_session_that_has_gone_is_refused_and_counted(void **state)
{
	(void)state;
	session_on_its_way(7);
	tell(A, MAIL_GIVE, 7);
	poll_often(A);
	route_to(A);
	send(1);
	deliver();
	route_to(B);
	poll_often(A);
	expect_served(3);
	assert_int_equal(world_count(&world, XSR_WORKER_STAT_STALE), 1);
}

/* --- while workers come and leave --- */

static void new_session_is_held_while_workers_change(void **state)
{
	(void)state;
	tell(A, MAIL_ADOPT, 0);
	poll_once(A);
	assert_int_equal(answer(A).type, MAIL_ADOPTING);
	send(3);
	deliver();
	poll_often(A);
	expect_served(0);
	tell(A, MAIL_ADOPTED, 0);
	poll_often(A);
	expect_served(3);
	assert_int_equal(session_of(A)->state, SESSION_ACTIVE);
}

/* Another worker may have it, which hangs. */
static void new_session_that_waits_for_too_long_counts_as_one_without_its_state(void **state)
{
	(void)state;
	tell(A, MAIL_ADOPT, 0);
	poll_once(A);
	send(3);
	deliver();
	poll_often(A);
	now_ns += FENCE_MS * NS_PER_MS;
	poll_often(A);
	expect_served(3);
	assert_int_equal(world_count(&world, XSR_WORKER_STAT_NO_FENCE), 1);
	assert_int_equal(world.p.app.n_logged, 1);
}

static void new_session_that_goes_elsewhere_is_given_up_at_once(void **state)
{
	(void)state;
	tell(A, MAIL_ADOPT, 0);
	poll_once(A);
	send(3);
	deliver();
	poll_often(A);
	tell(A, MAIL_GIVE, 7);
	poll_often(A);
	expect_served(3);
	assert_int_equal(session_of(A)->state, SESSION_GONE);
}

static void worker_says_when_it_has_worked_off_what_had_arrived(void **state)
{
	const struct mail settle = { .type = MAIL_SETTLE };

	(void)state;
	send(5);
	deliver();
	assert_true(post_mail(&world.workers.control, A, &settle));
	poll_once(A);
	assert_int_equal(answer(A).type, 0);
	poll_often(A);
	assert_int_equal(answer(A).type, MAIL_SETTLED);
	expect_served(5);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, world_begin, world_end)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(expected_session_is_held_until_its_fence_comes),
		TEST(session_that_is_worked_off_holds_what_comes_in_the_time),
		TEST(fence_of_another_handoff_is_thrown_away),
		TEST(fence_that_does_not_come_is_not_waited_for_any_longer),
		TEST(session_that_is_told_again_is_waited_for_longer),
		TEST(cancelled_session_leaves_nothing_behind),
		TEST(session_is_given_up_behind_all_that_had_arrived),
		TEST(session_is_given_up_early_behind_all_that_was_redirected),
		TEST(early_request_that_comes_to_nothing_ends),
		TEST(session_that_came_back_is_not_given_up_by_an_old_request),
		TEST(state_that_is_longer_than_the_handler_may_write_is_not_sent),
		TEST(message_of_a_session_that_has_gone_is_refused_and_counted),
		TEST(new_session_is_held_while_workers_change),
		TEST(new_session_that_waits_for_too_long_counts_as_one_without_its_state),
		TEST(new_session_that_goes_elsewhere_is_given_up_at_once),
		TEST(worker_says_when_it_has_worked_off_what_had_arrived),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
