/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Two sockets of this host that the kernel joins: what one sends the other reads, byte for byte, whatever happens to either. */
#include "local.h"

#define BULK_LEN (100ull << 20) /* each way */
#define FULL_MAX (256ull << 20)

static int setup(void **state)
{
	struct world *w = *state;

	w->listener = listener_open();
	join_begin(w);
	return 0;
}

static int teardown(void **state)
{
	struct world *w = *state;

	join_end(w);
	close(w->listener);
	return 0;
}

static void bytes_go_past_tcp_both_ways(void **state)
{
	struct world *w = *state;
	struct pair p;

	pair_open(w, &p, AF_INET6);
	talk(&p, 1000, 100);
	assert_int_equal(counted(w, XSR_STREAM_STAT_JOINED), 1);
	assert_int_equal(counted(w, XSR_STREAM_STAT_CONNECTIONS), 1);
	assert_int_equal(counted(w, XSR_STREAM_STAT_REQUESTS), 999); /* the first message of each way goes by TCP */
	assert_int_equal(counted(w, XSR_STREAM_STAT_REPLIES), 999);
	assert_int_equal(counted(w, XSR_STREAM_STAT_REQUEST_BYTES), 99900);
	assert_int_equal(counted(w, XSR_STREAM_STAT_REPLY_BYTES), 99900);
	assert_int_equal(counted(w, XSR_STREAM_STAT_TCP_BYTES), 200);
	assert_int_equal(counted(w, XSR_STREAM_STAT_NOT_JOINED), 0);
	pair_close(&p);
	pause_ms(100);
	assert_int_equal(counted(w, XSR_STREAM_STAT_CONNECTIONS), 0);
}

static void a_client_of_ipv4_meets_a_server_of_both(void **state)
{
	struct world *w = *state;
	struct pair p;

	pair_open(w, &p, AF_INET);
	talk(&p, 10, 1000);
	assert_int_equal(past_bytes(w), 18000);
	pair_close(&p);
}

/* It takes no more than TCP would, and half a receive buffer. */
static void a_reader_that_stops_stops_the_writer(void **state)
{
	struct world *w = *state;
	uint64_t past;
	size_t len;
	struct pair p;

	for (len = 10; len <= CHUNK; len = len < 1000 ? len * 10 : len * 8) {
		pair_open(w, &p, AF_INET);
		talk(&p, 2, 10);
		past = past_bytes(w);
		assert_true(send_until_full(&p.client, len, FULL_MAX) < 24ull << 20);
		assert_true(past_bytes(w) - past <= 128 << 10);
		take_all(&p.server, p.client.sent - p.server.taken);
		talk(&p, 100, 10);
		pair_close(&p);
	}
}

/* Again and again by TCP, and past it. */
static void order_is_kept_when_the_way_changes(void **state)
{
	struct world *w = *state;
	struct pair p;
	int i;

	pair_open(w, &p, AF_INET6);
	for (i = 0; i < 20; i++) {
		uint64_t past = past_bytes(w);

		talk(&p, 3, 1 + i * 7);
		assert_true(past_bytes(w) > past);
		send_until_full(&p.client, 1000 + i * 3001, FULL_MAX);
		take_all(&p.server, p.client.sent - p.server.taken);
	}
	pair_close(&p);
}

struct bulk {
	struct end *end;
	uint64_t len, rng;
	bool sends;
	ssize_t error;
};

static uint32_t chance(uint64_t *rng, uint32_t n)
{
	*rng = *rng * 6364136223846793005ULL + 1442695040888963407ULL;
	return (uint32_t)(*rng >> 33) % n;
}

/* A reader of a socket that is in a map is told EAGAIN if it is woken for its writer, which had to wait, and may read again. */
static ssize_t bulk_step(struct bulk *b, size_t len)
{
	ssize_t n;

	do
		n = b->sends ? end_send(b->end, len, 0) : end_take(b->end, len, 0);
	while (n == -EAGAIN && !b->sends);
	return n ?: -EPIPE;
}

