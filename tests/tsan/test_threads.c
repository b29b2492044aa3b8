/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Handoffs with threads, under the thread sanitizer: workers as they are, the control thread, a client, and a kernel that has a
 * thread for each queue. A session's entry in the ledger and its state are no atomics: two owners at a time would be a race.
 *   XSR_SECONDS  how long sessions move
 */
#include <poll.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <time.h>
#include <cmocka.h>

#include "balance.h"
#include "chance.h"
#include "fake_control.h"
#include "join.h"
#include "world.h"

#define NS_PER_S 1000000000ULL
#define SECONDS 3
#define REST_NS (20 * NS_PER_S) /* more is not waited for what is under way */
#define N_QUEUES 2
#define N_SESSIONS 48
#define UNSERVED_MAX 300 /* messages that the client has on their way */
#define LATECOMER 3	 /* the worker that joins the others while they run, and leaves them */

struct threads {
	struct world world;
	struct fake_control control;
	struct chance chance;
	pthread_t client;
	struct lane_thread {
		pthread_t thread;
		struct threads *threads;
		struct net_lane *lane;
	} lanes[N_QUEUES];
	atomic_bool client_ends, lanes_end;
};

static uint64_t clock_now_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return ts.tv_sec * NS_PER_S + ts.tv_nsec;
}

static void pause_us(unsigned int us)
{
	const struct timespec ts = { .tv_nsec = us * 1000L };

	nanosleep(&ts, NULL);
}

/* --- the client --- */

static void *client_main(void *arg)
{
	struct threads *t = arg;
	struct world *w = &t->world;
	struct chance chance = { .state = 7 };
	uint64_t n_sent = 0;

	while (!atomic_load(&t->client_ends)) {
		uint32_t session = chance_below(&chance, N_SESSIONS), n = chance_from(&chance, 1, 8);

		while (n-- && n_sent - w->ledger.n_served - net_n_dropped(&w->net) < UNSERVED_MAX)
			n_sent += net_send(&w->net, chance_below(&chance, N_QUEUES), session, chance_below(&chance, 60));
		if (chance_of(&chance, 10))
			pause_us(chance_below(&chance, 300));
	}
	return NULL;
}

/* --- the kernel --- */

/* Pauses anywhere between reading a route and showing the frame: then others have long gone on. */
static void *lane_main(void *arg)
{
	struct lane_thread *l = arg;
	struct chance chance = { .state = 11 + l->lane->number };

	while (!atomic_load(&l->threads->lanes_end)) {
		lane_step(&l->threads->world.net, l->lane);
		if (chance_below(&chance, 400) == 0 || (l->lane->at == LANE_IDLE && !l->lane->n_frames))
			pause_us(chance_below(&chance, 100));
	}
	return NULL;
}

/* --- control: this thread --- */

static void control_wait(struct threads *t)
{
	struct post *post = &t->world.workers.control;
	struct pollfd fd = { .fd = post->fd, .events = POLLIN };

	post_awake(post);
	fake_control_turn(&t->control, true);
	if (post_sleep(post))
		poll(&fd, 1, 1);
}

static void sessions_move(struct threads *t, unsigned int n_workers)
{
	const struct moves *m = &t->control.moves;
	uint32_t sessions[N_SESSIONS], i, n = chance_of(&t->chance, 10) ? N_SESSIONS : chance_from(&t->chance, 1, 4);
	uint16_t workers[N_SESSIONS];

	if (m->n_requests - m->n_ended >= 8)
		return;
	for (i = 0; i < n; i++) {
		sessions[i] = chance_below(&t->chance, N_SESSIONS);
		workers[i] = chance_below(&t->chance, n_workers);
	}
	moves_ask(&t->control.moves, sessions, workers, n);
}

/* Lets sessions move among the first n_workers. */
static void control_run(struct threads *t, unsigned int n_workers, uint64_t ns)
{
	uint64_t end_ns = clock_now_ns() + ns;

	while (clock_now_ns() < end_ns && !t->world.ledger.is_wrong) {
		if (chance_of(&t->chance, 50))
			sessions_move(t, n_workers);
		if (!t->control.listing && chance_of(&t->chance, 5))
			fake_list(&t->control);
		control_wait(t);
	}
}

/* Until `is_over`, for at most REST_NS. */
static void control_rest(struct threads *t, bool (*is_over)(struct threads *t))
{
	uint64_t end_ns = clock_now_ns() + REST_NS;

	while (!is_over(t)) {
		if (clock_now_ns() >= end_ns) {
			ledger_wrong(&t->world.ledger, "something does not come to its end");
			return;
		}
		control_wait(t);
	}
}

static bool moves_are_over(struct threads *t)
{
	return fake_control_rests(&t->control);
}

