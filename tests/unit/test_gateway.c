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

/* --- what several tests need --- */

static unsigned int backend_of_hello(uint64_t id, uint64_t has)
{
	const int fds[] = { world_link(1), world_link(2) };
	unsigned int number = 1 + who_says(fds, 2);

	peer_expect(world_link(number), XSR_FRAME_HELLO, id, has);
	return number;
}

static void move_ask(uint64_t id, unsigned int backend, uint64_t token)
{
	const struct mail mail = { .type = GATEWAY_MAIL_MOVE, .service = FAKE_SERVICE, .id = id, .count = backend, .token = token };

	assert_true(post_mail(&W.control, 0, &mail));
}

static unsigned int move_answer(uint64_t token)
{
	struct mail *mail;
	unsigned int i, result;

	for (i = 0; i < PEER_WAIT_S * 1000 && !(mail = post_next(&W.control, 0)); i++)
		usleep(1000);
	assert_non_null(mail);
	assert_int_equal(mail->type, GATEWAY_MAIL_PASSED);
	assert_int_equal(mail->token, token);
	result = mail->result;
	post_done(&W.control, 0);
	return result;
}

static void move_go(uint64_t id, uint64_t token, enum errand_result result)
{
	const struct mail mail = {
		.type = GATEWAY_MAIL_GO, .service = FAKE_SERVICE, .id = id, .token = token, .result = result, .generation = 1
	};

	assert_true(post_mail(&W.control, 0, &mail));
}

static void echo_frame(uint8_t *to, uint64_t seq, size_t len)
{
	const struct xsr_frame header = {
		.len = htobe32(XSR_FRAME_LEN_MIN + len),
		.version = XSR_FRAME_VERSION,
		.type = XSR_FRAME_ECHO_REQ,
		.id = htobe64(ID),
		.seq = htobe64(seq),
	};

	memcpy(to, &header, sizeof(header));
	memset(to + sizeof(header), seq, len);
}

/* A client in a thread. */
struct pusher {
	int fd;
	uint64_t id;
	unsigned int n, n_done;
	size_t len, piece;
};

/* Asks n times, and reads nothing. */
static void *pusher_main(void *arg)
{
	struct pusher *p = arg;

	for (; p->n_done < p->n; p->n_done++)
		peer_request(p->fd, p->id, p->n_done + 1, p->len);
	return NULL;
}

/* Asks in small pieces, one after another. */
static void *ping_pong_main(void *arg)
{
	struct pusher *p = arg;
	uint8_t *bytes = malloc(XSR_FRAME_HEADER_LEN + p->len);
	struct peer_frame f;
	size_t at, n;

	for (; p->n_done < p->n; p->n_done++) {
		echo_frame(bytes, p->n_done + 1, p->len);
		((struct xsr_frame *)bytes)->id = htobe64(p->id);
		for (at = 0; at < XSR_FRAME_HEADER_LEN + p->len; at += n) {
			n = XSR_FRAME_HEADER_LEN + p->len - at < p->piece ? XSR_FRAME_HEADER_LEN + p->len - at : p->piece;
			if (send(p->fd, bytes + at, n, MSG_NOSIGNAL) != (ssize_t)n)
				goto out;
			usleep(2000);
		}
		if (recv(p->fd, &f.header, sizeof(f.header), MSG_WAITALL) != sizeof(f.header) ||
		    f.header.type != XSR_FRAME_ECHO_REP || recv(p->fd, bytes, p->len, MSG_WAITALL) != (ssize_t)p->len)
			break;
	}
out:
	free(bytes);
	return NULL;
}

/* Whole, or nothing of it. */
static void push_some(int fd, uint64_t id, uint64_t seq, size_t len)
{
	struct pollfd p = { .fd = fd, .events = POLLOUT };

	if (poll(&p, 1, 0) == 1)
		peer_request(fd, id, seq, len);
}

/* All n_each requests of n sessions, each in order, with all their bytes. */
static void drain_requests(int link, uint64_t first, unsigned int n, unsigned int n_each, size_t len)
{
	unsigned int left = n * n_each;
	uint64_t seqs[8] = {};
	struct peer_frame f;

	for (; left; left--) {
		assert_true(peer_recv_data(link, &f));
		assert_int_equal(f.len, len);
		assert_in_range(be64toh(f.header.id), first, first + n - 1);
		assert_int_equal(be64toh(f.header.seq), ++seqs[be64toh(f.header.id) - first]);
	}
}

