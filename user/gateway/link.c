/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#include "link.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "front.h"
#include "hello.h"
#include "endpoint.h"
#include "errand.h"
#include "express.h"
#include "mix.h"
#include "wire.h"

#define NS_PER_MS 1000000ULL
#define RETRY_MIN_MS 100
#define STABLE_MS 1000 /* who is lost sooner is tried again after a longer pause, as who cannot be reached */
#define PINGS_MAX 2

static struct link *link_of(struct conn *conn)
{
	return ((struct link_conn *)conn)->link;
}

static void count(const struct link *l, enum xsr_stream_stat stat)
{
	gateway_count(l->gateway, l->service, stat);
}

static const struct xsr_backend *backend_of(const struct link *l)
{
	return &l->gateway->p.maps->backends[l->backend];
}

static void say(const struct link *l, const char *what, const char *why)
{
	const struct gateway *g = l->gateway;
	char sentence[XSR_WHY_LEN];

	snprintf(sentence, sizeof(sentence), "service '%s', backend '%s', worker %u: %s%s%s", g->p.maps->services[l->service].name,
		 backend_of(l)->name, g->p.worker, what, why ? ": " : "", why ?: "");
	g->p.log(sentence, g->p.log_arg);
}

static void state_set(struct link *l, enum link_state state)
{
	l->state = state;
	l->state_ns = l->gateway->now_ns;
}

static uint64_t ms_since(const struct link *l, uint64_t then_ns)
{
	uint64_t now_ns = l->gateway->now_ns;

	return now_ns > then_ns ? (now_ns - then_ns) / NS_PER_MS : 0;
}

/* --- sessions --- */

void link_bind(struct stream_session *s, struct link *link)
{
	if (s->link)
		LIST_REMOVE(s, of_link);
	s->link = link;
	s->link_epoch = 0;
	s->n_hellos = 0;
	if (link)
		LIST_INSERT_HEAD(&link->sessions, s, of_link);
}

struct link *link_find(struct gateway *g, uint32_t service, uint32_t backend)
{
	struct link *l;

	LIST_FOREACH(l, &g->links[service], of_service)
		if (l->backend == backend)
			return l;
	return NULL;
}

struct link *link_choose(struct gateway *g, uint32_t service, uint64_t id)
{
	struct link *l, *best = NULL;
	uint64_t weight, most = 0;

	LIST_FOREACH(l, &g->links[service], of_service) {
		weight = mix64(id ^ mix64(l->backend));
		if (link_is_up(l) && (!best || weight > most)) {
			best = l;
			most = weight;
		}
	}
	return best;
}

int link_send(struct link *l, uint8_t type, uint64_t id, uint64_t seq)
{
	struct wire_frame f;

	return conn_send(&l->conn->conn, &f, wire_frame(&f, type, 0, id, seq, NULL, 0));
}

static int hello_send(struct link *l, uint8_t role, uint64_t id, uint64_t seq)
{
	const struct xsr_frame_hello hello = { .role = role, .id = htobe64(id) };
	struct wire_frame f;

	return conn_send(&l->conn->conn, &f, wire_frame(&f, XSR_FRAME_HELLO, 0, id, seq, &hello, sizeof(hello)));
}

int link_introduce(struct stream_session *s, uint64_t seq)
{
	int ret;

	if (s->link_epoch == s->link->epoch)
		return 0;
	ret = hello_send(s->link, XSR_ROLE_CLIENT, s->id, seq);
	if (ret)
		return ret;
	s->link_epoch = s->link->epoch;
	s->n_hellos++;
	return 0;
}

/* --- what comes from the backend --- */

static void link_up(struct link *l)
{
	state_set(l, LINK_UP);
	l->epoch++;
	count(l, XSR_STREAM_STAT_BACKEND_CONNECTED);
	gateway_gauge(l->gateway, l->service, XSR_STREAM_STAT_BACKENDS, 1);
}

static int link_fail(struct link *l)
{
	conn_end(&l->conn->conn);
	return -ECANCELED;
}

/* Only the last HELLO's answer counts: replies that come again behind an earlier one come again behind that. */
static void session_ack(struct link *l, uint64_t id, uint8_t result, uint64_t seq)
{
	struct stream_session *s = stream_session_find(l->gateway->sessions, l->service, id);

	if (!s || s->link != l || (s->n_hellos && --s->n_hellos))
		return;
	hello_answered(s, result, seq);
	if (s->errand)
		errand_resume(s->errand);
}

static int ack_take(struct link *l, const struct tcp_frame *frame)
{
	uint64_t id = be64toh(frame->header->id);
	struct xsr_frame_hello_ack ack;

	if (frame->len < XSR_FRAME_HEADER_LEN + sizeof(ack))
		return link_fail(l);
	tcp_frame_copy(l->conn->conn.tcp, frame, XSR_FRAME_HEADER_LEN, &ack, sizeof(ack));
	if (id) {
		session_ack(l, id, ack.result, be64toh(frame->header->seq));
		return 0;
	}
	if (l->state != LINK_GREETING || ack.result != XSR_HELLO_OK)
		return link_fail(l);
	link_up(l);
	return 0;
}