static void *bulk_run(void *arg)
{
	struct bulk *b = arg;
	ssize_t n = 0;
	size_t len;

	for (; b->len && n >= 0; b->len -= n > 0 ? n : 0) {
		len = 1 + chance(&b->rng, chance(&b->rng, 4) ? 2000 : CHUNK);
		n = bulk_step(b, len < b->len ? len : b->len);
		if (!chance(&b->rng, 2000))
			pause_ms(1 + chance(&b->rng, 10));
	}
	b->error = n < 0 ? n : 0;
	if (n < 0)
		shutdown(b->end->fd, SHUT_RDWR); /* the others end, too */
	return NULL;
}

static void a_hundred_megabytes_each_way(void **state)
{
	struct world *w = *state;
	struct bulk b[4];
	pthread_t threads[4];
	uint64_t before;
	struct pair p;
	int i;

	pair_open(w, &p, AF_INET6);
	for (i = 0; i < 4; i++) {
		b[i] = (struct bulk){ i & 1 ? &p.server : &p.client, BULK_LEN, i, i < 2, 0 };
		assert_int_equal(pthread_create(&threads[i], NULL, bulk_run, &b[i]), 0);
	}
	for (i = 0; i < 4; i++)
		pthread_join(threads[i], NULL);
	for (i = 0; i < 4; i++)
		assert_int_equal(b[i].error, 0);
	assert_int_equal(past_bytes(w) + counted(w, XSR_STREAM_STAT_TCP_BYTES), 2 * BULK_LEN);
	print_message("%llu of %llu MB went past TCP\n", (unsigned long long)past_bytes(w) >> 20, 2 * BULK_LEN >> 20);
	before = past_bytes(w);
	talk(&p, 100, 100);
	assert_true(past_bytes(w) - before >= 2 * 98 * 100); /* whatever went by TCP */
	pair_close(&p);
}

/* Each side: what it was sent, then the end. */
static void half_closes_come_after_the_bytes(void **state)
{
	struct world *w = *state;
	struct pair p;
	size_t len;

	for (len = 100; len < CHUNK; len *= 5) {
		pair_open(w, &p, AF_INET);
		talk(&p, 2, 10);
		send_until_full(&p.client, len, 40000);
		shutdown(p.client.fd, SHUT_WR);
		pause_ms(10);
		take_all(&p.server, p.client.sent - p.server.taken);
		assert_int_equal(end_take(&p.server, 1, 0), 0);
		send_until_full(&p.server, len, 1 << 20);
		shutdown(p.server.fd, SHUT_WR);
		take_all(&p.client, p.server.sent - p.client.taken);
		assert_int_equal(end_take(&p.client, 1, 0), 0);
		pair_close(&p);
	}
}

static void after_a_shutdown_nothing_more_is_sent(void **state)
{
	struct world *w = *state;
	struct pair p;

	pair_open(w, &p, AF_INET);
	talk(&p, 3, 100);
	shutdown(p.client.fd, SHUT_WR);
	assert_int_equal(end_send(&p.client, 100, 0), -EPIPE);
	assert_int_equal(end_take(&p.server, 1, 0), 0);
	pair_close(&p);
}

static void bytes_under_way_arrive_though_the_sender_closes(void **state)
{
	struct world *w = *state;
	struct pair p;
	size_t len;

	for (len = 100; len < CHUNK; len *= 5) {
		pair_open(w, &p, AF_INET);
		talk(&p, 2, 10);
		send_until_full(&p.client, len, 1 << 20);
		close(p.client.fd);
		pause_ms(10);
		take_all(&p.server, p.client.sent - p.server.taken);
		assert_int_equal(end_take(&p.server, 1, 0), 0);
		close(p.server.fd);
	}
}

