/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Whose a datagram is: by its port, then by its address, the exact one first. */
#include <arpa/inet.h>

#include "prog.h"

/* The ID is the first byte; without a route a message takes the default action, `pass`. */
static uint32_t service_at_address(struct prog *prog, const char *name, const char *address)
{
	return prog_service_add(
		       prog, &(struct service_spec){ .name = name, .address = address, .id = "offset:0:1" })
		.index;
}

static void packet_to4(struct packet *p, const char *address, __u16 port)
{
	memset(p, 0, sizeof(*p));
	packet_make_udp4(p, port, "a", 1);
	assert_int_equal(inet_pton(AF_INET, address, &packet_ip(p)->daddr), 1);
}

static void packet_to6(struct packet *p, const char *address, __u16 port)
{
	memset(p, 0, sizeof(*p));
	packet_make_udp6(p, port, "a", 1);
	assert_int_equal(inet_pton(AF_INET6, address, &packet_ip6(p)->daddr), 1);
}

/* 0: it is nobody's. */
static void expect_service(struct prog *prog, const char *address, __u16 port, uint32_t service)
{
	struct packet p;

	if (strchr(address, ':'))
		packet_to6(&p, address, port);
	else
		packet_to4(&p, address, port);
	expect_stat(prog, &p, service, service ? XSR_STAT_NO_ROUTE_PASS : XSR_STAT_NO_SERVICE);
}

static void nothing_is_served_before_a_service_is_added(void **state)
{
	expect_service(*state, "10.9.0.2", 5000, 0);
	expect_service(*state, "fd09::2", 5000, 0);
	expect_service(*state, "10.9.0.2", 0, 0);
}

static void service_takes_its_own_port_only(void **state)
{
	uint32_t game = service_at_address(*state, "game", "0.0.0.0:5000");

	expect_service(*state, "10.9.0.2", 5000, game);
	expect_service(*state, "10.9.0.2", 4999, 0);
	expect_service(*state, "10.9.0.2", 5001, 0);
	expect_service(*state, "10.9.0.2", 0x8813, 0); /* 5000 with its bytes swapped */
	expect_service(*state, "10.9.0.2", 0, 0);
}

static void lowest_and_highest_port_are_served(void **state)
{
	uint32_t low = service_at_address(*state, "low", "0.0.0.0:1");
	uint32_t high = service_at_address(*state, "high", "0.0.0.0:65535");

	expect_service(*state, "10.9.0.2", 1, low);
	expect_service(*state, "10.9.0.2", 65535, high);
	expect_service(*state, "10.9.0.2", 0, 0);
	expect_service(*state, "10.9.0.2", 65534, 0);
}

static void every_bit_of_an_ipv4_address_is_compared(void **state)
{
	struct prog *prog = *state;
	uint32_t exact = service_at_address(prog, "exact", "10.9.0.2:5000"), bit;
	struct packet p;

	expect_service(prog, "10.9.0.2", 5000, exact);
	for (bit = 0; bit < 32; bit++) {
		packet_to4(&p, "10.9.0.2", 5000);
		packet_ip(&p)->daddr ^= 1u << bit;
		expect_stat(prog, &p, 0, XSR_STAT_NO_SERVICE);
	}
}

static void every_bit_of_an_ipv6_address_is_compared(void **state)
{
	struct prog *prog = *state;
	uint32_t exact = service_at_address(prog, "exact", "[fd09:1:2:3:4:5:6:7]:5000"), bit;
	struct packet p;

	expect_service(prog, "fd09:1:2:3:4:5:6:7", 5000, exact);
	for (bit = 0; bit < 128; bit++) {
		packet_to6(&p, "fd09:1:2:3:4:5:6:7", 5000);
		packet_ip6(&p)->daddr.s6_addr[bit / 8] ^= 1u << bit % 8;
		expect_stat(prog, &p, 0, XSR_STAT_NO_SERVICE);
	}
}

static void source_address_does_not_matter(void **state)
{
	struct prog *prog = *state;
	uint32_t exact = service_at_address(prog, "exact", "10.9.0.2:5000");
	struct packet p;

	packet_to4(&p, "10.9.0.2", 5000);
	packet_ip(&p)->saddr = packet_ip(&p)->daddr;
	expect_stat(prog, &p, exact, XSR_STAT_NO_ROUTE_PASS);
	packet_to4(&p, "10.9.0.1", 5000);
	packet_ip(&p)->saddr = htobe32(PACKET_DADDR);
	expect_stat(prog, &p, 0, XSR_STAT_NO_SERVICE);
}

