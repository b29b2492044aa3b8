/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#include "command.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "client.h"

#define SENTENCE_LEN 512

struct command {
	TAILQ_ENTRY(command) link; /* among its client's, if it has one */
	struct client *client;	   /* NULL = gone */
	void (*resume)(void *arg); /* NULL = not paused */
	void *resume_arg;
	bool tagged;
	json_int_t tag;
};

static struct command *command_open(struct client *client)
{
	struct command *command = calloc(1, sizeof(*command));

	if (!command)
		return NULL;
	command->client = client;
	TAILQ_INSERT_TAIL(&client->commands, command, link);
	client->n_commands++;
	return command;
}

static void command_leave(struct command *command)
{
	struct client *client = command->client;

	if (!client)
		return;
	TAILQ_REMOVE(&client->commands, command, link);
	client->n_commands--;
	command->client = NULL;
}

static void command_close(struct command *command)
{
	struct client *client = command->client;

	command_leave(command);
	if (client)
		client_update(client);
	free(command);
}

void command_line(struct command *command, json_t *line)
{
	json_t *whole;

	if (command->client) {
		whole = json_pack("{s:s}", "schema", "xsr/1");
		if (command->tagged)
			json_object_set_new(whole, "tag", json_integer(command->tag));
		json_object_update(whole, line);
		client_send(command->client, whole);
		json_decref(whole);
	}
	json_decref(line);
}

void command_progress(struct command *command, size_t done, size_t of)
{
	if (command->client)
		command_line(command, json_pack("{s:{s:I,s:I}}", "progress", "done", (json_int_t)done, "of",
						(json_int_t)of));
}

bool command_full(struct command *command, void (*resume)(void *arg), void *arg)
{
	struct client *client = command->client;

	if (!client || client->gone || buffer_len(&client->out) < CLIENT_OUTPUT_FULL)
		return false;
	command->resume = resume;
	command->resume_arg = arg;
	return true;
}

void command_done(struct command *command, json_t *result)
{
	command_line(command, json_pack("{s:b,s:o?}", "done", 1, "result", result));
	command_close(command);
}

void command_fail(struct command *command, const char *format, ...)
{
	char sentence[SENTENCE_LEN];
	json_t *line;
	va_list args;

	va_start(args, format);
	vsnprintf(sentence, sizeof(sentence), format, args);
	va_end(args);
	if (command->client) {
		line = error_line(command->tagged ? &command->tag : NULL, sentence);
		client_send(command->client, line);
		json_decref(line);
	}
	command_close(command);
}

/* The command may end in this call. */
static void command_resume(struct command *command)
{
	void (*resume)(void *arg) = command->resume;

	command->resume = NULL;
	if (resume)
		resume(command->resume_arg);
}

/* The first that waits, which then waits behind the others. */
static struct command *commands_next_paused(struct client *client)
{
	struct command *command;

	TAILQ_FOREACH(command, &client->commands, link)
		if (command->resume)
			break;
	if (command) {
		TAILQ_REMOVE(&client->commands, command, link);
		TAILQ_INSERT_TAIL(&client->commands, command, link);
	}
	return command;
}

void commands_resume(struct client *client)
{
	struct command *command;

	while (!client->gone && buffer_len(&client->out) <= CLIENT_OUTPUT_FULL / 2) {
		command = commands_next_paused(client);
		if (!command)
			break;
		command_resume(command);
	}
}

void commands_orphan(struct client *client)
{
	struct command *command;

	while ((command = TAILQ_FIRST(&client->commands))) {
		command_leave(command);
		command_resume(command);
	}
}

static const struct command_row *row_find(const struct command_row *row, const char *name)
{
	while (row->name && strcmp(row->name, name))
		row++;
	return row->name ? row : NULL;
}

static void tag_read(struct command *command, const json_t *tag)
{
	command->tagged = json_is_integer(tag);
	command->tag = json_integer_value(tag);
}

static void request_start(struct client *client, struct command *command, const json_t *request)
{
	const json_t *tag = json_object_get(request, "tag");
	const char *name = json_string_value(json_object_get(request, "command"));
	const struct command_row *row = name ? row_find(client->rows, name) : NULL;

	tag_read(command, tag);
	if (tag && !command->tagged)
		command_fail(command, "'tag': expected an integer");
	else if (client->n_commands > CLIENT_COMMANDS_MAX)
		command_fail(command, "%d requests are under way on this connection; wait for one of them",
			     CLIENT_COMMANDS_MAX);
	else if (!name)
		command_fail(command, "no 'command': expected a string");
	else if (!row)
		command_fail(command, "unknown command '%.64s'", name);
	else
		row->start(client->control, command, request);
}

const char *command_start(struct client *client, const char *line, size_t len)
{
	json_t *request = json_loadb(line, len, JSON_REJECT_DUPLICATES, NULL);
	const char *refused = NULL;
	struct command *command;

	if (!json_is_object(request)) {
		refused = "a request is a JSON object on one line, no key twice";
	} else {
		command = command_open(client);
		if (command)
			request_start(client, command, request);
		else
			refused = "out of memory";
	}
	json_decref(request);
	return refused;
}