/* As of TCP: soon, and as an error. */
static void a_writer_learns_that_the_reader_is_gone(void **state)
{
	struct world *w = *state;
	struct pair p;
	ssize_t n = 0;
	int i;

	pair_open(w, &p, AF_INET);
	talk(&p, 3, 100);
	assert_int_equal(end_send(&p.client, 5000, 0), 5000);
	close(p.server.fd);
	for (i = 0; i < 100 && n >= 0; i++) {
		n = end_send(&p.client, 100, 0);
		pause_ms(1);
	}
	assert_true(n == -EPIPE || n == -ECONNRESET);
	close(p.client.fd);
}

static void *take_one(void *arg)
{
	struct end *e = arg;

	return (void *)end_take(e, 1000, MSG_WAITALL);
}

/* It waits where what comes past TCP would not be seen. */
static void a_reader_that_waits_for_the_whole_gets_it(void **state)
{
	struct world *w = *state;
	pthread_t thread;
	struct pair p;
	void *n;
	int i, round;

	pair_open(w, &p, AF_INET);
	for (round = 0; round < 3; round++) {
		assert_int_equal(pthread_create(&thread, NULL, take_one, &p.server), 0);
		for (i = 0; i < 10; i++) {
			pause_ms(20);
			assert_int_equal(end_send(&p.client, 100, 0), 100);
		}
		pthread_join(thread, &n);
		assert_int_equal((ssize_t)n, 1000);
	}
	assert_int_equal(past_bytes(w), 0);
	pair_close(&p);
}

static void a_reader_with_a_low_water_mark_is_written_to_by_tcp(void **state)
{
	struct world *w = *state;
	int mark = 50;
	struct pair p;

	pair_open(w, &p, AF_INET);
	setsockopt(p.server.fd, SOL_SOCKET, SO_RCVLOWAT, &mark, sizeof(mark));
	talk(&p, 10, 100);
	assert_int_equal(counted(w, XSR_STREAM_STAT_REQUEST_BYTES), 0);
	assert_int_equal(counted(w, XSR_STREAM_STAT_REPLY_BYTES), 900);
	pair_close(&p);
}

/* Nothing is lost, and from then on TCP has it. */
static void what_was_joined_goes_on_when_joining_ends(void **state)
{
	struct world *w = *state;
	uint64_t waiting;
	struct pair p;

	pair_open(w, &p, AF_INET);
	talk(&p, 3, 100);
	waiting = send_until_full(&p.client, 1000, 30000);
	assert_true(past_bytes(w) >= waiting);
	join_end(w);
	assert_int_equal(end_send(&p.client, 1000, 0), 1000);
	take_all(&p.server, waiting + 1000);
	talk(&p, 1000, 100);
	send_until_full(&p.client, 1000, FULL_MAX);
	take_all(&p.server, p.client.sent - p.server.taken);
	pair_close(&p);
}

/* Joins in a process of its own, which says when it does, and dies when it is told to. */
static pid_t joiner_start(struct world *w)
{
	int said[2];
	pid_t pid;
	char c;

	assert_int_equal(pipe(said), 0);
	pid = fork();
	if (!pid) {
		join_begin(w);
		if (write(said[1], "1", 1) == 1)
			pause();
		_exit(1);
	}
	close(said[1]);
	assert_int_equal(read(said[0], &c, 1), 1);
	close(said[0]);
	return pid;
}

static void nothing_is_lost_when_who_joined_is_killed(void **state)
{
	struct world *w = *state;
	struct pair p, later;
	pid_t pid;

	join_end(w);
	pid = joiner_start(w);
	pair_open(w, &p, AF_INET);
	talk(&p, 3, 100);
	send_until_full(&p.client, 1000, 30000);
	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
	pause_ms(300); /* the kernel frees what is no longer needed */
	take_all(&p.server, p.client.sent - p.server.taken);
	talk(&p, 1000, 100);
	send_until_full(&p.client, 1000, FULL_MAX);
	take_all(&p.server, p.client.sent - p.server.taken);
	pair_open(w, &later, AF_INET);
	talk(&later, 10, 100);
	pair_close(&later);
	pair_close(&p);
}

