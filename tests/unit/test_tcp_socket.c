/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* tcp_socket.h, and tcp.h on this host's own TCP: listening, connecting, options, and how connections end. */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <time.h>
#include <cmocka.h>

#include "stream.h"
#include "tcp_socket.h"

#define WAIT_MS 5000

static const struct tcp_options PLAIN = {};
static struct tcp_shared SHARED;

static int setup(void **state)
{
	(void)state;
	return tcp_shared_open(&SHARED, STREAM_MEMORY);
}

static int teardown(void **state)
{
	(void)state;
	tcp_shared_close(&SHARED);
	return 0;
}

union address {
	struct sockaddr any;
	struct sockaddr_in in;
	struct sockaddr_in6 in6;
};

static union address address4(uint16_t port)
{
	return (union address){
		.in = { .sin_family = AF_INET, .sin_port = htons(port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK) },
	};
}

static union address address6(struct in6_addr addr, uint16_t port)
{
	return (union address){ .in6 = { .sin6_family = AF_INET6, .sin6_port = htons(port), .sin6_addr = addr } };
}

static uint16_t port_of(int fd)
{
	union address addr;
	socklen_t len = sizeof(addr);

	assert_int_equal(getsockname(fd, &addr.any, &len), 0);
	return ntohs(addr.in.sin_port); /* the same place in both families */
}

static bool wait_for(int fd, short events)
{
	struct pollfd p = { .fd = fd, .events = events };

	return poll(&p, 1, WAIT_MS) == 1 && p.revents & events;
}

static int option_of(int fd, int level, int option)
{
	int value = -1;
	socklen_t len = sizeof(value);

	assert_int_equal(getsockopt(fd, level, option, &value, &len), 0);
	return value;
}

static int listen_any(const struct tcp_options *options, uint16_t *port)
{
	union address addr = address4(0);
	int fd = tcp_listen(&addr.any, options, 16);

	assert_true(fd >= 0);
	*port = port_of(fd);
	return fd;
}

/* Both ends of a connection over the loopback. */
struct wire {
	int listener;
	struct tcp *client, *server;
};

static struct wire wire_open_at(union address addr, const struct tcp_options *options)
{
	struct wire w = { .listener = tcp_listen(&addr.any, options, 16) };
	int fd;

	assert_true(w.listener >= 0);
	addr.in.sin_port = htons(port_of(w.listener));
	fd = tcp_connect(&addr.any, options);
	assert_true(fd >= 0);
	assert_int_equal(tcp_open(&w.client, &SHARED, fd, TCP_FRAME_MAX, 8 << 20), 0);
	assert_true(wait_for(fd, POLLOUT));
	assert_int_equal(tcp_connected(fd), 0);
	if (!options->fast_open) {
		assert_true(wait_for(w.listener, POLLIN));
		fd = tcp_accept(w.listener, options);
		assert_true(fd >= 0);
		assert_int_equal(tcp_open(&w.server, &SHARED, fd, TCP_FRAME_MAX, 8 << 20), 0);
	}
	return w;
}

static struct wire wire_open(const struct tcp_options *options)
{
	return wire_open_at(address4(0), options);
}

static void wire_close(struct wire *w)
{
	tcp_close(w->client);
	tcp_close(w->server);
	close(w->listener);
}

static int read_wait(struct tcp *t)
{
	int ret = tcp_read(t);

	if (ret)
		return ret;
	assert_true(wait_for(t->fd, POLLIN));
	return tcp_read(t);
}

/* --- how they are made --- */

static void nothing_to_accept_is_said(void **state)
{
	uint16_t port;
	int fd = listen_any(&PLAIN, &port);

	(void)state;
	assert_int_equal(tcp_accept(fd, &PLAIN), -EAGAIN);
	close(fd);
}

static void two_workers_listen_on_one_port(void **state)
{
	uint16_t port;
	int first = listen_any(&PLAIN, &port), second;
	union address addr = address4(port);

	(void)state;
	second = tcp_listen(&addr.any, &PLAIN, 16);
	assert_true(second >= 0);
	close(first);
	close(second);
}

static void port_of_others_and_no_address_are_errors(void **state)
{
	struct sockaddr none = { .sa_family = AF_UNIX };
	union address addr = address4(0);
	socklen_t len = sizeof(addr.in);
	int other = socket(AF_INET, SOCK_STREAM, 0);

	(void)state;
	assert_int_equal(tcp_listen(&none, &PLAIN, 16), -EAFNOSUPPORT);
	assert_int_equal(tcp_connect(&none, &PLAIN), -EAFNOSUPPORT);
	assert_int_equal(bind(other, &addr.any, len), 0);
	assert_int_equal(listen(other, 1), 0);
	addr = address4(port_of(other));
	assert_int_equal(tcp_listen(&addr.any, &PLAIN, 16), -EADDRINUSE);
	close(other);
}

