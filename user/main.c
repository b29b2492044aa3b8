/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* The command line: options, and the table of objects. */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "cmd/cli.h"
#include "instance.h"
#include "libbpf_log.h"

const struct cli_object cli_objects[] = {
	{ "prog", cmd_prog, "the kernel's program: load, unload, show" },
	{ "net", cmd_net, "network devices that run it: attach, detach, show" },
	{ "service", cmd_service, "what is steered, and where the session ID is: add, delete, show" },
	{ "backend", cmd_backend, "what stands behind TCP services: add, delete, show" },
	{ "route", cmd_route, "session -> target: add, replace, delete, show, import, export, flush" },
	{ "session", cmd_session, "sessions of the running router: move, show" },
	{ "worker", cmd_worker, "workers of the running router: show, add, drain, remove, rebalance" },
	{ "stats", cmd_stats, "what happened to every message: show" },
	{ "batch", cmd_batch, "run the commands of a file" },
	{ "run", cmd_run, "the router: run CONFIG" },
	{ "load", cmd_load, "a client that sends numbered messages and checks the answers" },
	{ "exchange", cmd_exchange, "a backend that answers numbered messages over TCP and checks them" },
	{ "bench", cmd_bench, "measurements" },
	{ "help", cmd_help, "this text" },
	{ "version", cmd_version, "version and libraries" },
	{ NULL, NULL, NULL },
};

static void usage_print(FILE *to)
{
	const struct cli_object *object;

	fprintf(to, "Usage: xsr [--json] [--pretty] [--name INSTANCE] OBJECT COMMAND ...\n\n");
	for (object = cli_objects; object->name; object++)
		fprintf(to, "  %-8s %s\n", object->name, object->meaning);
	fprintf(to, "\nxsr OBJECT help lists the commands of an object; see also xsr(8).\n");
}

int cmd_help(struct cli *cli, int argc, char **argv)
{
	if (argc > 0 && strcmp(argv[0], "help")) {
		char *help[] = { argv[0], "help", NULL };

		return cli_run(cli, 2, help);
	}
	usage_print(stdout);
	return CLI_OK;
}

/* Takes the options off argv; returns how many words they are, or -1 after a message. */
static int options_parse(struct cli *cli, int argc, char **argv)
{
	int i;

	for (i = 1; i < argc && argv[i][0] == '-'; i++) {
		if (!strcmp(argv[i], "--json"))
			cli->json = true;
		else if (!strcmp(argv[i], "--pretty"))
			cli->json = cli->pretty = true;
		else if (!strcmp(argv[i], "--name") && i + 1 == argc)
			return cli_usage(cli, "'--name' needs a value"), -1;
		else if (!strcmp(argv[i], "--name"))
			cli->instance = argv[++i], cli->instance_given = true;
		else if (!strcmp(argv[i], "--help"))
			argv[i--] = "help";
		else if (!strcmp(argv[i], "--version"))
			argv[i--] = "version";
		else
			return cli_usage(cli, "unknown option '%s'; see: xsr help", argv[i]), -1;
	}
	return i;
}

int main(int argc, char **argv)
{
	struct cli cli = { .instance = INSTANCE_DEFAULT };
	int first = options_parse(&cli, argc, argv), ret;

	if (first < 0)
		return CLI_USAGE;
	if (!instance_name_valid(cli.instance))
		return cli_usage(&cli, "instance '%s': expected 1 to %d of A-Z a-z 0-9 _ -", cli.instance,
				 XSR_NAME_LEN - 1);
	if (first == argc) {
		usage_print(stderr);
		return CLI_USAGE;
	}
	libbpf_log_capture();
	ret = cli_run(&cli, argc - first, argv + first);
	cli_close(&cli);
	if (fflush(stdout) || ferror(stdout))
		return cli_failed(&cli, "cannot write the result: %s", strerror(errno));
	return ret;
}
