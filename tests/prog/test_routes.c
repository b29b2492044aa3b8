/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* What a route does, and in which of the two tables it is looked up. */
#include "prog.h"

#define PORT 5000
#define NODE 7
#define DENSE_LEN 16

/* Its ID is the payload's 8 bytes. */
static void packet_of(struct packet *p, __u16 port, uint64_t id)
{
	__be64 payload = htobe64(id);

	memset(p, 0, sizeof(*p));
	packet_make_udp4(p, port, &payload, sizeof(payload));
}

#define expect_id_at(prog, port, id, service, stat)                                                          \
	do {                                                                                                 \
		struct packet packet_;                                                                       \
		packet_of(&packet_, port, id);                                                               \
		expect_stat(prog, &packet_, service, stat);                                                  \
	} while (0)

#define expect_id(prog, id, service, stat) expect_id_at(prog, PORT, id, service, stat)

static uint64_t dense_id(uint16_t generation, uint16_t node, uint32_t index)
{
	return (uint64_t)generation << 48 | (uint64_t)node << 32 | index;
}

static struct prog_service hashed_service(struct prog *prog)
{
	return prog_service_add(prog, &(struct service_spec){ .name = "hashed",
							      .address = "0.0.0.0:5000",
							      .id = "offset:0:8",
							      .default_action = "drop" });
}

static struct prog_service dense_service(struct prog *prog)
{
	return prog_service_add(prog, &(struct service_spec){ .name = "dense",
							      .address = "0.0.0.0:5000",
							      .id = "offset:0:8",
							      .default_action = "drop",
							      .dense = "16",
							      .node = "7" });
}

static void route_delete_id(struct prog *prog, const struct prog_service *service, uint64_t id)
{
	int ret;

	prog_lock(prog);
	ret = route_delete(prog->maps, service->index, &service->s, id);
	maps_unlock(prog->maps);
	assert_int_equal(ret, 0);
}

/* --- actions, in both tables --- */

static void expect_each_action(struct prog *prog, const struct prog_service *service, uint64_t id)
{
	unsigned int action;

	expect_id(prog, id, service->index, XSR_STAT_NO_ROUTE_DROP);
	prog_route(prog, service, id, XSR_ACTION_PASS, 0);
	expect_id(prog, id, service->index, XSR_STAT_ROUTE_PASS);
	prog_route(prog, service, id, XSR_ACTION_DROP, 0);
	expect_id(prog, id, service->index, XSR_STAT_ROUTE_DROP);
	prog_route(prog, service, id, XSR_ACTION_WORKER, 1);
	expect_id(prog, id, service->index, XSR_STAT_ROUTE_WORKER);
	for (action = XSR_ACTION_HASH; action < 256; action++) {
		prog_route(prog, service, id, action, 1);
		expect_id(prog, id, service->index, XSR_STAT_ROUTE_UNKNOWN_ACTION);
	}
	route_delete_id(prog, service, id);
	expect_id(prog, id, service->index, XSR_STAT_NO_ROUTE_DROP);
}

static void hashed_route_does_what_its_action_says(void **state)
{
	struct prog_service hashed = hashed_service(*state);

	prog_workers_start(*state, 2);
	expect_each_action(*state, &hashed, 0x1122334455667788);
}

static void dense_route_does_what_its_action_says(void **state)
{
	struct prog_service dense = dense_service(*state);

	prog_workers_start(*state, 2);
	expect_each_action(*state, &dense, dense_id(3, NODE, 5));
}

static void route_changes_live_with_one_store(void **state)
{
	struct prog_service dense = dense_service(*state);
	uint64_t id = dense_id(3, NODE, 5);
	struct prog *prog = *state;
	struct xsr_route *slot = &prog->maps->dense[dense.s.dense_base + 5];
	struct xsr_route word = { .generation = 1, .action = XSR_ACTION_PASS, .id_generation = 3 };

	expect_id(prog, id, dense.index, XSR_STAT_NO_ROUTE_DROP);
	__atomic_store(slot, &word, __ATOMIC_RELEASE);
	expect_id(prog, id, dense.index, XSR_STAT_ROUTE_PASS);
	word.action = XSR_ACTION_DROP;
	__atomic_store(slot, &word, __ATOMIC_RELEASE);
	expect_id(prog, id, dense.index, XSR_STAT_ROUTE_DROP);
	memset(&word, 0, sizeof(word));
	__atomic_store(slot, &word, __ATOMIC_RELEASE);
	expect_id(prog, id, dense.index, XSR_STAT_NO_ROUTE_DROP);
}

