/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* A configuration file under way: its bytes, and the one sentence that says what is wrong with it. */
#ifndef XSR_SOURCE_H
#define XSR_SOURCE_H

#include <stddef.h>

/* The caller's, all of it, for as long as the file is read. */
struct source {
	const char *name; /* as the operator knows it */
	const unsigned char *data;
	size_t len;
	char *why; /* CONFIG_WHY_LEN bytes */
};

/*
 * Writes "NAME:LINE: " (no line if that is 0) and the sentence into src->why, without whatever
 * would move a terminal's cursor. Returns -EINVAL.
 */
int source_refuse(const struct source *src, unsigned int line, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));

/* The same for memory that is short. Returns -ENOMEM. */
int source_refuse_memory(const struct source *src);

#endif /* XSR_SOURCE_H */
