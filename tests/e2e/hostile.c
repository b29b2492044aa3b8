/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * hostile ACT ADDR PORT [N [LEN]]: a client of a TCP service, or a backend, that does not behave.
 *
 *   garbage    frames that are none, each on a connection of its own, until the other side ends it
 *   reset      a handshake and a request, cut after each byte by a reset
 *   finish     the same, cut by an orderly end
 *   crowd      N connections that say nothing; says "open" and how many there are, until stdin ends
 *   last       N connections that greet, ask with a frame of LEN bytes and end their way, all at once; each gets its reply
 *   drip       N connections, half of them greeted, that send a byte of a frame each 50 ms, until the other side ends them
 *   trickle    the same, for LEN ms, if they are not ended
 *   mute       N greeted connections that ask with frames of LEN bytes and never read; says "open"; until stdin ends
 *   hear       N connections that say nothing and get a few bytes
 *   backend-X  a backend at that port, until stdin ends, that X: silent accepts and never answers; garbage answers what is no frame;
 *              reset resets; half ends in the middle of a frame; hole greets and never answers a request; short says a
 *              few bytes and ends
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <endian.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#define HEADER 24
#define HELLO_LEN (HEADER + 12)
#define ACK_LEN (HEADER + 16)
#define PATIENCE_S 10

enum { HELLO = 1, HELLO_ACK, HB_PING, HB_PONG, BYE, ECHO_REQ = 0x10 };

static struct sockaddr_in address;

static void die(const char *what)
{
	fprintf(stderr, "hostile: %s: %s\n", what, strerror(errno));
	exit(1);
}

static void put32(uint8_t *to, uint32_t value)
{
	value = htobe32(value);
	memcpy(to, &value, sizeof(value));
}

static void put64(uint8_t *to, uint64_t value)
{
	value = htobe64(value);
	memcpy(to, &value, sizeof(value));
}

static void header(uint8_t *to, uint32_t len, uint8_t type, uint64_t id, uint64_t seq)
{
	memset(to, 0, HEADER);
	put32(to, len);
	to[4] = 1;
	to[5] = type;
	put64(to + 8, id);
	put64(to + 16, seq);
}

static void hello(uint8_t to[HELLO_LEN], uint8_t role, uint64_t id)
{
	header(to, HELLO_LEN - 4, HELLO, id, 0);
	memset(to + HEADER, 0, 12);
	to[HEADER] = role;
	put64(to + HEADER + 4, id);
}

/* As an exchange wants it, behind a stamp. */
static void request(uint8_t *to, uint64_t id, uint64_t seq, size_t len)
{
	header(to, HEADER - 4 + len, ECHO_REQ, id, seq);
	memset(to + HEADER, 0, 8);
	memset(to + HEADER + 8, seq, len - 8);
}

/* IDs of one run and of another are not the same. */
static uint64_t id_of(unsigned int i)
{
	return ((uint64_t)getpid() << 32) + i + 1;
}

/* --- connections --- */

static int open_one(int rcvbuf)
{
	const int sndbuf = 1 << 16;
	const struct timeval wait = { .tv_sec = PATIENCE_S };
	int fd = socket(AF_INET, SOCK_STREAM, 0);

	if (fd < 0)
		die("socket");
	if (rcvbuf) { /* what waits on this side shall be little, too */
		setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &rcvbuf, sizeof(rcvbuf));
		setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &sndbuf, sizeof(sndbuf));
	}
	setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &wait, sizeof(wait));
	if (connect(fd, (struct sockaddr *)&address, sizeof(address)))
		die("connect");
	return fd;
}

static void close_by_reset(int fd)
{
	const struct linger now = { .l_onoff = 1 };

	setsockopt(fd, SOL_SOCKET, SO_LINGER, &now, sizeof(now));
	close(fd);
}

static void write_all(int fd, const void *bytes, size_t len)
{
	if (send(fd, bytes, len, MSG_NOSIGNAL) != (ssize_t)len && errno != EPIPE && errno != ECONNRESET)
		die("send");
}

/* Returns how many bytes came before. */
static size_t wait_for_end(int fd)
{
	char bytes[4096];
	size_t sum = 0;
	ssize_t n;

	while ((n = recv(fd, bytes, sizeof(bytes), 0)) > 0)
		sum += n;
	if (n < 0 && errno != ECONNRESET)
		die("the other side does not end the connection");
	close(fd);
	return sum;
}

static bool stdin_ended(int ms)
{
	struct pollfd p = { .fd = STDIN_FILENO, .events = POLLIN };

	return poll(&p, 1, ms) > 0;
}

