/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#include "window.h"

#include <assert.h>

#include "answer_check.h"

_Static_assert(WINDOW_PATIENCE_NS / WINDOW_MARK_NS + 2 < WINDOW_MARKS,
	       "marks are taken off before the ring is full");

void window_sent(struct window *w, uint64_t n_sent)
{
	w->n_sent = n_sent;
}

void window_answered(struct window *w, uint64_t index)
{
	w->n_answered++;
	if (index < w->passed)
		w->n_missing--;
}

static void give_up_until(struct window *w, const struct answer_check *check, uint64_t index)
{
	for (; w->passed < index; w->passed++) {
		if (answer_check_answered(check, w->passed))
			continue;
		w->n_given_up++;
		w->n_missing++;
	}
}

static void mark_set(struct window *w, uint64_t now_ns)
{
	if (w->next_mark != w->oldest_mark &&
	    now_ns - w->marks[(w->next_mark - 1) % WINDOW_MARKS].time_ns < WINDOW_MARK_NS)
		return;
	assert(w->next_mark - w->oldest_mark < WINDOW_MARKS);
	w->marks[w->next_mark % WINDOW_MARKS].time_ns = now_ns;
	w->marks[w->next_mark++ % WINDOW_MARKS].n_sent = w->n_sent;
}

void window_expire(struct window *w, const struct answer_check *check, uint64_t now_ns)
{
	while (w->oldest_mark != w->next_mark &&
	       now_ns - w->marks[w->oldest_mark % WINDOW_MARKS].time_ns >= WINDOW_PATIENCE_NS)
		give_up_until(w, check, w->marks[w->oldest_mark++ % WINDOW_MARKS].n_sent);
	mark_set(w, now_ns);
}

uint64_t window_room(const struct window *w, uint64_t size)
{
	uint64_t n_open = w->n_sent - w->n_answered - w->n_missing;

	return size > n_open ? size - n_open : 0;
}
