/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Kernel sockets: one for each service, in a SO_REUSEPORT group over the workers. Where XDP is not
 * to be had this is the way in: the program `select` picks the owner's socket by the same rules and
 * routes. Without that program the kernel spreads by address and port.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <linux/sock_diag.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "program.h"
#include "socket.h"
#include "transport.h"

#define BATCH_MAX 256
#define BUFFERS (2 * BATCH_MAX)
#define HEADROOM 64	 /* before a payload: rules load 8 bytes that end in it */
#define SOCKET_BUFFER (4 << 20)
#define SKB_LEN_MIN 192	 /* less than any kernel's sk_buff */
#define DISCARD_PORT 9
#define CONTROL_LEN 64	 /* of a message: the address that it came to */

struct udp_socket {
	int fd;		      /* -1 = none */
	int failed;	      /* the -errno of the last try, told once */
	struct xsr_service service; /* whose it is: told apart when a number is used again */
	uint32_t n_marked;    /* of what waited at the mark, no more than this is left */
};

/* What one recvmmsg or sendmmsg needs. */
struct udp_batch {
	struct mmsghdr headers[BATCH_MAX];
	struct iovec iovs[BATCH_MAX];
	struct sockaddr_in6 addrs[BATCH_MAX];
	_Alignas(8) char controls[BATCH_MAX][CONTROL_LEN];
};

struct transport {
	struct transport_params p;
	struct udp_socket sockets[XSR_SERVICES_MAX]; /* by service */
	struct pollfd pollfds[XSR_SERVICES_MAX + 1];
	unsigned int n_pollfds;
	unsigned int next_service;
	bool published;
	int select_fd;	      /* the program, -1 = none */
	uint8_t *area;
	uint64_t free[BUFFERS]; /* a stack of offsets into area */
	unsigned int n_free;
	struct udp_batch batch;
};

static socklen_t address_fill(const struct xsr_service *s, struct sockaddr_in6 *out)
{
	struct sockaddr_in *in = (struct sockaddr_in *)out;

	memset(out, 0, sizeof(*out));
	if (s->flags & XSR_SERVICE_IPV6) {
		out->sin6_family = AF_INET6;
		out->sin6_port = s->port;
		memcpy(&out->sin6_addr, s->addr, 16);
		return sizeof(*out);
	}
	in->sin_family = AF_INET;
	in->sin_port = s->port;
	in->sin_addr.s_addr = s->addr[3];
	return sizeof(*in);
}

/* An answer has to come from the address that was asked: that is told per message for "any". */
static int options_set(int fd, const struct xsr_service *s)
{
	const int on = 1, off = 0, size = SOCKET_BUFFER;

	if (setsockopt(fd, SOL_SOCKET, SO_REUSEPORT, &on, sizeof(on)))
		return -errno;
	setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &size, sizeof(size));
	setsockopt(fd, SOL_SOCKET, SO_SNDBUFFORCE, &size, sizeof(size));
	if (s->flags & XSR_SERVICE_IPV6) {
		const int *only = s->flags & XSR_SERVICE_IPV4 ? &off : &on;

		if (setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, only, sizeof(*only)) ||
		    setsockopt(fd, IPPROTO_IPV6, IPV6_RECVPKTINFO, &on, sizeof(on)))
			return -errno;
		return 0;
	}
	return setsockopt(fd, IPPROTO_IP, IP_PKTINFO, &on, sizeof(on)) ? -errno : 0;
}

static int socket_open(struct udp_socket *us, const struct xsr_service *s)
{
	struct sockaddr_in6 addr;
	socklen_t len = address_fill(s, &addr);
	int fd = socket(addr.sin6_family, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0), ret;

	if (fd < 0)
		return -errno;
	ret = options_set(fd, s);
	if (!ret && bind(fd, (struct sockaddr *)&addr, len))
		ret = -errno;
	if (ret) {
		close(fd);
		return ret;
	}
	us->fd = fd;
	us->service = *s;
	return 0;
}

