/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* A route as it is written: "worker N", "backend NAME", "pass", "drop". */
#ifndef XSR_TARGET_H
#define XSR_TARGET_H

#include <jansson.h>
#include <stddef.h>
#include <stdint.h>

#include "types.h"

#define TARGET_USAGE "worker N | backend NAME | pass | drop"
#define TARGET_WHY_LEN 160

/* The names that a target may have: the instance's backends, NULL = none; and the one that was found last, from 0. */
struct target_names {
	const struct xsr_backend *backends;
	uint32_t last;
};

/*
 * Reads "ID TARGET" from text[0..len): one line of an import. Fills *id and the
 * route's action and target. 0, or with a sentence in `why` -EINVAL, or -ENOENT for a backend that is not there. Fast:
 * a million lines take some 30 ms.
 */
int target_parse_line(const char *text, size_t len, struct target_names *names, uint64_t *id, struct xsr_route *route,
		      char why[TARGET_WHY_LEN]);

/* The same for words of a command line. */
int target_parse_words(int argc, char **argv, struct target_names *names, struct xsr_route *route, char why[TARGET_WHY_LEN]);

/* Whether sessions of the service can have that route: 0, or -EINVAL and a sentence. `backends` as above. */
int target_check(const struct xsr_service *service, const struct xsr_route *route, const struct xsr_backend *backends,
		 char why[TARGET_WHY_LEN]);

/* "worker 1", "backend one" into buf; returns buf. A backend that is not there is called "?". */
#define TARGET_TEXT_LEN 64
const char *target_text(const struct xsr_route *route, const struct xsr_backend *backends, char buf[TARGET_TEXT_LEN]);

/* {"worker":1}, {"backend":"one"}, or "pass"; {"backend":null} for one that is not there. */
const char *target_json(const struct xsr_route *route, const struct xsr_backend *backends, char buf[TARGET_TEXT_LEN]);

#endif /* XSR_TARGET_H */
