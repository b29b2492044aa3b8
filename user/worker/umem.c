/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#include "umem.h"

#include <errno.h>
#include <linux/if_xdp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#define BIND_TRIES 100
#define BIND_PAUSE_US 10000

int umem_ring_map(int fd, struct umem_ring *ring, const struct xdp_ring_offset *off, uint64_t pgoff, uint32_t n,
		  size_t entry_len)
{
	size_t len = off->desc + n * entry_len;
	void *map = mmap(NULL, len, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_POPULATE, fd, pgoff);

	if (map == MAP_FAILED)
		return -errno;
	*ring = (struct umem_ring){ map, len };
	return 0;
}

void umem_ring_unmap(struct umem_ring *ring)
{
	if (ring->map)
		munmap(ring->map, ring->map_len);
	ring->map = NULL;
}

void umem_ring_prod(struct xsk_ring_prod *prod, const struct umem_ring *ring, const struct xdp_ring_offset *off,
		    uint32_t n)
{
	char *map = ring->map;

	*prod = (struct xsk_ring_prod){
		.mask = n - 1,
		.size = n,
		.producer = (void *)(map + off->producer),
		.consumer = (void *)(map + off->consumer),
		.flags = (void *)(map + off->flags),
		.ring = map + off->desc,
	};
	prod->cached_prod = *prod->producer;
	prod->cached_cons = *prod->consumer + n; /* libxdp keeps it one ring ahead */
}

void umem_ring_cons(struct xsk_ring_cons *cons, const struct umem_ring *ring, const struct xdp_ring_offset *off,
		    uint32_t n)
{
	char *map = ring->map;

	*cons = (struct xsk_ring_cons){
		.mask = n - 1,
		.size = n,
		.producer = (void *)(map + off->producer),
		.consumer = (void *)(map + off->consumer),
		.flags = (void *)(map + off->flags),
		.ring = map + off->desc,
	};
	cons->cached_prod = *cons->producer;
	cons->cached_cons = *cons->consumer;
}

