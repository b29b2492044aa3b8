/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#include <endian.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "clock.h"
#include "exchange_parts.h"

#define NS_PER_US 1000ULL

/* An empty queue takes anything. */
int exchange_reply_room(struct exchange_conn *c, size_t len)
{
	size_t queued = tcp_unsent(c->tcp) + c->waiting_len;

	if (queued && queued + len > c->exchange->c.queue_max) {
		c->pause = CONN_FULL;
		c->stays_len = len;
		c->exchange->counts.stalls++;
		return -EAGAIN;
	}
	if (!tcp_has_room(c->tcp, len) || exchange_waiting_is_full(c->exchange->waiting)) {
		exchange_conn_starve(c);
		return -EAGAIN;
	}
	return 0;
}

void exchange_reply_send(struct exchange_conn *c, const void *frame, size_t len)
{
	if (c->pause == CONN_ENDED)
		return;
	if (tcp_send(c->tcp, frame, len)) {
		c->exchange->counts.closed_no_memory++;
		exchange_conn_end(c);
	}
	exchange_conn_touch(c);
}

/* --- writing --- */

/* Without its request's bytes: those that were there before are the client's, and it wrote nothing into the rest. */
static void perf_head_write(struct xsr_frame_perf *perf, const struct exchange_reply *reply, const uint8_t *head)
{
	if (head)
		memcpy(perf, head, sizeof(*perf));
	else
		*perf = (struct xsr_frame_perf){ .t1_ns = reply->stamp };
	perf->served = htobe64(reply->served);
	perf->t3s_ns = htobe64(clock_now_ns());
}

static void head_write(uint8_t *to, const struct exchange_reply *reply, const uint8_t *head, size_t head_len)
{
	if (!head_len)
		return;
	if (reply->type == XSR_FRAME_PERF_PONG)
		perf_head_write((struct xsr_frame_perf *)to, reply, head);
	else if (reply->type == XSR_FRAME_ECHO_REP)
		memcpy(to, &reply->stamp, sizeof(reply->stamp));
	else
		memcpy(to, head, head_len);
}

static void reply_write(struct exchange_conn *to, uint64_t id, const struct exchange_reply *reply, const uint8_t *head)
{
	uint8_t *out = to->exchange->out, *payload = out + XSR_FRAME_HEADER_LEN;
	size_t head_len = stream_head_len(reply->type, reply->len);

	stream_header_write(out, reply->type, id, reply->seq, reply->len);
	((struct xsr_frame *)out)->flags = reply->flags | htobe16(XSR_FRAME_REPLY);
	head_write(payload, reply, head, head_len);
	memset(payload + head_len, reply->seq & 0xff, reply->len - XSR_FRAME_HEADER_LEN - head_len);
	exchange_reply_send(to, out, reply->len);
}

static void session_reply_write(struct exchange *e, struct exchange_session *s, const struct exchange_reply *reply,
				const uint8_t *head)
{
	if (reply->seq > s->written)
		s->written = reply->seq;
	if (!s->owner)
		return;
	e->counts.replies++;
	reply_write(s->owner, s->id, reply, head);
}

/* --- later --- */

static bool replies_wait(const struct exchange *e)
{
	return e->c.service_us || e->c.jitter_us;
}

static uint64_t due_ns(struct exchange *e, const struct exchange_conn *c, const struct exchange_session *s)
{
	uint64_t due = c->read_ns + (e->c.service_us + stream_random_from(&e->random, 0, e->c.jitter_us)) * NS_PER_US;

	return due > s->due_ns ? due : s->due_ns;
}

static void wait_add(struct exchange_conn *c, const struct exchange_wait *wait)
{
	exchange_waiting_add(c->exchange->waiting, wait);
	c->n_waiting++;
	c->waiting_len += wait->reply.len;
	if (c->due_ns < wait->due_ns)
		c->due_ns = wait->due_ns;
}

/* An echo's head is in the reply. */
static uint8_t *head_copy(const struct exchange_reply *reply, const uint8_t *head)
{
	size_t len = reply->type == XSR_FRAME_ECHO_REP ? 0 : stream_head_len(reply->type, reply->len);
	uint8_t *copy = len ? malloc(len) : NULL;

	return copy ? memcpy(copy, head, len) : NULL;
}

