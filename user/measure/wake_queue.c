/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#include "wake_queue.h"

#include <assert.h>
#include <errno.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <unistd.h>

struct wake_queue {
	pthread_mutex_t mutex; /* of all below */
	unsigned int head, tail, mask;
	bool sleeping; /* the taker, or about to */
	int wake_fd;
	void *items[];
};

int wake_queue_open(struct wake_queue **out, unsigned int capacity)
{
	struct wake_queue *q = calloc(1, sizeof(*q) + capacity * sizeof(q->items[0]));

	if (!q)
		return -ENOMEM;
	assert((capacity & (capacity - 1)) == 0);
	q->mask = capacity - 1;
	q->wake_fd = eventfd(0, EFD_CLOEXEC);
	pthread_mutex_init(&q->mutex, NULL);
	if (q->wake_fd < 0) {
		wake_queue_close(q);
		return -errno;
	}
	*out = q;
	return 0;
}

void wake_queue_close(struct wake_queue *q)
{
	if (!q)
		return;
	if (q->wake_fd >= 0)
		close(q->wake_fd);
	pthread_mutex_destroy(&q->mutex);
	free(q);
}

void wake_queue_put(struct wake_queue *q, void *const *items, unsigned int n)
{
	const uint64_t one = 1;
	unsigned int i;
	bool wake;

	pthread_mutex_lock(&q->mutex);
	assert(q->head - q->tail + n <= q->mask + 1);
	for (i = 0; i < n; i++)
		q->items[q->head++ & q->mask] = items[i];
	wake = q->sleeping;
	q->sleeping = false;
	pthread_mutex_unlock(&q->mutex);
	if (wake && write(q->wake_fd, &one, sizeof(one)) < 0)
		return; /* the counter is full: it will wake */
}

static unsigned int take(struct wake_queue *q, void **items, unsigned int n)
{
	unsigned int i;

	pthread_mutex_lock(&q->mutex);
	for (i = 0; i < n && q->tail != q->head; i++)
		items[i] = q->items[q->tail++ & q->mask];
	q->sleeping = i == 0;
	pthread_mutex_unlock(&q->mutex);
	return i;
}

unsigned int wake_queue_take(struct wake_queue *q, void **items, unsigned int n)
{
	unsigned int got = take(q, items, n);
	uint64_t events;

	if (got)
		return got;
	/* Whoever puts something in from here on sees that we sleep, and writes. */
	if (read(q->wake_fd, &events, sizeof(events)) < 0)
		return 0;
	return take(q, items, n);
}
