/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The peers without xsr: one kernel socket, many datagrams a system call, no memory taken per message.
 * With handoff, one thread receives and another one serves; both share the core that a worker of xsr has
 * alone.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "frame.h"
#include "server.h"
#include "wake_queue.h"

#define BATCH 64
#define BUFFERS 4096
#define BUFFER_LEN 2048
#define SOCKET_BUFFER (4 << 20)

struct buffer {
	struct sockaddr_in from;
	unsigned int len;
	uint8_t data[BUFFER_LEN];
};

/* Of one thread. */
struct batch {
	struct buffer *buffers[BATCH];
	struct iovec iovs[BATCH];
	struct mmsghdr headers[BATCH];
	unsigned int n;
};

struct server {
	const struct server_params *p;
	struct child_report *report;
	int fd, epoll_fd;
	struct buffer *buffers;
	struct wake_queue *received, *unused; /* with handoff: to the serving thread, and back */
};

static void header_set(struct batch *b, unsigned int i, unsigned int len)
{
	b->iovs[i] = (struct iovec){ b->buffers[i]->data, len };
	b->headers[i].msg_hdr = (struct msghdr){
		.msg_name = &b->buffers[i]->from,
		.msg_namelen = sizeof(b->buffers[i]->from),
		.msg_iov = &b->iovs[i],
		.msg_iovlen = 1,
	};
}

/*
 * All BATCH slots have a buffer; those that were used last time, b->n, are made ready again. 0 after a
 * signal. Asks before it sleeps.
 */
static int batch_receive(struct server *s, struct batch *b)
{
	struct epoll_event event;
	unsigned int i;
	int n = -1;

	for (i = 0; i < b->n; i++)
		header_set(b, i, BUFFER_LEN);
	while (n < 0 && !child_stopping(s->report)) {
		n = recvmmsg(s->fd, b->headers, BATCH, MSG_DONTWAIT, NULL);
		if (n < 0 && s->p->wait == SERVER_SLEEP)
			epoll_wait(s->epoll_fd, &event, 1, -1);
	}
	b->n = n < 0 ? 0 : n;
	for (i = 0; i < b->n; i++)
		b->buffers[i]->len = b->headers[i].msg_len;
	return b->n;
}

static void batch_answer(struct server *s, struct batch *b)
{
	unsigned int i;
	int sent = 0;

	for (i = 0; i < b->n; i++) {
		((struct xsr_frame *)b->buffers[i]->data)->type = XSR_FRAME_ECHO_REP;
		header_set(b, i, b->buffers[i]->len);
	}
	for (i = 0; i<b->n; i += sent> 0 ? sent : 1) /* a datagram that is refused is left behind */
		sent = sendmmsg(s->fd, b->headers + i, b->n - i, MSG_DONTWAIT);
}

static void batch_serve(struct server *s, struct batch *b)
{
	if (s->p->echo)
		batch_answer(s, b);
	atomic_fetch_add_explicit(&s->report->n_messages, b->n, memory_order_relaxed);
}

static void batch_fill(struct batch *b, struct buffer *buffers)
{
	for (b->n = 0; b->n < BATCH; b->n++)
		b->buffers[b->n] = &buffers[b->n];
}

static void serve(struct server *s)
{
	struct batch b;

	batch_fill(&b, s->buffers);
	while (!child_stopping(s->report))
		if (batch_receive(s, &b))
			batch_serve(s, &b);
}

/* The thread that owns the sessions. */
static void *owner_main(void *arg)
{
	struct server *s = arg;
	struct batch b;

	while (!child_stopping(s->report)) {
		b.n = wake_queue_take(s->received, (void **)b.buffers, BATCH);
		if (!b.n)
			continue;
		batch_serve(s, &b);
		wake_queue_put(s->unused, (void **)b.buffers, b.n);
	}
	return NULL;
}

static void batch_hand_over(struct server *s, struct batch *b)
{
	unsigned int i, step = s->p->handoff == SERVER_HANDOFF_EACH ? 1 : b->n;

	for (i = 0; i < b->n; i += step)
		wake_queue_put(s->received, (void **)b->buffers + i, step);
}

/* The thread that receives: hands over full buffers, and takes as many unused ones, or waits for them. */
static void receive_and_hand_over(struct server *s)
{
	struct batch b;
	unsigned int i;

	batch_fill(&b, s->buffers);
	while (!child_stopping(s->report)) {
		if (!batch_receive(s, &b))
			continue;
		batch_hand_over(s, &b);
		for (i = 0; i < b.n && !child_stopping(s->report);)
			i += wake_queue_take(s->unused, (void **)b.buffers + i, b.n - i);
	}
}

static int serve_by_two(struct server *s)
{
	pthread_t owner;
	int i, ret;

	ret = wake_queue_open(&s->received, BUFFERS);
	if (!ret)
		ret = wake_queue_open(&s->unused, BUFFERS);
	for (i = BATCH; i < BUFFERS && !ret; i++) /* the first are the receiver's */
		wake_queue_put(s->unused, (void *[]){ &s->buffers[i] }, 1);
	if (!ret)
		ret = -pthread_create(&owner, NULL, owner_main, s);
	if (ret)
		return ret;
	receive_and_hand_over(s);
	_exit(0); /* the owner may sleep: it goes with the process */
}

static int socket_open(struct server *s)
{
	struct sockaddr_in addr = { .sin_family = AF_INET, .sin_port = htons(s->p->port) };
	struct epoll_event event = { .events = EPOLLIN };
	const int size = SOCKET_BUFFER;

	s->fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	s->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
	if (s->fd < 0 || s->epoll_fd < 0)
		return -errno;
	setsockopt(s->fd, SOL_SOCKET, SO_RCVBUFFORCE, &size, sizeof(size));
	setsockopt(s->fd, SOL_SOCKET, SO_SNDBUFFORCE, &size, sizeof(size));
	if (bind(s->fd, (struct sockaddr *)&addr, sizeof(addr)) ||
	    epoll_ctl(s->epoll_fd, EPOLL_CTL_ADD, s->fd, &event))
		return -errno;
	return 0;
}

/* "udp spin", "udp epoll handoff". */
static void mode_say(const struct server *s)
{
	static const char *const handoffs[] = {
		[SERVER_HANDOFF_NONE] = "",
		[SERVER_HANDOFF_EACH] = " handoff",
		[SERVER_HANDOFF_BATCH] = " batch handoff",
	};
	char mode[CHILD_MODE_LEN];

	snprintf(mode, sizeof(mode), "udp %s%s", s->p->wait == SERVER_SPIN ? "spin" : "epoll",
		 handoffs[s->p->handoff]);
	child_ready(s->report, mode);
}

int server_udp_main(struct child_report *report, const void *arg)
{
	struct server s = { .p = arg, .report = report };
	int ret = socket_open(&s);

	s.buffers = calloc(BUFFERS, sizeof(*s.buffers));
	if (!ret && !s.buffers)
		ret = -ENOMEM;
	if (ret)
		return ret;
	mode_say(&s);
	if (s.p->handoff != SERVER_HANDOFF_NONE)
		return serve_by_two(&s);
	serve(&s);
	return 0;
}
