/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * What goes wrong when the kernel moves bytes between connections, and what is done about it. Where the cure can be left out here, the
 * test leaves it out too, and expects the damage: so it is known to look at the right place.
 */
#include <linux/sockios.h>
#include <sys/ioctl.h>

#include "streams.h"

#define SMALL 100     /* bytes of payload */
#define UNBOUNDED (30u << 20)
#define CLIENT_CONN 2 /* numbers are dealt out in order; the lane's is the first */

static struct router router;
static uint64_t seqs[SESSIONS_MAX];

static int setup(void **state)
{
	(void)state;
	memset(seqs, 0, sizeof(seqs));
	router_open(&router);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	router_close(&router);
	return 0;
}

static void send_frame(int fd, uint64_t id, uint64_t seq, uint8_t type, size_t payload_len)
{
	static uint8_t frame[FRAME_MAX + 64];

	assert_int_equal(write_all(fd, frame, frame_fill(frame, id, seq, type, payload_len)), 0);
}

/* Bytes that arrive within so many ms, the router at work. */
static size_t arrives(int fd, size_t len, int ms)
{
	uint64_t end = now_ms() + ms;
	static char buf[1 << 16];
	size_t sum = 0;
	ssize_t n;

	while (sum < len && now_ms() < end) {
		router_turn(&router, 1);
		n = recv(fd, buf, sizeof(buf), MSG_DONTWAIT);
		sum += n > 0 ? n : 0;
	}
	return sum;
}

/* As its owner does: it asks when epoll tells, and again while there is something unread. */
static enum sockmap_end end_within(struct sockmap_socket *s, int ms)
{
	struct pollfd p = { .fd = sockmap_view(s)->fd, .events = POLLRDHUP };
	enum sockmap_end end = SOCKMAP_END_NONE;
	uint64_t stop = now_ms() + ms;

	while ((end == SOCKMAP_END_NONE || end == SOCKMAP_END_UNREAD) && now_ms() < stop) {
		router_turn(&router, 1);
		if (end == SOCKMAP_END_UNREAD || poll(&p, 1, 0) > 0)
			end = sockmap_end(s);
	}
	return end;
}

/* --- lengths --- */

static void bad_header_ends(void (*spoil)(struct xsr_frame *frame), enum sockmap_end expected)
{
	int client_fd, link_fd;
	struct sockmap_socket *client = router_join(&router, SOCKMAP_CLIENT, &client_fd);
	struct sockmap_socket *link = router_join(&router, SOCKMAP_LINK, &link_fd);
	uint8_t frames[3][XSR_FRAME_HEADER_LEN + SMALL];

	router_flow(&router, 1, client, link);
	frame_fill(frames[0], 1, 1, XSR_FRAME_ECHO_REQ, SMALL);
	frame_fill(frames[1], 1, 2, XSR_FRAME_ECHO_REQ, SMALL);
	frame_fill(frames[2], 1, 3, XSR_FRAME_ECHO_REQ, SMALL);
	spoil((void *)frames[1]);
	assert_int_equal(write_all(client_fd, frames, sizeof(frames)), 0);
	assert_int_equal(end_within(client, 1000), expected);
	assert_int_equal(arrives(link_fd, sizeof(frames), 50), sizeof(frames[0])); /* what came before is whole */
	router_flow_end(&router, 1);
	sockmap_remove(client);
	sockmap_remove(link);
	close(client_fd);
	close(link_fd);
}

static void len_zero(struct xsr_frame *frame) { frame->len = 0; }
static void len_short(struct xsr_frame *frame) { frame->len = htobe32(XSR_FRAME_LEN_MIN - 1); }
static void len_negative(struct xsr_frame *frame) { frame->len = htobe32(0x80000000); }
static void len_all_ones(struct xsr_frame *frame) { frame->len = htobe32(~0u); }
static void len_huge(struct xsr_frame *frame) { frame->len = htobe32(FRAME_MAX + 1); }
static void version_other(struct xsr_frame *frame) { frame->version = 2; }
static void type_other(struct xsr_frame *frame) { frame->type = 0x77; }
static void type_of_the_lane(struct xsr_frame *frame) { frame->type = 0xf0; }

