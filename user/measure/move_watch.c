/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#include "move_watch.h"

#include <errno.h>
#include <stdlib.h>

#include "owner_check.h"

struct move {
	uint64_t heard_ns; /* of the last answer; 0 = none yet */
	uint64_t command_ns;
	uint64_t end_ns;     /* when the command was answered */
	uint64_t served_ns;  /* of the first message that is known of the new owner; 0 = none yet */
	uint64_t number;     /* of that message */
	uint16_t generation; /* before the move */
	bool asked;          /* the command is not answered yet */
	bool watched;        /* its handoff is not counted yet */
};

struct move_watch {
	uint32_t n_sessions;
	struct move *moves; /* by session */
	struct move_results results;
};

int move_watch_open(struct move_watch **out, uint32_t n_sessions)
{
	struct move_watch *w = calloc(1, sizeof(*w));

	if (!w)
		return -ENOMEM;
	w->n_sessions = n_sessions;
	w->moves = calloc(n_sessions, sizeof(*w->moves));
	if (!w->moves) {
		move_watch_close(w);
		return -ENOMEM;
	}
	*out = w;
	return 0;
}

void move_watch_close(struct move_watch *w)
{
	if (!w)
		return;
	free(w->moves);
	free(w);
}

static bool is_under_way(const struct move *m)
{
	return m->asked || (m->watched && !m->served_ns);
}

bool move_watch_free(const struct move_watch *w, uint32_t session, uint64_t now_ns)
{
	const struct move *m = &w->moves[session];

	return !is_under_way(m) || (!m->asked && now_ns - m->end_ns >= MOVE_PATIENCE_NS);
}

static void handoff_count(struct move_watch *w, struct move *m)
{
	if (m->watched && m->served_ns && m->served_ns < m->command_ns) {
		w->results.weird++;
	} else if (m->watched && m->served_ns) {
		histogram_add(&w->results.handoffs_ns, m->served_ns - m->command_ns);
		histogram_add(&w->results.recent_ns, m->served_ns - m->command_ns);
	}
	m->watched = false;
}

void move_watch_begin(struct move_watch *w, uint32_t session, uint16_t generation, uint64_t now_ns)
{
	struct move *m = &w->moves[session];

	handoff_count(w, m);
	*m = (struct move){
		.heard_ns = m->heard_ns,
		.command_ns = now_ns,
		.generation = generation,
		.asked = true,
		.watched = generation != 0,
	};
}

void move_watch_end(struct move_watch *w, uint32_t session, bool moved, uint64_t now_ns)
{
	struct move *m = &w->moves[session];

	m->asked = false;
	m->end_ns = now_ns;
	if (!moved && !m->served_ns)
		m->watched = false;
}

static void gap_note(struct move_results *r, const struct move *m, uint64_t now_ns)
{
	bool moved = is_under_way(m) || m->command_ns >= m->heard_ns;
	uint64_t gap_ns = now_ns - m->heard_ns;

	if (!m->heard_ns || now_ns < m->heard_ns)
		return;
	if (gap_ns > r->gap_ns_max)
		r->gap_ns_max = gap_ns;
	if (!moved && gap_ns > r->gap_unmoved_ns_max)
		r->gap_unmoved_ns_max = gap_ns;
}

/* Answers may overtake each other: the lowest number is the first that was served. */
static void first_note(struct move *m, const struct move_answer *a)
{
	if (!a->generation || !a->served_ns || generation_distance(m->generation, a->generation) <= 0)
		return;
	if (m->served_ns && a->number >= m->number)
		return;
	m->served_ns = a->served_ns;
	m->number = a->number;
}

void move_watch_answer(struct move_watch *w, uint32_t session, const struct move_answer *a)
{
	struct move *m = &w->moves[session];

	gap_note(&w->results, m, a->arrived_ns);
	m->heard_ns = a->arrived_ns;
	if (!m->watched)
		return;
	first_note(m, a);
	if (m->served_ns && (!m->number || m->number < a->settled))
		handoff_count(w, m);
}

void move_watch_finish(struct move_watch *w)
{
	uint32_t session;

	for (session = 0; session < w->n_sessions; session++)
		handoff_count(w, &w->moves[session]);
}

uint64_t move_watch_recent(struct move_watch *w)
{
	uint64_t median_ns = histogram_percentile(&w->results.recent_ns, 500);

	histogram_clear(&w->results.recent_ns);
	return median_ns;
}

const struct move_results *move_watch_results(const struct move_watch *w)
{
	return &w->results;
}
