/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#include "udp_sockets.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "clock.h"

#define BUFFER_LEN (16 << 20)
#define OLD_MAX 256           /* replaced sockets that still listen for late answers */
#define OLD_NS (2 * NS_PER_S) /* for so long */

struct old_socket {
	int fd;
	uint64_t close_ns;
};

/* Messages of one socket that go out or came in by one system call. */
struct batch {
	struct mmsghdr headers[UDP_BATCH];
	struct iovec iovs[UDP_BATCH];
	uint8_t frames[UDP_BATCH][UDP_FRAME_LEN_MAX];
	unsigned int n;
};

struct udp_sockets {
	struct sockaddr_storage to;
	uint32_t n;
	int epoll_fd;
	int *fds;
	struct batch *batches; /* by socket */
	struct batch received;
	uint64_t n_refused;
	struct old_socket old[OLD_MAX];
	unsigned int next_old;
	uint32_t next_roam;
};

static int socket_open(const struct udp_sockets *s)
{
	const int size = BUFFER_LEN;
	struct epoll_event event = { .events = EPOLLIN };
	socklen_t len =
		s->to.ss_family == AF_INET6 ? sizeof(struct sockaddr_in6) : sizeof(struct sockaddr_in);
	int fd = socket(s->to.ss_family, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

	if (fd < 0)
		return -errno;
	setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &size, sizeof(size));
	setsockopt(fd, SOL_SOCKET, SO_SNDBUFFORCE, &size, sizeof(size));
	event.data.fd = fd;
	if (connect(fd, (const struct sockaddr *)&s->to, len) ||
	    epoll_ctl(s->epoll_fd, EPOLL_CTL_ADD, fd, &event)) {
		int ret = -errno;

		close(fd);
		return ret;
	}
	return fd;
}

static void batch_prepare(struct batch *b)
{
	unsigned int i;

	for (i = 0; i < UDP_BATCH; i++) {
		b->iovs[i] = (struct iovec){ b->frames[i], UDP_FRAME_LEN_MAX };
		b->headers[i].msg_hdr = (struct msghdr){ .msg_iov = &b->iovs[i], .msg_iovlen = 1 };
	}
}

static int sockets_prepare(struct udp_sockets *s)
{
	uint32_t i;

	batch_prepare(&s->received);
	for (i = 0; i < s->n; i++) {
		batch_prepare(&s->batches[i]);
		s->fds[i] = socket_open(s);
		if (s->fds[i] < 0)
			return s->fds[i];
	}
	return 0;
}

int udp_sockets_open(struct udp_sockets **out, const struct sockaddr_storage *to, uint32_t n, int epoll_fd)
{
	struct udp_sockets *s = calloc(1, sizeof(*s));
	int ret = -ENOMEM;
	unsigned int i;

	if (!s)
		return -ENOMEM;
	s->to = *to;
	s->n = n;
	s->epoll_fd = epoll_fd;
	for (i = 0; i < OLD_MAX; i++)
		s->old[i].fd = -1;
	s->fds = malloc(n * sizeof(*s->fds));
	s->batches = calloc(n, sizeof(*s->batches));
	if (!s->fds || !s->batches)
		goto out;
	memset(s->fds, 0xff, n * sizeof(*s->fds));
	ret = sockets_prepare(s);
out:
	if (ret)
		udp_sockets_close(s);
	else
		*out = s;
	return ret;
}

static void old_close(struct old_socket *old)
{
	if (old->fd >= 0)
		close(old->fd);
	old->fd = -1;
}

void udp_sockets_close(struct udp_sockets *s)
{
	unsigned int i;

	if (!s)
		return;
	for (i = 0; s->fds && i < s->n; i++)
		if (s->fds[i] >= 0)
			close(s->fds[i]);
	for (i = 0; i < OLD_MAX; i++)
		old_close(&s->old[i]);
	free(s->fds);
	free(s->batches);
	free(s);
}

/* What the kernel refuses for now is tried again, so a number is never skipped. */
static void batch_flush(struct udp_sockets *s, uint32_t number)
{
	struct batch *b = &s->batches[number];
	unsigned int done = 0;

	while (done < b->n) {
		int sent = sendmmsg(s->fds[number], b->headers + done, b->n - done, 0);

		if (sent > 0) {
			done += sent;
		} else if (errno == ECONNREFUSED) {
			continue; /* an ICMP answer to an earlier message, told once */
		} else if (errno != EAGAIN && errno != ENOBUFS && errno != EINTR) {
			s->n_refused += b->n - done;
			break;
		}
	}
	b->n = 0;
}

uint8_t *udp_sockets_reserve(struct udp_sockets *s, uint32_t number, uint32_t len)
{
	struct batch *b = &s->batches[number];

	if (b->n == UDP_BATCH)
		batch_flush(s, number);
	b->iovs[b->n].iov_len = len;
	return b->frames[b->n++];
}

uint64_t udp_sockets_flush(struct udp_sockets *s)
{
	uint64_t n_refused;
	uint32_t i;

	for (i = 0; i < s->n; i++)
		batch_flush(s, i);
	n_refused = s->n_refused;
	s->n_refused = 0;
	return n_refused;
}

int udp_sockets_roam(struct udp_sockets *s, uint64_t now_ns)
{
	struct old_socket *old = &s->old[s->next_old];
	uint32_t i = s->next_roam;
	int fd = socket_open(s);

	if (fd < 0)
		return fd;
	old_close(old);
	*old = (struct old_socket){ .fd = s->fds[i], .close_ns = now_ns + OLD_NS };
	s->fds[i] = fd;
	s->next_old = (s->next_old + 1) % OLD_MAX;
	s->next_roam = (i + 1) % s->n;
	return 0;
}

void udp_sockets_expire(struct udp_sockets *s, uint64_t now_ns)
{
	unsigned int i;

	for (i = 0; i < OLD_MAX; i++)
		if (s->old[i].fd >= 0 && s->old[i].close_ns <= now_ns)
			old_close(&s->old[i]);
}

void udp_sockets_receive(struct udp_sockets *s, int fd,
			 void (*take)(const uint8_t *data, uint32_t len, void *arg), void *arg)
{
	struct batch *b = &s->received;
	int i, n = recvmmsg(fd, b->headers, UDP_BATCH, MSG_DONTWAIT, NULL);

	for (i = 0; i < n; i++)
		take(b->frames[i], b->headers[i].msg_len, arg);
}
