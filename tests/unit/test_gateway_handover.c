/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* handover.h: clients' connections go from one gateway to another, in threads of this process, while whatever may happen does. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <cmocka.h>

#include "gateway_world.h"
#include "parcel.h"

#define ID 0x1234567890ULL /* its route is none */
#define TOKEN 42

/* --- what several tests need --- */

static void hand_ask(unsigned int from, unsigned int to)
{
	const struct mail mail = { .type = GATEWAY_MAIL_HAND, .service = FAKE_SERVICE, .id = ID, .count = to, .token = TOKEN };

	assert_true(post_mail(&W.control, from, &mail));
}

/* From whichever worker. */
static enum handover_result hand_answer_of(uint32_t *n_sessions)
{
	struct mail *mail = NULL;
	struct mail_handed room;
	unsigned int i, from = 0;
	uint8_t result;

	for (i = 0; i < PEER_WAIT_S * 1000 && !(mail = post_next(&W.control, from)); i++) {
		from = (from + 1) % W.n_workers;
		usleep(500);
	}
	assert_non_null(mail);
	assert_int_equal(mail->type, GATEWAY_MAIL_HANDED);
	assert_int_equal(mail->token, TOKEN);
	memcpy(&room, mail->room, sizeof(room));
	result = mail->result;
	*n_sessions = room.n_sessions;
	post_done(&W.control, from);
	return result;
}

static enum handover_result hand_answer(void)
{
	uint32_t n;

	return hand_answer_of(&n);
}

/* A client of worker 0 with a session at its link to the first backend; and worker 1's link to the same one. */
struct pair {
	int client, here, there;
};

static struct pair pair_open(void)
{
	struct pair p = { .client = client_open_at(0) };
	struct peer_frame f;

	peer_hello(p.client, ID, 0);
	p.here = first_of_links(&f);
	assert_int_equal(f.header.type, XSR_FRAME_HELLO);
	p.there = W.backends[1].links[p.here == W.backends[1].links[0]];
	peer_ack(p.here, ID, 0, XSR_HELLO_OK);
	peer_expect_ack(p.client, ID, 0, XSR_HELLO_OK);
	world_wait_stat(XSR_STREAM_STAT_CONNECTIONS, 1); /* those that came in elsewhere are gone */
	return p;
}

static struct pair pair_start(void)
{
	W.n_workers = 2;
	world_start();
	return pair_open();
}

/* The next request goes by the new worker, which introduced the session when it came. */
static void goes_there(const struct pair *p, uint64_t seq)
{
	peer_expect(p->there, XSR_FRAME_HELLO, ID, seq - 1);
	peer_ack(p->there, ID, seq - 1, XSR_HELLO_OK);
	exchange_one(p->client, p->there, ID, seq, 100);
	assert_int_equal(registry_find(W.registry, FAKE_SERVICE, ID), 1);
	assert_true(peer_is_silent(p->here, 1));
}

static void stays_here(const struct pair *p, uint64_t seq)
{
	exchange_one(p->client, p->here, ID, seq, 100);
	assert_int_equal(registry_find(W.registry, FAKE_SERVICE, ID), 0);
	assert_true(peer_is_silent(p->there, 1));
}

/* --- it goes --- */

static void connection_goes_behind_all_that_was_asked(void **state)
{
	struct pair p = pair_start();
	uint64_t token;

	(void)state;
	peer_request(p.client, ID, 1, 10);
	peer_expect(p.here, XSR_FRAME_ECHO_REQ, ID, 1);
	hand_ask(0, 1);
	token = be64toh(peer_expect_type(p.here, XSR_FRAME_HB_PING).header.seq);
	peer_request(p.client, ID, 2, 10);
	assert_true(peer_is_silent(p.here, 50));
	assert_true(peer_is_silent(p.there, 1));
	peer_reply(p.here, ID, 1, 10);
	peer_expect(p.client, XSR_FRAME_ECHO_REP, ID, 1); /* replies go on meanwhile */
	peer_send(p.here, XSR_FRAME_HB_PONG, XSR_FRAME_REPLY, 0, token, NULL, 0);
	assert_int_equal(hand_answer(), HANDOVER_DONE);
	peer_expect(p.there, XSR_FRAME_HELLO, ID, 1);
	peer_ack(p.there, ID, 1, XSR_HELLO_OK);
	peer_expect(p.there, XSR_FRAME_ECHO_REQ, ID, 2);
	peer_reply(p.there, ID, 2, 10);
	peer_expect(p.client, XSR_FRAME_ECHO_REP, ID, 2);
	exchange_one(p.client, p.there, ID, 3, 100);
	assert_int_equal(registry_find(W.registry, FAKE_SERVICE, ID), 1);
	assert_int_equal(world_stat_of(0, XSR_STREAM_STAT_HANDED_OVER), 1);
	assert_int_equal(world_stat_of(1, XSR_STREAM_STAT_TAKEN_OVER), 1);
	assert_int_equal(world_stat_of(0, XSR_STREAM_STAT_CONNECTIONS), 0);
	assert_int_equal(world_stat_of(1, XSR_STREAM_STAT_CONNECTIONS), 1);
	assert_int_equal(world_closed(), world_stat(XSR_STREAM_STAT_ACCEPTED) - 1);
	close(p.client);
}

