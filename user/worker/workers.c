/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#include "workers.h"

#include <errno.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#define PATIENCE_S 3

int workers_open(struct workers *ws)
{
	memset(ws, 0, sizeof(*ws));
	return post_open(&ws->control, POST_CONTROL);
}

static struct post *post_of(struct workers *ws, unsigned int number)
{
	return number == POST_CONTROL ? &ws->control : &ws->at[number]->post;
}

static bool is_running(const struct workers *ws, unsigned int number)
{
	return number != POST_CONTROL && ws->running >> number & 1;
}

static int rings_open(struct workers *ws, unsigned int a, unsigned int b)
{
	ws->rings[a][b] = ring_open(POST_SLOTS, MAIL_LEN);
	ws->rings[b][a] = ring_open(POST_SLOTS, MAIL_LEN);
	return ws->rings[a][b] && ws->rings[b][a] ? 0 : -ENOMEM;
}

static void rings_close(struct workers *ws, unsigned int a)
{
	unsigned int b;

	for (b = 0; b < POST_MAX; b++) {
		ring_close(ws->rings[a][b]);
		ring_close(ws->rings[b][a]);
		ws->rings[a][b] = ws->rings[b][a] = NULL;
	}
}

static bool is_serving(const struct workers *ws, unsigned int number)
{
	return number != POST_CONTROL && ws->serving >> number & 1;
}

/* Tells `to` of `peer`: by mail if somebody polls it, else its post is ours to write. */
static int join_tell(struct workers *ws, unsigned int to, unsigned int peer)
{
	const struct mail_join join = {
		.in = ws->rings[peer][to], .out = ws->rings[to][peer], .peer = post_of(ws, peer)
	};
	struct mail mail = { .type = MAIL_JOIN, .worker = peer };

	if (!is_serving(ws, to)) {
		post_join(post_of(ws, to), peer, &join);
		return 0;
	}
	memcpy(mail.room, &join, sizeof(join));
	return post_mail(&ws->control, to, &mail) ? 0 : -EBUSY;
}

/* The new one is told first: it may be sent to from the moment that the others know. */
static int pair_join(struct workers *ws, unsigned int new, unsigned int other)
{
	int ret = rings_open(ws, new, other);

	if (!ret)
		ret = join_tell(ws, new, other);
	if (!ret)
		ret = join_tell(ws, other, new);
	return ret;
}

static int worker_join(struct workers *ws, unsigned int number)
{
	uint64_t others;
	int ret = pair_join(ws, number, POST_CONTROL);

	for (others = ws->open & ~(1ULL << number); others && !ret; others &= others - 1)
		ret = pair_join(ws, number, __builtin_ctzll(others));
	return ret;
}

/* Every other worker must be able to hear of a new one, or none is told. */
static int others_listen(struct workers *ws)
{
	uint64_t serving;

	for (serving = ws->serving; serving; serving &= serving - 1)
		if (!post_has_room(&ws->control, __builtin_ctzll(serving), 1))
			return -EBUSY;
	return 0;
}

int workers_add(struct workers *ws, const struct worker_params *params, char why[XSR_WHY_LEN])
{
	unsigned int number = params->number;
	int ret = others_listen(ws);

	if (ret) {
		snprintf(why, XSR_WHY_LEN, "a worker does not answer, so that it cannot be told of a new one");
		return ret;
	}
	ret = worker_open(&ws->at[number], params, why);
	if (ret)
		return ret;
	ws->open |= 1ULL << number;
	ret = worker_join(ws, number);
	if (ret) {
		snprintf(why, XSR_WHY_LEN, "no memory for the rings of worker %u", number);
		workers_remove(ws, number);
	}
	return ret;
}

void workers_serve(struct workers *ws)
{
	ws->serving = ws->open;
}

static void *thread_main(void *arg)
{
	worker_run(arg);
	return NULL;
}

int workers_start(struct workers *ws, unsigned int number)
{
	const struct xsr_worker *worker = ws->at[number];
	pthread_attr_t attr;
	char name[16];
	cpu_set_t set;
	int ret;

	pthread_attr_init(&attr);
	if (worker->p.cpu >= 0) {
		CPU_ZERO(&set);
		CPU_SET(worker->p.cpu, &set);
		pthread_attr_setaffinity_np(&attr, sizeof(set), &set);
	}
	ret = -pthread_create(&ws->threads[number], &attr, thread_main, ws->at[number]);
	pthread_attr_destroy(&attr);
	if (ret)
		return ret;
	snprintf(name, sizeof(name), "xsr-worker-%u", number);
	pthread_setname_np(ws->threads[number], name);
	ws->running |= 1ULL << number;
	ws->serving |= 1ULL << number;
	return 0;
}

int workers_stop(struct workers *ws, unsigned int number)
{
	struct timespec until;
	int ret;

	if (!is_running(ws, number))
		return 0;
	worker_stop(ws->at[number]);
	clock_gettime(CLOCK_MONOTONIC, &until);
	until.tv_sec += PATIENCE_S;
	ret = -pthread_clockjoin_np(ws->threads[number], NULL, CLOCK_MONOTONIC, &until);
	if (!ret) {
		ws->running &= ~(1ULL << number);
		ws->serving &= ~(1ULL << number);
	}
	return ret;
}

unsigned int workers_part(struct workers *ws, unsigned int number)
{
	const struct mail mail = { .type = MAIL_PART, .worker = number };
	unsigned int n = 0;
	uint64_t others;

	for (others = ws->serving; others; others &= others - 1)
		n += post_mail(&ws->control, __builtin_ctzll(others), &mail);
	return n;
}

void workers_remove(struct workers *ws, unsigned int number)
{
	uint64_t others;

	for (others = ws->open & ~ws->serving; others; others &= others - 1)
		post_part(&ws->at[__builtin_ctzll(others)]->post, number);
	post_part(&ws->control, number);
	worker_close(ws->at[number]);
	ws->at[number] = NULL;
	ws->open &= ~(1ULL << number);
	rings_close(ws, number);
}

void workers_close(struct workers *ws)
{
	uint64_t open;

	for (open = ws->open; open; open &= open - 1)
		workers_remove(ws, __builtin_ctzll(open));
	post_close(&ws->control);
}
