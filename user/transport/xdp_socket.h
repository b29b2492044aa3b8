/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* A worker's AF_XDP socket on one queue, and its way out through one device. One thread owns an open one. */
#ifndef XSR_XDP_SOCKET_H
#define XSR_XDP_SOCKET_H

#include <stdbool.h>
#include <stdint.h>

#include "transport.h"
#include "umem.h"

struct xdp_socket {
	int fd;
	struct xsk_ring_cons rx;
	struct umem_ring rx_ring;
	uint32_t marks[MARK_MAX]; /* places in the ring */
};

/* The worker's way out through one device. */
struct xdp_sender {
	struct umem_queue *queue;
	int fd;
	struct xsk_ring_prod tx;
	struct umem_ring tx_ring;
	unsigned int n_pending; /* sent, not seen completed by anyone; an estimate if the queue is shared */
};

/* What the kernel redirected to a socket and did not put into its ring. */
struct xdp_drops {
	uint64_t no_room;    /* no free frame, or one that is too small */
	uint64_t ring_full;
	uint64_t fill_empty; /* times that the fill ring was found empty */
};

/*
 * Opens a socket on the queue, with rings of ring_len entries; `sender`, if it is not NULL, gets its transmit ring. 0, or -errno with a
 * sentence. xdp_socket_close() also takes one that was opened in part.
 */
int xdp_socket_open(struct xdp_socket *s, struct xdp_sender *sender, struct umem_queue *queue, uint32_t ring_len,
		    char why[XSR_WHY_LEN]);
void xdp_socket_close(struct xdp_socket *s);

bool xdp_socket_zerocopy(const struct xdp_socket *s);

/* Behind what has arrived by now, whatever is taken out meanwhile. */
uint32_t xdp_socket_place_arrived(const struct xdp_socket *s);

/* So far; none if the kernel does not tell. */
struct xdp_drops xdp_socket_drops(const struct xdp_socket *s);

#endif /* XSR_XDP_SOCKET_H */