static void all_sessions_of_the_connection_go_along(void **state)
{
	enum { N = 200 };
	struct pair p = pair_start();
	uint64_t seen = 0;
	uint32_t n;
	int i;

	(void)state;
	for (i = 1; i < N; i++)
		session_open(p.client, p.here, ID + i, 0, 0);
	hand_ask(0, 1);
	barrier_answer(p.here);
	assert_true(peer_is_silent(p.here, 50)); /* one question for all of them */
	assert_int_equal(hand_answer_of(&n), HANDOVER_DONE);
	assert_int_equal(n, N);
	for (i = 0; i < N; i++) {
		struct peer_frame f = peer_expect_type(p.there, XSR_FRAME_HELLO);

		seen += be64toh(f.header.id) - ID;
		peer_ack(p.there, be64toh(f.header.id), 0, XSR_HELLO_OK);
	}
	assert_int_equal(seen, N * (N - 1) / 2);
	for (i = 0; i < N; i++)
		exchange_one(p.client, p.there, ID + i, 1, 10);
	assert_int_equal(W.at[0]->sessions->n, 0);
	assert_int_equal(world_stat(XSR_STREAM_STAT_SESSIONS), N);
	close(p.client);
}

/* At two backends: each has its own question. */
static void connection_waits_for_each_backend_that_it_asked(void **state)
{
	struct pair p;
	struct peer_frame f;
	int other = -1, links[4], i, who;
	uint64_t id;

	(void)state;
	W.n_backends = 2;
	W.n_workers = 2;
	world_start();
	for (i = 0; i < 4; i++)
		links[i] = W.backends[1 + i / 2].links[i % 2];
	p.client = client_open_at(0);
	p.here = -1;
	for (id = ID; other < 0; id++) {
		peer_hello(p.client, id, 0);
		who = links[who_says(links, 4)];
		assert_true(peer_recv(who, &f));
		peer_ack(who, id, 0, XSR_HELLO_OK);
		peer_expect_ack(p.client, id, 0, XSR_HELLO_OK);
		if (p.here < 0)
			p.here = who;
		else if (who != p.here)
			other = who;
	}
	hand_ask(0, 1);
	barrier_answer(p.here);
	usleep(50000);
	assert_int_equal(registry_find(W.registry, FAKE_SERVICE, ID), 0);
	barrier_answer(other);
	assert_int_equal(hand_answer(), HANDOVER_DONE);
	assert_int_equal(registry_find(W.registry, FAKE_SERVICE, ID), 1);
	close(p.client);
}

static void half_a_frame_goes_along(void **state)
{
	uint8_t bytes[XSR_FRAME_HEADER_LEN + 100];
	struct pair p = pair_start();
	const struct xsr_frame h = { .len = htobe32(XSR_FRAME_LEN_MIN + 100), .version = 1, .type = XSR_FRAME_ECHO_REQ,
				     .id = htobe64(ID), .seq = htobe64(1) };

	(void)state;
	memset(bytes, 1, sizeof(bytes));
	memcpy(bytes, &h, sizeof(h));
	peer_write(p.client, bytes, 30);
	usleep(20000);
	hand_ask(0, 1);
	barrier_answer(p.here);
	assert_int_equal(hand_answer(), HANDOVER_DONE);
	peer_expect(p.there, XSR_FRAME_HELLO, ID, 0);
	peer_write(p.client, bytes + 30, sizeof(bytes) - 30);
	assert_int_equal(peer_expect(p.there, XSR_FRAME_ECHO_REQ, ID, 1).len, 100);
	close(p.client);
}

