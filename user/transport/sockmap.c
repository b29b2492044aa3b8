/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* The connections of a sockmap: how they come, how they end, and the turn of its thread. */
#include <assert.h>
#include <errno.h>
#include <linux/sockios.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "sockmap_parts.h"

#define BACKLOG_HIGH (1u << 20)
#define BACKLOG_LOW (256u << 10)
#define BACKLOG_MAX (4u << 20)
#define RCVBUF (256u << 10)
#define HALF_FRAME_MS 60000
#define RUN_MAX (64u << 10)
#define REST_NS 100000000ULL /* longer than any run of a program */

uint64_t sockmap_now_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return ts.tv_sec * 1000000000ULL + ts.tv_nsec;
}

/* --- numbers of conns --- */

static bool rest_is_over(const struct sockmap *sm, const struct conn_rest *rest)
{
	return sockmap_now_ns() - rest->time_ns > REST_NS && sm->in_bytes >= rest->lane_to &&
	       counter_load(&sm->stream->conns[sm->lane.conn].passed) >= rest->lane_from;
}

/* 0 if there is none. */
static uint32_t conn_take(struct sockmap *sm)
{
	struct conn_rest *rest = &sm->rests[sm->rest_first];

	if (sm->conn_next < sm->conn_base + sm->conn_share)
		return sm->conn_next++;
	if (!sm->n_rests || !rest_is_over(sm, rest))
		return 0;
	sm->rest_first = (sm->rest_first + 1) % sm->conn_share;
	sm->n_rests--;
	return rest->conn;
}

static void conn_give(struct sockmap *sm, uint32_t conn)
{
	struct conn_rest *rest = &sm->rests[(sm->rest_first + sm->n_rests++) % sm->conn_share];

	assert(sm->n_rests <= sm->conn_share);
	*rest = (struct conn_rest){
		.conn = conn,
		.time_ns = sockmap_now_ns(),
		.lane_to = counter_load(&sm->stream->conns[sm->lane.conn].redirected),
		.lane_from = sm->out.n_bytes + sm->out.left + sm->out.name_left,
	};
}

struct sockmap_socket *sockmap_by_conn(struct sockmap *sm, uint32_t conn)
{
	if (conn < sm->conn_base || conn >= sm->conn_base + sm->conn_share)
		return NULL;
	return sm->sockets[conn - sm->conn_base];
}

/* --- a socket joins --- */

static int option_set(int fd, int level, int name, int value)
{
	return setsockopt(fd, level, name, &value, sizeof(value)) ? -errno : 0;
}

/* What came before was not seen by any program; this makes the kernel look. */
int socket_kick(struct sockmap_socket *s)
{
	return option_set(s->view.fd, SOL_SOCKET, SO_RCVLOWAT, 1);
}

/* The kernel holds a frame that is not whole yet in the receive buffer, with what memory it takes there. */
static int rcvbuf_set(struct sockmap_socket *s, uint32_t frame_max)
{
	uint32_t wished = s->sm->options.rcvbuf, needed = 2 * (frame_max + 4);
	int len = wished > needed ? wished : needed, got = 0;
	socklen_t size = sizeof(got);

	if (option_set(s->view.fd, SOL_SOCKET, SO_RCVBUFFORCE, len) && option_set(s->view.fd, SOL_SOCKET, SO_RCVBUF, len))
		return -errno;
	if (getsockopt(s->view.fd, SOL_SOCKET, SO_RCVBUF, &got, &size))
		return -errno;
	if (frame_max && (uint32_t)got < frame_max + 4)
		return -ENOBUFS;
	s->window = got;
	return 0;
}

static int timeout_set(const struct sockmap_socket *s)
{
	uint32_t ms = s->sm->options.half_frame_ms;
	struct timeval tv = { .tv_sec = ms / 1000, .tv_usec = ms % 1000 * 1000 };

	return setsockopt(s->view.fd, SOL_SOCKET, SO_RCVTIMEO, &tv, sizeof(tv)) ? -errno : 0;
}

