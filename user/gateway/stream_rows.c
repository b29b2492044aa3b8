/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#include "stream_rows.h"

#include "express.h"
#include "link.h"
#include "session.h"

#define ROWS_MAX (MAIL_ROOM / sizeof(struct session_row))
#define PLACES_MAX 4096 /* that are looked at for one mail, so that frames do not wait long */

static enum session_state state_of(const struct stream_session *s)
{
	if (s->is_held || s->is_settling)
		return SESSION_HELD;
	return s->client ? SESSION_ACTIVE : SESSION_LEFT;
}

static void row_fill(struct session_row *row, struct stream_session *s)
{
	express_note(s);
	*row = (struct session_row){
		.id = s->id,
		.service = s->service,
		.generation = s->generation,
		.state = state_of(s),
		.backend = s->link ? s->link->backend : 0,
		.n_handoffs = s->n_moves,
		.n_messages = s->answered,
		.last_ns = s->last_ns,
		.moved_ns = s->moved_ns,
	};
}

static void one_fill(struct gateway *g, const struct mail *asked, struct mail *mail)
{
	struct stream_session *s = stream_session_find(g->sessions, asked->service, asked->id);

	mail->result = LISTED_ALL;
	if (s)
		row_fill((struct session_row *)mail->room, s);
	mail->count = s != NULL;
}

static void page_fill(struct gateway *g, const struct mail *asked, struct mail *mail)
{
	uint64_t next = asked->id, end = g->sessions->n_max;
	struct stream_session *s;

	if (end > next + PLACES_MAX)
		end = next + PLACES_MAX;
	for (; mail->count < ROWS_MAX && next < end; next++) {
		s = stream_session_at(g->sessions, next);
		if (s && (!asked->service || s->service == asked->service))
			row_fill((struct session_row *)mail->room + mail->count++, s);
	}
	mail->id = next;
	mail->result = next < g->sessions->n_max ? LISTED_PAGE : LISTED_ALL;
}

/* Without room for the answer there is none: who asked tells that the list is not complete. */
void stream_rows_answer(struct gateway *g, const struct mail *asked)
{
	struct mail *mail = post_begin(&g->post, POST_CONTROL, 1);

	if (!mail)
		return;
	mail->type = MAIL_LISTED;
	mail->token = asked->token;
	if (asked->count)
		one_fill(g, asked, mail);
	else
		page_fill(g, asked, mail);
	post_send(&g->post, POST_CONTROL);
}