/* A backend that says that it has answered all, and has not. */
static void deadlines_go_along(void **state)
{
	struct pair p;
	uint64_t begun_ms;

	(void)state;
	W.params.deadline_ms = 800;
	p = pair_start();
	begun_ms = now_ms();
	peer_request(p.client, ID, 1, 10);
	peer_expect(p.here, XSR_FRAME_ECHO_REQ, ID, 1);
	hand_ask(0, 1);
	barrier_answer(p.here);
	assert_int_equal(hand_answer(), HANDOVER_DONE);
	peer_expect_error(p.client, ID, 1, XSR_ERROR_DEADLINE);
	assert_in_range(now_ms() - begun_ms, 700, 1500);
	assert_int_equal(world_stat_of(1, XSR_STREAM_STAT_ERR_DEADLINE), 1);
	close(p.client);
}

static void session_whose_handshake_is_under_way_goes_behind_its_answer(void **state)
{
	struct pair p = pair_start();

	(void)state;
	peer_hello(p.client, ID, 0);
	peer_expect(p.here, XSR_FRAME_HELLO, ID, 0);
	hand_ask(0, 1);
	peer_expect_type(p.here, XSR_FRAME_HB_PING);
	peer_ack(p.here, ID, 0, XSR_HELLO_OK);
	peer_send(p.here, XSR_FRAME_HB_PONG, XSR_FRAME_REPLY, 0, 1, NULL, 0);
	peer_expect_ack(p.client, ID, 0, XSR_HELLO_OK);
	assert_int_equal(hand_answer(), HANDOVER_DONE);
	goes_there(&p, 1);
	close(p.client);
}

static void who_has_closed_one_way_gets_his_replies_and_is_closed(void **state)
{
	struct pair p = pair_start();
	uint64_t n_before = world_stat_of(1, XSR_STREAM_STAT_CLOSED_BY_PEER);

	(void)state;
	peer_request(p.client, ID, 1, 10);
	peer_expect(p.here, XSR_FRAME_ECHO_REQ, ID, 1);
	hand_ask(0, 1);
	peer_request(p.client, ID, 2, 10);
	shutdown(p.client, SHUT_WR);
	peer_expect_type(p.here, XSR_FRAME_HB_PING);
	peer_reply(p.here, ID, 1, 10);
	peer_send(p.here, XSR_FRAME_HB_PONG, XSR_FRAME_REPLY, 0, 1, NULL, 0);
	peer_expect(p.client, XSR_FRAME_ECHO_REP, ID, 1);
	assert_int_equal(hand_answer(), HANDOVER_DONE);
	peer_expect(p.there, XSR_FRAME_HELLO, ID, 1);
	peer_expect(p.there, XSR_FRAME_ECHO_REQ, ID, 2);
	peer_reply(p.there, ID, 2, 10);
	peer_expect(p.client, XSR_FRAME_ECHO_REP, ID, 2);
	peer_expect_end(p.client);
	assert_int_equal(world_stat_of(1, XSR_STREAM_STAT_CLOSED_BY_PEER), n_before + 1);
	close(p.client);
}

/* --- many at once --- */

static void spread_ask(unsigned int from, unsigned int to, unsigned int n)
{
	const struct mail mail = { .type = GATEWAY_MAIL_SPREAD, .count = n, .worker = to, .token = TOKEN };

	assert_true(post_mail(&W.control, from, &mail));
}

static void shut_ask(unsigned int worker)
{
	const struct mail mail = { .type = GATEWAY_MAIL_SHUT, .token = TOKEN };

	assert_true(post_mail(&W.control, worker, &mail));
	assert_int_equal(hand_answer(), HANDOVER_DONE);
}

/* Also one that has not greeted yet; and if there are not so many it is said of each that is missing. */
static void worker_gives_away_as_many_connections_as_it_is_told(void **state)
{
	struct pair p = pair_start();
	int silent = client_open_at(0), i, n_done = 0, n_missing = 0;

	(void)state;
	spread_ask(0, 1, 5);
	barrier_answer(p.here);
	for (i = 0; i < 5; i++) {
		enum handover_result result = hand_answer();

		n_done += result == HANDOVER_DONE;
		n_missing += result == HANDOVER_NOBODY;
	}
	assert_int_equal(n_done, 2);
	assert_int_equal(n_missing, 3);
	assert_int_equal(world_stat_of(0, XSR_STREAM_STAT_CONNECTIONS), 0);
	assert_int_equal(world_stat_of(1, XSR_STREAM_STAT_CONNECTIONS), 2);
	goes_there(&p, 1);
	session_open(silent, p.there, ID + 1, 0, 0);
	exchange_one(silent, p.there, ID + 1, 1, 10);
	close(silent);
	close(p.client);
}

