/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* gateway.h: clients and backends that behave, and those that do not, around gateways that run in threads of this process. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <cmocka.h>

#include "gateway_world.h"

#define ID 0x1234567890ULL /* its route is none */

/* --- sessions begin and end --- */

static void session_is_greeted_end_to_end(void **state)
{
	struct xsr_frame_hello_ack ack;
	int c;

	(void)state;
	world_start();
	c = client_open();
	peer_hello(c, ID, 7);
	peer_expect(world_link(1), XSR_FRAME_HELLO, ID, 7);
	peer_ack(world_link(1), ID, 9, XSR_HELLO_OK);
	ack = peer_expect_ack(c, ID, 9, XSR_HELLO_OK);
	assert_int_equal(ack.role, XSR_ROLE_ROUTER);
	assert_int_equal(be16toh(ack.worker), 0);
	assert_int_equal(be32toh(ack.generation), 0);
	assert_int_equal(be64toh(ack.id), ID);
	assert_int_equal(world_stat(XSR_STREAM_STAT_HELLOS), 1);
	assert_int_equal(world_stat(XSR_STREAM_STAT_SESSIONS), 1);
	close(c);
	world_wait_stat(XSR_STREAM_STAT_CLOSED_BY_PEER, 1);
	assert_int_equal(world_stat(XSR_STREAM_STAT_SESSIONS), 0);
}

static void requests_and_replies_of_many_sessions_share_a_connection(void **state)
{
	uint64_t id, seq;
	int c;

	(void)state;
	world_start();
	c = client_open();
	for (id = 1; id <= 20; id++)
		session_open(c, world_link(1), id, 0, 0);
	for (seq = 1; seq <= 20; seq++)
		for (id = 1; id <= 20; id++)
			exchange_one(c, world_link(1), id, seq, id * seq * 10);
	assert_int_equal(world_stat(XSR_STREAM_STAT_REQUESTS), 400);
	assert_int_equal(world_stat(XSR_STREAM_STAT_REPLIES), 400);
	close(c);
}

/* Whichever worker it is. */
static void who_wants_any_id_gets_one(void **state)
{
	struct peer_frame f;
	uint64_t id, before = 0;
	unsigned int worker;
	int c;

	(void)state;
	W.n_workers = 2;
	world_start();
	for (worker = 0; worker < 2; worker++) {
		c = client_open_at(worker);
		peer_hello(c, 0, 0);
		assert_true(peer_recv_data(W.backends[1].links[worker], &f) || true);
		id = be64toh(f.header.id);
		assert_int_equal(f.header.type, XSR_FRAME_HELLO);
		assert_true(id != 0 && id != before);
		assert_int_equal(xsr_id_node(id), FAKE_NODE);
		peer_ack(W.backends[1].links[worker], id, 0, XSR_HELLO_OK);
		peer_expect_ack(c, id, 0, XSR_HELLO_OK);
		exchange_one(c, W.backends[1].links[worker], id, 1, 100);
		close(c);
		before = id;
	}
}

static void requests_right_behind_the_hello_wait_for_its_answer(void **state)
{
	int c;

	(void)state;
	world_start();
	c = client_open();
	peer_hello(c, ID, 0);
	peer_request(c, ID, 1, 10);
	peer_expect(world_link(1), XSR_FRAME_HELLO, ID, 0);
	assert_true(peer_is_silent(world_link(1), 50));
	peer_ack(world_link(1), ID, 0, XSR_HELLO_OK);
	peer_expect_ack(c, ID, 0, XSR_HELLO_OK);
	peer_expect(world_link(1), XSR_FRAME_ECHO_REQ, ID, 1);
	peer_reply(world_link(1), ID, 1, 10);
	peer_expect(c, XSR_FRAME_ECHO_REP, ID, 1);
	close(c);
}

/* The first one's client went before it was answered. */
static void of_two_handshakes_of_a_session_the_last_counts(void **state)
{
	int before, c;

	(void)state;
	world_start();
	before = client_open();
	peer_hello(before, ID, 0);
	peer_expect(world_link(1), XSR_FRAME_HELLO, ID, 0);
	c = client_open();
	peer_hello(c, ID, 0);
	peer_expect(world_link(1), XSR_FRAME_HELLO, ID, 0);
	peer_ack(world_link(1), ID, 1, XSR_HELLO_OK);
	peer_reply(world_link(1), ID, 1, 10);
	peer_ack(world_link(1), ID, 1, XSR_HELLO_OK);
	peer_reply(world_link(1), ID, 1, 10);
	peer_expect_ack(c, ID, 1, XSR_HELLO_OK);
	peer_expect(c, XSR_FRAME_ECHO_REP, ID, 1);
	exchange_one(c, world_link(1), ID, 2, 10); /* nothing comes twice */
	assert_int_equal(world_stat(XSR_STREAM_STAT_STRAY_REPLIES), 1);
	close(before);
	close(c);
}