static void a_bad_header_ends_its_connection_and_says_why(void **state)
{
	(void)state;
	bad_header_ends(len_zero, SOCKMAP_END_BAD_LEN);
	bad_header_ends(len_short, SOCKMAP_END_BAD_LEN);
	bad_header_ends(len_negative, SOCKMAP_END_BAD_LEN);
	bad_header_ends(len_all_ones, SOCKMAP_END_BAD_LEN);
	bad_header_ends(len_huge, SOCKMAP_END_BAD_LEN);
	bad_header_ends(version_other, SOCKMAP_END_BAD_VERSION);
	bad_header_ends(type_other, SOCKMAP_END_BAD_TYPE);
	bad_header_ends(type_of_the_lane, SOCKMAP_END_BAD_TYPE);
}

/* --- a target that does not read --- */

/* What holds the source back: the router's thread, the program. */
enum cure {
	CURE_NONE,
	CURE_THREAD = 1,
	CURE_PROGRAM = 2,
	CURE_BOTH = CURE_THREAD | CURE_PROGRAM,
};

static uint64_t backlog_after(int ms, enum cure cure, bool small)
{
	int client_fd, link_fd;
	struct sockmap_socket *client = router_join(&router, SOCKMAP_CLIENT, &client_fd);
	struct sockmap_socket *link = router_join(&router, SOCKMAP_LINK, &link_fd);
	struct sender sender = { .fd = client_fd, .seed = 1, .first_id = 1, .n_ids = 4, .n_bytes = 4ULL << 30,
				 .payload_max = small ? 64 : 60000, .cut_max = small ? 300 : 0 };
	uint64_t backlog;
	int i;

	if (!(cure & CURE_PROGRAM))
		router.stream->conns[CLIENT_CONN + 1].waiting_max = ~0u;
	for (i = 1; i <= 4; i++)
		router_flow(&router, i, client, link);
	sender_start(&sender);
	if (cure & CURE_THREAD)
		router_run(&router, ms);
	for (; !(cure & CURE_THREAD) && ms > 0 && sockmap_backlog(link) < UNBOUNDED; ms--)
		usleep(1000);
	backlog = sockmap_backlog(link);
	sender.stop = true;
	for (i = 1; i <= 4; i++)
		router_flow_end(&router, i);
	sockmap_remove(link);
	sockmap_remove(client);
	pthread_join(sender.thread, NULL);
	close(client_fd);
	close(link_fd);
	return backlog;
}

static void a_target_that_does_not_read_has_a_bounded_backlog(void **state)
{
	static const struct {
		const char *what;
		enum cure cure;
		bool small;
		uint32_t max;
	} rows[] = { /* the receive buffer of the source is 4 MiB: its frames may be 1 MiB long; and the thread may come late */
		{ "held back by both", CURE_BOTH, false, 10 << 20 },
		{ "the same, small frames", CURE_BOTH, true, 10 << 20 },
		{ "held back by the thread", CURE_THREAD, false, UNBOUNDED },
		{ "held back by the program", CURE_PROGRAM, false, 10 << 20 },
	};
	uint64_t backlog;
	size_t i;

	(void)state;
	assert_true(backlog_after(10000, CURE_NONE, false) > UNBOUNDED);
	for (i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		teardown(NULL);
		setup(NULL);
		backlog = backlog_after(1500, rows[i].cure, rows[i].small);
		print_message("%s: %llu bytes\n", rows[i].what, (unsigned long long)backlog);
		assert_true(backlog < rows[i].max);
	}
}

/* --- ends of targets --- */

/* A pair: what is sent to one's far end comes out of the other's. */
struct pair {
	struct sockmap_socket *from, *to;
	int from_far, to_far;
};

static struct pair pair_open(void)
{
	struct ends a = ends_connect(), b = ends_connect();
	struct pair p = { .from_far = a.far, .to_far = b.far };

	p.from = router_add(&router, a.near, SOCKMAP_PAIR, 0);
	p.to = router_add(&router, b.near, SOCKMAP_PAIR, 0);
	sockmap_pair(p.from, p.to);
	assert_int_equal(sockmap_start(p.from), 0);
	assert_int_equal(sockmap_start(p.to), 0);
	return p;
}

static void pair_close(struct pair *p)
{
	sockmap_remove(p->from);
	sockmap_remove(p->to);
	close(p->from_far);
	close(p->to_far);
}

#define N_LARGE 100
#define LARGE 60000 /* bytes of payload */
#define PAUSE_US 1000 /* a reader that is slow: when the last byte is redirected, much is not written */

