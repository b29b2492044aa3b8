/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* relay.h: bytes that nobody looks at go both ways, each byte once and in order, and each half ends by itself. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <cmocka.h>

#include "gateway_world.h"

#define BULK (8u << 20)

static uint8_t BYTES[BULK + 1]; /* never change once they are filled */

static int bytes_fill(void **state)
{
	struct chance chance = { .state = 42 };
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(BYTES); i++)
		BYTES[i] = chance_next(&chance);
	return 0;
}

static void relay_start(void)
{
	world_service()->mode = XSR_STREAM_RELAY;
	world_start();
}

/* What one side does, in a thread of its own: writes and reads, as it is told. */
struct side_plan {
	int fd;
	size_t from, n_write, n_read; /* of BYTES */
	bool finishes_first;	      /* says that it writes no more before it reads; else once it has read all, and the end */
	unsigned int pause_us;	      /* between two reads */
	bool whole;		      /* what was read is what the other one wrote, and then the end */
	size_t read_from;
};

static void *stop_run(void *arg)
{
	(void)arg;
	world_stop();
	return NULL;
}

static bool plan_write(const struct side_plan *p)
{
	size_t at, n;
	ssize_t sent;

	for (at = 0; at < p->n_write; at += sent) {
		n = p->n_write - at < 77777 ? p->n_write - at : 77777;
		sent = send(p->fd, BYTES + p->from + at, n, MSG_NOSIGNAL);
		if (sent <= 0)
			return false;
	}
	return true;
}

static bool plan_read(const struct side_plan *p)
{
	static const size_t piece = 30000;
	uint8_t bytes[30000];
	size_t at = 0;
	ssize_t n;

	while ((n = recv(p->fd, bytes, piece, 0)) > 0) {
		if (at + n > p->n_read || memcmp(bytes, BYTES + p->read_from + at, n))
			return false;
		at += n;
		if (p->pause_us)
			usleep(p->pause_us);
	}
	return n == 0 && at == p->n_read;
}

static void *plan_run(void *arg)
{
	struct side_plan *p = arg;

	if (p->finishes_first) {
		p->whole = plan_write(p) && !shutdown(p->fd, SHUT_WR) && plan_read(p);
	} else {
		p->whole = plan_read(p) && plan_write(p) && !shutdown(p->fd, SHUT_WR);
	}
	return NULL;
}

/* One side writes n bytes and finishes; the other reads them, writes as many of its own, and finishes. */
static void ask_all_then_answer_all(bool client_first, size_t n, unsigned int pause_us)
{
	struct side_plan plans[2] = {
		{ .n_write = n, .n_read = n, .read_from = 1, .finishes_first = true, .pause_us = pause_us },
		{ .from = 1, .n_write = n, .n_read = n, .pause_us = pause_us },
	};
	pthread_t threads[2];
	int i;

	plans[!client_first].fd = client_open();
	plans[client_first].fd = peer_accept(W.backends[1].listener);
	for (i = 0; i < 2; i++)
		assert_int_equal(pthread_create(&threads[i], NULL, plan_run, &plans[i]), 0);
	for (i = 0; i < 2; i++)
		pthread_join(threads[i], NULL);
	assert_true(plans[0].whole);
	assert_true(plans[1].whole);
	close(plans[0].fd);
	close(plans[1].fd);
}

static void client_finishes_first(void **state)
{
	(void)state;
	relay_start();
	ask_all_then_answer_all(true, BULK, 0);
	world_wait_stat(XSR_STREAM_STAT_CLOSED_BY_PEER, 1);
	assert_int_equal(world_stat(XSR_STREAM_STAT_REQUEST_BYTES), BULK);
	assert_int_equal(world_stat(XSR_STREAM_STAT_REPLY_BYTES), BULK);
}

static void backend_finishes_first(void **state)
{
	(void)state;
	relay_start();
	ask_all_then_answer_all(false, BULK, 0);
	world_wait_stat(XSR_STREAM_STAT_CLOSED_BY_PEER, 1);
}

