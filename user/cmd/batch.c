/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli.h"

#define WORDS_MAX 64

/* Splits in place at blanks; 'single' and "double" quotes keep them. Returns the count, or -1. */
static int line_split(char *line, char *words[WORDS_MAX])
{
	int n = 0;
	char *out;

	for (;;) {
		line += strspn(line, " \t\r\n");
		if (!*line || *line == '#')
			return n;
		if (n == WORDS_MAX - 1)
			return -1;
		words[n++] = out = line;
		while (*line && !strchr(" \t\r\n", *line)) {
			char quote = *line == '"' || *line == '\'' ? *line++ : 0;

			while (quote && *line && *line != quote)
				*out++ = *line++;
			if (quote && !*line)
				return -1;
			*(quote ? line : out++) = *line;
			line++;
		}
		line += *line != 0;
		*out = 0;
	}
}

static int batch_line(struct cli *cli, char *line)
{
	char *words[WORDS_MAX] = {};
	int n = line_split(line, words);

	if (n < 0)
		return cli_usage(cli, "an open quote, or more than %d words", WORDS_MAX - 1);
	if (n == 0)
		return CLI_OK;
	if (!strcmp(words[0], "batch") || !strcmp(words[0], "run"))
		return cli_usage(cli, "'%s' cannot stand in a batch", words[0]);
	return cli_run(cli, n, words);
}

static int batch_stream(struct cli *cli, const char *name, FILE *f)
{
	char where[300], *line = NULL;
	unsigned long number = 0;
	int ret = CLI_OK;
	size_t size = 0;

	cli->where = where;
	while (!ret && getline(&line, &size, f) >= 0) {
		snprintf(where, sizeof(where), "%.255s:%lu: ", name, ++number);
		ret = batch_line(cli, line);
	}
	if (!ret && ferror(f))
		ret = cli_failed(cli, "cannot read: %s", strerror(errno));
	free(line);
	cli->where = NULL;
	return ret;
}

int cmd_batch(struct cli *cli, int argc, char **argv)
{
	FILE *f;
	int ret;

	if (argc == 1 && !strcmp(argv[0], "help")) {
		printf("xsr batch FILE|-\n        run the commands of the file, a line each, and stop at the first that fails\n");
		return CLI_OK;
	}
	if (argc != 1)
		return cli_usage(cli, "batch: expected FILE|-");
	if (!strcmp(argv[0], "-"))
		return batch_stream(cli, "stdin", stdin);
	f = fopen(argv[0], "re");
	if (!f)
		return cli_failed(cli, "cannot read '%s': %s", argv[0], strerror(errno));
	ret = batch_stream(cli, argv[0], f);
	fclose(f);
	return ret;
}