/* Frames are sent, the source ends, and only then the reader begins. Returns how many arrive. */
static uint64_t arrive_after_fin(bool drained)
{
	struct pair p = pair_open();
	struct receiver r = {};
	uint64_t end = now_ms() + 3000, i;

	memset(seqs, 0, sizeof(seqs));
	for (i = 1; i <= N_LARGE; i++)
		send_frame(p.from_far, 1, i, XSR_FRAME_ECHO_REQ, LARGE);
	shutdown(p.from_far, SHUT_WR);
	if (drained) {
		r.pause_us = PAUSE_US;
		receiver_start(&r, p.to_far, seqs);
		while (sockmap_end(p.from) != SOCKMAP_END_FIN && now_ms() < end)
			router_turn(&router, 1);
		while (!sockmap_drained(p.to) && now_ms() < end)
			router_turn(&router, 1);
	}
	shutdown(sockmap_view(p.to)->fd, SHUT_WR);
	if (!drained)
		receiver_start(&r, p.to_far, seqs);
	while (!r.ended && now_ms() < end)
		router_turn(&router, 1);
	pthread_join(r.thread, NULL);
	pair_close(&p);
	return r.frames;
}

static void a_target_is_shut_down_when_it_is_drained(void **state)
{
	(void)state;
	assert_true(arrive_after_fin(false) < N_LARGE);
	assert_int_equal(arrive_after_fin(true), N_LARGE);
}

/* The same, with frames, and the target is closed. */
static uint64_t frames_before_close(bool drained)
{
	int client_fd, link_fd, i;
	struct sockmap_socket *client = router_join(&router, SOCKMAP_CLIENT, &client_fd);
	struct sockmap_socket *link = router_join(&router, SOCKMAP_LINK, &link_fd);
	struct receiver r = {};
	uint64_t end = now_ms() + 3000, frames;

	memset(seqs, 0, sizeof(seqs));
	router_flow(&router, 1, client, link);
	for (i = 1; i <= N_LARGE; i++)
		send_frame(client_fd, 1, i, XSR_FRAME_ECHO_REQ, LARGE);
	if (drained) {
		r.pause_us = PAUSE_US;
		receiver_start(&r, link_fd, seqs);
		while ((sockmap_received(client) < N_LARGE * (24 + LARGE) || !sockmap_drained(link)) && now_ms() < end)
			router_turn(&router, 1);
	}
	router_flow_end(&router, 1);
	sockmap_remove(link);
	if (!drained)
		receiver_start(&r, link_fd, seqs);
	pthread_join(r.thread, NULL);
	frames = r.frames;
	sockmap_remove(client);
	close(client_fd);
	close(link_fd);
	return frames;
}

static void a_target_is_closed_when_it_is_drained(void **state)
{
	(void)state;
	assert_true(frames_before_close(false) < N_LARGE);
	assert_int_equal(frames_before_close(true), N_LARGE);
}

struct lost {
	unsigned int n;
	uint64_t asked, answered;
};

static void lost_one(struct sockmap_flow *flow, const struct sockmap_counts *counts, void *arg)
{
	struct lost *lost = arg;

	lost->n++;
	lost->asked = counts->asked;
	lost->answered = counts->answered;
	(void)flow;
}

static void a_target_that_is_reset_stops_its_routes(bool cured)
{
	int client_fd, link_fd;
	struct sockmap_socket *client = router_join(&router, SOCKMAP_CLIENT, &client_fd);
	struct sockmap_socket *link = router_join(&router, SOCKMAP_LINK, &link_fd);
	struct linger reset = { .l_onoff = 1 };
	struct lost lost = {};
	uint64_t before = router.n_slow_frames;

	router_flow(&router, 1, client, link);
	send_frame(client_fd, 1, 1, XSR_FRAME_ECHO_REQ, SMALL);
	send_frame(client_fd, 1, 2, XSR_FRAME_ECHO_REQ, SMALL);
	assert_int_equal(arrives(link_fd, 2 * (24 + SMALL), 1000), 2 * (24 + SMALL));
	send_frame(link_fd, 1, 1, XSR_FRAME_ECHO_REP, SMALL);
	assert_int_equal(arrives(client_fd, 24 + SMALL, 1000), 24 + SMALL);
	setsockopt(link_fd, SOL_SOCKET, SO_LINGER, &reset, sizeof(reset));
	close(link_fd);
	assert_int_equal(end_within(link, 1000), SOCKMAP_END_RESET);
	if (cured) {
		sockmap_lose(link, lost_one, &lost);
		assert_int_equal(lost.n, 1);
		assert_int_equal(lost.asked, 2);
		assert_int_equal(lost.answered, 1);
	}
	send_frame(client_fd, 1, 3, XSR_FRAME_ECHO_REQ, SMALL);
	router_run(&router, 100);
	assert_int_equal(router.n_slow_frames - before, cured ? 1 : 0); /* or it is swallowed */
	assert_int_equal(sockmap_end(client), SOCKMAP_END_NONE);
	router_flow_end(&router, 1);
	sockmap_remove(link);
	sockmap_remove(client);
	close(client_fd);
}

