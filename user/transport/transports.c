/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#include <string.h>

#include "transport.h"

static const struct transport_ops *const transports[] = { &transport_xdp, &transport_udp };

const struct transport_ops *transport_find(const char *name)
{
	unsigned int i;

	for (i = 0; i < sizeof(transports) / sizeof(transports[0]); i++)
		if (!strcmp(name, transports[i]->name))
			return transports[i];
	return NULL;
}