static void socket_close(struct udp_socket *us)
{
	if (us->fd >= 0)
		close(us->fd);
	us->fd = -1;
}

/* The instance's program as it is pinned now: a reload brings a new one. */
static void select_open(struct transport *t)
{
	char why[LOADER_WHY_LEN];

	if (t->select_fd >= 0)
		close(t->select_fd);
	t->select_fd = program_open(t->p.instance, INSTANCE_SELECT, why);
}

/* The group has one program; every worker of it sets the same. */
static void socket_publish_owner(struct transport *t, uint32_t service)
{
	int fd = t->sockets[service].fd;

	if (t->select_fd < 0 || listener_publish(t->p.maps, service, t->p.worker, fd))
		return;
	setsockopt(fd, SOL_SOCKET, SO_ATTACH_REUSEPORT_EBPF, &t->select_fd, sizeof(t->select_fd));
}

static bool same_service(const struct xsr_service *a, const struct xsr_service *b)
{
	return a->port == b->port && a->flags == b->flags && !memcmp(a->addr, b->addr, sizeof(a->addr));
}

static void failure_log(struct transport *t, const struct xsr_service *s, int ret)
{
	char sentence[XSR_WHY_LEN];

	snprintf(sentence, sizeof(sentence), "worker %u cannot open a socket for service '%s': %s%s", t->p.worker, s->name,
		 strerror(-ret), ret == -EADDRNOTAVAIL ? "; its address is not on this host" : "");
	t->p.log(sentence, t->p.log_arg);
}

/* The socket of one service follows its entry: opened, kept, or closed. */
static int socket_sync(struct transport *t, uint32_t i)
{
	const struct xsr_service s = t->p.maps->services[i];
	struct udp_socket *us = &t->sockets[i];
	bool wanted = s.name[0] && s.proto == IPPROTO_UDP;
	int ret = 0;

	if (us->fd >= 0 && (!wanted || !same_service(&s, &us->service)))
		socket_close(us);
	if (us->fd < 0 && wanted)
		ret = socket_open(us, &s);
	if (ret && ret != us->failed)
		failure_log(t, &s, ret);
	us->failed = ret;
	return ret;
}

/* Returns the first failure, but opens what can be opened. */
static int sockets_sync(struct transport *t)
{
	int ret = 0, one;
	uint32_t i;

	select_open(t);
	t->n_pollfds = 0;
	for (i = 1; i < XSR_SERVICES_MAX; i++) {
		one = socket_sync(t, i);
		ret = ret ?: one;
		if (t->sockets[i].fd < 0)
			continue;
		socket_publish_owner(t, i);
		t->pollfds[t->n_pollfds++] = (struct pollfd){ .fd = t->sockets[i].fd, .events = POLLIN };
	}
	t->pollfds[t->n_pollfds] = (struct pollfd){ .fd = t->p.wake_fd, .events = POLLIN };
	return ret;
}

static void udp_close(struct transport *t)
{
	uint32_t i;

	if (!t)
		return;
	for (i = 0; i < XSR_SERVICES_MAX; i++)
		socket_close(&t->sockets[i]);
	if (t->select_fd >= 0)
		close(t->select_fd);
	free(t->area);
	free(t);
}

static int udp_open(struct transport **out, const struct transport_params *params, char why[XSR_WHY_LEN])
{
	struct transport *t = calloc(1, sizeof(*t));
	uint32_t i;

	if (!t)
		return -ENOMEM;
	t->p = *params;
	t->select_fd = -1;
	for (i = 0; i < XSR_SERVICES_MAX; i++)
		t->sockets[i].fd = -1;
	t->area = malloc((size_t)BUFFERS * params->frame_len);
	if (!t->area) {
		snprintf(why, XSR_WHY_LEN, "no memory for %u buffers", BUFFERS);
		udp_close(t);
		return -ENOMEM;
	}
	for (i = 0; i < BUFFERS; i++)
		t->free[t->n_free++] = (uint64_t)i * params->frame_len;
	select_open(t);
	*out = t;
	return 0;
}

