/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#include "worker.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "rule.h"
#include "fence.h"
#include "socket.h"

#define NS_PER_S 1000000000ULL
#define DRAIN_NS (2 * NS_PER_S)
#define SLEEP_MS 1000

static uint64_t clock_now_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return ts.tv_sec * NS_PER_S + ts.tv_nsec;
}

/* By the rule of the message's service, on the same bytes as the kernel's program. */
static bool message_find_id(const struct xsr_worker *w, struct xsr_message *m)
{
	const struct xsr_service *service = &w->p.maps->services[m->service];
	const struct datagram d = {
		.payload = m->data,
		.end = m->data + m->len,
		.len = m->len,
	};
	__u64 id;

	if (!rule_find_id(&d, service, &id))
		return false;
	m->id = id;
	return true;
}

/* Frames are checked again here: the transport may not be the kernel's program. */
static bool message_is_sound(const struct xsr_worker *w, const struct xsr_message *m)
{
	const struct datagram d = {
		.payload = m->data,
		.end = m->data + m->len,
		.len = m->len,
	};

	return !(w->p.maps->services[m->service].flags & XSR_SERVICE_FRAMED) || frame_check(&d) == 0;
}

static struct session *message_session(struct xsr_worker *w, struct xsr_message *m)
{
	struct session *session;

	m->has_id = message_find_id(w, m);
	if (!m->has_id) {
		worker_count(w, XSR_WORKER_STAT_NO_ID);
		return NULL;
	}
	session = fence_session(w, m->service, m->id);
	if (!session)
		worker_count(w, XSR_WORKER_STAT_SESSIONS_FULL);
	return session;
}

static enum xsr_verdict message_serve(struct xsr_worker *w, struct session *session, struct xsr_message *m)
{
	if (!session)
		return w->p.handler->message(w->context, NULL, m);
	session->s.peer = m->peer;
	session->s.last_ns = w->now_ns;
	session->s.n_messages++;
	return w->p.handler->message(w->context, &session->s, m);
}

static enum xsr_verdict message_handle(struct xsr_worker *w, struct xsr_message *m)
{
	struct session *session;

	worker_count(w, XSR_WORKER_STAT_RX);
	w->counters->n[XSR_WORKER_STAT_RX_BYTES] += m->len;
	if (!message_is_sound(w, m)) {
		worker_count(w, XSR_WORKER_STAT_BAD_FRAME);
		return XSR_RELEASE;
	}
	session = message_session(w, m);
	if (session && !fence_admit(w, session, m))
		return XSR_RELEASE;
	return message_serve(w, session, m);
}

/* Gives the messages back: replies stay where they are, or close up; an echo copies nothing. */
static void batch_end(struct xsr_worker *w, const enum xsr_verdict *verdicts, int n)
{
	int i, n_replies = 0, n_releases = 0;

	for (i = 0; i < n; i++) {
		if (verdicts[i] == XSR_RELEASE)
			w->releases[n_releases++] = w->messages[i];
		else if (n_replies++ != i)
			w->messages[n_replies - 1] = w->messages[i];
	}
	if (n_replies)
		w->p.ops->submit(w->transport, w->messages, n_replies);
	if (n_releases)
		w->p.ops->release(w->transport, w->releases, n_releases);
}

static void batch_handle(struct xsr_worker *w, int n)
{
	enum xsr_verdict verdicts[WORKER_BATCH_MAX];
	int i;

	for (i = 0; i < n; i++)
		verdicts[i] = message_handle(w, &w->messages[i]);
	batch_end(w, verdicts, n);
}

void worker_serve_held(struct xsr_worker *w, int n)
{
	enum xsr_verdict verdicts[WORKER_BATCH_MAX];
	int i;

	for (i = 0; i < n; i++)
		verdicts[i] = message_serve(w, w->of[i], &w->messages[i]);
	batch_end(w, verdicts, n);
}

/* A share of the table every second, so that all of it is seen once in idle_s. */
static void sessions_expire(struct xsr_worker *w)
{
	uint64_t idle_ns = w->p.idle_s * NS_PER_S;
	uint32_t n = w->p.sessions_max / (w->p.idle_s ?: 1) + 1;
	struct session *session;

	if (!w->p.idle_s || w->now_ns < idle_ns)
		return;
	while ((session = session_sweep(w->sessions, w->now_ns - idle_ns, &n))) {
		if (w->p.handler->forget)
			w->p.handler->forget(w->context, &session->s);
		session_delete(w->sessions, session);
	}
}

