/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#include "cli.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "instance.h"

static void message(const struct cli *cli, const char *kind, const char *format, va_list args)
{
	fflush(stdout);
	fprintf(stderr, "xsr: %s%s", cli->where ? cli->where : "", kind);
	vfprintf(stderr, format, args);
	fputc('\n', stderr);
}

int cli_failed(const struct cli *cli, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	message(cli, "", format, args);
	va_end(args);
	return CLI_FAILED;
}

int cli_usage(const struct cli *cli, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	message(cli, "", format, args);
	va_end(args);
	return CLI_USAGE;
}

void cli_warn(const struct cli *cli, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	message(cli, "warning: ", format, args);
	va_end(args);
}

static int verbs_help(const char *object, const struct cli_verb *verbs)
{
	const struct cli_verb *verb;

	for (verb = verbs; verb->name; verb++)
		printf("xsr %s %s%s%s\n        %s\n", object, verb->name, *verb->usage ? " " : "", verb->usage,
		       verb->meaning);
	return CLI_OK;
}

int cli_dispatch(struct cli *cli, const char *object, const struct cli_verb *verbs, int argc, char **argv)
{
	const struct cli_verb *verb;

	if (argc < 1) {
		for (verb = verbs; verb->name; verb++)
			fprintf(stderr, "%s%s", verb == verbs ? "" : " | ", verb->name);
		fputc('\n', stderr);
		return cli_usage(cli, "'%s' needs a command; see: xsr %s help", object, object);
	}
	if (!strcmp(argv[0], "help"))
		return verbs_help(object, verbs);
	for (verb = verbs; verb->name; verb++) {
		if (strcmp(argv[0], verb->name))
			continue;
		if (argc == 2 && !strcmp(argv[1], "help")) {
			printf("xsr %s %s %s\n        %s\n", object, verb->name, verb->usage, verb->meaning);
			return CLI_OK;
		}
		if (!verb->for_anyone && geteuid() != 0)
			return cli_failed(cli, "%s %s: permission denied; run as root", object, verb->name);
		return verb->run(cli, argc - 1, argv + 1);
	}
	return cli_usage(cli, "unknown command '%s %s'; see: xsr %s help", object, argv[0], object);
}

int cli_run(struct cli *cli, int argc, char **argv)
{
	const struct cli_object *object;

	for (object = cli_objects; object->name; object++)
		if (!strcmp(argv[0], object->name))
			return object->run(cli, argc - 1, argv + 1);
	return cli_usage(cli, "unknown object '%s'; see: xsr help", argv[0]);
}

struct maps *cli_maps(struct cli *cli)
{
	char why[LOADER_WHY_LEN];

	if (!cli->maps && instance_open(cli->instance, &cli->maps, why)) {
		cli->maps = NULL;
		cli_failed(cli, "%s", why);
	}
	return cli->maps;
}

void cli_close(struct cli *cli)
{
	maps_close(cli->maps);
	cli->maps = NULL;
}

/* Whether it could be written main asks, of all commands alike. */
int cli_json_object(const struct cli *cli, json_t *object)
{
	json_t *root = json_pack("{s:s}", "schema", "xsr/1");

	json_object_update(root, object);
	json_dumpf(root, stdout, cli->pretty ? JSON_INDENT(2) : JSON_COMPACT);
	fputc('\n', stdout);
	fflush(stdout);
	json_decref(root);
	json_decref(object);
	return CLI_OK;
}

int cli_json(const struct cli *cli, const char *key, json_t *value)
{
	return cli_json_object(cli, json_pack("{s:o}", key, value));
}

void cli_progress(const char *format, ...)
{
	va_list args;

	if (!isatty(STDERR_FILENO))
		return;
	fputs("\r\033[K", stderr);
	va_start(args, format);
	vfprintf(stderr, format, args);
	va_end(args);
	fflush(stderr);
}

void cli_progress_end(void)
{
	if (isatty(STDERR_FILENO))
		fputs("\r\033[K", stderr);
}