static int udp_publish(struct transport *t)
{
	int ret = sockets_sync(t);

	t->published = !ret;
	return ret;
}

/*
 * A socket that is closed leaves its group before it leaves the table of sockets, and a datagram that finds it between is lost. One that is
 * connected is found by its peer alone, and there is none: port 9 of its own address.
 */
static void socket_retire(const struct udp_socket *us)
{
	struct sockaddr_in6 addr;
	socklen_t len = address_fill(&us->service, &addr);
	struct sockaddr_in *in = (struct sockaddr_in *)&addr;

	if (addr.sin6_family == AF_INET && in->sin_addr.s_addr == htonl(INADDR_ANY))
		in->sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	else if (addr.sin6_family == AF_INET6 && IN6_IS_ADDR_UNSPECIFIED(&addr.sin6_addr))
		addr.sin6_addr = in6addr_loopback;
	addr.sin6_port = htons(DISCARD_PORT); /* the same place in both families */
	if (connect(us->fd, (const struct sockaddr *)&addr, len))
		return; /* without a loopback: it is closed as it is */
}

static void udp_withdraw(struct transport *t)
{
	uint32_t i;

	/* Sockets stay until close: what is in their buffers is worked off first. */
	for (i = 1; i < XSR_SERVICES_MAX; i++)
		if (t->sockets[i].fd >= 0)
			socket_retire(&t->sockets[i]);
	t->published = false;
}

static void buffer_prepare(struct transport *t, struct xsr_message *m)
{
	m->buffer = t->free[--t->n_free];
	m->data = t->area + m->buffer + HEADROOM;
	m->room = t->p.frame_len - HEADROOM;
}

static void header_prepare(struct udp_batch *b, int i, void *data, size_t len)
{
	b->iovs[i] = (struct iovec){ data, len };
	b->headers[i].msg_hdr = (struct msghdr){
		.msg_name = &b->addrs[i],
		.msg_namelen = sizeof(b->addrs[i]),
		.msg_iov = &b->iovs[i],
		.msg_iovlen = 1,
		.msg_control = b->controls[i],
		.msg_controllen = CONTROL_LEN,
	};
}

static void local_read(struct msghdr *h, struct xsr_peer *peer)
{
	struct cmsghdr *c;

	for (c = CMSG_FIRSTHDR(h); c; c = CMSG_NXTHDR(h, c)) {
		if (c->cmsg_level == IPPROTO_IP && c->cmsg_type == IP_PKTINFO)
			memcpy(peer->local + 12, &((struct in_pktinfo *)CMSG_DATA(c))->ipi_addr, 4);
		else if (c->cmsg_level == IPPROTO_IPV6 && c->cmsg_type == IPV6_PKTINFO)
			memcpy(peer->local, &((struct in6_pktinfo *)CMSG_DATA(c))->ipi6_addr, 16);
	}
}

static void peer_read(struct udp_batch *b, int i, struct xsr_peer *peer)
{
	const struct sockaddr_in6 *in6 = &b->addrs[i];
	const struct sockaddr_in *in = (const struct sockaddr_in *)in6;

	memset(peer, 0, sizeof(*peer));
	if (in6->sin6_family == AF_INET6) {
		peer->family = 6;
		peer->port = in6->sin6_port;
		memcpy(peer->addr, &in6->sin6_addr, 16);
	} else {
		peer->family = 4;
		peer->port = in->sin_port;
		memcpy(peer->addr + 12, &in->sin_addr, 4);
	}
	local_read(&b->headers[i].msg_hdr, peer);
}

