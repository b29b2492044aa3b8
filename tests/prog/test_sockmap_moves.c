/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Sessions change their connections while their frames flow: nothing is lost, doubled, or out of order. */
#include "streams.h"

#define N_LINKS 2
#define N_IDS 32
#define LATE_MS 30000 /* a sender that was stopped may wait for its own timer */

static struct router router;
static uint64_t seqs[SESSIONS_MAX];
static struct sockmap_socket *client, *links[N_LINKS];
static int client_fd, link_fds[N_LINKS];
static struct receiver receivers[N_LINKS];
static unsigned int n_moves;

static int setup(void **state)
{
	int i;

	(void)state;
	memset(seqs, 0, sizeof(seqs));
	memset(receivers, 0, sizeof(receivers));
	router_open(&router);
	client = router_join(&router, SOCKMAP_CLIENT, &client_fd);
	for (i = 0; i < N_LINKS; i++) {
		links[i] = router_join(&router, SOCKMAP_LINK, &link_fds[i]);
		receiver_start(&receivers[i], link_fds[i], seqs);
	}
	for (i = 0; i < N_IDS; i++)
		router_flow(&router, i, client, links[0]);
	n_moves = 0;
	return 0;
}

static int teardown(void **state)
{
	int i;

	(void)state;
	router_close(&router);
	for (i = 0; i < N_LINKS; i++) {
		pthread_join(receivers[i].thread, NULL);
		close(link_fds[i]);
	}
	close(client_fd);
	return 0;
}

static struct sockmap_socket *other_link(const struct sockmap_flow *flow)
{
	return sockmap_flow_link(flow) == links[0] ? links[1] : links[0];
}

/* Reads of two connections by two threads tell nothing of order: what was written to the old one must be read first. */
static bool old_link_is_read(const struct sockmap_flow *flow)
{
	int i = sockmap_flow_link(flow) == links[0] ? 0 : 1;

	return receivers[i].bytes >= sockmap_redirected(links[i]);
}

static struct sockmap_flow *waiting[N_IDS];
static uint64_t marks[N_IDS]; /* what its link must have written */

static void hold(struct sockmap_flow *flow)
{
	uint64_t mark = sockmap_redirected(sockmap_flow_link(flow));

	if (!sockmap_flow_hold(flow, SOCKMAP_REQUESTS)) /* -EBUSY: it is on its way */
		marks[sockmap_flow_id(flow)] = mark;
}

static void note_drained(struct sockmap_flow *flow, enum sockmap_way way, void *arg)
{
	(void)arg;
	assert_int_equal(way, SOCKMAP_REQUESTS);
	assert_true(sockmap_written(sockmap_flow_link(flow)) >= marks[sockmap_flow_id(flow)]);
	waiting[sockmap_flow_id(flow)] = flow;
}

/* What a backend's heartbeat would tell. */
static void release_read(void)
{
	int i;

	for (i = 0; i < N_IDS; i++) {
		if (!waiting[i] || !old_link_is_read(waiting[i]))
			continue;
		assert_int_equal(sockmap_flow_release(waiting[i], SOCKMAP_REQUESTS, other_link(waiting[i])), 0);
		waiting[i] = NULL;
		n_moves++;
	}
}