/* While more comes it is looked again. That ends, as nobody reads. */
static int counters_begin(struct sockmap_socket *s)
{
	uint64_t before;
	uint8_t state;
	int unread = 0, ret = socket_info(s, &s->written_before, &s->received_before, &state);

	do {
		before = s->received_before;
		if (!ret && ioctl(s->view.fd, SIOCINQ, &unread))
			ret = -errno;
		if (!ret)
			ret = socket_info(s, &s->written_before, &s->received_before, &state);
	} while (!ret && s->received_before != before);
	s->received_before -= unread + socket_fin_counts(state);
	return ret;
}

static void conn_set(struct sockmap_socket *s, uint32_t frame_max)
{
	static const enum xsr_conn_kind kinds[] = { XSR_CONN_CLIENT, XSR_CONN_LINK, XSR_CONN_PAIR };

	*conn_of(s) = (struct xsr_conn){
		.kind = s == &s->sm->lane ? XSR_CONN_LANE : kinds[s->view.kind],
		.service = s->view.service,
		.frame_max = frame_max,
		.run_max = frame_max + 4 > RUN_MAX ? frame_max + 4 : RUN_MAX,
		.worker = s->sm->options.worker,
		.lane = s->sm->lane.conn,
		.written_before = s->written_before,
		.waiting_high = s->sm->options.backlog_high,
		.waiting_low = s->sm->options.backlog_low,
		.waiting_max = s->sm->options.backlog_max,
	};
	if (conn_of(s)->run_max > s->window)
		conn_of(s)->run_max = s->window;
}

/* The socket's own numbers and options, and its place among the targets. s->conn and s->view are set. */
static int socket_begin(struct sockmap_socket *s, uint32_t frame_max)
{
	socklen_t size = sizeof(s->cookie);
	int ret;

	if (getsockopt(s->view.fd, SOL_SOCKET, SO_COOKIE, &s->cookie, &size))
		return -errno;
	ret = rcvbuf_set(s, frame_max);
	if (!ret && s->view.kind == SOCKMAP_CLIENT && s != &s->sm->lane)
		ret = timeout_set(s);
	if (!ret)
		ret = counters_begin(s);
	if (ret)
		return ret;
	conn_set(s, frame_max);
	ret = stream_cookie_set(s->sm->stream, s->cookie, s->conn);
	if (ret)
		return ret;
	ret = stream_target_insert(s->sm->stream, s->conn, s->view.fd);
	if (ret)
		stream_cookie_delete(s->sm->stream, s->cookie);
	return ret;
}

int socket_open(struct sockmap *sm, struct sockmap_socket *s, int fd, uint32_t frame_max)
{
	int ret;

	s->sm = sm;
	s->conn = conn_take(sm);
	if (!s->conn)
		return -ENFILE;
	s->view.fd = fd;
	LIST_INIT(&s->flows);
	ret = socket_begin(s, frame_max);
	if (ret)
		conn_give(sm, s->conn);
	return ret;
}

int sockmap_add(struct sockmap *sm, int fd, enum sockmap_kind kind, uint32_t service, uint32_t frame_max, void *owner,
		struct sockmap_socket **out)
{
	struct sockmap_socket *s = calloc(1, sizeof(*s));
	int ret;

	if (!s)
		return -ENOMEM;
	s->view = (struct sockmap_view){ .fd = fd, .kind = kind, .service = service, .owner = owner };
	ret = socket_open(sm, s, fd, frame_max);
	if (ret) {
		free(s);
		return ret;
	}
	LIST_INSERT_HEAD(&sm->all, s, all);
	sm->sockets[s->conn - sm->conn_base] = s;
	*out = s;
	return 0;
}

