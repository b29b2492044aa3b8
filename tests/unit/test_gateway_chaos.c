/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * gateway.h, at random: clients that greet, ask, send halves of frames, stop reading, close and reset; sessions that roam over two
 * workers; backends that answer, stand still, break the protocol, go and come; moves, handovers. Nobody dies of it, each connection is counted
 * once, all memory and descriptors come back, and who behaves afterwards is served. XSR_TEST_SEED in the environment repeats a run.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <fcntl.h>
#include <cmocka.h>

#include "gateway_world.h"

#define CLIENTS 24
#define IDS 12
#define STEPS 6000
#define LINKS 8 /* of a backend at a time */

struct chaos_backend {
	struct pollfd polls[1 + LINKS]; /* the listener first */
	atomic_bool *sane;
	atomic_bool *stop;
	uint64_t seed;
};

static void link_drop(struct pollfd *p)
{
	close(p->fd);
	p->fd = -1;
}

/* A frame that came is answered, or not. False: the connection is to end. */
static bool frame_answer(int fd, struct xsr_frame *h, size_t len, bool sane, struct chance *chance)
{
	uint32_t dice = sane ? 100 : chance_below(chance, 300);

	if (dice == 0)
		return false;
	if (dice == 1)
		send(fd, "\0\0\0\x05garbage", 11, MSG_NOSIGNAL);
	if (dice == 2)
		usleep(20000);
	if (dice < 10 && h->type == XSR_FRAME_ECHO_REQ)
		return true; /* never answered */
	if (h->type == XSR_FRAME_HELLO) {
		peer_ack(fd, be64toh(h->id), chance_below(chance, 3) ? be64toh(h->seq) : 0,
			 dice < 20 && h->id ? XSR_HELLO_BUSY : XSR_HELLO_OK);
		return true;
	}
	if (h->type == XSR_FRAME_BYE)
		return true;
	h->type = h->type == XSR_FRAME_HB_PING ? XSR_FRAME_HB_PONG : XSR_FRAME_ECHO_REP;
	return send(fd, h, sizeof(*h) + len, MSG_NOSIGNAL) == (ssize_t)(sizeof(*h) + len);
}

/* Blocks in the middle of a frame: gateways send whole ones sooner or later. */
static bool link_serve(int fd, bool sane, struct chance *chance)
{
	static _Thread_local uint8_t bytes[sizeof(struct xsr_frame) + (64 << 10)];
	struct xsr_frame *h = (struct xsr_frame *)bytes;
	size_t len;

	if (recv(fd, h, sizeof(*h), MSG_WAITALL) != sizeof(*h))
		return false;
	len = be32toh(h->len) - XSR_FRAME_LEN_MIN;
	if (len > 64 << 10 || (len && recv(fd, h + 1, len, MSG_WAITALL) != (ssize_t)len))
		return false;
	return frame_answer(fd, h, len, sane, chance);
}

static void *backend_main(void *arg)
{
	struct chaos_backend *b = arg;
	struct chance chance = { .state = b->seed };
	const struct timeval wait = { .tv_usec = 300000 };
	int i, fd;

	while (!atomic_load(b->stop)) {
		if (poll(b->polls, 1 + LINKS, 20) <= 0)
			continue;
		for (i = 1; i <= LINKS; i++)
			if (b->polls[i].fd >= 0 && b->polls[i].revents && !link_serve(b->polls[i].fd, atomic_load(b->sane), &chance))
				link_drop(&b->polls[i]);
		for (i = 1; i <= LINKS && b->polls[0].revents; i++)
			if (b->polls[i].fd < 0) {
				fd = accept4(b->polls[0].fd, NULL, NULL, SOCK_CLOEXEC);
				setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &wait, sizeof(wait));
				setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &wait, sizeof(wait));
				b->polls[i].fd = fd;
				break;
			}
	}
	for (i = 1; i <= LINKS; i++)
		if (b->polls[i].fd >= 0)
			link_drop(&b->polls[i]);
	return NULL;
}

