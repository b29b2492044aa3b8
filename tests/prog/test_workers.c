/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* A worker gets what its route sends it, from every queue, as long as it has a socket there. */
#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>

#include "prog.h"

#define PORT 5000
#define N_WORKERS 3
#define ID 42
#define N_DELIVERED 40 /* fewer than a queue has frames */

static struct prog_service service_start(struct prog *prog, const char *action)
{
	return prog_service_add(prog, &(struct service_spec){ .name = "game",
							      .address = "0.0.0.0:5000",
							      .id = "offset:0:8",
							      .default_action = action,
							      .stamp = "on" });
}

static void packet_of(struct packet *p, uint64_t id)
{
	__be64 payload = htobe64(id);

	memset(p, 0, sizeof(*p));
	packet_make_udp4(p, PORT, &payload, sizeof(payload));
}

/* A message to this worker, from a queue of PROG_DEV. */
#define expect_worker(prog, service, queue_, worker, stat)                                                   \
	do {                                                                                                 \
		struct prog_run run_ = { .ifindex = PROG_IFINDEX, .queue = queue_ };                         \
		struct packet packet_;                                                                       \
		packet_of(&packet_, ID);                                                                     \
		prog_route(prog, service, ID, XSR_ACTION_WORKER, worker);                                    \
		expect_stat_run(prog, &packet_, &run_, (service)->index, stat);                              \
	} while (0)

/* --- which slots are live --- */

static void every_worker_is_reached_from_every_queue(void **state)
{
	struct prog_service game = service_start(*state, "drop");
	unsigned int queue, worker;

	prog_workers_start(*state, N_WORKERS);
	for (queue = 0; queue < PROG_N_QUEUES; queue++)
		for (worker = 0; worker < N_WORKERS; worker++)
			expect_worker(*state, &game, queue, worker, XSR_STAT_ROUTE_WORKER);
}

static void worker_that_does_not_run_is_gone(void **state)
{
	static const uint16_t workers[] = { N_WORKERS, 9, XSR_WORKERS_MAX - 1, XSR_WORKERS_MAX, 0xffff };
	struct prog_service game = service_start(*state, "drop");
	unsigned int queue, i;

	prog_workers_start(*state, N_WORKERS);
	for (queue = 0; queue < PROG_N_QUEUES; queue++)
		for (i = 0; i < sizeof(workers) / sizeof(workers[0]); i++)
			expect_worker(*state, &game, queue, workers[i], XSR_STAT_WORKER_GONE_DROP);
}

/* Queue 0 has no worker 64: the slot of that number is worker 0's of queue 1. */
static void worker_beyond_the_table_is_not_the_first_of_the_next_queue(void **state)
{
	struct prog_service game = service_start(*state, "drop");

	prog_workers_start(*state, 1);
	expect_worker(*state, &game, 1, 0, XSR_STAT_ROUTE_WORKER);
	expect_worker(*state, &game, 0, XSR_WORKERS_MAX, XSR_STAT_WORKER_GONE_DROP);
}

static void workers_are_reached_from_publish_to_stop(void **state)
{
	struct prog_service game = service_start(*state, "drop");
	struct prog *prog = *state;

	expect_worker(prog, &game, 0, 0, XSR_STAT_WORKER_GONE_DROP);
	prog->router = prog_router_open(N_WORKERS, xsr_handler_find("echo"));
	assert_non_null(prog->router);
	expect_worker(prog, &game, 0, 0, XSR_STAT_WORKER_GONE_DROP);
	assert_int_equal(xsr_router_publish(prog->router), 0);
	expect_worker(prog, &game, 0, 0, XSR_STAT_ROUTE_WORKER);
	xsr_router_stop(prog->router);
	expect_worker(prog, &game, 0, 0, XSR_STAT_WORKER_GONE_DROP);
}

