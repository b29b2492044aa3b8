/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* When the programs tell the router that too much waits for a connection, and that little does again. */
#include "streams.h"

#define TO_CONN 3 /* numbers are dealt out in order, after the lane's */
#define STEP (256u << 10) /* well below the high mark */
#define STEPS 40

static struct router router;

/* A pair: what is sent to one's far end comes out of the other's. */
static struct sockmap_socket *from, *to;
static int from_far, to_far;

static int setup(void **state)
{
	struct ends a = ends_connect(), b = ends_connect();

	(void)state;
	router_open(&router);
	from_far = a.far;
	to_far = b.far;
	from = router_add(&router, a.near, SOCKMAP_PAIR, 0);
	to = router_add(&router, b.near, SOCKMAP_PAIR, 0);
	sockmap_pair(from, to);
	assert_int_equal(sockmap_start(from), 0);
	assert_int_equal(sockmap_start(to), 0);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	close(from_far);
	close(to_far);
	router_close(&router);
	return 0;
}

/* True if the programs have told something within so many ms. */
static bool is_told(int ms)
{
	struct pollfd fd = { .fd = sockmap_fd(router.sm), .events = POLLIN };

	return poll(&fd, 1, ms) == 1;
}

static void receive(size_t len)
{
	static uint8_t buf[STEP];
	ssize_t n;

	for (; len; len -= n) {
		n = recv(to_far, buf, len < sizeof(buf) ? len : sizeof(buf), 0);
		assert_true(n > 0);
	}
}

static void nothing_is_told_while_little_waits(void **state)
{
	static uint8_t bytes[STEP];
	int i;

	(void)state;
	for (i = 0; i < STEPS; i++) {
		assert_int_equal(write_all(from_far, bytes, sizeof(bytes)), 0);
		receive(sizeof(bytes));
	}
	assert_false(is_told(0));
	assert_true(sockmap_redirected(to) == (uint64_t)STEPS * STEP);
}

static void *flood(void *arg)
{
	static uint8_t bytes[STEP];
	atomic_bool *stop = arg;

	while (!*stop && send(from_far, bytes, sizeof(bytes), MSG_NOSIGNAL) > 0)
		;
	return NULL;
}

static void *drain(void *arg)
{
	static uint8_t bytes[STEP];

	(void)arg;
	while (recv(to_far, bytes, sizeof(bytes), 0) > 0)
		;
	return NULL;
}

/* The thread only looks when it is told to: a look now and then would hide that it is not. */
static void turn_until(enum xsr_conn_told told)
{
	do {
		assert_true(is_told(5000));
		assert_int_equal(sockmap_poll(router.sm), 0);
	} while (router.stream->conns[TO_CONN].told != told);
}

static void what_waits_is_told_when_it_is_much_and_when_it_is_little(void **state)
{
	pthread_t writer, reader;
	atomic_bool stop = false;

	(void)state;
	assert_false(pthread_create(&writer, NULL, flood, &stop));
	turn_until(XSR_TOLD_HIGH);
	stop = true;
	assert_false(pthread_create(&reader, NULL, drain, NULL));
	turn_until(XSR_TOLD_NOTHING);
	assert_true(sockmap_backlog(to) < 256 << 10);
	shutdown(from_far, SHUT_RDWR);
	pthread_join(writer, NULL);
	shutdown(to_far, SHUT_RDWR);
	pthread_join(reader, NULL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(nothing_is_told_while_little_waits, setup, teardown),
		cmocka_unit_test_setup_teardown(what_waits_is_told_when_it_is_much_and_when_it_is_little, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
