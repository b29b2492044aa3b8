/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Grace periods, waited for by a thread of its own: they take the kernel 8 to 50 ms, and the control thread has other work. */
#ifndef XSR_GRACE_H
#define XSR_GRACE_H

struct grace;

int grace_open(struct grace **out); /* 0 or -errno */
void grace_close(struct grace *grace); /* takes NULL; waits for a period that runs */

/* Readable when a period that was begun is over; grace_take() then says so once. */
int grace_fd(const struct grace *grace);
void grace_take(struct grace *grace);

/* Begins one. Not before the last one was taken. */
void grace_begin(struct grace *grace);

#endif /* XSR_GRACE_H */
