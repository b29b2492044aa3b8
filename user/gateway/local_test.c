/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Whether this kernel joins sockets rightly: of the ways in which it might not some lose bytes silently, and only trying tells. */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "locals.h"

#define TEST_SERVICE 0	       /* no service has this number */
#define TALKS 20
#define MESSAGE_LEN 1500
#define FULL_MAX (64u << 20)   /* far more than the buffers of two sockets take */
#define PATIENCE_MS 2000

/* One end: how much it sent, and took. */
struct test_end {
	int fd;
	uint8_t way;
	uint64_t sent, taken;
};

struct test {
	struct local *local;
	int listener;
	struct test_end client, server;
};

static int failed(char why[LOCAL_WHY_LEN], int ret, const char *what)
{
	snprintf(why, LOCAL_WHY_LEN, "self-test: %s", what);
	return ret;
}

static uint8_t byte_at(uint8_t way, uint64_t place)
{
	return (uint8_t)(place * 167 + (place >> 8)) ^ way;
}

/* Without waiting: how many bytes went, or -errno. */
static ssize_t test_send(struct test_end *e)
{
	uint8_t bytes[MESSAGE_LEN];
	ssize_t n;
	size_t i;

	for (i = 0; i < sizeof(bytes); i++)
		bytes[i] = byte_at(e->way, e->sent + i);
	n = send(e->fd, bytes, sizeof(bytes), MSG_DONTWAIT | MSG_NOSIGNAL);
	if (n < 0)
		return -errno;
	e->sent += n;
	return n;
}

/* 0 or -errno; -EBADMSG: a byte is not the one that was sent, -ENODATA: it does not come. */
static int test_take(struct test_end *e)
{
	struct pollfd p = { .fd = e->fd, .events = POLLIN };
	uint8_t bytes[16384];
	ssize_t n, i;

	if (poll(&p, 1, PATIENCE_MS) != 1)
		return -ENODATA;
	n = recv(e->fd, bytes, sizeof(bytes), MSG_DONTWAIT);
	if (n < 0)
		return errno == EAGAIN ? 0 : -errno;
	for (i = 0; i < n; i++)
		if (bytes[i] != byte_at(~e->way, e->taken + i))
			return -EBADMSG;
	e->taken += n;
	return n ? 0 : -ENODATA;
}

static int test_take_all(struct test_end *e, const struct test_end *from)
{
	int ret = 0;

	while (!ret && e->taken < from->sent)
		ret = test_take(e);
	return ret;
}

/* A message there, and one back. */
static int test_talk(struct test *t, char why[LOCAL_WHY_LEN])
{
	int i, ret = 0;

	for (i = 0; i < TALKS && !ret; i++) {
		ret = test_send(&t->client) < 0 ? -EIO : test_take_all(&t->server, &t->client);
		if (!ret)
			ret = test_send(&t->server) < 0 ? -EIO : test_take_all(&t->client, &t->server);
	}
	return ret ? failed(why, ret, "bytes do not arrive as they were sent") : 0;
}

/* A reader that stops must stop its writer; and then nothing may be lost, doubled or out of order. */
static int test_full(struct test *t, char why[LOCAL_WHY_LEN])
{
	uint64_t until = t->client.sent + FULL_MAX;

	while (t->client.sent < until && test_send(&t->client) > 0)
		;
	if (t->client.sent >= until)
		return failed(why, -ENOBUFS, "a reader that stops does not stop its writer: what waits for it may take all memory");
	if (test_take_all(&t->server, &t->client))
		return failed(why, -EIO, "bytes that waited for a reader do not arrive as they were sent");
	return 0;
}

static int test_end(struct test *t, char why[LOCAL_WHY_LEN])
{
	test_send(&t->client);
	shutdown(t->client.fd, SHUT_WR);
	if (test_take_all(&t->server, &t->client) || test_take(&t->server) != -ENODATA)
		return failed(why, -EIO, "the end of a connection does not come after its last byte");
	return 0;
}

static int test_run(struct test *t, char why[LOCAL_WHY_LEN])
{
	int i, ret = test_talk(t, why);

	if (!ret && local_counter(t->local, XSR_STREAM_STAT_REQUESTS) + local_counter(t->local, XSR_STREAM_STAT_REPLIES) < TALKS)
		ret = failed(why, -EIO, "two sockets of one cgroup are not joined");
	for (i = 0; i < 2 && !ret; i++) {
		ret = test_full(t, why);
		if (!ret)
			ret = test_talk(t, why);
	}
	return ret ?: test_end(t, why);
}

/* --- its place --- */

/* At a port that is free, so that nobody else's sockets are joined. */
static int listener_open(struct test *t, struct xsr_service *service)
{
	struct sockaddr_in address = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	socklen_t len = sizeof(address);

	t->listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (t->listener < 0 || bind(t->listener, (struct sockaddr *)&address, len) || listen(t->listener, 1) ||
	    getsockname(t->listener, (struct sockaddr *)&address, &len))
		return -errno;
	*service = (struct xsr_service){ .port = address.sin_port, .proto = IPPROTO_TCP, .flags = XSR_SERVICE_IPV4 };
	service->addr[3] = address.sin_addr.s_addr;
	return 0;
}

static int pair_open(struct test *t, const struct xsr_service *service)
{
	struct sockaddr_in address = { .sin_family = AF_INET, .sin_port = service->port, .sin_addr.s_addr = service->addr[3] };

	t->client = (struct test_end){ .fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0) };
	if (t->client.fd < 0 || connect(t->client.fd, (struct sockaddr *)&address, sizeof(address)))
		return -errno;
	t->server = (struct test_end){ .fd = accept4(t->listener, NULL, NULL, SOCK_CLOEXEC), .way = 0xff };
	return t->server.fd < 0 ? -errno : 0;
}

static int test_open(struct test *t, char why[LOCAL_WHY_LEN])
{
	struct xsr_service service;
	const struct local_options options = { .service = &service, .index = TEST_SERVICE, .counters_fd = -1 };
	char cgroup[LOCAL_CGROUP_LEN];
	int ret = local_own_cgroup(cgroup, why);

	if (ret)
		return ret;
	ret = listener_open(t, &service);
	if (ret)
		return failed(why, ret, "cannot listen on the loopback interface");
	ret = local_open(&t->local, &options, why);
	if (!ret)
		ret = local_attach(t->local, cgroup, why);
	if (ret)
		return ret;
	ret = pair_open(t, &service);
	return ret ? failed(why, ret, "cannot connect on the loopback interface") : 0;
}

static void fd_close(int fd)
{
	if (fd >= 0)
		close(fd);
}

int local_self_test(char why[LOCAL_WHY_LEN])
{
	struct test t = { .listener = -1, .client.fd = -1, .server.fd = -1 };
	int ret = test_open(&t, why);

	if (!ret)
		ret = test_run(&t, why);
	fd_close(t.client.fd);
	fd_close(t.server.fd);
	fd_close(t.listener);
	local_close(t.local);
	return ret;
}