static void ipv6_any_is_ipv4_too(void **state)
{
	union address addr = address6(in6addr_any, 0);
	int listener = tcp_listen(&addr.any, &PLAIN, 16), client, server;

	(void)state;
	if (listener == -EAFNOSUPPORT)
		skip();
	assert_true(listener >= 0);
	addr = address4(port_of(listener));
	client = tcp_connect(&addr.any, &PLAIN);
	assert_true(client >= 0);
	assert_true(wait_for(listener, POLLIN));
	server = tcp_accept(listener, &PLAIN);
	assert_true(server >= 0);
	close(client);
	close(server);
	close(listener);
}

static void sockets_never_wait_and_send_at_once(void **state)
{
	struct wire w = wire_open(&PLAIN);

	(void)state;
	assert_true(fcntl(w.listener, F_GETFL) & O_NONBLOCK);
	assert_true(fcntl(w.client->fd, F_GETFL) & O_NONBLOCK);
	assert_true(fcntl(w.server->fd, F_GETFL) & O_NONBLOCK);
	assert_true(fcntl(w.server->fd, F_GETFD) & FD_CLOEXEC);
	assert_int_equal(option_of(w.client->fd, IPPROTO_TCP, TCP_NODELAY), 1);
	assert_int_equal(option_of(w.server->fd, IPPROTO_TCP, TCP_NODELAY), 1);
	wire_close(&w);
}

static void buffers_are_as_large_as_asked(void **state)
{
	const struct tcp_options options = { .sndbuf = 40000, .rcvbuf = 50000 };
	struct wire w = wire_open(&options);
	const int fds[] = { w.listener, w.client->fd, w.server->fd };
	unsigned int i;

	(void)state;
	for (i = 0; i < 3; i++) {
		assert_int_equal(option_of(fds[i], SOL_SOCKET, SO_SNDBUF), 80000); /* the kernel counts its own share too */
		assert_int_equal(option_of(fds[i], SOL_SOCKET, SO_RCVBUF), 100000);
	}
	wire_close(&w);
}

static void refused_connection_says_so(void **state)
{
	union address addr;
	uint16_t port;
	int fd = listen_any(&PLAIN, &port), ret;

	(void)state;
	close(fd);
	addr = address4(port);
	fd = tcp_connect(&addr.any, &PLAIN);
	if (fd >= 0) {
		assert_true(wait_for(fd, POLLOUT));
		ret = tcp_connected(fd);
		close(fd);
	} else {
		ret = fd;
	}
	assert_int_equal(ret, -ECONNREFUSED);
}

/* Its queue is full: the kernel answers no more. */
static void connection_under_way_says_so(void **state)
{
	union address addr = address4(0);
	int listener = tcp_listen(&addr.any, &PLAIN, 0), fds[8], i, n_under_way = 0;

	(void)state;
	addr = address4(port_of(listener));
	for (i = 0; i < 8; i++) {
		fds[i] = tcp_connect(&addr.any, &PLAIN);
		assert_true(fds[i] >= 0);
	}
	for (i = 0; i < 8; i++)
		n_under_way += tcp_connected(fds[i]) == -EINPROGRESS;
	assert_true(n_under_way > 0 && n_under_way < 8);
	for (i = 0; i < 8; i++)
		close(fds[i]);
	close(listener);
}

static void nothing_is_written_before_the_connection_is_there(void **state)
{
	union address addr = address4(0);
	int listener = tcp_listen(&addr.any, &PLAIN, 0), i;
	struct tcp *t[8];

	(void)state;
	addr = address4(port_of(listener));
	for (i = 0; i < 8; i++) {
		assert_int_equal(tcp_open(&t[i], &SHARED, tcp_connect(&addr.any, &PLAIN), TCP_FRAME_MAX, 100), 0);
		assert_int_equal(tcp_send(t[i], "1234", 4), 0);
	}
	assert_int_equal(tcp_flush(t[0]), 1);
	assert_int_equal(tcp_flush(t[7]), 0);
	assert_int_equal(tcp_read(t[7]), 0);
	for (i = 0; i < 8; i++)
		tcp_close(t[i]);
	close(listener);
}

/* Without a cookie, and with one, which only a second connection to an address has: this one was hardly ever used before. */
static void fast_open_brings_the_first_frame(void **state)
{
	const struct tcp_options options = { .fast_open = 16 };
	union address addr = address4(0);
	struct stream s = {};
	int i;

	(void)state;
	stream_add(&s, 100);
	addr.in.sin_addr.s_addr = htonl(INADDR_LOOPBACK + (uint32_t)time(NULL) % (1 << 24));
	for (i = 0; i < 3; i++) {
		struct wire w = wire_open_at(addr, &options);
		struct stream_end end = { .peer = -1 };

		assert_int_equal(tcp_send(w.client, s.bytes, s.len), 0);
		while (!tcp_flush(w.client))
			assert_true(wait_for(w.client->fd, POLLOUT));
		assert_int_equal(tcp_unsent(w.client), 0);
		assert_true(wait_for(w.listener, POLLIN));
		assert_int_equal(tcp_open(&w.server, &SHARED, tcp_accept(w.listener, &options), TCP_FRAME_MAX, 100), 0);
		assert_int_equal(read_wait(w.server), s.len);
		end.t = w.server;
		assert_int_equal(stream_take(&end, &s, 2), 1);
		wire_close(&w);
	}
	stream_free(&s);
}

