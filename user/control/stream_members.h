/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Changes of the set of workers of a router that serves TCP services alone, one after another: a worker comes, or gives its connections
 * away and gets no new ones, and may end then; or connections are spread evenly. Workers choose which of theirs go. Control thread only.
 */
#ifndef XSR_STREAM_MEMBERS_H
#define XSR_STREAM_MEMBERS_H

#include "gateways.h"
#include "membership.h"

struct stream_members;

/* Marks the tokens of its mail. */
#define STREAM_MEMBERS_TOKEN (1ULL << 63)

/* All is borrowed until stream_members_close(). 0 or -ENOMEM. */
int stream_members_open(struct stream_members **out, struct maps *maps, struct gateways *gateways);
void stream_members_close(struct stream_members *members); /* takes NULL; who waits is not told */

/* Takes a copy. 0, or -ENOMEM, -ESHUTDOWN. Nothing is called back from within. */
int stream_members_change(struct stream_members *members, const struct change *change);

/* The workers that take clients, a bit each. */
uint64_t stream_members_serving(const struct stream_members *members);

/* Those whose threads read their mail. */
uint64_t stream_members_answering(const struct stream_members *members);

/* HANDED or PARTED, of a token of ours. */
void stream_members_mail(struct stream_members *members, const struct mail *mail);

/* Goes on as far as it can; ms until the next call at the latest, -1: nothing is under way. */
int stream_members_step(struct stream_members *members);

void stream_members_stop(struct stream_members *members);
bool stream_members_idle(const struct stream_members *members);

#endif /* XSR_STREAM_MEMBERS_H */
