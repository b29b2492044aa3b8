/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#include "handlers.h"

#include <string.h>

static const struct xsr_handler *const handlers[] = { &handler_echo };

const struct xsr_handler *xsr_handler_find(const char *name)
{
	unsigned int i;

	for (i = 0; i < sizeof(handlers) / sizeof(handlers[0]); i++)
		if (!strcmp(name, handlers[i]->name))
			return handlers[i];
	return NULL;
}
