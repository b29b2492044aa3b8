/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Where the clients of a TCP service come in: each gateway has a listening socket of its own, among which the kernel spreads them. */
#ifndef XSR_DOOR_H
#define XSR_DOOR_H

#include "gateway.h"

/*
 * Opens what the table of services has and this gateway has not, with a link to each backend, and closes what is no more, with its clients.
 * The first time what cannot be opened is an error with a sentence; later it is logged, and tried again.
 */
int doors_sync(struct gateway *gateway, char why[XSR_WHY_LEN]);

/* The service as it was when its door was opened; NULL: this gateway does not serve it. Borrowed for this turn. */
const struct xsr_service *door_service(const struct gateway *gateway, uint32_t index);

/* Whether this gateway serves the same service in the same entry; and whether it takes more clients. */
bool door_is_of(const struct gateway *gateway, uint32_t index, const struct xsr_service *service);
bool door_is_open(const struct gateway *gateway, uint32_t index);

/* Nobody comes in any more. */
void doors_shut(struct gateway *gateway);

/* The same, after those who wait there have been let in. */
void doors_leave(struct gateway *gateway);

/* With links and sessions. */
void doors_close(struct gateway *gateway);

/* Those that had no descriptor left accept again. */
void doors_tick(struct gateway *gateway);

#endif /* XSR_DOOR_H */