static int service_recv(struct transport *t, uint32_t service, struct xsr_message *messages, int n)
{
	struct udp_socket *us = &t->sockets[service];
	struct udp_batch *b = &t->batch;
	int i, got;

	if (n > (int)t->n_free)
		n = t->n_free;
	for (i = 0; i < n; i++) {
		buffer_prepare(t, &messages[i]);
		header_prepare(b, i, messages[i].data, messages[i].room);
	}
	got = n ? recvmmsg(us->fd, b->headers, n, MSG_DONTWAIT, NULL) : 0;
	if (got < 0)
		got = 0;
	/* Less than asked for: it was seen empty. */
	us->n_marked = got < n || us->n_marked < (uint32_t)got ? 0 : us->n_marked - got;
	for (i = n; i > got; i--)
		t->free[t->n_free++] = messages[i - 1].buffer;
	for (i = 0; i < got; i++) {
		struct xsr_message *m = &messages[i];

		m->len = b->headers[i].msg_len;
		m->time_ns = 0;
		m->generation = 0;
		m->service = service;
		peer_read(b, i, &m->peer);
		m->peer.local_port = us->service.port;
	}
	return got;
}

static int udp_recv(struct transport *t, struct xsr_message *messages, int n)
{
	unsigned int i;
	int got = 0;

	for (i = 0; i < XSR_SERVICES_MAX && got < n; i++) {
		uint32_t service = (t->next_service + i) % XSR_SERVICES_MAX;

		if (t->sockets[service].fd >= 0)
			got += service_recv(t, service, messages + got, n - got);
	}
	t->next_service = (t->next_service + 1) % XSR_SERVICES_MAX;
	return got;
}

static void udp_release(struct transport *t, struct xsr_message *messages, int n)
{
	int i;

	for (i = 0; i < n; i++)
		t->free[t->n_free++] = messages[i].buffer;
}

static int udp_reserve(struct transport *t, struct xsr_message *messages, int n)
{
	int i;

	for (i = 0; i < n && t->n_free; i++) {
		memset(&messages[i], 0, sizeof(messages[i]));
		buffer_prepare(t, &messages[i]);
	}
	return i;
}

static size_t local_write(struct msghdr *h, const struct xsr_peer *peer)
{
	struct cmsghdr *c = CMSG_FIRSTHDR(h);

	if (peer->family == 6) {
		struct in6_pktinfo info = {};

		memcpy(&info.ipi6_addr, peer->local, 16);
		c->cmsg_level = IPPROTO_IPV6;
		c->cmsg_type = IPV6_PKTINFO;
		c->cmsg_len = CMSG_LEN(sizeof(info));
		memcpy(CMSG_DATA(c), &info, sizeof(info));
		return CMSG_SPACE(sizeof(info));
	}
	c->cmsg_level = IPPROTO_IP;
	c->cmsg_type = IP_PKTINFO;
	c->cmsg_len = CMSG_LEN(sizeof(struct in_pktinfo));
	memset(CMSG_DATA(c), 0, sizeof(struct in_pktinfo));
	memcpy(&((struct in_pktinfo *)CMSG_DATA(c))->ipi_spec_dst, peer->local + 12, 4);
	return CMSG_SPACE(sizeof(struct in_pktinfo));
}

static void reply_prepare(struct transport *t, int i, const struct xsr_message *m)
{
	const struct xsr_peer *peer = &m->peer;
	struct udp_batch *b = &t->batch;
	struct sockaddr_in *in = (struct sockaddr_in *)&b->addrs[i];

	header_prepare(b, i, m->data, m->len);
	memset(&b->addrs[i], 0, sizeof(b->addrs[i]));
	if (peer->family == 6) {
		b->addrs[i].sin6_family = AF_INET6;
		b->addrs[i].sin6_port = peer->port;
		memcpy(&b->addrs[i].sin6_addr, peer->addr, 16);
	} else {
		in->sin_family = AF_INET;
		in->sin_port = peer->port;
		memcpy(&in->sin_addr, peer->addr + 12, 4);
		b->headers[i].msg_hdr.msg_namelen = sizeof(*in);
	}
	b->headers[i].msg_hdr.msg_controllen = local_write(&b->headers[i].msg_hdr, peer);
}