static void requests_without_hello_get_an_error(void **state)
{
	int c;

	(void)state;
	world_start();
	c = client_open();
	peer_request(c, ID, 5, 10);
	peer_expect_error(c, ID, 5, XSR_ERROR_NO_HANDSHAKE);
	session_open(c, world_link(1), ID, 0, 0);
	peer_request(c, ID + 1, 1, 10);
	peer_expect_error(c, ID + 1, 1, XSR_ERROR_NO_HANDSHAKE);
	exchange_one(c, world_link(1), ID, 1, 10);
	assert_int_equal(world_stat(XSR_STREAM_STAT_ERR_NO_HANDSHAKE), 2);
	close(c);
}

static void backend_that_rejects_a_session_gets_no_requests_of_it(void **state)
{
	int c;

	(void)state;
	world_start();
	c = client_open();
	peer_hello(c, ID, 0);
	peer_expect(world_link(1), XSR_FRAME_HELLO, ID, 0);
	peer_ack(world_link(1), ID, 0, XSR_HELLO_BUSY);
	peer_expect_ack(c, ID, 0, XSR_HELLO_BUSY);
	assert_int_equal(world_stat(XSR_STREAM_STAT_REJECTED), 1);
	peer_request(c, ID, 1, 10);
	peer_expect_error(c, ID, 1, XSR_ERROR_NO_HANDSHAKE);
	session_open(c, world_link(1), ID, 0, 0);
	exchange_one(c, world_link(1), ID, 1, 10);
	close(c);
}

static void without_backend_the_client_is_told_to_try_again(void **state)
{
	int c;

	(void)state;
	W.n_backends = 0;
	world_start();
	c = client_open();
	peer_hello(c, ID, 0);
	peer_expect_ack(c, ID, 0, XSR_HELLO_BUSY);
	close(c);
}

static void service_that_drops_rejects_what_has_no_route(void **state)
{
	int c;

	(void)state;
	world_service()->default_action = XSR_ACTION_DROP;
	world_start();
	c = client_open();
	peer_hello(c, ID, 0);
	peer_expect_ack(c, ID, 0, XSR_HELLO_REJECT);
	close(c);
}

/* HELLO of another role, or of two IDs. */
static void hello_that_contradicts_itself_is_rejected(void **state)
{
	const struct xsr_frame_hello hello = { .role = XSR_ROLE_CLIENT, .id = htobe64(ID + 1) };
	const struct xsr_frame_hello router = { .role = XSR_ROLE_ROUTER, .id = htobe64(ID) };
	int c;

	(void)state;
	world_start();
	c = client_open();
	peer_send(c, XSR_FRAME_HELLO, 0, ID, 0, &hello, sizeof(hello));
	peer_expect_ack(c, ID, 0, XSR_HELLO_REJECT);
	peer_send(c, XSR_FRAME_HELLO, 0, ID, 0, &router, sizeof(router));
	peer_expect_ack(c, ID, 0, XSR_HELLO_REJECT);
	close(c);
}

static void bye_ends_a_session_or_the_connection(void **state)
{
	int c;

	(void)state;
	world_start();
	c = client_open();
	session_open(c, world_link(1), ID, 0, 0);
	session_open(c, world_link(1), ID + 1, 0, 0);
	peer_send(c, XSR_FRAME_BYE, 0, ID, 0, NULL, 2);
	peer_expect(world_link(1), XSR_FRAME_BYE, ID, 0);
	peer_request(c, ID, 1, 10);
	peer_expect_error(c, ID, 1, XSR_ERROR_NO_HANDSHAKE);
	exchange_one(c, world_link(1), ID + 1, 1, 10);
	assert_int_equal(registry_find(W.registry, FAKE_SERVICE, ID), -ENOENT);
	peer_send(c, XSR_FRAME_BYE, 0, 0, 0, NULL, 2);
	peer_expect_end(c);
	assert_int_equal(world_stat(XSR_STREAM_STAT_CLOSED_BY_PEER), 1);
	close(c);
}

/* --- garbage --- */

static void frame_of_len(int fd, uint32_t len, uint8_t version, uint8_t type, size_t n_payload)
{
	struct xsr_frame h = { .len = htobe32(len), .version = version, .type = type };
	char some[64] = "";

	peer_write(fd, &h, sizeof(h));
	peer_write(fd, some, n_payload);
}