static void half_that_is_empty_ends_as_well(void **state)
{
	(void)state;
	relay_start();
	ask_all_then_answer_all(true, 0, 0);
	ask_all_then_answer_all(false, 0, 0);
	ask_all_then_answer_all(true, 1, 0);
	world_wait_stat(XSR_STREAM_STAT_CLOSED_BY_PEER, 3);
}

/* Queues and memory are small, and both read slowly. */
static void slow_readers_get_all(void **state)
{
	(void)state;
	W.params.memory_max = 256 << 10;
	W.params.options.sndbuf = W.params.options.rcvbuf = 16 << 10;
	relay_start();
	ask_all_then_answer_all(true, 1 << 20, 1000);
	ask_all_then_answer_all(false, 1 << 20, 1000);
	world_wait_stat(XSR_STREAM_STAT_CLOSED_BY_PEER, 2);
}

static void *write_run(void *arg)
{
	struct side_plan *p = arg;

	p->whole = plan_write(p) && !shutdown(p->fd, SHUT_WR);
	return NULL;
}

static void *read_run(void *arg)
{
	struct side_plan *p = arg;

	p->whole = plan_read(p);
	return NULL;
}

/* Both write all the time, and neither waits for the other. */
static void bulk_goes_both_ways_at_once(void **state)
{
	struct side_plan writers[2] = { { .n_write = BULK }, { .from = 1, .n_write = BULK } };
	struct side_plan readers[2] = { { .n_read = BULK, .read_from = 1 }, { .n_read = BULK } };
	pthread_t threads[4];
	int i;

	(void)state;
	W.params.memory_max = 1 << 20;
	relay_start();
	writers[0].fd = readers[0].fd = client_open();
	writers[1].fd = readers[1].fd = peer_accept(W.backends[1].listener);
	for (i = 0; i < 2; i++) {
		assert_int_equal(pthread_create(&threads[i], NULL, write_run, &writers[i]), 0);
		assert_int_equal(pthread_create(&threads[2 + i], NULL, read_run, &readers[i]), 0);
	}
	for (i = 0; i < 4; i++)
		pthread_join(threads[i], NULL);
	for (i = 0; i < 2; i++) {
		assert_true(writers[i].whole);
		assert_true(readers[i].whole);
		close(writers[i].fd);
	}
}

/* What it wrote goes on to the backend, to which there was no connection yet. */
static void client_that_writes_and_goes_at_once_is_heard(void **state)
{
	char bytes[6] = "";
	int c, b, i;

	(void)state;
	relay_start();
	for (i = 0; i < 20; i++) {
		c = peer_connect(W.port);
		peer_write(c, "hello", 5);
		close(c);
		b = peer_accept(W.backends[1].listener);
		assert_int_equal(peer_read(b, bytes, 6), 5);
		assert_string_equal(bytes, "hello");
		close(b);
		world_wait_stat(XSR_STREAM_STAT_CONNECTIONS, 0);
	}
}

static void next_backend_is_tried_if_one_is_down(void **state)
{
	char byte;
	int c, b, i;

	(void)state;
	W.n_backends = 2;
	relay_start();
	fd_close(&W.backends[1].listener);
	for (i = 0; i < 4; i++) {
		c = client_open();
		b = peer_accept(W.backends[2].listener);
		peer_write(c, "x", 1);
		assert_int_equal(peer_read(b, &byte, 1), 1);
		close(c);
		close(b);
	}
	world_wait_stat(XSR_STREAM_STAT_CONNECTIONS, 0);
	assert_true(world_stat(XSR_STREAM_STAT_BACKEND_FAILED) >= 2);
	fd_close(&W.backends[2].listener);
	c = client_open();
	peer_expect_end(c);
	world_wait_stat(XSR_STREAM_STAT_CLOSED_BACKEND, 1);
	close(c);
}

static void backends_take_turns(void **state)
{
	struct pollfd polls[2];
	int c[4], n[2] = {}, i, k;

	(void)state;
	W.n_backends = 2;
	relay_start();
	for (i = 0; i < 4; i++) {
		c[i] = client_open();
		for (k = 0; k < 2; k++)
			polls[k] = (struct pollfd){ .fd = W.backends[k + 1].listener, .events = POLLIN };
		assert_true(poll(polls, 2, PEER_WAIT_S * 1000) > 0);
		k = !polls[0].revents;
		n[k]++;
		close(peer_accept(polls[k].fd));
	}
	assert_int_equal(n[0], 2);
	assert_int_equal(n[1], 2);
	for (i = 0; i < 4; i++)
		close(c[i]);
}

