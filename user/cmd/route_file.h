/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Routes as lines of text: "ID TARGET", a million at a time. */
#ifndef XSR_ROUTE_FILE_H
#define XSR_ROUTE_FILE_H

#include "cli.h"

/* Reads the file ("-" = stdin) whole, checks every line, then applies all of it or nothing. Exit status. */
int route_file_import(struct cli *cli, uint32_t index, const struct xsr_service *service, const char *path);

/* Writes the routes to stdout, as import takes them. Exit status. */
int route_file_export(struct cli *cli, uint32_t index, const struct xsr_service *service);

#endif /* XSR_ROUTE_FILE_H */