void sockmap_pair(struct sockmap_socket *a, struct sockmap_socket *b)
{
	assert(a->view.kind == SOCKMAP_PAIR && b->view.kind == SOCKMAP_PAIR && !a->started && !b->started);
	a->peer = b;
	b->peer = a;
	conn_of(a)->peer = b->conn;
	conn_of(b)->peer = a->conn;
}

int sockmap_start(struct sockmap_socket *s)
{
	enum xsr_stream_mode mode = s->view.kind == SOCKMAP_PAIR ? XSR_STREAM_SPLICE : XSR_STREAM_FRAMES;
	int ret = stream_source_insert(s->sm->stream, mode, s->conn, s->view.fd);

	if (ret)
		return ret;
	s->started = true;
	return socket_kick(s);
}

/* Nothing leads to it any more. */
static void socket_detach(struct sockmap_socket *s)
{
	struct flow_node *node;

	__atomic_store_n(&conn_of(s)->gone, 1, __ATOMIC_SEQ_CST);
	while ((node = LIST_FIRST(&s->flows)))
		flow_detach(node->flow, s);
	if (s->peer) {
		brake_set(&s->on_peer, NULL, BRAKE_OFF);
		brake_set(&s->peer->on_peer, NULL, BRAKE_OFF);
		s->peer->peer = NULL;
	}
	socket_unwatch(s);
	lane_forget(s->sm, s);
	stream_cookie_delete(s->sm->stream, s->cookie);
}

static void socket_free(struct sockmap_socket *s)
{
	struct sockmap *sm = s->sm;

	conn_give(sm, s->conn);
	LIST_REMOVE(s, all);
	sm->sockets[s->conn - sm->conn_base] = NULL;
	free(s);
}

void sockmap_remove(struct sockmap_socket *s)
{
	socket_detach(s);
	close(s->view.fd);
	socket_free(s);
}

void sockmap_give_back(struct sockmap_socket *s)
{
	assert(!s->started);
	socket_detach(s);
	stream_target_delete(s->sm->stream, s->conn);
	socket_free(s);
}

const struct sockmap_view *sockmap_view(const struct sockmap_socket *s)
{
	return &s->view;
}

/* --- what is known of it --- */

uint64_t sockmap_redirected(const struct sockmap_socket *s)
{
	return counter_load(&conn_of(s)->redirected);
}

uint64_t sockmap_received(const struct sockmap_socket *s)
{
	return counter_load(&conn_of(s)->passed);
}

/* The programs run under the lock of the socket that they read, which is taken to tell of it: those that were under way then have ended. */
uint64_t sockmap_laned(const struct sockmap_socket *s)
{
	uint64_t written, received;

	socket_info(s, &written, &received, NULL);
	return counter_load(&conn_of(s)->laned);
}

bool sockmap_is_full(const struct sockmap_socket *s)
{
	return s->full;
}

bool sockmap_is_slowed(const struct sockmap_socket *s)
{
	return s->n_brakes;
}

void sockmap_choke(struct sockmap_socket *s, bool choked)
{
	__atomic_store_n(&conn_of(s)->waiting_max, choked ? UINT32_MAX : s->sm->options.backlog_max, __ATOMIC_RELAXED);
	brake_set(&s->for_choke, s, choked ? BRAKE_STOP : BRAKE_OFF);
}

size_t sockmap_pending(const struct sockmap_socket *s)
{
	return s->pending.len;
}

size_t sockmap_room(const struct sockmap *sm)
{
	return chunk_pool_room(sm->pool);
}

uint64_t sockmap_lane_taken(const struct sockmap_socket *s)
{
	return s->lane_taken;
}

/* --- the thread's turn --- */

static void defaults_set(struct sockmap_options *o)
{
	if (!o->backlog_high)
		o->backlog_high = BACKLOG_HIGH;
	if (!o->backlog_low)
		o->backlog_low = BACKLOG_LOW;
	if (!o->backlog_max)
		o->backlog_max = BACKLOG_MAX;
	if (!o->rcvbuf)
		o->rcvbuf = RCVBUF;
	if (!o->half_frame_ms)
		o->half_frame_ms = HALF_FRAME_MS;
}

