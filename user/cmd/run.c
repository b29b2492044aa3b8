/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "cli.h"
#include "control.h"

int cmd_run(struct cli *cli, int argc, char **argv)
{
	if (argc == 1 && !strcmp(argv[0], "help")) {
		printf("xsr run CONFIG\n        run the router until SIGTERM; SIGHUP re-reads the file\n");
		return CLI_OK;
	}
	if (argc != 1)
		return cli_usage(cli, "run: expected CONFIG");
	if (geteuid() != 0)
		return cli_failed(cli, "run: permission denied; run as root");
	return control_run(argv[0], cli->instance_given ? cli->instance : NULL);
}
