/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#include "xdp_socket.h"

#include <errno.h>
#include <linux/if_xdp.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

static int fail(char why[XSR_WHY_LEN], const char *what)
{
	int ret = -errno;

	snprintf(why, XSR_WHY_LEN, "cannot %s: %s", what, strerror(-ret));
	return ret;
}

static int rings_size(int fd, bool sends, int n, char why[XSR_WHY_LEN])
{
	if (setsockopt(fd, SOL_XDP, XDP_RX_RING, &n, sizeof(n)))
		return fail(why, "make a receive ring");
	if (sends && setsockopt(fd, SOL_XDP, XDP_TX_RING, &n, sizeof(n)))
		return fail(why, "make a transmit ring");
	return 0;
}

static int rings_map(struct xdp_socket *socket, struct xdp_sender *sender, uint32_t n, char why[XSR_WHY_LEN])
{
	const size_t entry_len = sizeof(struct xdp_desc);
	struct xdp_mmap_offsets off;
	socklen_t len = sizeof(off);

	if (getsockopt(socket->fd, SOL_XDP, XDP_MMAP_OFFSETS, &off, &len))
		return fail(why, "ask for the rings' layout");
	errno = -umem_ring_map(socket->fd, &socket->rx_ring, &off.rx, XDP_PGOFF_RX_RING, n, entry_len);
	if (!errno && sender)
		errno = -umem_ring_map(socket->fd, &sender->tx_ring, &off.tx, XDP_PGOFF_TX_RING, n, entry_len);
	if (errno)
		return fail(why, "map a socket's rings");
	umem_ring_cons(&socket->rx, &socket->rx_ring, &off.rx, n);
	if (sender) {
		umem_ring_prod(&sender->tx, &sender->tx_ring, &off.tx, n);
		sender->fd = socket->fd;
	}
	return 0;
}

int xdp_socket_open(struct xdp_socket *s, struct xdp_sender *sender, struct umem_queue *queue, uint32_t ring_len,
		    char why[XSR_WHY_LEN])
{
	int ret;

	s->fd = socket(AF_XDP, SOCK_RAW | SOCK_CLOEXEC, 0);
	if (s->fd < 0)
		return fail(why, "open an AF_XDP socket");
	ret = rings_size(s->fd, sender, ring_len, why);
	if (!ret)
		ret = rings_map(s, sender, ring_len, why); /* before binding: kernel 6.1 refuses it after */
	return ret ? ret : umem_bind(queue, s->fd, why);
}

/* A mapped ring pins its socket: unmap before close, or the queue stays busy. */
void xdp_socket_close(struct xdp_socket *s)
{
	umem_ring_unmap(&s->rx_ring);
	if (s->fd >= 0)
		close(s->fd);
	s->fd = -1;
}

bool xdp_socket_zerocopy(const struct xdp_socket *s)
{
	struct xdp_options options = {};
	socklen_t len = sizeof(options);

	return getsockopt(s->fd, SOL_XDP, XDP_OPTIONS, &options, &len) == 0 && options.flags & XDP_OPTIONS_ZEROCOPY;
}

uint32_t xdp_socket_place_arrived(const struct xdp_socket *s)
{
	return __atomic_load_n(s->rx.producer, __ATOMIC_ACQUIRE);
}

struct xdp_drops xdp_socket_drops(const struct xdp_socket *s)
{
	struct xdp_statistics stats = {};
	socklen_t len = sizeof(stats);

	getsockopt(s->fd, SOL_XDP, XDP_STATISTICS, &stats, &len);
	return (struct xdp_drops){
		.no_room = stats.rx_dropped,
		.ring_full = stats.rx_ring_full,
		.fill_empty = stats.rx_fill_ring_empty_descs,
	};
}
