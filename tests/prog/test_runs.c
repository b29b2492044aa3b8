/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* What tells a router which frames are still to come: runs that are under way, and frames that were redirected. */
#include "prog.h"

#define PORT 5000
#define ID 42

static struct prog_service service_start(struct prog *prog)
{
	return prog_service_add(prog, &(struct service_spec){ .name = "game",
							      .address = "0.0.0.0:5000",
							      .id = "offset:0:8",
							      .default_action = "drop" });
}

static void packet_of(struct packet *p, uint64_t id)
{
	__be64 payload = htobe64(id);

	memset(p, 0, sizeof(*p));
	packet_make_udp4(p, PORT, &payload, sizeof(payload));
}

static void counting(struct prog *prog, bool on)
{
	prog->maps->switches->count_runs = on;
}

static struct xsr_runs runs_of(const struct prog *prog, uint32_t queue)
{
	return prog->maps->runs[queue];
}

static uint64_t redirected(const struct prog *prog, uint32_t queue, uint32_t worker)
{
	return prog->maps->slots[xsr_slot_index(queue, worker)].n_redirected;
}

/* One message from this queue. */
static void run_once(struct prog *prog, const struct prog_service *service, uint32_t queue, enum xsr_stat stat)
{
	struct prog_run run = { .ifindex = PROG_IFINDEX, .queue = queue };
	struct packet p;

	packet_of(&p, ID);
	expect_stat_run(prog, &p, &run, service->index, stat);
}

static void runs_are_not_counted_unless_somebody_asks(void **state)
{
	struct prog_service game = service_start(*state);
	struct prog *prog = *state;
	struct xsr_runs before;

	prog_workers_start(prog, 1);
	counting(prog, false);
	before = runs_of(prog, 0);
	run_once(prog, &game, 0, XSR_STAT_NO_ROUTE_DROP);
	assert_int_equal(runs_of(prog, 0).begun, before.begun);
	assert_int_equal(runs_of(prog, 0).ended, before.ended);
}

static void every_run_is_counted_once_at_its_queue_whatever_became_of_it(void **state)
{
	static const struct {
		enum xsr_action action;
		enum xsr_stat stat;
	} cases[] = {
		{ XSR_ACTION_WORKER, XSR_STAT_ROUTE_WORKER },
		{ XSR_ACTION_PASS, XSR_STAT_ROUTE_PASS },
		{ XSR_ACTION_DROP, XSR_STAT_ROUTE_DROP },
	};
	struct prog_service game = service_start(*state);
	struct prog *prog = *state;
	unsigned int i, queue;

	prog_workers_start(prog, 1);
	counting(prog, true);
	for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
		for (queue = 0; queue < PROG_N_QUEUES; queue++) {
			struct xsr_runs before = runs_of(prog, queue), other = runs_of(prog, (queue + 1) % 4);

			prog_route(prog, &game, ID, cases[i].action, 0);
			run_once(prog, &game, queue, cases[i].stat);
			assert_int_equal(runs_of(prog, queue).begun, before.begun + 1);
			assert_int_equal(runs_of(prog, queue).ended, before.ended + 1);
			assert_int_equal(runs_of(prog, (queue + 1) % 4).begun, other.begun);
		}
	counting(prog, false);
}

static void run_on_bytes_that_are_no_packet_ends_too(void **state)
{
	struct prog_run run = { .ifindex = PROG_IFINDEX };
	struct prog *prog = *state;
	struct xsr_runs before;
	struct packet p = { .len = PROG_FRAME_MIN };

	prog_workers_start(prog, 1);
	counting(prog, true);
	before = runs_of(prog, 0);
	expect_stat_run(prog, &p, &run, 0, XSR_STAT_NOT_IP);
	assert_int_equal(runs_of(prog, 0).begun, before.begun + 1);
	assert_int_equal(runs_of(prog, 0).ended, before.ended + 1);
	counting(prog, false);
}

static void run_of_a_device_without_sockets_is_not_counted(void **state)
{
	struct prog_service game = service_start(*state);
	struct prog_run run = { .ifindex = PROG_PEER_IFINDEX };
	struct prog *prog = *state;
	struct xsr_runs before;
	struct packet p;

	prog_workers_start(prog, 1);
	counting(prog, true);
	before = runs_of(prog, 0);
	packet_of(&p, ID);
	expect_stat_run(prog, &p, &run, game.index, XSR_STAT_NO_ROUTE_DROP);
	assert_int_equal(runs_of(prog, 0).begun, before.begun);
	counting(prog, false);
}

static void redirect_is_counted_at_its_queue_and_worker(void **state)
{
	struct prog_service game = service_start(*state);
	struct prog *prog = *state;

	prog_workers_start(prog, 2);
	prog_route(prog, &game, ID, XSR_ACTION_WORKER, 1);
	run_once(prog, &game, 2, XSR_STAT_ROUTE_WORKER);
	assert_int_equal(redirected(prog, 2, 1), 1);
	assert_int_equal(redirected(prog, 2, 0), 0);
	assert_int_equal(redirected(prog, 1, 1), 0);
}

static void redirects_are_counted_from_publish_on(void **state)
{
	struct prog_service game = service_start(*state);
	struct prog *prog = *state;

	prog_workers_start(prog, 1);
	prog_route(prog, &game, ID, XSR_ACTION_WORKER, 0);
	run_once(prog, &game, 0, XSR_STAT_ROUTE_WORKER);
	xsr_router_close(prog->router);
	prog->router = NULL;
	prog_workers_start(prog, 1);
	assert_int_equal(redirected(prog, 0, 0), 0);
}

static void message_that_finds_no_worker_is_no_redirect(void **state)
{
	struct prog_service game = service_start(*state);
	struct prog *prog = *state;
	uint32_t key = xsr_slot_index(0, 0);

	prog_workers_start(prog, 1);
	prog_route(prog, &game, ID, XSR_ACTION_WORKER, 0);
	assert_int_equal(bpf_map_delete_elem(prog->maps->fds[MAPS_SOCKETS], &key), 0);
	run_once(prog, &game, 0, XSR_STAT_WORKER_GONE_DROP);
	assert_int_equal(redirected(prog, 0, 0), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		prog_test(runs_are_not_counted_unless_somebody_asks),
		prog_test(every_run_is_counted_once_at_its_queue_whatever_became_of_it),
		prog_test(run_on_bytes_that_are_no_packet_ends_too),
		prog_test(run_of_a_device_without_sockets_is_not_counted),
		prog_test(redirect_is_counted_at_its_queue_and_worker),
		prog_test(redirects_are_counted_from_publish_on),
		prog_test(message_that_finds_no_worker_is_no_redirect),
	};

	return prog_run_tests(tests);
}
