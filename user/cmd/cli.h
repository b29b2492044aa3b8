/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * What every command shares: options, the open instance, messages, JSON.
 * Results go to stdout, messages to stderr; a command returns the exit status:
 * 0 done, 1 failed, 2 wrong usage.
 */
#ifndef XSR_CLI_H
#define XSR_CLI_H

#include <jansson.h>
#include <stdbool.h>

#include "maps.h"

#define CLI_OK 0
#define CLI_FAILED 1
#define CLI_USAGE 2

struct cli {
	const char *instance;
	bool instance_given; /* by --name */
	bool json;
	bool pretty;
	struct maps *maps;   /* see cli_maps() */
	const char *where;   /* "FILE:LINE: " in a batch, else "" */
};

/* A verb of an object. `usage` is what follows the verb. */
struct cli_verb {
	const char *name;
	int (*run)(struct cli *cli, int argc, char **argv); /* argv[0] is the first word behind the verb */
	const char *usage;
	const char *meaning;
	bool for_anyone; /* it touches no map: root is not needed */
};

/* An object of the command line, or a command that has no verbs: one row of main.c's table. */
struct cli_object {
	const char *name;
	int (*run)(struct cli *cli, int argc, char **argv);
	const char *meaning;
};

/* The objects, ended by a row without a name; main.c's table. */
extern const struct cli_object cli_objects[];

int cmd_prog(struct cli *cli, int argc, char **argv);
int cmd_net(struct cli *cli, int argc, char **argv);
int cmd_service(struct cli *cli, int argc, char **argv);
int cmd_backend(struct cli *cli, int argc, char **argv);
int cmd_route(struct cli *cli, int argc, char **argv);
int cmd_session(struct cli *cli, int argc, char **argv);
int cmd_worker(struct cli *cli, int argc, char **argv);
int cmd_stats(struct cli *cli, int argc, char **argv);
int cmd_batch(struct cli *cli, int argc, char **argv);
int cmd_run(struct cli *cli, int argc, char **argv);
int cmd_load(struct cli *cli, int argc, char **argv);
int cmd_exchange(struct cli *cli, int argc, char **argv);
int cmd_bench(struct cli *cli, int argc, char **argv);
int cmd_help(struct cli *cli, int argc, char **argv);
int cmd_version(struct cli *cli, int argc, char **argv);

/* Finds argv[0] among the verbs (ended by a row without a name) and runs it; `help` and no word at all list them. */
int cli_dispatch(struct cli *cli, const char *object, const struct cli_verb *verbs, int argc, char **argv);

/* One row of the table of objects by name, run with the rest of argv. For main and batch. */
int cli_run(struct cli *cli, int argc, char **argv);

/* "xsr: WHERE..." on stderr; returns CLI_FAILED, CLI_USAGE or nothing. */
int cli_failed(const struct cli *cli, const char *format, ...) __attribute__((format(printf, 2, 3)));
int cli_usage(const struct cli *cli, const char *format, ...) __attribute__((format(printf, 2, 3)));
void cli_warn(const struct cli *cli, const char *format, ...) __attribute__((format(printf, 2, 3)));

/*
 * The instance's maps, opened once a process; NULL after a message if that
 * fails. Borrowed until cli_close().
 */
struct maps *cli_maps(struct cli *cli);
void cli_close(struct cli *cli);

/* Prints {"schema":"xsr/1", KEY: value} and lets go of value; returns CLI_OK. */
int cli_json(const struct cli *cli, const char *key, json_t *value);
/* The same for an object that has its keys already. */
int cli_json_object(const struct cli *cli, json_t *object);

/* A line that is drawn over itself while long work goes on; nothing unless stderr is a terminal. */
void cli_progress(const char *format, ...) __attribute__((format(printf, 1, 2)));
void cli_progress_end(void);

#endif /* XSR_CLI_H */