static void ipv4_address_is_no_ipv6_address_with_the_same_end(void **state)
{
	uint32_t v4 = service_at_address(*state, "v4", "10.9.0.2:5000");
	uint32_t v6 = service_at_address(*state, "v6", "[fd09::a09:3]:5000");

	expect_service(*state, "10.9.0.2", 5000, v4);
	expect_service(*state, "::10.9.0.2", 5000, 0);
	expect_service(*state, "::ffff:10.9.0.2", 5000, 0);
	expect_service(*state, "fd09::a09:3", 5000, v6);
	expect_service(*state, "10.9.0.3", 5000, 0);
}

static void any_ipv4_address_is_no_ipv6_address(void **state)
{
	uint32_t any4 = service_at_address(*state, "any4", "0.0.0.0:5000");

	expect_service(*state, "10.9.0.2", 5000, any4);
	expect_service(*state, "255.255.255.255", 5000, any4);
	expect_service(*state, "0.0.0.0", 5000, any4);
	expect_service(*state, "fd09::2", 5000, 0);
}

static void any_address_is_one_of_either_family(void **state)
{
	uint32_t any = service_at_address(*state, "any", "[::]:5000");

	expect_service(*state, "10.9.0.2", 5000, any);
	expect_service(*state, "fd09::2", 5000, any);
	expect_service(*state, "ff02::1", 5000, any);
}

/* Four services whose addresses contain one another, added in the order of the digits. */
static void expect_order(struct prog *prog, const char *order)
{
	static const struct {
		const char *name, *address;
	} all[] = { { "exact4", "10.9.0.2:5000" },
		    { "exact6", "[fd09::2]:5000" },
		    { "any4", "0.0.0.0:5000" },
		    { "any", "[::]:5000" } };
	uint32_t index[4];
	int i;

	for (i = 0; i < 4; i++)
		index[order[i] - '0'] =
			service_at_address(prog, all[order[i] - '0'].name, all[order[i] - '0'].address);
	expect_service(prog, "10.9.0.2", 5000, index[0]);
	expect_service(prog, "fd09::2", 5000, index[1]);
	expect_service(prog, "10.9.0.3", 5000, index[2]);
	expect_service(prog, "fd09::3", 5000, index[3]);
	for (i = 0; i < 4; i++)
		prog_service_delete(prog, all[i].name);
}

static void exact_address_is_asked_before_any_in_whatever_order_they_came(void **state)
{
	static const char *const orders[] = { "0123", "3210", "2301", "1032", "3012", "2130" };
	unsigned int i;

	for (i = 0; i < sizeof(orders) / sizeof(orders[0]); i++)
		expect_order(*state, orders[i]);
}

static void deleted_service_leaves_its_messages_to_the_more_general_one(void **state)
{
	uint32_t exact = service_at_address(*state, "exact", "10.9.0.2:5000");
	uint32_t any4 = service_at_address(*state, "any4", "0.0.0.0:5000");
	uint32_t any = service_at_address(*state, "any", "[::]:5000");

	expect_service(*state, "10.9.0.2", 5000, exact);
	prog_service_delete(*state, "exact");
	expect_service(*state, "10.9.0.2", 5000, any4);
	prog_service_delete(*state, "any4");
	expect_service(*state, "10.9.0.2", 5000, any);
	prog_service_delete(*state, "any");
	expect_service(*state, "10.9.0.2", 5000, 0);
}

static uint32_t service_number(struct prog *prog, unsigned int n)
{
	char name[16], address[32];

	snprintf(name, sizeof(name), "host%u", n);
	snprintf(address, sizeof(address), "10.9.0.%u:5000", n);
	return service_at_address(prog, name, address);
}

static void expect_hosts(struct prog *prog, const uint32_t *index, unsigned int n)
{
	char address[32];
	unsigned int i;

	for (i = 1; i <= n; i++) {
		snprintf(address, sizeof(address), "10.9.0.%u", i);
		expect_service(prog, address, 5000, index[i]);
	}
}

