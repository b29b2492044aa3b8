/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* What this kernel lacks of what xsr uses, each with what is done instead. */
#ifndef XSR_PROBE_H
#define XSR_PROBE_H

/*
 * Calls say() with one sentence (borrowed until it returns) for each thing
 * that is not available; returns how many there are. Changes nothing.
 */
int probe_kernel(void (*say)(const char *sentence, void *arg), void *arg);

#endif /* XSR_PROBE_H */
