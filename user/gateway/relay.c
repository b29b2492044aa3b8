/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Each half ends by itself: when one side writes no more and all it wrote has gone out, the other is told so, and may still
 * answer. An error of one side ends both at once.
 */
#include "relay.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "endpoint.h"

#define NS_PER_MS 1000000ULL
#define CONNECT_MS 5000

struct side {
	struct conn conn; /* first */
	struct relay *relay;
	bool is_connected;
	bool has_finished; /* it writes no more */
	bool was_told;	   /* that the other writes no more */
};

struct relay {
	struct gateway *gateway;
	uint32_t service;
	struct side *front, *back; /* NULL = none now */
	uint64_t untried;	  /* backends that it has not tried yet, a bit each */
	uint64_t connect_ns;	  /* since when it tries this one */
	enum xsr_stream_stat why;
	unsigned int n_sides;	  /* that are not freed yet */
	bool has_ended;
	bool wants_kernel, is_finishing;
	LIST_ENTRY(relay) of_gateway;
	TAILQ_ENTRY(relay) in_finishing;
};

static struct side *side_of(struct conn *conn)
{
	return (struct side *)conn;
}

static struct side *other_of(struct side *side)
{
	return side == side->relay->front ? side->relay->back : side->relay->front;
}

static void count(const struct relay *r, enum xsr_stream_stat stat)
{
	gateway_count(r->gateway, r->service, stat);
}

uint32_t relay_service(const struct relay *r)
{
	return r->service;
}

struct relay *relay_next(const struct relay *r)
{
	return LIST_NEXT(r, of_gateway);
}

static void connect_next(struct relay *r);

/* The kernel does not tell when all is written. */
static void finishing_set(struct relay *r, bool finishing)
{
	if (finishing == r->is_finishing)
		return;
	r->is_finishing = finishing;
	if (finishing)
		TAILQ_INSERT_TAIL(&r->gateway->finishing, r, in_finishing);
	else
		TAILQ_REMOVE(&r->gateway->finishing, r, in_finishing);
}

static void ended_once(struct relay *r)
{
	if (r->has_ended)
		return;
	r->has_ended = true;
	finishing_set(r, false);
	count(r, r->why ?: XSR_STREAM_STAT_CLOSED_STOP);
	LIST_REMOVE(r, of_gateway);
	r->gateway->n_clients--;
	gateway_gauge(r->gateway, r->service, XSR_STREAM_STAT_CONNECTIONS, -1);
}

static enum xsr_stream_stat bytes_of(const struct side *side)
{
	return side == side->relay->front ? XSR_STREAM_STAT_REQUEST_BYTES : XSR_STREAM_STAT_REPLY_BYTES;
}

/* What the kernel moved since it was looked at. */
static void side_look(struct side *side)
{
	struct gateway *g = side->relay->gateway;
	uint64_t before = side->conn.n_received;

	if (!side->conn.socket)
		return;
	conn_look(&side->conn);
	if (side->conn.n_received == before)
		return;
	side->conn.active_ns = g->now_ns;
	*gateway_counter(g, side->relay->service, bytes_of(side)) += side->conn.n_received - before;
}

void relay_end(struct relay *r, enum xsr_stream_stat why)
{
	if (!r->why)
		r->why = why;
	ended_once(r);
	if (r->front)
		conn_end(&r->front->conn);
	if (r->back)
		conn_end(&r->back->conn);
}

void relay_hold(struct relay *r)
{
	conn_wait(&r->front->conn, NULL);
	if (r->back)
		conn_wait(&r->back->conn, NULL);
}

uint64_t relay_unsent(const struct relay *r)
{
	return conn_unsent(&r->front->conn) + (r->back ? conn_unsent(&r->back->conn) : 0);
}

/* --- bytes --- */

static int side_frame(struct conn *conn, const struct tcp_frame *frame)
{
	struct side *side = side_of(conn), *other = other_of(side);
	struct relay *r = side->relay;
	size_t len = frame->len;
	int ret;

	if (!other || !other->is_connected)
		return conn_wait(conn, NULL);
	ret = conn_forward(conn, frame, &other->conn);
	if (ret)
		return ret;
	conn->active_ns = r->gateway->now_ns;
	*gateway_counter(r->gateway, r->service, bytes_of(side)) += len;
	return 0;
}

/* All that the other side wrote has gone out here: this one is told that no more comes. */
static void finish_pass(struct side *side)
{
	struct side *other = other_of(side);

	if (!side->is_connected || !other || !other->has_finished || side->was_told)
		return;
	if (conn_unsent(&side->conn)) {
		finishing_set(side->relay, side->conn.socket);
		return;
	}
	side->was_told = true;
	shutdown(side->conn.fd, SHUT_WR);
	if (side->has_finished && other->was_told)
		relay_end(side->relay, XSR_STREAM_STAT_CLOSED_BY_PEER);
}

static bool side_lingers(struct conn *conn)
{
	struct side *side = side_of(conn);

	side->has_finished = true;
	if (other_of(side))
		finish_pass(other_of(side));
	return !side->relay->has_ended;
}

static void side_drained(struct conn *conn)
{
	finish_pass(side_of(conn));
}

/* --- ends --- */

static void side_ended(struct conn *conn)
{
	struct side *side = side_of(conn);
	struct relay *r = side->relay;
	bool is_front = side == r->front;

	if (side->conn.socket)
		*gateway_counter(r->gateway, r->service, bytes_of(side)) +=
			sockmap_received(side->conn.socket) - side->conn.n_received;
	*(is_front ? &r->front : &r->back) = NULL;
	if (r->has_ended)
		return;
	if (is_front)
		relay_end(r, XSR_STREAM_STAT_CLOSED_RESET);
	else if (side->is_connected)
		relay_end(r, XSR_STREAM_STAT_CLOSED_BACKEND);
	else
		connect_next(r);
}