static void as_many_services_on_a_port_as_the_contract_says(void **state)
{
	uint32_t index[XSR_SERVICES_PER_PORT_MAX + 2] = {};
	struct prog_service ninth = {};
	unsigned int i;

	for (i = 1; i <= XSR_SERVICES_PER_PORT_MAX; i++)
		index[i] = service_number(*state, i);
	assert_int_equal(prog_service_try(*state,
					  &(struct service_spec){
						  .name = "ninth", .address = "10.9.0.9:5000", .id = "xsr" },
					  &ninth),
			 -E2BIG);
	expect_hosts(*state, index, XSR_SERVICES_PER_PORT_MAX + 1);
}

static void deleting_any_of_a_ports_services_keeps_the_others(void **state)
{
	uint32_t index[XSR_SERVICES_PER_PORT_MAX + 1] = {};
	static const unsigned int order[] = { 4, 1, 8, 5, 2, 7, 3, 6 };
	unsigned int i;
	char name[16];

	for (i = 1; i <= XSR_SERVICES_PER_PORT_MAX; i++)
		index[i] = service_number(*state, i);
	for (i = 0; i < XSR_SERVICES_PER_PORT_MAX; i++) {
		snprintf(name, sizeof(name), "host%u", order[i]);
		prog_service_delete(*state, name);
		index[order[i]] = 0;
		expect_hosts(*state, index, XSR_SERVICES_PER_PORT_MAX);
	}
}

static void every_entry_of_the_table_serves(void **state)
{
	uint32_t index[XSR_SERVICES_MAX];
	char name[16], address[32];
	unsigned int i;

	for (i = 1; i < XSR_SERVICES_MAX; i++) {
		snprintf(name, sizeof(name), "port%u", 6000 + i);
		snprintf(address, sizeof(address), "0.0.0.0:%u", 6000 + i);
		index[i] = service_at_address(*state, name, address);
	}
	for (i = 1; i < XSR_SERVICES_MAX; i++)
		expect_service(*state, "10.9.0.2", 6000 + i, index[i]);
}

static void default_action_changes_live(void **state)
{
	struct prog *prog = *state;
	struct prog_service game;
	struct packet p;

	game = prog_service_add(
		prog,
		&(struct service_spec){ .name = "game", .address = "0.0.0.0:5000", .id = "offset:0:1" });
	packet_to4(&p, "10.9.0.2", 5000);
	expect_stat(prog, &p, game.index, XSR_STAT_NO_ROUTE_PASS);
	game.s.default_action = XSR_ACTION_DROP;
	prog_lock(prog);
	service_update(prog->maps, game.index, &game.s);
	maps_unlock(prog->maps);
	expect_stat(prog, &p, game.index, XSR_STAT_NO_ROUTE_DROP);
}

static void new_service_in_an_old_entry_begins_at_zero(void **state)
{
	uint32_t old = service_at_address(*state, "old", "0.0.0.0:5000"), new;
	struct xsr_counters counters;
	struct prog *prog = *state;

	expect_service(prog, "10.9.0.2", 5000, old);
	prog_service_delete(prog, "old");
	new = service_at_address(prog, "new", "0.0.0.0:5001");
	assert_int_equal(new, old);
	assert_int_equal(counter_read(prog->maps, new, &counters), 0);
	assert_int_equal(counter_sum(&counters), 0);
	expect_service(prog, "10.9.0.2", 5001, new);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		prog_test(nothing_is_served_before_a_service_is_added),
		prog_test(service_takes_its_own_port_only),
		prog_test(lowest_and_highest_port_are_served),
		prog_test(every_bit_of_an_ipv4_address_is_compared),
		prog_test(every_bit_of_an_ipv6_address_is_compared),
		prog_test(source_address_does_not_matter),
		prog_test(ipv4_address_is_no_ipv6_address_with_the_same_end),
		prog_test(any_ipv4_address_is_no_ipv6_address),
		prog_test(any_address_is_one_of_either_family),
		prog_test(exact_address_is_asked_before_any_in_whatever_order_they_came),
		prog_test(deleted_service_leaves_its_messages_to_the_more_general_one),
		prog_test(as_many_services_on_a_port_as_the_contract_says),
		prog_test(deleting_any_of_a_ports_services_keeps_the_others),
		prog_test(every_entry_of_the_table_serves),
		prog_test(default_action_changes_live),
		prog_test(new_service_in_an_old_entry_begins_at_zero),
	};

	return prog_run_tests(tests);
}
