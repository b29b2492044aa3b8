/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#include "post.h"

#include <errno.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

int post_open(struct post *post, unsigned int number)
{
	memset(post, 0, sizeof(*post));
	post->number = number;
	post->fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	return post->fd < 0 ? -errno : 0;
}

void post_close(struct post *post)
{
	if (post->fd >= 0)
		close(post->fd);
	post->fd = -1;
}

void post_join(struct post *post, unsigned int peer, const struct mail_join *join)
{
	post->in[peer] = ring_end(join->in);
	post->out[peer] = ring_end(join->out);
	post->peers[peer] = join->peer;
	if (peer < XSR_WORKERS_MAX)
		post->known |= 1ULL << peer;
}

void post_part(struct post *post, unsigned int peer)
{
	post->in[peer].ring = NULL;
	post->out[peer].ring = NULL;
	post->peers[peer] = NULL;
	if (peer < XSR_WORKERS_MAX)
		post->known &= ~(1ULL << peer);
}

bool post_has_room(struct post *post, unsigned int to, uint32_t n)
{
	return ring_room(&post->out[to]) >= n;
}

struct mail *post_begin(struct post *post, unsigned int to, uint32_t n)
{
	struct ring_end *out = &post->out[to];
	struct mail *mail;
	uint64_t first;

	if (!ring_reserve(out, n, &first))
		return NULL;
	mail = ring_slot(out, first);
	memset(mail, 0, sizeof(*mail));
	mail->n_slots = n;
	return mail;
}

/* Of the record that was begun and not sent: there is one at a time, and it begins where the last one that was sent ended. */
void *post_slot(struct post *post, unsigned int to, uint32_t i)
{
	struct ring_end *out = &post->out[to];
	uint64_t tail = atomic_load_explicit(&out->ring->tail, memory_order_relaxed);

	return ring_slot(out, tail + i);
}

void post_wake(struct post *post)
{
	const uint64_t one = 1;

	/*
	 * Both this store and load, and the owner's in post_sleep(), are in one total order: either it sees the bell, or we see that
	 * it sleeps.
	 */
	atomic_store(&post->rung, true);
	if (!atomic_load(&post->sleeps) || !atomic_exchange(&post->sleeps, false))
		return;
	if (write(post->fd, &one, sizeof(one)) < 0)
		return; /* the counter is full: it is readable */
}

void post_send(struct post *post, unsigned int to)
{
	ring_submit(&post->out[to]);
	post_wake(post->peers[to]);
}

bool post_mail(struct post *post, unsigned int to, const struct mail *mail)
{
	struct mail *slot = post_begin(post, to, 1);

	if (!slot)
		return false;
	*slot = *mail;
	slot->n_slots = 1;
	post_send(post, to);
	return true;
}

struct mail *post_next(struct post *post, unsigned int from)
{
	uint64_t first;

	return ring_recv(&post->in[from], &first) ? ring_slot(&post->in[from], first) : NULL;
}

const void *post_more(const struct post *post, unsigned int from, uint32_t i)
{
	return ring_slot(&post->in[from], post->in[from].at + i);
}

void post_done(struct post *post, unsigned int from)
{
	struct ring_end *in = &post->in[from];
	const struct mail *mail;

	if (!in->ring)
		return; /* the mail was that it parts */
	mail = ring_slot(in, in->at);
	ring_release(in, mail->n_slots);
}

bool post_sleep(struct post *post)
{
	atomic_store(&post->sleeps, true);
	return !atomic_load(&post->rung);
}

void post_awake(struct post *post)
{
	uint64_t events;

	atomic_store(&post->sleeps, false);
	if (read(post->fd, &events, sizeof(events)) < 0)
		return; /* nobody wrote */
}
