/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Each counter has a message that it alone counts; together they are the messages that the program saw. */
#include "frame.h"
#include "prog.h"
#include "rule.h"
#include "transport/find.h"

#define PASS_PORT 6000 /* three services with the same routes: the default actions */
#define DROP_PORT 6001
#define HASH_PORT 6002
#define FRAMED_PORT 6003
#define N_WORKERS 3
#define N_MIXED 4000

#define WORKER_ID 0x100
#define STACK_ID 0x101
#define DROPPED_ID 0x102
#define NEWER_ID 0x103 /* its route has an action that this program does not know */
#define GONE_ID 0x104
#define UNKNOWN_ID 0x105
#define CURRENT_ID (3ULL << 48 | 5) /* dense */
#define STALE_ID (4ULL << 48 | 5)

static const uint64_t ids[] = { WORKER_ID, STACK_ID,   DROPPED_ID, NEWER_ID,
				GONE_ID,   UNKNOWN_ID, CURRENT_ID, STALE_ID };

/* Its number is the index of the service. */
static void service_start(struct prog *prog, const char *name, const char *address, const char *action)
{
	bool framed = !strcmp(name, "framed");
	struct prog_service service;

	service = prog_service_add(prog, &(struct service_spec){ .name = name,
								 .address = address,
								 .id = framed ? "xsr" : "offset:0:8",
								 .default_action = action,
								 .dense = "16",
								 .stamp = "3" });
	prog_route(prog, &service, WORKER_ID, XSR_ACTION_WORKER, 2);
	prog_route(prog, &service, STACK_ID, XSR_ACTION_PASS, 0);
	prog_route(prog, &service, DROPPED_ID, XSR_ACTION_DROP, 0);
	prog_route(prog, &service, NEWER_ID, 99, 0);
	prog_route(prog, &service, GONE_ID, XSR_ACTION_WORKER, 9);
	prog_route(prog, &service, CURRENT_ID, XSR_ACTION_WORKER, 0);
}

enum { PASS_SERVICE = 1, DROP_SERVICE, HASH_SERVICE, FRAMED_SERVICE };

static void services_start(struct prog *prog)
{
	service_start(prog, "pass", "[::]:6000", "pass");
	service_start(prog, "drop", "[::]:6001", "drop");
	service_start(prog, "hash", "[::]:6002", "hash");
	service_start(prog, "framed", "[::]:6003", "drop");
	prog_workers_start(prog, N_WORKERS);
}

static void packet_of(struct packet *p, __u16 port, uint64_t id)
{
	__be64 payload = htobe64(id);

	packet_make_udp4(p, port, &payload, sizeof(payload));
}

static void packet_of_frame(struct packet *p, uint32_t len, __u8 version, __u8 type, uint64_t id)
{
	struct xsr_frame frame = { .len = htobe32(len), .version = version, .type = type, .id = htobe64(id) };

	packet_make_udp4(p, FRAMED_PORT, &frame, sizeof(frame));
}

/* --- a message for each counter --- */

/* What is not a datagram, or not ours. */
static void stack_packet_make(struct packet *p, enum xsr_stat stat)
{
	int i;

	packet_ethernet(p);
	switch (stat) {
	case XSR_STAT_NOT_IP:
		packet_name_next(p, ETH_P_ARP);
		return;
	case XSR_STAT_BAD_ETHERNET:
		packet_vlan(p, ETH_P_8021Q);
		p->len--;
		return;
	case XSR_STAT_BAD_IPV4:
		packet_ipv4(p, 0)->version = 5;
		return;
	case XSR_STAT_BAD_IPV6:
		packet_ipv6(p)->version = 5;
		return;
	case XSR_STAT_TOO_MANY_HEADERS:
		packet_ipv6(p);
		for (i = 0; i < 7; i++)
			packet_extension(p, IPPROTO_DSTOPTS, 8);
		packet_finish(p);
		return;
	case XSR_STAT_FRAGMENT:
		packet_ipv4(p, 0)->frag_off = htobe16(1);
		packet_finish(p);
		return;
	case XSR_STAT_NOT_UDP:
		packet_ipv4(p, 0);
		packet_name_next(p, IPPROTO_TCP);
		packet_finish(p);
		return;
	case XSR_STAT_BAD_UDP:
		packet_ipv4(p, 0);
		packet_name_next(p, IPPROTO_UDP);
		packet_finish(p);
		return;
	default:
		fail_msg("no message is known that is counted as %s", stat_name(stat));
	}
}