static int tables_open(struct sockmap *sm)
{
	sm->conn_share = (sm->stream->sockets_max - XSR_CONN_FIRST) / sm->stream->n_workers;
	sm->conn_base = XSR_CONN_FIRST + sm->options.worker * sm->conn_share;
	sm->conn_next = sm->conn_base;
	sm->sockets = calloc(sm->conn_share, sizeof(*sm->sockets));
	sm->rests = calloc(sm->conn_share, sizeof(*sm->rests));
	sm->in = malloc(LANE_IN_MAX);
	if (!sm->sockets || !sm->rests || !sm->in)
		return -ENOMEM;
	return chunk_pool_open(&sm->pool, sm->options.memory_max);
}

static int watch_open(struct sockmap *sm)
{
	struct epoll_event event = { .events = EPOLLIN };
	int ret = stream_told_open(&sm->told, sm->stream, sm->options.worker, socket_told, sm);

	if (ret)
		return ret;
	sm->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
	if (sm->epoll_fd < 0 || epoll_ctl(sm->epoll_fd, EPOLL_CTL_ADD, stream_told_fd(sm->told), &event))
		return -errno;
	return 0;
}

int sockmap_open(struct sockmap **out, struct stream *stream, const struct sockmap_options *options, char why[STREAM_WHY_LEN])
{
	struct sockmap *sm = calloc(1, sizeof(*sm));
	int ret;

	if (!sm)
		return -ENOMEM;
	assert(options->worker < stream->n_workers);
	*sm = (struct sockmap){ .stream = stream, .options = *options, .epoll_fd = -1, .lane_fd = -1 };
	sm->lane.view.fd = -1;
	defaults_set(&sm->options);
	TAILQ_INIT(&sm->ready);
	TAILQ_INIT(&sm->watched);
	TAILQ_INIT(&sm->moving);
	*why = '\0';
	ret = tables_open(sm);
	if (!ret)
		ret = flows_open(sm);
	if (!ret)
		ret = watch_open(sm);
	if (!ret)
		ret = lane_open(sm, why);
	if (ret) {
		if (!*why)
			snprintf(why, STREAM_WHY_LEN, "cannot open worker %u's share of the streams: %s", options->worker, strerror(-ret));
		sockmap_close(sm);
		return ret;
	}
	*out = sm;
	return 0;
}

void sockmap_close(struct sockmap *sm)
{
	struct sockmap_socket *s;

	if (!sm)
		return;
	while ((s = LIST_FIRST(&sm->all)))
		sockmap_remove(s);
	flows_close(sm);
	lane_close(sm);
	stream_told_close(sm->told);
	if (sm->epoll_fd >= 0)
		close(sm->epoll_fd);
	if (sm->pool)
		chunk_pool_close(sm->pool);
	free(sm->in);
	free(sm->rests);
	free(sm->sockets);
	free(sm);
}

int sockmap_fd(const struct sockmap *sm)
{
	return sm->epoll_fd;
}

bool sockmap_busy(const struct sockmap *sm)
{
	return sm->in_stuck || !TAILQ_EMPTY(&sm->ready) || !TAILQ_EMPTY(&sm->watched) || !TAILQ_EMPTY(&sm->moving);
}

int sockmap_poll(struct sockmap *sm)
{
	int ret;

	stream_told_read(sm->told);
	ret = lane_read(sm);
	if (ret)
		return ret;
	pace_poll(sm);
	flows_poll(sm);
	return lane_write(sm);
}

void sockmap_stats(const struct sockmap *sm, struct sockmap_stats *stats)
{
	const struct sockmap_socket *s;

	*stats = sm->stats;
	LIST_FOREACH(s, &sm->all, all)
		stats->dropped += counter_load(&conn_of(s)->dropped);
}