static void reset_of_either_side_ends_the_other(void **state)
{
	int c, b;

	(void)state;
	relay_start();
	c = client_open();
	b = peer_accept(W.backends[1].listener);
	world_wait_stat(XSR_STREAM_STAT_BACKEND_CONNECTED, 1);
	peer_reset(c);
	peer_expect_end(b);
	world_wait_stat(XSR_STREAM_STAT_CLOSED_RESET, 1);
	close(b);
	c = client_open();
	b = peer_accept(W.backends[1].listener);
	world_wait_stat(XSR_STREAM_STAT_BACKEND_CONNECTED, 2);
	peer_reset(b);
	peer_expect_end(c);
	world_wait_stat(XSR_STREAM_STAT_CLOSED_BACKEND, 1);
	close(c);
}

/* While its queue is full, and nothing more is read of the other one. */
static void reset_of_a_slow_reader_ends_the_other(void **state)
{
	struct side_plan writer = { .n_write = BULK };
	pthread_t thread;
	int c, b;

	(void)state;
	W.params.options.sndbuf = 16 << 10;
	relay_start();
	writer.fd = c = client_open();
	b = peer_accept(W.backends[1].listener);
	assert_int_equal(pthread_create(&thread, NULL, write_run, &writer), 0);
	usleep(300000);
	peer_reset(b);
	pthread_join(thread, NULL);
	assert_false(writer.whole);
	world_wait_stat(XSR_STREAM_STAT_CLOSED_BACKEND, 1);
	close(c);
}

static void nothing_comes_or_goes_for_too_long(void **state)
{
	int c, b;

	(void)state;
	W.params.idle_s = 1;
	relay_start();
	c = client_open();
	b = peer_accept(W.backends[1].listener);
	peer_expect_end(c);
	peer_expect_end(b);
	world_wait_stat(XSR_STREAM_STAT_CLOSED_IDLE, 1);
	close(c);
	close(b);
}

/* What was read is written before it ends. */
static void stop_tears_nothing_that_was_read(void **state)
{
	static uint8_t bytes[1 << 20];
	struct side_plan writer = { .n_write = 200 << 10 };
	pthread_t thread;
	size_t n;
	int c, b;

	(void)state;
	W.params.queue_max = 1 << 20;
	W.params.options.sndbuf = 16 << 10;
	relay_start();
	writer.fd = c = client_open();
	b = peer_accept(W.backends[1].listener);
	assert_int_equal(pthread_create(&thread, NULL, write_run, &writer), 0);
	pthread_join(thread, NULL);
	usleep(100000);
	n = world_stat(XSR_STREAM_STAT_REQUEST_BYTES);
	assert_int_equal(pthread_create(&thread, NULL, stop_run, NULL), 0);
	assert_true(peer_read(b, bytes, sizeof(bytes)) >= n);
	assert_memory_equal(bytes, BYTES, n);
	pthread_join(thread, NULL);
	assert_int_equal(world_stat(XSR_STREAM_STAT_CLOSED_STOP), 1);
	close(c);
	close(b);
}

#define test(name) cmocka_unit_test_setup_teardown(name, world_open, world_close)

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		test(client_finishes_first),
		test(backend_finishes_first),
		test(half_that_is_empty_ends_as_well),
		test(slow_readers_get_all),
		test(bulk_goes_both_ways_at_once),
		test(client_that_writes_and_goes_at_once_is_heard),
		test(next_backend_is_tried_if_one_is_down),
		test(backends_take_turns),
		test(reset_of_either_side_ends_the_other),
		test(reset_of_a_slow_reader_ends_the_other),
		test(nothing_comes_or_goes_for_too_long),
		test(stop_tears_nothing_that_was_read),
	};

	if (argc > 1)
		cmocka_set_test_filter(argv[1]);
	return cmocka_run_group_tests(tests, bytes_fill, NULL);
}
