/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#include <endian.h>
#include <string.h>

#include "tcp_load_parts.h"

#define ERROR_PAUSE_NS (10 * NS_PER_MS)	   /* until a session of a lost backend asks again */

void load_session_init(struct load_session *s, struct load_conn *conn, uint64_t id, struct request *ring)
{
	*s = (struct load_session){ .id = id, .conn = conn };
	request_ledger_init(&s->ledger, ring, conn->shard->c->window);
}

/* --- who may send --- */

static bool may_begin(const struct load_session *s)
{
	return s->n_left && s->conn->shard->start_ns && !s->conn->shard->end_ns && request_ledger_has_room(&s->ledger);
}

static bool has_work(const struct load_session *s)
{
	if (s->is_finished || s->pause_ns || s->conn->state != LOAD_UP || s->state == LOAD_GREETED)
		return false;
	return s->state == LOAD_WAITING || request_ledger_resends(&s->ledger) || may_begin(s);
}

/* Behind a connection that was lost there is a backlog: that goes first, with a rate or without. */
static bool is_urgent(const struct load_session *s)
{
	return s->state == LOAD_WAITING || request_ledger_resends(&s->ledger);
}

static void ready_join(struct load_session *s)
{
	s->is_ready = true;
	if (is_urgent(s))
		TAILQ_INSERT_HEAD(&s->conn->ready, s, in_ready);
	else
		TAILQ_INSERT_TAIL(&s->conn->ready, s, in_ready);
	load_conn_offer(s->conn, is_urgent(s));
}

void load_session_offer(struct load_session *s)
{
	if (!s->is_ready && has_work(s))
		ready_join(s);
}

static void session_withdraw(struct load_session *s)
{
	if (s->is_ready)
		TAILQ_REMOVE(&s->conn->ready, s, in_ready);
	s->is_ready = false;
}

void load_session_pause(struct load_session *s, uint64_t ns)
{
	if (s->is_finished || s->pause_ns)
		return;
	s->pause_ns = s->conn->shard->now_ns + ns;
	TAILQ_INSERT_TAIL(&s->conn->shard->paused, s, in_paused);
	session_withdraw(s);
}

void load_session_unpause(struct load_session *s)
{
	if (!s->pause_ns)
		return;
	TAILQ_REMOVE(&s->conn->shard->paused, s, in_paused);
	s->pause_ns = 0;
}

void load_sessions_unpause(struct load_shard *shard)
{
	struct load_session *s, *next;

	for (s = TAILQ_FIRST(&shard->paused); s; s = next) {
		next = TAILQ_NEXT(s, in_paused);
		if (shard->now_ns < s->pause_ns)
			continue;
		load_session_unpause(s);
		load_session_offer(s);
	}
}

void load_session_down(struct load_session *s)
{
	session_withdraw(s);
	s->state = LOAD_WAITING;
}

/* --- the end of a session --- */

static void session_finish(struct load_session *s)
{
	session_withdraw(s);
	load_session_unpause(s);
	s->is_finished = true;
	s->conn->shard->n_left -= s->n_left;
	s->n_left = 0;
	s->conn->shard->n_unfinished--;
}

void load_session_settle(struct load_session *s)
{
	if (!s->is_finished && !s->ledger.n_open && (!s->n_left || s->conn->shard->end_ns))
		session_finish(s);
}

static bool waits_for_something(const struct load_session *s)
{
	return s->ledger.n_open || !s->was_opened;
}

/* Who reads slowly is not heard of for long. */
void load_session_check(struct load_session *s)
{
	const struct load_shard *shard = s->conn->shard;

	if (s->is_finished || !waits_for_something(s) || (s->conn->is_slow && !shard->end_ns))
		return;
	if (shard->now_ns - s->alive_ns < shard->c->deadline_ms * NS_PER_MS)
		return;
	s->conn->shard->result.given_up++;
	session_finish(s);
}

void load_session_leave(struct load_session *s)
{
	s->conn->shard->n_left -= s->n_left;
	s->n_left = 0;
	load_session_settle(s);
}

/* --- sending --- */

/* Small ones as often as large ones: the number of bits is drawn first. */
static uint32_t len_choose(struct load_shard *shard)
{
	uint32_t min = shard->c->len, max = shard->c->len_max, bits, low, high;

	if (max <= min)
		return min;
	bits = stream_random_from(&shard->random, 31 - __builtin_clz(min), 31 - __builtin_clz(max));
	low = 1u << bits < min ? min : 1u << bits;
	high = (2u << bits) - 1 > max ? max : (2u << bits) - 1;
	return stream_random_from(&shard->random, low, high);
}

/* The head is the stamp; of PERF what follows it is for others to fill. */
static void head_write(uint8_t *head, size_t len, uint64_t sent_ns)
{
	const __be64 stamp = htobe64(sent_ns);

	memset(head, 0, len);
	if (len)
		memcpy(head, &stamp, sizeof(stamp));
}

static size_t request_write(struct load_session *s, uint64_t seq, const struct request *request)
{
	struct load_shard *shard = s->conn->shard;
	uint8_t type = shard->c->perf ? XSR_FRAME_PERF_PING : XSR_FRAME_ECHO_REQ;
	size_t head_len = stream_head_len(type, request->len);
	uint8_t *payload = shard->out + XSR_FRAME_HEADER_LEN;

	stream_header_write(shard->out, type, s->id, seq, request->len);
	head_write(payload, head_len, request->sent_ns);
	memset(payload + head_len, seq & 0xff, request->len - XSR_FRAME_HEADER_LEN - head_len);
	load_conn_write(s->conn, shard->out, request->len);
	return request->len;
}