static void worker_that_is_to_have_no_clients_gets_none(void **state)
{
	struct pair p = pair_start();
	uint64_t n_before = world_stat_of(1, XSR_STREAM_STAT_ACCEPTED);
	int c[20], i;

	(void)state;
	shut_ask(1);
	for (i = 0; i < 20; i++)
		c[i] = client_open();
	assert_int_equal(world_stat_of(1, XSR_STREAM_STAT_ACCEPTED), n_before);
	hand_ask(0, 1);
	barrier_answer(p.here);
	assert_int_equal(hand_answer(), HANDOVER_STOPPED);
	peer_expect(p.here, XSR_FRAME_HELLO, ID, 0); /* it came back */
	peer_ack(p.here, ID, 0, XSR_HELLO_OK);
	stays_here(&p, 1);
	for (i = 0; i < 20; i++)
		close(c[i]);
	close(p.client);
}

static void leave_ask(unsigned int worker, unsigned int who_ends)
{
	const struct mail mail = { .type = GATEWAY_MAIL_LEAVE, .worker = who_ends, .token = TOKEN };

	assert_true(post_mail(&W.control, worker, &mail));
}

/* Also what is on its way to that already stays. */
static void nothing_goes_to_a_worker_that_will_end(void **state)
{
	struct pair p = pair_start();

	(void)state;
	hand_ask(0, 1);
	peer_expect_type(p.here, XSR_FRAME_HB_PING);
	leave_ask(0, 1);
	assert_int_equal(hand_answer(), HANDOVER_STOPPED);
	assert_int_equal(hand_answer(), HANDOVER_DONE); /* of leaving */
	stays_here(&p, 1);
	hand_ask(0, 1);
	assert_int_equal(hand_answer(), HANDOVER_STOPPED);
	close(p.client);
}

/* --- under load --- */

struct asker {
	int fd;
	atomic_bool stop;
	uint64_t n_asked, n_answered;
	bool failed;
};

/* Eight requests at a time; each reply must be the next. */
static void *asker_main(void *arg)
{
	struct asker *a = arg;
	struct peer_frame f;

	while (!a->failed && (!atomic_load(&a->stop) || a->n_answered < a->n_asked)) {
		for (; !atomic_load(&a->stop) && a->n_asked < a->n_answered + 8; a->n_asked++)
			peer_request(a->fd, ID, a->n_asked + 1, (a->n_asked + 1) % 3000);
		if (a->n_answered == a->n_asked)
			continue;
		if (!peer_recv_data(a->fd, &f) || f.header.type != XSR_FRAME_ECHO_REP ||
		    be64toh(f.header.seq) != ++a->n_answered || f.len != a->n_answered % 3000)
			a->failed = true;
	}
	return NULL;
}

static void hundreds_of_handovers_under_load_lose_nothing(void **state)
{
	struct asker asker = {};
	pthread_t thread;
	int i;

	(void)state;
	W.n_workers = 2;
	world_start();
	echo_start();
	asker.fd = client_open_at(0);
	peer_hello(asker.fd, ID, 0);
	peer_expect_ack(asker.fd, ID, 0, XSR_HELLO_OK);
	assert_int_equal(pthread_create(&thread, NULL, asker_main, &asker), 0);
	for (i = 0; i < 500; i++) {
		hand_ask(i % 2, 1 - i % 2);
		assert_int_equal(hand_answer(), HANDOVER_DONE);
	}
	atomic_store(&asker.stop, true);
	pthread_join(thread, NULL);
	assert_false(asker.failed);
	assert_true(asker.n_answered > 500);
	assert_int_equal(world_stat(XSR_STREAM_STAT_STRAY_REPLIES), 0);
	assert_int_equal(world_stat(XSR_STREAM_STAT_TAKEN_OVER), 500);
	close(asker.fd);
}

/* --- it stays --- */

static void backend_that_does_not_answer_keeps_it_where_it_is(void **state)
{
	struct pair p = pair_start();
	struct peer_frame ping;

	(void)state;
	hand_ask(0, 1);
	ping = peer_expect_type(p.here, XSR_FRAME_HB_PING);
	peer_request(p.client, ID, 1, 100);
	assert_int_equal(hand_answer(), HANDOVER_SILENT);
	peer_expect(p.here, XSR_FRAME_ECHO_REQ, ID, 1);
	peer_reply(p.here, ID, 1, 100);
	peer_expect(p.client, XSR_FRAME_ECHO_REP, ID, 1);
	peer_send(p.here, XSR_FRAME_HB_PONG, XSR_FRAME_REPLY, 0, be64toh(ping.header.seq), NULL, 0);
	stays_here(&p, 2);
	close(p.client);
}

