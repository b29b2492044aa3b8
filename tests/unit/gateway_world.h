/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Gateways in threads of this process, on maps without a kernel: one TCP service, with backends that the test plays. The control thread's
 * post is the test's too. Nothing may be left of anything when the world ends.
 */
#ifndef XSR_TEST_GATEWAY_WORLD_H
#define XSR_TEST_GATEWAY_WORLD_H

#include <dirent.h>
#include <pthread.h>
#include <sched.h>
#include <time.h>

#include "errand.h"
#include "fake_maps.h"
#include "gateway.h"
#include "handover.h"
#include "peers.h"
#include "takeover.h"

#define WORLD_WORKERS 2
#define WORLD_BACKENDS 2
#define WORLD_SERVED 1024
#define WORLD_QUEUE (16u << 10)

struct world_backend {
	uint16_t port;
	int holder;	 /* keeps the port while nobody listens there */
	int listener;	 /* -1 = it is down */
	int links[WORLD_WORKERS]; /* in the order in which they came; -1 = none */
};

struct gateways_world {
	struct maps *maps;
	struct registry *registry;
	struct gateway_params params; /* may be changed before world_start() */
	unsigned int n_workers, n_backends;
	struct gateway *at[WORLD_WORKERS];
	pthread_t threads[WORLD_WORKERS];
	struct ring *rings[POST_MAX][POST_MAX];
	struct post control;
	size_t rooms[WORLD_WORKERS]; /* of their pools, with nothing in them */
	struct world_backend backends[WORLD_BACKENDS + 1]; /* by number, from 1 */
	uint16_t port; /* the service's */
	int holder;
	pthread_t echoes[WORLD_WORKERS * WORLD_BACKENDS]; /* backends that answer by themselves */
	unsigned int n_echoes;
	_Atomic uint64_t served[WORLD_SERVED]; /* what they have answered, by ID */
	unsigned int n_fds;
	bool is_running;
};

static struct gateways_world W;

static unsigned int world_fds(void)
{
	unsigned int n = 0;
	DIR *dir = opendir("/proc/self/fd");

	while (readdir(dir))
		n++;
	closedir(dir);
	return n;
}

static void world_log(const char *sentence, void *arg)
{
	(void)arg;
	if (getenv("XSR_TEST_LOG"))
		print_message("log: %s\n", sentence);
}

static struct xsr_service *world_service(void)
{
	return (struct xsr_service *)&W.maps->services[FAKE_SERVICE];
}

static void world_service_make(void)
{
	struct xsr_service *s = world_service();

	s->addr[3] = htonl(INADDR_LOOPBACK);
	s->port = htons(W.port);
	s->proto = IPPROTO_TCP;
	s->flags = XSR_SERVICE_IPV4;
	s->mode = XSR_STREAM_EPOLL;
	s->frame_max = 1 << 20;
}

static void world_backend_make(unsigned int number)
{
	struct xsr_backend *b = (struct xsr_backend *)&W.maps->backends[number];
	struct world_backend *mine = &W.backends[number];
	unsigned int i;

	mine->holder = peer_bind(&mine->port);
	mine->listener = peer_listen(&mine->port);
	for (i = 0; i < WORLD_WORKERS; i++)
		mine->links[i] = -1;
	b->addr[3] = htonl(INADDR_LOOPBACK);
	b->port = htons(mine->port);
	b->family = 4;
	snprintf(b->name, sizeof(b->name), "b%u", number);
	world_service()->backends |= 1ULL << number;
}

/* What every world begins with; a test changes it before world_start(). */
static int world_open(void **state)
{
	(void)state;
	memset(&W, 0, sizeof(W));
	W.n_workers = W.n_backends = 1;
	W.n_fds = world_fds();
	W.maps = fake_maps_open(1024);
	W.holder = peer_bind(&W.port);
	world_service_make();
	W.params = (struct gateway_params){
		.maps = W.maps,
		.cpu = -1,
		.connections_max = 1000,
		.sessions_max = 1000,
		.memory_max = 8 << 20,
		.queue_max = WORLD_QUEUE,
		.deadline_ms = 0,
		.heartbeat_ms = 60000,
		.idle_s = 0,
		.reconnect_max_ms = 400,
		.backlog = 1024,
		.log = world_log,
	};
	return post_open(&W.control, POST_CONTROL);
}

