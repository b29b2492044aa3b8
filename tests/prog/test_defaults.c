/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Each reason why a service's default action is taken, with each of its results; how `hash` spreads. */
#include "prog.h"

#define PORT 5000
#define N_WORKERS 3
#define N_SESSIONS 300
#define GONE_ID 0x1000    /* its route leads to a worker that never ran */
#define UNKNOWN_ID 0x2000 /* it has no route */
#define STALE_ID (4ULL << 48 | 5)
#define CURRENT_ID (3ULL << 48 | 5)

static struct prog_service service_start(struct prog *prog, const char *action)
{
	struct prog_service game;

	game = prog_service_add(prog, &(struct service_spec){ .name = "game",
							      .address = "[::]:5000",
							      .id = "offset:0:8",
							      .default_action = action,
							      .dense = "16" });
	prog_route(prog, &game, CURRENT_ID, XSR_ACTION_PASS, 0);
	prog_route(prog, &game, GONE_ID, XSR_ACTION_WORKER, 9);
	return game;
}

static void packet_of(struct packet *p, uint64_t id)
{
	__be64 payload = htobe64(id);

	memset(p, 0, sizeof(*p));
	packet_make_udp4(p, PORT, &payload, sizeof(payload));
}

static void packet_without_id(struct packet *p)
{
	memset(p, 0, sizeof(*p));
	packet_make_udp4(p, PORT, "seven b", 7);
}

static void expect_all_reasons(struct prog *prog, uint32_t service, enum xsr_result result)
{
	struct packet p;

	packet_without_id(&p);
	expect_stat(prog, &p, service, xsr_stat_default(XSR_REASON_NO_ID, result));
	packet_of(&p, UNKNOWN_ID);
	expect_stat(prog, &p, service, xsr_stat_default(XSR_REASON_NO_ROUTE, result));
	packet_of(&p, STALE_ID);
	expect_stat(prog, &p, service, xsr_stat_default(XSR_REASON_STALE_ID, result));
	packet_of(&p, GONE_ID);
	expect_stat(prog, &p, service, xsr_stat_default(XSR_REASON_WORKER_GONE, result));
}

/* --- the sixteen counters --- */

static void default_pass_leaves_the_message_to_the_stack_for_each_reason(void **state)
{
	struct prog_service game = service_start(*state, "pass");

	expect_all_reasons(*state, game.index, XSR_RESULT_PASS);
	prog_workers_start(*state, N_WORKERS);
	expect_all_reasons(*state, game.index, XSR_RESULT_PASS);
}

static void default_drop_drops_for_each_reason(void **state)
{
	struct prog_service game = service_start(*state, "drop");

	expect_all_reasons(*state, game.index, XSR_RESULT_DROP);
	prog_workers_start(*state, N_WORKERS);
	expect_all_reasons(*state, game.index, XSR_RESULT_DROP);
}

static void default_hash_delivers_to_a_worker_for_each_reason(void **state)
{
	struct prog_service game = service_start(*state, "hash");

	prog_workers_start(*state, N_WORKERS);
	expect_all_reasons(*state, game.index, XSR_RESULT_HASH);
}

static void default_hash_without_workers_leaves_the_message_to_the_stack_for_each_reason(void **state)
{
	struct prog_service game = service_start(*state, "hash");

	expect_all_reasons(*state, game.index, XSR_RESULT_NO_WORKER);
}

static void default_hash_leaves_the_message_to_the_stack_once_the_workers_have_stopped(void **state)
{
	struct prog_service game = service_start(*state, "hash");
	struct prog *prog = *state;

	prog_workers_start(prog, N_WORKERS);
	xsr_router_stop(prog->router);
	expect_all_reasons(prog, game.index, XSR_RESULT_NO_WORKER);
}

/* An action of a newer xsr: nothing is lost by it. */
static void unknown_default_action_leaves_the_message_to_the_stack(void **state)
{
	struct prog_service game = service_start(*state, "drop");
	struct prog *prog = *state;

	game.s.default_action = 200;
	prog_lock(prog);
	service_update(prog->maps, game.index, &game.s);
	maps_unlock(prog->maps);
	expect_all_reasons(prog, game.index, XSR_RESULT_PASS);
}

