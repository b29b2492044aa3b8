/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* What a worker learns from the stamp before a frame: when it came, and by which generation of its route. */
#include <time.h>

#include "prog.h"

#define PORT 5000
#define ID 42
#define N_SAMPLES 2000

static struct prog_service service_start(struct prog *prog, const char *stamp, const char *action)
{
	return prog_service_add(prog, &(struct service_spec){ .name = "game",
							      .address = "0.0.0.0:5000",
							      .id = "offset:0:8",
							      .default_action = action,
							      .stamp = stamp });
}

static void packet_of(struct packet *p, uint64_t id)
{
	__be64 payload = htobe64(id);

	memset(p, 0, sizeof(*p));
	packet_make_udp4(p, PORT, &payload, sizeof(payload));
}

static uint64_t now_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return ts.tv_sec * 1000000000ULL + ts.tv_nsec;
}

/* Where a worker looks for it: right before the frame. */
static struct xsr_stamp stamp_of(const struct prog_run *run)
{
	struct xsr_stamp stamp;

	assert_in_range(run->meta_len, sizeof(stamp), 32);
	memcpy(&stamp, run->data + run->meta_len - sizeof(stamp), sizeof(stamp));
	return stamp;
}

static void expect_stamp(const struct prog_run *run, uint32_t service, uint16_t generation)
{
	struct xsr_stamp stamp = stamp_of(run);

	assert_int_equal(stamp.magic, XSR_STAMP_MAGIC);
	assert_int_equal(stamp.service, service);
	assert_int_equal(stamp.generation, generation);
}

static void frame_is_not_stamped_if_it_is_off(void **state)
{
	struct prog_service game = service_start(*state, "off", "hash");
	struct prog_run run = { .ifindex = PROG_IFINDEX };
	struct packet p;

	prog_workers_start(*state, 2);
	packet_of(&p, ID);
	expect_stat_run(*state, &p, &run, game.index, XSR_STAT_NO_ROUTE_HASH);
	assert_int_equal(run.meta_len, 0);
	prog_route(*state, &game, ID, XSR_ACTION_WORKER, 1);
	expect_stat_run(*state, &p, &run, game.index, XSR_STAT_ROUTE_WORKER);
	assert_int_equal(run.meta_len, 0);
}

static void stamp_tells_the_service_and_the_routes_generation(void **state)
{
	struct prog_run run = { .ifindex = PROG_IFINDEX };
	struct prog_service game;
	struct packet p;
	int generation;

	prog_service_add(*state, &(struct service_spec){
					 .name = "other", .address = "0.0.0.0:5001", .id = "offset:0:8" });
	game = service_start(*state, "on", "pass");
	assert_int_equal(game.index, 2);
	prog_workers_start(*state, 2);
	packet_of(&p, ID);
	for (generation = 1; generation <= 3; generation++) {
		prog_route(*state, &game, ID, XSR_ACTION_WORKER, generation % 2);
		expect_stat_run(*state, &p, &run, game.index, XSR_STAT_ROUTE_WORKER);
		assert_int_equal(run.meta_len, sizeof(struct xsr_stamp));
		expect_stamp(&run, game.index, generation);
	}
}

static void generation_0_says_that_a_default_action_led_there(void **state)
{
	struct prog_service game = service_start(*state, "on", "hash");
	struct prog_run run = { .ifindex = PROG_IFINDEX };
	struct packet p;

	prog_workers_start(*state, 2);
	packet_of(&p, ID);
	expect_stat_run(*state, &p, &run, game.index, XSR_STAT_NO_ROUTE_HASH);
	expect_stamp(&run, game.index, 0);
	prog_route(*state, &game, ID, XSR_ACTION_WORKER, 9);
	expect_stat_run(*state, &p, &run, game.index, XSR_STAT_WORKER_GONE_HASH);
	expect_stamp(&run, game.index, 0);
}

static void stamp_of_a_stale_id_has_not_the_routes_generation(void **state)
{
	struct prog_run run = { .ifindex = PROG_IFINDEX };
	struct prog_service game;
	struct packet p;

	game = prog_service_add(*state, &(struct service_spec){ .name = "game",
								.address = "0.0.0.0:5000",
								.id = "offset:0:8",
								.default_action = "hash",
								.dense = "16",
								.stamp = "on" });
	prog_workers_start(*state, 2);
	prog_route(*state, &game, 3ULL << 48 | 5, XSR_ACTION_WORKER, 1);
	packet_of(&p, 4ULL << 48 | 5);
	expect_stat_run(*state, &p, &run, game.index, XSR_STAT_STALE_ID_HASH);
	expect_stamp(&run, game.index, 0);
}

/* The shadow says that the slot is live, but its socket is not in the map. */
static void socket_forget(struct prog *prog, unsigned int worker)
{
	uint32_t key = xsr_slot_index(0, worker);

	assert_int_equal(bpf_map_delete_elem(prog->maps->fds[MAPS_SOCKETS], &key), 0);
}

static void stamp_of_a_worker_whose_socket_died_does_not_reach_the_next(void **state)
{
	struct prog_service game = service_start(*state, "on", "hash");
	struct prog_run run = { .ifindex = PROG_IFINDEX };
	struct prog *prog = *state;
	struct packet p;
	uint32_t i;

	prog_workers_start(prog, 2);
	prog_route(prog, &game, ID, XSR_ACTION_WORKER, 1);
	socket_forget(prog, 1);
	for (i = 0; i < XSR_BUCKETS_MAX; i++)
		prog->maps->buckets[i].worker = 1;
	packet_of(&p, ID);
	expect_stat_run(prog, &p, &run, game.index, XSR_STAT_WORKER_GONE_HASH);
	expect_stamp(&run, game.index, 0);
}

