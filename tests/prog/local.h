/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * What tests of joined connections share: a cgroup of one's own, in it this process, a service at a port of its own network
 * namespace, and connections whose every byte is known: it follows from its place in the stream.
 */
#ifndef XSR_TEST_LOCAL_H
#define XSR_TEST_LOCAL_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <net/if.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "local_load.h"

#define PORT 7070
#define CHUNK 65536

/* One end of a connection, and how far it is. */
struct end {
	int fd;
	uint8_t way; /* of what it sends: the other way is this one's complement */
	uint64_t sent, taken;
};

struct pair {
	struct end client, server;
};

struct world {
	char home[256], cgroup[320];
	struct local *local;
	int listener;
};

static inline void pause_ms(long ms)
{
	const struct timespec ts = { ms / 1000, ms % 1000 * 1000000 };

	nanosleep(&ts, NULL);
}

/* --- the cgroup --- */

static inline bool file_write(const char *dir, const char *name, const char *text)
{
	char path[384];
	bool done;
	int fd;

	snprintf(path, sizeof(path), "%s/%s", dir, name);
	fd = open(path, O_WRONLY | O_CLOEXEC);
	done = fd >= 0 && write(fd, text, strlen(text)) == (ssize_t)strlen(text);
	close(fd);
	return done;
}

/* The directory of this process' cgroup: where cgroup2 is mounted, and its place in there. */
static inline bool home_find(char home[256])
{
	char line[512], at[128] = "", place[128] = "";
	FILE *f = fopen("/proc/mounts", "r");

	while (f && fgets(line, sizeof(line), f))
		if (strstr(line, " cgroup2 ") && !*at)
			sscanf(line, "%*s %127s", at);
	if (f)
		fclose(f);
	f = fopen("/proc/self/cgroup", "r");
	while (f && fgets(line, sizeof(line), f))
		if (!strncmp(line, "0::/", 4))
			sscanf(line + 4, "%127s", place);
	if (f)
		fclose(f);
	snprintf(home, 256, "%s/%s", at, place);
	return *at;
}

static inline bool loopback_up(void)
{
	struct ifreq r = { .ifr_name = "lo", .ifr_flags = IFF_UP | IFF_RUNNING };
	int fd = socket(AF_INET, SOCK_DGRAM, 0);
	bool done = fd >= 0 && !ioctl(fd, SIOCSIFFLAGS, &r);

	close(fd);
	return done;
}

/* False, and says why, if this machine does not let us. */
static inline bool world_make(struct world *w)
{
	if (geteuid() != 0) {
		printf("joining sockets takes root\n");
		return false;
	}
	if (!home_find(w->home)) {
		printf("cgroup v2 is not mounted\n");
		return false;
	}
	snprintf(w->cgroup, sizeof(w->cgroup), "%s/xsr-prog-%d", w->home, getpid());
	if (mkdir(w->cgroup, 0755) || !file_write(w->cgroup, "cgroup.procs", "0")) {
		printf("cannot make a cgroup in %s: %s\n", w->home, strerror(errno));
		rmdir(w->cgroup);
		return false;
	}
	return !unshare(CLONE_NEWNET) && loopback_up();
}

static inline void world_remove(struct world *w)
{
	file_write(w->home, "cgroup.procs", "0");
	rmdir(w->cgroup);
}

/* --- the service --- */

static inline struct xsr_service service_make(void)
{
	return (struct xsr_service){ .port = htons(PORT),
				     .proto = IPPROTO_TCP,
				     .flags = XSR_SERVICE_IPV4 | XSR_SERVICE_IPV6 | XSR_SERVICE_ANY,
				     .name = "test" };
}

/* Joins the sockets of this process from now on. */
static inline void join_begin(struct world *w)
{
	const struct xsr_service service = service_make();
	const struct local_options options = { .service = &service, .index = 1, .counters_fd = -1 };
	char why[LOCAL_WHY_LEN] = "";
	int ret = local_open(&w->local, &options, why);

	if (!ret)
		ret = local_attach(w->local, w->cgroup, why);
	if (ret)
		fail_msg("%s", why);
}

static inline void join_end(struct world *w)
{
	local_close(w->local);
	w->local = NULL;
}

static inline uint64_t counted(const struct world *w, enum xsr_stream_stat stat)
{
	return local_counter(w->local, stat);
}

