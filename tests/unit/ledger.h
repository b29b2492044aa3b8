/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * What was sent and what was served: each message once, those of a session and a lane in order, and its state never begun anew
 * unbeknown. A session's entry is touched by whoever serves it and is no atomic: that two do so at a time is a race that the thread
 * sanitizer sees.
 */
#ifndef XSR_TEST_LEDGER_H
#define XSR_TEST_LEDGER_H

#include <stdarg.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#define LANES_MAX 4 /* ways from the client to a worker, each of which keeps its order */

struct ledger_session {
	uint64_t id;
	uint64_t n_served;
	uint64_t counter;	  /* messages since its state began anew */
	uint32_t last[LANES_MAX]; /* numbers, from 1 */
};

struct ledger {
	struct ledger_session *sessions;
	uint32_t (*n_sent)[LANES_MAX]; /* the client's */
	uint8_t *served;	       /* by session, lane and number */
	unsigned int n_sessions;
	uint32_t n_max;		       /* messages of a session and a lane */
	bool strict;		       /* no hang was longer than the fence is waited for */
	atomic_uint n_served;
	atomic_uint n_restarts;	       /* states that were begun anew */
	atomic_bool is_wrong;
	char wrong[256];	       /* what was noticed first */
};

static inline void ledger_open(struct ledger *l, unsigned int n_sessions, uint32_t n_max, bool strict)
{
	*l = (struct ledger){ .n_sessions = n_sessions, .n_max = n_max, .strict = strict };
	l->sessions = calloc(n_sessions, sizeof(*l->sessions));
	l->n_sent = calloc(n_sessions, sizeof(*l->n_sent));
	l->served = calloc((size_t)n_sessions * LANES_MAX, n_max);
	if (!l->sessions || !l->n_sent || !l->served)
		abort();
}

static inline void ledger_close(struct ledger *l)
{
	free(l->sessions);
	free(l->n_sent);
	free(l->served);
}

static inline void ledger_wrong(struct ledger *l, const char *format, ...) __attribute__((format(printf, 2, 3)));
static inline void ledger_wrong(struct ledger *l, const char *format, ...)
{
	va_list args;

	if (atomic_exchange(&l->is_wrong, true))
		return;
	va_start(args, format);
	vsnprintf(l->wrong, sizeof(l->wrong), format, args);
	va_end(args);
}

/* The number of the next message; 0 if there are enough of them. */
static inline uint32_t ledger_send(struct ledger *l, uint32_t index, unsigned int lane)
{
	return l->n_sent[index][lane] == l->n_max ? 0 : ++l->n_sent[index][lane];
}

static inline uint64_t ledger_n_sent(const struct ledger *l)
{
	uint64_t n = 0;
	unsigned int i, lane;

	for (i = 0; i < l->n_sessions; i++)
		for (lane = 0; lane < LANES_MAX; lane++)
			n += l->n_sent[i][lane];
	return n;
}

/* A message was served, whether or not with its session. */
static inline void ledger_serve(struct ledger *l, uint32_t index, unsigned int lane, uint32_t number, unsigned int worker)
{
	struct ledger_session *session = &l->sessions[index];
	uint8_t *served = &l->served[((size_t)index * LANES_MAX + lane) * l->n_max + number - 1];

	if (*served)
		ledger_wrong(l, "message %u of session %u, lane %u was served twice, now by worker %u", number, index,
			     lane, worker);
	if (l->strict && number <= session->last[lane])
		ledger_wrong(l, "message %u of session %u, lane %u was served by worker %u after message %u", number,
			     index, lane, worker, session->last[lane]);
	*served = 1;
	session->last[lane] = number;
	session->n_served++;
	atomic_fetch_add_explicit(&l->n_served, 1, memory_order_relaxed);
}

/* The handler begins a state. */
static inline void ledger_begin(struct ledger *l, uint32_t index)
{
	struct ledger_session *session = &l->sessions[index];

	if (session->n_served)
		atomic_fetch_add_explicit(&l->n_restarts, 1, memory_order_relaxed);
	session->counter = 0;
}

/* The handler's state before it serves the next message. */
static inline void ledger_state(struct ledger *l, uint32_t index, uint64_t counter, unsigned int worker)
{
	struct ledger_session *session = &l->sessions[index];

	if (l->strict && counter != session->counter)
		ledger_wrong(l, "session %u: worker %u has the state after %llu messages, not %llu", index, worker,
			     (unsigned long long)counter, (unsigned long long)session->counter);
	session->counter++;
}

#endif /* XSR_TEST_LEDGER_H */
