/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#include "router_client.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>
#include <unistd.h>

#include "control/buffer.h"
#include "control/listener.h"

#define ANSWER_MAX (8 << 20)
#define REQUESTS_MAX (32 << 20) /* that wait to be sent */
#define CONNECT_S 10

struct router_client {
	const struct cli *cli;
	int fd;
	struct buffer in, out;
};

/* A socket that is connected, or -errno. The router takes connections at once unless it is stuck. */
static int instance_connect(const char *instance)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	const struct timeval timeout = { .tv_sec = CONNECT_S };
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0), ret = 0;
	char path[LISTENER_PATH_LEN];

	if (fd < 0)
		return -errno;
	strcpy(address.sun_path, listener_path(instance, path));
	if (setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &timeout, sizeof(timeout)) ||
	    connect(fd, (const struct sockaddr *)&address, sizeof(address)) || fcntl(fd, F_SETFL, O_NONBLOCK))
		ret = -errno;
	if (ret)
		close(fd);
	return ret ? ret : fd;
}

static int connect_failed(const struct cli *cli, int ret, const char *otherwise)
{
	switch (ret) {
	case -ENOENT:
	case -ECONNREFUSED:
		return cli_failed(cli, "no router serves instance '%s'; start it with: xsr run CONFIG%s%s", cli->instance,
				  otherwise ? "; " : "", otherwise ? otherwise : "");
	case -EAGAIN:
		return cli_failed(cli, "the router of instance '%s' does not take connections", cli->instance);
	default:
		return cli_failed(cli, "cannot ask the router of instance '%s': %s", cli->instance, strerror(-ret));
	}
}

struct router_client *router_client_open(const struct cli *cli, const char *otherwise)
{
	struct router_client *client = calloc(1, sizeof(*client));
	int fd = client ? instance_connect(cli->instance) : -ENOMEM;

	if (fd < 0) {
		connect_failed(cli, fd, otherwise);
		free(client);
		return NULL;
	}
	client->cli = cli;
	client->fd = fd;
	client->in.max = ANSWER_MAX;
	client->out.max = REQUESTS_MAX;
	return client;
}

void router_client_close(struct router_client *client)
{
	if (!client)
		return;
	close(client->fd);
	buffer_free(&client->in);
	buffer_free(&client->out);
	free(client);
}

/* A connection that cannot be written to can still be read: what the router says last is there. */
static void requests_flush(struct router_client *client)
{
	if (buffer_send(&client->out, client->fd))
		buffer_free(&client->out);
}

static int text_append(const char *text, size_t len, void *arg)
{
	return buffer_append(arg, text, len);
}

int router_client_send(struct router_client *client, json_int_t tag, json_t *request)
{
	int ret;

	json_object_set_new(request, "tag", json_integer(tag));
	ret = json_dump_callback(request, text_append, &client->out, JSON_COMPACT);
	if (!ret)
		ret = buffer_append(&client->out, "\n", 1);
	json_decref(request);
	if (ret)
		return cli_failed(client->cli, "cannot ask the router: out of memory");
	requests_flush(client);
	return CLI_OK;
}

static int sentence_failed(const struct cli *cli, const char *sentence)
{
	cli_progress_end();
	return cli_failed(cli, "%s", sentence);
}

/* What has no tag belongs to no request: the router gives the connection up. */
static int line_check(const struct router_client *client, const json_t *line)
{
	const char *error = json_string_value(json_object_get(line, "error"));

	if (!json_is_object(line))
		return sentence_failed(client->cli, "the router's answer is no JSON object");
	if (error && !json_object_get(line, "tag"))
		return sentence_failed(client->cli, error);
	return CLI_OK;
}

/* The line that was read; CLI_OK and NULL if none is whole. */
static int line_next(struct router_client *client, json_t **line)
{
	size_t len;
	char *text = buffer_line(&client->in, &len);
	int ret = CLI_OK;

	*line = NULL;
	if (!text)
		return CLI_OK;
	*line = json_loadb(text, len, 0, NULL);
	ret = line_check(client, *line);
	if (ret) {
		json_decref(*line);
		*line = NULL;
	}
	return ret;
}

static int answers_read(struct router_client *client)
{
	ssize_t n = buffer_read(&client->in, client->fd);

	if (n > 0 || n == -EAGAIN)
		return CLI_OK;
	return sentence_failed(client->cli, "the router closed the connection: what it was asked for is done, or is not");
}

int router_client_wait(struct router_client *client, int fd, json_t **line)
{
	struct pollfd fds[] = { { .fd = client->fd }, { .fd = fd, .events = POLLIN } };
	int ret;

	for (;;) {
		ret = line_next(client, line);
		if (ret || *line)
			return ret;
		fds[0].events = POLLIN | (buffer_len(&client->out) ? POLLOUT : 0);
		if (TEMP_FAILURE_RETRY(poll(fds, 2, -1)) < 0)
			return cli_failed(client->cli, "cannot wait: %s", strerror(errno));
		if (fds[0].revents & POLLOUT)
			requests_flush(client);
		if (fds[0].revents & ~POLLOUT)
			ret = answers_read(client);
		else if (fds[1].revents)
			return CLI_OK;
		if (ret)
			return ret;
	}
}

/* Waits until the last line of the only request. */
static int answer_wait(struct router_client *client, void (*on_line)(const json_t *line, void *arg), void *arg,
		       json_t **result)
{
	const char *error = NULL;
	bool done = false;
	json_t *line;
	int ret;

	do {
		ret = router_client_wait(client, -1, &line);
		if (ret)
			return ret;
		error = json_string_value(json_object_get(line, "error"));
		done = json_object_get(line, "done");
		if (error)
			ret = sentence_failed(client->cli, error);
		else if (done)
			*result = json_incref(json_object_get(line, "result"));
		else if (on_line)
			on_line(line, arg);
		json_decref(line);
	} while (!ret && !done);
	return ret;
}

int router_client_ask(const struct cli *cli, const char *otherwise, json_t *request,
		      void (*on_line)(const json_t *line, void *arg), void *arg, json_t **result)
{
	struct router_client *client = router_client_open(cli, otherwise);
	int ret;

	if (!client) {
		json_decref(request);
		return CLI_FAILED;
	}
	ret = router_client_send(client, 1, request);
	if (!ret)
		ret = answer_wait(client, on_line, arg, result);
	router_client_close(client);
	return ret;
}
