/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#include "udp_load.h"

#include <endian.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "frame.h"

#define NS_PER_S 1000000000ULL
#define BATCH 64
#define SOCKET_BUFFER (16 << 20)
#define OLD_MAX 256		    /* replaced sockets that still listen for late answers */
#define OLD_NS (2 * NS_PER_S)	    /* for so long */
#define REPORT_NS (NS_PER_S / 4)
#define FRAME_LEN_MAX 2048

struct old_socket {
	int fd;
	uint64_t close_ns;
};

/* Messages of one socket that go out by one system call. */
struct send_batch {
	struct mmsghdr headers[BATCH];
	struct iovec iovs[BATCH];
	uint8_t frames[BATCH][FRAME_LEN_MAX];
	unsigned int n;
};

struct load {
	const struct udp_load_config *c;
	struct udp_load_result *r;
	int epoll_fd;
	int *sockets;
	struct send_batch *batches; /* by socket */
	struct old_socket old[OLD_MAX];
	unsigned int next_old;
	uint32_t next_session, next_roam;
	uint64_t *seqs;	      /* last sent, by session */
	uint64_t *last_seen;  /* highest answered, by session */
	uint16_t *generations; /* last seen, by session */
	uint8_t *answered;    /* a bit for each message: session * stride + seq */
	uint64_t stride;
};

static uint64_t now_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return ts.tv_sec * NS_PER_S + ts.tv_nsec;
}

static int socket_open(struct load *l)
{
	const int size = SOCKET_BUFFER;
	struct epoll_event event = { .events = EPOLLIN };
	socklen_t len = l->c->address.ss_family == AF_INET6 ? sizeof(struct sockaddr_in6) : sizeof(struct sockaddr_in);
	int fd = socket(l->c->address.ss_family, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

	if (fd < 0)
		return -errno;
	setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &size, sizeof(size));
	setsockopt(fd, SOL_SOCKET, SO_SNDBUFFORCE, &size, sizeof(size));
	event.data.fd = fd;
	if (connect(fd, (const struct sockaddr *)&l->c->address, len) ||
	    epoll_ctl(l->epoll_fd, EPOLL_CTL_ADD, fd, &event)) {
		int ret = -errno;

		close(fd);
		return ret;
	}
	return fd;
}

static void load_close(struct load *l)
{
	unsigned int i;

	for (i = 0; l->sockets && i < l->c->n_sockets; i++)
		if (l->sockets[i] >= 0)
			close(l->sockets[i]);
	for (i = 0; i < OLD_MAX; i++)
		if (l->old[i].fd >= 0)
			close(l->old[i].fd);
	if (l->epoll_fd >= 0)
		close(l->epoll_fd);
	free(l->sockets);
	free(l->batches);
	free(l->seqs);
	free(l->last_seen);
	free(l->generations);
	free(l->answered);
	free(l);
}

static int load_open(struct load **out, const struct udp_load_config *c, struct udp_load_result *r)
{
	struct load *l = calloc(1, sizeof(*l));
	unsigned int i;

	if (!l)
		return -ENOMEM;
	l->c = c;
	l->r = r;
	for (i = 0; i < OLD_MAX; i++)
		l->old[i].fd = -1;
	l->stride = (uint64_t)(c->rate * c->seconds) / c->n_sessions + 2;
	l->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
	l->sockets = calloc(c->n_sockets, sizeof(*l->sockets));
	l->batches = calloc(c->n_sockets, sizeof(*l->batches));
	l->seqs = calloc(c->n_sessions, sizeof(*l->seqs));
	l->last_seen = calloc(c->n_sessions, sizeof(*l->last_seen));
	l->generations = calloc(c->n_sessions, sizeof(*l->generations));
	l->answered = calloc(l->stride * c->n_sessions / 8 + 1, 1);
	if (l->epoll_fd < 0 || !l->sockets || !l->batches || !l->seqs || !l->last_seen || !l->generations ||
	    !l->answered) {
		load_close(l);
		return -ENOMEM;
	}
	memset(l->sockets, 0xff, c->n_sockets * sizeof(*l->sockets));
	*out = l;
	return 0;
}

static int sockets_open(struct load *l)
{
	unsigned int i;

	for (i = 0; i < l->c->n_sockets; i++) {
		l->sockets[i] = socket_open(l);
		if (l->sockets[i] < 0)
			return l->sockets[i];
	}
	return 0;
}