static void what_follows_a_reset_target_is_not_swallowed(void **state)
{
	(void)state;
	a_target_that_is_reset_stops_its_routes(false);
	a_target_that_is_reset_stops_its_routes(true);
}

/* --- ends of sources --- */

/* Who reads is told to try again, for ever. */
static void expect_end_told_by_epoll_alone(int fd)
{
	struct pollfd p = { .fd = fd, .events = POLLRDHUP };
	char byte;

	assert_int_equal(poll(&p, 1, 1000), 1);
	usleep(20000);
	assert_int_equal(recv(fd, &byte, 1, MSG_DONTWAIT), -1);
	assert_int_equal(errno, EAGAIN);
}

static void half_a_frame_before_the_end_is_seen(void **state)
{
	int client_fd, link_fd;
	struct sockmap_socket *client = router_join(&router, SOCKMAP_CLIENT, &client_fd);
	struct sockmap_socket *link = router_join(&router, SOCKMAP_LINK, &link_fd);
	uint8_t frame[24 + SMALL];

	(void)state;
	router_flow(&router, 1, client, link);
	send_frame(client_fd, 1, 1, XSR_FRAME_ECHO_REQ, SMALL);
	frame_fill(frame, 1, 2, XSR_FRAME_ECHO_REQ, SMALL);
	assert_int_equal(write_all(client_fd, frame, 60), 0);
	shutdown(client_fd, SHUT_WR);
	expect_end_told_by_epoll_alone(sockmap_view(client)->fd);
	assert_int_equal(end_within(client, 2000), SOCKMAP_END_HALF_FRAME);
	assert_int_equal(arrives(link_fd, 1000, 50), 24 + SMALL);
	/* A whole one before the end is none. */
	sockmap_remove(client);
	router_flow_end(&router, 1);
	close(client_fd);
	client = router_join(&router, SOCKMAP_CLIENT, &client_fd);
	router_flow(&router, 1, client, link);
	send_frame(client_fd, 1, 1, XSR_FRAME_ECHO_REQ, SMALL);
	shutdown(client_fd, SHUT_WR);
	assert_int_equal(end_within(client, 2000), SOCKMAP_END_FIN);
	assert_int_equal(arrives(link_fd, 24 + SMALL, 50), 24 + SMALL);
}

/* A connection with half a frame is closed, never taken out of the map alone: its peer knows that what is not answered was not heard. */
static void the_peer_of_a_connection_that_is_removed_is_told(void **state)
{
	int client_fd;
	struct sockmap_socket *client = router_join(&router, SOCKMAP_CLIENT, &client_fd);
	uint8_t frame[24 + SMALL];
	char byte;

	(void)state;
	frame_fill(frame, 1, 1, XSR_FRAME_ECHO_REQ, SMALL);
	assert_int_equal(write_all(client_fd, frame, 60), 0);
	router_run(&router, 20);
	sockmap_remove(client);
	assert_true(recv(client_fd, &byte, 1, 0) <= 0);
	close(client_fd);
}

static enum sockmap_end end_of_silence(uint32_t half_frame_ms)
{
	enum sockmap_end end;
	struct sockmap_socket *client;
	uint8_t frame[24 + SMALL];
	int client_fd;

	router_close(&router);
	router_open_with(&router, (struct sockmap_options){ .half_frame_ms = half_frame_ms });
	client = router_join(&router, SOCKMAP_CLIENT, &client_fd);
	frame_fill(frame, 1, 1, XSR_FRAME_ECHO_REQ, SMALL);
	assert_int_equal(write_all(client_fd, frame, 60), 0);
	end = end_within(client, 600);
	close(client_fd);
	return end;
}

