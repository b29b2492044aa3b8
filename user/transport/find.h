/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Which service a datagram is for: as the kernel's program finds it, on the same maps. */
#ifndef XSR_FIND_H
#define XSR_FIND_H

#include "maps.h"
#include "parse.h"
#include "rule.h"

/* The service's number, 0 if there is none. Reads the mapped tables; no lock, no system call. */
static inline uint32_t find_service(const struct maps *maps, const struct datagram *d)
{
	uint32_t index = maps->ports[be16_to_host(d->dport)].udp;
	int i;

	for (i = 0; index && index < XSR_SERVICES_MAX && i < XSR_SERVICES_PER_PORT_MAX; i++) {
		if (service_has_address(&maps->services[index], d))
			return index;
		index = maps->services[index].next;
	}
	return 0;
}

#endif /* XSR_FIND_H */