static void old_close(struct old_socket *old)
{
	if (old->fd >= 0)
		close(old->fd);
	old->fd = -1;
}

/* The next socket in turn gets a new port; the old one stays open for answers under way. */
static void roam(struct load *l, uint64_t now)
{
	struct old_socket *old = &l->old[l->next_old];
	uint32_t i = l->next_roam;
	int fd = socket_open(l);

	if (fd < 0)
		return;
	old_close(old);
	*old = (struct old_socket){ .fd = l->sockets[i], .close_ns = now + OLD_NS };
	l->sockets[i] = fd;
	l->next_old = (l->next_old + 1) % OLD_MAX;
	l->next_roam = (i + 1) % l->c->n_sockets;
	l->r->n_roamed++;
}

static void old_expire(struct load *l, uint64_t now)
{
	unsigned int i;

	for (i = 0; i < OLD_MAX; i++)
		if (l->old[i].fd >= 0 && l->old[i].close_ns <= now)
			old_close(&l->old[i]);
}

/* What the kernel takes counts as sent; what it refuses is tried again, so a number is never skipped. */
static void batch_flush(struct load *l, unsigned int socket)
{
	struct send_batch *b = &l->batches[socket];
	unsigned int done = 0;

	while (done < b->n) {
		int sent = sendmmsg(l->sockets[socket], b->headers + done, b->n - done, 0);

		if (sent > 0) {
			done += sent;
			l->r->sent += sent;
		} else if (errno == ECONNREFUSED) {
			continue; /* an ICMP answer to an earlier message, told once */
		} else if (errno != EAGAIN && errno != ENOBUFS && errno != EINTR) {
			l->r->send_errors += b->n - done;
			l->r->sent += b->n - done; /* they will be missed as lost: the numbers are used up */
			break;
		}
	}
	b->n = 0;
}

static void ping_write(const struct udp_load_config *c, uint8_t *at, uint64_t id, uint64_t seq)
{
	struct xsr_frame *frame = (struct xsr_frame *)at;
	struct xsr_frame_perf *perf = (struct xsr_frame_perf *)(frame + 1);

	memset(at, seq & 0xff, c->len);
	memset(perf, 0, sizeof(*perf));
	*frame = (struct xsr_frame){
		.len = htobe32(c->len - 4),
		.version = XSR_FRAME_VERSION,
		.type = XSR_FRAME_PERF_PING,
		.id = htobe64(id),
		.seq = htobe64(seq),
	};
	perf->t1_ns = htobe64(now_ns());
}

static void message_send(struct load *l)
{
	uint32_t session = l->next_session, socket = session % l->c->n_sockets;
	struct send_batch *b = &l->batches[socket];

	l->next_session = (session + 1) % l->c->n_sessions;
	ping_write(l->c, b->frames[b->n], l->c->first_id + session, ++l->seqs[session]);
	b->iovs[b->n] = (struct iovec){ b->frames[b->n], l->c->len };
	b->headers[b->n].msg_hdr = (struct msghdr){ .msg_iov = &b->iovs[b->n], .msg_iovlen = 1 };
	if (++b->n == BATCH)
		batch_flush(l, socket);
}

static bool answer_is_known(const struct load *l, const struct xsr_frame *f, size_t len)
{
	uint64_t session = be64toh(f->id) - l->c->first_id;

	return len == l->c->len && f->type == XSR_FRAME_PERF_PONG && session < l->c->n_sessions &&
	       be64toh(f->seq) - 1 < l->seqs[session];
}

static void owner_check(struct load *l, uint64_t session, const struct xsr_frame_perf *perf)
{
	uint16_t worker = be16toh(perf->owner_worker), generation = be16toh(perf->generation);

	if (worker < XSR_WORKERS_MAX)
		l->r->by_worker[worker]++;
	if (!l->c->n_owners)
		return;
	if (!generation || worker != (l->c->first_id + session + generation - 1) % l->c->n_owners)
		l->r->misrouted++;
	if (l->generations[session] && generation > l->generations[session])
		l->r->n_generations += generation - l->generations[session];
	if (generation > l->generations[session])
		l->generations[session] = generation;
}

