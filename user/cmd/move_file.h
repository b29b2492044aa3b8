/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Moves of sessions as lines of text, "ID worker N", in a file or a stream. */
#ifndef XSR_MOVE_FILE_H
#define XSR_MOVE_FILE_H

#include "cli.h"

/*
 * Moves what stands in the file ("-" = stdin) as it comes: lines that are there are one request, and what became of all
 * is printed at the end. A bad line ends it; those before it are moved. Exit status.
 */
int move_file(const struct cli *cli, const char *service, const char *path);

#endif /* XSR_MOVE_FILE_H */
