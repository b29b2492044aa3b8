/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The lane: a TCP connection of this host, one end in the kernel's maps, the other read and written here. What the programs send to it is
 * the slow lane; what is written to it they inject into the connection that was named last.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "sockmap_parts.h"

#define LANE_FRAME_MAX (1u << 20)
#define LANE_BUF (1u << 20)
#define LANE_TURN_MAX (4u << 20) /* bytes read in one turn, so that others of the thread get theirs */
#define PIECE_VECTORS 18
#define CONNECT_S 1 /* to this host itself, where nobody is slow */

/* --- opening --- */

/* Two connected sockets. Another process could reach the port first: then the ends do not name each other. */
int socket_pair(int fds[2])
{
	struct sockaddr_in addr = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) }, own, peer;
	socklen_t len = sizeof(addr), own_len = sizeof(own), peer_len = sizeof(peer);
	const struct timeval patience = { .tv_sec = CONNECT_S };
	int listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), ret = 0;

	fds[0] = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	fds[1] = -1;
	setsockopt(fds[0], SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof(patience));
	if (listener < 0 || fds[0] < 0 || bind(listener, (struct sockaddr *)&addr, sizeof(addr)) || listen(listener, 1) ||
	    getsockname(listener, (struct sockaddr *)&addr, &len) || connect(fds[0], (struct sockaddr *)&addr, sizeof(addr)))
		ret = errno == EINPROGRESS ? -ETIMEDOUT : -errno;
	if (!ret)
		fds[1] = accept4(listener, (struct sockaddr *)&peer, &peer_len, SOCK_CLOEXEC);
	if (!ret && (fds[1] < 0 || getsockname(fds[0], (struct sockaddr *)&own, &own_len)))
		ret = -errno;
	if (!ret && own.sin_port != peer.sin_port)
		ret = -EADDRINUSE;
	if (listener >= 0)
		close(listener);
	return ret;
}

static void lane_options(int fd)
{
	int on = 1, len = LANE_BUF;

	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
	setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &len, sizeof(len));
}

static int lane_join(struct sockmap *sm, int fd)
{
	struct epoll_event event = { .events = EPOLLIN };
	int ret = socket_open(sm, &sm->lane, fd, LANE_FRAME_MAX);

	if (ret)
		return ret;
	conn_of(&sm->lane)->lane = sm->lane.conn;
	ret = sm->stream->works[XSR_STREAM_FRAMES] ? sockmap_start(&sm->lane) : 0;
	if (!ret && epoll_ctl(sm->epoll_fd, EPOLL_CTL_ADD, sm->lane_fd, &event))
		ret = -errno;
	return ret;
}

int lane_open(struct sockmap *sm, char why[STREAM_WHY_LEN])
{
	int fds[2], ret = socket_pair(fds);

	sm->lane_fd = fds[0];
	sm->lane.view.fd = fds[1];
	if (!ret) {
		lane_options(fds[0]);
		lane_options(fds[1]);
		ret = lane_join(sm, fds[1]);
	}
	if (ret)
		snprintf(why, STREAM_WHY_LEN, "cannot connect to this host itself, through 127.0.0.1, for the slow lane: %s; is lo up?",
			 strerror(-ret));
	return ret;
}

void lane_close(struct sockmap *sm)
{
	if (sm->lane.cookie)
		stream_cookie_delete(sm->stream, sm->lane.cookie);
	if (sm->lane.view.fd >= 0)
		close(sm->lane.view.fd);
	if (sm->lane_fd >= 0)
		close(sm->lane_fd);
}

/* --- the slow lane: reading --- */

static void frame_deliver(struct sockmap *sm, struct sockmap_socket *from, struct sockmap_frame *frame)
{
	frame->from = from;
	frame->flow = sockmap_flow_find(sm, from->view.service, be64_to_host(frame->header->id));
	sm->options.events->frame(frame, sm->options.arg);
}

/* False if it must come again later: there is no memory to hold it. */
static bool frame_take(struct sockmap *sm, struct xsr_frame *header, size_t len)
{
	struct sockmap_frame frame = { .header = header, .data = header, .len = len };
	struct sockmap_socket *from;

	sm->stats.lane_frames++;
	if (header->type == FRAME_FLIP) {
		flow_flipped(sm, header);
		return true;
	}
	if (sm->mark.held && !flow_held(sm, sm->mark.conn, &frame))
		return false;
	from = sockmap_by_conn(sm, sm->mark.conn);
	if (!from) /* it was removed meanwhile */
		return true;
	from->lane_taken += len;
	if (!sm->mark.held)
		frame_deliver(sm, from, &frame);
	return true;
}

/* Frames that are whole, from the start of what was read; how many bytes they are. */
static size_t frames_take(struct sockmap *sm)
{
	size_t at = 0, len;

	while (!sm->in_stuck && sm->in_len - at >= XSR_FRAME_HEADER_LEN) {
		struct xsr_frame *header = (void *)(sm->in + at);

		/* The header is as it was after this, also if the frame is not whole yet: the mark is kept. */
		mark_take(header, &sm->mark);
		len = 4 + be32_to_host(header->len);
		if (sm->in_len - at < len)
			break;
		sm->in_stuck = !frame_take(sm, header, len);
		if (!sm->in_stuck)
			at += len;
	}
	return at;
}

static void in_drop(struct sockmap *sm, size_t len)
{
	sm->in_len -= len;
	sm->in_bytes += len;
	sm->stats.lane_bytes += len;
	memmove(sm->in, sm->in + len, sm->in_len);
}