static inline uint64_t past_bytes(const struct world *w)
{
	return counted(w, XSR_STREAM_STAT_REQUEST_BYTES) + counted(w, XSR_STREAM_STAT_REPLY_BYTES);
}

/* At any address of both families. */
static inline int listener_open(void)
{
	const struct sockaddr_in6 any = { .sin6_family = AF_INET6, .sin6_port = htons(PORT) };
	int fd = socket(AF_INET6, SOCK_STREAM | SOCK_CLOEXEC, 0), on = 1;

	setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
	assert_int_equal(bind(fd, (const struct sockaddr *)&any, sizeof(any)), 0);
	assert_int_equal(listen(fd, 64), 0);
	return fd;
}

static inline int client_open(int family)
{
	const struct sockaddr_in six = { .sin_family = AF_INET, .sin_port = htons(PORT), .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	const struct sockaddr_in6 any = { .sin6_family = AF_INET6, .sin6_port = htons(PORT), .sin6_addr = IN6ADDR_LOOPBACK_INIT };
	int fd = socket(family, SOCK_STREAM | SOCK_CLOEXEC, 0);
	int ret = family == AF_INET ? connect(fd, (const struct sockaddr *)&six, sizeof(six)) :
				      connect(fd, (const struct sockaddr *)&any, sizeof(any));

	assert_int_equal(ret, 0);
	return fd;
}

static inline void end_set(struct end *e, int fd, uint8_t way)
{
	int on = 1;

	*e = (struct end){ .fd = fd, .way = way };
	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
}

static inline void pair_open(struct world *w, struct pair *p, int family)
{
	end_set(&p->client, client_open(family), 0);
	end_set(&p->server, accept4(w->listener, NULL, NULL, SOCK_CLOEXEC), 0xff);
	assert_true(p->server.fd >= 0);
}

static inline void pair_close(struct pair *p)
{
	close(p->client.fd);
	close(p->server.fd);
}

/* --- bytes that are known --- */

static inline uint8_t byte_at(uint8_t way, uint64_t place)
{
	return (uint8_t)(place * 131 + (place >> 8) + (place >> 16)) ^ way;
}

/* Like send(): how many bytes went, or -errno. */
static inline ssize_t end_send(struct end *e, size_t len, int flags)
{
	static __thread uint8_t bytes[CHUNK];
	ssize_t n;
	size_t i;

	for (i = 0; i < len; i++)
		bytes[i] = byte_at(e->way, e->sent + i);
	n = send(e->fd, bytes, len, flags | MSG_NOSIGNAL);
	if (n < 0)
		return -errno;
	e->sent += n;
	return n;
}

/* Like recv(): -EBADMSG if a byte is not the one that was sent. */
static inline ssize_t end_take(struct end *e, size_t len, int flags)
{
	static __thread uint8_t bytes[CHUNK];
	ssize_t i, n = recv(e->fd, bytes, len, flags);

	if (n < 0)
		return -errno;
	for (i = 0; i < n; i++)
		if (bytes[i] != byte_at(~e->way, e->taken + i))
			return -EBADMSG;
	e->taken += n;
	return n;
}

/* All of `len`, soon. */
static inline void take_all(struct end *e, uint64_t len)
{
	struct timeval patience = { .tv_sec = 10 };
	uint64_t until = e->taken + len;
	ssize_t n;

	setsockopt(e->fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience));
	while (e->taken < until) {
		n = end_take(e, until - e->taken < CHUNK ? until - e->taken : CHUNK, 0);
		if (n <= 0)
			fail_msg("after %llu of %llu bytes: %s", (unsigned long long)e->taken, (unsigned long long)until,
				 n ? strerror(-n) : "the end");
	}
}

/* One message there and one back, n times. */
static inline void talk(struct pair *p, int n, size_t len)
{
	int i;

	for (i = 0; i < n; i++) {
		assert_int_equal(end_send(&p->client, len, 0), len);
		take_all(&p->server, len);
		assert_int_equal(end_send(&p->server, len, 0), len);
		take_all(&p->client, len);
	}
}

/* As many bytes as it takes without waiting, but for at most `max`. */
static inline uint64_t send_until_full(struct end *e, size_t len, uint64_t max)
{
	uint64_t before = e->sent;

	while (e->sent - before < max && end_send(e, len, MSG_DONTWAIT) > 0)
		;
	return e->sent - before;
}

#endif /* XSR_TEST_LOCAL_H */