static void client_that_does_not_read_keeps_it_where_it_is(void **state)
{
	struct pair p;
	unsigned int i;

	(void)state;
	W.params.queue_max = 4 << 20;
	W.params.options.sndbuf = 16 << 10;
	p = pair_start();
	for (i = 1; i <= 1000; i++) {
		peer_request(p.client, ID, i, 10);
		peer_expect(p.here, XSR_FRAME_ECHO_REQ, ID, i);
	}
	for (i = 1; i <= 1000; i++)
		peer_reply(p.here, ID, i, 4000);
	hand_ask(0, 1);
	barrier_answer(p.here);
	assert_int_equal(hand_answer(), HANDOVER_UNREAD);
	for (i = 1; i <= 1000; i++)
		peer_expect(p.client, XSR_FRAME_ECHO_REP, ID, i);
	stays_here(&p, 1001);
	close(p.client);
}

static void worker_without_link_to_the_backend_gives_it_back(void **state)
{
	struct pair p = pair_start();

	(void)state;
	fd_close(&W.backends[1].listener);
	shutdown(p.there, SHUT_RDWR);
	world_wait_stat(XSR_STREAM_STAT_BACKENDS, 1);
	hand_ask(0, 1);
	barrier_answer(p.here);
	assert_int_equal(hand_answer(), HANDOVER_NO_LINK);
	peer_expect(p.here, XSR_FRAME_HELLO, ID, 0);
	peer_ack(p.here, ID, 0, XSR_HELLO_OK);
	exchange_one(p.client, p.here, ID, 1, 100);
	assert_int_equal(registry_find(W.registry, FAKE_SERVICE, ID), 0);
	assert_int_equal(world_stat_of(0, XSR_STREAM_STAT_TAKEN_OVER), 1);
	close(p.client);
}

static void worker_without_room_gives_it_back(void **state)
{
	struct pair p = pair_start();

	(void)state;
	W.at[1]->p.connections_max = 0;
	hand_ask(0, 1);
	barrier_answer(p.here);
	assert_int_equal(hand_answer(), HANDOVER_NO_ROOM);
	peer_expect(p.here, XSR_FRAME_HELLO, ID, 0);
	peer_ack(p.here, ID, 0, XSR_HELLO_OK);
	exchange_one(p.client, p.here, ID, 1, 100);
	close(p.client);
}

/* What was read and not looked at is more than the other one has memory for. */
static void worker_without_memory_gives_it_back(void **state)
{
	struct pair p = pair_start();
	int i;

	(void)state;
	W.at[1]->shared.spare = SIZE_MAX / 2;
	hand_ask(0, 1);
	peer_expect_type(p.here, XSR_FRAME_HB_PING);
	for (i = 1; i <= 20; i++)
		peer_request(p.client, ID, i, 1000);
	usleep(20000);
	peer_send(p.here, XSR_FRAME_HB_PONG, XSR_FRAME_REPLY, 0, 1, NULL, 0);
	assert_int_equal(hand_answer(), HANDOVER_NO_ROOM);
	peer_expect(p.here, XSR_FRAME_HELLO, ID, 0);
	for (i = 1; i <= 20; i++)
		assert_int_equal(peer_expect(p.here, XSR_FRAME_ECHO_REQ, ID, i).len, 1000);
	close(p.client);
}

static void connection_that_neither_worker_has_room_for_is_closed_and_counted(void **state)
{
	struct pair p = pair_start();
	uint64_t n_closed = world_closed();

	(void)state;
	hand_ask(0, 1);
	W.at[1]->p.connections_max = W.at[0]->p.connections_max = 0;
	barrier_answer(p.here);
	assert_int_equal(hand_answer(), HANDOVER_CLOSED);
	peer_expect_end(p.client);
	assert_int_equal(world_stat(XSR_STREAM_STAT_CLOSED_HANDOVER), 1);
	assert_int_equal(world_closed(), n_closed + 1);
	assert_int_equal(registry_find(W.registry, FAKE_SERVICE, ID), -ENOENT);
	close(p.client);
}

