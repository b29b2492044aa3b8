/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* TCP services in the tables: their backends, their place beside UDP services, who is told that their routes changed. */
#include "backend.h"
#include "backend_spec.h"
#include "config.h"
#include "prog.h"
#include "reconcile.h"
#include "stream.h"

#define PORT 7000

static int add(struct prog *prog, const char *name, const char *address)
{
	char why[SERVICE_WHY_LEN];
	struct xsr_backend b;
	int ret;

	if (backend_spec_parse(&(struct backend_spec){ name, address }, &b, why))
		fail_msg("%s", why);
	prog_lock(prog);
	ret = backend_add(prog->maps, &b);
	maps_unlock(prog->maps);
	return ret;
}

static int delete(struct prog *prog, const char *name, uint32_t *service)
{
	int ret;

	prog_lock(prog);
	ret = backend_delete(prog->maps, name, service);
	maps_unlock(prog->maps);
	return ret;
}

/* A TCP service with a backend of that number. */
static struct prog_service tcp_service(struct prog *prog, const char *name, const char *address, int backend)
{
	const char *names[] = { "one" };
	struct prog_service service = { .s.backends = 1ULL << backend };

	service.index = prog_service_try(prog, &(struct service_spec){ .name = name, .protocol = "tcp", .address = address,
									.id = "xsr", .dense = "16", .backends = names, .n_backends = 1 },
					 &service);
	return service;
}

static int backends_clear(void **state)
{
	struct prog *prog = *state;
	int ret = prog_reset(state);
	uint32_t i;

	for (i = 1; i < XSR_BACKENDS_MAX; i++)
		assert_int_equal(backend_put(prog->maps, i, &(struct xsr_backend){}), 0);
	return ret;
}

static void a_backend_comes_back_as_it_was_added(void **state)
{
	struct prog *prog = *state;
	char address[SERVICE_ADDRESS_LEN];
	struct xsr_backend b;
	int one = add(prog, "one", "10.0.0.1:9000"), two = add(prog, "two", "[fd00::2]:9001");

	assert_in_range(one, 1, XSR_BACKENDS_MAX - 1);
	assert_int_equal(backend_get(prog->maps, "one", &b), one);
	assert_string_equal(backend_address(&b, address), "10.0.0.1:9000");
	assert_int_equal(backend_at(prog->maps, two, &b), 0);
	assert_string_equal(backend_address(&b, address), "[fd00::2]:9001");
	assert_memory_equal(&prog->maps->backends[two], &b, sizeof(b));
	assert_int_equal(backend_get(prog->maps, "three", &b), -ENOENT);
	assert_int_equal(backend_at(prog->maps, 0, &b), -ENOENT);
	assert_int_equal(backend_at(prog->maps, XSR_BACKENDS_MAX, &b), -ENOENT);
}

static void names_and_addresses_of_backends_are_their_own(void **state)
{
	struct prog *prog = *state;

	assert_true(add(prog, "one", "10.0.0.1:9000") > 0);
	assert_int_equal(add(prog, "one", "10.0.0.2:9000"), -EEXIST);
	assert_int_equal(add(prog, "two", "10.0.0.1:9000"), -EADDRINUSE);
	assert_true(add(prog, "two", "10.0.0.1:9001") > 0);
	assert_true(add(prog, "three", "[::a00:1]:9000") > 0); /* the same bits, another family */
}

static void the_table_of_backends_has_63_places(void **state)
{
	struct prog *prog = *state;
	char name[16], address[32];
	uint32_t user;
	int i;

	for (i = 1; i < XSR_BACKENDS_MAX; i++) {
		snprintf(name, sizeof(name), "b%d", i);
		snprintf(address, sizeof(address), "10.0.0.%d:1", i);
		assert_int_equal(add(prog, name, address), i);
	}
	assert_int_equal(add(prog, "more", "10.0.1.1:1"), -ENOSPC);
	assert_int_equal(delete(prog, "b7", &user), 0);
	assert_int_equal(add(prog, "more", "10.0.1.1:1"), 7);
}

