/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* `xsr run`: the control thread around a router. */
#ifndef XSR_CONTROL_H
#define XSR_CONTROL_H

#include <stdbool.h>

/*
 * Runs the router of the configuration file until SIGTERM or SIGINT; re-reads it on
 * SIGHUP. require_mode: a TCP service that the kernel cannot serve in its mode is an error, instead of another mode. Loads and attaches what is not; detaches what it attached. `instance`
 * is what the command line says, NULL if nothing. Messages go to stderr. Exit status.
 */
int control_run(const char *config_path, bool require_mode, const char *instance);

#endif /* XSR_CONTROL_H */
