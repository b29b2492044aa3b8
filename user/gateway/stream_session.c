/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#include "stream_session.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "id_map.h"

struct table {
	struct stream_sessions lists; /* first: what others see */
	struct stream_list unused;
	struct id_map places;
	struct stream_session *all;
};

static struct table *table_of(struct stream_sessions *sessions)
{
	return (struct table *)sessions;
}

int stream_sessions_open(struct stream_sessions **out, uint32_t n_max)
{
	struct table *t = calloc(1, sizeof(*t));
	uint32_t i;

	if (!t)
		return -ENOMEM;
	t->lists.n_max = n_max;
	TAILQ_INIT(&t->lists.busy);
	TAILQ_INIT(&t->lists.left);
	TAILQ_INIT(&t->unused);
	t->all = calloc(n_max, sizeof(*t->all));
	if (!t->all || id_map_open(&t->places, n_max)) {
		stream_sessions_close(&t->lists);
		return -ENOMEM;
	}
	for (i = 0; i < n_max; i++)
		TAILQ_INSERT_TAIL(&t->unused, &t->all[i], in_left);
	*out = &t->lists;
	return 0;
}

void stream_sessions_close(struct stream_sessions *sessions)
{
	if (!sessions)
		return;
	id_map_close(&table_of(sessions)->places);
	free(table_of(sessions)->all);
	free(sessions);
}

struct stream_session *stream_session_find(struct stream_sessions *sessions, uint32_t service, uint64_t id)
{
	struct table *t = table_of(sessions);
	uint32_t place = id_map_find(&t->places, service, id);

	return place == ID_MAP_NONE ? NULL : &t->all[place];
}

struct stream_session *stream_session_at(struct stream_sessions *sessions, uint32_t place)
{
	struct stream_session *s = &table_of(sessions)->all[place];

	return s->service ? s : NULL;
}

/* A new one has no client: it is among the `left` until it is bound. */
struct stream_session *stream_session_add(struct stream_sessions *sessions, uint32_t service, uint64_t id)
{
	struct table *t = table_of(sessions);
	struct stream_session *s = TAILQ_FIRST(&t->unused);

	if (!s || id_map_add(&t->places, service, id, s - t->all))
		return NULL;
	TAILQ_REMOVE(&t->unused, s, in_left);
	memset(s, 0, sizeof(*s));
	s->id = id;
	s->service = service;
	TAILQ_INSERT_TAIL(&sessions->left, s, in_left);
	sessions->n++;
	return s;
}

void stream_session_bind(struct stream_sessions *sessions, struct stream_session *s, struct front *client,
			 struct stream_set *of_client, uint64_t now_ns)
{
	if (s->client)
		LIST_REMOVE(s, of_client);
	else
		TAILQ_REMOVE(&sessions->left, s, in_left);
	s->client = client;
	s->left_ns = now_ns;
	if (client)
		LIST_INSERT_HEAD(of_client, s, of_client);
	else
		TAILQ_INSERT_TAIL(&sessions->left, s, in_left);
}

static void busy_note(struct stream_sessions *sessions, struct stream_session *s)
{
	bool busy = s->n_groups;

	if (busy == s->is_busy)
		return;
	s->is_busy = busy;
	if (busy)
		TAILQ_INSERT_TAIL(&sessions->busy, s, in_busy);
	else
		TAILQ_REMOVE(&sessions->busy, s, in_busy);
}

static void groups_drop(struct stream_sessions *sessions, struct stream_session *s, uint64_t seq)
{
	unsigned int n = 0;

	while (n < s->n_groups && s->groups[n].seq <= seq)
		n++;
	if (!n)
		return;
	s->n_groups -= n;
	memmove(s->groups, s->groups + n, s->n_groups * sizeof(s->groups[0]));
	busy_note(sessions, s);
}

void stream_session_begin(struct stream_sessions *sessions, struct stream_session *s, uint64_t seq)
{
	groups_drop(sessions, s, UINT64_MAX);
	s->asked = s->answered = s->erred = seq;
	s->err_code = 0;
}

void stream_session_save(const struct stream_session *s, struct stream_progress *out)
{
	*out = (struct stream_progress){
		.asked = s->asked,
		.answered = s->answered,
		.erred = s->erred,
		.last_ns = s->last_ns,
		.n_groups = s->n_groups,
	};
	memcpy(out->groups, s->groups, sizeof(out->groups));
}

void stream_session_load(struct stream_sessions *sessions, struct stream_session *s, const struct stream_progress *progress)
{
	s->asked = progress->asked;
	s->answered = progress->answered;
	s->erred = progress->erred;
	s->last_ns = progress->last_ns;
	s->n_groups = progress->n_groups;
	memcpy(s->groups, progress->groups, sizeof(s->groups));
	busy_note(sessions, s);
}

static bool group_takes(const struct asked_group *group, uint64_t now_ns, uint64_t deadline_ns)
{
	return now_ns - group->first_ns < deadline_ns / (ASKED_GROUPS / 2);
}

void stream_session_asked(struct stream_sessions *sessions, struct stream_session *s, uint64_t seq, uint64_t now_ns,
			  uint64_t deadline_ns)
{
	struct asked_group *last;

	s->last_ns = now_ns;
	if (seq < s->asked) /* sent again, or a client that begins anew */
		groups_drop(sessions, s, UINT64_MAX);
	s->asked = seq;
	last = s->n_groups ? &s->groups[s->n_groups - 1] : NULL;
	if (last && (s->n_groups == ASKED_GROUPS || group_takes(last, now_ns, deadline_ns))) {
		last->seq = s->asked;
		last->last_ns = now_ns;
		return;
	}
	if (!s->asked) /* numbers begin at 1: nobody can say of this one whether it was answered */
		return;
	s->groups[s->n_groups++] = (struct asked_group){ s->asked, now_ns, now_ns };
	busy_note(sessions, s);
}

void stream_session_remove(struct stream_sessions *sessions, struct stream_session *s)
{
	struct table *t = table_of(sessions);

	groups_drop(sessions, s, UINT64_MAX);
	TAILQ_REMOVE(&sessions->left, s, in_left);
	TAILQ_INSERT_TAIL(&t->unused, s, in_left);
	id_map_remove(&t->places, s->service, s->id);
	s->service = 0;
	sessions->n--;
}

void stream_session_answered(struct stream_sessions *sessions, struct stream_session *s, uint64_t seq)
{
	s->answered = seq;
	groups_drop(sessions, s, seq);
}

void stream_session_erred(struct stream_sessions *sessions, struct stream_session *s, uint64_t seq)
{
	if (seq > s->erred)
		s->erred = seq;
	groups_drop(sessions, s, seq);
}

uint64_t stream_session_overdue(const struct stream_session *s, uint64_t before_ns)
{
	uint64_t seq = 0;
	unsigned int i;

	for (i = 0; i < s->n_groups && s->groups[i].last_ns < before_ns; i++)
		seq = s->groups[i].seq;
	return seq;
}
