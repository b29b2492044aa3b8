/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* One worker: a transport, a table of sessions, a handler; one thread owns it. */
#ifndef XSR_WORKER_H
#define XSR_WORKER_H

#include <stdatomic.h>
#include <stdbool.h>

#include "fence.h"
#include "maps.h"
#include "post.h"
#include "session.h"
#include "transport.h"
#include "xsr.h"

#define WORKER_BATCH_MAX 256

struct worker_params {
	const char *instance;	/* borrowed for the worker's life */
	unsigned int number;
	int cpu;		/* -1 = not pinned */
	bool spin;
	unsigned int batch;
	unsigned int sessions_max;
	unsigned int idle_s;
	unsigned int hold_max;
	unsigned int hold_ms;
	unsigned int hold_len;
	unsigned int fence_ms;
	unsigned int ring_len;
	unsigned int frame_len;
	const struct xsr_handler *handler;
	const struct transport_ops *ops;
	struct maps *maps;
	struct umem *umem;
	uint64_t (*clock_ns)(void); /* NULL: CLOCK_MONOTONIC */
	void (*log)(const char *sentence, void *arg);
	void *log_arg;
};

struct xsr_worker {
	struct worker_params p;
	struct transport *transport;
	struct session_table *sessions;
	struct xsr_worker_counters *counters; /* in the instance's map */
	void *context;			      /* the handler's */
	struct post post;
	struct fences fences;
	atomic_bool stopping;
	atomic_ulong n_polls;		      /* that it lives */
	uint64_t now_ns;		      /* of this batch */
	uint64_t tick_ns;		      /* when the next tick is due */
	struct xsr_message messages[WORKER_BATCH_MAX];
	struct xsr_message releases[WORKER_BATCH_MAX];
	struct session *of[WORKER_BATCH_MAX]; /* held messages' */
};

/* 0 and a new *out, or -errno with a sentence. Control thread. */
int worker_open(struct xsr_worker **out, const struct worker_params *params, char why[XSR_WHY_LEN]);
void worker_close(struct xsr_worker *worker); /* takes NULL; its thread has ended */

/* Runs until worker_stop(), then works off what has arrived, for at most 2 s. The worker's thread. */
void worker_run(struct xsr_worker *worker);

/* Ends worker_run(), from any thread; returns at once. */
void worker_stop(struct xsr_worker *worker);

static inline void worker_count(struct xsr_worker *worker, enum xsr_worker_stat stat)
{
	worker->counters->n[stat]++;
}

/* Lets the handler serve worker->messages[0..n), of the sessions worker->of[]; gives them back to the transport. The worker's thread. */
void worker_serve_held(struct xsr_worker *worker, int n);

#endif /* XSR_WORKER_H */
