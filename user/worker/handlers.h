/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* The handlers that come with xsr; one file each, one line here, one in handlers.c. */
#ifndef XSR_HANDLERS_H
#define XSR_HANDLERS_H

#include "xsr.h"

extern const struct xsr_handler handler_echo;

#endif /* XSR_HANDLERS_H */