static void side_free(struct conn *conn)
{
	struct relay *r = side_of(conn)->relay;

	free(conn);
	if (!--r->n_sides && r->has_ended)
		free(r);
}

/* Without the kernel's help if it has no room for them, or one has said all already: such a one it does not take. */
static void sides_join(struct relay *r)
{
	struct conn *front = &r->front->conn, *back = &r->back->conn;

	if (conn_join(front, SOCKMAP_PAIR, r->service, 0))
		return;
	if (conn_join(back, SOCKMAP_PAIR, r->service, 0)) {
		conn_unjoin(front);
		return;
	}
	sockmap_pair(front->socket, back->socket);
	if (conn_start(front)) {
		conn_unjoin(front);
		conn_unjoin(back);
	} else if (conn_start(back)) {
		relay_end(r, XSR_STREAM_STAT_CLOSED_RESET);
	}
}

static void side_connected(struct conn *conn, int error)
{
	struct side *side = side_of(conn);
	struct relay *r = side->relay;

	if (error) {
		conn->tcp->end = TCP_END_RESET;
		conn_end(conn);
		return;
	}
	side->is_connected = true;
	count(r, XSR_STREAM_STAT_BACKEND_CONNECTED);
	if (r->wants_kernel)
		sides_join(r);
	if (r->has_ended)
		return;
	conn_resume(&r->front->conn);
	finish_pass(side);
}

static const struct conn_ops side_ops = {
	.frame = side_frame,
	.connected = side_connected,
	.ended = side_ended,
	.lingers = side_lingers,
	.drained = side_drained,
	.free = side_free,
};

/* --- it begins --- */

static struct side *side_open(struct relay *r, int fd, bool connecting)
{
	struct side *side = calloc(1, sizeof(*side));

	if (!side) {
		close(fd);
		return NULL;
	}
	side->relay = r;
	side->is_connected = !connecting;
	if (conn_open(&side->conn, r->gateway, &side_ops, fd, 0, connecting)) {
		free(side);
		return NULL;
	}
	r->n_sides++;
	return side;
}

/* The next one, in turn, of those that were not tried. */
static uint32_t backend_choose(struct relay *r)
{
	uint32_t *turn = &r->gateway->turns[r->service];
	uint64_t behind = r->untried & (~0ULL << (*turn + 1) % XSR_BACKENDS_MAX);

	*turn = __builtin_ctzll(behind ?: r->untried);
	r->untried &= ~(1ULL << *turn);
	return *turn;
}

static void connect_next(struct relay *r)
{
	struct gateway *g = r->gateway;
	struct sockaddr_storage address;
	int fd = -1;

	if (r->connect_ns)
		count(r, XSR_STREAM_STAT_BACKEND_FAILED);
	r->connect_ns = g->now_ns;
	while (r->untried && !r->back) {
		endpoint_of_backend(&g->p.maps->backends[backend_choose(r)], &address);
		fd = tcp_connect((struct sockaddr *)&address, &g->p.options);
		if (fd >= 0)
			r->back = side_open(r, fd, true);
	}
	if (!r->back)
		relay_end(r, XSR_STREAM_STAT_CLOSED_BACKEND);
}

void relay_open(struct gateway *g, uint32_t service, int fd, bool wants_kernel)
{
	struct relay *r = calloc(1, sizeof(*r));

	if (!r) {
		close(fd);
		return;
	}
	r->gateway = g;
	r->service = service;
	r->wants_kernel = wants_kernel;
	r->untried = g->p.maps->services[service].backends;
	r->front = side_open(r, fd, false);
	if (!r->front) {
		free(r);
		return;
	}
	LIST_INSERT_HEAD(&g->relays, r, of_gateway);
	g->n_clients++;
	gateway_gauge(g, service, XSR_STREAM_STAT_CONNECTIONS, 1);
	count(r, XSR_STREAM_STAT_ACCEPTED);
	conn_wait(&r->front->conn, NULL);
	connect_next(r);
}

/* --- time --- */

static bool is_over(const struct relay *r, uint64_t since_ns, uint64_t ms)
{
	return r->gateway->now_ns > since_ns + ms * NS_PER_MS;
}

static void side_tick(struct side *side)
{
	if (side && side->conn.until_tick)
		conn_resume(&side->conn);
	if (side)
		side_look(side);
}

void relays_turn(struct gateway *g)
{
	struct relay *r, *next;

	for (r = TAILQ_FIRST(&g->finishing); r; r = next) {
		next = TAILQ_NEXT(r, in_finishing);
		finishing_set(r, false);
		if (r->front)
			finish_pass(r->front);
		if (r->back)
			finish_pass(r->back);
	}
}

void relay_tick(struct relay *r)
{
	const struct gateway_params *p = &r->gateway->p;
	uint64_t active_ns;

	side_tick(r->front);
	if (!r->has_ended)
		side_tick(r->back);
	if (r->has_ended)
		return;
	active_ns = r->front->conn.active_ns;
	if (!r->back || !r->back->is_connected) {
		if (r->back && is_over(r, r->connect_ns, CONNECT_MS))
			conn_end(&r->back->conn);
		return;
	}
	if (r->back->conn.active_ns > active_ns)
		active_ns = r->back->conn.active_ns;
	if (p->idle_s && is_over(r, active_ns, p->idle_s * 1000ULL))
		relay_end(r, XSR_STREAM_STAT_CLOSED_IDLE);
}
