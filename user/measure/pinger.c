/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#include "pinger.h"

#include <endian.h>
#include <errno.h>
#include <net/if.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <bpf/bpf.h>

#include "clock.h"
#include "umem.h"

#define N_FRAMES 64
#define FRAME_LEN 2048
#define LOST_NS (100 * NS_PER_MS)
#define LOST_MAX 20 /* in a row: nobody answers */

struct pinger {
	const struct pinger_params *p;
	struct child_report *report;
	struct umem *umem;
	struct umem_queue *queue;
	int fd;
	struct umem_ring rx_ring, tx_ring;
	struct xsk_ring_cons rx;
	struct xsk_ring_prod tx;
	uint64_t frame; /* address of the ping */
	uint64_t seq;
};

static int memory_open(struct pinger *p)
{
	int ret = umem_open(&p->umem, 1, N_FRAMES, FRAME_LEN);

	if (ret)
		return ret;
	p->umem->n_devices = 1;
	p->queue = &p->umem->queues[0];
	p->queue->ifindex = if_nametoindex(p->p->device);
	return 0;
}

static int rings_map(struct pinger *p)
{
	struct xdp_mmap_offsets off;
	socklen_t len = sizeof(off);
	int ret;

	if (getsockopt(p->fd, SOL_XDP, XDP_MMAP_OFFSETS, &off, &len))
		return -errno;
	ret = umem_ring_map(p->fd, &p->rx_ring, &off.rx, XDP_PGOFF_RX_RING, N_FRAMES,
			    sizeof(struct xdp_desc));
	if (!ret)
		ret = umem_ring_map(p->fd, &p->tx_ring, &off.tx, XDP_PGOFF_TX_RING, N_FRAMES,
				    sizeof(struct xdp_desc));
	if (ret)
		return ret;
	umem_ring_cons(&p->rx, &p->rx_ring, &off.rx, N_FRAMES);
	umem_ring_prod(&p->tx, &p->tx_ring, &off.tx, N_FRAMES);
	return 0;
}

static int socket_open(struct pinger *p)
{
	const __u32 queue_id = 0;
	const int n = N_FRAMES;
	int ret;

	p->fd = socket(AF_XDP, SOCK_RAW | SOCK_CLOEXEC, 0);
	if (p->fd < 0 || setsockopt(p->fd, SOL_XDP, XDP_RX_RING, &n, sizeof(n)) ||
	    setsockopt(p->fd, SOL_XDP, XDP_TX_RING, &n, sizeof(n)))
		return -errno;
	ret = umem_queue_open(p->umem, p->queue, p->report->why);
	if (!ret)
		ret = rings_map(p);
	if (!ret)
		ret = umem_bind(p->queue, p->fd, p->report->why);
	if (!ret && bpf_map_update_elem(p->p->sockets_fd, &queue_id, &p->fd, BPF_ANY))
		ret = -errno;
	return ret;
}

static int pinger_open(struct pinger *p)
{
	int ret = memory_open(p);

	if (!ret)
		ret = socket_open(p);
	if (!ret && umem_take(p->queue, &p->frame, 1) != 1)
		ret = -ENOMEM;
	if (ret) {
		snprintf(p->report->why, sizeof(p->report->why), "cannot open the client's AF_XDP socket: %s",
			 strerror(-ret));
		return ret;
	}
	memcpy(p->umem->area + p->frame, p->p->frame, p->p->frame_len);
	return 0;
}

static void ping_send(struct pinger *p)
{
	struct xdp_desc *desc;
	uint64_t sent;
	uint32_t at;

	umem_completed(p->queue, &sent, 1); /* the one before: its frame is used again */
	datagram_frame(p->umem->area + p->frame)->seq = htobe64(++p->seq);
	if (xsk_ring_prod__reserve(&p->tx, 1, &at) != 1)
		return;
	desc = xsk_ring_prod__tx_desc(&p->tx, at);
	*desc = (struct xdp_desc){ .addr = p->frame, .len = p->p->frame_len };
	xsk_ring_prod__submit(&p->tx, 1);
	sendto(p->fd, NULL, 0, MSG_DONTWAIT, NULL, 0);
}

/* True if what arrived is the answer to the ping in flight. */
static bool answer_receive(struct pinger *p)
{
	const struct xdp_desc *desc;
	const struct xsr_frame *frame;
	uint64_t addr;
	uint32_t at;
	bool found;

	if (!xsk_ring_cons__peek(&p->rx, 1, &at))
		return false;
	desc = xsk_ring_cons__rx_desc(&p->rx, at);
	frame = datagram_frame(p->umem->area + desc->addr);
	found = desc->len == p->p->frame_len && frame->type == XSR_FRAME_ECHO_REP &&
		be64toh(frame->seq) == p->seq;
	addr = umem_frame(p->umem, desc->addr);
	xsk_ring_cons__release(&p->rx, 1);
	umem_put(p->umem, p->queue, &addr, 1);
	return found;
}

/* How long it took, or 0 if the answer did not come. */
static uint64_t ping(struct pinger *p)
{
	uint64_t start_ns = clock_now_ns(), now_ns;

	ping_send(p);
	while (!answer_receive(p)) {
		now_ns = clock_now_ns();
		if (now_ns - start_ns > LOST_NS)
			return 0;
	}
	return clock_now_ns() - start_ns;
}

static int pings_run(struct pinger *p)
{
	uint64_t start_ns = clock_now_ns(), record_ns = start_ns + p->p->warmup_ns, now_ns, rtt_ns;
	unsigned int n_lost = 0;

	do {
		rtt_ns = ping(p);
		now_ns = clock_now_ns();
		n_lost = rtt_ns ? 0 : n_lost + 1;
		if (n_lost == LOST_MAX) {
			snprintf(p->report->why, sizeof(p->report->why),
				 "%u pings in a row were not answered", n_lost);
			return -ETIMEDOUT;
		}
		if (now_ns < record_ns)
			continue;
		if (rtt_ns)
			histogram_add(&p->report->rtt_ns, rtt_ns);
		else
			p->report->n_lost++;
	} while (now_ns < record_ns + p->p->measure_ns && !child_stopping(p->report));
	return 0;
}

/* The kernel takes the sockets back when the child ends. */
int pinger_main(struct child_report *report, const void *arg)
{
	struct pinger p = { .p = arg, .report = report, .fd = -1 };
	int ret = pinger_open(&p);

	if (ret)
		return ret;
	child_ready(report, "");
	return pings_run(&p);
}
