/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#ifndef XSR_TOOL_H
#define XSR_TOOL_H

#include <stddef.h>

/*
 * Runs a program with its words (NULL at the end) and waits. Its output goes into out[0..size), cut there and
 * zero terminated; its messages go where ours go, or nowhere if `quiet`. The exit status,
 * or -errno if it could not be run.
 */
int tool_run(const char *const argv[], char *out, size_t size, int quiet);

#endif /* XSR_TOOL_H */
