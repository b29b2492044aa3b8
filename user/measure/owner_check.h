/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Which worker answers which session: at one generation of its route a session has one owner. */
#ifndef XSR_OWNER_CHECK_H
#define XSR_OWNER_CHECK_H

#include <stdbool.h>
#include <stdint.h>

struct owner_check;

struct owner_counts {
	uint64_t misrouted;     /* answers of a worker that did not own the session at the stamped generation */
	uint64_t n_generations; /* changes of a route that answers have shown */
	uint32_t n_heard;       /* sessions that were answered */
};

/*
 * With n_owners the owner is worker (id + generation - 1) % n_owners, and every answer has a generation. With 0, all
 * answers of one session and generation come from one worker; the two newest generations of a session are kept, and
 * what has none, or an older one, is not judged. 12 bytes a session. 0 or -ENOMEM.
 */
int owner_check_open(struct owner_check **out, uint64_t first_id, uint32_t n_sessions, uint32_t n_owners);
void owner_check_close(struct owner_check *check); /* takes NULL */

void owner_check_note(struct owner_check *check, uint32_t session, uint16_t generation, uint16_t worker);

/* The newest generation that was seen, 0 = none, and its worker, -1 = the session was not heard yet. */
uint16_t owner_check_generation(const struct owner_check *check, uint32_t session);
int owner_check_worker(const struct owner_check *check, uint32_t session);

/* Borrowed until owner_check_close(). */
const struct owner_counts *owner_check_counts(const struct owner_check *check);

/* How far `to` is ahead of `from`, negative if it is behind. They count from 1 and wrap past 0. */
static inline int generation_distance(uint16_t from, uint16_t to)
{
	int distance = (int16_t)(to - from);

	if (distance > 0 && to < from)
		return distance - 1;
	if (distance < 0 && to > from)
		return distance + 1;
	return distance;
}

#endif /* XSR_OWNER_CHECK_H */