static void reply_wait(struct exchange_conn *c, struct exchange_session *s, const struct exchange_reply *reply, const uint8_t *head)
{
	struct exchange_wait wait = {
		.due_ns = due_ns(c->exchange, c, s),
		.source = c,
		.session = s,
		.reply = *reply,
		.head = head_copy(reply, head),
	};

	if (reply->type == XSR_FRAME_REPLY_TYPE && !wait.head) /* no memory: it has nothing to say */
		wait.reply.len = XSR_FRAME_HEADER_LEN;
	s->due_ns = wait.due_ns;
	s->n_waiting++;
	wait_add(c, &wait);
}

static void pong_write(struct exchange_conn *c, uint64_t id, uint64_t seq)
{
	uint8_t out[XSR_FRAME_HEADER_LEN];

	stream_header_write(out, XSR_FRAME_HB_PONG, id, seq, sizeof(out));
	exchange_reply_send(c, out, sizeof(out));
}

/* Who is to have it; NULL = nobody is there any more. */
static struct exchange_conn *wait_target(const struct exchange_wait *wait)
{
	return wait->session ? wait->session->owner : wait->source;
}

static bool wait_has_room(const struct exchange_wait *wait)
{
	const struct exchange_conn *target = wait_target(wait);

	return !target || target->pause == CONN_ENDED || tcp_has_room(target->tcp, wait->reply.len);
}

static void wait_finish(struct exchange *e, struct exchange_wait *wait)
{
	struct exchange_conn *source = wait->source;

	if (wait->session) {
		session_reply_write(e, wait->session, &wait->reply, wait->head);
		wait->session->n_waiting--;
		exchange_session_release(wait->session);
	} else {
		pong_write(source, wait->id, wait->reply.seq);
	}
	free(wait->head);
	source->n_waiting--;
	source->waiting_len -= wait->reply.len;
	exchange_conn_touch(source);
}

bool exchange_replies_due(struct exchange *e)
{
	const struct exchange_wait *first;
	struct exchange_wait wait;

	while ((first = exchange_waiting_first(e->waiting)) && first->due_ns <= e->now_ns) {
		if (!wait_has_room(first))
			return false;
		wait = exchange_waiting_take(e->waiting);
		wait_finish(e, &wait);
	}
	return true;
}

/* --- now --- */

/* What a CALL says cannot be made again, and is not kept. */
void exchange_reply(struct exchange_conn *c, struct exchange_session *s, const struct exchange_reply *reply, const uint8_t *head)
{
	struct exchange *e = c->exchange;

	if (reply->type != XSR_FRAME_REPLY_TYPE)
		exchange_session_keep(e->sessions, s, reply);
	if (replies_wait(e))
		reply_wait(c, s, reply, head);
	else
		session_reply_write(e, s, reply, head);
}

void exchange_reply_pong(struct exchange_conn *c, const struct xsr_frame *ping)
{
	const struct exchange_wait wait = {
		.due_ns = c->due_ns,
		.source = c,
		.id = be64toh(ping->id),
		.reply = { .seq = be64toh(ping->seq), .len = XSR_FRAME_HEADER_LEN },
	};

	if (c->n_waiting)
		wait_add(c, &wait);
	else
		pong_write(c, wait.id, wait.reply.seq);
}

/* --- again --- */

static void error_send(struct exchange_conn *c, const struct exchange_session *s, uint64_t seq)
{
	uint8_t out[STREAM_SMALL_MAX];

	if (!seq)
		return;
	c->exchange->counts.not_kept++;
	exchange_reply_send(c, out, stream_error_write(out, XSR_ERROR_OVERFLOW, s->id, seq));
}

void exchange_reply_again(struct exchange_conn *c, struct exchange_session *s, uint64_t received)
{
	struct exchange *e = c->exchange;
	uint64_t oldest = exchange_session_oldest(e->sessions, s), seq = received + 1, missing = 0;
	const struct exchange_reply *reply;

	if (seq < oldest) {
		missing = oldest - 1;
		seq = oldest;
	}
	for (; seq <= s->written && c->pause != CONN_ENDED; seq++) {
		reply = exchange_session_kept(e->sessions, s, seq);
		if (!reply) {
			missing = seq;
			continue;
		}
		error_send(c, s, missing);
		missing = 0;
		e->counts.resent++;
		reply_write(c, s->id, reply, NULL);
	}
	error_send(c, s, missing);
}
