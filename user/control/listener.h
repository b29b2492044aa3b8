/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* The control socket: takes connections, lines, and finds the command of each. */
#ifndef XSR_LISTENER_H
#define XSR_LISTENER_H

#include <systemd/sd-event.h>

struct control;
struct listener;

#define LISTENER_WHY_LEN 384

/*
 * Listens on `path`, mode 0600, in a folder that is made (0700) if it is not there; what a dead process left is
 * replaced, what a living one serves is -EADDRINUSE. `control` is handed to the commands. 0 and a new *out, or -errno with a
 * sentence. The event loop is borrowed until listener_close().
 */
int listener_open(struct listener **out, sd_event *event, const char *path, struct control *control,
		  char why[LISTENER_WHY_LEN]);

/* Takes no more connections or requests; those under way go on. */
void listener_stop(struct listener *listener);

/* Removes the socket, closes all connections; requests under way lose their client. Takes NULL. */
void listener_close(struct listener *listener);

#endif /* XSR_LISTENER_H */