static bool others_have_parted(struct threads *t)
{
	return t->control.parted == (1ULL << LATECOMER) - 1;
}

/* The client has ended. */
static bool messages_are_served(struct threads *t)
{
	struct world *w = &t->world;

	return fake_control_rests(&t->control) && ledger_n_sent(&w->ledger) == w->ledger.n_served + net_n_dropped(&w->net);
}

/* --- who comes and leaves --- */

static void latecomer_joins(struct threads *t)
{
	world_worker_add(&t->world, LATECOMER);
	assert_int_equal(workers_start(&t->world.workers, LATECOMER), 0);
}

/* Its sessions go to the others; then nothing leads to it, and it ends. */
static void latecomer_leaves(struct threads *t)
{
	struct workers *ws = &t->world.workers;
	uint32_t i;

	for (i = 0; i < N_SESSIONS; i++) {
		uint16_t to = chance_below(&t->chance, LATECOMER);

		if (t->control.moves.expected[i].owner == LATECOMER)
			moves_ask(&t->control.moves, &i, &to, 1);
	}
	control_rest(t, moves_are_over);
	assert_int_equal(workers_stop(ws, LATECOMER), 0);
	assert_int_equal(workers_part(ws, LATECOMER), LATECOMER);
	control_rest(t, others_have_parted);
	if (t->world.ledger.is_wrong)
		return;
	workers_remove(ws, LATECOMER);
}

/* --- the run --- */

static void threads_open(struct threads *t)
{
	const struct world_params params = {
		.n_workers = LATECOMER + 1,
		.n_owners = LATECOMER,
		.n_queues = N_QUEUES,
		.n_lanes = N_QUEUES,
		.n_sessions = N_SESSIONS,
		.n_max = 1 << 16,
		.wire_len = 64,
		.ring_len = 512,
		.strict = true,
		.generation = 0xff00,
		.stamp_percent = 50,
		.umem = { .recv_max = 16, .reserve_failures = 10, .redirects_known = true, .wakes = true },
		.app = { .bytes_max = 1000 },
		.worker = { .batch = 16, .sessions_max = 2 * N_SESSIONS, .hold_max = 1 << 20, .hold_ms = 60000,
			    .hold_len = 16 << 20, .fence_ms = 60000 },
	};
	unsigned int i;

	t->chance.state = 3;
	world_open(&t->world, &params, &t->chance);
	for (i = 0; i < LATECOMER; i++)
		world_worker_add(&t->world, i);
	fake_control_open(&t->control, &t->world, clock_now_ns);
}

static void threads_start(struct threads *t)
{
	unsigned int i;

	for (i = 0; i < LATECOMER; i++)
		assert_int_equal(workers_start(&t->world.workers, i), 0);
	for (i = 0; i < N_QUEUES; i++) {
		t->lanes[i].threads = t;
		t->lanes[i].lane = &t->world.net.lanes[i];
		assert_int_equal(pthread_create(&t->lanes[i].thread, NULL, lane_main, &t->lanes[i]), 0);
	}
	assert_int_equal(pthread_create(&t->client, NULL, client_main, t), 0);
}

static void threads_end(struct threads *t)
{
	unsigned int i;

	atomic_store(&t->client_ends, true);
	pthread_join(t->client, NULL);
	control_rest(t, messages_are_served);
	atomic_store(&t->lanes_end, true);
	for (i = 0; i < N_QUEUES; i++)
		pthread_join(t->lanes[i].thread, NULL);
	for (i = 0; i < LATECOMER; i++)
		assert_int_equal(workers_stop(&t->world.workers, i), 0);
}

static void threads_move_sessions_without_a_race(void **state)
{
	static struct threads t;
	const struct balance balance = { .world = &t.world, .moves = &t.control.moves };
	const char *seconds = getenv("XSR_SECONDS");
	uint64_t ns = (seconds ? atoi(seconds) : SECONDS) * NS_PER_S;

	(void)state;
	threads_open(&t);
	threads_start(&t);
	control_run(&t, LATECOMER, ns / 3);
	latecomer_joins(&t);
	control_run(&t, LATECOMER + 1, ns / 3);
	latecomer_leaves(&t);
	control_run(&t, LATECOMER, ns / 3);
	threads_end(&t);
	balance_check(&balance);
	print_message("%zu moves, %u messages\n", t.control.moves.sum.n_moved, t.world.ledger.n_served);
	if (t.world.ledger.is_wrong)
		fail_msg("%s", t.world.ledger.wrong);
	assert_in_range(t.control.moves.sum.n_moved, 100, UINT32_MAX); /* else nothing was tested */
	assert_in_range(t.world.ledger.n_served, 1000, UINT32_MAX);
	fake_control_close(&t.control);
	world_close(&t.world);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(threads_move_sessions_without_a_race),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