static struct post *world_post(unsigned int number)
{
	return number == POST_CONTROL ? &W.control : &W.at[number]->post;
}

static void world_join(unsigned int a, unsigned int b)
{
	struct ring *there = ring_open(POST_SLOTS, MAIL_LEN), *back = ring_open(POST_SLOTS, MAIL_LEN);
	const struct mail_join of_a = { .in = back, .out = there, .peer = world_post(b) };
	const struct mail_join of_b = { .in = there, .out = back, .peer = world_post(a) };

	W.rings[a][b] = there;
	W.rings[b][a] = back;
	post_join(world_post(a), b, &of_a);
	post_join(world_post(b), a, &of_b);
}

static void *world_thread(void *arg)
{
	gateway_run(arg);
	return NULL;
}

/* A router greets, and is answered. */
static void world_link_accept(unsigned int number, unsigned int i)
{
	struct world_backend *b = &W.backends[number];
	struct peer_frame f;

	b->links[i] = peer_accept(b->listener);
	f = peer_expect(b->links[i], XSR_FRAME_HELLO, 0, 0);
	assert_int_equal(f.payload[0], XSR_ROLE_ROUTER);
	peer_ack(b->links[i], 0, 0, XSR_HELLO_OK);
}

/* Counters are read while they are counted: what is read is of then, or of a moment ago. */
__attribute__((no_sanitize("thread"))) static uint64_t world_stat_of(unsigned int worker, enum xsr_stream_stat stat)
{
	return __atomic_load_n(&W.maps->streams[xsr_stream_index(FAKE_SERVICE, worker)].n[stat], __ATOMIC_RELAXED);
}

static uint64_t world_stat(enum xsr_stream_stat stat)
{
	uint64_t n = 0;
	unsigned int i;

	for (i = 0; i < W.n_workers; i++)
		n += world_stat_of(i, stat);
	return n;
}

/* It becomes n. */
static void world_wait_stat(enum xsr_stream_stat stat, uint64_t n)
{
	unsigned int i;

	for (i = 0; i < PEER_WAIT_S * 1000 && world_stat(stat) != n; i++)
		usleep(1000);
	if (world_stat(stat) != n)
		print_error("counter %d\n", stat);
	assert_int_equal(world_stat(stat), n);
}

/* Makes the gateways and starts them; the links are up when it returns, if backends stand behind a service of frames. */
static void world_start(void)
{
	char why[XSR_WHY_LEN] = "";
	unsigned int i, j;

	for (i = 1; i <= W.n_backends; i++)
		world_backend_make(i);
	assert_int_equal(registry_open(&W.registry, W.maps, W.n_workers * W.params.sessions_max), 0);
	W.params.registry = W.registry;
	for (i = 0; i < W.n_workers; i++) {
		W.params.worker = i;
		assert_int_equal(gateway_open(&W.at[i], &W.params, why), 0);
		W.rooms[i] = chunk_pool_room(W.at[i]->shared.pool);
		world_join(i, POST_CONTROL);
		for (j = 0; j < i; j++)
			world_join(i, j);
	}
	for (i = 0; i < W.n_workers; i++)
		assert_int_equal(pthread_create(&W.threads[i], NULL, world_thread, W.at[i]), 0);
	W.is_running = true;
	if (world_service()->mode != XSR_STREAM_EPOLL)
		return;
	for (i = 1; i <= W.n_backends; i++)
		for (j = 0; j < W.n_workers; j++)
			world_link_accept(i, j);
	world_wait_stat(XSR_STREAM_STAT_BACKENDS, W.n_backends * W.n_workers);
}

static void world_stop(void)
{
	struct timespec until;
	unsigned int i;

	if (!W.is_running)
		return;
	for (i = 0; i < W.n_workers; i++)
		gateway_stop(W.at[i]);
	clock_gettime(CLOCK_MONOTONIC, &until);
	until.tv_sec += PEER_WAIT_S;
	for (i = 0; i < W.n_workers; i++)
		assert_int_equal(pthread_clockjoin_np(W.threads[i], NULL, CLOCK_MONOTONIC, &until), 0);
	for (i = 0; i < W.n_echoes; i++)
		pthread_join(W.echoes[i], NULL);
	for (i = 0; i < W.n_workers; i++)
		takeovers_close(W.at[i]);
	W.is_running = false;
}