/* --- hashed --- */

static void hashed_route_is_found_by_every_bit_of_the_id(void **state)
{
	struct prog_service hashed = hashed_service(*state);
	uint64_t id = 0x1122334455667788;
	int bit;

	prog_route(*state, &hashed, id, XSR_ACTION_PASS, 0);
	expect_id(*state, id, hashed.index, XSR_STAT_ROUTE_PASS);
	for (bit = 0; bit < 64; bit++)
		expect_id(*state, id ^ 1ULL << bit, hashed.index, XSR_STAT_NO_ROUTE_DROP);
}

static void ids_of_all_zeroes_and_all_ones_have_routes(void **state)
{
	struct prog_service hashed = hashed_service(*state);

	prog_route(*state, &hashed, 0, XSR_ACTION_PASS, 0);
	expect_id(*state, 0, hashed.index, XSR_STAT_ROUTE_PASS);
	expect_id(*state, ~0ULL, hashed.index, XSR_STAT_NO_ROUTE_DROP);
	prog_route(*state, &hashed, ~0ULL, XSR_ACTION_PASS, 0);
	expect_id(*state, ~0ULL, hashed.index, XSR_STAT_ROUTE_PASS);
}

static void hashed_route_belongs_to_one_service(void **state)
{
	struct prog_service one = hashed_service(*state), two;

	two = prog_service_add(
		*state,
		&(struct service_spec){ .name = "two", .address = "0.0.0.0:5001", .id = "offset:0:8" });
	prog_route(*state, &one, 42, XSR_ACTION_PASS, 0);
	expect_id_at(*state, 5001, 42, two.index, XSR_STAT_NO_ROUTE_PASS);
	prog_route(*state, &two, 42, XSR_ACTION_DROP, 0);
	expect_id(*state, 42, one.index, XSR_STAT_ROUTE_PASS);
	expect_id_at(*state, 5001, 42, two.index, XSR_STAT_ROUTE_DROP);
}

/* --- dense --- */

static void dense_id_of_another_generation_is_stale(void **state)
{
	struct prog_service dense = dense_service(*state);
	unsigned int bit;

	prog_route(*state, &dense, dense_id(0x8001, NODE, 5), XSR_ACTION_PASS, 0);
	expect_id(*state, dense_id(0x8001, NODE, 5), dense.index, XSR_STAT_ROUTE_PASS);
	for (bit = 0; bit < 16; bit++)
		expect_id(*state, dense_id(0x8001 ^ 1u << bit, NODE, 5), dense.index, XSR_STAT_STALE_ID_DROP);
}

static void dense_id_of_another_node_is_looked_up_by_hash(void **state)
{
	struct prog_service dense = dense_service(*state);
	unsigned int bit;

	prog_route(*state, &dense, dense_id(3, NODE, 5), XSR_ACTION_PASS, 0);
	for (bit = 0; bit < 16; bit++) {
		uint64_t id = dense_id(3, NODE ^ 1u << bit, 5);

		expect_id(*state, id, dense.index, XSR_STAT_NO_ROUTE_DROP);
		prog_route(*state, &dense, id, XSR_ACTION_DROP, 0);
		expect_id(*state, id, dense.index, XSR_STAT_ROUTE_DROP);
	}
	expect_id(*state, dense_id(3, NODE, 5), dense.index, XSR_STAT_ROUTE_PASS);
}

static void dense_index_ends_where_the_service_says(void **state)
{
	struct prog_service dense = dense_service(*state);
	struct prog *prog = *state;
	uint64_t last = dense_id(3, NODE, DENSE_LEN - 1), behind = dense_id(3, NODE, DENSE_LEN);
	struct xsr_route *slots = &prog->maps->dense[dense.s.dense_base];

	prog_route(prog, &dense, last, XSR_ACTION_PASS, 0);
	assert_int_equal(slots[DENSE_LEN - 1].action, XSR_ACTION_PASS);
	expect_id(prog, last, dense.index, XSR_STAT_ROUTE_PASS);
	prog_route(prog, &dense, behind, XSR_ACTION_PASS, 0);
	assert_int_equal(slots[DENSE_LEN].action, XSR_ACTION_NONE);
	expect_id(prog, behind, dense.index, XSR_STAT_ROUTE_PASS);
	route_delete_id(prog, &dense, behind);
	expect_id(prog, behind, dense.index, XSR_STAT_NO_ROUTE_DROP);
}