static void connections_of_before_are_left_alone(void **state)
{
	struct world *w = *state;
	struct pair p;

	join_end(w);
	pair_open(w, &p, AF_INET);
	talk(&p, 3, 100);
	join_begin(w);
	talk(&p, 100, 100);
	assert_int_equal(past_bytes(w), 0);
	assert_int_equal(counted(w, XSR_STREAM_STAT_TCP_BYTES), 0);
	pair_close(&p);
}

/* The client is of the cgroup above. */
static void one_end_alone_goes_by_tcp(void **state)
{
	struct world *w = *state;
	struct pair p;
	int status;
	pid_t pid;

	pid = fork();
	if (!pid) {
		if (!file_write(w->home, "cgroup.procs", "0"))
			_exit(1);
		end_set(&p.client, client_open(AF_INET), 0);
		while (end_take(&p.client, 100, 0) > 0 && end_send(&p.client, 100, 0) > 0)
			;
		_exit(0);
	}
	end_set(&p.server, accept(w->listener, NULL, NULL), 0xff);
	while (p.server.sent < 10000) {
		assert_int_equal(end_send(&p.server, 100, 0), 100);
		take_all(&p.server, 100);
	}
	close(p.server.fd);
	waitpid(pid, &status, 0);
	assert_int_equal(status, 0);
	assert_int_equal(past_bytes(w), 0);
	assert_int_equal(counted(w, XSR_STREAM_STAT_JOINED), 0);
	assert_int_equal(counted(w, XSR_STREAM_STAT_NOT_JOINED), 1);
}

static void two_who_join_the_same_do_no_harm(void **state)
{
	struct world *w = *state;
	struct world other = *w;
	struct pair p;

	join_begin(&other);
	pair_open(w, &p, AF_INET);
	talk(&p, 100, 100);
	send_until_full(&p.client, 1000, FULL_MAX);
	take_all(&p.server, p.client.sent - p.server.taken);
	pair_close(&p);
	join_end(&other);
}

static void what_is_no_cgroup_is_refused(void **state)
{
	struct world *w = *state;
	char why[LOCAL_WHY_LEN];

	assert_int_equal(local_attach(w->local, "/nosuch", why), -ENOENT);
	assert_non_null(strstr(why, "/nosuch"));
	assert_int_equal(local_attach(w->local, "/tmp", why), -ENOTDIR);
	assert_non_null(strstr(why, "cgroup v2"));
	assert_true(local_is_attached(w->local, w->cgroup));
	assert_false(local_is_attached(w->local, w->home));
	assert_int_equal(local_attach(w->local, w->home, why), 0);
	assert_true(local_is_attached(w->local, w->home));
}

int main(void)
{
	struct world world = {};
	int failed;

#define TEST(name) { #name, name, setup, teardown, &world }
	const struct CMUnitTest tests[] = {
		TEST(bytes_go_past_tcp_both_ways),
		TEST(a_client_of_ipv4_meets_a_server_of_both),
		TEST(a_reader_that_stops_stops_the_writer),
		TEST(order_is_kept_when_the_way_changes),
		TEST(a_hundred_megabytes_each_way),
		TEST(half_closes_come_after_the_bytes),
		TEST(after_a_shutdown_nothing_more_is_sent),
		TEST(bytes_under_way_arrive_though_the_sender_closes),
		TEST(a_writer_learns_that_the_reader_is_gone),
		TEST(a_reader_that_waits_for_the_whole_gets_it),
		TEST(a_reader_with_a_low_water_mark_is_written_to_by_tcp),
		TEST(what_was_joined_goes_on_when_joining_ends),
		TEST(nothing_is_lost_when_who_joined_is_killed),
		TEST(connections_of_before_are_left_alone),
		TEST(one_end_alone_goes_by_tcp),
		TEST(two_who_join_the_same_do_no_harm),
		TEST(what_is_no_cgroup_is_refused),
	};
#undef TEST

	if (!world_make(&world))
		return 77;
	failed = cmocka_run_group_tests(tests, NULL, NULL);
	world_remove(&world);
	return failed;
}
