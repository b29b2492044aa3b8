/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#include "version.h"

#include <stdio.h>
#include <string.h>

#include <bpf/libbpf.h>

#include "cli.h"

int cmd_version(struct cli *cli, int argc, char **argv)
{
	if (argc == 1 && !strcmp(argv[0], "help")) {
		printf("xsr version\n        version, revision and libraries\n");
		return CLI_OK;
	}
	if (argc > 0)
		return cli_usage(cli, "version: unexpected '%s'", argv[0]);
	if (cli->json)
		return cli_json_object(cli, json_pack("{s:s,s:s,s:s}", "version", XSR_VERSION, "git_rev",
						      version_git_rev(), "libbpf", libbpf_version_string()));
	printf("xsr %s (%s), libbpf %s\n", XSR_VERSION, version_git_rev(), libbpf_version_string());
	return CLI_OK;
}