/* Every word of the dense table has a route for generation 3, but the service's own. */
static void other_services_slots_are_never_reached(void **state)
{
	static const uint32_t beyond[] = { DENSE_LEN, DENSE_LEN + 1, PROG_DENSE_LEN - 1, PROG_DENSE_LEN,
					   0x10000,   1u << 31,      ~0u - DENSE_LEN,    ~0u };
	const struct xsr_route pass = { .generation = 1, .action = XSR_ACTION_PASS, .id_generation = 3 };
	struct prog *prog = *state;
	struct prog_service dense;
	uint32_t i;

	prog_service_add(prog, &(struct service_spec){ .name = "before",
						       .address = "0.0.0.0:5001",
						       .id = "offset:0:8",
						       .dense = "32",
						       .node = "7" });
	dense = dense_service(prog);
	assert_int_equal(dense.s.dense_base, 32);
	for (i = 0; i < PROG_DENSE_LEN; i++)
		if (i < 32 || i >= 32 + DENSE_LEN)
			prog->maps->dense[i] = pass;
	for (i = 0; i < DENSE_LEN; i++)
		expect_id(prog, dense_id(3, NODE, i), dense.index, XSR_STAT_NO_ROUTE_DROP);
	for (i = 0; i < sizeof(beyond) / sizeof(beyond[0]); i++)
		expect_id(prog, dense_id(3, NODE, beyond[i]), dense.index, XSR_STAT_NO_ROUTE_DROP);
	memset(prog->maps->dense, 0, PROG_DENSE_LEN * sizeof(pass));
}

static void service_may_have_the_whole_dense_table(void **state)
{
	struct prog_service dense;

	dense = prog_service_add(*state, &(struct service_spec){ .name = "all",
								 .address = "0.0.0.0:5000",
								 .id = "offset:0:8",
								 .dense = "4096" });
	assert_int_equal(dense.s.dense_len, PROG_DENSE_LEN);
	prog_route(*state, &dense, dense_id(1, 0, 0), XSR_ACTION_DROP, 0);
	prog_route(*state, &dense, dense_id(1, 0, PROG_DENSE_LEN - 1), XSR_ACTION_DROP, 0);
	expect_id(*state, dense_id(1, 0, 0), dense.index, XSR_STAT_ROUTE_DROP);
	expect_id(*state, dense_id(1, 0, PROG_DENSE_LEN - 1), dense.index, XSR_STAT_ROUTE_DROP);
	expect_id(*state, dense_id(1, 0, PROG_DENSE_LEN - 2), dense.index, XSR_STAT_NO_ROUTE_PASS);
	expect_id(*state, dense_id(1, 0, PROG_DENSE_LEN), dense.index, XSR_STAT_NO_ROUTE_PASS);
}

static void deleted_service_leaves_no_route_to_its_successor(void **state)
{
	struct prog_service dense = dense_service(*state);

	prog_route(*state, &dense, dense_id(3, NODE, 5), XSR_ACTION_PASS, 0);
	prog_route(*state, &dense, 42, XSR_ACTION_PASS, 0);
	prog_service_delete(*state, "dense");
	dense = dense_service(*state);
	expect_id(*state, dense_id(3, NODE, 5), dense.index, XSR_STAT_NO_ROUTE_DROP);
	expect_id(*state, 42, dense.index, XSR_STAT_NO_ROUTE_DROP);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		prog_test(hashed_route_does_what_its_action_says),
		prog_test(dense_route_does_what_its_action_says),
		prog_test(route_changes_live_with_one_store),
		prog_test(hashed_route_is_found_by_every_bit_of_the_id),
		prog_test(ids_of_all_zeroes_and_all_ones_have_routes),
		prog_test(hashed_route_belongs_to_one_service),
		prog_test(dense_id_of_another_generation_is_stale),
		prog_test(dense_id_of_another_node_is_looked_up_by_hash),
		prog_test(dense_index_ends_where_the_service_says),
		prog_test(other_services_slots_are_never_reached),
		prog_test(service_may_have_the_whole_dense_table),
		prog_test(deleted_service_leaves_no_route_to_its_successor),
	};

	return prog_run_tests(tests);
}
