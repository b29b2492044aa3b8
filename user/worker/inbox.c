/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* A worker's mail: what control and the other workers want of it, and what it says of its sessions. */
#include "fence_parts.h"

#define LIST_ROWS (MAIL_ROOM / sizeof(struct session_row))
#define LIST_MAILS 16
#define LIST_PLACES 4096

static void row_fill(struct session_row *row, const struct session *session)
{
	*row = (struct session_row){
		.id = session->s.id,
		.service = session->s.service,
		.generation = session->s.generation,
		.state = session->state,
		.n_held = session->hold.n,
		.n_handoffs = session->s.n_handoffs,
		.n_messages = session->s.n_messages,
		.last_ns = session->s.last_ns,
		.moved_ns = session->s.moved_ns,
	};
}

/* Fills one mail from place `next` on, which it moves; never looks at `end` or behind. */
static void rows_fill(struct xsr_worker *w, struct mail *mail, uint32_t service, uint32_t *next, uint32_t end)
{
	struct session_row *rows = (struct session_row *)mail->room;

	for (; mail->count < LIST_ROWS && *next < end; ++*next) {
		const struct session *session = session_at(w->sessions, *next);

		if (session && session->state != SESSION_GONE && (!service || service == session->s.service))
			row_fill(&rows[mail->count++], session);
	}
}

static void session_list(struct xsr_worker *w, const struct mail *asked)
{
	const struct session *session = session_find(w->sessions, asked->service, asked->id);
	struct mail mail = { .type = MAIL_LISTED, .result = LISTED_ALL, .token = asked->token };

	if (session && session->state != SESSION_GONE) {
		row_fill((struct session_row *)mail.room, session);
		mail.count = 1;
	}
	post_mail(&w->post, POST_CONTROL, &mail);
}

/* A page: so many mails, and so many places, that messages do not wait long. */
static void sessions_list(struct xsr_worker *w, const struct mail *asked)
{
	uint32_t size = session_table_size(w->sessions), next = asked->id < size ? asked->id : size;
	uint32_t end = size - next < LIST_PLACES ? size : next + LIST_PLACES;
	struct mail *mail;
	int i;

	for (i = 1; i <= LIST_MAILS; i++) {
		mail = post_begin(&w->post, POST_CONTROL, 1); /* there is room: mail_can_be_taken() */
		mail->type = MAIL_LISTED;
		mail->token = asked->token;
		rows_fill(w, mail, asked->service, &next, end);
		mail->id = next;
		if (next == end || i == LIST_MAILS)
			mail->result = next == size ? LISTED_ALL : LISTED_PAGE;
		post_send(&w->post, POST_CONTROL);
		if (mail->result)
			break;
	}
}

static void reply(struct xsr_worker *w, const struct mail *to, enum mail_type type)
{
	const struct mail mail = { .type = type, .service = to->service, .id = to->id, .token = to->token };

	post_mail(&w->post, POST_CONTROL, &mail); /* there is room: mail_can_be_taken() */
}

/* An answer needs room, a session to be given up a place. */
static bool mail_can_be_taken(struct xsr_worker *w)
{
	return post_has_room(&w->post, POST_CONTROL, LIST_MAILS) && w->fences.gives[MARK_ARRIVED].n < GIVES_MAX &&
	       w->fences.gives[MARK_REDIRECTED].n < GIVES_MAX;
}

static void mail_take(struct xsr_worker *w, unsigned int from, const struct mail *mail);

static void ring_read(struct xsr_worker *w, unsigned int from)
{
	const struct mail *mail;

	while ((mail = post_next(&w->post, from))) {
		if (!mail_can_be_taken(w)) {
			w->fences.mail_left = true;
			return;
		}
		mail_take(w, from, mail);
		post_done(&w->post, from);
	}
}

static void mail_take(struct xsr_worker *w, unsigned int from, const struct mail *mail)
{
	switch ((enum mail_type)mail->type) {
	case MAIL_JOIN:
		post_join(&w->post, mail->worker, (const struct mail_join *)mail->room);
		break;
	case MAIL_PART:
		ring_read(w, mail->worker); /* what it sent before it left */
		post_part(&w->post, mail->worker);
		reply(w, mail, MAIL_PARTED);
		break;
	case MAIL_EXPECT:
		reply(w, mail, expect_session(w, mail) ? MAIL_READY : MAIL_REFUSED);
		break;
	case MAIL_CANCEL:
		expect_cancel(w, mail);
		break;
	case MAIL_GIVE:
	case MAIL_GIVE_EARLY:
	case MAIL_SETTLE:
		give_add(w, mail);
		break;
	case MAIL_ADOPT:
		w->fences.adopting = true;
		reply(w, mail, MAIL_ADOPTING);
		break;
	case MAIL_ADOPTED:
		expect_adopted(w);
		break;
	case MAIL_LIST:
		if (mail->count)
			session_list(w, mail);
		else
			sessions_list(w, mail);
		break;
	case MAIL_FENCE:
		expect_fence(w, from, mail);
		break;
	default:
		break; /* only control gets the others */
	}
}

void fence_read_mail(struct xsr_worker *w)
{
	uint64_t known;

	w->fences.mail_left = false;
	ring_read(w, POST_CONTROL);
	for (known = w->post.known; known; known &= known - 1)
		ring_read(w, __builtin_ctzll(known));
}
