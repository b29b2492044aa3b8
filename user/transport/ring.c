/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#include "ring.h"

#include <stdlib.h>
#include <string.h>

struct ring *ring_open(uint32_t n_slots, uint32_t slot_len)
{
	size_t len = sizeof(struct ring) + (size_t)n_slots * slot_len;
	struct ring *ring;

	if (posix_memalign((void **)&ring, RING_LINE, len))
		return NULL;
	memset(ring, 0, len);
	ring->n_slots = n_slots;
	ring->slot_len = slot_len;
	return ring;
}

void ring_close(struct ring *ring)
{
	free(ring);
}