/* --- clients --- */

static int chaos_connect(struct chance *chance)
{
	int fd = peer_connect_small(W.port, chance_of(chance, 30) ? 4096 : 0);

	fcntl(fd, F_SETFL, O_NONBLOCK);
	return fd;
}

static void some_send(int fd, struct chance *chance, const void *bytes, size_t len)
{
	if (chance_of(chance, 3))
		len = chance_below(chance, len); /* and what comes then is garbage */
	if (send(fd, bytes, len, MSG_NOSIGNAL) < 0)
		return; /* whatever */
}

static void frame_send(int fd, struct chance *chance, uint8_t type, uint64_t id, uint64_t seq, size_t len)
{
	static uint8_t bytes[sizeof(struct xsr_frame) + 40000];
	const struct xsr_frame header = {
		.len = htobe32(XSR_FRAME_LEN_MIN + len),
		.version = XSR_FRAME_VERSION,
		.type = type,
		.id = htobe64(id),
		.seq = htobe64(seq),
	};
	const struct xsr_frame_hello hello = { .role = XSR_ROLE_CLIENT, .id = htobe64(id) };

	memcpy(bytes, &header, sizeof(header));
	if (type == XSR_FRAME_HELLO)
		memcpy(bytes + sizeof(header), &hello, sizeof(hello));
	some_send(fd, chance, bytes, sizeof(header) + len);
}

static void client_step(int *fd, struct chance *chance)
{
	static uint8_t into[65536];
	uint64_t id = chance_below(chance, IDS);

	if (*fd < 0) {
		*fd = chaos_connect(chance);
		return;
	}
	switch (chance_below(chance, 20)) {
	case 0:
		if (chance_of(chance, 50))
			close(*fd);
		else
			peer_reset(*fd);
		*fd = -1;
		break;
	case 1:
		shutdown(*fd, SHUT_WR);
		break;
	case 2 ... 5:
		frame_send(*fd, chance, XSR_FRAME_HELLO, id, chance_below(chance, 50), sizeof(struct xsr_frame_hello));
		break;
	case 6:
		frame_send(*fd, chance, XSR_FRAME_BYE, id, 0, 2);
		break;
	case 7 ... 15:
		frame_send(*fd, chance, XSR_FRAME_ECHO_REQ, id, chance_below(chance, 100),
			   chance_of(chance, 20) ? chance_below(chance, 40000) : chance_below(chance, 200));
		break;
	default:
		if (recv(*fd, into, sizeof(into), 0) == 0 && chance_of(chance, 30)) {
			close(*fd);
			*fd = -1;
		}
	}
}

/* To the other worker, with all that the connection has. */
static void handover_ask(struct chance *chance)
{
	unsigned int from = chance_below(chance, W.n_workers);
	const struct mail mail = {
		.type = GATEWAY_MAIL_HAND,
		.service = FAKE_SERVICE,
		.id = chance_below(chance, IDS),
		.count = (from + 1) % W.n_workers,
	};

	post_mail(&W.control, from, &mail);
}

/* One asks for a move, and later says what came of it, or not. */
static void control_step(struct chance *chance)
{
	struct mail mail = {
		.type = GATEWAY_MAIL_MOVE,
		.service = FAKE_SERVICE,
		.id = chance_below(chance, IDS),
		.count = 1 + chance_below(chance, 3),
		.token = chance_next(chance),
	};
	struct mail *answer;
	unsigned int i;

	post_mail(&W.control, chance_below(chance, W.n_workers), &mail);
	for (i = 0; i < W.n_workers; i++)
		while ((answer = post_next(&W.control, i))) {
			mail = *answer;
			post_done(&W.control, i);
			if (mail.type == GATEWAY_MAIL_HANDED)
				continue;
			mail.type = GATEWAY_MAIL_GO;
			mail.result = chance_of(chance, 80) ? ERRAND_DONE : ERRAND_REFUSED;
			if (chance_of(chance, 95))
				post_mail(&W.control, i, &mail);
		}
}