static size_t request_begin(struct load_session *s)
{
	struct load_shard *shard = s->conn->shard;
	struct request *request;
	uint64_t due_ns = load_shard_due_ns(shard), seq;

	if (!s->ledger.n_open)
		s->alive_ns = shard->now_ns;
	seq = request_ledger_begin(&s->ledger, &shard->result.requests, &request);
	shard->result.measured_sent += due_ns >= shard->measure_ns;
	request->sent_ns = due_ns;
	request->len = len_choose(shard);
	s->n_left--;
	shard->n_left--;
	shard->n_begun++;
	return request_write(s, seq, request);
}

static size_t frame_send(struct load_session *s)
{
	const struct request *request;
	uint64_t seq;

	if (s->state == LOAD_WAITING)
		return load_session_greet(s);
	seq = request_ledger_resend(&s->ledger, &s->conn->shard->result.requests, &request);
	if (seq)
		return request_write(s, seq, request);
	return load_shard_may_begin(s->conn->shard) ? request_begin(s) : 0;
}

size_t load_session_send(struct load_session *s)
{
	size_t len;

	session_withdraw(s);
	len = has_work(s) ? frame_send(s) : 0;
	load_session_offer(s);
	return len;
}

/* --- answers --- */

static bool answer_is_whole(const struct load_shard *shard, const struct request *request, const struct tcp_frame *frame,
			    const uint8_t *bytes)
{
	uint8_t type = shard->c->perf ? XSR_FRAME_PERF_PONG : XSR_FRAME_ECHO_REP;
	const uint8_t *payload = bytes + XSR_FRAME_HEADER_LEN;
	const __be64 stamp = htobe64(request->sent_ns);
	size_t head_len;

	if (frame->header->type != type || frame->len != request->len)
		return false;
	head_len = stream_head_len(type, frame->len);
	if (head_len && memcmp(payload, &stamp, sizeof(stamp)))
		return false;
	return stream_filler_check(payload + head_len, be64toh(frame->header->seq), frame->len - XSR_FRAME_HEADER_LEN - head_len);
}

static void answer_judge(struct load_session *s, const struct request *request, const struct tcp_frame *frame)
{
	struct load_shard *shard = s->conn->shard;
	const uint8_t *bytes = stream_frame_bytes(s->conn->tcp, frame, shard->in);

	shard->result.bytes += frame->len;
	shard->result.torn += !answer_is_whole(shard, request, frame, bytes);
	shard->result.answered_inside += shard->now_ns >= shard->measure_ns && !shard->end_ns;
	if (request->sent_ns < shard->measure_ns)
		return;
	shard->result.measured_answered++;
	if (shard->now_ns <= request->sent_ns)
		return;
	histogram_add(&shard->latency_ns, shard->now_ns - request->sent_ns);
	shard->latency_sum_ns += shard->now_ns - request->sent_ns;
}

static void session_heard(struct load_session *s)
{
	s->alive_ns = s->conn->shard->now_ns;
	load_session_settle(s);
	load_session_offer(s);
}

static void answer(struct load_session *s, const struct tcp_frame *frame)
{
	struct load_shard *shard = s->conn->shard;
	const struct request *request;

	if (s->state != LOAD_OPEN) {
		shard->result.early++;
		return;
	}
	request = request_ledger_answer(&s->ledger, &shard->result.requests, be64toh(frame->header->seq));
	if (!request)
		return;
	answer_judge(s, request, frame);
	session_heard(s);
}

/* A HELLO has its own answer. Who lost its handshake greets again; all others wait a little, as for a backend that comes back. */
static void error(struct load_session *s, const struct tcp_frame *frame)
{
	struct xsr_frame_error payload = {};
	unsigned int code;

	if (frame->len >= XSR_FRAME_HEADER_LEN + sizeof(payload))
		tcp_frame_copy(s->conn->tcp, frame, XSR_FRAME_HEADER_LEN, &payload, sizeof(payload));
	code = be16toh(payload.code);
	request_ledger_error(&s->ledger, &s->conn->shard->result.requests, be64toh(frame->header->seq), code);
	if (s->state == LOAD_OPEN) {
		if (code == XSR_ERROR_NO_HANDSHAKE || code == XSR_ERROR_STALE)
			s->state = LOAD_WAITING;
		load_session_pause(s, ERROR_PAUSE_NS);
	}
	session_heard(s);
}

static void session_frame(struct load_conn *c, const struct tcp_frame *frame)
{
	struct load_session *s = load_ids_find(c->shard, be64toh(frame->header->id));

	if (!s || s->conn != c)
		c->shard->result.unexpected++;
	else if (frame->header->type == XSR_FRAME_ERROR)
		error(s, frame);
	else
		answer(s, frame);
}

static void heartbeat(struct load_conn *c, const struct xsr_frame *ping)
{
	uint8_t out[STREAM_SMALL_MAX];

	load_conn_write(c, out, stream_pong_write(out, ping));
}

void load_session_frame(struct load_conn *c, const struct tcp_frame *frame)
{
	switch (frame->header->type) {
	case XSR_FRAME_ECHO_REP:
	case XSR_FRAME_PERF_PONG:
	case XSR_FRAME_ERROR:
		session_frame(c, frame);
		return;
	case XSR_FRAME_HELLO_ACK:
		load_session_greeted(c, frame);
		return;
	case XSR_FRAME_HB_PING:
		heartbeat(c, frame->header);
		return;
	case XSR_FRAME_HB_PONG:
	case XSR_FRAME_BYE:
		return;
	default:
		c->shard->result.unexpected++;
	}
}
