/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The handler `echo`: answers ECHO_REQ, PERF_PING, HB_PING and MPING frames; a message of
 * a service with another format is sent back as it came.
 */
#include <endian.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "frame.h"
#include "handlers.h"
#include "worker.h"

#define ECHO_STATE_VERSION 1 /* the number of messages served, 8 bytes big endian */

struct echo {
	struct xsr_worker *worker;
	uint64_t *served; /* messages, by the session's index: goes with a session that moves */
};

static uint64_t clock_now_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return ts.tv_sec * 1000000000ULL + ts.tv_nsec;
}

static int echo_open(struct xsr_worker *worker, void **context)
{
	struct echo *echo = calloc(1, sizeof(*echo));

	if (!echo)
		return -ENOMEM;
	echo->worker = worker;
	echo->served = calloc(worker->p.sessions_max, sizeof(*echo->served));
	if (!echo->served) {
		free(echo);
		return -ENOMEM;
	}
	*context = echo;
	return 0;
}

static void echo_close(void *context)
{
	struct echo *echo = context;

	free(echo->served);
	free(echo);
}

static int echo_give_up(void *context, struct xsr_session *session, void *state)
{
	const struct echo *echo = context;
	const uint64_t served = htobe64(echo->served[session->index]);

	memcpy(state, &served, sizeof(served));
	return sizeof(served);
}

static int echo_take_over(void *context, struct xsr_session *session, uint16_t version, const void *state, size_t len)
{
	struct echo *echo = context;
	uint64_t served;

	if (version != ECHO_STATE_VERSION || len != sizeof(served))
		return -EPROTO;
	memcpy(&served, state, sizeof(served));
	echo->served[session->index] = be64toh(served);
	return 0;
}

/* Who served it, by which generation of the route, and when the kernel and we saw it. */
static void perf_answer(const struct echo *echo, const struct xsr_session *session, struct xsr_frame *frame,
			const struct xsr_message *m)
{
	struct xsr_frame_perf *perf = (struct xsr_frame_perf *)(frame + 1);
	uint64_t now_ns = clock_now_ns();
	uint16_t worker = htobe16(echo->worker->p.number);

	perf->t2k_ns = htobe64(m->time_ns);
	perf->t2_ns = htobe64(echo->worker->now_ns);
	perf->t4_ns = htobe64(now_ns);
	perf->in_worker = perf->owner_worker = perf->out_worker = worker;
	perf->n_handoff = htobe16(session ? session->n_handoffs : 0);
	perf->generation = htobe16(m->generation || !session ? m->generation : session->generation);
	perf->served = htobe64(session ? echo->served[session->index] : 0);
	frame->type = XSR_FRAME_PERF_PONG;
}

/* False if there is no answer to this type. */
static bool frame_answer(const struct echo *echo, const struct xsr_session *session, struct xsr_frame *frame,
			 const struct xsr_message *m)
{
	switch (frame->type) {
	case XSR_FRAME_ECHO_REQ:
		frame->type = XSR_FRAME_ECHO_REP;
		break;
	case XSR_FRAME_HB_PING:
		frame->type = XSR_FRAME_HB_PONG;
		break;
	case XSR_FRAME_MPING:
		frame->type = XSR_FRAME_MPONG;
		break;
	case XSR_FRAME_PERF_PING:
		if (m->len < sizeof(*frame) + sizeof(struct xsr_frame_perf))
			return false;
		perf_answer(echo, session, frame, m);
		break;
	default:
		return false;
	}
	frame->flags |= htobe16(XSR_FRAME_REPLY);
	return true;
}

static enum xsr_verdict echo_message(void *context, struct xsr_session *session, struct xsr_message *m)
{
	const struct echo *echo = context;
	const struct xsr_service *service = &echo->worker->p.maps->services[m->service];

	if (session && session->n_messages == 1)
		echo->served[session->index] = 0; /* it is new; its place may have been another's */
	if (session)
		echo->served[session->index]++;
	if (!(service->flags & XSR_SERVICE_FRAMED))
		return XSR_REPLY;
	if (frame_answer(echo, session, (struct xsr_frame *)m->data, m))
		return XSR_REPLY;
	echo->worker->counters->n[XSR_WORKER_STAT_UNEXPECTED]++;
	return XSR_RELEASE;
}

const struct xsr_handler handler_echo = {
	.name = "echo",
	.open = echo_open,
	.message = echo_message,
	.close = echo_close,
	.give_up = echo_give_up,
	.take_over = echo_take_over,
	.state_version = ECHO_STATE_VERSION,
	.state_len_max = sizeof(uint64_t),
};
