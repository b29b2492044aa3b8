/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * AF_XDP: one socket for each queue, all on the router's shared memory. A worker receives
 * from all queues and transmits from one queue of each device, its own.
 */
#include <errno.h>
#include <linux/if_xdp.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "find.h"
#include "packet.h"
#include "socket.h"
#include "transport.h"
#include "umem.h"
#include "xdp_socket.h"

#define BATCH_MAX 256
#define RESERVE_HEADROOM 128 /* less than before a received payload: what came fits into what is reserved */
#define KICKS_MAX 64 /* the kernel sends 32 frames a call in copy mode */

/* Frames on their way home, a batch for each queue. */
struct xdp_returns {
	uint64_t addrs[BATCH_MAX];
	unsigned int n;
};

struct transport {
	struct transport_params p;
	struct umem *umem;
	struct xdp_socket *sockets; /* by queue */
	struct xdp_sender *senders; /* by device */
	struct xdp_returns *returns; /* by queue */
	struct pollfd *pollfds;	    /* the sockets, then the wake-up */
	unsigned int next_queue;    /* where the next batch begins: no queue starves another */
	char mode_active[32];
};

_Static_assert(RESERVE_HEADROOM >= PACKET_HEADERS_MAX, "headers fit before a payload");
_Static_assert(RESERVE_HEADROOM <= XDP_PACKET_HEADROOM, "what was received fits behind it");

/* The queue of this device that the worker sends from. */
static struct umem_queue *own_queue(const struct umem *umem, unsigned int device, unsigned int worker)
{
	unsigned int i, first = 0, n = 0;

	for (i = 0; i < umem->n_queues; i++) {
		if (umem->queues[i].device != device)
			continue;
		if (n++ == 0)
			first = i;
	}
	return &umem->queues[first + worker % n];
}

static int socket_open(struct transport *t, unsigned int i, char why[XSR_WHY_LEN])
{
	struct umem_queue *queue = &t->umem->queues[i];
	struct xdp_sender *sender = &t->senders[queue->device];

	return xdp_socket_open(&t->sockets[i], sender->queue == queue ? sender : NULL, queue, t->p.ring_len, why);
}

static void mode_read(struct transport *t)
{
	bool zerocopy = xdp_socket_zerocopy(&t->sockets[0]);

	snprintf(t->mode_active, sizeof(t->mode_active), "xdp %s", zerocopy ? "zero-copy" : "copy");
}

static int arrays_alloc(struct transport *t)
{
	unsigned int i, n = t->umem->n_queues;

	t->sockets = calloc(n, sizeof(*t->sockets));
	t->senders = calloc(t->umem->n_devices, sizeof(*t->senders));
	t->returns = calloc(n, sizeof(*t->returns));
	t->pollfds = calloc(n + 1, sizeof(*t->pollfds));
	if (!t->sockets || !t->senders || !t->returns || !t->pollfds)
		return -ENOMEM;
	for (i = 0; i < n; i++)
		t->sockets[i].fd = -1;
	for (i = 0; i < t->umem->n_devices; i++)
		t->senders[i].queue = own_queue(t->umem, i, t->p.worker);
	return 0;
}

static void xdp_close(struct transport *t)
{
	unsigned int i;

	if (!t)
		return;
	for (i = 0; t->senders && i < t->umem->n_devices; i++)
		umem_ring_unmap(&t->senders[i].tx_ring);
	for (i = 0; t->sockets && i < t->umem->n_queues; i++)
		xdp_socket_close(&t->sockets[i]);
	free(t->sockets);
	free(t->senders);
	free(t->returns);
	free(t->pollfds);
	free(t);
}

static int xdp_open(struct transport **out, const struct transport_params *params, char why[XSR_WHY_LEN])
{
	struct transport *t = calloc(1, sizeof(*t));
	unsigned int i;
	int ret;

	if (!t)
		return -ENOMEM;
	t->p = *params;
	t->umem = params->umem;
	ret = arrays_alloc(t);
	for (i = 0; i < t->umem->n_queues && !ret; i++)
		ret = socket_open(t, i, why);
	if (ret) {
		xdp_close(t);
		return ret;
	}
	for (i = 0; i < t->umem->n_queues; i++)
		t->pollfds[i] = (struct pollfd){ .fd = t->sockets[i].fd, .events = POLLIN };
	t->pollfds[i] = (struct pollfd){ .fd = params->wake_fd, .events = POLLIN };
	mode_read(t);
	*out = t;
	return 0;
}

static void xdp_withdraw(struct transport *t)
{
	unsigned int i;

	for (i = 0; i < t->umem->n_queues; i++)
		socket_withdraw(t->p.maps, t->umem->queues[i].number, t->p.worker);
}

/* That were sent to it when it was published before: nothing is on its way now. */
static uint64_t frames_so_far(const struct xdp_socket *s)
{
	struct xdp_drops drops = xdp_socket_drops(s);

	return xdp_socket_place_arrived(s) + drops.no_room + drops.ring_full;
}