/* Its client went, has not been greeted yet (then it comes again), has it already, or was told that this has no answer. */
static bool is_unwanted(const struct stream_session *s, uint64_t seq)
{
	return !s || s->state != STREAM_OPEN || !s->client || s->client->conn.has_ended || seq <= s->erred ||
	       seq <= s->answered;
}

static int reply_drop(struct link *l, const struct tcp_frame *frame)
{
	count(l, XSR_STREAM_STAT_STRAY_REPLIES);
	conn_take(&l->conn->conn, frame);
	return 0;
}

static int reply_choke(struct link *l, struct stream_session *s, const struct tcp_frame *frame, uint64_t seq)
{
	front_error(l->gateway, s, XSR_ERROR_OVERFLOW, seq);
	conn_take(&l->conn->conn, frame);
	return 0;
}

/* All replies that were given up have come: the kernel may pass the others on again. */
static void late_over(struct stream_session *s, uint64_t seq)
{
	if (!s->is_late)
		return;
	s->is_late = seq < s->erred;
	express_begin(s);
}

/* The link is not read on because a client does not read its replies: that one gets an ERR instead from now on. */
static void choke(struct link *l)
{
	struct conn *conn = &l->conn->conn, *on = conn->waits_on;

	if (!on || !front_is_stuck((struct front *)on))
		return;
	((struct front *)on)->is_choked = true;
	conn_resume(conn);
}

static int reply_pass(struct link *l, const struct tcp_frame *frame)
{
	uint64_t seq = be64toh(frame->header->seq);
	struct stream_session *s = stream_session_find(l->gateway->sessions, l->service, be64toh(frame->header->id));
	int ret;

	if (s && seq >= s->erred)
		late_over(s, seq);
	if (is_unwanted(s, seq))
		return reply_drop(l, frame);
	if (s->client->is_choked)
		return reply_choke(l, s, frame, seq);
	ret = conn_forward(&l->conn->conn, frame, &s->client->conn);
	if (ret && l->conn->conn.socket)
		return reply_choke(l, s, frame, seq);
	if (ret) {
		count(l, XSR_STREAM_STAT_STALLS);
		choke(l);
		return ret;
	}
	s->client->conn.active_ns = l->gateway->now_ns;
	stream_session_answered(l->gateway->sessions, s, seq);
	count(l, XSR_STREAM_STAT_REPLIES);
	*gateway_counter(l->gateway, l->service, XSR_STREAM_STAT_REPLY_BYTES) += frame->len;
	return 0;
}

/* 0 = done with it, 1 = it is a reply. */
static int control_take(struct link *l, const struct tcp_frame *frame)
{
	switch (frame->header->type) {
	case XSR_FRAME_HELLO_ACK:
		return ack_take(l, frame);
	case XSR_FRAME_HB_PING:
		link_send(l, XSR_FRAME_HB_PONG, be64toh(frame->header->id), be64toh(frame->header->seq));
		return 0;
	case XSR_FRAME_HB_PONG:
		barriers_pass(l, be64toh(frame->header->seq));
		return 0;
	case XSR_FRAME_HELLO:
	case XSR_FRAME_BYE:
		return link_fail(l);
	default:
		return 1;
	}
}

/* From here on the kernel moves its frames; sessions begin on it after that. */
static int link_join(struct link *l)
{
	struct conn *conn = &l->conn->conn;
	int ret = conn_join(conn, SOCKMAP_LINK, l->service, conn->tcp->frame_max);

	return ret || conn_start(conn) ? link_fail(l) : 0;
}

static int link_frame(struct conn *conn, const struct tcp_frame *frame)
{
	struct link *l = link_of(conn);
	int ret = control_take(l, frame);

	if (ret == 1)
		return l->state == LINK_UP ? reply_pass(l, frame) : link_fail(l);
	if (ret)
		return ret;
	conn_take(conn, frame);
	if (l->state == LINK_UP && l->wants_kernel && !conn->socket)
		return link_join(l);
	return 0;
}

/* --- it comes and goes --- */

static void link_down(struct link *l)
{
	state_set(l, LINK_DOWN);
	l->retry_ns = l->gateway->now_ns + l->retry_ms * NS_PER_MS;
	l->retry_ms *= 2;
	if (l->retry_ms > l->gateway->p.reconnect_max_ms)
		l->retry_ms = l->gateway->p.reconnect_max_ms;
	l->conn = NULL;
}

static void sessions_lose(struct link *l)
{
	struct stream_session *s;

	LIST_FOREACH(s, &l->sessions, of_link) {
		s->link_epoch = 0;
		s->n_hellos = 0;
		s->is_late = false;
		if (s->is_busy)
			front_error(l->gateway, s, XSR_ERROR_NO_BACKEND, s->asked);
		if (s->state == STREAM_GREETED)
			hello_answered(s, XSR_HELLO_BUSY, 0);
	}
	barriers_lose(l);
}

