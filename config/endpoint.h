/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* An address with its port, as an operator writes it: ADDR:PORT or [ADDR6]:PORT. */
#ifndef XSR_CONFIG_ENDPOINT_H
#define XSR_CONFIG_ENDPOINT_H

#include "service_spec.h"
#include "types.h"

struct endpoint {
	__be32 addr[4]; /* IPv4 in addr[3] */
	__be16 port;
	__u8 flags;	/* XSR_SERVICE_IPV4, _IPV6, _ANY: of 0.0.0.0 and [::] */
};

/*
 * No names; [::] is any address of both families, as of a socket that is bound to it. 0, or -EINVAL and one sentence in
 * `why`; *out is untouched then. Any thread.
 */
int endpoint_parse(const char *text, struct endpoint *out, char why[SERVICE_WHY_LEN]);

/* The inverse: "10.0.0.1:5000", "[::]:53" into buf; returns buf. */
const char *endpoint_text(const struct endpoint *endpoint, char buf[SERVICE_ADDRESS_LEN]);

#endif /* XSR_CONFIG_ENDPOINT_H */
