/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* A move of a session as it is written: "ID worker N", "ID backend NAME". */
#ifndef XSR_MOVE_H
#define XSR_MOVE_H

#include <jansson.h>

#include "target.h"

#define MOVE_USAGE "worker N | backend NAME"
#define MOVE_OTHERWISE "to change a route without moving a session's state: xsr route replace"

/*
 * Understands the words, of which there is at least one; *move is a new reference, as requests of `session move` have it.
 * 0, or -EINVAL with a sentence.
 */
int move_parse(int argc, char **argv, json_t **move, char why[TARGET_WHY_LEN]);

#endif /* XSR_MOVE_H */
