/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Requests on the control socket: a row in the table of commands.c is a command, a `struct command` is one
 * request under way. docs/control-socket.md has the wire's side. Control thread only.
 */
#ifndef XSR_COMMAND_H
#define XSR_COMMAND_H

#include <jansson.h>
#include <stdbool.h>

struct control;
struct command;

struct command_row {
	const char *name; /* "session move" */
	/*
	 * Checks the request whole and starts it. It ends by exactly one command_done() or command_fail(), in this
	 * call or later. `request` is borrowed until it returns.
	 */
	void (*start)(struct control *control, struct command *command, const json_t *request);
};

/* The commands of `xsr run`, ended by a row without a name; for listener_open(). */
extern const struct command_row command_rows[];

/* Sends a line; takes the reference. The request goes on. Nothing is sent to a client that has gone. */
void command_line(struct command *command, json_t *line);
void command_progress(struct command *command, size_t done, size_t of);

/*
 * True if so much waits to be written that the command should pause; `resume` is then called once, when it is less or the
 * client has gone. Never true of a client that has gone.
 */
bool command_full(struct command *command, void (*resume)(void *arg), void *arg);

/* The last line: {"done":true,"result":...}; takes the reference. The command is freed. */
void command_done(struct command *command, json_t *result);
/* The last line: {"error":"..."}. The command is freed. */
void command_fail(struct command *command, const char *format, ...) __attribute__((format(printf, 2, 3)));

#endif /* XSR_COMMAND_H */