static void what_nobody_has_is_not_handed_over(void **state)
{
	int c;

	(void)state;
	W.n_workers = 2;
	world_start();
	hand_ask(0, 1);
	assert_int_equal(hand_answer(), HANDOVER_AGAIN); /* it may be about to come */
	c = pair_open().client;
	close(c);
	world_wait_stat(XSR_STREAM_STAT_CONNECTIONS, 0);
	hand_ask(0, 1);
	assert_int_equal(hand_answer(), HANDOVER_NOBODY);
	c = pair_open().client;
	hand_ask(0, 60);
	assert_int_equal(hand_answer(), HANDOVER_STOPPED);
	close(c);
}

/* --- meanwhile --- */

static void second_handover_of_a_connection_comes_later(void **state)
{
	struct pair p = pair_start();

	(void)state;
	hand_ask(0, 1);
	hand_ask(0, 1);
	assert_int_equal(hand_answer(), HANDOVER_AGAIN);
	barrier_answer(p.here);
	assert_int_equal(hand_answer(), HANDOVER_DONE);
	goes_there(&p, 1);
	close(p.client);
}

static void client_that_goes_meanwhile_has_gone(void **state)
{
	struct pair p = pair_start();

	(void)state;
	hand_ask(0, 1);
	peer_expect_type(p.here, XSR_FRAME_HB_PING);
	peer_reset(p.client);
	assert_int_equal(hand_answer(), HANDOVER_AGAIN);
	assert_int_equal(world_stat(XSR_STREAM_STAT_CLOSED_RESET), 1);
	peer_send(p.here, XSR_FRAME_HB_PONG, XSR_FRAME_REPLY, 0, 1, NULL, 0);
	hand_ask(0, 1);
	assert_int_equal(hand_answer(), HANDOVER_NOBODY);
}

/* It closes when its connection is between the workers, or just there. */
static void client_that_goes_afterwards_is_noticed_there(void **state)
{
	struct pair p = pair_start();
	uint64_t n_before = world_stat_of(1, XSR_STREAM_STAT_CLOSED_BY_PEER);

	(void)state;
	hand_ask(0, 1);
	peer_expect_type(p.here, XSR_FRAME_HB_PING);
	peer_send(p.here, XSR_FRAME_HB_PONG, XSR_FRAME_REPLY, 0, 1, NULL, 0);
	close(p.client);
	assert_int_equal(hand_answer(), HANDOVER_DONE);
	world_wait_stat(XSR_STREAM_STAT_CONNECTIONS, 0);
	assert_int_equal(world_stat_of(1, XSR_STREAM_STAT_CLOSED_BY_PEER), n_before + 1);
}

static void backend_that_is_lost_meanwhile_does_not_keep_it(void **state)
{
	struct pair p = pair_start();
	int i = p.here != W.backends[1].links[0];

	(void)state;
	peer_request(p.client, ID, 1, 10);
	peer_expect(p.here, XSR_FRAME_ECHO_REQ, ID, 1);
	hand_ask(0, 1);
	peer_expect_type(p.here, XSR_FRAME_HB_PING);
	fd_close(&W.backends[1].links[i]);
	peer_expect_error(p.client, ID, 1, XSR_ERROR_NO_BACKEND);
	assert_int_equal(hand_answer(), HANDOVER_DONE);
	peer_expect(p.there, XSR_FRAME_HELLO, ID, 0);
	exchange_one(p.client, p.there, ID, 2, 10);
	world_link_accept(1, i);
	close(p.client);
}

/* The other worker wants the session for a later connection: that one has it, and the connection that loses it is not handed over. */
static void session_whose_client_comes_back_meanwhile_goes_to_that_connection(void **state)
{
	struct pair p = pair_start();
	int later;

	(void)state;
	session_open(p.client, p.here, ID + 1, 0, 0);
	hand_ask(0, 1);
	peer_expect_type(p.here, XSR_FRAME_HB_PING);
	later = client_open_at(1);
	peer_hello(later, ID, 0);
	peer_send(p.here, XSR_FRAME_HB_PONG, XSR_FRAME_REPLY, 0, be64toh(peer_expect_type(p.here, XSR_FRAME_HB_PING).header.seq),
		  NULL, 0);
	peer_expect(p.there, XSR_FRAME_HELLO, ID, 0);
	peer_ack(p.there, ID, 0, XSR_HELLO_OK);
	peer_expect_ack(later, ID, 0, XSR_HELLO_OK);
	assert_int_equal(hand_answer(), HANDOVER_AGAIN);
	exchange_one(later, p.there, ID, 1, 10);
	exchange_one(p.client, p.here, ID + 1, 1, 10);
	close(later);
	close(p.client);
}