int lane_read(struct sockmap *sm)
{
	size_t turn = 0;
	ssize_t n;

	sm->in_stuck = false;
	in_drop(sm, frames_take(sm));
	while (!sm->in_stuck && turn < LANE_TURN_MAX) {
		n = recv(sm->lane_fd, sm->in + sm->in_len, LANE_IN_MAX - sm->in_len, MSG_DONTWAIT);
		if (n < 0)
			return errno == EAGAIN || errno == EINTR ? 0 : -errno;
		if (n == 0)
			return -EPIPE;
		turn += n;
		sm->in_len += n;
		in_drop(sm, frames_take(sm));
	}
	return 0;
}

/* --- injecting: writing --- */

void socket_ready(struct sockmap_socket *s)
{
	if (s->ready)
		return;
	s->ready = true;
	TAILQ_INSERT_TAIL(&s->sm->ready, s, in_ready);
}

static void socket_unready(struct sockmap_socket *s)
{
	if (!s->ready)
		return;
	s->ready = false;
	TAILQ_REMOVE(&s->sm->ready, s, in_ready);
}

/* A piece that is half written must be written to its end, or all that follows would be torn. */
void lane_forget(struct sockmap *sm, struct sockmap_socket *s)
{
	socket_unready(s);
	if (sm->out.to == s && sm->out.left) {
		chunk_join(&sm->out.rest, &s->pending);
		sm->out.to = NULL;
		return;
	}
	chunk_drop(sm->pool, &s->pending, s->pending.len);
}

/* Whole frames of what is pending: as many as make a piece, one at least. */
static size_t piece_len(const struct chunk_queue *q)
{
	size_t at = 0;
	__be32 len;

	while (at < q->len && at < LANE_PIECE_MAX) {
		chunk_copy(q, at, &len, sizeof(len));
		at += 4 + be32_to_host(len);
	}
	return at;
}

static void piece_name(struct lane_writer *out, uint32_t conn)
{
	out->name.w[0] = be64_to_host((uint64_t)XSR_FRAME_LEN_MIN << 32 | (uint64_t)XSR_FRAME_VERSION << 24 | FRAME_TARGET << 16);
	out->name.w[1] = be64_to_host((uint64_t)conn);
	out->name.w[2] = 0;
	out->name_left = sizeof(out->name);
	out->named = conn;
}

/* The next that has room. Nobody's frames wait for another's. */
static bool piece_begin(struct sockmap *sm)
{
	struct lane_writer *out = &sm->out;
	struct sockmap_socket *s;

	TAILQ_FOREACH(s, &sm->ready, in_ready)
		if (!s->full)
			break;
	if (!s)
		return false;
	TAILQ_REMOVE(&sm->ready, s, in_ready);
	TAILQ_INSERT_TAIL(&sm->ready, s, in_ready);
	out->to = s;
	out->left = piece_len(&s->pending);
	if (out->named != s->conn)
		piece_name(out, s->conn);
	return true;
}

static void piece_wrote(struct sockmap *sm, size_t n)
{
	struct lane_writer *out = &sm->out;
	struct chunk_queue *q = out->to ? &out->to->pending : &out->rest;
	size_t of_name = n < out->name_left ? n : out->name_left;

	out->n_bytes += n;
	out->name_left -= of_name;
	out->left -= n - of_name;
	chunk_drop(sm->pool, q, n - of_name);
	if (out->left)
		return;
	if (!out->to)
		chunk_drop(sm->pool, q, q->len);
	else if (!q->len)
		socket_unready(out->to);
	/* What is injected is a backlog as any other, and nothing else may look at it soon. */
	if (out->to)
		socket_watch(out->to);
}

static ssize_t piece_write(struct sockmap *sm)
{
	struct lane_writer *out = &sm->out;
	struct iovec iov[PIECE_VECTORS];
	struct msghdr msg = { .msg_iov = iov, .msg_iovlen = 1 };

	iov[0].iov_base = (char *)&out->name + sizeof(out->name) - out->name_left;
	iov[0].iov_len = out->name_left;
	msg.msg_iovlen += chunk_vectors(out->to ? &out->to->pending : &out->rest, iov + 1, PIECE_VECTORS - 1, out->left);
	return sendmsg(sm->lane_fd, &msg, MSG_DONTWAIT | MSG_NOSIGNAL);
}

/* Whether to be woken when the lane takes more. */
static void lane_block(struct sockmap *sm, bool blocked)
{
	struct epoll_event event = { .events = EPOLLIN | (blocked ? EPOLLOUT : 0) };

	if (sm->out.blocked != blocked)
		epoll_ctl(sm->epoll_fd, EPOLL_CTL_MOD, sm->lane_fd, &event);
	sm->out.blocked = blocked;
}

int lane_write(struct sockmap *sm)
{
	bool blocked = false;
	ssize_t n;

	while (sm->out.left || piece_begin(sm)) {
		n = piece_write(sm);
		blocked = n < 0 && (errno == EAGAIN || errno == EINTR);
		if (n < 0 && !blocked)
			return -errno;
		if (blocked)
			break;
		piece_wrote(sm, n);
	}
	lane_block(sm, blocked);
	return 0;
}

static int submit(struct sockmap_socket *to, size_t len)
{
	to->submitted += len;
	socket_ready(to);
	return lane_write(to->sm);
}

int sockmap_send(struct sockmap_socket *to, const void *data, size_t len)
{
	return chunk_append(to->sm->pool, &to->pending, data, len) ? submit(to, len) : -EAGAIN;
}

int sockmap_send_queue(struct sockmap_socket *to, const struct chunk_queue *from, size_t len)
{
	return chunk_append_queue(to->sm->pool, &to->pending, from, len) ? submit(to, len) : -EAGAIN;
}
