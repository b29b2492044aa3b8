/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Changes of the set of workers, one after another: a worker comes, gives its sessions away, leaves; sessions are spread evenly. Sessions
 * of the others are not touched: what a worker knows by the `hash` default gets a route before that changes, and
 * what becomes known while it changes is handed over. Control thread only.
 */
#ifndef XSR_MEMBERSHIP_H
#define XSR_MEMBERSHIP_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/queue.h>

#include "handoff.h"
#include "types.h"

struct control;
struct mail;

enum change_kind { CHANGE_ADD, CHANGE_DRAIN, CHANGE_REMOVE, CHANGE_REBALANCE };

#define CHANGE_WHY_LEN 384

/* What is wanted, and what came of it. */
struct change {
	enum change_kind kind;
	int worker; /* ADD: its number when it is done; else which */
	int cpu;    /* ADD: -1 = choose */
	void (*progress)(const struct handoff_report *report, void *arg);
	/* The last call. failed: `why` says what went wrong, and what stayed as it was. */
	void (*done)(const struct change *change, bool failed, void *arg);
	void *arg;
	struct handoff_report report;
	char why[CHANGE_WHY_LEN];
};

struct membership {
	uint64_t spread;	 /* the workers that the `hash` default knows, a bit each */
	uint64_t n_asked;	 /* questions to workers: the token of the last one */
	uint64_t untold;	 /* workers that are to hear ADOPTED, a bit each */
	struct change_run *run;	 /* the one under way */
	TAILQ_HEAD(, change_run) waiting;
	bool stopped;
};

void membership_init(struct control *control);
void membership_close(struct control *control);

/* Takes a copy. 0, or -ENOMEM, -ESHUTDOWN. Nothing is called back from within. */
int membership_change(struct control *control, const struct change *change);

/* ADOPTING, SETTLED, PARTED of a worker. */
void membership_mail(struct control *control, unsigned int from, const struct mail *mail);

/* Goes on as far as it can; ms until the next call at the latest, -1: nothing is under way. */
int membership_step(struct control *control);

void membership_stop(struct control *control);
bool membership_idle(const struct control *control);

#endif /* XSR_MEMBERSHIP_H */