static void withdrawn_socket_is_missing_at_its_queue_and_worker_only(void **state)
{
	struct prog_service game = service_start(*state, "drop");
	unsigned int queue, worker;
	struct prog *prog = *state;

	prog_workers_start(prog, N_WORKERS);
	assert_int_equal(socket_withdraw(prog->maps, 2, 1), 0);
	for (queue = 0; queue < PROG_N_QUEUES; queue++)
		for (worker = 0; worker < N_WORKERS; worker++)
			expect_worker(prog, &game, queue, worker,
				      queue == 2 && worker == 1 ? XSR_STAT_WORKER_GONE_DROP
								: XSR_STAT_ROUTE_WORKER);
}

static void slot_store(struct prog *prog, uint16_t queue, uint16_t worker, uint32_t ifindex)
{
	uint32_t key = xsr_slot_index(queue, worker);
	const struct xsr_slot slot = { .ifindex = ifindex, .pid = getpid() };

	assert_int_equal(bpf_map_update_elem(prog->maps->fds[MAPS_SLOTS], &key, &slot, BPF_ANY), 0);
}

static void slot_of_another_device_is_not_used(void **state)
{
	struct prog_service game = service_start(*state, "drop");
	struct prog *prog = *state;

	prog_workers_start(prog, N_WORKERS);
	slot_store(prog, 0, 0, PROG_PEER_IFINDEX);
	expect_worker(prog, &game, 0, 0, XSR_STAT_WORKER_GONE_DROP);
	slot_store(prog, 0, 0, 0);
	expect_worker(prog, &game, 0, 0, XSR_STAT_WORKER_GONE_DROP);
	slot_store(prog, 0, 0, PROG_IFINDEX);
	expect_worker(prog, &game, 0, 0, XSR_STAT_ROUTE_WORKER);
}

/* Its ifindex has the low bits of the router's device; a redirect would be dropped by the kernel. */
static void frame_from_another_device_finds_no_worker(void **state)
{
	struct prog_service game = service_start(*state, "drop");
	struct prog_run peer = { .ifindex = PROG_PEER_IFINDEX }, lo = { .ifindex = PROG_LO_IFINDEX };
	struct packet p;

	prog_workers_start(*state, N_WORKERS);
	prog_route(*state, &game, ID, XSR_ACTION_WORKER, 0);
	packet_of(&p, ID);
	expect_stat_run(*state, &p, &peer, game.index, XSR_STAT_WORKER_GONE_DROP);
	expect_stat_run(*state, &p, &lo, game.index, XSR_STAT_WORKER_GONE_DROP);
	expect_stat(*state, &p, game.index, XSR_STAT_ROUTE_WORKER);
}

/* The entry that both would have is the other one's; a killed router's slots are still there. */
static void frame_from_a_device_whose_entry_another_took_finds_no_worker(void **state)
{
	const struct xsr_device other = { .ifindex = PROG_PEER_IFINDEX, .n_queues = PROG_N_QUEUES };
	struct prog_service game = service_start(*state, "drop");
	uint32_t key = PROG_IFINDEX & (XSR_DEVICES_MAX - 1);
	struct prog *prog = *state;

	prog_workers_start(prog, N_WORKERS);
	assert_int_equal(bpf_map_update_elem(prog->maps->fds[MAPS_DEVICES], &key, &other, BPF_ANY), 0);
	expect_worker(prog, &game, 0, 0, XSR_STAT_WORKER_GONE_DROP);
}

/* More queues than the router knew: a device may get some while it runs. */
static void frame_from_a_queue_without_sockets_finds_no_worker(void **state)
{
	struct prog_service game = service_start(*state, "drop");
	struct prog *prog = *state;
	int base;

	prog_workers_start(prog, N_WORKERS);
	prog_lock(prog);
	base = device_publish(prog->maps, PROG_IFINDEX, 2);
	maps_unlock(prog->maps);
	assert_int_equal(base, 0);
	expect_worker(prog, &game, 1, 0, XSR_STAT_ROUTE_WORKER);
	expect_worker(prog, &game, 2, 0, XSR_STAT_WORKER_GONE_DROP);
	expect_worker(prog, &game, 3, 0, XSR_STAT_WORKER_GONE_DROP);
}