static void silence_in_the_middle_of_a_frame_ends_the_connection(void **state)
{
	(void)state;
	assert_int_equal(end_of_silence(60000), SOCKMAP_END_NONE);
	assert_int_equal(end_of_silence(100), SOCKMAP_END_LATE);
}

/* --- sizes --- */

static size_t large_frame_arrives(int rcvbuf)
{
	int client_fd, link_fd;
	struct sockmap_socket *client = router_join(&router, SOCKMAP_CLIENT, &client_fd);
	struct sockmap_socket *link = router_join(&router, SOCKMAP_LINK, &link_fd);
	static uint8_t frame[FRAME_MAX + 4];
	enum sockmap_end end;
	size_t sum;

	router_flow(&router, 1, client, link);
	if (rcvbuf)
		setsockopt(sockmap_view(client)->fd, SOL_SOCKET, SO_RCVBUF, &rcvbuf, sizeof(rcvbuf));
	assert_int_equal(frame_fill(frame, 1, 1, XSR_FRAME_ECHO_REQ, FRAME_MAX - XSR_FRAME_LEN_MIN), sizeof(frame));
	assert_int_equal(write_all(client_fd, frame, 100000), 0);
	end = end_within(client, 20);
	if (end == SOCKMAP_END_NONE)
		assert_int_equal(write_all(client_fd, frame + 100000, sizeof(frame) - 100000), 0);
	sum = arrives(link_fd, sizeof(frame), 500);
	if (end == SOCKMAP_END_NONE)
		end = end_within(client, 20);
	assert_int_equal(end, sum ? SOCKMAP_END_NONE : SOCKMAP_END_BAD_LEN);
	router_flow_end(&router, 1);
	sockmap_remove(client);
	sockmap_remove(link);
	close(client_fd);
	close(link_fd);
	return sum;
}

static void the_largest_frame_fits_the_receive_buffer(void **state)
{
	(void)state;
	assert_int_equal(large_frame_arrives(65536), 0); /* EMSGSIZE */
	assert_int_equal(large_frame_arrives(0), FRAME_MAX + 4);
}

/* --- joining --- */

static void what_came_before_is_kicked(void **state)
{
	int link_fd;
	struct sockmap_socket *link = router_join(&router, SOCKMAP_LINK, &link_fd), *client;
	struct ends e = ends_connect();

	(void)state;
	send_frame(e.far, 1, 1, XSR_FRAME_ECHO_REQ, SMALL);
	usleep(20000);
	client = router_add(&router, e.near, SOCKMAP_CLIENT, FRAME_MAX);
	router_flow(&router, 1, client, link);
	/* As sockmap_start() does it, without the kick. The link came first. */
	assert_int_equal(stream_source_insert(router.stream, XSR_STREAM_FRAMES, CLIENT_CONN + 1, e.near), 0);
	assert_int_equal(arrives(link_fd, 1000, 100), 0);
	router_flow_end(&router, 1);
	sockmap_remove(client);
	close(e.far);

	e = ends_connect();
	send_frame(e.far, 1, 1, XSR_FRAME_ECHO_REQ, SMALL);
	usleep(20000);
	client = router_add(&router, e.near, SOCKMAP_CLIENT, FRAME_MAX);
	router_flow(&router, 1, client, link);
	assert_int_equal(sockmap_start(client), 0);
	assert_int_equal(arrives(link_fd, 24 + SMALL, 1000), 24 + SMALL);
	send_frame(e.far, 1, 2, XSR_FRAME_ECHO_REQ, SMALL);
	assert_int_equal(arrives(link_fd, 24 + SMALL, 1000), 24 + SMALL);
	sockmap_remove(client);
	sockmap_remove(link);
	close(e.far);
	close(link_fd);
}

/* --- user space sends, too --- */