static void a_backend_that_is_used_is_not_deleted(void **state)
{
	struct prog *prog = *state;
	int one = add(prog, "one", "10.0.0.1:9000");
	struct prog_service hashed, dense;
	struct xsr_service service;
	uint32_t user = 0;

	hashed = tcp_service(prog, "hashed", "0.0.0.0:7000", one);
	assert_int_equal(delete(prog, "one", &user), -EBUSY);
	assert_int_equal(user, hashed.index);
	prog_lock(prog);
	service = hashed.s;
	service.backends = 0;
	assert_int_equal(service_update(prog->maps, hashed.index, &service), 0);
	maps_unlock(prog->maps);
	prog_route(prog, &hashed, 1ULL << 40, XSR_ACTION_BACKEND, one);
	assert_int_equal(delete(prog, "one", &user), -EBUSY);
	prog_service_delete(prog, "hashed");
	dense = tcp_service(prog, "dense", "0.0.0.0:7000", 2);
	prog_route(prog, &dense, 5, XSR_ACTION_BACKEND, one);
	assert_int_equal(delete(prog, "one", &user), -EBUSY);
	assert_int_equal(user, dense.index);
	prog_route(prog, &dense, 5, XSR_ACTION_BACKEND, 2);
	assert_int_equal(delete(prog, "one", &user), 0);
	assert_int_equal(delete(prog, "one", &user), -ENOENT);
}

/* --- the chains of a port --- */

static void packet_of(struct packet *p)
{
	static const __u8 frame[24] = { [3] = 20, [4] = 1, [5] = 3, [15] = 42 };

	memset(p, 0, sizeof(*p));
	packet_make_udp4(p, PORT, frame, sizeof(frame));
}

static void udp_and_tcp_services_of_one_port_do_not_meet(void **state)
{
	struct prog *prog = *state;
	int one = add(prog, "one", "10.0.0.1:9000");
	struct prog_service tcp, udp;
	struct packet p;

	packet_of(&p);
	tcp = tcp_service(prog, "tcp", "0.0.0.0:7000", one);
	assert_int_equal(prog->maps->ports[PORT].tcp, tcp.index);
	assert_int_equal(prog->maps->ports[PORT].udp, 0);
	expect_stat(prog, &p, 0, XSR_STAT_NO_SERVICE);
	udp = prog_service_add(prog, &(struct service_spec){ .name = "udp", .address = "0.0.0.0:7000", .id = "xsr" });
	assert_int_equal(prog->maps->ports[PORT].udp, udp.index);
	assert_int_equal(prog->maps->services[udp.index].next, 0);
	expect_stat(prog, &p, udp.index, XSR_STAT_NO_ROUTE_PASS);
	tcp_service(prog, "exact", "10.9.0.2:7000", one);
	assert_int_equal(prog->maps->services[prog->maps->ports[PORT].tcp].next, tcp.index);
	prog_service_delete(prog, "tcp");
	assert_int_equal(prog->maps->services[prog->maps->ports[PORT].tcp].next, 0);
	expect_stat(prog, &p, udp.index, XSR_STAT_NO_ROUTE_PASS);
	prog_service_delete(prog, "udp");
	assert_int_not_equal(prog->maps->ports[PORT].tcp, 0);
	expect_stat(prog, &p, 0, XSR_STAT_NO_SERVICE);
}

/* Nobody here could send it on. */
static void a_backend_is_no_action_for_datagrams(void **state)
{
	struct prog *prog = *state;
	struct prog_service udp;
	struct packet p;

	packet_of(&p);
	udp = prog_service_add(prog, &(struct service_spec){ .name = "udp", .address = "0.0.0.0:7000", .id = "xsr", .dense = "16" });
	prog_route(prog, &udp, 42, XSR_ACTION_BACKEND, 1); /* hashed */
	expect_stat(prog, &p, udp.index, XSR_STAT_ROUTE_UNKNOWN_ACTION);
	((__u8 *)p.data)[p.len - 9] = 5; /* the ID's last byte */
	prog_route(prog, &udp, 5, XSR_ACTION_BACKEND, 1); /* dense */
	expect_stat(prog, &p, udp.index, XSR_STAT_ROUTE_UNKNOWN_ACTION);
}

/* --- what workers are told --- */

static uint32_t version(const struct prog *prog)
{
	return __atomic_load_n(&prog->maps->switches->routes_version, __ATOMIC_ACQUIRE);
}

static void import(struct prog *prog, const struct prog_service *service)
{
	struct route_entry entries[3] = { { .id = 1 }, { .id = 2 }, { .id = 1ULL << 40 } };
	size_t bad, i;
	int ret;

	for (i = 0; i < 3; i++)
		entries[i].route.action = XSR_ACTION_DROP;
	prog_lock(prog);
	ret = route_import(prog->maps, service->index, &service->s, entries, 3, &bad, NULL, NULL);
	maps_unlock(prog->maps);
	assert_int_equal(ret, 0);
}

