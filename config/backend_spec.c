/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#include "backend_spec.h"

#include <string.h>

#include "endpoint.h"

int backend_spec_parse(const struct backend_spec *spec, struct xsr_backend *out, char why[SERVICE_WHY_LEN])
{
	struct xsr_backend backend = {};
	struct endpoint e;
	int ret = name_parse("backend", spec->name, backend.name, why);

	if (ret)
		return ret;
	if (!spec->address)
		return spec_refuse(why, "the backend has no address; expected ADDR:PORT or [ADDR6]:PORT");
	ret = endpoint_parse(spec->address, &e, why);
	if (ret)
		return ret;
	if (e.flags & XSR_SERVICE_ANY)
		return spec_refuse(why, "address \"%.96s\" stands for any; expected that of one host", spec->address);
	memcpy(backend.addr, e.addr, sizeof(backend.addr));
	backend.port = e.port;
	backend.family = e.flags & XSR_SERVICE_IPV6 ? 6 : 4;
	*out = backend;
	return 0;
}

const char *backend_address(const struct xsr_backend *backend, char buf[SERVICE_ADDRESS_LEN])
{
	struct endpoint e = { .port = backend->port,
			      .flags = backend->family == 6 ? XSR_SERVICE_IPV6 : XSR_SERVICE_IPV4 };

	memcpy(e.addr, backend->addr, sizeof(e.addr));
	return endpoint_text(&e, buf);
}