static void what_is_no_frame_ends_the_connection_by_its_reason(void **state)
{
	static const struct {
		uint32_t len;
		uint8_t version, type;
		enum xsr_stream_stat reason;
	} rows[] = {
		{ 0, 1, XSR_FRAME_ECHO_REQ, XSR_STREAM_STAT_CLOSED_BAD_LEN },
		{ 19, 1, XSR_FRAME_ECHO_REQ, XSR_STREAM_STAT_CLOSED_BAD_LEN },
		{ (1 << 20) + 1, 1, XSR_FRAME_ECHO_REQ, XSR_STREAM_STAT_CLOSED_BAD_LEN },
		{ 0xffffffff, 1, XSR_FRAME_ECHO_REQ, XSR_STREAM_STAT_CLOSED_BAD_LEN },
		{ 20, 0, XSR_FRAME_ECHO_REQ, XSR_STREAM_STAT_CLOSED_BAD_VERSION },
		{ 20, 2, XSR_FRAME_ECHO_REQ, XSR_STREAM_STAT_CLOSED_BAD_VERSION },
		{ 20, 1, 0, XSR_STREAM_STAT_CLOSED_BAD_TYPE },
		{ 20, 1, 0xff, XSR_STREAM_STAT_CLOSED_BAD_TYPE },
		{ 20, 1, XSR_FRAME_HELLO_ACK, XSR_STREAM_STAT_CLOSED_BAD_TYPE },
		{ 20, 1, XSR_FRAME_ERROR, XSR_STREAM_STAT_CLOSED_BAD_TYPE },
		{ 20, 1, XSR_FRAME_HELLO, XSR_STREAM_STAT_CLOSED_BAD_LEN },
		{ 31, 1, XSR_FRAME_HELLO, XSR_STREAM_STAT_CLOSED_BAD_LEN },
	};
	size_t i;
	int c;

	(void)state;
	world_start();
	for (i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		uint64_t n = world_stat(rows[i].reason);

		c = client_open();
		frame_of_len(c, rows[i].len, rows[i].version, rows[i].type, rows[i].len == 31 ? 11 : 0);
		peer_expect_end(c);
		world_wait_stat(rows[i].reason, n + 1);
		close(c);
	}
}

/* All are looked at in the same turn. */
static void connections_that_end_do_not_hold_up_those_beside(void **state)
{
	int good = -1, bad[32], round, i;

	(void)state;
	world_start();
	for (round = 0; round < 20; round++) {
		uint64_t n = world_stat(XSR_STREAM_STAT_CLOSED_BY_PEER);

		good = client_open();
		for (i = 0; i < 32; i++)
			bad[i] = client_open();
		for (i = 0; i < 32; i++) {
			struct xsr_frame two[2] = {};

			two[0].len = two[1].len = htobe32(20);
			two[0].version = two[1].version = 1;
			two[0].type = two[1].type = XSR_FRAME_BYE;
			peer_write(bad[i], two, sizeof(two));
		}
		session_open(good, world_link(1), ID, round, round);
		exchange_one(good, world_link(1), ID, round + 1, 100);
		for (i = 0; i < 32; i++) {
			peer_expect_end(bad[i]);
			close(bad[i]);
		}
		close(good);
		world_wait_stat(XSR_STREAM_STAT_CLOSED_BY_PEER, n + 33);
	}
}

static void end_in_the_middle_of_a_frame_is_counted_as_that(void **state)
{
	int c;

	(void)state;
	world_start();
	c = client_open();
	session_open(c, world_link(1), ID, 0, 0);
	peer_write(c, "\0\0\0\x20\1", 5);
	shutdown(c, SHUT_WR);
	peer_expect_end(c);
	assert_int_equal(world_stat(XSR_STREAM_STAT_CLOSED_HALF_FRAME), 1);
	close(c);
}

static void reset_is_counted_as_that(void **state)
{
	int c;

	(void)state;
	world_start();
	c = client_open();
	session_open(c, world_link(1), ID, 0, 0);
	peer_request(c, ID, 1, 10);
	peer_expect(world_link(1), XSR_FRAME_ECHO_REQ, ID, 1);
	peer_reset(c);
	world_wait_stat(XSR_STREAM_STAT_CLOSED_RESET, 1);
	peer_reply(world_link(1), ID, 1, 10);
	world_wait_stat(XSR_STREAM_STAT_STRAY_REPLIES, 1);
}

static void too_many_connections_are_refused(void **state)
{
	int c[3], more;

	(void)state;
	W.params.connections_max = 3;
	world_start();
	c[0] = client_open();
	c[1] = client_open();
	c[2] = client_open();
	more = peer_connect(W.port);
	peer_expect_end(more);
	world_wait_stat(XSR_STREAM_STAT_REFUSED, 1);
	close(more);
	close(c[1]);
	world_wait_stat(XSR_STREAM_STAT_CONNECTIONS, 2);
	c[1] = client_open();
	session_open(c[1], world_link(1), ID, 0, 0);
	close(c[0]);
	close(c[1]);
	close(c[2]);
}

#define test(name) cmocka_unit_test_setup_teardown(name, world_open, world_close)

int main(void)
{
	const struct CMUnitTest tests[] = {
		test(session_is_greeted_end_to_end),
		test(requests_and_replies_of_many_sessions_share_a_connection),
		test(who_wants_any_id_gets_one),
		test(requests_right_behind_the_hello_wait_for_its_answer),
		test(of_two_handshakes_of_a_session_the_last_counts),
		test(requests_without_hello_get_an_error),
		test(backend_that_rejects_a_session_gets_no_requests_of_it),
		test(without_backend_the_client_is_told_to_try_again),
		test(service_that_drops_rejects_what_has_no_route),
		test(hello_that_contradicts_itself_is_rejected),
		test(bye_ends_a_session_or_the_connection),
		test(what_is_no_frame_ends_the_connection_by_its_reason),
		test(connections_that_end_do_not_hold_up_those_beside),
		test(end_in_the_middle_of_a_frame_is_counted_as_that),
		test(reset_is_counted_as_that),
		test(too_many_connections_are_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