static void default_packet_make(struct packet *p, enum xsr_stat stat)
{
	static const uint64_t reasons[] = {
		[XSR_REASON_NO_ROUTE] = UNKNOWN_ID,
		[XSR_REASON_STALE_ID] = STALE_ID,
		[XSR_REASON_WORKER_GONE] = GONE_ID,
	};
	static const __u16 results[] = {
		[XSR_RESULT_PASS] = PASS_PORT,
		[XSR_RESULT_DROP] = DROP_PORT,
		[XSR_RESULT_HASH] = HASH_PORT,
		[XSR_RESULT_NO_WORKER] = HASH_PORT,
	};
	unsigned int number = stat - XSR_STAT_NO_ID_PASS;
	__u16 port = results[number % XSR_RESULT_MAX];

	if (number / XSR_RESULT_MAX == XSR_REASON_NO_ID)
		packet_make_udp4(p, port, "short", 5);
	else
		packet_of(p, port, reasons[number / XSR_RESULT_MAX]);
}

static void packet_make(struct packet *p, enum xsr_stat stat)
{
	switch (stat) {
	case XSR_STAT_ROUTE_WORKER:
		return packet_of(p, PASS_PORT, WORKER_ID);
	case XSR_STAT_ROUTE_PASS:
		return packet_of(p, DROP_PORT, STACK_ID);
	case XSR_STAT_ROUTE_DROP:
		return packet_of(p, PASS_PORT, DROPPED_ID);
	case XSR_STAT_ROUTE_UNKNOWN_ACTION:
		return packet_of(p, PASS_PORT, NEWER_ID);
	case XSR_STAT_NO_SERVICE:
		return packet_of(p, PASS_PORT - 1, STACK_ID);
	case XSR_STAT_FRAME_BAD_LEN:
		return packet_of_frame(p, 21, 1, XSR_FRAME_HB_PING, STACK_ID);
	case XSR_STAT_FRAME_BAD_VERSION:
		return packet_of_frame(p, 20, 2, XSR_FRAME_HB_PING, STACK_ID);
	case XSR_STAT_FRAME_BAD_TYPE:
		return packet_of_frame(p, 20, 1, 0x7e, STACK_ID);
	case XSR_STAT_NO_ID_PASS ... XSR_STAT_WORKER_GONE_NO_WORKER:
		return default_packet_make(p, stat);
	default:
		return stack_packet_make(p, stat);
	}
}

static bool stat_is(enum xsr_stat stat, enum xsr_stat first, enum xsr_stat last)
{
	return stat >= first && stat <= last;
}

/* Whose counters it is in. */
static uint32_t stat_service(enum xsr_stat stat)
{
	static const uint32_t results[] = { PASS_SERVICE, DROP_SERVICE, HASH_SERVICE, HASH_SERVICE };

	if (stat == XSR_STAT_ROUTE_PASS)
		return DROP_SERVICE;
	if (stat_is(stat, XSR_STAT_ROUTE_WORKER, XSR_STAT_ROUTE_UNKNOWN_ACTION))
		return PASS_SERVICE;
	if (stat_is(stat, XSR_STAT_FRAME_BAD_LEN, XSR_STAT_FRAME_BAD_TYPE))
		return FRAMED_SERVICE;
	if (stat_is(stat, XSR_STAT_NO_ID_PASS, XSR_STAT_WORKER_GONE_NO_WORKER))
		return results[(stat - XSR_STAT_NO_ID_PASS) % XSR_RESULT_MAX];
	return 0;
}

/* A worker has no socket on the other device. */
static bool stat_needs_no_worker(enum xsr_stat stat)
{
	return stat >= XSR_STAT_NO_ID_PASS &&
	       (stat - XSR_STAT_NO_ID_PASS) % XSR_RESULT_MAX == XSR_RESULT_NO_WORKER;
}

static void every_counter_has_a_message_that_it_alone_counts(void **state)
{
	struct prog *prog = *state;
	struct xsr_counters all;
	enum xsr_stat stat;

	services_start(prog);
	for (stat = 0; stat < XSR_STAT_MAX; stat++) {
		struct prog_run run = { .ifindex = stat_needs_no_worker(stat) ? PROG_PEER_IFINDEX
									      : PROG_IFINDEX };
		struct packet p = {};

		packet_make(&p, stat);
		expect_stat_run(prog, &p, &run, stat_service(stat), stat);
	}
	assert_int_equal(counter_read_all(prog->maps, &all), 0);
	for (stat = 0; stat < XSR_STAT_MAX; stat++)
		assert_int_equal(all.n[stat], 1);
}

/* --- a mixed run, against the same headers compiled for this machine --- */

static uint64_t random_next(uint64_t *seed)
{
	*seed ^= *seed << 13;
	*seed ^= *seed >> 7;
	*seed ^= *seed << 17;
	return *seed;
}

static unsigned int random_below(uint64_t *seed, unsigned int n)
{
	return (random_next(seed) >> 16) % n;
}

