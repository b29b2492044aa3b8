/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#include "takeover.h"

#include "door.h"
#include "errand.h"
#include "handover.h"
#include "link.h"
#include "parcel.h"
#include "place.h"

/* Sessions that have no client make room for those that have one. */
static bool has_places(struct gateway *g, uint32_t n)
{
	struct stream_session *s;

	while (g->sessions->n_max - g->sessions->n < n && (s = TAILQ_FIRST(&g->sessions->left)))
		session_forget(g, s);
	return g->sessions->n_max - g->sessions->n >= n && g->n_clients < g->p.connections_max;
}

static bool has_links(struct gateway *g, const struct parcel *p)
{
	uint32_t i;

	for (i = 0; i < p->n_sessions; i++)
		if (p->sessions[i].was_up && !link_is_up(link_find(g, p->index, p->sessions[i].backend)))
			return false;
	return true;
}

/* Why this worker does not take it; HANDOVER_DONE: it does. What it had before it takes in any case, if there is room. */
static enum handover_result refusal(struct gateway *g, const struct parcel *p)
{
	bool was_here = p->from == g->p.worker;

	if (!door_is_of(g, p->index, &p->service) || (!was_here && !door_is_open(g, p->index)))
		return HANDOVER_STOPPED;
	if (!has_places(g, p->n_sessions) || !conn_may_restore(g, p->kept_len))
		return HANDOVER_NO_ROOM;
	return was_here || has_links(g, p) ? HANDOVER_DONE : HANDOVER_NO_LINK;
}

static void take(struct gateway *g, struct parcel *p)
{
	enum handover_result result = p->result;
	uint32_t n = p->n_sessions;
	uint64_t token = p->token, id = p->id;

	if (!parcel_unpack(g, p))
		result = HANDOVER_CLOSED;
	handover_answer(g, token, id, result, n);
}

static void refuse(struct gateway *g, struct parcel *p, enum handover_result result)
{
	if (p->from != g->p.worker) {
		p->result = result;
		parcel_return(g, p, p->from);
		parcel_send(g, p->from, p);
		return;
	}
	handover_answer(g, p->token, p->id, HANDOVER_CLOSED, 0);
	parcel_drop(g, p, result == HANDOVER_STOPPED ? XSR_STREAM_STAT_CLOSED_STOP : XSR_STREAM_STAT_CLOSED_HANDOVER);
}

void takeover(struct gateway *g, struct parcel *p)
{
	enum handover_result result = refusal(g, p);

	if (result == HANDOVER_DONE)
		take(g, p);
	else
		refuse(g, p, result);
}

void takeovers_close(struct gateway *g)
{
	const struct mail *mail;
	uint64_t known;

	for (known = g->post.known; known; known &= known - 1) {
		unsigned int from = __builtin_ctzll(known);

		while ((mail = post_next(&g->post, from))) {
			if (mail->type == GATEWAY_MAIL_PARCEL)
				parcel_drop(g, parcel_of(mail), XSR_STREAM_STAT_CLOSED_STOP);
			post_done(&g->post, from);
		}
	}
}
