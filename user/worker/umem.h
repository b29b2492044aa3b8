/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The memory that all AF_XDP sockets of a router share, and the queues that feed it.
 *
 * A socket takes frames only from the queue it is bound to, so there is a socket for each (queue, worker);
 * but a queue has only one fill and one completion ring, whose user side several workers
 * share: the one lock of the data path, taken per batch.
 *
 * Each frame has a home queue for life: it is filled there, and comes back there.
 */
#ifndef XSR_UMEM_H
#define XSR_UMEM_H

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

#include <xdp/xsk.h>

#include "types.h"

#define UMEM_WHY_LEN 384

/* A mapped ring of the kernel's; munmap(map, map_len) lets it go. */
struct umem_ring {
	void *map;
	size_t map_len;
};

struct umem_queue {
	uint32_t ifindex;
	uint16_t queue_id;  /* of the device */
	uint16_t number;    /* within the instance: half of the slot's index */
	uint16_t device;    /* which of the router's devices */
	int fd;		    /* a socket that receives nothing: it holds the queue, which the workers' sockets share */
	pthread_spinlock_t lock; /* of all below */
	struct xsk_ring_prod fill;
	struct xsk_ring_cons completion;
	struct umem_ring fill_ring, completion_ring;
	uint64_t *spare;    /* a stack of free frames for messages that a worker begins */
	uint32_t n_spare;
};

struct umem {
	uint8_t *area;
	size_t area_len;
	uint32_t frame_len;
	uint32_t n_frames;  /* of each queue */
	uint32_t n_spare_max;
	uint32_t home_shift; /* a frame's address, shifted right by it, is its home queue */
	int fd;		    /* the queue's socket that registered the area; -1 = none yet */
	struct umem_queue *queues;
	unsigned int n_queues;
	unsigned int n_devices;
};

/*
 * Allocates frames (a power of two of them) for n_queues queues, whose identity the caller fills in
 * afterwards. 0 or -errno.
 */
int umem_open(struct umem **out, unsigned int n_queues, uint32_t n_frames, uint32_t frame_len);
/* After all sockets are closed. Takes NULL. */
void umem_close(struct umem *umem);

/*
 * Takes the queue: a socket of its own with the fill ring, full of frames, and the completion ring, so that workers may come
 * and go. Zero-copy if the driver can. Once for each queue, after its identity is filled in. Control thread only. 0 or
 * -errno with a sentence.
 */
int umem_queue_open(struct umem *umem, struct umem_queue *queue, char why[UMEM_WHY_LEN]);

/* Binds a worker's socket to the queue. Control thread only. 0 or -errno with a sentence. */
int umem_bind(struct umem_queue *queue, int fd, char why[UMEM_WHY_LEN]);

/* Gives frames of this home queue back to it. Any worker; takes the queue's lock. */
void umem_put(struct umem *umem, struct umem_queue *queue, const uint64_t *addrs, unsigned int n);

/* Takes up to n spare frames; returns how many. Takes the queue's lock. */
unsigned int umem_take(struct umem_queue *queue, uint64_t *addrs, unsigned int n);

/* Takes up to n sent frames off the completion ring, of whatever home. Takes the queue's lock. */
unsigned int umem_completed(struct umem_queue *queue, uint64_t *addrs, unsigned int n);

/* The home queue of a frame. addr may point anywhere into it. */
static inline unsigned int umem_home(const struct umem *umem, uint64_t addr)
{
	return addr >> umem->home_shift;
}

static inline uint64_t umem_frame(const struct umem *umem, uint64_t addr)
{
	return addr & ~(uint64_t)(umem->frame_len - 1);
}

/* Maps one of a socket's rings, whose offsets `off` and page offset the kernel gave. */
int umem_ring_map(int fd, struct umem_ring *ring, const struct xdp_ring_offset *off, uint64_t pgoff, uint32_t n,
		  size_t entry_len);
void umem_ring_unmap(struct umem_ring *ring);

/* Fills in libxdp's view of a mapped ring, for its inline functions. */
void umem_ring_prod(struct xsk_ring_prod *prod, const struct umem_ring *ring, const struct xdp_ring_offset *off,
		    uint32_t n);
void umem_ring_cons(struct xsk_ring_cons *cons, const struct umem_ring *ring, const struct xdp_ring_offset *off,
		    uint32_t n);

#endif /* XSR_UMEM_H */
