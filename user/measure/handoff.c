/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#include "handoff.h"

#include <assert.h>
#include <errno.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <unistd.h>

struct handoff {
	pthread_mutex_t mutex; /* of all below */
	unsigned int head, tail, mask;
	bool sleeping; /* the taker, or about to */
	int wake_fd;
	void *items[];
};

int handoff_open(struct handoff **out, unsigned int capacity)
{
	struct handoff *h = calloc(1, sizeof(*h) + capacity * sizeof(h->items[0]));

	if (!h)
		return -ENOMEM;
	assert((capacity & (capacity - 1)) == 0);
	h->mask = capacity - 1;
	h->wake_fd = eventfd(0, EFD_CLOEXEC);
	pthread_mutex_init(&h->mutex, NULL);
	if (h->wake_fd < 0) {
		handoff_close(h);
		return -errno;
	}
	*out = h;
	return 0;
}

void handoff_close(struct handoff *h)
{
	if (!h)
		return;
	if (h->wake_fd >= 0)
		close(h->wake_fd);
	pthread_mutex_destroy(&h->mutex);
	free(h);
}

void handoff_put(struct handoff *h, void *const *items, unsigned int n)
{
	const uint64_t one = 1;
	unsigned int i;
	bool wake;

	pthread_mutex_lock(&h->mutex);
	assert(h->head - h->tail + n <= h->mask + 1);
	for (i = 0; i < n; i++)
		h->items[h->head++ & h->mask] = items[i];
	wake = h->sleeping;
	h->sleeping = false;
	pthread_mutex_unlock(&h->mutex);
	if (wake && write(h->wake_fd, &one, sizeof(one)) < 0)
		return; /* the counter is full: it will wake */
}

static unsigned int take(struct handoff *h, void **items, unsigned int n)
{
	unsigned int i;

	pthread_mutex_lock(&h->mutex);
	for (i = 0; i < n && h->tail != h->head; i++)
		items[i] = h->items[h->tail++ & h->mask];
	h->sleeping = i == 0;
	pthread_mutex_unlock(&h->mutex);
	return i;
}

unsigned int handoff_take(struct handoff *h, void **items, unsigned int n)
{
	unsigned int got = take(h, items, n);
	uint64_t events;

	if (got)
		return got;
	/* Whoever puts something in from here on sees that we sleep, and writes. */
	if (read(h->wake_fd, &events, sizeof(events)) < 0)
		return 0;
	return take(h, items, n);
}
