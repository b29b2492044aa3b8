/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Addresses of the maps as the socket calls want them. */
#ifndef XSR_ENDPOINT_H
#define XSR_ENDPOINT_H

#include <netinet/in.h>
#include <stdbool.h>
#include <string.h>

#include "types.h"

static inline void endpoint(const __be32 addr[4], __be16 port, bool is_v6, struct sockaddr_storage *out)
{
	struct sockaddr_in *v4 = (struct sockaddr_in *)out;
	struct sockaddr_in6 *v6 = (struct sockaddr_in6 *)out;

	memset(out, 0, sizeof(*out));
	if (is_v6) {
		v6->sin6_family = AF_INET6;
		v6->sin6_port = port;
		memcpy(&v6->sin6_addr, addr, sizeof(v6->sin6_addr));
	} else {
		v4->sin_family = AF_INET;
		v4->sin_port = port;
		v4->sin_addr.s_addr = addr[3];
	}
}

static inline void endpoint_of_backend(const struct xsr_backend *b, struct sockaddr_storage *out)
{
	endpoint(b->addr, b->port, b->family == 6, out);
}

static inline void endpoint_of_service(const struct xsr_service *s, struct sockaddr_storage *out)
{
	static const __be32 any[4];

	endpoint(s->flags & XSR_SERVICE_ANY ? any : s->addr, s->port, s->flags & XSR_SERVICE_IPV6, out);
}

#endif /* XSR_ENDPOINT_H */
