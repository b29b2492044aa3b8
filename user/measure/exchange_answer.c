/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#include <endian.h>
#include <errno.h>
#include <string.h>

#include "clock.h"
#include "exchange_parts.h"

static int unexpected(struct exchange_conn *c)
{
	c->exchange->counts.unexpected++;
	return 0;
}

/* --- HELLO --- */

static void ack_send(struct exchange_conn *c, uint8_t result, uint64_t id, uint64_t seq)
{
	uint8_t out[STREAM_SMALL_MAX];

	exchange_reply_send(c, out, stream_hello_ack_write(out, result, XSR_ROLE_BACKEND, id, seq));
}

/* As a router hands them out: generation 16 | node 16 | index 32. */
static uint64_t id_choose(struct exchange *e)
{
	do {
		e->last_id = 1ULL << 48 | (uint32_t)(e->last_id + 1);
	} while (exchange_session_find(e->sessions, e->last_id));
	return e->last_id;
}

static struct exchange_session *session_greet(struct exchange *e, uint64_t id)
{
	struct exchange_session *s = exchange_session_find(e->sessions, id);

	if (s) {
		e->counts.resumed++;
		return s;
	}
	s = exchange_session_add(e->sessions, id, &e->counts.evicted);
	if (s)
		e->counts.sessions++;
	else
		e->counts.sessions_full++;
	return s;
}

static int client_greet(struct exchange_conn *c, uint64_t id, uint64_t received)
{
	struct exchange *e = c->exchange;
	struct exchange_session *s;
	uint64_t served;

	id = id ? id : id_choose(e);
	s = session_greet(e, id);
	if (!s) {
		ack_send(c, XSR_HELLO_BUSY, id, 0);
		return 0;
	}
	served = exchange_session_hello(s, received);
	exchange_session_bind(e->sessions, s, c, &c->sessions);
	ack_send(c, XSR_HELLO_OK, id, served);
	exchange_reply_again(c, s, received);
	return c->pause == CONN_ENDED ? -ECANCELED : 0;
}

static int hello(struct exchange_conn *c, const struct tcp_frame *frame)
{
	uint64_t id = be64toh(frame->header->id);
	struct xsr_frame_hello hello;

	if (frame->len < XSR_FRAME_HEADER_LEN + sizeof(hello))
		return unexpected(c);
	if (exchange_reply_room(c, STREAM_SMALL_MAX))
		return -EAGAIN;
	tcp_frame_copy(c->tcp, frame, XSR_FRAME_HEADER_LEN, &hello, sizeof(hello));
	if (hello.role == XSR_ROLE_CLIENT && hello.id == frame->header->id)
		return client_greet(c, id, be64toh(frame->header->seq));
	c->exchange->counts.links += hello.role == XSR_ROLE_ROUTER && !id;
	ack_send(c, hello.role == XSR_ROLE_ROUTER && !id ? XSR_HELLO_OK : XSR_HELLO_REJECT, id, 0);
	return 0;
}

static int bye(struct exchange_conn *c, const struct xsr_frame *header)
{
	struct exchange *e = c->exchange;
	struct exchange_session *s = exchange_session_find(e->sessions, be64toh(header->id));

	if (!header->id) {
		c->pause = CONN_LEAVES;
		return -ECANCELED;
	}
	if (s && s->owner == c)
		exchange_session_end(e->sessions, s);
	return 0;
}

/* --- requests --- */

static uint8_t reply_type(uint8_t request_type)
{
	switch (request_type) {
	case XSR_FRAME_ECHO_REQ:
		return XSR_FRAME_ECHO_REP;
	case XSR_FRAME_PERF_PING:
		return XSR_FRAME_PERF_PONG;
	default:
		return XSR_FRAME_REPLY_TYPE;
	}
}

static void order_count(struct exchange_counts *counts, enum exchange_order order)
{
	counts->inversions += order == EXCHANGE_INVERSION;
	counts->gaps += order == EXCHANGE_GAP;
	counts->again += order == EXCHANGE_AGAIN;
}