static void sessions_move_in_order(uint32_t payload_max, uint32_t cut_max, uint32_t pause_us)
{
	static struct sender sender;
	struct sockmap_stats stats;
	uint64_t start = now_ms(), rng = 1, sum;
	int i;

	sender = (struct sender){ .fd = client_fd, .seed = 1, .n_ids = N_IDS, .n_bytes = 1ULL << 40, .payload_max = payload_max,
				  .cut_max = cut_max, .pause_us = pause_us };
	router.on_drained = note_drained;
	sender_start(&sender);
	while (now_ms() - start < 3000) {
		hold(sockmap_flow_find(router.sm, SERVICE, chance(&rng, N_IDS)));
		router_turn(&router, 1);
		release_read();
	}
	for (sender.stop = true; !sender.ended;) {
		router_turn(&router, 1);
		release_read();
	}
	pthread_join(sender.thread, NULL);
	for (sum = 0; now_ms() - start < LATE_MS && sum < sender.sent_frames;) {
		router_turn(&router, 1);
		release_read();
		sum = receivers[0].frames + receivers[1].frames;
	}
	while (router.n_released < n_moves && now_ms() - start < LATE_MS)
		router_turn(&router, 1);
	sockmap_stats(router.sm, &stats);
	print_message("%u moves, %llu frames, held up to %llu, lane %llu, slowed %llu, stopped %llu\n", n_moves,
		      (unsigned long long)sender.sent_frames, (unsigned long long)stats.held_max, (unsigned long long)stats.lane_frames,
		      (unsigned long long)stats.slowed, (unsigned long long)stats.stopped);
	for (i = 0; i < N_LINKS; i++)
		receiver_expect_exact(&receivers[i]);
	assert_int_equal(sum, sender.sent_frames);
	assert_int_equal(router.n_released, n_moves);
	for (i = 0; i < N_IDS; i++)
		assert_int_equal(seqs[i], sender.seqs[i]);
	assert_true(n_moves > 20);
}

/* The same moves, and nobody waits for what went before. */
static void sessions_that_do_not_wait_are_out_of_order(void **state)
{
	static struct sender sender;
	uint64_t start = now_ms(), rng = 1;
	bool stopped = false;

	(void)state;
	sender = (struct sender){ .fd = client_fd, .seed = 1, .n_ids = N_IDS, .n_bytes = 1ULL << 40, .payload_max = 20000 };
	sender_start(&sender);
	while (!sender.ended) {
		struct sockmap_flow *flow = sockmap_flow_find(router.sm, SERVICE, chance(&rng, N_IDS));

		if (!stopped && sockmap_flow_hold(flow, SOCKMAP_REQUESTS) == 0)
			assert_int_equal(sockmap_flow_release(flow, SOCKMAP_REQUESTS, other_link(flow)), 0);
		router_turn(&router, 1);
		stopped = now_ms() - start > 10000 || receivers[0].again + receivers[0].lost + receivers[1].again + receivers[1].lost > 10;
		sender.stop = stopped;
	}
	pthread_join(sender.thread, NULL);
	assert_true(receivers[0].again + receivers[0].lost + receivers[1].again + receivers[1].lost > 0);
	assert_int_equal(receivers[0].torn + receivers[1].torn, 0);
}

static void sessions_move_in_order_while_many_small_frames_flow(void **state)
{
	(void)state;
	sessions_move_in_order(64, 0, 0);
}

static void sessions_move_in_order_while_large_frames_flow(void **state)
{
	(void)state;
	sessions_move_in_order(200000, 50000, 0);
}

static void sessions_move_in_order_while_little_flows(void **state)
{
	(void)state;
	sessions_move_in_order(1000, 0, 500);
}

/* --- step by step, without threads --- */

static struct sockmap_socket *first, *second, *backend;
static int first_fd, second_fd, link_fd;

static int steps_setup(void **state)
{
	(void)state;
	router_open(&router);
	first = router_join(&router, SOCKMAP_CLIENT, &first_fd);
	second = router_join(&router, SOCKMAP_CLIENT, &second_fd);
	backend = router_join(&router, SOCKMAP_LINK, &link_fd);
	return 0;
}

static int steps_teardown(void **state)
{
	(void)state;
	router_close(&router);
	close(first_fd);
	close(second_fd);
	close(link_fd);
	return 0;
}

static void say(int fd, uint64_t seq, uint8_t type)
{
	uint8_t frame[64];

	assert_int_equal(write_all(fd, frame, frame_fill(frame, 1, seq, type, 8)), 0);
	router_run(&router, 20);
}

/* The seqs of all frames that have come, as decimal digits. */
static uint64_t heard(int fd)
{
	struct xsr_frame *frame;
	uint64_t digits = 0;
	uint8_t bytes[32];

	router_run(&router, 30);
	while (recv(fd, bytes, sizeof(bytes), MSG_DONTWAIT) == sizeof(bytes)) {
		frame = (void *)bytes;
		assert_true(frame_is_whole(frame));
		digits = digits * 10 + be64toh(frame->seq);
	}
	return digits;
}

