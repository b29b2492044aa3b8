/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* A binary heap of places: what waits is not moved, its place is. */
#include "exchange_waiting.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>

struct exchange_waiting {
	uint32_t n, n_max;
	uint64_t order;
	uint32_t *heap; /* places of those that wait, then the free ones */
	struct exchange_wait *waits;
};

int exchange_waiting_open(struct exchange_waiting **out, uint32_t n_max)
{
	struct exchange_waiting *w = calloc(1, sizeof(*w));
	uint32_t i;

	if (!w)
		return -ENOMEM;
	w->n_max = n_max;
	w->heap = calloc(n_max, sizeof(*w->heap));
	w->waits = calloc(n_max, sizeof(*w->waits));
	if (!w->heap || !w->waits) {
		exchange_waiting_close(w);
		return -ENOMEM;
	}
	for (i = 0; i < n_max; i++)
		w->heap[i] = i;
	*out = w;
	return 0;
}

void exchange_waiting_close(struct exchange_waiting *w)
{
	uint32_t i;

	if (!w)
		return;
	for (i = 0; i < w->n; i++)
		free(w->waits[w->heap[i]].head);
	free(w->heap);
	free(w->waits);
	free(w);
}

bool exchange_waiting_is_full(const struct exchange_waiting *w)
{
	return w->n == w->n_max;
}

static const struct exchange_wait *wait_at(const struct exchange_waiting *w, uint32_t i)
{
	return &w->waits[w->heap[i]];
}

static bool is_sooner(const struct exchange_wait *a, const struct exchange_wait *b)
{
	return a->due_ns != b->due_ns ? a->due_ns < b->due_ns : a->order < b->order;
}

static void swap(struct exchange_waiting *w, uint32_t i, uint32_t j)
{
	uint32_t place = w->heap[i];

	w->heap[i] = w->heap[j];
	w->heap[j] = place;
}

static void sift_up(struct exchange_waiting *w, uint32_t i)
{
	for (; i && is_sooner(wait_at(w, i), wait_at(w, (i - 1) / 2)); i = (i - 1) / 2)
		swap(w, i, (i - 1) / 2);
}

static void sift_down(struct exchange_waiting *w, uint32_t i)
{
	uint32_t child;

	while ((child = 2 * i + 1) < w->n) {
		if (child + 1 < w->n && is_sooner(wait_at(w, child + 1), wait_at(w, child)))
			child++;
		if (!is_sooner(wait_at(w, child), wait_at(w, i)))
			return;
		swap(w, i, child);
		i = child;
	}
}

void exchange_waiting_add(struct exchange_waiting *w, const struct exchange_wait *wait)
{
	struct exchange_wait *place;

	assert(w->n < w->n_max);
	place = &w->waits[w->heap[w->n]];
	*place = *wait;
	place->order = w->order++;
	sift_up(w, w->n++);
}

const struct exchange_wait *exchange_waiting_first(const struct exchange_waiting *w)
{
	return w->n ? wait_at(w, 0) : NULL;
}

struct exchange_wait exchange_waiting_take(struct exchange_waiting *w)
{
	struct exchange_wait first = *wait_at(w, 0);

	assert(w->n);
	swap(w, 0, --w->n);
	sift_down(w, 0);
	return first;
}