static uint64_t world_closed(void)
{
	uint64_t n = 0;
	int stat;

	for (stat = XSR_STREAM_STAT_CLOSED_BY_PEER; stat <= XSR_STREAM_STAT_CLOSED_STOP; stat++)
		n += world_stat(stat);
	return n;
}

static void fd_close(int *fd)
{
	if (*fd >= 0)
		close(*fd);
	*fd = -1;
}

static void backends_close(void)
{
	unsigned int i, j;

	for (i = 1; i <= W.n_backends; i++) {
		fd_close(&W.backends[i].listener);
		fd_close(&W.backends[i].holder);
		for (j = 0; j < WORLD_WORKERS; j++)
			fd_close(&W.backends[i].links[j]);
	}
}

/* The test has closed its clients. All memory is back, each connection was counted once, no descriptor is left. */
static int world_close(void **state)
{
	bool whole = true;
	unsigned int i, j;

	(void)state;
	world_stop();
	whole = world_closed() == world_stat(XSR_STREAM_STAT_ACCEPTED) && !world_stat(XSR_STREAM_STAT_CONNECTIONS) &&
		!world_stat(XSR_STREAM_STAT_SESSIONS) && !world_stat(XSR_STREAM_STAT_BACKENDS);
	if (!whole)
		print_error("counters: accepted %llu closed %llu connections %llu sessions %llu backends %llu\n",
			    (unsigned long long)world_stat(XSR_STREAM_STAT_ACCEPTED), (unsigned long long)world_closed(),
			    (unsigned long long)world_stat(XSR_STREAM_STAT_CONNECTIONS),
			    (unsigned long long)world_stat(XSR_STREAM_STAT_SESSIONS),
			    (unsigned long long)world_stat(XSR_STREAM_STAT_BACKENDS));
	for (i = 0; i < W.n_workers; i++) {
		if (chunk_pool_room(W.at[i]->shared.pool) != W.rooms[i] || W.at[i]->sessions->n) {
			print_error("worker %u: %zu bytes of %zu are free, %u sessions are left\n", i,
				    chunk_pool_room(W.at[i]->shared.pool), W.rooms[i], W.at[i]->sessions->n);
			whole = false;
		}
		gateway_close(W.at[i]);
	}
	for (i = 0; i < POST_MAX; i++)
		for (j = 0; j < POST_MAX; j++)
			ring_close(W.rings[i][j]);
	post_close(&W.control);
	registry_close(W.registry);
	backends_close();
	close(W.holder);
	fake_maps_close(W.maps);
	if (world_fds() != W.n_fds) {
		print_error("%u descriptors, expected %u\n", world_fds(), W.n_fds);
		whole = false;
	}
	return whole ? 0 : -1;
}

/* --- what tests do --- */

static inline int world_link(unsigned int number)
{
	return W.backends[number].links[0];
}

static int client_open(void)
{
	uint64_t n = world_stat(XSR_STREAM_STAT_ACCEPTED);
	int fd = peer_connect(W.port);

	world_wait_stat(XSR_STREAM_STAT_ACCEPTED, n + 1);
	return fd;
}

/* At this worker; the others are tried until the kernel chooses it. */
static inline int client_open_at(unsigned int worker)
{
	uint64_t n;
	int fd;

	for (;;) {
		n = world_stat_of(worker, XSR_STREAM_STAT_ACCEPTED);
		fd = client_open();
		if (world_stat_of(worker, XSR_STREAM_STAT_ACCEPTED) != n)
			return fd;
		close(fd);
	}
}

/* HELLO, by way of the backend's link, which has served up to `served`. */
static inline void session_open(int client, int link, uint64_t id, uint64_t has, uint64_t served)
{
	struct peer_frame f;

	peer_hello(client, id, has);
	f = peer_expect(link, XSR_FRAME_HELLO, id, has);
	assert_int_equal(f.payload[0], XSR_ROLE_CLIENT);
	peer_ack(link, id, served, XSR_HELLO_OK);
	peer_expect_ack(client, id, served, XSR_HELLO_OK);
}