/* --- hash --- */

static void buckets_set(struct prog *prog, uint32_t worker_and_one)
{
	uint32_t i;

	for (i = 0; i < XSR_BUCKETS_MAX; i++)
		prog->maps->buckets[i].worker = worker_and_one;
}

static void default_hash_follows_the_buckets(void **state)
{
	static const uint32_t nobody[] = { 0, N_WORKERS + 1, XSR_WORKERS_MAX, XSR_WORKERS_MAX + 1, ~0u };
	struct prog_service game = service_start(*state, "hash");
	unsigned int i;

	prog_workers_start(*state, N_WORKERS);
	for (i = 1; i <= N_WORKERS; i++) {
		buckets_set(*state, i);
		expect_all_reasons(*state, game.index, XSR_RESULT_HASH);
	}
	for (i = 0; i < sizeof(nobody) / sizeof(nobody[0]); i++) {
		buckets_set(*state, nobody[i]);
		expect_all_reasons(*state, game.index, XSR_RESULT_NO_WORKER);
	}
}

/* A run does not tell which socket it chose: with one worker's slots alone, it does. */
static void slots_only(struct prog *prog, unsigned int worker)
{
	unsigned int w;

	for (w = 0; w < N_WORKERS; w++) {
		uint32_t key = xsr_slot_index(0, w);
		const struct xsr_slot slot = { .ifindex = w == worker ? PROG_IFINDEX : 0 };

		assert_int_equal(bpf_map_update_elem(prog->maps->fds[MAPS_SLOTS], &key, &slot, BPF_ANY), 0);
	}
}

static bool is_delivered(struct prog *prog, const struct packet *p)
{
	struct prog_run run = { .ifindex = PROG_IFINDEX };

	assert_int_equal(prog_run(prog, p->data, p->len, &run), 0);
	return run.verdict == XDP_REDIRECT;
}

/* The one worker that gets it. */
static unsigned int worker_of(struct prog *prog, const struct packet *p)
{
	unsigned int worker, found = N_WORKERS, n = 0;

	for (worker = 0; worker < N_WORKERS; worker++) {
		slots_only(prog, worker);
		if (!is_delivered(prog, p))
			continue;
		found = worker;
		n++;
	}
	assert_int_equal(n, 1);
	return found;
}

/* Of 300 each gets 100, give or take four standard deviations of 8. */
static void expect_even(const unsigned int n[N_WORKERS])
{
	unsigned int worker;

	for (worker = 0; worker < N_WORKERS; worker++)
		assert_in_range(n[worker], N_SESSIONS / N_WORKERS - 33, N_SESSIONS / N_WORKERS + 33);
}

static void default_hash_spreads_sessions_over_the_workers(void **state)
{
	unsigned int n[N_WORKERS] = {};
	struct packet p;
	uint64_t id;

	service_start(*state, "hash");
	prog_workers_start(*state, N_WORKERS);
	for (id = 0; id < N_SESSIONS; id++) {
		packet_of(&p, UNKNOWN_ID + id);
		n[worker_of(*state, &p)]++;
	}
	expect_even(n);
}

static void default_hash_spreads_senders_over_the_workers(void **state)
{
	unsigned int n[N_WORKERS] = {}, sender;
	struct packet p;

	service_start(*state, "hash");
	prog_workers_start(*state, N_WORKERS);
	for (sender = 0; sender < N_SESSIONS; sender++) {
		packet_without_id(&p);
		packet_ip(&p)->saddr = htobe32(PACKET_SADDR + sender);
		n[worker_of(*state, &p)]++;
	}
	expect_even(n);
}