/* The stamp of arrival goes into a copy of the head: the frame is the connection's. */
static void perf_reply(struct exchange_conn *c, struct exchange_session *s, const struct exchange_reply *reply, const uint8_t *head)
{
	struct xsr_frame_perf perf;

	memcpy(&perf, head, sizeof(perf));
	perf.t3_ns = htobe64(c->read_ns);
	exchange_reply(c, s, reply, (const uint8_t *)&perf);
}

static void request_serve(struct exchange_conn *c, struct exchange_session *s, const struct tcp_frame *frame)
{
	struct exchange *e = c->exchange;
	const uint8_t *payload = stream_frame_bytes(c->tcp, frame, e->in) + XSR_FRAME_HEADER_LEN;
	size_t head_len = stream_head_len(frame->header->type, frame->len);
	struct exchange_reply reply = {
		.seq = be64toh(frame->header->seq),
		.len = frame->len,
		.type = reply_type(frame->header->type),
		.flags = frame->header->flags,
	};

	order_count(&e->counts, exchange_session_note(s, reply.seq));
	reply.served = s->served;
	if (!stream_filler_check(payload + head_len, reply.seq, frame->len - XSR_FRAME_HEADER_LEN - head_len)) {
		e->counts.torn++;
		reply.len = XSR_FRAME_HEADER_LEN;
		head_len = 0;
	}
	if (head_len >= sizeof(reply.stamp))
		memcpy(&reply.stamp, payload, sizeof(reply.stamp));
	if (reply.type == XSR_FRAME_PERF_PONG && head_len)
		perf_reply(c, s, &reply, payload);
	else
		exchange_reply(c, s, &reply, payload);
}

static void handshake_refuse(struct exchange_conn *c, const struct xsr_frame *header)
{
	uint8_t out[STREAM_SMALL_MAX];

	c->exchange->counts.no_handshake++;
	exchange_reply_send(c, out, stream_error_write(out, XSR_ERROR_NO_HANDSHAKE, be64toh(header->id), be64toh(header->seq)));
}

/*
 * What its client sent by the connection that the session has left, it sends again by the new one: nobody may be told of it. With
 * small requests an ERR is longer than the reply.
 */
static int request(struct exchange_conn *c, const struct tcp_frame *frame)
{
	struct exchange *e = c->exchange;
	struct exchange_session *s;

	if (exchange_reply_room(c, frame->len > STREAM_SMALL_MAX ? frame->len : STREAM_SMALL_MAX))
		return -EAGAIN;
	s = exchange_session_find(e->sessions, be64toh(frame->header->id));
	e->counts.frames++;
	e->counts.bytes += frame->len;
	if (!s || !s->owner)
		handshake_refuse(c, frame->header);
	else if (s->owner != c)
		e->counts.stale++;
	else
		request_serve(c, s, frame);
	return c->pause == CONN_ENDED ? -ECANCELED : 0;
}

/* --- any frame --- */

static int heartbeat(struct exchange_conn *c, const struct xsr_frame *header)
{
	if (exchange_reply_room(c, XSR_FRAME_HEADER_LEN))
		return -EAGAIN;
	exchange_reply_pong(c, header);
	return 0;
}

int exchange_answer(struct exchange_conn *c, const struct tcp_frame *frame)
{
	switch (frame->header->type) {
	case XSR_FRAME_ECHO_REQ:
	case XSR_FRAME_PERF_PING:
	case XSR_FRAME_CALL:
		return request(c, frame);
	case XSR_FRAME_HELLO:
		return hello(c, frame);
	case XSR_FRAME_HB_PING:
		return heartbeat(c, frame->header);
	case XSR_FRAME_HB_PONG:
		return 0;
	case XSR_FRAME_BYE:
		return bye(c, frame->header);
	default:
		return unexpected(c);
	}
}
