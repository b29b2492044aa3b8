/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* `xsr run`: the control thread around a router. */
#ifndef XSR_CONTROL_H
#define XSR_CONTROL_H

/*
 * Runs the router of the configuration file until SIGTERM or SIGINT; re-reads it on
 * SIGHUP. Loads and attaches what is not; detaches what it attached. `instance`
 * is what the command line says, NULL if nothing. Messages go to stderr. Exit status.
 */
int control_run(const char *config_path, const char *instance);

#endif /* XSR_CONTROL_H */