/* --- how they carry, and end --- */

static void frames_go_both_ways(void **state)
{
	struct wire w = wire_open(&PLAIN);
	struct stream_end ends[2] = { { w.client, -1, 0 }, { w.server, -1, 0 } };
	struct chance chance = { .state = 5 };
	struct stream s = {};
	int i;

	(void)state;
	for (i = 0; i < 60; i++)
		stream_add(&s, chance_from(&chance, 24, i % 10 ? 3000 : TCP_FRAME_MAX / 2));
	assert_int_equal(tcp_send(w.client, s.bytes, s.len), 0);
	assert_int_equal(tcp_send(w.server, s.bytes, s.len), 0);
	while (ends[0].at < s.len || ends[1].at < s.len) {
		for (i = 0; i < 2; i++) {
			assert_true(tcp_flush(ends[i].t) >= 0);
			assert_true(tcp_read(ends[i].t) >= 0);
			stream_take(&ends[i], &s, 10);
			tcp_keep(ends[i].t);
		}
	}
	wire_close(&w);
	stream_free(&s);
}

static void fin_is_seen_and_the_other_way_stays_open(void **state)
{
	struct wire w = wire_open(&PLAIN);
	struct stream_end end = { w.client, -1, 0 };
	struct stream s = {};

	(void)state;
	stream_add(&s, 100);
	shutdown(w.client->fd, SHUT_WR);
	assert_true(read_wait(w.server) < 0);
	assert_int_equal(w.server->end, TCP_END_FIN);
	assert_int_equal(tcp_send(w.server, s.bytes, s.len), 0);
	assert_int_equal(tcp_flush(w.server), 1);
	assert_int_equal(read_wait(w.client), s.len);
	assert_int_equal(stream_take(&end, &s, 2), 1);
	wire_close(&w);
	stream_free(&s);
}

static void reset(struct tcp **t)
{
	const struct linger none = { .l_onoff = 1 };

	assert_int_equal(setsockopt((*t)->fd, SOL_SOCKET, SO_LINGER, &none, sizeof(none)), 0);
	tcp_close(*t);
	*t = NULL;
}

/* After len bytes of two frames: those that are whole come before it. */
static void reset_is_seen_after_what_came_before(void **state)
{
	struct stream s = {};
	size_t len;

	(void)state;
	stream_add(&s, 24);
	stream_add(&s, 26);
	for (len = 0; len <= s.len; len++) {
		struct wire w = wire_open(&PLAIN);
		struct stream_end end = { w.server, -1, 0 };
		int ret;

		assert_int_equal(tcp_send(w.client, s.bytes, len), 0);
		assert_int_equal(tcp_flush(w.client), 1);
		reset(&w.client);
		while ((ret = read_wait(w.server)) > 0)
			stream_take(&end, &s, 2);
		assert_true(ret < 0);
		assert_int_equal(w.server->end, TCP_END_RESET);
		assert_int_equal(w.server->error, ECONNRESET);
		assert_int_equal(end.at, stream_whole(&s, len));
		assert_int_equal(tcp_read(w.server), ret);
		wire_close(&w);
	}
	stream_free(&s);
}

static void writing_to_a_reset_connection_fails(void **state)
{
	struct wire w = wire_open(&PLAIN);

	(void)state;
	reset(&w.server);
	assert_true(wait_for(w.client->fd, POLLIN));
	assert_int_equal(tcp_send(w.client, "1234", 4), 0);
	assert_int_equal(tcp_flush(w.client), -ECONNRESET);
	assert_int_equal(tcp_flush(w.client), -EPIPE);
	wire_close(&w);
}

#define test(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		test(nothing_to_accept_is_said),
		test(two_workers_listen_on_one_port),
		test(port_of_others_and_no_address_are_errors),
		test(ipv6_any_is_ipv4_too),
		test(sockets_never_wait_and_send_at_once),
		test(buffers_are_as_large_as_asked),
		test(refused_connection_says_so),
		test(connection_under_way_says_so),
		test(nothing_is_written_before_the_connection_is_there),
		test(fast_open_brings_the_first_frame),
		test(frames_go_both_ways),
		test(fin_is_seen_and_the_other_way_stays_open),
		test(reset_is_seen_after_what_came_before),
		test(writing_to_a_reset_connection_fails),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
