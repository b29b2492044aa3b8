/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#ifndef XSR_LOAD_TCP_H
#define XSR_LOAD_TCP_H

#include "cli.h"

/* `xsr load tcp`: argv[0] is ADDR:PORT. Sending ends when *stop is set. Returns the exit status. */
int load_tcp(struct cli *cli, int argc, char **argv, const volatile bool *stop);

/* Its part of `xsr load help`. */
void load_tcp_help(void);

#endif /* XSR_LOAD_TCP_H */
