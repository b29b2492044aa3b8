/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* What an operator writes of a backend, checked and turned into the contract's struct. */
#ifndef XSR_BACKEND_SPEC_H
#define XSR_BACKEND_SPEC_H

#include "service_spec.h"
#include "types.h"

/* Words as written; NULL = not given. Both must be. */
struct backend_spec {
	const char *name;    /* as a service's */
	const char *address; /* ADDR:PORT or [ADDR6]:PORT, no names, of one host */
};

/* Fills the whole of *out. 0, or -EINVAL and one sentence in `why`; *out is untouched then. Any thread. */
int backend_spec_parse(const struct backend_spec *spec, struct xsr_backend *out, char why[SERVICE_WHY_LEN]);

/* The inverse, for `show`: text of the address into buf; returns buf. */
const char *backend_address(const struct xsr_backend *backend, char buf[SERVICE_ADDRESS_LEN]);

#endif /* XSR_BACKEND_SPEC_H */