/* --- acts --- */

static void garbage(void)
{
	static const struct {
		uint32_t len;
		uint8_t version, type;
	} rows[] = {
		{ 0, 1, ECHO_REQ },	     { 19, 1, ECHO_REQ },  { 65537, 1, ECHO_REQ }, { 0xffffffff, 1, ECHO_REQ },
		{ 20, 1, HELLO },	     { 20, 2, ECHO_REQ },  { 20, 0, HELLO },	   { 20, 1, 0xee },
		{ 20, 1, HELLO_ACK },	     { 20, 1, 0x7f },
	};
	uint8_t bytes[HEADER];
	size_t i;
	int fd;

	for (i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		header(bytes, rows[i].len, rows[i].type, 1, 1);
		bytes[4] = rows[i].version;
		fd = open_one(0);
		write_all(fd, bytes, sizeof(bytes));
		wait_for_end(fd);
	}
	for (i = 0; i < 20; i++) { /* and what was never meant to be one */
		fd = open_one(0);
		write_all(fd, "GET / HTTP/1.1\r\nHost: xsr\r\n\r\n", 30);
		wait_for_end(fd);
	}
}

static void cuts(bool by_reset)
{
	uint8_t bytes[HELLO_LEN + HEADER + 40];
	size_t n;
	int fd;

	for (n = 0; n <= sizeof(bytes); n++) {
		hello(bytes, 1, id_of(n));
		request(bytes + HELLO_LEN, id_of(n), 1, 40);
		fd = open_one(0);
		write_all(fd, bytes, n);
		if (n % 3 == 0)
			usleep(2000); /* so that it was read; else all comes at once */
		if (by_reset) {
			close_by_reset(fd);
		} else {
			shutdown(fd, SHUT_WR);
			wait_for_end(fd);
		}
	}
}

static void last(unsigned int n, unsigned int len)
{
	uint8_t *bytes = malloc(HELLO_LEN + HEADER + len);
	unsigned int i;
	int fd;

	for (i = 0; i < n; i++) {
		hello(bytes, 1, id_of(i));
		request(bytes + HELLO_LEN, id_of(i), 1, len);
		fd = open_one(0);
		write_all(fd, bytes, HELLO_LEN + HEADER + len);
		shutdown(fd, SHUT_WR);
		if (wait_for_end(fd) != ACK_LEN + HEADER + len)
			die("no whole reply");
	}
	free(bytes);
}

static void hear(unsigned int n)
{
	unsigned int i;

	for (i = 0; i < n; i++)
		if (wait_for_end(open_one(0)) != HEADER)
			die("what the other side said did not come");
}

static int *open_many(unsigned int n, unsigned int n_greeted, int rcvbuf)
{
	uint8_t bytes[HELLO_LEN];
	int *fds = calloc(n, sizeof(*fds));
	unsigned int i;

	for (i = 0; i < n; i++) {
		fds[i] = open_one(rcvbuf);
		hello(bytes, 1, id_of(i));
		if (i < n_greeted)
			write_all(fds[i], bytes, sizeof(bytes));
		fcntl(fds[i], F_SETFL, O_NONBLOCK);
	}
	printf("open %u\n", n);
	fflush(stdout);
	return fds;
}

static void crowd(unsigned int n)
{
	int *fds = open_many(n, 0, 0);
	unsigned int i;

	while (!stdin_ended(-1))
		;
	for (i = 0; i < n; i++)
		close(fds[i]);
}

/* Returns how many are left. */
static unsigned int drip(unsigned int n, unsigned int ms)
{
	int *fds = open_many(n, n / 2, 0);
	unsigned int i, turn, left = n;
	char byte = 0;

	for (turn = 0; left && turn < ms / 50; turn++) {
		for (i = 0; i < n; i++) {
			if (fds[i] < 0 || send(fds[i], turn == 3 ? "\x40" : turn == 4 ? "\x01" : turn == 5 ? "\x10" : &byte, 1, MSG_NOSIGNAL) == 1)
				continue;
			close(fds[i]);
			fds[i] = -1;
			left--;
		}
		usleep(50000);
	}
	return left;
}

static void mute(unsigned int n, unsigned int len)
{
	int *fds = open_many(n, n, 4096);
	uint8_t *bytes = calloc(1, HEADER + len);
	uint64_t *seqs = calloc(n, sizeof(*seqs));
	size_t *at = calloc(n, sizeof(*at));
	unsigned int i;
	ssize_t sent;

	while (!stdin_ended(1))
		for (i = 0; i < n; i++) {
			request(bytes, id_of(i), seqs[i] + 1, len);
			sent = send(fds[i], bytes + at[i], HEADER + len - at[i], MSG_NOSIGNAL);
			at[i] += sent > 0 ? sent : 0;
			if (at[i] < HEADER + len)
				continue;
			at[i] = 0;
			seqs[i]++;
		}
	for (i = 0; i < n; i++)
		close_by_reset(fds[i]);
}

