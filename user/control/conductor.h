/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * What the control thread does while a router runs: takes the workers' mail, lets handoffs, rosters and changes of the set of workers
 * go on, watches that every worker answers. `struct control` is what commands are given. Control thread only.
 */
#ifndef XSR_CONDUCTOR_H
#define XSR_CONDUCTOR_H

#include <systemd/sd-event.h>

#include "grace.h"
#include "handoff.h"
#include "membership.h"
#include "roster.h"
#include "router.h"
#include "stream_moves.h"

#define CONDUCTOR_WHY_LEN 384
#define GRACE_WAITERS_MAX 4

struct grace_waiter {
	void (*over)(void *arg);
	void *arg;
};

struct control {
	sd_event *event;
	struct xsr_router *router;
	struct maps *maps;		/* the router's */
	struct workers *workers;	/* the router's */
	struct handoffs *handoffs;	/* NULL: no UDP services are served, and all of the workers below is not there */
	struct stream_moves *streams;	/* NULL: no TCP services are served; borrowed */
	struct rosters rosters;
	struct membership membership;
	struct grace *grace;
	struct grace_waiter waiting[GRACE_WAITERS_MAX], running[GRACE_WAITERS_MAX];
	unsigned int n_waiting, n_running;
	struct {
		enum { COUNTING_OFF, COUNTING_BEGINS, COUNTING_ON } state;
		uint64_t used_ns;	/* the last time that it was asked for */
	} counting;			/* of the program's runs */
	sd_event_source *sources[4];	/* mail, grace, timer, watch */
	sd_event_source *after;		/* runs after all others */
	struct {
		unsigned long n_polls;
		uint64_t since_ns;
		bool hangs;
	} watched[XSR_WORKERS_MAX];
	void (*idle)(void *arg);	/* see conductor_stop() */
	void *idle_arg;
};

/*
 * On a router that has been started; NULL: only TCP services are served. All is borrowed until conductor_close(). 0, or -errno with a
 * sentence.
 */
int conductor_open(struct control **out, sd_event *event, struct maps *maps, struct xsr_router *router,
		   char why[CONDUCTOR_WHY_LEN]);
void conductor_close(struct control *control); /* takes NULL */

/* Begins nothing new; idle() is called when nothing is under way any more. */
void conductor_stop(struct control *control, void (*idle)(void *arg), void *arg);

/* Calls over() when a grace period that begins now or later has ended. */
void control_grace(struct control *control, void (*over)(void *arg), void *arg);

uint64_t control_clock_ns(void);

#endif /* XSR_CONDUCTOR_H */