/* --- sockets that died --- */

static void socket_that_is_not_in_the_map_is_gone_though_its_slot_is_live(void **state)
{
	struct prog_service game = service_start(*state, "pass");
	uint32_t key = xsr_slot_index(0, 1);
	struct prog *prog = *state;

	prog_workers_start(prog, N_WORKERS);
	assert_int_equal(bpf_map_delete_elem(prog->maps->fds[MAPS_SOCKETS], &key), 0);
	expect_worker(prog, &game, 0, 0, XSR_STAT_ROUTE_WORKER);
	expect_worker(prog, &game, 0, 1, XSR_STAT_WORKER_GONE_PASS);
	expect_worker(prog, &game, 1, 1, XSR_STAT_ROUTE_WORKER);
}

static void child_serve(int ready_fd)
{
	struct xsr_router *router;
	char published;

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	router = prog_router_open(N_WORKERS, xsr_handler_find("echo"));
	published = router && xsr_router_publish(router) == 0;
	if (write(ready_fd, &published, 1) == 1 && published)
		pause();
	_exit(1);
}

/* A process that serves the instance and never says that it stops. Its pid, or -1. */
static pid_t child_start(void)
{
	char published = 0;
	int ready[2];
	pid_t pid;

	assert_int_equal(pipe(ready), 0);
	pid = fork();
	if (pid == 0)
		child_serve(ready[1]);
	close(ready[1]);
	if (pid > 0 && (read(ready[0], &published, 1) != 1 || !published)) {
		waitpid(pid, NULL, 0);
		pid = -1;
	}
	close(ready[0]);
	return pid;
}

static void child_kill(pid_t pid)
{
	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
}

/* Runs the test's body against a router that is killed, even if the body fails. */
static void expect_gone_after_kill(struct prog *prog, const struct prog_service *game, enum xsr_result result)
{
	pid_t pid = child_start();
	struct packet p;
	unsigned int i;

	assert_int_not_equal(pid, -1);
	packet_of(&p, ID);
	prog_route(prog, game, ID, XSR_ACTION_WORKER, 1);
	child_kill(pid);
	for (i = 0; i < 100; i++) {
		struct prog_run run = { .ifindex = PROG_IFINDEX, .queue = i % PROG_N_QUEUES };

		expect_stat_run(prog, &p, &run, game->index,
				xsr_stat_default(XSR_REASON_WORKER_GONE, result));
	}
}

static void messages_to_a_killed_router_are_counted_and_left_to_the_stack(void **state)
{
	struct prog_service game = service_start(*state, "pass");

	expect_gone_after_kill(*state, &game, XSR_RESULT_PASS);
}

static void messages_to_a_killed_router_are_left_to_the_stack_if_it_is_the_one_to_hash_to(void **state)
{
	struct prog_service game = service_start(*state, "hash");

	expect_gone_after_kill(*state, &game, XSR_RESULT_NO_WORKER);
}

static void another_process_is_served_by_its_own_router(void **state)
{
	struct prog_service game = service_start(*state, "drop");
	struct prog_run run = { .ifindex = PROG_IFINDEX, .queue = 3 };
	pid_t pid = child_start();
	struct packet p;
	int ret;

	assert_int_not_equal(pid, -1);
	prog_route(*state, &game, ID, XSR_ACTION_WORKER, 2);
	packet_of(&p, ID);
	ret = prog_run(*state, p.data, p.len, &run);
	child_kill(pid);
	assert_int_equal(ret, 0);
	assert_int_equal(run.verdict, XDP_REDIRECT);
}

static void killed_routers_place_is_taken_at_once(void **state)
{
	struct prog_service game = service_start(*state, "drop");
	struct prog *prog = *state;
	unsigned int queue;
	pid_t pid;
	int i;

	for (i = 0; i < 3; i++) {
		pid = child_start();
		assert_int_not_equal(pid, -1);
		child_kill(pid);
		prog_workers_start(prog, N_WORKERS);
		for (queue = 0; queue < PROG_N_QUEUES; queue++)
			expect_worker(prog, &game, queue, 2, XSR_STAT_ROUTE_WORKER);
		xsr_router_close(prog->router);
		prog->router = NULL;
	}
}