/* --- a backend --- */

/* Greets and answers heartbeats, and no more. */
static void hole(int fd)
{
	uint8_t frame[1 << 17], ack[ACK_LEN];
	uint32_t len;

	while (recv(fd, frame, 4, MSG_WAITALL) == 4) {
		memcpy(&len, frame, 4);
		len = be32toh(len);
		if (len > sizeof(frame) - 4 || recv(fd, frame + 4, len, MSG_WAITALL) != (ssize_t)len)
			return;
		memcpy(ack, frame, HEADER);
		memset(ack + HEADER, 0, 16);
		ack[7] = 4;
		if (frame[5] == HELLO) {
			put32(ack, ACK_LEN - 4);
			memset(ack + 16, 0, 8);
			ack[5] = HELLO_ACK;
			ack[HEADER + 1] = 3;
			memcpy(ack + HEADER + 8, frame + 8, 8);
			write_all(fd, ack, ACK_LEN);
		} else if (frame[5] == HB_PING) {
			ack[5] = HB_PONG;
			write_all(fd, ack, HEADER);
		}
	}
}

static void serve(int fd, const char *how)
{
	uint8_t bytes[HELLO_LEN];

	if (!strcmp(how, "silent")) {
		wait_for_end(fd);
		return;
	}
	if (!strcmp(how, "reset")) {
		close_by_reset(fd);
		return;
	}
	if (!strcmp(how, "short")) {
		header(bytes, HEADER - 4, ECHO_REQ, 1, 1);
		write_all(fd, bytes, HEADER);
		close(fd);
		return;
	}
	if (!strcmp(how, "hole")) {
		hole(fd);
	} else if (recv(fd, bytes, sizeof(bytes), MSG_WAITALL) == sizeof(bytes)) {
		header(bytes, strcmp(how, "half") ? 3 : 100, ECHO_REQ, 1, 1);
		write_all(fd, bytes, HEADER);
	}
	close(fd);
}

static void backend(const char *how)
{
	int listener = socket(AF_INET, SOCK_STREAM, 0), fd, one = 1;
	struct pollfd polls[2] = { { .fd = STDIN_FILENO, .events = POLLIN }, { .fd = listener, .events = POLLIN } };

	setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
	if (bind(listener, (struct sockaddr *)&address, sizeof(address)) || listen(listener, 64))
		die("listen");
	signal(SIGCHLD, SIG_IGN);
	while (poll(polls, 2, -1) > 0 && !polls[0].revents) {
		fd = accept(listener, NULL, NULL);
		if (fd < 0)
			die("accept");
		if (!fork()) {
			prctl(PR_SET_PDEATHSIG, SIGKILL);
			close(listener);
			serve(fd, how);
			_exit(0);
		}
		close(fd);
	}
}

int main(int argc, char **argv)
{
	const char *act = argc > 3 ? argv[1] : "";
	unsigned int n = argc > 4 ? atoi(argv[4]) : 1, len = argc > 5 ? atoi(argv[5]) : 100;
	struct rlimit files;

	if (argc < 4 || inet_pton(AF_INET, argv[2], &address.sin_addr) != 1) {
		fprintf(stderr, "usage: hostile ACT ADDR PORT [N [LEN]]\n");
		return 2;
	}
	address.sin_family = AF_INET;
	address.sin_port = htons(atoi(argv[3]));
	getrlimit(RLIMIT_NOFILE, &files);
	files.rlim_cur = files.rlim_max;
	setrlimit(RLIMIT_NOFILE, &files);
	if (!strcmp(act, "garbage"))
		garbage();
	else if (!strcmp(act, "reset") || !strcmp(act, "finish"))
		cuts(act[0] == 'r');
	else if (!strcmp(act, "crowd"))
		crowd(n);
	else if (!strcmp(act, "last"))
		last(n, len);
	else if (!strcmp(act, "hear"))
		hear(n);
	else if (!strcmp(act, "trickle"))
		drip(n, len);
	else if (!strcmp(act, "drip") && drip(n, PATIENCE_S * 1000))
		die("those who drip are not ended");
	else if (!strcmp(act, "mute"))
		mute(n, len);
	else if (!strncmp(act, "backend-", 8))
		backend(act + 8);
	return 0;
}