static void random_bytes(uint64_t *seed, __u8 *bytes, size_t len)
{
	while (len--)
		*bytes++ = random_next(seed) >> 32;
}

static void random_link(uint64_t *seed, struct packet *p)
{
	unsigned int n = random_below(seed, 12);

	packet_ethernet(p);
	if (n < 2)
		packet_vlan(p, ETH_P_8021AD);
	if (n < 5)
		packet_vlan(p, ETH_P_8021Q);
	if (n < 1)
		packet_vlan(p, ETH_P_8021Q);
}

static void random_network(uint64_t *seed, struct packet *p)
{
	static const __u8 extensions[] = { IPPROTO_HOPOPTS, IPPROTO_ROUTING, IPPROTO_DSTOPTS, IPPROTO_AH,
					   IPPROTO_FRAGMENT };
	unsigned int n = random_below(seed, 10);

	if (random_below(seed, 2)) {
		packet_ipv4(p, random_below(seed, 3) * 4)->frag_off = n ? 0 : htobe16(0x2000);
		return;
	}
	packet_ipv6(p);
	while (n-- > 3)
		packet_extension(p, extensions[random_below(seed, sizeof(extensions))], 8);
}

static void random_payload(uint64_t *seed, struct packet *p)
{
	__u8 payload[100];
	unsigned int len = random_below(seed, sizeof(payload));
	__be64 id = htobe64(ids[random_below(seed, sizeof(ids) / sizeof(ids[0]))]);
	struct xsr_frame frame = {
		.len = htobe32(len - 4),
		.version = 1 + !random_below(seed, 8),
		.type = random_below(seed, 6),
		.id = id,
	};

	random_bytes(seed, payload, sizeof(payload));
	if (random_below(seed, 2))
		memcpy(payload, &id, sizeof(id));
	else
		memcpy(payload, &frame, sizeof(frame));
	packet_add(p, payload, len);
}

/* Spoils some of the headers' bytes, cuts, or pads. */
static void random_damage(uint64_t *seed, struct packet *p)
{
	unsigned int n = random_below(seed, 12);

	if (n < 3)
		p->data[random_below(seed, p->len < 80 ? p->len : 80)] = random_next(seed) >> 32;
	else if (n == 3)
		random_bytes(seed, p->data, p->len);
	else if (n == 4)
		p->len = PROG_FRAME_MIN + random_below(seed, p->len - PROG_FRAME_MIN + 1);
	else if (n == 5)
		packet_pad(p, random_below(seed, 40));
}

static void random_packet(uint64_t *seed, struct packet *p)
{
	memset(p, 0, sizeof(*p));
	random_link(seed, p);
	random_network(seed, p);
	packet_udp(p, random_below(seed, 65536), PASS_PORT + random_below(seed, 5));
	random_payload(seed, p);
	packet_finish(p);
	random_damage(seed, p);
}

static enum xsr_stat default_model(const struct xsr_service *service, enum xsr_reason reason)
{
	switch (service->default_action) {
	case XSR_ACTION_DROP:
		return xsr_stat_default(reason, XSR_RESULT_DROP);
	case XSR_ACTION_HASH:
		return xsr_stat_default(reason, XSR_RESULT_HASH);
	default:
		return xsr_stat_default(reason, XSR_RESULT_PASS);
	}
}

static enum xsr_stat route_model(const struct xsr_service *service, const struct xsr_route *route)
{
	switch (route->action) {
	case XSR_ACTION_WORKER:
		return route->target < N_WORKERS ? XSR_STAT_ROUTE_WORKER
						 : default_model(service, XSR_REASON_WORKER_GONE);
	case XSR_ACTION_PASS:
		return XSR_STAT_ROUTE_PASS;
	case XSR_ACTION_DROP:
		return XSR_STAT_ROUTE_DROP;
	default:
		return XSR_STAT_ROUTE_UNKNOWN_ACTION;
	}
}

/* Its slot is the one that CURRENT_ID has. */
static bool id_is_stale(const struct xsr_service *service, uint64_t id)
{
	return route_is_dense(service, id) && xsr_id_index(id) == xsr_id_index(CURRENT_ID);
}

static enum xsr_stat message_model(struct prog *prog, uint32_t index, const struct datagram *d)
{
	const struct xsr_service *service = &prog->maps->services[index];
	struct xsr_route route;
	int ret = service->flags & XSR_SERVICE_FRAMED ? frame_check(d) : 0;
	__u64 id;

	if (ret)
		return -ret;
	if (!rule_find_id(d, service, &id))
		return default_model(service, XSR_REASON_NO_ID);
	ret = route_get(prog->maps, index, service, id, &route);
	if (!ret)
		return route_model(service, &route);
	assert_int_equal(ret, -ENOENT);
	return default_model(service, id_is_stale(service, id) ? XSR_REASON_STALE_ID : XSR_REASON_NO_ROUTE);
}

