/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The handler `echo`: answers ECHO_REQ, PERF_PING, HB_PING and MPING frames; a message of
 * a service with another format is sent back as it came.
 */
#include <endian.h>
#include <errno.h>
#include <stdlib.h>
#include <time.h>

#include "frame.h"
#include "handlers.h"
#include "worker.h"

struct echo {
	struct xsr_worker *worker;
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
	*context = echo;
	return 0;
}

static void echo_close(void *context)
{
	free(context);
}

/* Who served it, by which generation of the route, and when the kernel and we saw it. */
static void perf_answer(const struct echo *echo, struct xsr_frame *frame, const struct xsr_message *m)
{
	struct xsr_frame_perf *perf = (struct xsr_frame_perf *)(frame + 1);
	uint64_t now_ns = clock_now_ns();
	uint16_t worker = htobe16(echo->worker->p.number);

	perf->t2k_ns = htobe64(m->time_ns);
	perf->t2_ns = htobe64(echo->worker->now_ns);
	perf->t4_ns = htobe64(now_ns);
	perf->in_worker = perf->owner_worker = perf->out_worker = worker;
	perf->n_handoff = 0;
	perf->generation = htobe16(m->generation);
	frame->type = XSR_FRAME_PERF_PONG;
}

/* False if there is no answer to this type. */
static bool frame_answer(const struct echo *echo, struct xsr_frame *frame, const struct xsr_message *m)
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
		perf_answer(echo, frame, m);
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

	(void)session; /* an echo has no state but what the table keeps */
	if (!(service->flags & XSR_SERVICE_FRAMED))
		return XSR_REPLY;
	if (frame_answer(echo, (struct xsr_frame *)m->data, m))
		return XSR_REPLY;
	echo->worker->counters->n[XSR_WORKER_STAT_UNEXPECTED]++;
	return XSR_RELEASE;
}

const struct xsr_handler handler_echo = {
	.name = "echo",
	.open = echo_open,
	.message = echo_message,
	.close = echo_close,
};