static void good_client_is_served(void)
{
	const uint64_t id = 1000;
	struct peer_frame f;
	unsigned int i;
	int c;

	for (i = 0; i < 100; i++) { /* its backend may be on its way back */
		c = peer_connect(W.port);
		peer_hello(c, id, 0);
		assert_true(peer_recv_data(c, &f));
		assert_int_equal(f.header.type, XSR_FRAME_HELLO_ACK);
		if (f.payload[0] == XSR_HELLO_OK)
			break;
		close(c);
		usleep(50000);
	}
	for (i = 1; i <= 20; i++) {
		peer_request(c, id, i, 1000);
		peer_expect(c, XSR_FRAME_ECHO_REP, id, i);
	}
	close(c);
}

static void chaos_run(uint64_t seed)
{
	struct chance chance = { .state = seed };
	static atomic_bool sane, stop; /* static: threads use them also when an assertion has failed */
	static struct chaos_backend backends[WORLD_BACKENDS];
	pthread_t threads[WORLD_BACKENDS];
	int clients[CLIENTS], i, k;

	for (i = 0; i < WORLD_BACKENDS; i++) {
		backends[i] = (struct chaos_backend){ .sane = &sane, .stop = &stop, .seed = chance_next(&chance) };
		backends[i].polls[0] = (struct pollfd){ .fd = W.backends[i + 1].listener, .events = POLLIN };
		for (k = 1; k <= LINKS; k++)
			backends[i].polls[k] = (struct pollfd){ .fd = k <= WORLD_WORKERS ? W.backends[i + 1].links[k - 1] : -1, .events = POLLIN };
		for (k = 0; k < WORLD_WORKERS; k++)
			W.backends[i + 1].links[k] = -1;
		assert_int_equal(pthread_create(&threads[i], NULL, backend_main, &backends[i]), 0);
	}
	for (i = 0; i < CLIENTS; i++)
		clients[i] = -1;
	for (i = 0; i < STEPS; i++) {
		client_step(&clients[chance_below(&chance, CLIENTS)], &chance);
		if (chance_of(&chance, 3))
			control_step(&chance);
		if (chance_of(&chance, 5))
			handover_ask(&chance);
		if (chance_of(&chance, 10))
			usleep(chance_below(&chance, 3000));
	}
	for (i = 0; i < CLIENTS; i++)
		if (clients[i] >= 0)
			close(clients[i]);
	atomic_store(&sane, true);
	good_client_is_served();
	world_wait_stat(XSR_STREAM_STAT_CONNECTIONS, 0);
	world_stop();
	assert_true(world_stat(XSR_STREAM_STAT_TAKEN_OVER) > 0);
	atomic_store(&stop, true);
	for (i = 0; i < WORLD_BACKENDS; i++)
		pthread_join(threads[i], NULL);
}

static void nothing_survives_but_the_gateway(void **state)
{
	const char *text = getenv("XSR_TEST_SEED");
	struct timespec ts;
	uint64_t seed;

	(void)state;
	clock_gettime(CLOCK_REALTIME, &ts);
	seed = text ? strtoull(text, NULL, 10) : ts.tv_sec * 1000000000ULL + ts.tv_nsec;
	print_message("XSR_TEST_SEED=%llu\n", (unsigned long long)seed);
	W.n_workers = WORLD_WORKERS;
	W.n_backends = WORLD_BACKENDS;
	W.params.deadline_ms = 150;
	W.params.heartbeat_ms = 400;
	W.params.reconnect_max_ms = 200;
	W.params.memory_max = 1 << 20;
	W.params.options.sndbuf = 32 << 10;
	W.params.connections_max = 20;
	W.params.sessions_max = 10;
	world_start();
	chaos_run(seed);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(nothing_survives_but_the_gateway, world_open, world_close),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