static int xdp_publish(struct transport *t)
{
	unsigned int i;
	int ret = 0;

	for (i = 0; i < t->umem->n_queues && !ret; i++) {
		const struct umem_queue *queue = &t->umem->queues[i];

		ret = socket_publish(t->p.maps, queue->number, t->p.worker, t->sockets[i].fd, queue->ifindex,
				     frames_so_far(&t->sockets[i]));
	}
	if (ret)
		xdp_withdraw(t);
	return ret;
}

static void returns_flush(struct transport *t)
{
	unsigned int i;

	for (i = 0; i < t->umem->n_queues; i++) {
		if (t->returns[i].n)
			umem_put(t->umem, &t->umem->queues[i], t->returns[i].addrs, t->returns[i].n);
		t->returns[i].n = 0;
	}
}

static void frame_return(struct transport *t, uint64_t addr)
{
	unsigned int home = umem_home(t->umem, addr);
	struct xdp_returns *r = &t->returns[home];

	r->addrs[r->n++] = umem_frame(t->umem, addr);
	if (r->n == BATCH_MAX) {
		umem_put(t->umem, &t->umem->queues[home], r->addrs, r->n);
		r->n = 0;
	}
}

/* The stamp right before the frame, read once: a frame comes back without it. */
static void stamp_read(uint8_t *frame, struct xsr_message *m)
{
	struct xsr_stamp *stamp = (struct xsr_stamp *)frame - 1;

	if (stamp->magic != XSR_STAMP_MAGIC)
		return;
	stamp->magic = 0;
	m->time_ns = stamp->time_ns;
	m->generation = stamp->generation;
	m->service = stamp->service;
}

/* 0, or -1 if it is nobody's; counted. */
static int message_read(struct transport *t, const struct umem_queue *queue, const struct xdp_desc *desc,
			struct xsr_message *m)
{
	uint8_t *frame = t->umem->area + desc->addr;
	struct datagram d;

	m->time_ns = 0;
	m->generation = 0;
	m->service = 0;
	stamp_read(frame, m);
	if (packet_parse(frame, desc->len, m, &d)) {
		t->p.counters[XSR_WORKER_STAT_BAD_PACKET]++;
		return -1;
	}
	if (!m->service)
		m->service = find_service(t->p.maps, &d);
	if (!m->service) {
		t->p.counters[XSR_WORKER_STAT_NO_SERVICE]++;
		return -1;
	}
	m->peer.queue = queue - t->umem->queues;
	m->buffer = desc->addr;
	m->room = umem_frame(t->umem, desc->addr) + t->umem->frame_len - (m->data - t->umem->area);
	return 0;
}

static int queue_recv(struct transport *t, unsigned int i, struct xsr_message *messages, int n)
{
	struct xdp_socket *s = &t->sockets[i];
	int got = 0, k, n_desc;
	uint32_t at;

	n_desc = xsk_ring_cons__peek(&s->rx, n, &at);
	for (k = 0; k < n_desc; k++) {
		const struct xdp_desc *desc = xsk_ring_cons__rx_desc(&s->rx, at + k);

		if (message_read(t, &t->umem->queues[i], desc, &messages[got]) == 0)
			got++;
		else
			frame_return(t, desc->addr);
	}
	if (n_desc)
		xsk_ring_cons__release(&s->rx, n_desc);
	return got;
}

/* What was sent comes home, of all devices that something was sent to. */
static void completions_collect(struct transport *t)
{
	uint64_t addrs[BATCH_MAX];
	unsigned int i, k, n;

	for (i = 0; i < t->umem->n_devices; i++) {
		struct xdp_sender *sender = &t->senders[i];

		if (!sender->n_pending)
			continue;
		n = umem_completed(sender->queue, addrs, BATCH_MAX);
		sender->n_pending -= n < sender->n_pending ? n : sender->n_pending;
		for (k = 0; k < n; k++)
			frame_return(t, addrs[k]);
	}
}

static int xdp_recv(struct transport *t, struct xsr_message *messages, int n)
{
	unsigned int i, n_queues = t->umem->n_queues;
	int got = 0;

	completions_collect(t);
	for (i = 0; i < n_queues && got < n; i++)
		got += queue_recv(t, (t->next_queue + i) % n_queues, messages + got, n - got);
	t->next_queue = (t->next_queue + 1) % n_queues;
	if (!got)
		returns_flush(t);
	return got;
}

static void xdp_release(struct transport *t, struct xsr_message *messages, int n)
{
	int i;

	for (i = 0; i < n; i++)
		frame_return(t, messages[i].buffer);
	returns_flush(t);
}

static int xdp_reserve(struct transport *t, struct xsr_message *messages, int n)
{
	uint64_t addrs[BATCH_MAX];
	unsigned int i, got;

	got = umem_take(t->senders[0].queue, addrs, n < BATCH_MAX ? n : BATCH_MAX);
	for (i = 0; i < got; i++) {
		memset(&messages[i], 0, sizeof(messages[i]));
		messages[i].buffer = addrs[i];
		messages[i].data = t->umem->area + addrs[i] + RESERVE_HEADROOM;
		messages[i].room = t->umem->frame_len - RESERVE_HEADROOM;
	}
	return got;
}

