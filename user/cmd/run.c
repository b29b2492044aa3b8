/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "cli.h"
#include "control.h"

int cmd_run(struct cli *cli, int argc, char **argv)
{
	bool require_mode = argc > 0 && !strcmp(argv[0], "--require-mode");

	if (argc == 1 && !strcmp(argv[0], "help")) {
		printf("xsr run [--require-mode] CONFIG\n"
		       "        run the router until SIGTERM; SIGHUP re-reads the file; --require-mode: refuse to serve a TCP\n"
		       "        service in another mode than the one it is to have\n");
		return CLI_OK;
	}
	if (argc != 1 + require_mode)
		return cli_usage(cli, "run: expected [--require-mode] CONFIG");
	if (geteuid() != 0)
		return cli_failed(cli, "run: permission denied; run as root");
	return control_run(argv[require_mode], require_mode, cli->instance_given ? cli->instance : NULL);
}