static void each_change_of_a_tcp_service_s_routes_is_told_once(void **state)
{
	struct prog *prog = *state;
	struct prog_service tcp = tcp_service(prog, "tcp", "0.0.0.0:7000", add(prog, "one", "10.0.0.1:9000"));
	uint32_t before = version(prog);
	uint16_t generation;

	prog_route(prog, &tcp, 5, XSR_ACTION_BACKEND, 1);
	assert_int_equal(version(prog), ++before);
	prog_route(prog, &tcp, 1ULL << 40, XSR_ACTION_BACKEND, 1);
	assert_int_equal(version(prog), ++before);
	assert_int_equal(route_move_backend(prog->maps, tcp.index, 5, 1, &generation), 0);
	assert_int_equal(generation, 2);
	assert_int_equal(version(prog), ++before);
	import(prog, &tcp);
	assert_int_equal(version(prog), ++before);
	assert_int_equal(route_delete(prog->maps, tcp.index, &tcp.s, 5), 0);
	assert_int_equal(version(prog), ++before);
	assert_int_equal(route_delete(prog->maps, tcp.index, &tcp.s, 5), -ENOENT);
	assert_int_equal(version(prog), before);
	assert_int_equal(route_flush(prog->maps, tcp.index, &tcp.s), 3);
	assert_int_equal(version(prog), ++before);
}

static void changes_of_udp_routes_are_not_told(void **state)
{
	struct prog *prog = *state;
	struct prog_service udp = prog_service_add(
		prog, &(struct service_spec){ .name = "udp", .address = "0.0.0.0:7000", .id = "xsr", .dense = "16" });
	uint32_t before = version(prog);

	prog_route(prog, &udp, 5, XSR_ACTION_DROP, 0);
	import(prog, &udp);
	assert_int_equal(route_flush(prog->maps, udp.index, &udp.s), 4);
	assert_int_equal(version(prog), before);
}

/* --- counters and state --- */

static void counters_are_summed_and_go_with_their_service(void **state)
{
	struct prog *prog = *state;
	struct prog_service tcp = tcp_service(prog, "tcp", "0.0.0.0:7000", 1);
	struct xsr_stream_counters sum;

	prog->maps->streams[xsr_stream_index(tcp.index, 0)].n[XSR_STREAM_STAT_REQUESTS] = 3;
	prog->maps->streams[xsr_stream_index(tcp.index, 63)].n[XSR_STREAM_STAT_REQUESTS] = 4;
	prog->maps->streams[xsr_stream_index(tcp.index, 63)].n[XSR_STREAM_STAT_MOVES] = 1;
	prog->maps->streams[xsr_stream_index(tcp.index + 1, 0)].n[XSR_STREAM_STAT_REQUESTS] = 100;
	stream_sum(prog->maps, tcp.index, &sum);
	assert_int_equal(sum.n[XSR_STREAM_STAT_REQUESTS], 7);
	assert_int_equal(sum.n[XSR_STREAM_STAT_MOVES], 1);
	prog_service_delete(prog, "tcp");
	stream_sum(prog->maps, tcp.index, &sum);
	assert_int_equal(sum.n[XSR_STREAM_STAT_REQUESTS], 0);
	stream_sum(prog->maps, tcp.index + 1, &sum);
	assert_int_equal(sum.n[XSR_STREAM_STAT_REQUESTS], 100);
	stream_clear(prog->maps, tcp.index + 1);
}

static void a_state_counts_while_its_process_lives(void **state)
{
	struct prog *prog = *state;
	struct prog_service tcp = tcp_service(prog, "tcp", "0.0.0.0:7000", 1);
	struct xsr_stream_state *s = &prog->maps->states[tcp.index];

	assert_int_equal(stream_pid(s), 0);
	stream_claim(prog->maps, tcp.index, XSR_STREAM_EPOLL, "the self-test failed");
	assert_int_equal(stream_pid(s), getpid());
	assert_int_equal(s->mode, XSR_STREAM_EPOLL);
	assert_string_equal(s->why, "the self-test failed");
	s->started++; /* another process of this number */
	assert_int_equal(stream_pid(s), 0);
	stream_claim(prog->maps, tcp.index, XSR_STREAM_FRAMES, NULL);
	assert_string_equal(s->why, "");
	stream_leave(prog->maps, tcp.index);
	assert_int_equal(stream_pid(s), 0);
	stream_claim(prog->maps, tcp.index, XSR_STREAM_FRAMES, NULL);
	prog_service_delete(prog, "tcp");
	assert_int_equal(stream_pid(s), 0);
}

/* --- a configuration that is read again --- */

static struct config *config_of(const char *yaml)
{
	char why[CONFIG_WHY_LEN];
	struct config *config;