static uint64_t torn_by_sending(bool injected)
{
	int client_fd, link_fd;
	struct sockmap_socket *client = router_join(&router, SOCKMAP_CLIENT, &client_fd);
	struct sockmap_socket *link = router_join(&router, SOCKMAP_LINK, &link_fd);
	struct sender sender = { .fd = client_fd, .seed = 1, .first_id = 1, .n_ids = 1, .n_bytes = 1ULL << 40, .payload_max = 200000,
				 .cut_max = 50000 };
	uint8_t frame[24 + 3000];
	struct receiver r = {};
	uint64_t seq = 0, torn, end = now_ms() + 300;

	memset(seqs, 0, sizeof(seqs));
	router_flow(&router, 1, client, link);
	receiver_start(&r, link_fd, seqs);
	sender_start(&sender);
	while (now_ms() < end && !r.ended) {
		router_turn(&router, 0);
		if (injected && seq - seqs[2] < 100)
			assert_int_equal(sockmap_send(link, frame, frame_fill(frame, 2, ++seq, XSR_FRAME_ECHO_REQ, 3000)), 0);
		if (!injected)
			send(sockmap_view(link)->fd, frame, frame_fill(frame, 2, ++seq, XSR_FRAME_ECHO_REQ, 3000), MSG_DONTWAIT | MSG_NOSIGNAL);
	}
	sender.stop = true;
	if (injected) {
		while (!sender.ended)
			router_turn(&router, 1);
		pthread_join(sender.thread, NULL);
		for (end = now_ms() + 5000; (seqs[1] != sender.seqs[0] || seqs[2] != seq) && now_ms() < end;)
			router_turn(&router, 1);
		assert_int_equal(seqs[2], seq);
		assert_true(seq > 100);
		assert_int_equal(seqs[1], sender.seqs[0]);
	}
	torn = r.torn + r.lost + r.again;
	router_flow_end(&router, 1);
	sockmap_remove(client);
	sockmap_remove(link);
	close(client_fd);
	shutdown(link_fd, SHUT_RDWR);
	if (!injected)
		pthread_join(sender.thread, NULL);
	pthread_join(r.thread, NULL);
	close(link_fd);
	return torn;
}

static void user_space_sends_through_the_lane_alone(void **state)
{
	(void)state;
	assert_true(torn_by_sending(false) > 0);
	assert_int_equal(torn_by_sending(true), 0);
}

/* --- the slow lane --- */

struct seen {
	struct sockmap_socket *from;
	bool has_flow, whole;
	uint64_t id, seq;
	uint8_t type;
	size_t len;
};

static struct seen seen[64];
static unsigned int n_seen;

static void see(const struct sockmap_frame *frame, void *arg)
{
	(void)arg;
	assert_true(n_seen < 64);
	seen[n_seen++] = (struct seen){ .from = frame->from, .has_flow = frame->flow != NULL, .whole = frame_is_whole(frame->header),
					.id = be64toh(frame->header->id), .seq = be64toh(frame->header->seq), .type = frame->header->type,
					.len = frame->len };
}

static void see_within(unsigned int n, int ms)
{
	uint64_t end = now_ms() + ms;

	while (n_seen < n && now_ms() < end)
		router_turn(&router, 1);
}

static void expect_seen(unsigned int i, struct sockmap_socket *from, uint64_t id, uint64_t seq, uint8_t type, size_t len, bool has_flow)
{
	assert_ptr_equal(seen[i].from, from);
	assert_true(seen[i].whole);
	assert_int_equal(seen[i].id, id);
	assert_int_equal(seen[i].seq, seq);
	assert_int_equal(seen[i].type, type);
	assert_int_equal(seen[i].len, len);
	assert_int_equal(seen[i].has_flow, has_flow);
}

/* At once: SK_PASS would keep it back until later bytes come. */
static void what_the_kernel_cannot_decide_comes_by_the_slow_lane(void **state)
{
	int a_fd, b_fd, link_fd;
	struct sockmap_socket *a = router_join(&router, SOCKMAP_CLIENT, &a_fd), *b = router_join(&router, SOCKMAP_CLIENT, &b_fd);
	struct sockmap_socket *link = router_join(&router, SOCKMAP_LINK, &link_fd);

	(void)state;
	n_seen = 0;
	router.on_frame = see;
	router_flow(&router, 1, a, link);
	send_frame(a_fd, 1, 1, XSR_FRAME_HELLO, 12);
	see_within(1, 1000);
	send_frame(a_fd, 7, 5, XSR_FRAME_ECHO_REQ, FRAME_MAX - 20); /* of no session, as long as there are */
	see_within(2, 1000);
	send_frame(b_fd, 1, 9, XSR_FRAME_ECHO_REQ, SMALL); /* of another's */
	see_within(3, 1000);
	send_frame(link_fd, 1, 3, XSR_FRAME_HB_PONG, 0);
	see_within(4, 1000);
	send_frame(link_fd, 8, 4, XSR_FRAME_ECHO_REP, SMALL);
	see_within(5, 1000);
	assert_int_equal(n_seen, 5);
	expect_seen(0, a, 1, 1, XSR_FRAME_HELLO, 36, true);
	expect_seen(1, a, 7, 5, XSR_FRAME_ECHO_REQ, FRAME_MAX + 4, false);
	expect_seen(2, b, 1, 9, XSR_FRAME_ECHO_REQ, 24 + SMALL, true);
	expect_seen(3, link, 1, 3, XSR_FRAME_HB_PONG, 24, true);
	expect_seen(4, link, 8, 4, XSR_FRAME_ECHO_REP, 24 + SMALL, false);
	assert_int_equal(arrives(link_fd, 1, 20), 0);
	sockmap_remove(a);
	sockmap_remove(b);
	sockmap_remove(link);
	close(a_fd);
	close(b_fd);
	close(link_fd);
}

