/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#include <stdio.h>
#include <string.h>

#include "attach.h"
#include "cli.h"
#include "probe.h"
#include "program.h"
#include "service_spec.h"

static int load_options(const struct cli *cli, int argc, char **argv, struct program_options *options)
{
	int i;

	for (i = 0; i < argc; i += 2) {
		uint32_t *field = !strcmp(argv[i], "dense") ? &options->dense_len :
				  !strcmp(argv[i], "routes") ? &options->routes_max : NULL;
		uint64_t n;

		if (!field || i + 1 == argc)
			return cli_usage(cli, "prog load: expected [dense N] [routes N], not '%s'", argv[i]);
		if (number_parse(argv[i + 1], 1 << 28, &n) || n == 0)
			return cli_usage(cli, "prog load: '%s %s': expected a number from 1 to %u", argv[i], argv[i + 1],
					 1 << 28);
		*field = n;
	}
	return CLI_OK;
}

static void probe_say(const char *sentence, void *arg)
{
	cli_warn(arg, "%s", sentence);
}

static int prog_load(struct cli *cli, int argc, char **argv)
{
	struct program_options options = {};
	struct program_report report;
	char why[LOADER_WHY_LEN];
	int ret = load_options(cli, argc, argv, &options);

	if (ret)
		return ret;
	if (program_load(cli->instance, &options, &report, why))
		return cli_failed(cli, "%s", why);
	if (report.bpffs_mounted)
		cli_warn(cli, "no BPF file system was mounted; mounted one on %s", INSTANCE_BPFFS);
	if (report.n_replace_failed)
		cli_warn(cli, "the old program still runs on %d device(s): the kernel refused to exchange it",
			 report.n_replace_failed);
	probe_kernel(probe_say, cli);
	if (cli->json)
		return cli_json(cli, "prog",
				json_pack("{s:s,s:b,s:i}", "dir", report.dir, "maps_kept", report.maps_kept, "replaced",
					  report.n_replaced));
	printf("loaded %s%s", report.dir, report.maps_kept ? ", services and routes kept" : "");
	if (report.n_replaced)
		printf(", exchanged on %d device(s)", report.n_replaced);
	printf("\n");
	return CLI_OK;
}

static int prog_unload(struct cli *cli, int argc, char **argv)
{
	char why[LOADER_WHY_LEN];
	bool force = argc == 1 && !strcmp(argv[0], "force");

	if (argc > 0 && !force)
		return cli_usage(cli, "prog unload: expected nothing or 'force', not '%s'", argv[0]);
	return program_unload(cli->instance, force, why) ? cli_failed(cli, "%s", why) : CLI_OK;
}

static int device_append(const struct attach_info *info, void *arg)
{
	return json_array_append_new(arg, json_pack("{s:s,s:s,s:i}", "dev", info->ifname, "mode",
						    attach_mode_name(info->mode), "prog_id", info->prog_id));
}

static int device_print(const struct attach_info *info, void *arg)
{
	(void)arg;
	printf("  on %s, %s mode\n", info->ifname, attach_mode_name(info->mode));
	return 0;
}

static int prog_show(struct cli *cli, int argc, char **argv)
{
	struct program_info info;
	char why[LOADER_WHY_LEN];
	json_t *devices;

	if (argc > 0)
		return cli_usage(cli, "prog show: unexpected '%s'", argv[0]);
	if (program_info(cli->instance, &info, why))
		return cli_failed(cli, "%s", why);
	if (cli->json) {
		devices = json_array();
		net_for_each(cli->instance, device_append, devices);
		return cli_json(cli, "prog",
				json_pack("{s:s,s:i,s:s,s:s,s:s,s:s,s:i,s:i,s:o}", "instance", cli->instance, "id", info.id,
					  "name", info.name, "tag", info.tag, "pin", info.pin, "maps", info.dir,
					  "bytes_jited", info.len_jited, "bytes_xlated", info.len_xlated, "devices",
					  devices));
	}
	if (info.pinned)
		printf("%s: %s id %u tag %s, %u B of machine code\n  pinned %s\n", cli->instance, info.name, info.id,
		       info.tag, info.len_jited, info.pin);
	else
		printf("%s: no pinned program; attached from a file by ip link\n", cli->instance);
	printf("  maps %s\n", info.dir);
	net_for_each(cli->instance, device_print, NULL);
	return CLI_OK;
}

static const struct cli_verb verbs[] = {
	{ "load", prog_load, "[dense N] [routes N]",
	  "load and pin the program; services and routes that are there stay, devices get the new program without a gap" },
	{ "unload", prog_unload, "[force]", "remove program and maps; force detaches it from devices first" },
	{ "show", prog_show, "", "program, pins, devices" },
	{},
};

int cmd_prog(struct cli *cli, int argc, char **argv)
{
	return cli_dispatch(cli, "prog", verbs, argc, argv);
}