static void answer_check(struct load *l, const uint8_t *data, size_t len)
{
	const struct xsr_frame *f = (const struct xsr_frame *)data;
	uint64_t session, seq, bit;

	if (!answer_is_known(l, f, len)) {
		l->r->unknown++;
		return;
	}
	session = be64toh(f->id) - l->c->first_id;
	seq = be64toh(f->seq);
	bit = session * l->stride + seq;
	if (l->answered[bit / 8] >> (bit % 8) & 1) {
		l->r->duplicated++;
		return;
	}
	l->answered[bit / 8] |= 1 << (bit % 8);
	l->r->received++;
	if (seq < l->last_seen[session])
		l->r->reordered++;
	else
		l->last_seen[session] = seq;
	owner_check(l, session, (const struct xsr_frame_perf *)(f + 1));
}

static void socket_receive(struct load *l, int fd)
{
	static uint8_t data[BATCH][FRAME_LEN_MAX];
	struct mmsghdr headers[BATCH] = {};
	struct iovec iovs[BATCH];
	int i, n;

	for (i = 0; i < BATCH; i++) {
		iovs[i] = (struct iovec){ data[i], FRAME_LEN_MAX };
		headers[i].msg_hdr = (struct msghdr){ .msg_iov = &iovs[i], .msg_iovlen = 1 };
	}
	n = recvmmsg(fd, headers, BATCH, MSG_DONTWAIT, NULL);
	for (i = 0; i < n; i++)
		answer_check(l, data[i], headers[i].msg_len);
}

static void receive(struct load *l, int timeout_ms)
{
	struct epoll_event events[64];
	int i, n = epoll_wait(l->epoll_fd, events, 64, timeout_ms);

	for (i = 0; i < n; i++)
		socket_receive(l, events[i].data.fd);
}

static void send_due(struct load *l, uint64_t due)
{
	unsigned int i;
	uint64_t k, now = 0;

	for (i = 0; i < l->c->n_sockets; i++)
		now += l->batches[i].n;
	for (k = l->r->sent + now; k < due; k++)
		message_send(l);
	for (i = 0; i < l->c->n_sockets; i++)
		batch_flush(l, i);
}

struct reporter {
	void (*fn)(const struct udp_load_result *result, double elapsed_s, void *arg);
	void *arg;
	uint64_t next_ns;
};

static void report(struct load *l, struct reporter *rep, uint64_t start, uint64_t now)
{
	if (!rep->fn || now < rep->next_ns)
		return;
	rep->next_ns = now + REPORT_NS;
	rep->fn(l->r, (now - start) / (double)NS_PER_S, rep->arg);
}

static void load_loop(struct load *l, const volatile bool *stop, struct reporter *rep)
{
	uint64_t start = now_ns(), end = start + l->c->seconds * NS_PER_S, now = start;
	uint64_t roam_ns = (uint64_t)l->c->roam_ms * 1000000, next_roam = start + roam_ns;
	uint64_t total = l->c->rate * l->c->seconds, due = 0;

	while (now < end && due < total && !*stop) {
		now = now_ns();
		due = (now - start) / (double)NS_PER_S * l->c->rate;
		send_due(l, due < total ? due : total);
		receive(l, 1);
		if (roam_ns && now >= next_roam) {
			roam(l, now);
			next_roam += roam_ns;
		}
		old_expire(l, now);
		report(l, rep, start, now);
	}
	l->r->seconds = (now - start) / (double)NS_PER_S;
	end = now_ns() + l->c->drain_s * NS_PER_S;
	while (l->r->received < l->r->sent && now_ns() < end)
		receive(l, 1);
	receive(l, 50); /* time for a duplicate of the last ones to show */
	l->r->lost = l->r->sent - l->r->received;
}

int udp_load_run(const struct udp_load_config *config, struct udp_load_result *result, const volatile bool *stop,
		 void (*report_fn)(const struct udp_load_result *result, double elapsed_s, void *arg), void *arg)
{
	struct reporter rep = { .fn = report_fn, .arg = arg };
	struct load *l;
	int ret;

	memset(result, 0, sizeof(*result));
	ret = load_open(&l, config, result);
	if (ret)
		return ret;
	ret = sockets_open(l);
	if (!ret)
		load_loop(l, stop, &rep);
	load_close(l);
	return ret;
}
