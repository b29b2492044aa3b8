/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* A command's connection to the router that serves its instance; docs/control-socket.md has what is said there. */
#ifndef XSR_ROUTER_CLIENT_H
#define XSR_ROUTER_CLIENT_H

#include "cli.h"

struct router_client;

/* NULL after a message: no router serves the instance. `otherwise` says what can be done without one, or is NULL. */
struct router_client *router_client_open(const struct cli *cli, const char *otherwise);
void router_client_close(struct router_client *client); /* takes NULL */

/*
 * Sends a request under this tag, as much as the router takes now and the rest while waiting. Takes the reference. Exit
 * status.
 */
int router_client_send(struct router_client *client, json_int_t tag, json_t *request);

/*
 * Waits for the router's next line, a new reference in *line; or until `fd` can be read (-1: none), then *line is NULL.
 * CLI_OK, or CLI_FAILED after a message: the connection is of no use any more.
 */
int router_client_wait(struct router_client *client, int fd, json_t **line);

/*
 * One request on a connection of its own. Lines before the last one are lent to on_line(), unless that is NULL. CLI_OK with
 * the result, a new reference, or CLI_FAILED after a message. Takes the reference.
 */
int router_client_ask(const struct cli *cli, const char *otherwise, json_t *request,
		      void (*on_line)(const json_t *line, void *arg), void *arg, json_t **result);

#endif /* XSR_ROUTER_CLIENT_H */
