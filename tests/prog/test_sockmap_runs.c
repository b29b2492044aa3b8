/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Which frames go on together: of several sessions those that go the same way, each counted as its own. */
#include "streams.h"

#define CLIENT_CONN 2 /* numbers are dealt out in order, after the lane's */
#define N_SESSIONS 4
#define N_FRAMES 40 /* the sessions in turn */
#define SMALL 40    /* bytes of payload */
#define LEN (XSR_FRAME_HEADER_LEN + SMALL)

static struct router router;
static struct sockmap_socket *client, *links[2];
static int client_fd, link_fds[2];

static int setup(void **state)
{
	(void)state;
	router_open(&router);
	client = router_join(&router, SOCKMAP_CLIENT, &client_fd);
	links[0] = router_join(&router, SOCKMAP_LINK, &link_fds[0]);
	links[1] = router_join(&router, SOCKMAP_LINK, &link_fds[1]);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	close(client_fd);
	close(link_fds[0]);
	close(link_fds[1]);
	router_close(&router);
	return 0;
}

/* In one segment: session 1 to N_SESSIONS, again and again. */
static void frames_send(void)
{
	static uint8_t bytes[N_FRAMES * LEN];
	unsigned int i;

	for (i = 0; i < N_FRAMES; i++)
		frame_fill(bytes + i * LEN, 1 + i % N_SESSIONS, 1 + i / N_SESSIONS, XSR_FRAME_ECHO_REQ, SMALL);
	assert_int_equal(write_all(client_fd, bytes, sizeof(bytes)), 0);
}

/* n frames come out, whole, in the order in which those of the sessions with a bit in `ids` were sent. */
static void frames_expect(int fd, unsigned int n, unsigned int ids)
{
	uint8_t bytes[LEN];
	const struct xsr_frame *frame = (const void *)bytes;
	unsigned int i;

	for (i = 0; n; i++) {
		if (!(ids & 1u << i % N_SESSIONS))
			continue;
		assert_int_equal(recv(fd, bytes, sizeof(bytes), MSG_WAITALL), sizeof(bytes));
		assert_true(frame_is_whole(frame));
		assert_int_equal(be64toh(frame->id), 1 + i % N_SESSIONS);
		assert_int_equal(be64toh(frame->seq), 1 + i / N_SESSIONS);
		n--;
	}
}

static void counts_expect(uint64_t id, uint64_t n)
{
	struct sockmap_counts counts;

	sockmap_flow_counts(sockmap_flow_find(router.sm, SERVICE, id), &counts);
	assert_int_equal(counts.n_asked, n);
	assert_int_equal(counts.asked, n);
	assert_int_equal(counts.asked_bytes, n * LEN);
}

/* How many frames went on together last. */
static unsigned int run_frames(void)
{
	return router.stream->conns[CLIENT_CONN].run_frames;
}

static void sessions_of_one_target_go_on_together(void **state)
{
	uint64_t id;

	(void)state;
	for (id = 1; id <= N_SESSIONS; id++)
		router_flow(&router, id, client, links[0]);
	frames_send();
	frames_expect(link_fds[0], N_FRAMES, 0xf);
	assert_int_equal(run_frames(), N_FRAMES);
	assert_int_equal(sockmap_redirected(links[0]), N_FRAMES * LEN);
	for (id = 1; id <= N_SESSIONS; id++)
		counts_expect(id, N_FRAMES / N_SESSIONS);
}

static void sessions_of_other_targets_go_apart(void **state)
{
	uint64_t id;

	(void)state;
	for (id = 1; id <= N_SESSIONS; id++)
		router_flow(&router, id, client, links[id > 2]);
	frames_send();
	frames_expect(link_fds[0], N_FRAMES / 2, 0x3);
	frames_expect(link_fds[1], N_FRAMES / 2, 0xc);
	assert_int_equal(run_frames(), 2);
	assert_int_equal(sockmap_redirected(links[0]), N_FRAMES / 2 * LEN);
	for (id = 1; id <= N_SESSIONS; id++)
		counts_expect(id, N_FRAMES / N_SESSIONS);
}

/* Its frames wait, in order and counted once; those of the others do not. */
static void a_held_session_does_not_go_along(void **state)
{
	struct sockmap_flow *held = NULL;
	uint64_t id, end = now_ms() + 2000;

	(void)state;
	for (id = 1; id <= N_SESSIONS; id++) {
		struct sockmap_flow *flow = router_flow(&router, id, client, links[0]);

		held = id == 3 ? flow : held;
	}
	assert_int_equal(sockmap_flow_hold(held, SOCKMAP_REQUESTS), 0);
	frames_send();
	frames_expect(link_fds[0], N_FRAMES - N_FRAMES / N_SESSIONS, 0xb);
	while (!router.n_drained && now_ms() < end)
		router_turn(&router, 5);
	assert_int_equal(router.n_drained, 1);
	assert_int_equal(sockmap_flow_release(held, SOCKMAP_REQUESTS, links[1]), 0);
	while (!router.n_released && now_ms() < end)
		router_turn(&router, 5);
	frames_expect(link_fds[1], N_FRAMES / N_SESSIONS, 0x4);
	for (id = 1; id <= N_SESSIONS; id++)
		counts_expect(id, N_FRAMES / N_SESSIONS);
}

static void frames_of_no_session_do_not_go_along(void **state)
{
	uint64_t end = now_ms() + 2000;

	(void)state;
	router_flow(&router, 1, client, links[0]);
	router_flow(&router, 2, client, links[0]);
	frames_send();
	frames_expect(link_fds[0], N_FRAMES / 2, 0x3);
	while (router.n_slow_frames < N_FRAMES / 2 && now_ms() < end)
		router_turn(&router, 5);
	assert_int_equal(router.n_slow_frames, N_FRAMES / 2);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(sessions_of_one_target_go_on_together, setup, teardown),
		cmocka_unit_test_setup_teardown(sessions_of_other_targets_go_apart, setup, teardown),
		cmocka_unit_test_setup_teardown(a_held_session_does_not_go_along, setup, teardown),
		cmocka_unit_test_setup_teardown(frames_of_no_session_do_not_go_along, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