/* A datagram that the kernel refuses is counted and left behind; the others go. */
static void batch_send(struct transport *t, int fd, struct xsr_message *messages, int n)
{
	int done = 0, sent, i;

	while (done < n) {
		sent = sendmmsg(fd, t->batch.headers + done, n - done, MSG_DONTWAIT);
		if (sent < 0) {
			t->p.counters[errno == EAGAIN || errno == ENOBUFS ? XSR_WORKER_STAT_TX_FULL :
									   XSR_WORKER_STAT_TX_ERROR]++;
			done++;
			continue;
		}
		for (i = done; i < done + sent; i++)
			t->p.counters[XSR_WORKER_STAT_TX_BYTES] += messages[i].len;
		t->p.counters[XSR_WORKER_STAT_TX] += sent;
		done += sent;
	}
}

/* Runs of messages of one service go out by one system call. */
static void udp_submit(struct transport *t, struct xsr_message *messages, int n)
{
	int first, i;

	for (first = 0; first < n; first = i) {
		uint32_t service = messages[first].service;

		for (i = first; i < n && messages[i].service == service; i++)
			reply_prepare(t, i - first, &messages[i]);
		if (t->sockets[service].fd >= 0)
			batch_send(t, t->sockets[service].fd, messages + first, i - first);
		else
			t->p.counters[XSR_WORKER_STAT_TX_ERROR] += i - first;
	}
	udp_release(t, messages, n);
}

static int udp_wait(struct transport *t, int timeout_ms)
{
	int n = poll(t->pollfds, t->n_pollfds + 1, timeout_ms);

	return n < 0 && errno != EINTR ? -errno : 0;
}

/*
 * The kernel does not say how many datagrams wait, but how much memory they take, and none takes less than its sk_buff. So all that
 * waited has been received when the socket was seen empty, or when as many as can have waited have come.
 */
static uint32_t waiting_max(int fd)
{
	uint32_t meminfo[SK_MEMINFO_VARS] = {};
	socklen_t len = sizeof(meminfo);

	if (getsockopt(fd, SOL_SOCKET, SO_MEMINFO, meminfo, &len))
		return UINT32_MAX; /* only seeing it empty counts */
	return meminfo[SK_MEMINFO_RMEM_ALLOC] / SKB_LEN_MIN;
}

static bool udp_mark(struct transport *t, enum transport_mark kind)
{
	uint32_t i;

	if (kind != MARK_ARRIVED)
		return false;
	for (i = 1; i < XSR_SERVICES_MAX; i++)
		if (t->sockets[i].fd >= 0)
			t->sockets[i].n_marked = waiting_max(t->sockets[i].fd);
	return true;
}

static bool udp_passed(struct transport *t, enum transport_mark kind)
{
	uint32_t i;

	(void)kind;

	for (i = 1; i < XSR_SERVICES_MAX; i++)
		if (t->sockets[i].fd >= 0 && t->sockets[i].n_marked)
			return false;
	return true;
}

static void udp_tick(struct transport *t)
{
	if (t->published)
		sockets_sync(t);
}

static const char *udp_mode_active(const struct transport *t)
{
	return t->select_fd >= 0 ? "udp by session" : "udp by address";
}

const struct transport_ops transport_udp = {
	.name = "udp",
	.open = udp_open,
	.close = udp_close,
	.publish = udp_publish,
	.withdraw = udp_withdraw,
	.recv = udp_recv,
	.release = udp_release,
	.reserve = udp_reserve,
	.submit = udp_submit,
	.wait = udp_wait,
	.mark = udp_mark,
	.passed = udp_passed,
	.tick = udp_tick,
	.mode_active = udp_mode_active,
};