static void closed_router_may_be_opened_again_at_once(void **state)
{
	struct prog_service game = service_start(*state, "drop");
	struct prog *prog = *state;
	int i;

	for (i = 0; i < 10; i++) {
		prog_workers_start(prog, N_WORKERS);
		expect_worker(prog, &game, i % PROG_N_QUEUES, i % N_WORKERS, XSR_STAT_ROUTE_WORKER);
		xsr_router_close(prog->router);
		prog->router = NULL;
		expect_worker(prog, &game, i % PROG_N_QUEUES, i % N_WORKERS, XSR_STAT_WORKER_GONE_DROP);
	}
}

/* --- what arrives: frames that the kernel really redirects --- */

struct inbox {
	unsigned int n;
	struct xsr_message messages[N_DELIVERED]; /* data is not theirs any more */
	__u8 payloads[N_DELIVERED][8];
};

static struct inbox inboxes[N_WORKERS];

static int inbox_open(struct xsr_worker *worker, void **context)
{
	struct inbox *inbox = &inboxes[xsr_worker_number(worker)];

	memset(inbox, 0, sizeof(*inbox));
	*context = inbox;
	return 0;
}

static enum xsr_verdict inbox_message(void *context, struct xsr_session *session, struct xsr_message *message)
{
	struct inbox *inbox = context;

	(void)session;
	if (inbox->n < N_DELIVERED && message->len == 8) {
		memcpy(inbox->payloads[inbox->n], message->data, 8);
		inbox->messages[inbox->n] = *message;
	}
	inbox->n++;
	return XSR_RELEASE;
}

static const struct xsr_handler inbox_handler = {
	.name = "inbox",
	.open = inbox_open,
	.message = inbox_message,
};

static void inboxes_start(struct prog *prog)
{
	prog->router = prog_router_open(N_WORKERS, &inbox_handler);
	assert_non_null(prog->router);
	assert_int_equal(xsr_router_publish(prog->router), 0);
}

static void inboxes_poll(struct prog *prog)
{
	unsigned int worker;

	for (worker = 0; worker < N_WORKERS; worker++)
		while (xsr_worker_poll(xsr_router_worker(prog->router, worker), 0) > 0)
			;
}

/* The frame goes where the verdict says. The kernel lets such frames come from queue 0. */
static void packet_deliver(struct prog *prog, const struct packet *p)
{
	struct xdp_md in = { .data_end = p->len, .ingress_ifindex = PROG_IFINDEX };
	LIBBPF_OPTS(bpf_test_run_opts, opts, .data_in = p->data, .data_size_in = p->len, .ctx_in = &in,
		    .ctx_size_in = sizeof(in), .repeat = 1, .flags = BPF_F_TEST_XDP_LIVE_FRAMES);

	assert_int_equal(bpf_prog_test_run_opts(prog->fd, &opts), 0);
}

static void worker_receives_the_message_with_its_stamp(void **state)
{
	struct prog_service game = service_start(*state, "drop");
	const struct xsr_message *m = &inboxes[1].messages[0];
	struct packet p;

	inboxes_start(*state);
	prog_route(*state, &game, ID, XSR_ACTION_WORKER, 0);
	prog_route(*state, &game, ID, XSR_ACTION_WORKER, 1);
	packet_of(&p, ID);
	packet_deliver(*state, &p);
	inboxes_poll(*state);
	assert_int_equal(inboxes[0].n, 0);
	assert_int_equal(inboxes[1].n, 1);
	assert_int_equal(inboxes[2].n, 0);
	assert_memory_equal(inboxes[1].payloads[0], p.data + p.payload_at, 8);
	assert_int_equal(m->service, game.index);
	assert_true(m->has_id);
	assert_int_equal(m->id, ID);
	assert_int_equal(m->generation, 2);
	assert_int_not_equal(m->time_ns, 0);
	assert_int_equal(m->peer.family, 4);
	assert_int_equal(m->peer.port, htobe16(40000));
	assert_int_equal(m->peer.local_port, htobe16(PORT));
}

