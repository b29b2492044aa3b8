/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* The other end of a handover: a parcel comes, and is taken, sent back, or, if nobody has room for it, closed. The gateway's thread. */
#ifndef XSR_TAKEOVER_H
#define XSR_TAKEOVER_H

#include "gateway.h"

struct parcel;

/* Control is told what became of it. */
void takeover(struct gateway *gateway, struct parcel *parcel);

/* What was sent here when nobody read it any more is closed. The gateways' threads have ended. */
void takeovers_close(struct gateway *gateway);

#endif /* XSR_TAKEOVER_H */