static void a_session_goes_on_on_another_connection(void **state)
{
	struct sockmap_flow *flow = router_flow(&router, 1, first, backend);

	(void)state;
	say(first_fd, 1, XSR_FRAME_ECHO_REQ);
	say(link_fd, 1, XSR_FRAME_ECHO_REP);
	assert_int_equal(heard(link_fd), 1);
	assert_int_equal(heard(first_fd), 1);
	assert_int_equal(sockmap_flow_take(flow, second), 0);
	say(first_fd, 2, XSR_FRAME_ECHO_REQ); /* not its own any more */
	say(second_fd, 3, XSR_FRAME_ECHO_REQ);
	say(second_fd, 4, XSR_FRAME_ECHO_REQ);
	say(link_fd, 2, XSR_FRAME_ECHO_REP);
	assert_int_equal(heard(link_fd) + heard(first_fd) + heard(second_fd), 0);
	assert_int_equal(router.n_slow_frames, 1);
	assert_int_equal(sockmap_flow_release(flow, SOCKMAP_REPLIES, second), 0);
	assert_int_equal(heard(second_fd), 2);
	assert_int_equal(sockmap_flow_release(flow, SOCKMAP_REQUESTS, backend), 0);
	assert_int_equal(heard(link_fd), 34);
	assert_int_equal(router.n_released, 2);
	say(second_fd, 5, XSR_FRAME_ECHO_REQ);
	say(link_fd, 3, XSR_FRAME_ECHO_REP);
	assert_int_equal(heard(link_fd), 5);
	assert_int_equal(heard(second_fd), 3);
	assert_int_equal(router.n_slow_frames, 1);
}

/* A frame that lies in the lane, unread. */
static void say_unread(int fd, uint64_t seq, uint8_t type)
{
	uint8_t frame[64];

	assert_int_equal(write_all(fd, frame, frame_fill(frame, 1, seq, type, 8)), 0);
	usleep(20000);
}

/* What was held and not yet read when the session ended is not the next one's. */
static void a_session_of_the_same_id_begins_anew(void **state)
{
	struct sockmap_flow *flow = router_flow(&router, 1, first, backend);

	(void)state;
	assert_int_equal(sockmap_flow_hold(flow, SOCKMAP_REQUESTS), 0);
	say_unread(first_fd, 1, XSR_FRAME_ECHO_REQ);
	sockmap_flow_remove(flow);
	assert_int_equal(sockmap_flow_add(router.sm, SERVICE, 1, first, backend, true, false, NULL, &flow), 0);
	say(first_fd, 2, XSR_FRAME_ECHO_REQ);
	assert_int_equal(sockmap_flow_release(flow, SOCKMAP_REQUESTS, backend), 0);
	assert_int_equal(heard(link_fd), 2);
	assert_int_equal(router.n_released, 1);
}

/* The same, if its connection has gone meanwhile. */
static void what_was_held_of_a_client_that_went_is_not_the_next_ones(void **state)
{
	struct sockmap_flow *flow = router_flow(&router, 1, first, backend);

	(void)state;
	assert_int_equal(sockmap_flow_hold(flow, SOCKMAP_REQUESTS), 0);
	say_unread(first_fd, 1, XSR_FRAME_ECHO_REQ);
	sockmap_flow_remove(flow);
	sockmap_remove(first);
	assert_int_equal(sockmap_flow_add(router.sm, SERVICE, 1, second, backend, true, false, NULL, &flow), 0);
	say(second_fd, 2, XSR_FRAME_ECHO_REQ);
	assert_int_equal(sockmap_flow_release(flow, SOCKMAP_REQUESTS, backend), 0);
	assert_int_equal(heard(link_fd), 2);
	assert_int_equal(router.n_released, 1);
}

