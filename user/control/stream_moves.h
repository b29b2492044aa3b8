/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Sessions of TCP services on their way from one backend to another: the worker that owns a session holds its requests and asks
 * the old backend whether it has answered all before; then the route is stored, and the requests follow it. Sessions that no worker knows
 * only get their route.
 *
 * Or from one worker to another, with their connections: the workers do that between them, and tell. Control thread only.
 */
#ifndef XSR_STREAM_MOVES_H
#define XSR_STREAM_MOVES_H

#include <systemd/sd-event.h>

#include "gateways.h"
#include "handoff.h"
#include "membership.h"
#include "roster.h"
#include "stream_job.h"

struct stream_moves;

/* All is borrowed until stream_moves_close(). 0 or -errno. */
int stream_moves_open(struct stream_moves **out, sd_event *event, struct maps *maps, struct gateways *gateways);
void stream_moves_close(struct stream_moves *moves); /* takes NULL; who waits is not told */

/*
 * Moves n sessions, side by side as far as there is room. done() gets what became of them, once, maybe in this call; progress() now and
 * then. 0, -ESHUTDOWN, or -ENOMEM.
 */
int stream_moves_begin(struct stream_moves *moves, const struct stream_wish *wishes, size_t n,
		       void (*progress)(const struct handoff_report *report, void *arg),
		       void (*done)(const struct handoff_report *report, void *arg), void *arg);

/* Asks the gateways for their sessions; wish->workers is set here. As roster_begin(). */
int stream_moves_list(struct stream_moves *moves, const struct roster_wish *wish);

/* After roster_resume() of one of those. */
void stream_moves_resume(struct stream_moves *moves);

/*
 * Changes of the set of workers, of a router that serves TCP services alone: see stream_members.h. The workers that take clients and
 * connections, a bit each.
 */
int stream_moves_change(struct stream_moves *moves, const struct change *change);
uint64_t stream_moves_serving(const struct stream_moves *moves);

/* No new ones from now on; idle() is called when none is under way, maybe in this call. */
void stream_moves_stop(struct stream_moves *moves, void (*idle)(void *arg), void *arg);

bool stream_moves_idle(const struct stream_moves *moves);

#endif /* XSR_STREAM_MOVES_H */