int umem_open(struct umem **out, unsigned int n_queues, uint32_t n_frames, uint32_t frame_len)
{
	struct umem *umem = calloc(1, sizeof(*umem));
	unsigned int i;

	if (!umem)
		return -ENOMEM;
	umem->fd = -1;
	umem->frame_len = frame_len;
	umem->n_frames = n_frames;
	umem->n_spare_max = n_frames / 8;
	umem->home_shift = __builtin_ctzll((uint64_t)frame_len * n_frames);
	umem->area_len = (size_t)n_queues * n_frames * frame_len;
	umem->queues = calloc(n_queues, sizeof(*umem->queues));
	umem->area = mmap(NULL, umem->area_len, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (!umem->queues || umem->area == MAP_FAILED)
		goto fail;
	madvise(umem->area, umem->area_len, MADV_HUGEPAGE); /* fewer TLB misses, if there are huge pages */
	for (i = 0; i < n_queues; i++) {
		umem->queues[i].fd = -1;
		pthread_spin_init(&umem->queues[i].lock, PTHREAD_PROCESS_PRIVATE);
		umem->queues[i].spare = calloc(umem->n_spare_max, sizeof(uint64_t));
		umem->n_queues++;
		if (!umem->queues[i].spare)
			goto fail;
	}
	*out = umem;
	return 0;
fail:
	umem_close(umem);
	return -ENOMEM;
}

void umem_close(struct umem *umem)
{
	unsigned int i;

	if (!umem)
		return;
	for (i = 0; i < umem->n_queues; i++) {
		umem_ring_unmap(&umem->queues[i].fill_ring);
		umem_ring_unmap(&umem->queues[i].completion_ring);
		if (umem->queues[i].fd >= 0)
			close(umem->queues[i].fd);
		pthread_spin_destroy(&umem->queues[i].lock);
		free(umem->queues[i].spare);
	}
	if (umem->area && umem->area != MAP_FAILED)
		munmap(umem->area, umem->area_len);
	free(umem->queues);
	free(umem);
}

static int fail(char why[UMEM_WHY_LEN], const char *what)
{
	int ret = -errno;

	snprintf(why, UMEM_WHY_LEN, "cannot %s: %s", what, strerror(-ret));
	return ret;
}

static int area_register(struct umem *umem, int fd, char why[UMEM_WHY_LEN])
{
	struct xdp_umem_reg reg = {
		.addr = (uintptr_t)umem->area,
		.len = umem->area_len,
		.chunk_size = umem->frame_len,
	};

	if (setsockopt(fd, SOL_XDP, XDP_UMEM_REG, &reg, sizeof(reg)))
		return fail(why, errno == ENOBUFS ? "pin the frames' memory (raise RLIMIT_MEMLOCK, or fewer frames)" :
						    "register the frames' memory");
	umem->fd = fd;
	return 0;
}

/* An eighth of a queue's frames stay spare, the others wait in the fill ring, which could hold them all. */
static void frames_give(struct umem *umem, struct umem_queue *queue)
{
	uint64_t first = (uint64_t)(queue - umem->queues) * umem->n_frames * umem->frame_len, addr;
	uint32_t i;

	for (i = 0; i < umem->n_frames; i++) {
		addr = first + (uint64_t)i * umem->frame_len;
		umem_put(umem, queue, &addr, 1);
	}
}

static int rings_size(const struct umem *umem, int fd, char why[UMEM_WHY_LEN])
{
	const int n = umem->n_frames, one = 1;

	if (setsockopt(fd, SOL_XDP, XDP_RX_RING, &one, sizeof(one)) ||
	    setsockopt(fd, SOL_XDP, XDP_UMEM_FILL_RING, &n, sizeof(n)) ||
	    setsockopt(fd, SOL_XDP, XDP_UMEM_COMPLETION_RING, &n, sizeof(n)))
		return fail(why, "make the queue's fill and completion rings");
	return 0;
}

/* Before binding: kernel 6.1 refuses it after. */
static int rings_map(struct umem *umem, struct umem_queue *queue, char why[UMEM_WHY_LEN])
{
	struct xdp_mmap_offsets off;
	socklen_t len = sizeof(off);
	uint32_t n = umem->n_frames;

	if (getsockopt(queue->fd, SOL_XDP, XDP_MMAP_OFFSETS, &off, &len))
		return fail(why, "ask for the rings' layout");
	errno = -umem_ring_map(queue->fd, &queue->fill_ring, &off.fr, XDP_UMEM_PGOFF_FILL_RING, n, sizeof(uint64_t));
	if (!errno)
		errno = -umem_ring_map(queue->fd, &queue->completion_ring, &off.cr, XDP_UMEM_PGOFF_COMPLETION_RING, n,
				       sizeof(uint64_t));
	if (errno)
		return fail(why, "map the queue's rings");
	umem_ring_prod(&queue->fill, &queue->fill_ring, &off.fr, n);
	umem_ring_cons(&queue->completion, &queue->completion_ring, &off.cr, n);
	frames_give(umem, queue);
	return 0;
}

/* Flags are for the very first socket only; the others inherit its mode. shared_fd -1: there is none to share with. */
static int queue_bind(const struct umem_queue *queue, int fd, int shared_fd)
{
	struct sockaddr_xdp addr = {
		.sxdp_family = AF_XDP,
		.sxdp_ifindex = queue->ifindex,
		.sxdp_queue_id = queue->queue_id,
		.sxdp_flags = XDP_USE_NEED_WAKEUP, /* neither COPY nor ZEROCOPY: the best there is */
	};

	if (shared_fd >= 0) {
		addr.sxdp_flags = XDP_SHARED_UMEM;
		addr.sxdp_shared_umem_fd = shared_fd;
	}
	return bind(fd, (struct sockaddr *)&addr, sizeof(addr)) ? -errno : 0;
}

/* The kernel frees a queue some time after the last socket on it was closed, or its process killed. */
static int queue_bind_patiently(const struct umem_queue *queue, int fd, int shared_fd, char why[UMEM_WHY_LEN])
{
	int ret, i;

	for (i = 0; i < BIND_TRIES; i++) {
		ret = queue_bind(queue, fd, shared_fd);
		if (ret != -EBUSY)
			break;
		usleep(BIND_PAUSE_US);
	}
	if (ret)
		snprintf(why, UMEM_WHY_LEN, "cannot bind an AF_XDP socket to queue %u: %s%s", queue->queue_id,
			 strerror(-ret), ret == -EBUSY ? "; another program has a socket there" : "");
	return ret;
}

int umem_queue_open(struct umem *umem, struct umem_queue *queue, char why[UMEM_WHY_LEN])
{
	int shared_fd = umem->fd, ret = 0;

	queue->fd = socket(AF_XDP, SOCK_RAW | SOCK_CLOEXEC, 0);
	if (queue->fd < 0)
		return fail(why, "open an AF_XDP socket");
	if (umem->fd < 0)
		ret = area_register(umem, queue->fd, why);
	if (!ret)
		ret = rings_size(umem, queue->fd, why);
	if (!ret)
		ret = rings_map(umem, queue, why);
	return ret ? ret : queue_bind_patiently(queue, queue->fd, shared_fd, why);
}

int umem_bind(struct umem_queue *queue, int fd, char why[UMEM_WHY_LEN])
{
	return queue_bind_patiently(queue, fd, queue->fd, why);
}

/* The ring has as many entries as the queue has frames: it is never full. */
static void fill_put(struct umem_queue *queue, const uint64_t *addrs, unsigned int n)
{
	uint32_t at;
	unsigned int i;

	if (!n || xsk_ring_prod__reserve(&queue->fill, n, &at) != n)
		return;
	for (i = 0; i < n; i++)
		*xsk_ring_prod__fill_addr(&queue->fill, at + i) = addrs[i];
	xsk_ring_prod__submit(&queue->fill, n);
}

void umem_put(struct umem *umem, struct umem_queue *queue, const uint64_t *addrs, unsigned int n)
{
	unsigned int n_spare = 0;
	bool wake;

	pthread_spin_lock(&queue->lock);
	while (n_spare < n && queue->n_spare < umem->n_spare_max)
		queue->spare[queue->n_spare++] = addrs[n_spare++];
	fill_put(queue, addrs + n_spare, n - n_spare);
	wake = xsk_ring_prod__needs_wakeup(&queue->fill);
	pthread_spin_unlock(&queue->lock);
	if (wake)
		recvfrom(queue->fd, NULL, 0, MSG_DONTWAIT, NULL, NULL);
}

unsigned int umem_take(struct umem_queue *queue, uint64_t *addrs, unsigned int n)
{
	unsigned int i = 0;

	pthread_spin_lock(&queue->lock);
	while (i < n && queue->n_spare)
		addrs[i++] = queue->spare[--queue->n_spare];
	pthread_spin_unlock(&queue->lock);
	return i;
}

unsigned int umem_completed(struct umem_queue *queue, uint64_t *addrs, unsigned int n)
{
	unsigned int got, i;
	uint32_t at;

	pthread_spin_lock(&queue->lock);
	got = xsk_ring_cons__peek(&queue->completion, n, &at);
	for (i = 0; i < got; i++)
		addrs[i] = *xsk_ring_cons__comp_addr(&queue->completion, at + i);
	xsk_ring_cons__release(&queue->completion, got);
	pthread_spin_unlock(&queue->lock);
	return got;
}