/* Many frames in one segment: each is where it should be, none by the offset of another. */
static void frames_of_one_segment_go_apart(void **state)
{
	static uint8_t bytes[60000];
	int client_fd, link_fds[2], i;
	struct sockmap_socket *client = router_join(&router, SOCKMAP_CLIENT, &client_fd);
	struct receiver receivers[2] = {};
	uint64_t seq[4] = {}, rng = 1, end = now_ms() + 2000;
	size_t len = 0, n = 0;

	(void)state;
	n_seen = 0;
	router.on_frame = see;
	for (i = 0; i < 2; i++) {
		router_flow(&router, i, client, router_join(&router, SOCKMAP_LINK, &link_fds[i]));
		receiver_start(&receivers[i], link_fds[i], seqs);
	}
	for (n = 0; n < 300; n++) {
		uint64_t id = chance(&rng, 20) ? chance(&rng, 2) : 2; /* 2: of no session */

		if (id == 2 && seq[2] >= 60)
			id = 1;
		len += frame_fill(bytes + len, id, ++seq[id], XSR_FRAME_ECHO_REQ, chance(&rng, 150));
	}
	assert_int_equal(write_all(client_fd, bytes, len), 0);
	while (receivers[0].frames + receivers[1].frames + n_seen < 300 && now_ms() < end)
		router_turn(&router, 1);
	for (i = 0; i < 2; i++) {
		receiver_expect_exact(&receivers[i]);
		assert_int_equal(seqs[i], seq[i]);
	}
	assert_int_equal(n_seen, seq[2]);
	for (i = 0; i < (int)n_seen; i++)
		expect_seen(i, client, 2, i + 1, XSR_FRAME_ECHO_REQ, seen[i].len, false);
	router_close(&router);
	for (i = 0; i < 2; i++)
		pthread_join(receivers[i].thread, NULL);
	router_open(&router);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(a_bad_header_ends_its_connection_and_says_why, setup, teardown),
		cmocka_unit_test_setup_teardown(a_target_that_does_not_read_has_a_bounded_backlog, setup, teardown),
		cmocka_unit_test_setup_teardown(a_target_is_shut_down_when_it_is_drained, setup, teardown),
		cmocka_unit_test_setup_teardown(a_target_is_closed_when_it_is_drained, setup, teardown),
		cmocka_unit_test_setup_teardown(what_follows_a_reset_target_is_not_swallowed, setup, teardown),
		cmocka_unit_test_setup_teardown(half_a_frame_before_the_end_is_seen, setup, teardown),
		cmocka_unit_test_setup_teardown(the_peer_of_a_connection_that_is_removed_is_told, setup, teardown),
		cmocka_unit_test_setup_teardown(silence_in_the_middle_of_a_frame_ends_the_connection, setup, teardown),
		cmocka_unit_test_setup_teardown(the_largest_frame_fits_the_receive_buffer, setup, teardown),
		cmocka_unit_test_setup_teardown(what_came_before_is_kicked, setup, teardown),
		cmocka_unit_test_setup_teardown(user_space_sends_through_the_lane_alone, setup, teardown),
		cmocka_unit_test_setup_teardown(what_the_kernel_cannot_decide_comes_by_the_slow_lane, setup, teardown),
		cmocka_unit_test_setup_teardown(frames_of_one_segment_go_apart, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
