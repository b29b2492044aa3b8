/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * A connection to the control socket: lines in, lines out, both bounded, and the requests under way. Shared by
 * listener.c, which takes connections, client.c, which moves lines, and command.c, which understands them. Control thread
 * only.
 */
#ifndef XSR_CLIENT_H
#define XSR_CLIENT_H

#include <jansson.h>
#include <stdbool.h>
#include <sys/queue.h>
#include <systemd/sd-event.h>

#include "buffer.h"

#define CLIENT_LINE_MAX (1 << 20)
#define CLIENT_OUTPUT_MAX (4 << 20)
#define CLIENT_OUTPUT_FULL (256 << 10) /* commands pause, until half of it is left */
#define CLIENT_COMMANDS_MAX 16

struct command_row;
struct control;

struct client {
	LIST_ENTRY(client) link;
	const struct command_row *rows;
	struct control *control;
	sd_event_source *source;
	int fd;
	struct buffer in, out;
	TAILQ_HEAD(, command) commands;
	unsigned int n_commands;
	bool finished; /* nothing more is read; it closes when no command is under way and no output waits */
	bool gone;     /* nothing more is written either; its next event closes it */
};

LIST_HEAD(client_list, client);

/* client.c */

/* Adds a client to the list. Owns the socket from now on, also if it fails. 0 or -errno. */
int client_open(struct client_list *list, sd_event *event, int fd, const struct command_row *rows,
		struct control *control);

/* Takes it off the list, closes, frees; its commands go on without it. */
void client_close(struct client *client);

/* Sends a line, now or when the client reads; one that does not is gone, but not freed before its next event. */
void client_send(struct client *client, const json_t *line);

/* Takes no more requests. */
void client_finish(struct client *client);

/* Something of it changed: says what its next event is to be about. */
void client_update(struct client *client);

/* The line of an error; without `tag` if that is NULL. A new reference. */
json_t *error_line(const json_int_t *tag, const char *sentence);

/* command.c */

/* Starts what the line asks for. NULL, or why this is no request at all: the connection should end. */
const char *command_start(struct client *client, const char *line, size_t len);

/* Lets those that paused go on while little waits to be written. */
void commands_resume(struct client *client);

/* The client has gone: its commands go on, their lines are discarded. */
void commands_orphan(struct client *client);

#endif /* XSR_CLIENT_H */
