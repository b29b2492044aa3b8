/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* A transport whose other end is net.h; it knows which buffers it has lent, and wants each of them back once. */
#ifndef XSR_TEST_FAKE_TRANSPORT_H
#define XSR_TEST_FAKE_TRANSPORT_H

#include <poll.h>
#include <string.h>
#include <sys/eventfd.h>

#include "fake_maps.h"
#include "net.h"
#include "transport.h"

#define FAKE_BUFFERS 64
#define FAKE_BUFFER_LEN 2048

/* What a transport's umem stands for here. */
struct fake_umem {
	struct net *net;
	struct chance chance;
	unsigned int recv_max;	       /* messages a call */
	unsigned int reserve_failures; /* percent of the calls that give less than was asked for */
	bool redirects_known;	       /* as with xdp; sockets do not tell */
	bool wakes;		       /* wait() really sleeps */
};

enum fake_loan { LOAN_NONE, LOAN_RECEIVED, LOAN_RESERVED };

struct transport {
	struct transport_params p;
	struct net *net;
	const struct fake_umem *umem;
	struct chance chance;
	unsigned int next_queue;
	uint64_t marks[LANES_MAX][MARK_MAX];
	uint64_t n_received, n_reserved, n_sent;
	unsigned int n_lent;
	enum fake_loan loans[FAKE_BUFFERS];
	uint8_t buffers[FAKE_BUFFERS][FAKE_BUFFER_LEN];
};

static inline int fake_open(struct transport **out, const struct transport_params *params, char why[XSR_WHY_LEN])
{
	struct fake_umem *umem = (struct fake_umem *)params->umem;
	struct transport *t = calloc(1, sizeof(*t));

	(void)why;
	t->p = *params;
	t->umem = umem;
	t->net = umem->net;
	t->chance = chance_split(&umem->chance);
	if (umem->wakes)
		t->net->fds[params->worker] = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	*out = t;
	return 0;
}

static inline void fake_close(struct transport *t)
{
	if (t && t->n_lent)
		ledger_wrong(t->net->ledger, "worker %u keeps %u buffers", t->p.worker, t->n_lent);
	if (t && t->net->fds[t->p.worker] >= 0)
		close(t->net->fds[t->p.worker]);
	free(t);
}

static inline int fake_publish(struct transport *t)
{
	(void)t;
	return 0;
}

static inline void fake_withdraw(struct transport *t)
{
	(void)t;
}

/* --- buffers --- */

static inline struct xsr_message fake_lend(struct transport *t, enum fake_loan loan)
{
	unsigned int i = 0;

	while (i < FAKE_BUFFERS && t->loans[i] != LOAN_NONE)
		i++;
	if (i == FAKE_BUFFERS)
		abort();
	t->loans[i] = loan;
	t->n_lent++;
	memset(t->buffers[i], 0xee, 64);
	return (struct xsr_message){ .data = t->buffers[i], .room = FAKE_BUFFER_LEN, .buffer = i };
}

static inline void fake_take_back(struct transport *t, const struct xsr_message *m)
{
	if (m->buffer >= FAKE_BUFFERS || t->loans[m->buffer] == LOAN_NONE || m->data != t->buffers[m->buffer]) {
		ledger_wrong(t->net->ledger, "worker %u gives back a buffer that it has not", t->p.worker);
		return;
	}
	t->loans[m->buffer] = LOAN_NONE;
	t->n_lent--;
}

static inline void message_receive(struct transport *t, struct xsr_message *m, unsigned int queue,
				   struct net_frame *frame)
{
	*m = fake_lend(t, LOAN_RECEIVED);
	m->len = frame->len;
	m->generation = frame->generation;
	m->service = FAKE_SERVICE;
	m->peer.queue = queue;
	m->peer.port = frame->payload.index;
	memcpy(m->data, &frame->payload, frame->len);
	free(frame);
	t->n_received++;
}

