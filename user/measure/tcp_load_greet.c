/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#include <endian.h>

#include "tcp_load_parts.h"

#define REFUSED_PAUSE_NS (100 * NS_PER_MS) /* until a session greets again */

size_t load_session_greet(struct load_session *s)
{
	uint8_t out[STREAM_SMALL_MAX];
	size_t len = stream_hello_write(out, XSR_ROLE_CLIENT, s->id, s->ledger.settled);

	s->state = LOAD_GREETED;
	load_conn_write(s->conn, out, len);
	return len;
}

/* All that wait for an ID are alike. */
static struct load_session *greeted_find(struct load_conn *c)
{
	uint32_t i;

	for (i = 0; i < c->n_sessions; i++)
		if (!c->sessions[i].id && c->sessions[i].state == LOAD_GREETED)
			return &c->sessions[i];
	return NULL;
}

static struct load_session *ack_session(struct load_conn *c, uint64_t id)
{
	struct load_session *s = load_ids_find(c->shard, id);

	if (s)
		return s->conn == c && s->state == LOAD_GREETED ? s : NULL;
	return c->shard->c->assign ? greeted_find(c) : NULL;
}

static void session_refused(struct load_session *s)
{
	s->conn->shard->result.refused++;
	s->state = LOAD_WAITING;
	load_session_pause(s, REFUSED_PAUSE_NS);
}

static void session_opened(struct load_session *s, uint64_t served)
{
	struct load_shard *shard = s->conn->shard;

	load_session_unpause(s);
	s->state = LOAD_OPEN;
	s->alive_ns = shard->now_ns;
	s->conn->retry_ms = 0;
	if (s->was_opened) {
		shard->result.resumed++;
		shard->result.forgotten += served < s->ledger.settled;
		request_ledger_resume(&s->ledger, served);
	} else {
		request_ledger_start(&s->ledger, served);
		shard->n_unopened--;
	}
	s->was_opened = true;
	if (shard->c->opens_only)
		load_session_leave(s);
	load_session_offer(s);
}

void load_session_greeted(struct load_conn *c, const struct tcp_frame *frame)
{
	struct xsr_frame_hello_ack ack;
	struct load_session *s;

	if (frame->len < XSR_FRAME_HEADER_LEN + sizeof(ack)) {
		c->shard->result.unexpected++;
		return;
	}
	tcp_frame_copy(c->tcp, frame, XSR_FRAME_HEADER_LEN, &ack, sizeof(ack));
	s = ack_session(c, be64toh(ack.id));
	if (!s) {
		c->shard->result.unexpected++;
	} else if (ack.result != XSR_HELLO_OK) {
		session_refused(s);
	} else {
		if (!s->id)
			load_ids_assign(c->shard, s, be64toh(ack.id));
		session_opened(s, be64toh(frame->header->seq));
	}
}