/* --- what comes between packing and unpacking --- */

/* Of a connection with this one session, as worker 0 would send it. Returns the client's end. */
static int parcel_forge(struct post *sender, uint64_t accepted_ns)
{
	struct parcel *p = calloc(1, sizeof(*p) + sizeof(p->sessions[0]));
	struct mail mail = { .type = GATEWAY_MAIL_PARCEL };
	uint16_t port = 0;
	int listener = peer_listen(&port), client = peer_connect(port);

	*p = (struct parcel){ .service = *world_service(), .index = FAKE_SERVICE, .fd = peer_accept(listener), .token = TOKEN,
			      .accepted_ns = accepted_ns, .n_sessions = 1 };
	p->sessions[0] = (struct parcel_session){ .id = ID, .backend = 1, .was_up = true, .progress.answered = 5 };
	close(listener);
	W.maps->streams[xsr_stream_index(FAKE_SERVICE, 0)].n[XSR_STREAM_STAT_ACCEPTED]++; /* once upon a time */
	memcpy(mail.room, &p, sizeof(p));
	assert_true(post_mail(sender, 1, &mail));
	return client;
}

static int client_open_there(int *link)
{
	struct peer_frame f;
	int c;

	W.n_workers = 2;
	world_start();
	c = client_open_at(1);
	peer_hello(c, ID, 0);
	*link = first_of_links(&f);
	peer_ack(*link, ID, 0, XSR_HELLO_OK);
	peer_expect_ack(c, ID, 0, XSR_HELLO_OK);
	return c;
}

static void session_that_has_a_later_connection_there_stays_with_it(void **state)
{
	int link, later = client_open_there(&link), c = parcel_forge(&W.control, 1);

	(void)state;
	assert_int_equal(hand_answer(), HANDOVER_DONE);
	peer_expect_end(c);
	assert_int_equal(world_stat_of(1, XSR_STREAM_STAT_CLOSED_TAKEN), 1);
	exchange_one(later, link, ID, 1, 10);
	close(later);
	close(c);
}

static void session_that_has_an_earlier_connection_there_leaves_it(void **state)
{
	int link, before = client_open_there(&link), c = parcel_forge(&W.control, UINT64_MAX);

	(void)state;
	assert_int_equal(hand_answer(), HANDOVER_DONE);
	peer_expect_end(before);
	assert_int_equal(world_stat_of(1, XSR_STREAM_STAT_CLOSED_TAKEN), 1);
	peer_expect(link, XSR_FRAME_HELLO, ID, 5);
	peer_ack(link, ID, 5, XSR_HELLO_OK);
	exchange_one(c, link, ID, 6, 10);
	close(before);
	close(c);
}

/* The same entry of the table, another service. */
static void connection_of_another_service_is_not_taken(void **state)
{
	struct xsr_service *s = world_service();
	int c;

	(void)state;
	W.n_workers = 2;
	world_start();
	s->name[0] ^= 1; /* for the parcel alone: workers look at the table once a second */
	c = parcel_forge(&W.control, 1);
	s->name[0] ^= 1;
	assert_int_equal(hand_answer(), HANDOVER_CLOSED);
	peer_expect_end(c);
	assert_int_equal(world_stat(XSR_STREAM_STAT_CLOSED_STOP), 1);
	close(c);
}

static void connection_that_comes_when_nobody_reads_mail_any_more_is_closed(void **state)
{
	int c;

	(void)state;
	W.n_workers = 2;
	world_start();
	world_stop();
	c = parcel_forge(&W.at[0]->post, 1);
	takeovers_close(W.at[1]);
	peer_expect_end(c);
	assert_int_equal(world_stat_of(1, XSR_STREAM_STAT_CLOSED_STOP), 1);
	close(c);
}

static void move_ask(uint8_t type, uint16_t backend)
{
	const struct mail mail = { .type = type, .service = FAKE_SERVICE, .id = ID, .count = backend, .token = 1, .generation = 1 };

	assert_true(post_mail(&W.control, 0, &mail));
}

static void passed_wait(void)
{
	struct mail *mail;
	unsigned int i;

	for (i = 0; i < PEER_WAIT_S * 1000 && !(mail = post_next(&W.control, 0)); i++)
		usleep(1000);
	assert_non_null(mail);
	assert_int_equal(mail->type, GATEWAY_MAIL_PASSED);
	post_done(&W.control, 0);
}

