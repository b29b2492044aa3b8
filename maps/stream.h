/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* TCP services as they run: what their workers count, and how a router serves them. */
#ifndef XSR_STREAM_H
#define XSR_STREAM_H

#include "maps.h"

/* What all workers counted of the service. */
void stream_sum(const struct maps *maps, uint32_t service, struct xsr_stream_counters *out);

/*
 * All counters of a service to zero, and nobody serves it: for another one in its entry. A worker that still serves the old one may go
 * on counting; what is no total it sets, and never adds to.
 */
void stream_clear(struct maps *maps, uint32_t service);

/* This process serves the service from now on, in this mode; `why` it is not the mode wished for, NULL if it is. */
void stream_claim(struct maps *maps, uint32_t service, enum xsr_stream_mode mode, const char *why);

/* And from now on no more. */
void stream_leave(struct maps *maps, uint32_t service);

/* The process that serves a service, if it is alive: its pid, else 0. */
uint32_t stream_pid(const struct xsr_stream_state *state);

#endif /* XSR_STREAM_H */