/* Behind an address translator. */
static void default_hash_spreads_the_ports_of_one_address_over_the_workers(void **state)
{
	unsigned int n[N_WORKERS] = {}, port;
	struct packet p;

	service_start(*state, "hash");
	prog_workers_start(*state, N_WORKERS);
	for (port = 0; port < N_SESSIONS; port++) {
		packet_without_id(&p);
		packet_udp_header(&p)->source = htobe16(40000 + port);
		n[worker_of(*state, &p)]++;
	}
	expect_even(n);
}

static void default_hash_spreads_ipv6_senders_over_the_workers(void **state)
{
	unsigned int n[N_WORKERS] = {}, sender;

	service_start(*state, "hash");
	prog_workers_start(*state, N_WORKERS);
	for (sender = 0; sender < N_SESSIONS; sender++) {
		struct packet p = {};

		packet_make_udp6(&p, PORT, "seven b", 7);
		/* Hosts of one network, then networks with the same host. */
		packet_ip6(&p)->saddr.s6_addr[sender & 1 ? 7 : 14] = sender / 2 & 0xff;
		packet_ip6(&p)->saddr.s6_addr[sender & 1 ? 6 : 13] = sender / 2 >> 8;
		n[worker_of(*state, &p)]++;
	}
	expect_even(n);
}

static void session_stays_on_its_worker_wherever_it_roams(void **state)
{
	struct packet p, roamed;
	unsigned int i, worker;

	service_start(*state, "hash");
	prog_workers_start(*state, N_WORKERS);
	packet_of(&p, UNKNOWN_ID);
	worker = worker_of(*state, &p);
	for (i = 0; i < 50; i++) {
		packet_of(&roamed, UNKNOWN_ID);
		packet_ip(&roamed)->saddr = htobe32(PACKET_SADDR + 7 * i);
		packet_udp_header(&roamed)->source = htobe16(1 + 977 * i);
		assert_int_equal(worker_of(*state, &roamed), worker);
	}
}

static void sender_without_id_stays_on_its_worker_whatever_it_says(void **state)
{
	unsigned int i, worker = N_WORKERS;
	__u8 payload[7];

	service_start(*state, "hash");
	prog_workers_start(*state, N_WORKERS);
	for (i = 0; i < 50; i++) {
		struct packet p = {};

		memset(payload, i, sizeof(payload));
		packet_make_udp4(&p, PORT, payload, i % 7);
		packet_ip(&p)->tos = i;
		if (i == 0)
			worker = worker_of(*state, &p);
		assert_int_equal(worker_of(*state, &p), worker);
	}
}

static void session_whose_worker_is_gone_goes_where_it_would_without_a_route(void **state)
{
	struct prog_service game = service_start(*state, "hash");
	struct packet p;
	uint64_t id;

	prog_workers_start(*state, N_WORKERS);
	for (id = UNKNOWN_ID; id < UNKNOWN_ID + 20; id++) {
		unsigned int worker;

		packet_of(&p, id);
		worker = worker_of(*state, &p);
		prog_route(*state, &game, id, XSR_ACTION_WORKER, 9);
		assert_int_equal(worker_of(*state, &p), worker);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		prog_test(default_pass_leaves_the_message_to_the_stack_for_each_reason),
		prog_test(default_drop_drops_for_each_reason),
		prog_test(default_hash_delivers_to_a_worker_for_each_reason),
		prog_test(default_hash_without_workers_leaves_the_message_to_the_stack_for_each_reason),
		prog_test(default_hash_leaves_the_message_to_the_stack_once_the_workers_have_stopped),
		prog_test(unknown_default_action_leaves_the_message_to_the_stack),
		prog_test(default_hash_follows_the_buckets),
		prog_test(default_hash_spreads_sessions_over_the_workers),
		prog_test(default_hash_spreads_senders_over_the_workers),
		prog_test(default_hash_spreads_the_ports_of_one_address_over_the_workers),
		prog_test(default_hash_spreads_ipv6_senders_over_the_workers),
		prog_test(session_stays_on_its_worker_wherever_it_roams),
		prog_test(sender_without_id_stays_on_its_worker_whatever_it_says),
		prog_test(session_whose_worker_is_gone_goes_where_it_would_without_a_route),
	};

	return prog_run_tests(tests);
}