static void message_of_a_default_action_arrives_with_generation_0(void **state)
{
	unsigned int worker, n = 0;
	struct packet p;

	service_start(*state, "hash");
	inboxes_start(*state);
	packet_of(&p, ID);
	packet_deliver(*state, &p);
	inboxes_poll(*state);
	for (worker = 0; worker < N_WORKERS; worker++) {
		n += inboxes[worker].n;
		assert_int_equal(inboxes[worker].messages[0].generation, 0);
	}
	assert_int_equal(n, 1);
}

/* The route changes before each message: all arrive, each once, in order, at the right worker. */
static void each_message_arrives_once_at_the_worker_of_its_moment(void **state)
{
	struct prog_service game = service_start(*state, "drop");
	unsigned int i, at[N_WORKERS] = {};
	struct packet p;

	inboxes_start(*state);
	packet_of(&p, ID);
	for (i = 0; i < N_DELIVERED; i++) {
		prog_route(*state, &game, ID, XSR_ACTION_WORKER, i * i % N_WORKERS);
		packet_deliver(*state, &p);
	}
	inboxes_poll(*state);
	for (i = 0; i < N_DELIVERED; i++) {
		const struct inbox *inbox = &inboxes[i * i % N_WORKERS];

		assert_int_equal(inbox->messages[at[i * i % N_WORKERS]++].generation, i + 1);
	}
	for (i = 0; i < N_WORKERS; i++)
		assert_int_equal(inboxes[i].n, at[i]);
}

static void worker_receives_nothing_from_a_route_that_drops(void **state)
{
	struct prog_service game = service_start(*state, "pass");
	struct prog *prog = *state;
	struct packet p;

	inboxes_start(prog);
	packet_of(&p, ID);
	prog_route(prog, &game, ID, XSR_ACTION_DROP, 1);
	packet_deliver(prog, &p);
	inboxes_poll(prog);
	assert_int_equal(inboxes[0].n + inboxes[1].n + inboxes[2].n, 0);
	prog_counters_read(prog);
	assert_int_equal(prog->counters[game.index].n[XSR_STAT_ROUTE_DROP], 1);
	assert_int_equal(counter_sum(&prog->counters[game.index]), 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		prog_test(every_worker_is_reached_from_every_queue),
		prog_test(worker_that_does_not_run_is_gone),
		prog_test(worker_beyond_the_table_is_not_the_first_of_the_next_queue),
		prog_test(workers_are_reached_from_publish_to_stop),
		prog_test(withdrawn_socket_is_missing_at_its_queue_and_worker_only),
		prog_test(slot_of_another_device_is_not_used),
		prog_test(frame_from_another_device_finds_no_worker),
		prog_test(frame_from_a_device_whose_entry_another_took_finds_no_worker),
		prog_test(frame_from_a_queue_without_sockets_finds_no_worker),
		prog_test(socket_that_is_not_in_the_map_is_gone_though_its_slot_is_live),
		prog_test(messages_to_a_killed_router_are_counted_and_left_to_the_stack),
		prog_test(messages_to_a_killed_router_are_left_to_the_stack_if_it_is_the_one_to_hash_to),
		prog_test(another_process_is_served_by_its_own_router),
		prog_test(killed_routers_place_is_taken_at_once),
		prog_test(closed_router_may_be_opened_again_at_once),
		prog_test(worker_receives_the_message_with_its_stamp),
		prog_test(message_of_a_default_action_arrives_with_generation_0),
		prog_test(each_message_arrives_once_at_the_worker_of_its_moment),
		prog_test(worker_receives_nothing_from_a_route_that_drops),
	};

	return prog_run_tests(tests);
}