static void what_was_held_of_a_link_that_went_is_not_the_next_ones(void **state)
{
	struct sockmap_flow *flow;
	struct sockmap_socket *next;
	int next_fd;

	(void)state;
	next = router_join(&router, SOCKMAP_LINK, &next_fd);
	assert_int_equal(sockmap_flow_add(router.sm, SERVICE, 1, first, backend, false, true, NULL, &flow), 0);
	say_unread(link_fd, 1, XSR_FRAME_ECHO_REP);
	sockmap_lose(backend, NULL, NULL);
	sockmap_flow_remove(flow);
	sockmap_remove(backend);
	assert_int_equal(sockmap_flow_add(router.sm, SERVICE, 1, first, next, false, true, NULL, &flow), 0);
	say(next_fd, 2, XSR_FRAME_ECHO_REP);
	assert_int_equal(sockmap_flow_release(flow, SOCKMAP_REPLIES, first), 0);
	assert_int_equal(heard(first_fd), 2);
	assert_int_equal(router.n_released, 1);
	close(next_fd);
}

static uint32_t generation_of(uint64_t id, enum xsr_way way)
{
	const struct xsr_flow_key key = { .id = id, .service = SERVICE, .way = way };
	struct xsr_flow entry;

	assert_int_equal(stream_flow_get(router.stream, &key, &entry), 0);
	return entry.generation;
}

/* A program that looked one up, or a word that opens it, may come to it when it is another's. */
static void no_two_entries_are_alike(void **state)
{
	uint32_t before[XSR_WAYS];

	(void)state;
	router_flow(&router, 1, first, backend);
	before[0] = generation_of(1, XSR_WAY_REQUESTS);
	before[1] = generation_of(1, XSR_WAY_REPLIES);
	assert_int_not_equal(before[0], before[1]);
	router_flow_end(&router, 1);
	router_flow(&router, 1, first, backend);
	assert_int_not_equal(generation_of(1, XSR_WAY_REQUESTS), before[0]);
	assert_int_not_equal(generation_of(1, XSR_WAY_REPLIES), before[1]);
}

static void an_end_is_told_when_all_before_it_was_handed_out(void **state)
{
	(void)state;
	say_unread(first_fd, 1, XSR_FRAME_ECHO_REQ);
	shutdown(first_fd, SHUT_WR);
	usleep(20000);
	assert_int_equal(sockmap_end(first), SOCKMAP_END_UNREAD);
	router_run(&router, 20);
	assert_int_equal(router.n_slow_frames, 1);
	assert_int_equal(sockmap_end(first), SOCKMAP_END_FIN);
}

static void a_hold_of_nothing_is_released(void **state)
{
	struct sockmap_flow *flow = router_flow(&router, 1, first, backend);

	(void)state;
	assert_int_equal(sockmap_flow_hold(flow, SOCKMAP_REQUESTS), 0);
	assert_int_equal(sockmap_flow_hold(flow, SOCKMAP_REQUESTS), -EBUSY);
	router_run(&router, 30);
	assert_int_equal(router.n_drained, 1);
	assert_int_equal(sockmap_flow_release(flow, SOCKMAP_REQUESTS, backend), 0);
	assert_int_equal(sockmap_flow_release(flow, SOCKMAP_REQUESTS, backend), -EBUSY);
	router_run(&router, 30);
	assert_int_equal(router.n_released, 1);
	say(first_fd, 1, XSR_FRAME_ECHO_REQ);
	assert_int_equal(heard(link_fd), 1);
	assert_int_equal(router.n_slow_frames, 0);
}

static void counts_tell_what_is_asked_and_answered(void **state)
{
	struct sockmap_flow *flow = router_flow(&router, 1, first, backend);
	struct sockmap_counts counts;

	(void)state;
	say(first_fd, 1, XSR_FRAME_ECHO_REQ);
	say(first_fd, 2, XSR_FRAME_ECHO_REQ);
	say(link_fd, 1, XSR_FRAME_ECHO_REP);
	sockmap_flow_counts(flow, &counts);
	assert_int_equal(counts.asked, 2);
	assert_int_equal(counts.n_asked, 2);
	assert_int_equal(counts.asked_bytes, 64);
	assert_int_equal(counts.answered, 1);
	assert_int_equal(counts.n_answered, 1);
	assert_int_equal(sockmap_redirected(backend), 64);
	assert_int_equal(sockmap_received(first), 64);
}