static const char *text_of_end(const struct conn *conn)
{
	static const char *const texts[] = {
		[TCP_END_NONE] = "it broke the protocol, or did not answer",
		[TCP_END_FIN] = "it closed the connection",
		[TCP_END_HALF_FRAME] = "it closed the connection in the middle of a frame",
		[TCP_END_RESET] = "the connection was reset",
		[TCP_END_BAD_LEN] = "a frame with an impossible length came",
		[TCP_END_BAD_VERSION] = "a frame of another version came",
		[TCP_END_BAD_TYPE] = "a frame of unknown type came",
		[TCP_END_LATE] = "half a frame came, and no more",
	};

	if (conn->tcp->end == TCP_END_RESET && conn->tcp->error)
		return strerror(conn->tcp->error);
	return texts[conn->tcp->end];
}

static void link_ended(struct conn *conn)
{
	struct link *l = link_of(conn);
	bool was_up = l->state == LINK_UP;

	if (was_up)
		gateway_gauge(l->gateway, l->service, XSR_STREAM_STAT_BACKENDS, -1);
	if (was_up && ms_since(l, l->state_ns) >= STABLE_MS)
		l->retry_ms = RETRY_MIN_MS;
	count(l, was_up ? XSR_STREAM_STAT_BACKEND_LOST : XSR_STREAM_STAT_BACKEND_FAILED);
	if (!l->is_closing && (was_up || l->retry_ms == RETRY_MIN_MS))
		say(l, was_up ? "lost" : "cannot be reached", text_of_end(conn));
	if (was_up)
		express_lose(l);
	link_down(l);
	if (was_up)
		sessions_lose(l);
}

static void link_connected(struct conn *conn, int error)
{
	struct link *l = link_of(conn);

	if (error) {
		conn->tcp->end = TCP_END_RESET;
		conn->tcp->error = -error;
		conn_end(conn);
		return;
	}
	state_set(l, LINK_GREETING);
	hello_send(l, XSR_ROLE_ROUTER, 0, 0);
}

static void link_free(struct conn *conn)
{
	free(conn);
}

static const struct conn_ops link_ops = {
	.frame = link_frame,
	.connected = link_connected,
	.ended = link_ended,
	.is_common = true,
	.free = link_free,
};

static void link_connect(struct link *l)
{
	struct gateway *g = l->gateway;
	struct link_conn *lc = calloc(1, sizeof(*lc));
	struct sockaddr_storage address;
	int fd;

	l->address = *backend_of(l);
	endpoint_of_backend(&l->address, &address);
	fd = lc ? tcp_connect((struct sockaddr *)&address, &g->p.options) : -ENOMEM;
	if (fd < 0 || conn_open(&lc->conn, g, &link_ops, fd, g->p.maps->services[l->service].frame_max, true)) {
		free(lc);
		count(l, XSR_STREAM_STAT_BACKEND_FAILED);
		link_down(l);
		return;
	}
	lc->link = l;
	lc->conn.tcp->is_exact = l->wants_kernel;
	l->conn = lc;
	state_set(l, LINK_CONNECTING);
}

int link_open(struct gateway *g, uint32_t service, uint32_t backend, bool wants_kernel)
{
	struct link *l = calloc(1, sizeof(*l));

	if (!l)
		return -ENOMEM;
	l->gateway = g;
	l->service = service;
	l->backend = backend;
	l->wants_kernel = wants_kernel;
	l->retry_ms = RETRY_MIN_MS;
	TAILQ_INIT(&l->barriers);
	LIST_INSERT_HEAD(&g->links[service], l, of_service);
	return 0;
}

void link_close(struct link *l)
{
	struct stream_session *s;

	l->is_closing = true;
	if (l->conn)
		conn_end(&l->conn->conn);
	while ((s = LIST_FIRST(&l->sessions)))
		link_bind(s, NULL);
	LIST_REMOVE(l, of_service);
	free(l);
}

/* --- time --- */

static void heartbeat(struct link *l)
{
	struct conn *conn = &l->conn->conn;
	unsigned int ms = l->gateway->p.heartbeat_ms, due = ms ? ms_since(l, conn->read_ns) / ms : 0;

	if (conn->waits_in)
		choke(l);
	else if (due > PINGS_MAX)
		conn_end(conn);
	else if (due > conn->n_pings && !link_send(l, XSR_FRAME_HB_PING, 0, l->token))
		conn->n_pings = due;
}

/* The backend of that number is another one now. */
static bool has_moved(const struct link *l)
{
	const struct xsr_backend *b = backend_of(l);

	return b->port != l->address.port || b->family != l->address.family || memcmp(b->addr, l->address.addr, sizeof(b->addr));
}

void link_tick(struct link *l)
{
	if (l->conn && has_moved(l))
		conn_end(&l->conn->conn);
	if (l->conn && l->conn->conn.until_tick)
		conn_resume(&l->conn->conn);
	if (l->conn)
		conn_look(&l->conn->conn);
	if (l->state == LINK_DOWN && l->gateway->now_ns >= l->retry_ns)
		link_connect(l);
	else if (l->state == LINK_UP)
		heartbeat(l);
	else if (l->state != LINK_DOWN && ms_since(l, l->state_ns) > l->gateway->p.reconnect_max_ms)
		conn_end(&l->conn->conn);
}