static void *stop_main(void *arg)
{
	(void)arg;
	world_stop();
	return NULL;
}

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
	int c, link;

	(void)state;
	W.n_workers = 2;
	world_start();
	for (worker = 0; worker < 2; worker++) {
		c = client_open_at(worker);
		peer_hello(c, 0, 0);
		link = first_of_links(&f);
		id = be64toh(f.header.id);
		assert_int_equal(f.header.type, XSR_FRAME_HELLO);
		assert_true(id != 0 && id != before);
		assert_int_equal(xsr_id_node(id), FAKE_NODE);
		peer_ack(link, id, 0, XSR_HELLO_OK);
		peer_expect_ack(c, id, 0, XSR_HELLO_OK);
		exchange_one(c, link, id, 1, 100);
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

/* They were kept waiting, and their client has come back by another connection meanwhile. */
static void frames_of_a_connection_that_was_given_up_take_no_session(void **state)
{
	int before, c;

	(void)state;
	world_start();
	c = client_open();
	before = client_open();
	peer_hello(before, ID, 0);
	peer_expect(world_link(1), XSR_FRAME_HELLO, ID, 0);
	peer_request(before, ID, 1, 10);
	peer_hello(before, ID + 1, 0);
	shutdown(before, SHUT_WR);
	session_open(c, world_link(1), ID + 1, 0, 0);
	peer_ack(world_link(1), ID, 0, XSR_HELLO_OK);
	peer_expect_ack(before, ID, 0, XSR_HELLO_OK);
	peer_expect(world_link(1), XSR_FRAME_ECHO_REQ, ID, 1);
	peer_expect_ack(before, ID + 1, 0, XSR_HELLO_BUSY);
	exchange_one(c, world_link(1), ID + 1, 1, 10);
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

/* --- sessions come back --- */

static void session_comes_along_to_another_connection(void **state)
{
	int a, b;

	(void)state;
	world_start();
	a = client_open();
	session_open(a, world_link(1), ID, 0, 0);
	exchange_one(a, world_link(1), ID, 1, 10);
	b = client_open();
	session_open(b, world_link(1), ID, 1, 1);
	peer_expect_end(a);
	exchange_one(b, world_link(1), ID, 2, 10);
	assert_int_equal(world_stat(XSR_STREAM_STAT_CLOSED_TAKEN), 1);
	assert_int_equal(world_stat(XSR_STREAM_STAT_RESUMED), 1);
	close(a);
	close(b);
}

/* It is answered again behind the HELLO_ACK: what comes before would come twice. */
static void replies_under_way_do_not_overtake_the_answer_to_the_hello(void **state)
{
	int a, b;

	(void)state;
	world_start();
	a = client_open();
	session_open(a, world_link(1), ID, 0, 0);
	peer_request(a, ID, 1, 10);
	peer_expect(world_link(1), XSR_FRAME_ECHO_REQ, ID, 1);
	b = client_open();
	peer_hello(b, ID, 0);
	peer_expect(world_link(1), XSR_FRAME_HELLO, ID, 0);
	peer_reply(world_link(1), ID, 1, 10);
	peer_ack(world_link(1), ID, 1, XSR_HELLO_OK);
	peer_reply(world_link(1), ID, 1, 10);
	peer_expect_ack(b, ID, 1, XSR_HELLO_OK);
	peer_expect(b, XSR_FRAME_ECHO_REP, ID, 1);
	exchange_one(b, world_link(1), ID, 2, 10);
	close(a);
	close(b);
}

/* An error that the old connection did not bring: requests are asked again, and get their replies. */
static void what_was_given_up_while_the_client_was_away_is_asked_again(void **state)
{
	int c;

	(void)state;
	W.params.deadline_ms = 200;
	world_start();
	c = client_open();
	session_open(c, world_link(1), ID, 0, 0);
	peer_request(c, ID, 1, 10);
	peer_expect(world_link(1), XSR_FRAME_ECHO_REQ, ID, 1);
	peer_reset(c);
	world_wait_stat(XSR_STREAM_STAT_CONNECTIONS, 0);
	usleep(500000);
	c = client_open();
	session_open(c, world_link(1), ID, 0, 0);
	exchange_one(c, world_link(1), ID, 1, 10);
	close(c);
}

/* Client and backend are new, and count from 1. */
static void session_that_begins_anew_is_not_measured_by_the_old_one(void **state)
{
	int c;

	(void)state;
	W.params.deadline_ms = 200;
	world_start();
	c = client_open();
	session_open(c, world_link(1), ID, 0, 0);
	exchange_one(c, world_link(1), ID, 1000, 10);
	close(c);
	world_wait_stat(XSR_STREAM_STAT_CONNECTIONS, 0);
	c = client_open();
	session_open(c, world_link(1), ID, 0, 0);
	exchange_one(c, world_link(1), ID, 1, 10);
	assert_true(peer_is_silent(c, 400));
	exchange_one(c, world_link(1), ID, 2, 10);
	close(c);
}

static void session_goes_to_the_worker_where_its_client_comes_back(void **state)
{
	struct xsr_frame_hello_ack ack;
	struct peer_frame f;
	int a, b, old, new;

	(void)state;
	W.n_workers = 2;
	world_start();
	a = client_open_at(0);
	peer_hello(a, ID, 0);
	old = first_of_links(&f);
	assert_int_equal(f.header.type, XSR_FRAME_HELLO);
	new = W.backends[1].links[old == W.backends[1].links[0]];
	peer_ack(old, ID, 0, XSR_HELLO_OK);
	peer_expect_ack(a, ID, 0, XSR_HELLO_OK);
	exchange_one(a, old, ID, 1, 10);
	peer_request(a, ID, 2, 10);
	peer_expect(old, XSR_FRAME_ECHO_REQ, ID, 2);
	b = client_open_at(1);
	peer_hello(b, ID, 1);
	barrier_answer(old);
	peer_expect(new, XSR_FRAME_HELLO, ID, 1);
	peer_expect_end(a);
	peer_ack(new, ID, 2, XSR_HELLO_OK);
	peer_reply(new, ID, 2, 10);
	ack = peer_expect_ack(b, ID, 2, XSR_HELLO_OK);
	assert_int_equal(be16toh(ack.worker), 1);
	peer_expect(b, XSR_FRAME_ECHO_REP, ID, 2);
	exchange_one(b, new, ID, 3, 10);
	assert_int_equal(registry_find(W.registry, FAKE_SERVICE, ID), 1);
	assert_int_equal(world_stat(XSR_STREAM_STAT_CLOSED_TAKEN), 1);
	close(a);
	close(b);
}

/* To and fro, on two workers, while requests are under way. */
static void session_that_roams_loses_nothing(void **state)
{
	int clients[2], i;

	(void)state;
	W.n_workers = 2;
	world_start();
	echo_start();
	clients[0] = client_open_at(0);
	clients[1] = client_open_at(1);
	close(clients[1]);
	for (i = 0; i < 50; i++) {
		int c = i % 2 ? client_open_at(1) : clients[0];

		if (i && i % 2 == 0)
			c = client_open_at(0);
		peer_hello(c, ID, i);
		peer_expect_ack(c, ID, i, XSR_HELLO_OK);
		peer_request(c, ID, i + 1, 100);
		peer_expect(c, XSR_FRAME_ECHO_REP, ID, i + 1);
		clients[1] = c;
		if (i)
			close(clients[0]);
		clients[0] = c;
	}
	close(clients[0]);
	world_wait_stat(XSR_STREAM_STAT_CONNECTIONS, 0);
}

/* --- time --- */

static void request_without_reply_gets_an_error_in_time(void **state)
{
	uint64_t begun_ms;
	int c;

	(void)state;
	W.params.deadline_ms = 200;
	world_start();
	c = client_open();
	session_open(c, world_link(1), ID, 0, 0);
	begun_ms = now_ms();
	peer_request(c, ID, 1, 10);
	peer_request(c, ID, 2, 10);
	peer_expect_error(c, ID, 2, XSR_ERROR_DEADLINE);
	assert_in_range(now_ms() - begun_ms, 200, 600);
	peer_expect(world_link(1), XSR_FRAME_ECHO_REQ, ID, 1);
	peer_expect(world_link(1), XSR_FRAME_ECHO_REQ, ID, 2);
	peer_reply(world_link(1), ID, 1, 10);
	peer_reply(world_link(1), ID, 2, 10);
	exchange_one(c, world_link(1), ID, 3, 10);
	assert_int_equal(world_stat(XSR_STREAM_STAT_STRAY_REPLIES), 2);
	close(c);
}

static void client_that_answers_no_heartbeat_is_closed(void **state)
{
	struct peer_frame f;
	int c;

	(void)state;
	W.params.heartbeat_ms = 100;
	world_start();
	echo_start();
	c = client_open();
	peer_hello(c, ID, 0);
	peer_expect_ack(c, ID, 0, XSR_HELLO_OK);
	assert_true(peer_recv(c, &f));
	assert_int_equal(f.header.type, XSR_FRAME_HB_PING);
	assert_true(peer_recv(c, &f));
	assert_int_equal(f.header.type, XSR_FRAME_HB_PING);
	assert_false(peer_recv(c, &f));
	assert_int_equal(world_stat(XSR_STREAM_STAT_CLOSED_SILENT), 1);
	close(c);
}

/* With no heartbeats no time is divided by theirs. */
static void without_heartbeats_nobody_is_asked(void **state)
{
	int c;

	(void)state;
	W.params.heartbeat_ms = 0;
	world_start();
	c = client_open();
	session_open(c, world_link(1), ID, 0, 0);
	assert_true(peer_is_silent(c, 300));
	assert_true(peer_is_silent(world_link(1), 1));
	exchange_one(c, world_link(1), ID, 1, 10);
	close(c);
}

static void backend_that_answers_no_heartbeat_is_left(void **state)
{
	int c;

	(void)state;
	W.params.heartbeat_ms = 100;
	world_start();
	c = client_open();
	peer_expect_end(world_link(1));
	world_wait_stat(XSR_STREAM_STAT_BACKEND_LOST, 1);
	close(c);
}

static void client_that_asks_nothing_is_closed(void **state)
{
	struct peer_frame f;
	uint64_t begun_ms = now_ms();
	int c;

	(void)state;
	W.params.heartbeat_ms = 300;
	W.params.idle_s = 1;
	world_start();
	echo_start();
	c = client_open();
	peer_hello(c, ID, 0);
	peer_expect_ack(c, ID, 0, XSR_HELLO_OK);
	assert_false(peer_recv_data(c, &f)); /* its heartbeats are answered all the time */
	assert_in_range(now_ms() - begun_ms, 900, 2000);
	assert_int_equal(world_stat(XSR_STREAM_STAT_CLOSED_IDLE), 1);
	close(c);
}

static void handshake_or_frame_that_does_not_become_whole_is_closed(void **state)
{
	int a, b, i;

	(void)state;
	W.params.heartbeat_ms = 300;
	world_start();
	echo_start();
	a = client_open();
	b = client_open();
	peer_hello(b, ID, 0);
	peer_expect_ack(b, ID, 0, XSR_HELLO_OK);
	for (i = 0; i < 20 && world_stat(XSR_STREAM_STAT_CLOSED_SLOW) < 2; i++) {
		send(a, "\0\0\0\x20\1\1\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0" + i, 1, MSG_NOSIGNAL);
		send(b, "\0\0\0\x20\1\x10\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0" + i, 1, MSG_NOSIGNAL);
		usleep(50000);
	}
	assert_int_equal(world_stat(XSR_STREAM_STAT_CLOSED_SLOW), 2);
	close(a);
	close(b);
}

/* Its bytes never end with a frame. */
static void client_that_sends_without_a_break_is_not_slow(void **state)
{
	uint8_t bytes[2 * 124];
	uint64_t seq = 0, end_ms;
	int c, n = 0;

	(void)state;
	W.params.heartbeat_ms = 300;
	world_start();
	echo_start();
	c = client_open();
	peer_hello(c, ID, 0);
	peer_expect_ack(c, ID, 0, XSR_HELLO_OK);
	end_ms = now_ms() + 1200;
	echo_frame(bytes, ++seq, 100);
	peer_write(c, bytes, 60);
	while (now_ms() < end_ms) {
		echo_frame(bytes, seq, 100);
		echo_frame(bytes + 124, seq + 1, 100);
		peer_write(c, bytes + 60, 124);
		seq++;
		peer_expect(c, XSR_FRAME_ECHO_REP, ID, ++n);
		usleep(20000);
	}
	assert_int_equal(world_stat(XSR_STREAM_STAT_CLOSED_SLOW), 0);
	close(c);
}

/* --- who is slow --- */

/* The pool is full of what the backend does not read; not a byte is lost when it does. */
static void clients_wait_for_a_backend_that_does_not_read(void **state)
{
	const unsigned int n_clients = 4, n_each = 3000, len = 4000;
	pthread_t threads[4];
	struct pusher pushers[4];
	unsigned int i;

	(void)state;
	W.params.memory_max = 1 << 20;
	W.params.options.sndbuf = W.params.options.rcvbuf = 64 << 10;
	world_start();
	for (i = 0; i < n_clients; i++) {
		pushers[i] = (struct pusher){ .fd = client_open(), .id = ID + i, .n = n_each, .len = len };
		session_open(pushers[i].fd, world_link(1), ID + i, 0, 0);
	}
	for (i = 0; i < n_clients; i++)
		assert_int_equal(pthread_create(&threads[i], NULL, pusher_main, &pushers[i]), 0);
	usleep(300000);
	assert_true(world_stat(XSR_STREAM_STAT_STALLS) > 0);
	{
		uint64_t stood = world_stat(XSR_STREAM_STAT_REQUESTS);

		usleep(200000);
		assert_int_equal(world_stat(XSR_STREAM_STAT_REQUESTS), stood); /* nothing grows */
		assert_true(stood < n_clients * n_each);
	}
	drain_requests(world_link(1), ID, n_clients, n_each, len);
	for (i = 0; i < n_clients; i++) {
		pthread_join(threads[i], NULL);
		close(pushers[i].fd);
	}
}

/* Replies to it are given up, and it is told so when it reads on; others are served meanwhile. */
static void client_that_does_not_read_holds_up_nobody_for_long(void **state)
{
	const unsigned int n = 4000, len = 4000;
	struct peer_frame f;
	uint64_t seq = 0, begun_ms;
	pthread_t thread;
	struct pusher pusher;
	int bad, good;

	(void)state;
	W.params.options.sndbuf = 64 << 10;
	world_start();
	echo_start();
	bad = peer_connect_small(W.port, 4096);
	peer_hello(bad, ID, 0);
	peer_expect_ack(bad, ID, 0, XSR_HELLO_OK);
	pusher = (struct pusher){ .fd = bad, .id = ID, .n = n, .len = len };
	assert_int_equal(pthread_create(&thread, NULL, pusher_main, &pusher), 0);
	good = client_open();
	peer_hello(good, ID + 1, 0);
	peer_expect_ack(good, ID + 1, 0, XSR_HELLO_OK);
	usleep(500000);
	begun_ms = now_ms();
	peer_request(good, ID + 1, 1, 10);
	peer_expect(good, XSR_FRAME_ECHO_REP, ID + 1, 1);
	assert_in_range(now_ms() - begun_ms, 0, 2500);
	begun_ms = now_ms();
	peer_request(good, ID + 1, 2, 10);
	peer_expect(good, XSR_FRAME_ECHO_REP, ID + 1, 2);
	assert_in_range(now_ms() - begun_ms, 0, 500);
	while (seq < n) { /* each is answered, or covered by an error */
		assert_true(peer_recv_data(bad, &f));
		assert_true(be64toh(f.header.seq) > seq);
		if (f.header.type == XSR_FRAME_ERROR)
			assert_int_equal(f.payload[1], XSR_ERROR_OVERFLOW);
		else
			assert_int_equal(be64toh(f.header.seq), seq + 1);
		seq = be64toh(f.header.seq);
	}
	pthread_join(thread, NULL);
	close(bad);
	close(good);
}

/* As many as fill the memory: the others are served. */
static void many_that_do_not_read_take_no_memory_from_the_others(void **state)
{
	enum { N = 16 };
	int bad[N], good, i, k;

	(void)state;
	W.params.memory_max = 512 << 10;
	W.params.queue_max = 64 << 10;
	W.params.options.sndbuf = 16 << 10;
	world_start();
	echo_start();
	for (i = 0; i < N; i++) {
		bad[i] = peer_connect_small(W.port, 4096);
		peer_hello(bad[i], ID + i, 0);
	}
	for (i = 0; i < N; i++)
		peer_expect_ack(bad[i], ID + i, 0, XSR_HELLO_OK);
	for (k = 1; k <= 40; k++)
		for (i = 0; i < N; i++)
			push_some(bad[i], ID + i, k, 4000);
	good = client_open();
	peer_hello(good, 7, 0);
	peer_expect_ack(good, 7, 0, XSR_HELLO_OK);
	for (k = 1; k <= 3; k++) {
		peer_request(good, 7, k, 1000);
		peer_expect(good, XSR_FRAME_ECHO_REP, 7, k);
	}
	for (i = 0; i < N; i++)
		close(bad[i]);
	close(good);
}

/* More of them at once than there is memory for. */
static void long_frames_of_many_clients_all_become_whole(void **state)
{
	enum { N = 16 };
	pthread_t threads[N];
	struct pusher pushers[N];
	int i;

	(void)state;
	W.params.memory_max = 12 << 20;
	world_start();
	echo_start();
	for (i = 0; i < N; i++) {
		pushers[i] = (struct pusher){ .fd = client_open(), .id = ID + i, .n = 4, .len = 1000000, .piece = 30000 };
		peer_hello(pushers[i].fd, ID + i, 0);
		peer_expect_ack(pushers[i].fd, ID + i, 0, XSR_HELLO_OK);
	}
	for (i = 0; i < N; i++)
		assert_int_equal(pthread_create(&threads[i], NULL, ping_pong_main, &pushers[i]), 0);
	for (i = 0; i < N; i++) {
		pthread_join(threads[i], NULL);
		assert_int_equal(pushers[i].n_done, 4);
		close(pushers[i].fd);
	}
}

/* --- backends --- */

static void requests_of_a_lost_backend_get_an_error_and_it_comes_back(void **state)
{
	uint64_t begun_ms;
	int c;

	(void)state;
	world_start();
	c = client_open();
	session_open(c, world_link(1), ID, 0, 0);
	peer_request(c, ID, 1, 10);
	peer_request(c, ID, 2, 10);
	peer_expect(world_link(1), XSR_FRAME_ECHO_REQ, ID, 1);
	begun_ms = now_ms();
	fd_close(&W.backends[1].listener);
	peer_reset(W.backends[1].links[0]);
	W.backends[1].links[0] = -1;
	peer_expect_error(c, ID, 2, XSR_ERROR_NO_BACKEND);
	assert_in_range(now_ms() - begun_ms, 0, 1000);
	peer_request(c, ID, 3, 10);
	peer_expect_error(c, ID, 3, XSR_ERROR_NO_BACKEND);
	W.backends[1].listener = peer_listen(&W.backends[1].port);
	world_link_accept(1, 0);
	world_wait_stat(XSR_STREAM_STAT_BACKENDS, 1);
	peer_request(c, ID, 4, 10);
	peer_expect(world_link(1), XSR_FRAME_HELLO, ID, 0);
	peer_ack(world_link(1), ID, 0, XSR_HELLO_OK);
	peer_expect(world_link(1), XSR_FRAME_ECHO_REQ, ID, 4);
	peer_reply(world_link(1), ID, 4, 10);
	peer_expect(c, XSR_FRAME_ECHO_REP, ID, 4);
	close(c);
}

static void sessions_of_a_lost_backend_go_to_another_one(void **state)
{
	int c, here, there;

	(void)state;
	W.n_backends = 2;
	world_start();
	c = client_open();
	peer_hello(c, ID, 0);
	here = backend_of_hello(ID, 0);
	there = 3 - here;
	peer_ack(world_link(here), ID, 0, XSR_HELLO_OK);
	peer_expect_ack(c, ID, 0, XSR_HELLO_OK);
	exchange_one(c, world_link(here), ID, 1, 10);
	fd_close(&W.backends[here].listener);
	fd_close(&W.backends[here].links[0]);
	world_wait_stat(XSR_STREAM_STAT_BACKENDS, 1);
	peer_request(c, ID, 2, 10);
	peer_expect(world_link(there), XSR_FRAME_HELLO, ID, 1);
	peer_ack(world_link(there), ID, 0, XSR_HELLO_OK);
	peer_expect(world_link(there), XSR_FRAME_ECHO_REQ, ID, 2);
	peer_reply(world_link(there), ID, 2, 10);
	peer_expect(c, XSR_FRAME_ECHO_REP, ID, 2);
	close(c);
}

static void backend_lost_during_the_handshake_is_told_to_the_client(void **state)
{
	int c;

	(void)state;
	world_start();
	c = client_open();
	peer_hello(c, ID, 0);
	peer_expect(world_link(1), XSR_FRAME_HELLO, ID, 0);
	fd_close(&W.backends[1].links[0]);
	peer_expect_ack(c, ID, 0, XSR_HELLO_BUSY);
	world_link_accept(1, 0);
	world_wait_stat(XSR_STREAM_STAT_BACKENDS, 1);
	session_open(c, world_link(1), ID, 0, 0);
	exchange_one(c, world_link(1), ID, 1, 10);
	close(c);
}

/* A frame that is none, HELLO, BYE, a reply before the handshake, HELLO_ACK with another result. */
static void backend_that_breaks_the_protocol_is_left_and_tried_again(void **state)
{
	struct peer_frame f;
	int i, fd;

	(void)state;
	world_start();
	frame_of_len(world_link(1), 19, 1, XSR_FRAME_ECHO_REP, 0);
	peer_expect_end(world_link(1));
	fd_close(&W.backends[1].links[0]);
	for (i = 0; i < 4; i++) {
		fd = peer_accept(W.backends[1].listener);
		assert_true(peer_recv(fd, &f));
		switch (i) {
		case 0:
			peer_reply(fd, ID, 1, 10);
			break;
		case 1:
			peer_ack(fd, 0, 0, XSR_HELLO_BUSY);
			break;
		case 2:
			peer_ack(fd, 0, 0, XSR_HELLO_OK);
			peer_hello(fd, ID, 0);
			break;
		case 3:
			peer_send(fd, XSR_FRAME_HELLO_ACK, 0, 0, 0, NULL, 3);
			break;
		}
		peer_expect_end(fd);
		close(fd);
	}
	world_link_accept(1, 0);
	world_wait_stat(XSR_STREAM_STAT_BACKENDS, 1);
	assert_int_equal(world_stat(XSR_STREAM_STAT_BACKEND_LOST), 2);
	assert_int_equal(world_stat(XSR_STREAM_STAT_BACKEND_FAILED), 3);
}

static void backend_that_is_down_is_not_tried_without_a_pause(void **state)
{
	(void)state;
	world_start();
	fd_close(&W.backends[1].listener);
	fd_close(&W.backends[1].links[0]);
	usleep(1500000); /* after 100, 200, 400, 400 .. ms */
	assert_in_range(world_stat(XSR_STREAM_STAT_BACKEND_FAILED), 3, 5);
}

static void backend_that_greets_and_goes_is_not_tried_without_a_pause(void **state)
{
	uint64_t end_ms;
	unsigned int n;
	struct pollfd p;
	int fd;

	(void)state;
	world_start();
	fd_close(&W.backends[1].links[0]);
	p = (struct pollfd){ .fd = W.backends[1].listener, .events = POLLIN };
	end_ms = now_ms() + 1500;
	for (n = 0; now_ms() < end_ms; n++) {
		if (poll(&p, 1, 300) != 1)
			continue;
		fd = peer_accept(p.fd);
		peer_expect(fd, XSR_FRAME_HELLO, 0, 0);
		peer_ack(fd, 0, 0, XSR_HELLO_OK);
		world_wait_stat(XSR_STREAM_STAT_BACKENDS, 1);
		close(fd);
	}
	assert_in_range(world_stat(XSR_STREAM_STAT_BACKEND_LOST), 3, 7);
}

/* --- moves --- */

static void moved_session_waits_for_its_old_backend(void **state)
{
	int c, from, to;
	uint64_t token;

	(void)state;
	W.n_backends = 2;
	world_start();
	c = client_open();
	peer_hello(c, ID, 0);
	from = backend_of_hello(ID, 0);
	to = 3 - from;
	peer_ack(world_link(from), ID, 0, XSR_HELLO_OK);
	peer_expect_ack(c, ID, 0, XSR_HELLO_OK);
	exchange_one(c, world_link(from), ID, 1, 10);
	peer_request(c, ID, 2, 10);
	peer_expect(world_link(from), XSR_FRAME_ECHO_REQ, ID, 2);
	move_ask(ID, to, 77);
	token = be64toh(peer_expect_type(world_link(from), XSR_FRAME_HB_PING).header.seq);
	peer_request(c, ID, 3, 10);
	assert_true(peer_is_silent(world_link(from), 50));
	assert_true(peer_is_silent(world_link(to), 1));
	peer_reply(world_link(from), ID, 2, 10);
	peer_send(world_link(from), XSR_FRAME_HB_PONG, XSR_FRAME_REPLY, 0, token, NULL, 0);
	peer_expect(c, XSR_FRAME_ECHO_REP, ID, 2);
	assert_int_equal(move_answer(77), ERRAND_DONE);
	assert_true(peer_is_silent(world_link(to), 50));
	move_go(ID, 77, ERRAND_DONE);
	peer_expect(world_link(to), XSR_FRAME_HELLO, ID, 2);
	peer_ack(world_link(to), ID, 0, XSR_HELLO_OK);
	peer_expect(world_link(to), XSR_FRAME_ECHO_REQ, ID, 3);
	peer_reply(world_link(to), ID, 3, 10);
	peer_expect(c, XSR_FRAME_ECHO_REP, ID, 3);
	assert_int_equal(world_stat(XSR_STREAM_STAT_MOVES), 1);
	close(c);
}

static void move_whose_route_is_not_stored_changes_nothing(void **state)
{
	int c, from, to;

	(void)state;
	W.n_backends = 2;
	world_start();
	c = client_open();
	peer_hello(c, ID, 0);
	from = backend_of_hello(ID, 0);
	to = 3 - from;
	peer_ack(world_link(from), ID, 0, XSR_HELLO_OK);
	peer_expect_ack(c, ID, 0, XSR_HELLO_OK);
	move_ask(ID, to, 5);
	barrier_answer(world_link(from));
	assert_int_equal(move_answer(5), ERRAND_DONE);
	move_go(ID, 5, ERRAND_REFUSED);
	exchange_one(c, world_link(from), ID, 1, 10);
	assert_int_equal(world_stat(XSR_STREAM_STAT_MOVES), 0);
	move_ask(ID, 60, 6);
	assert_int_equal(move_answer(6), ERRAND_REFUSED);
	move_ask(ID + 1, to, 7);
	assert_int_equal(move_answer(7), ERRAND_EMPTY);
	close(c);
}

static void move_from_a_backend_that_is_lost_meanwhile_goes_on(void **state)
{
	int c, from, to;

	(void)state;
	W.n_backends = 2;
	world_start();
	c = client_open();
	peer_hello(c, ID, 0);
	from = backend_of_hello(ID, 0);
	to = 3 - from;
	peer_ack(world_link(from), ID, 0, XSR_HELLO_OK);
	peer_expect_ack(c, ID, 0, XSR_HELLO_OK);
	peer_request(c, ID, 1, 10);
	peer_expect(world_link(from), XSR_FRAME_ECHO_REQ, ID, 1);
	move_ask(ID, to, 8);
	peer_expect_type(world_link(from), XSR_FRAME_HB_PING);
	fd_close(&W.backends[from].links[0]);
	assert_int_equal(move_answer(8), ERRAND_LOST);
	peer_expect_error(c, ID, 1, XSR_ERROR_NO_BACKEND);
	move_go(ID, 8, ERRAND_DONE);
	peer_request(c, ID, 2, 10);
	peer_expect(world_link(to), XSR_FRAME_HELLO, ID, 0);
	peer_expect(world_link(to), XSR_FRAME_ECHO_REQ, ID, 2);
	close(c);
}

/* Its client goes, or says BYE. */
static void move_of_a_session_that_ends_is_answered(void **state)
{
	int c, from;

	(void)state;
	W.n_backends = 2;
	world_start();
	c = client_open();
	peer_hello(c, ID, 0);
	from = backend_of_hello(ID, 0);
	peer_ack(world_link(from), ID, 0, XSR_HELLO_OK);
	peer_expect_ack(c, ID, 0, XSR_HELLO_OK);
	move_ask(ID, 3 - from, 9);
	peer_expect_type(world_link(from), XSR_FRAME_HB_PING);
	peer_send(c, XSR_FRAME_BYE, 0, ID, 0, NULL, 2);
	assert_int_equal(move_answer(9), ERRAND_EMPTY);
	close(c);
}

/* --- clients come and go while their sessions move, from backend 1 to 2 --- */

#define ROUTED fake_id(1, 7)

static void route_store(uint16_t backend)
{
	assert_int_equal(route_replace(W.maps, FAKE_SERVICE, world_service(), ROUTED, XSR_ACTION_BACKEND, backend), 0);
}

/* Its client, greeted by nobody yet. */
static int routed_client(void)
{
	int c;

	W.n_backends = 2;
	world_start();
	route_store(1);
	c = client_open();
	peer_hello(c, ROUTED, 0);
	peer_expect(world_link(1), XSR_FRAME_HELLO, ROUTED, 0);
	return c;
}

static int routed_session(void)
{
	int c = routed_client();

	peer_ack(world_link(1), ROUTED, 0, XSR_HELLO_OK);
	peer_expect_ack(c, ROUTED, 0, XSR_HELLO_OK);
	exchange_one(c, world_link(1), ROUTED, 1, 10);
	return c;
}

static void routed_go(void)
{
	assert_int_equal(move_answer(5), ERRAND_DONE);
	route_store(2);
	move_go(ROUTED, 5, ERRAND_DONE);
}

/* What it was given last may have been lost with its connection: only itself can tell the new backend what it has. */
static void moved_session_whose_client_is_away_is_introduced_when_it_is_back(void **state)
{
	int c = routed_session();

	(void)state;
	exchange_one(c, world_link(1), ROUTED, 2, 10);
	close(c);
	world_wait_stat(XSR_STREAM_STAT_SESSIONS, 0);
	move_ask(ROUTED, 2, 5);
	barrier_answer(world_link(1));
	routed_go();
	assert_true(peer_is_silent(world_link(2), 50));
	c = client_open();
	peer_hello(c, ROUTED, 1);
	peer_expect(world_link(2), XSR_FRAME_HELLO, ROUTED, 1);
	peer_ack(world_link(2), ROUTED, 1, XSR_HELLO_OK);
	peer_expect_ack(c, ROUTED, 1, XSR_HELLO_OK);
	exchange_one(c, world_link(2), ROUTED, 2, 10);
	close(c);
}

/* What it waits for is another session's. */
static void moved_session_whose_client_has_closed_its_way_is_not_introduced(void **state)
{
	int c = routed_session(), other;

	(void)state;
	peer_hello(c, ID, 0);
	other = backend_of_hello(ID, 0);
	peer_ack(world_link(other), ID, 0, XSR_HELLO_OK);
	peer_expect_ack(c, ID, 0, XSR_HELLO_OK);
	peer_request(c, ID, 1, 10);
	peer_expect(world_link(other), XSR_FRAME_ECHO_REQ, ID, 1);
	shutdown(c, SHUT_WR);
	usleep(100000);
	move_ask(ROUTED, 2, 5);
	barrier_answer(world_link(1));
	routed_go();
	assert_true(peer_is_silent(world_link(2), 50));
	peer_reply(world_link(other), ID, 1, 10);
	peer_expect(c, XSR_FRAME_ECHO_REP, ID, 1);
	close(c);
}

static void client_that_comes_back_while_its_session_moves_says_itself_what_it_has(void **state)
{
	int c = routed_session(), back;
	uint64_t token;

	(void)state;
	exchange_one(c, world_link(1), ROUTED, 2, 10);
	move_ask(ROUTED, 2, 5);
	token = be64toh(peer_expect_type(world_link(1), XSR_FRAME_HB_PING).header.seq);
	back = client_open();
	peer_hello(back, ROUTED, 1);
	world_wait_stat(XSR_STREAM_STAT_RESUMED, 1);
	peer_send(world_link(1), XSR_FRAME_HB_PONG, XSR_FRAME_REPLY, 0, token, NULL, 0);
	routed_go();
	peer_expect(world_link(2), XSR_FRAME_HELLO, ROUTED, 1);
	close(c);
	close(back);
}

static void move_waits_for_the_handshake(void **state)
{
	int c = routed_client();

	(void)state;
	move_ask(ROUTED, 2, 5);
	assert_true(peer_is_silent(world_link(1), 100));
	peer_ack(world_link(1), ROUTED, 0, XSR_HELLO_OK);
	peer_expect_ack(c, ROUTED, 0, XSR_HELLO_OK);
	barrier_answer(world_link(1));
	routed_go();
	peer_expect(world_link(2), XSR_FRAME_HELLO, ROUTED, 0);
	close(c);
}

/* Backend 2 had it before, and has served what its client asks again now. */
static void moved_session_gets_no_replies_that_were_not_asked_yet(void **state)
{
	int c = routed_session();

	(void)state;
	move_ask(ROUTED, 2, 5);
	barrier_answer(world_link(1));
	routed_go();
	peer_expect(world_link(2), XSR_FRAME_HELLO, ROUTED, 1);
	peer_ack(world_link(2), ROUTED, 3, XSR_HELLO_OK);
	peer_reply(world_link(2), ROUTED, 2, 10);
	peer_reply(world_link(2), ROUTED, 3, 10);
	world_wait_stat(XSR_STREAM_STAT_STRAY_REPLIES, 2);
	exchange_one(c, world_link(2), ROUTED, 2, 10);
	close(c);
}

/* --- ends --- */

static void who_closes_one_way_gets_all_his_replies(void **state)
{
	const unsigned int n = 300, len = 4000;
	unsigned int i;
	int c;

	(void)state;
	W.params.queue_max = 4 << 20;
	W.params.options.sndbuf = 16 << 10;
	world_start();
	c = peer_connect_small(W.port, 4096);
	session_open(c, world_link(1), ID, 0, 0);
	for (i = 1; i <= n; i++)
		peer_request(c, ID, i, 10);
	shutdown(c, SHUT_WR);
	for (i = 1; i <= n; i++)
		peer_expect(world_link(1), XSR_FRAME_ECHO_REQ, ID, i);
	for (i = 1; i <= n; i++)
		peer_reply(world_link(1), ID, i, len);
	world_wait_stat(XSR_STREAM_STAT_REPLIES, n);
	usleep(100000);
	for (i = 1; i <= n; i++)
		assert_int_equal(peer_expect(c, XSR_FRAME_ECHO_REP, ID, i).len, len);
	peer_expect_end(c);
	world_wait_stat(XSR_STREAM_STAT_CLOSED_BY_PEER, 1);
	close(c);
}

/* A number that nobody can answer for does not keep it. */
static void who_closes_one_way_and_gets_no_answer_is_not_kept(void **state)
{
	int c;

	(void)state;
	W.params.deadline_ms = 200;
	W.params.heartbeat_ms = 200;
	world_start();
	echo_start();
	c = client_open();
	peer_hello(c, ID, 0);
	peer_expect_ack(c, ID, 0, XSR_HELLO_OK);
	peer_request(c, ID, 0, 10);
	shutdown(c, SHUT_WR);
	peer_expect_end(c);
	close(c);
}

/* What was asked is answered, and what is queued is written. */
static void stop_lets_out_what_is_under_way(void **state)
{
	const unsigned int n = 300, len = 4000;
	unsigned int i;
	pthread_t thread;
	int c;

	(void)state;
	W.params.queue_max = 4 << 20;
	W.params.options.sndbuf = 16 << 10;
	world_start();
	c = peer_connect_small(W.port, 4096);
	session_open(c, world_link(1), ID, 0, 0);
	for (i = 1; i <= n; i++)
		peer_request(c, ID, i, 10);
	for (i = 1; i <= n; i++)
		peer_expect(world_link(1), XSR_FRAME_ECHO_REQ, ID, i);
	for (i = 1; i < n; i++)
		peer_reply(world_link(1), ID, i, len);
	assert_int_equal(pthread_create(&thread, NULL, stop_main, NULL), 0);
	usleep(100000);
	peer_reply(world_link(1), ID, n, len);
	for (i = 1; i <= n; i++)
		assert_int_equal(peer_expect(c, XSR_FRAME_ECHO_REP, ID, i).len, len);
	peer_expect_end(c);
	pthread_join(thread, NULL);
	assert_int_equal(world_stat(XSR_STREAM_STAT_CLOSED_STOP), 1);
	close(c);
}

static void stop_waits_for_nobody_for_long(void **state)
{
	uint64_t begun_ms;
	int c;

	(void)state;
	world_start();
	c = client_open();
	session_open(c, world_link(1), ID, 0, 0);
	peer_request(c, ID, 1, 10);
	world_wait_stat(XSR_STREAM_STAT_REQUESTS, 1);
	begun_ms = now_ms();
	world_stop();
	assert_in_range(now_ms() - begun_ms, 1000, 3000);
	peer_expect_end(c);
	close(c);
}

#define test(name) cmocka_unit_test_setup_teardown(name, world_open, world_close)

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		test(session_is_greeted_end_to_end),
		test(requests_and_replies_of_many_sessions_share_a_connection),
		test(who_wants_any_id_gets_one),
		test(requests_right_behind_the_hello_wait_for_its_answer),
		test(of_two_handshakes_of_a_session_the_last_counts),
		test(frames_of_a_connection_that_was_given_up_take_no_session),
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
		test(session_comes_along_to_another_connection),
		test(replies_under_way_do_not_overtake_the_answer_to_the_hello),
		test(what_was_given_up_while_the_client_was_away_is_asked_again),
		test(session_that_begins_anew_is_not_measured_by_the_old_one),
		test(session_goes_to_the_worker_where_its_client_comes_back),
		test(session_that_roams_loses_nothing),
		test(request_without_reply_gets_an_error_in_time),
		test(client_that_answers_no_heartbeat_is_closed),
		test(without_heartbeats_nobody_is_asked),
		test(backend_that_answers_no_heartbeat_is_left),
		test(client_that_asks_nothing_is_closed),
		test(handshake_or_frame_that_does_not_become_whole_is_closed),
		test(client_that_sends_without_a_break_is_not_slow),
		test(clients_wait_for_a_backend_that_does_not_read),
		test(client_that_does_not_read_holds_up_nobody_for_long),
		test(many_that_do_not_read_take_no_memory_from_the_others),
		test(long_frames_of_many_clients_all_become_whole),
		test(requests_of_a_lost_backend_get_an_error_and_it_comes_back),
		test(sessions_of_a_lost_backend_go_to_another_one),
		test(backend_lost_during_the_handshake_is_told_to_the_client),
		test(backend_that_breaks_the_protocol_is_left_and_tried_again),
		test(backend_that_is_down_is_not_tried_without_a_pause),
		test(backend_that_greets_and_goes_is_not_tried_without_a_pause),
		test(moved_session_waits_for_its_old_backend),
		test(move_whose_route_is_not_stored_changes_nothing),
		test(move_from_a_backend_that_is_lost_meanwhile_goes_on),
		test(move_of_a_session_that_ends_is_answered),
		test(moved_session_whose_client_is_away_is_introduced_when_it_is_back),
		test(moved_session_whose_client_has_closed_its_way_is_not_introduced),
		test(client_that_comes_back_while_its_session_moves_says_itself_what_it_has),
		test(move_waits_for_the_handshake),
		test(moved_session_gets_no_replies_that_were_not_asked_yet),
		test(who_closes_one_way_gets_all_his_replies),
		test(who_closes_one_way_and_gets_no_answer_is_not_kept),
		test(stop_lets_out_what_is_under_way),
		test(stop_waits_for_nobody_for_long),
	};

	if (argc > 1)
		cmocka_set_test_filter(argv[1]);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