static void worker_tick(struct xsr_worker *w)
{
	w->tick_ns = w->now_ns + NS_PER_S;
	sessions_expire(w);
	fence_tick(w);
	w->counters->n[XSR_WORKER_STAT_SESSIONS] = session_count(w->sessions);
	w->p.ops->tick(w->transport);
	if (w->p.handler->tick)
		w->p.handler->tick(w->context, w->now_ns);
}

/* Whoever sends mail from the announcement on writes the eventfd that wait() looks at. */
static void worker_sleep(struct xsr_worker *w, int timeout_ms)
{
	if (post_sleep(&w->post)) {
		w->p.ops->wait(w->transport, timeout_ms);
		worker_count(w, XSR_WORKER_STAT_WAKEUPS);
	}
	post_awake(&w->post);
}

static int worker_recv(struct xsr_worker *w)
{
	if (post_rung(&w->post)) {
		w->now_ns = w->p.clock_ns();
		fence_read_mail(w);
	}
	return w->p.ops->recv(w->transport, w->messages, w->p.batch);
}

int xsr_worker_poll(struct xsr_worker *w, int timeout_ms)
{
	int n = worker_recv(w);

	if (n == 0 && timeout_ms != 0)
		timeout_ms = fence_timeout_ms(w, timeout_ms);
	if (n == 0 && timeout_ms != 0) {
		worker_sleep(w, timeout_ms);
		n = worker_recv(w);
	}
	w->now_ns = w->p.clock_ns();
	if (n > 0)
		batch_handle(w, n);
	fence_step(w);
	if (w->now_ns >= w->tick_ns)
		worker_tick(w);
	atomic_store_explicit(&w->n_polls, w->n_polls + 1, memory_order_relaxed);
	return n;
}

void worker_run(struct xsr_worker *w)
{
	int timeout_ms = w->p.spin ? 0 : SLEEP_MS;
	uint64_t deadline_ns;

	while (!atomic_load_explicit(&w->stopping, memory_order_acquire))
		if (xsr_worker_poll(w, timeout_ms) == 0 && w->p.spin)
			__builtin_ia32_pause();
	fence_release_all(w);
	deadline_ns = w->p.clock_ns() + DRAIN_NS;
	while ((xsr_worker_poll(w, 0) > 0 || fence_timeout_ms(w, 1) == 0) && w->now_ns < deadline_ns)
		;
	worker_tick(w);
}

void worker_stop(struct xsr_worker *w)
{
	atomic_store_explicit(&w->stopping, true, memory_order_release);
	post_wake(&w->post);
}

static int transport_open(struct xsr_worker *w, char why[XSR_WHY_LEN])
{
	const struct transport_params params = {
		.instance = w->p.instance,
		.maps = w->p.maps,
		.umem = w->p.umem,
		.worker = w->p.number,
		.ring_len = w->p.ring_len,
		.batch = w->p.batch,
		.frame_len = w->p.frame_len,
		.counters = (uint64_t *)w->counters->n,
		.wake_fd = w->post.fd,
		.log = w->p.log,
		.log_arg = w->p.log_arg,
	};

	return w->p.ops->open(&w->transport, &params, why);
}

int worker_open(struct xsr_worker **out, const struct worker_params *params, char why[XSR_WHY_LEN])
{
	struct xsr_worker *w = calloc(1, sizeof(*w));
	int ret;

	if (!w)
		return -ENOMEM;
	w->p = *params;
	w->p.clock_ns = params->clock_ns ?: clock_now_ns;
	w->counters = &params->maps->workers[params->number];
	ret = post_open(&w->post, params->number);
	if (!ret)
		ret = session_table_open(&w->sessions, params->sessions_max);
	if (!ret)
		ret = fence_open(w);
	if (ret) {
		snprintf(why, XSR_WHY_LEN, "worker %u: %s", params->number, strerror(-ret));
	} else {
		worker_claim(w->counters, params->cpu, params->ops->name);
		ret = transport_open(w, why);
	}
	if (!ret && params->handler->open)
		ret = params->handler->open(w, &w->context);
	if (ret)
		worker_close(w);
	else
		*out = w;
	return ret;
}

void worker_close(struct xsr_worker *w)
{
	if (!w)
		return;
	if (w->p.handler->close && w->context)
		w->p.handler->close(w->context);
	w->p.ops->close(w->transport);
	fence_close(w);
	session_table_close(w->sessions);
	worker_leave(w->counters);
	post_close(&w->post);
	free(w);
}

unsigned int xsr_worker_number(const struct xsr_worker *w)
{
	return w->p.number;
}
