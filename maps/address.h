/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Where a service listens, and a backend: compared alike by their tables and by the configuration. */
#ifndef XSR_ADDRESS_H
#define XSR_ADDRESS_H

#include <stdbool.h>
#include <string.h>

#include "types.h"

/* True if both would take the same messages: protocol, address and port. */
static inline bool service_same_address(const struct xsr_service *a, const struct xsr_service *b)
{
	const __u8 family = XSR_SERVICE_IPV4 | XSR_SERVICE_IPV6 | XSR_SERVICE_ANY;

	return a->port == b->port && a->proto == b->proto && (a->flags & family) == (b->flags & family) &&
	       !memcmp(a->addr, b->addr, sizeof(a->addr));
}

static inline bool backend_same_address(const struct xsr_backend *a, const struct xsr_backend *b)
{
	return a->port == b->port && a->family == b->family && !memcmp(a->addr, b->addr, sizeof(a->addr));
}

#endif /* XSR_ADDRESS_H */
