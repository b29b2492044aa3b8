/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* One client's connection and one to a backend, of its own: all that comes from the one goes to the other. The gateway's thread. */
#ifndef XSR_RELAY_H
#define XSR_RELAY_H

#include "gateway.h"

/*
 * Takes over the connection that came in by the service's door; connects to the service's backends in turn until one answers. wants_kernel: then
 * the kernel moves the bytes.
 */
void relay_open(struct gateway *gateway, uint32_t service, int fd, bool wants_kernel);

/* Ends it; `why` is one of XSR_STREAM_STAT_CLOSED_*. */
void relay_end(struct relay *relay, enum xsr_stream_stat why);

/* Nothing more is read of either side; bytes that were read and are not written yet. */
void relay_hold(struct relay *relay);
uint64_t relay_unsent(const struct relay *relay);

/* Those of which one side has finished, and something is still to be written to the other, by the kernel. Every turn. */
void relays_turn(struct gateway *gateway);

/* About 20 times a second. */
void relay_tick(struct relay *relay);

uint32_t relay_service(const struct relay *relay);
struct relay *relay_next(const struct relay *relay); /* of the gateway's, or NULL */

#endif /* XSR_RELAY_H */