/* A request goes there and its reply comes back. */
static inline void exchange_one(int client, int link, uint64_t id, uint64_t seq, size_t len)
{
	peer_request(client, id, seq, len);
	assert_int_equal(peer_expect(link, XSR_FRAME_ECHO_REQ, id, seq).len, len);
	peer_reply(link, id, seq, len);
	assert_int_equal(peer_expect(client, XSR_FRAME_ECHO_REP, id, seq).len, len);
}

/* --- what several tests need --- */

static inline uint64_t now_ms(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return ts.tv_sec * 1000 + ts.tv_nsec / 1000000;
}

static inline struct peer_frame peer_expect_type(int fd, uint8_t type)
{
	struct peer_frame f;

	assert_true(peer_recv(fd, &f));
	assert_int_equal(f.header.type, type);
	return f;
}

static inline void barrier_answer(int link)
{
	struct peer_frame f = peer_expect_type(link, XSR_FRAME_HB_PING);

	peer_send(link, XSR_FRAME_HB_PONG, XSR_FRAME_REPLY, 0, be64toh(f.header.seq), NULL, 0);
}

/* By which of these descriptors something comes first. */
static inline unsigned int who_says(const int *fds, unsigned int n)
{
	struct pollfd polls[4];
	unsigned int i;

	for (i = 0; i < n; i++)
		polls[i] = (struct pollfd){ .fd = fds[i], .events = POLLIN };
	assert_true(poll(polls, n, PEER_WAIT_S * 1000) > 0);
	for (i = 0; !polls[i].revents; i++)
		;
	return i;
}

/* Which of the first backend's links is which worker's, nobody knows. */
static inline int first_of_links(struct peer_frame *f)
{
	int link = W.backends[1].links[who_says(W.backends[1].links, W.n_workers)];

	assert_true(peer_recv(link, f));
	return link;
}

/* A backend in threads: answers all, and remembers the last request of each session. */
static inline void *echo_main(void *arg)
{
	int fd = (intptr_t)arg;
	uint8_t *bytes = malloc(4 + (1 << 20));
	struct xsr_frame *h = (struct xsr_frame *)bytes;

	for (;;) {
		uint64_t id;
		size_t len;

		if (recv(fd, h, sizeof(*h), MSG_WAITALL) != sizeof(*h))
			break;
		len = be32toh(h->len) - XSR_FRAME_LEN_MIN;
		if (len && recv(fd, h + 1, len, MSG_WAITALL) != (ssize_t)len)
			break;
		id = be64toh(h->id);
		if (h->type == XSR_FRAME_HELLO) {
			peer_ack(fd, id, W.served[id % WORLD_SERVED], XSR_HELLO_OK);
		} else if (h->type == XSR_FRAME_HB_PING) {
			peer_send(fd, XSR_FRAME_HB_PONG, XSR_FRAME_REPLY, id, be64toh(h->seq), NULL, 0);
		} else if (h->type == XSR_FRAME_ECHO_REQ) {
			W.served[id % WORLD_SERVED] = be64toh(h->seq);
			h->type = XSR_FRAME_ECHO_REP;
			if (send(fd, bytes, sizeof(*h) + len, MSG_NOSIGNAL) < 0)
				break;
		}
	}
	free(bytes);
	return NULL;
}

/* From here on the links answer by themselves. They end with the gateway, or when the other side closes them. */
static inline void echo_start(void)
{
	const struct timeval forever = {};
	unsigned int i, j;

	for (i = 1; i <= W.n_backends; i++)
		for (j = 0; j < W.n_workers; j++) {
			setsockopt(W.backends[i].links[j], SOL_SOCKET, SO_RCVTIMEO, &forever, sizeof(forever));
			assert_int_equal(pthread_create(&W.echoes[W.n_echoes++], NULL, echo_main,
							(void *)(intptr_t)W.backends[i].links[j]), 0);
		}
}

#endif /* XSR_TEST_GATEWAY_WORLD_H */