/* Makes the kernel send what is in the ring; the driver may do so by itself in zero-copy mode. */
static void sender_kick(struct transport *t, struct xdp_sender *sender)
{
	int i;

	for (i = 0; i < KICKS_MAX; i++) {
		if (!xsk_ring_prod__needs_wakeup(&sender->tx))
			return;
		if (sendto(sender->fd, NULL, 0, MSG_DONTWAIT, NULL, 0) < 0 && errno != EAGAIN && errno != EBUSY &&
		    errno != ENOBUFS) {
			t->p.counters[XSR_WORKER_STAT_TX_ERROR]++;
			return;
		}
		if (*sender->tx.consumer == *sender->tx.producer)
			return;
		completions_collect(t); /* a full completion ring holds sending up */
	}
}

static bool message_send(struct transport *t, struct xdp_sender *sender, const struct xsr_message *m)
{
	uint32_t headers_len, at;
	struct xdp_desc *desc;

	if (!xsk_ring_prod__reserve(&sender->tx, 1, &at)) {
		t->p.counters[XSR_WORKER_STAT_TX_FULL]++;
		return false;
	}
	headers_len = packet_build(m);
	desc = xsk_ring_prod__tx_desc(&sender->tx, at);
	*desc = (struct xdp_desc){
		.addr = m->data - headers_len - t->umem->area,
		.len = headers_len + m->len,
	};
	t->p.counters[XSR_WORKER_STAT_TX]++;
	t->p.counters[XSR_WORKER_STAT_TX_BYTES] += m->len;
	return true;
}

static void xdp_submit(struct transport *t, struct xsr_message *messages, int n)
{
	unsigned int queued[XSR_DEVICES_MAX] = {};
	unsigned int device;
	int i;

	for (i = 0; i < n; i++) {
		device = t->umem->queues[messages[i].peer.queue].device;
		if (message_send(t, &t->senders[device], &messages[i]))
			queued[device]++;
		else
			frame_return(t, messages[i].buffer);
	}
	for (device = 0; device < t->umem->n_devices; device++) {
		if (!queued[device])
			continue;
		xsk_ring_prod__submit(&t->senders[device].tx, queued[device]);
		t->senders[device].n_pending += queued[device];
		sender_kick(t, &t->senders[device]);
	}
	completions_collect(t);
	returns_flush(t);
}

static int xdp_wait(struct transport *t, int timeout_ms)
{
	int n = poll(t->pollfds, t->umem->n_queues + 1, timeout_ms);

	return n < 0 && errno != EINTR ? -errno : 0;
}

/*
 * Frames that were redirected have a place each, and none of those that the kernel dropped stands behind this one: what is
 * counted as dropped now was redirected before the redirects are read. Where a drop is not counted yet the place is too far, and the
 * other mark is passed first.
 */
static uint32_t place_redirected(const struct transport *t, unsigned int i)
{
	uint32_t slot = xsr_slot_index(t->umem->queues[i].number, t->p.worker);
	struct xdp_drops drops = xdp_socket_drops(&t->sockets[i]);

	return __atomic_load_n(&t->p.maps->slots[slot].n_redirected, __ATOMIC_ACQUIRE) - drops.no_room - drops.ring_full;
}

static bool xdp_mark(struct transport *t, enum transport_mark kind)
{
	unsigned int i;

	for (i = 0; i < t->umem->n_queues; i++)
		t->sockets[i].marks[kind] = kind == MARK_REDIRECTED ? place_redirected(t, i) :
								       xdp_socket_place_arrived(&t->sockets[i]);
	return true;
}

static bool xdp_passed(struct transport *t, enum transport_mark kind)
{
	unsigned int i;

	for (i = 0; i < t->umem->n_queues; i++)
		if ((int32_t)(t->sockets[i].rx.cached_cons - t->sockets[i].marks[kind]) < 0)
			return false;
	return true;
}

static void xdp_tick(struct transport *t)
{
	struct xdp_drops all = {};
	unsigned int i;

	for (i = 0; i < t->umem->n_queues; i++) {
		struct xdp_drops drops = xdp_socket_drops(&t->sockets[i]);

		all.no_room += drops.no_room;
		all.ring_full += drops.ring_full;
		all.fill_empty += drops.fill_empty;
	}
	t->p.counters[XSR_WORKER_STAT_RX_DROPPED] = all.no_room;
	t->p.counters[XSR_WORKER_STAT_RX_RING_FULL] = all.ring_full;
	t->p.counters[XSR_WORKER_STAT_FILL_EMPTY] = all.fill_empty;
}

static const char *xdp_mode_active(const struct transport *t)
{
	return t->mode_active;
}

const struct transport_ops transport_xdp = {
	.name = "xdp",
	.open = xdp_open,
	.close = xdp_close,
	.publish = xdp_publish,
	.withdraw = xdp_withdraw,
	.recv = xdp_recv,
	.release = xdp_release,
	.reserve = xdp_reserve,
	.submit = xdp_submit,
	.wait = xdp_wait,
	.mark = xdp_mark,
	.passed = xdp_passed,
	.tick = xdp_tick,
	.mode_active = xdp_mode_active,
};