/* What is to be counted for the frame, of which service. */
static enum xsr_stat packet_model(struct prog *prog, const struct packet *p, uint32_t *index)
{
	struct cursor c = { p->data, p->data + p->len };
	struct datagram d = {};
	int ret = parse_datagram(&c, &d);

	*index = 0;
	if (ret)
		return -ret;
	*index = find_service(prog->maps, &d);
	return *index ? message_model(prog, *index, &d) : XSR_STAT_NO_SERVICE;
}

static void counters_of_a_mixed_run_sum_up_to_its_messages(void **state)
{
	uint64_t seed = 0x9e3779b97f4a7c15;
	struct prog *prog = *state;
	struct xsr_counters all;
	enum xsr_stat stat;
	struct packet p;
	unsigned int i;
	uint32_t index;

	services_start(prog);
	for (i = 0; i < N_MIXED; i++) {
		struct prog_run run = { .ifindex = PROG_IFINDEX, .queue = i % PROG_N_QUEUES };

		random_packet(&seed, &p);
		stat = packet_model(prog, &p, &index);
		expect_stat_run(prog, &p, &run, index, stat);
	}
	assert_int_equal(counter_read_all(prog->maps, &all), 0);
	assert_int_equal(counter_sum(&all), N_MIXED);
	for (stat = 0; stat < XSR_STAT_MAX; stat++)
		if (all.n[stat] < 2 && !stat_needs_no_worker(stat))
			fail_msg("the run is not mixed enough: %s %llu", stat_name(stat), all.n[stat]);
}

static void garbage_goes_to_the_stack_and_is_counted(void **state)
{
	uint64_t seed = 0x2545f4914f6cdd1d;
	struct prog *prog = *state;
	struct prog_run run = { .ifindex = PROG_IFINDEX };
	__u8 bytes[1500];
	unsigned int i;

	services_start(prog);
	for (i = 0; i < N_MIXED; i++) {
		size_t len = PROG_FRAME_MIN + random_below(&seed, sizeof(bytes) - PROG_FRAME_MIN);

		random_bytes(&seed, bytes, len);
		assert_int_equal(prog_run(prog, bytes, len, &run), 0);
		assert_int_equal(run.verdict, XDP_PASS);
	}
	prog_counters_read(prog);
	assert_int_equal(counter_sum(&prog->counters[0]), N_MIXED);
}

/* --- reading --- */

static void what_any_cpu_counts_is_in_the_sum(void **state)
{
	struct prog *prog = *state;
	cpu_set_t allowed, one;
	struct packet p = {};
	int cpu;

	services_start(prog);
	packet_of(&p, PASS_PORT, STACK_ID);
	assert_int_equal(sched_getaffinity(0, sizeof(allowed), &allowed), 0);
	for (cpu = 0; cpu < CPU_SETSIZE; cpu++) {
		if (!CPU_ISSET(cpu, &allowed))
			continue;
		CPU_ZERO(&one);
		CPU_SET(cpu, &one);
		assert_int_equal(sched_setaffinity(0, sizeof(one), &one), 0);
		expect_stat(prog, &p, PASS_SERVICE, XSR_STAT_ROUTE_PASS);
	}
	assert_int_equal(sched_setaffinity(0, sizeof(allowed), &allowed), 0);
	assert_int_equal(prog->counters[PASS_SERVICE].n[XSR_STAT_ROUTE_PASS], CPU_COUNT(&allowed));
}

static void clearing_a_services_counters_leaves_the_others(void **state)
{
	struct prog *prog = *state;
	struct packet pass = {}, drop = {};

	services_start(prog);
	packet_of(&pass, PASS_PORT, STACK_ID);
	packet_of(&drop, DROP_PORT, STACK_ID);
	expect_stat(prog, &pass, PASS_SERVICE, XSR_STAT_ROUTE_PASS);
	expect_stat(prog, &drop, DROP_SERVICE, XSR_STAT_ROUTE_PASS);
	assert_int_equal(counter_clear(prog->maps, PASS_SERVICE), 0);
	prog_counters_read(prog);
	assert_int_equal(counter_sum(&prog->counters[PASS_SERVICE]), 0);
	assert_int_equal(counter_sum(&prog->counters[DROP_SERVICE]), 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		prog_test(every_counter_has_a_message_that_it_alone_counts),
		prog_test(counters_of_a_mixed_run_sum_up_to_its_messages),
		prog_test(garbage_goes_to_the_stack_and_is_counted),
		prog_test(what_any_cpu_counts_is_in_the_sum),
		prog_test(clearing_a_services_counters_leaves_the_others),
	};

	return prog_run_tests(tests);
}