static inline int fake_recv(struct transport *t, struct xsr_message *messages, int n)
{
	struct net_frame *frame;
	unsigned int i, queue;
	int got = 0, max = chance_from(&t->chance, 1, t->umem->recv_max);

	for (i = 0; i < t->net->n_queues; i++) {
		queue = (t->next_queue + i) % t->net->n_queues;
		while (got < n && got < max && (frame = net_take(&t->net->rings[queue][t->p.worker].c)))
			message_receive(t, &messages[got++], queue, frame);
	}
	t->next_queue++;
	return got;
}

static inline void fake_release(struct transport *t, struct xsr_message *messages, int n)
{
	int i;

	for (i = 0; i < n; i++) {
		if (t->loans[messages[i].buffer % FAKE_BUFFERS] == LOAN_RECEIVED &&
		    payload_is_reply((struct payload *)messages[i].data))
			ledger_wrong(t->net->ledger, "worker %u does not send an answer", t->p.worker);
		fake_take_back(t, &messages[i]);
	}
}

static inline int fake_reserve(struct transport *t, struct xsr_message *messages, int n)
{
	int i;

	if (chance_of(&t->chance, t->umem->reserve_failures))
		n = chance_below(&t->chance, n);
	for (i = 0; i < n; i++)
		messages[i] = fake_lend(t, LOAN_RESERVED);
	t->n_reserved += n;
	return n;
}

static inline void fake_submit(struct transport *t, struct xsr_message *messages, int n)
{
	int i;

	for (i = 0; i < n; i++) {
		const struct payload *p = (const struct payload *)messages[i].data;

		if (!payload_is_reply(p) || !payload_is_whole(p, messages[i].len) || messages[i].peer.port != p->index)
			ledger_wrong(t->net->ledger, "worker %u sends what is no answer", t->p.worker);
		fake_take_back(t, &messages[i]);
	}
	t->n_sent += n;
}

/* --- what is on its way --- */

/* Drops first: what is counted as dropped was counted as redirected before. */
static inline uint64_t place_of(struct net_ring *r, enum transport_mark kind)
{
	uint64_t n_dropped = atomic_load(&r->n_dropped);

	return kind == MARK_REDIRECTED ? atomic_load(&r->n_redirected) - n_dropped : atomic_load(&r->ring->tail);
}

static inline bool fake_mark(struct transport *t, enum transport_mark kind)
{
	unsigned int i;

	if (kind == MARK_REDIRECTED && !t->umem->redirects_known)
		return false;
	for (i = 0; i < t->net->n_queues; i++)
		t->marks[i][kind] = place_of(&t->net->rings[i][t->p.worker], kind);
	return true;
}

static inline bool fake_passed(struct transport *t, enum transport_mark kind)
{
	unsigned int i;

	for (i = 0; i < t->net->n_queues; i++)
		if ((int64_t)(t->net->rings[i][t->p.worker].c.at - t->marks[i][kind]) < 0)
			return false;
	return true;
}

static inline int fake_wait(struct transport *t, int timeout_ms)
{
	struct pollfd fds[] = { { .fd = t->p.wake_fd, .events = POLLIN },
				{ .fd = t->net->fds[t->p.worker], .events = POLLIN } };
	uint64_t events;

	poll(fds, 2, timeout_ms);
	if (read(fds[1].fd, &events, sizeof(events)) < 0)
		return 0; /* nobody wrote */
	return 0;
}

static inline void fake_tick(struct transport *t)
{
	(void)t;
}

static inline const char *fake_mode(const struct transport *t)
{
	(void)t;
	return "fake";
}

static const struct transport_ops transport_fake = {
	.name = "fake",
	.open = fake_open,
	.close = fake_close,
	.publish = fake_publish,
	.withdraw = fake_withdraw,
	.recv = fake_recv,
	.release = fake_release,
	.reserve = fake_reserve,
	.submit = fake_submit,
	.wait = fake_wait,
	.mark = fake_mark,
	.passed = fake_passed,
	.tick = fake_tick,
	.mode_active = fake_mode,
};

#endif /* XSR_TEST_FAKE_TRANSPORT_H */
