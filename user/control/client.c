/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#include "client.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

/* A client that is done is shut down, and closed by the event which that is. */
void client_update(struct client *client)
{
	size_t waiting = buffer_len(&client->out);
	uint32_t events = (client->finished ? 0 : EPOLLIN) | (waiting ? EPOLLOUT : 0);

	if (client->gone || (client->finished && !client->n_commands && !waiting)) {
		shutdown(client->fd, SHUT_RDWR);
		events = 0;
	}
	sd_event_source_set_io_events(client->source, events);
}

static void client_flush(struct client *client)
{
	if (buffer_send(&client->out, client->fd))
		client->gone = true;
}

static int text_append(const char *text, size_t len, void *arg)
{
	return buffer_append(arg, text, len);
}

void client_send(struct client *client, const json_t *line)
{
	bool waiting = buffer_len(&client->out) > 0;

	if (client->gone)
		return;
	if (json_dump_callback(line, text_append, &client->out, JSON_COMPACT) || buffer_append(&client->out, "\n", 1))
		client->gone = true;
	else if (!waiting)
		client_flush(client);
	client_update(client);
}

void client_finish(struct client *client)
{
	client->finished = true;
	client_update(client);
}

/* Text that came with a request may be cut in the middle of a character. */
static json_t *sentence_json(const char *sentence)
{
	json_t *json = json_string(sentence);
	char *copy = json ? NULL : strdup(sentence), *c;

	if (!copy)
		return json;
	for (c = copy; *c; c++)
		if (*c & 0x80)
			*c = '?';
	json = json_string(copy);
	free(copy);
	return json;
}

json_t *error_line(const json_int_t *tag, const char *sentence)
{
	json_t *line = json_pack("{s:s}", "schema", "xsr/1");

	if (tag)
		json_object_set_new(line, "tag", json_integer(*tag));
	json_object_set_new(line, "error", sentence_json(sentence));
	return line;
}

/* Whoever sends no requests gets one sentence and is let go. */
static void client_refuse(struct client *client, const char *sentence)
{
	json_t *line = error_line(NULL, sentence);

	commands_orphan(client);
	client_send(client, line);
	json_decref(line);
	client_finish(client);
}

static void client_lines(struct client *client)
{
	const char *refused = NULL;
	const char *line;
	size_t len;

	while (!refused && (line = buffer_line(&client->in, &len)))
		refused = command_start(client, line, len);
	if (!refused && buffer_len(&client->in) > CLIENT_LINE_MAX)
		refused = "a request is a line of at most 1 MiB";
	if (refused)
		client_refuse(client, refused);
}

/* A line that has no end when the connection ends is no request. */
static void client_read(struct client *client)
{
	ssize_t n = buffer_read(&client->in, client->fd);

	if (n > 0)
		client_lines(client);
	else if (n == 0)
		client->finished = true;
	else if (n != -EAGAIN)
		client->gone = true;
}

/* Half a hang-up, the client's end of writing, is the end of reading only. What was sent before it is read first. */
static int on_client(sd_event_source *source, int fd, uint32_t revents, void *arg)
{
	struct client *client = arg;

	(void)source;
	(void)fd;
	if (client->gone || (client->finished && revents & (EPOLLHUP | EPOLLERR)))
		return client_close(client), 0;
	if (revents & EPOLLOUT) {
		client_flush(client);
		commands_resume(client);
	}
	if (!client->finished && revents & (EPOLLIN | EPOLLHUP | EPOLLERR))
		client_read(client);
	client_update(client);
	return 0;
}

int client_open(struct client_list *list, sd_event *event, int fd, const struct command_row *rows,
		struct control *control)
{
	struct client *client = calloc(1, sizeof(*client));
	int ret = client ? 0 : -ENOMEM;

	if (!ret)
		ret = sd_event_add_io(event, &client->source, fd, EPOLLIN, on_client, client);
	if (ret < 0) {
		free(client);
		close(fd);
		return ret;
	}
	client->fd = fd;
	client->rows = rows;
	client->control = control;
	client->in.max = CLIENT_LINE_MAX + 1; /* with its newline */
	client->out.max = CLIENT_OUTPUT_MAX;
	TAILQ_INIT(&client->commands);
	LIST_INSERT_HEAD(list, client, link);
	return 0;
}

void client_close(struct client *client)
{
	commands_orphan(client);
	if (!client->gone)
		client_flush(client);
	LIST_REMOVE(client, link);
	sd_event_source_disable_unref(client->source);
	close(client->fd);
	buffer_free(&client->in);
	buffer_free(&client->out);
	free(client);
}
