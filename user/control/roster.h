/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Asking the workers which sessions they have, page by page, so that nobody waits long. Control thread only. */
#ifndef XSR_ROSTER_H
#define XSR_ROSTER_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/queue.h>

#include "post.h"
#include "session.h"

struct roster;

struct roster_wish {
	uint64_t workers; /* to be asked, a bit each */
	uint32_t service; /* 0 = all */
	bool one;	  /* only session `id` of the service */
	uint64_t id;
	void (*rows)(unsigned int worker, const struct session_row *rows, unsigned int n, void *arg);
	/* After each page; false: the next one waits for roster_resume(). NULL: all follow at once. */
	bool (*page)(struct roster *roster, void *arg);
	/* The last call. incomplete: a worker did not answer within a second. */
	void (*done)(bool incomplete, void *arg);
	void *arg;
};

struct rosters {
	struct post *post; /* the control thread's */
	uint64_t (*clock_ns)(void);
	uint64_t n_tokens;
	TAILQ_HEAD(, roster) all;
};

void rosters_init(struct rosters *rosters, struct post *post, uint64_t (*clock_ns)(void));
void rosters_close(struct rosters *rosters); /* those under way are forgotten */

/* 0 or -ENOMEM. Nothing is called back from within. */
int roster_begin(struct rosters *rosters, const struct roster_wish *wish);
void roster_resume(struct roster *roster);

/* The worker has left, and its number may be another's soon: it is not asked, nor waited for. What it had has gone to the others. */
void rosters_part(struct rosters *rosters, unsigned int worker);

void rosters_mail(struct rosters *rosters, unsigned int from, const struct mail *mail);

/* Asks who is to be asked, gives up who does not answer. Returns ms until the next call at the latest, -1 if nothing is under way. */
int rosters_step(struct rosters *rosters);

#endif /* XSR_ROSTER_H */