/* The new backend must have read this worker's HELLO before it gets the other one's. */
static void session_that_moves_to_another_backend_meanwhile_is_introduced_there_first(void **state)
{
	int links[4], i, c, from, to;
	struct peer_frame f;
	uint64_t first;

	(void)state;
	W.n_backends = W.n_workers = 2;
	world_start();
	for (i = 0; i < 4; i++)
		links[i] = W.backends[1 + i / 2].links[i % 2];
	c = client_open_at(0);
	peer_hello(c, ID, 0);
	i = who_says(links, 4);
	from = links[i];
	assert_true(peer_recv(from, &f));
	peer_ack(from, ID, 0, XSR_HELLO_OK);
	peer_expect_ack(c, ID, 0, XSR_HELLO_OK);
	hand_ask(0, 1);
	first = be64toh(peer_expect_type(from, XSR_FRAME_HB_PING).header.seq);
	move_ask(GATEWAY_MAIL_MOVE, i < 2 ? 2 : 1);
	peer_expect_type(from, XSR_FRAME_HB_PING);
	peer_send(from, XSR_FRAME_HB_PONG, XSR_FRAME_REPLY, 0, first + 1, NULL, 0);
	passed_wait();
	move_ask(GATEWAY_MAIL_GO, 0);
	to = links[who_says(links, 4)];
	peer_expect(to, XSR_FRAME_HELLO, ID, 0);
	usleep(50000);
	assert_int_equal(registry_find(W.registry, FAKE_SERVICE, ID), 0);
	peer_ack(to, ID, 0, XSR_HELLO_OK);
	assert_int_equal(hand_answer(), HANDOVER_DONE);
	assert_int_equal(registry_find(W.registry, FAKE_SERVICE, ID), 1);
	close(c);
}

static void stop_does_not_wait_for_a_handover(void **state)
{
	struct pair p = pair_start();
	uint64_t begun_ms = now_ms();

	(void)state;
	hand_ask(0, 1);
	peer_expect_type(p.here, XSR_FRAME_HB_PING);
	world_stop();
	assert_in_range(now_ms() - begun_ms, 0, 2500);
	assert_int_equal(hand_answer(), HANDOVER_STOPPED);
	peer_expect_end(p.client);
	assert_int_equal(world_stat(XSR_STREAM_STAT_CLOSED_STOP), 1);
	close(p.client);
}

#define test(name) cmocka_unit_test_setup_teardown(name, world_open, world_close)

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		test(connection_goes_behind_all_that_was_asked),
		test(all_sessions_of_the_connection_go_along),
		test(connection_waits_for_each_backend_that_it_asked),
		test(half_a_frame_goes_along),
		test(deadlines_go_along),
		test(session_whose_handshake_is_under_way_goes_behind_its_answer),
		test(who_has_closed_one_way_gets_his_replies_and_is_closed),
		test(worker_gives_away_as_many_connections_as_it_is_told),
		test(worker_that_is_to_have_no_clients_gets_none),
		test(nothing_goes_to_a_worker_that_will_end),
		test(hundreds_of_handovers_under_load_lose_nothing),
		test(backend_that_does_not_answer_keeps_it_where_it_is),
		test(client_that_does_not_read_keeps_it_where_it_is),
		test(worker_without_link_to_the_backend_gives_it_back),
		test(worker_without_room_gives_it_back),
		test(worker_without_memory_gives_it_back),
		test(connection_that_neither_worker_has_room_for_is_closed_and_counted),
		test(what_nobody_has_is_not_handed_over),
		test(second_handover_of_a_connection_comes_later),
		test(client_that_goes_meanwhile_has_gone),
		test(client_that_goes_afterwards_is_noticed_there),
		test(backend_that_is_lost_meanwhile_does_not_keep_it),
		test(session_whose_client_comes_back_meanwhile_goes_to_that_connection),
		test(session_that_has_a_later_connection_there_stays_with_it),
		test(session_that_has_an_earlier_connection_there_leaves_it),
		test(connection_of_another_service_is_not_taken),
		test(connection_that_comes_when_nobody_reads_mail_any_more_is_closed),
		test(session_that_moves_to_another_backend_meanwhile_is_introduced_there_first),
		test(stop_does_not_wait_for_a_handover),
	};

	if (argc > 1)
		cmocka_set_test_filter(argv[1]);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
