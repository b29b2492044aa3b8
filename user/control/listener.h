/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* The control socket: takes connections, lines, and finds the command of each. */
#ifndef XSR_LISTENER_H
#define XSR_LISTENER_H

#include <systemd/sd-event.h>

struct command_row;
struct control;
struct listener;

#define LISTENER_WHY_LEN 384
#define LISTENER_PATH_LEN 64

/* Where the instance's router listens: /run/xsr/INSTANCE.sock. Returns path. */
const char *listener_path(const char *instance, char path[LISTENER_PATH_LEN]);

/*
 * Listens on `path`, mode 0600, in a folder that is made (0700) if it is not there; what a dead process left is
 * replaced, what a living one serves is -EADDRINUSE. `rows` are the commands, as command_rows[]; `control` is handed to
 * them. 0 and a new *out, or -errno with a sentence. The event loop and the rows are borrowed until listener_close().
 */
int listener_open(struct listener **out, sd_event *event, const char *path, const struct command_row *rows,
		  struct control *control, char why[LISTENER_WHY_LEN]);

/* Removes the socket, takes no more connections or requests; those under way go on and are answered. Idempotent. */
void listener_stop(struct listener *listener);

/*
 * Stops, sends what clients take at once, closes all connections. Requests under way lose their client: those that paused are
 * resumed, and all still end by command_done() or command_fail(). Not from within a command. Takes NULL.
 */
void listener_close(struct listener *listener);

#endif /* XSR_LISTENER_H */