static void stamp_stands_right_before_the_frame_whatever_a_driver_left_there(void **state)
{
	struct prog_service game = service_start(*state, "on", "pass");
	struct packet p;
	uint32_t len;

	prog_workers_start(*state, 2);
	prog_route(*state, &game, ID, XSR_ACTION_WORKER, 1);
	packet_of(&p, ID);
	for (len = 0; len <= 32; len += 4) {
		struct prog_run run = { .ifindex = PROG_IFINDEX, .driver_meta_len = len };

		expect_stat_run(*state, &p, &run, game.index, XSR_STAT_ROUTE_WORKER);
		expect_stamp(&run, game.index, 1);
	}
}

static void what_no_worker_gets_is_not_stamped(void **state)
{
	struct prog_service game = service_start(*state, "on", "pass");
	struct prog_run run = { .ifindex = PROG_IFINDEX };
	struct packet p;

	prog_workers_start(*state, 2);
	packet_of(&p, ID);
	expect_stat_run(*state, &p, &run, game.index, XSR_STAT_NO_ROUTE_PASS);
	assert_int_equal(run.meta_len, 0);
	prog_route(*state, &game, ID, XSR_ACTION_PASS, 0);
	expect_stat_run(*state, &p, &run, game.index, XSR_STAT_ROUTE_PASS);
	assert_int_equal(run.meta_len, 0);
	prog_route(*state, &game, ID, XSR_ACTION_DROP, 0);
	expect_stat_run(*state, &p, &run, game.index, XSR_STAT_ROUTE_DROP);
	assert_int_equal(run.meta_len, 0);
	prog_route(*state, &game, ID, XSR_ACTION_WORKER, 9);
	expect_stat_run(*state, &p, &run, game.index, XSR_STAT_WORKER_GONE_PASS);
	assert_int_equal(run.meta_len, 0);
}

static void stamps_time_is_that_of_the_run(void **state)
{
	struct prog_service game = service_start(*state, "on", "pass");
	struct prog_run run = { .ifindex = PROG_IFINDEX };
	uint64_t before, after;
	struct packet p;
	int i;

	prog_workers_start(*state, 2);
	prog_route(*state, &game, ID, XSR_ACTION_WORKER, 0);
	packet_of(&p, ID);
	after = now_ns();
	for (i = 0; i < 100; i++) {
		before = after;
		expect_stat_run(*state, &p, &run, game.index, XSR_STAT_ROUTE_WORKER);
		after = now_ns();
		assert_in_range(stamp_of(&run).time_ns, before, after);
	}
}

static unsigned int n_stamped(struct prog *prog, const struct packet *p)
{
	struct prog_run run = { .ifindex = PROG_IFINDEX };
	unsigned int i, n = 0;

	for (i = 0; i < N_SAMPLES; i++) {
		assert_int_equal(prog_run(prog, p->data, p->len, &run), 0);
		assert_int_equal(run.verdict, XDP_REDIRECT);
		n += run.meta_len != 0;
	}
	return n;
}

/* Give or take six standard deviations of 22 and of 13. */
static void about_one_of_n_is_stamped_if_it_says_n(void **state)
{
	struct prog_service game = service_start(*state, "2", "pass");
	struct prog *prog = *state;
	struct packet p;

	prog_workers_start(prog, 2);
	prog_route(prog, &game, ID, XSR_ACTION_WORKER, 0);
	packet_of(&p, ID);
	assert_in_range(n_stamped(prog, &p), N_SAMPLES / 2 - 134, N_SAMPLES / 2 + 134);
	game.s.stamp_interval = 10;
	prog_lock(prog);
	service_update(prog->maps, game.index, &game.s);
	maps_unlock(prog->maps);
	assert_in_range(n_stamped(prog, &p), N_SAMPLES / 10 - 80, N_SAMPLES / 10 + 80);
}

static void hardly_any_is_stamped_if_it_says_so(void **state)
{
	struct prog_service game = service_start(*state, "0x80000000", "pass");
	struct packet p;

	prog_workers_start(*state, 2);
	prog_route(*state, &game, ID, XSR_ACTION_WORKER, 0);
	packet_of(&p, ID);
	assert_in_range(n_stamped(*state, &p), 0, 2);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		prog_test(frame_is_not_stamped_if_it_is_off),
		prog_test(stamp_tells_the_service_and_the_routes_generation),
		prog_test(generation_0_says_that_a_default_action_led_there),
		prog_test(stamp_of_a_stale_id_has_not_the_routes_generation),
		prog_test(stamp_of_a_worker_whose_socket_died_does_not_reach_the_next),
		prog_test(stamp_stands_right_before_the_frame_whatever_a_driver_left_there),
		prog_test(what_no_worker_gets_is_not_stamped),
		prog_test(stamps_time_is_that_of_the_run),
		prog_test(about_one_of_n_is_stamped_if_it_says_n),
		prog_test(hardly_any_is_stamped_if_it_says_so),
	};

	return prog_run_tests(tests);
}