	if (config_parse("test", yaml, strlen(yaml), &config, why))
		fail_msg("%s", why);
	return config;
}

/* From the file `old` (NULL = the start) to `new`; NULL = it must succeed, else a part of the sentence. */
static struct reconcile_result reconciled(struct prog *prog, const char *old, const char *new, const char *because)
{
	struct config *a = old ? config_of(old) : NULL, *b = config_of(new);
	struct reconcile_result result;
	char why[CONFIG_WHY_LEN] = "";
	int ret = reconcile_services(prog->maps, a, b, &result, why);

	if (because ? !ret || !strstr(why, because) : ret)
		fail_msg("%d, \"%s\" is not %s", ret, why, because ?: "success");
	config_free(a);
	config_free(b);
	return result;
}

/* All backends in the order of their numbers, as "name address,". */
static const char *backends_text(struct prog *prog)
{
	static char text[1024];
	char address[SERVICE_ADDRESS_LEN];
	struct xsr_backend b;
	uint32_t i;

	text[0] = 0;
	for (i = 1; i < XSR_BACKENDS_MAX; i++)
		if (!backend_at(prog->maps, i, &b))
			sprintf(text + strlen(text), "%s %s,", b.name, backend_address(&b, address));
	return text;
}

/* Which backends a service has, by their names. */
static const char *names_of(struct prog *prog, const char *name)
{
	static char text[1024];
	struct xsr_service s;
	uint32_t i;

	text[0] = 0;
	assert_true(service_get(prog->maps, name, &s) > 0);
	for (i = 1; i < XSR_BACKENDS_MAX; i++)
		if (s.backends >> i & 1)
			sprintf(text + strlen(text), "%s,", prog->maps->backends[i].name);
	return text;
}

#define ONE "{name: one, address: \"10.0.0.1:1\"}"
#define TWO "{name: two, address: \"10.0.0.2:1\"}"
#define THREE "{name: three, address: \"10.0.0.3:1\"}"
#define FILE_OF(backends, names)                                                                              \
	"{backends: [" backends "], services: [{name: gw, protocol: tcp, address: \"0.0.0.0:7000\", id: xsr, " \
	"backends: [" names "]}]}"

static void backends_come_with_their_services(void **state)
{
	struct reconcile_result result = reconciled(*state, NULL, FILE_OF(TWO "," ONE, "one"), NULL);

	assert_int_equal(result.n_added, 1);
	assert_int_equal(result.n_backends_added, 2);
	assert_string_equal(backends_text(*state), "two 10.0.0.2:1,one 10.0.0.1:1,");
	assert_string_equal(names_of(*state, "gw"), "one,");
}

static void backends_added_by_hand_keep_their_numbers_and_stay(void **state)
{
	add(*state, "hand", "10.0.0.9:1");
	add(*state, "one", "10.0.0.8:1");
	reconciled(*state, NULL, FILE_OF(TWO "," ONE, "two, one"), NULL);
	assert_string_equal(backends_text(*state), "hand 10.0.0.9:1,one 10.0.0.1:1,two 10.0.0.2:1,");
	assert_string_equal(names_of(*state, "gw"), "one,two,");
	reconciled(*state, FILE_OF(TWO "," ONE, "two, one"), "{}", NULL);
	assert_string_equal(backends_text(*state), "hand 10.0.0.9:1,");
}

static void a_reload_adds_changes_and_deletes_backends(void **state)
{
	struct reconcile_result result;

	reconciled(*state, NULL, FILE_OF(ONE "," TWO, "one, two"), NULL);
	result = reconciled(*state, FILE_OF(ONE "," TWO, "one, two"),
			    FILE_OF("{name: one, address: \"10.0.0.7:1\"}," THREE, "three, one"), NULL);
	assert_int_equal(result.n_changed, 1);
	assert_int_equal(result.n_backends_added, 1);
	assert_int_equal(result.n_backends_changed, 1);
	assert_int_equal(result.n_backends_deleted, 1);
	assert_string_equal(backends_text(*state), "one 10.0.0.7:1,three 10.0.0.3:1,");
	assert_string_equal(names_of(*state, "gw"), "one,three,");
}

static void backends_may_swap_their_addresses(void **state)
{
	reconciled(*state, NULL, FILE_OF(ONE "," TWO, "one"), NULL);
	reconciled(*state, FILE_OF(ONE "," TWO, "one"),
		   FILE_OF("{name: one, address: \"10.0.0.2:1\"},{name: two, address: \"10.0.0.1:1\"}", "one"), NULL);
	assert_string_equal(backends_text(*state), "one 10.0.0.2:1,two 10.0.0.1:1,");
}

