/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#include "exchange_sessions.h"

#include <errno.h>
#include <stdlib.h>

LIST_HEAD(bucket, exchange_session);

struct exchange_sessions {
	uint32_t n, n_max, n_kept;
	uint32_t mask; /* of buckets */
	struct bucket *buckets;
	struct exchange_session_list ownerless; /* the one that is so for the longest time is the first */
};

int exchange_sessions_open(struct exchange_sessions **out, uint32_t n_max, uint32_t n_kept)
{
	struct exchange_sessions *sessions = calloc(1, sizeof(*sessions));
	uint32_t n_buckets = 64;

	if (!sessions)
		return -ENOMEM;
	while (n_buckets < n_max)
		n_buckets *= 2;
	sessions->n_max = n_max;
	sessions->n_kept = n_kept;
	sessions->mask = n_buckets - 1;
	TAILQ_INIT(&sessions->ownerless);
	sessions->buckets = calloc(n_buckets, sizeof(*sessions->buckets));
	if (!sessions->buckets) {
		free(sessions);
		return -ENOMEM;
	}
	*out = sessions;
	return 0;
}

void exchange_sessions_close(struct exchange_sessions *sessions)
{
	struct exchange_session *s;
	uint32_t i;

	if (!sessions)
		return;
	for (i = 0; i <= sessions->mask; i++)
		while ((s = LIST_FIRST(&sessions->buckets[i]))) {
			LIST_REMOVE(s, in_bucket);
			free(s);
		}
	free(sessions->buckets);
	free(sessions);
}

static struct bucket *bucket_of(const struct exchange_sessions *sessions, uint64_t id)
{
	return &sessions->buckets[(id * 0x9e3779b97f4a7c15ULL >> 32) & sessions->mask];
}

struct exchange_session *exchange_session_find(const struct exchange_sessions *sessions, uint64_t id)
{
	struct exchange_session *s;

	LIST_FOREACH(s, bucket_of(sessions, id), in_bucket)
		if (s->id == id)
			return s;
	return NULL;
}

struct exchange_session *exchange_session_add(struct exchange_sessions *sessions, uint64_t id, uint64_t *evicted)
{
	struct exchange_session *oldest = TAILQ_FIRST(&sessions->ownerless), *s;

	if (sessions->n == sessions->n_max && !oldest)
		return NULL;
	s = calloc(1, sizeof(*s) + sessions->n_kept * sizeof(s->kept[0]));
	if (!s)
		return NULL;
	if (sessions->n == sessions->n_max) {
		exchange_session_end(sessions, oldest);
		++*evicted;
	}
	s->id = id;
	LIST_INSERT_HEAD(bucket_of(sessions, id), s, in_bucket);
	s->list = &sessions->ownerless;
	TAILQ_INSERT_TAIL(s->list, s, in_list);
	sessions->n++;
	return s;
}

void exchange_session_end(struct exchange_sessions *sessions, struct exchange_session *s)
{
	LIST_REMOVE(s, in_bucket);
	TAILQ_REMOVE(s->list, s, in_list);
	sessions->n--;
	s->owner = NULL;
	s->has_ended = true;
	exchange_session_release(s);
}

void exchange_session_release(struct exchange_session *s)
{
	if (s->has_ended && !s->n_waiting)
		free(s);
}

void exchange_session_bind(struct exchange_sessions *sessions, struct exchange_session *s, void *owner,
			   struct exchange_session_list *of_owner)
{
	TAILQ_REMOVE(s->list, s, in_list);
	s->owner = owner;
	s->list = owner ? of_owner : &sessions->ownerless;
	TAILQ_INSERT_TAIL(s->list, s, in_list);
}

/* Another backend may have served it meanwhile: what the client has it need not get from here. */
uint64_t exchange_session_hello(struct exchange_session *s, uint64_t received)
{
	uint64_t served = s->last;

	if (s->last < received)
		s->last = received;
	if (s->written < received)
		s->written = received;
	s->epoch_last = 0;
	return served;
}

enum exchange_order exchange_session_note(struct exchange_session *s, uint64_t seq)
{
	uint64_t last = s->last;

	s->served++;
	if (seq <= s->epoch_last)
		return EXCHANGE_INVERSION;
	s->epoch_last = seq;
	if (seq <= last)
		return EXCHANGE_AGAIN;
	s->last = seq;
	return seq == last + 1 ? EXCHANGE_NEXT : EXCHANGE_GAP;
}

void exchange_session_keep(const struct exchange_sessions *sessions, struct exchange_session *s,
			   const struct exchange_reply *reply)
{
	if (sessions->n_kept)
		s->kept[reply->seq % sessions->n_kept] = *reply;
}

const struct exchange_reply *exchange_session_kept(const struct exchange_sessions *sessions, const struct exchange_session *s,
						   uint64_t seq)
{
	const struct exchange_reply *reply = sessions->n_kept ? &s->kept[seq % sessions->n_kept] : NULL;

	return reply && reply->seq == seq ? reply : NULL;
}

/* Behind s->written there may be replies that wait, and have taken places already. */
uint64_t exchange_session_oldest(const struct exchange_sessions *sessions, const struct exchange_session *s)
{
	return s->written > sessions->n_kept ? s->written - sessions->n_kept + 1 : 1;
}

uint32_t exchange_sessions_count(const struct exchange_sessions *sessions)
{
	return sessions->n;
}
