/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* What a gateway says of its sessions when the control thread asks. The gateway's thread. */
#ifndef XSR_STREAM_ROWS_H
#define XSR_STREAM_ROWS_H

#include "gateway.h"

/* Answers MAIL_LIST by one mail MAIL_LISTED. */
void stream_rows_answer(struct gateway *gateway, const struct mail *asked);

#endif /* XSR_STREAM_ROWS_H */