static void what_cannot_be_is_refused_before_anything_changes(void **state)
{
	static const char *const old = FILE_OF(ONE "," TWO, "one, two");
	struct prog *prog = *state;
	struct xsr_service s;
	uint16_t generation;
	int index, two;

	reconciled(prog, NULL, old, NULL);
	add(prog, "hand", "10.0.0.9:1");
	reconciled(prog, old, FILE_OF(ONE "," TWO ",{name: x, address: \"10.0.0.9:1\"}", "one"),
		   "backends 'hand' and 'x' have one address and port");
	reconciled(prog, old,
		   "{backends: [" ONE "," TWO "," THREE "], services: [{name: gw, protocol: tcp, address: \"0.0.0.0:7000\", id: none, "
		   "mode: relay, backends: [three]}]}",
		   "service 'gw' exists with another");
	reconciled(prog, old,
		   "{backends: [" ONE "," TWO "," THREE "], services: [{name: gw, protocol: tcp, address: \"0.0.0.0:7000\", id: xsr, "
		   "mode: frames, backends: [three]}]}",
		   "service 'gw': its mode is read at the start only: expected epoll");
	index = service_get(prog->maps, "gw", &s);
	two = backend_get(prog->maps, "two", &(struct xsr_backend){});
	assert_int_equal(route_move_backend(prog->maps, index, 9, two, &generation), 0);
	reconciled(prog, old, FILE_OF(ONE "," THREE, "one"), "backend 'two' cannot go: service 'gw' has routes to it");
	tcp_service(prog, "byhand", "0.0.0.0:7001", two);
	reconciled(prog, old, FILE_OF(ONE "," THREE, "one"), "backend 'two' cannot go: service 'byhand' names it");
	assert_string_equal(backends_text(prog), "one 10.0.0.1:1,two 10.0.0.2:1,hand 10.0.0.9:1,");
	assert_string_equal(names_of(prog, "gw"), "one,two,");
}

static void a_backend_goes_with_the_service_that_has_routes_to_it(void **state)
{
	struct prog *prog = *state;
	struct xsr_service s;
	uint16_t generation;
	int index;

	reconciled(prog, NULL, FILE_OF(ONE, "one"), NULL);
	index = service_get(prog->maps, "gw", &s);
	assert_int_equal(route_move_backend(prog->maps, index, 9, 1, &generation), 0);
	reconciled(prog, FILE_OF(ONE, "one"), "{}", NULL);
	assert_string_equal(backends_text(prog), "");
}

/* A router that starts takes the file's mode; one that runs does not. */
static void a_start_changes_the_mode(void **state)
{
	struct xsr_service s;

	reconciled(*state, NULL, FILE_OF(ONE, "one"), NULL);
	reconciled(*state, NULL,
		   "{backends: [" ONE "], services: [{name: gw, protocol: tcp, address: \"0.0.0.0:7000\", id: xsr, mode: frames, "
		   "frame_max: 100, backends: [one]}]}",
		   NULL);
	assert_true(service_get(((struct prog *)*state)->maps, "gw", &s) > 0);
	assert_int_equal(s.mode, XSR_STREAM_FRAMES);
	assert_int_equal(s.frame_max, 100);
}

#define backend_test(f) cmocka_unit_test_teardown(f, backends_clear)

int main(void)
{
	const struct CMUnitTest tests[] = {
		backend_test(a_backend_comes_back_as_it_was_added),
		backend_test(names_and_addresses_of_backends_are_their_own),
		backend_test(the_table_of_backends_has_63_places),
		backend_test(a_backend_that_is_used_is_not_deleted),
		backend_test(udp_and_tcp_services_of_one_port_do_not_meet),
		backend_test(a_backend_is_no_action_for_datagrams),
		backend_test(each_change_of_a_tcp_service_s_routes_is_told_once),
		backend_test(changes_of_udp_routes_are_not_told),
		backend_test(counters_are_summed_and_go_with_their_service),
		backend_test(a_state_counts_while_its_process_lives),
		backend_test(backends_come_with_their_services),
		backend_test(backends_added_by_hand_keep_their_numbers_and_stay),
		backend_test(a_reload_adds_changes_and_deletes_backends),
		backend_test(backends_may_swap_their_addresses),
		backend_test(what_cannot_be_is_refused_before_anything_changes),
		backend_test(a_backend_goes_with_the_service_that_has_routes_to_it),
		backend_test(a_start_changes_the_mode),
	};

	return prog_run_tests(tests);
}
