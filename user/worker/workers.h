/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The workers of a router, by number, with their threads and the rings between them. They come and go one by one while
 * the others run. Control thread only.
 */
#ifndef XSR_WORKERS_H
#define XSR_WORKERS_H

#include <pthread.h>

#include "post.h"
#include "worker.h"

struct workers {
	struct xsr_worker *at[XSR_WORKERS_MAX]; /* NULL = none of this number */
	uint64_t open;				/* a bit for each that is there */
	uint64_t running;			/* in a thread that is ours */
	uint64_t serving;			/* somebody polls it, we or the program that we are part of */
	pthread_t threads[XSR_WORKERS_MAX];
	struct post control;			/* the control thread's */
	struct ring *rings[POST_MAX][POST_MAX]; /* from, to */
};

int workers_open(struct workers *workers); /* 0 or -errno; nobody is there yet */
void workers_close(struct workers *workers); /* all threads have ended */

/* Opens worker params->number and joins it to the others. 0, or -errno with a sentence. */
int workers_add(struct workers *workers, const struct worker_params *params, char why[XSR_WHY_LEN]);

/* From now on they may be polled by others: what they are to know they get by mail. */
void workers_serve(struct workers *workers);

/* Runs it in a pinned thread. 0 or -errno. */
int workers_start(struct workers *workers, unsigned int number);

/*
 * Its thread works off what it has, and ends: at most 2 s. 0, or -ETIMEDOUT if it does not end within 3 s, because the handler
 * does not return: it runs on, and nothing that it uses may be freed.
 */
int workers_stop(struct workers *workers, unsigned int number);

/*
 * Tells the others that a stopped one leaves: returns how many will answer PARTED, after which nobody
 * uses its rings, and workers_remove() may free it.
 */
unsigned int workers_part(struct workers *workers, unsigned int number);
void workers_remove(struct workers *workers, unsigned int number);

#endif /* XSR_WORKERS_H */