static void released_within(uint64_t n, int ms)
{
	uint64_t end = now_ms() + ms;

	while (router.n_released < n && now_ms() < end)
		router_turn(&router, 5);
	assert_int_equal(router.n_released, n);
}

/* Every second one goes while what it has asked lies in the lane; the next one has the same session, and nobody looks whether its ways open. */
static void ways_open_while_connections_come_and_go(void **state)
{
	struct sockmap_flow *flow;
	struct sockmap_socket *s;
	struct xsr_frame frame;
	uint8_t bytes[64];
	int i, far;

	(void)state;
	for (i = 1; i <= 400; i++) {
		s = router_join(&router, SOCKMAP_CLIENT, &far);
		assert_int_equal(sockmap_flow_add(router.sm, SERVICE, 1, s, backend, true, true, NULL, &flow), 0);
		assert_int_equal(write_all(far, bytes, frame_fill(bytes, 1, i, XSR_FRAME_ECHO_REQ, 0)), 0);
		if (i % 2 == 0) {
			assert_int_equal(sockmap_flow_release(flow, SOCKMAP_REQUESTS, backend), 0);
			assert_int_equal(sockmap_flow_release(flow, SOCKMAP_REPLIES, s), 0);
			released_within(i, 2000);
			assert_int_equal(recv(link_fd, &frame, sizeof(frame), MSG_WAITALL), sizeof(frame));
			assert_int_equal(be64toh(frame.seq), i);
		}
		sockmap_flow_remove(flow);
		sockmap_remove(s);
		close(far);
	}
	assert_int_equal(recv(link_fd, &frame, sizeof(frame), MSG_DONTWAIT), -1);
}

/* More connections come and go than there are numbers for. */
static void numbers_of_connections_are_used_again(void **state)
{
	struct sockmap_socket *s;
	struct ends e;
	int i, ret, n_waits = 0;

	(void)state;
	for (i = 0; i < 6000; i++) {
		e = ends_connect();
		while ((ret = sockmap_add(router.sm, e.near, SOCKMAP_CLIENT, SERVICE, 1000, NULL, &s)) == -ENFILE && n_waits++ < 1000)
			router_run(&router, 1);
		assert_int_equal(ret, 0);
		assert_int_equal(sockmap_start(s), 0);
		sockmap_remove(s);
		close(e.far);
	}
	router_flow(&router, 1, first, backend);
	say(first_fd, 1, XSR_FRAME_ECHO_REQ);
	assert_int_equal(heard(link_fd), 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(sessions_move_in_order_while_little_flows, setup, teardown),
		cmocka_unit_test_setup_teardown(sessions_move_in_order_while_large_frames_flow, setup, teardown),
		cmocka_unit_test_setup_teardown(sessions_move_in_order_while_many_small_frames_flow, setup, teardown),
		cmocka_unit_test_setup_teardown(sessions_that_do_not_wait_are_out_of_order, setup, teardown),
		cmocka_unit_test_setup_teardown(a_session_goes_on_on_another_connection, steps_setup, steps_teardown),
		cmocka_unit_test_setup_teardown(a_session_of_the_same_id_begins_anew, steps_setup, steps_teardown),
		cmocka_unit_test_setup_teardown(what_was_held_of_a_client_that_went_is_not_the_next_ones, steps_setup, steps_teardown),
		cmocka_unit_test_setup_teardown(what_was_held_of_a_link_that_went_is_not_the_next_ones, steps_setup, steps_teardown),
		cmocka_unit_test_setup_teardown(no_two_entries_are_alike, steps_setup, steps_teardown),
		cmocka_unit_test_setup_teardown(an_end_is_told_when_all_before_it_was_handed_out, steps_setup, steps_teardown),
		cmocka_unit_test_setup_teardown(a_hold_of_nothing_is_released, steps_setup, steps_teardown),
		cmocka_unit_test_setup_teardown(counts_tell_what_is_asked_and_answered, steps_setup, steps_teardown),
		cmocka_unit_test_setup_teardown(ways_open_while_connections_come_and_go, steps_setup, steps_teardown),
		cmocka_unit_test_setup_teardown(numbers_of_connections_are_used_again, steps_setup, steps_teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
