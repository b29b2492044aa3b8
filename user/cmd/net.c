/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#include <stdio.h>
#include <string.h>

#include "attach.h"
#include "cli.h"

static int mode_parse(const struct cli *cli, int argc, char **argv, enum attach_mode *mode)
{
	int i;

	*mode = ATTACH_AUTO;
	if (argc == 0)
		return CLI_OK;
	if (argc != 2 || strcmp(argv[0], "mode"))
		return cli_usage(cli, "net attach: expected DEV [mode auto|native|generic], not '%s'", argv[0]);
	for (i = ATTACH_AUTO; i <= ATTACH_GENERIC; i++) {
		if (strcmp(argv[1], attach_mode_name(i)))
			continue;
		*mode = i;
		return CLI_OK;
	}
	return cli_usage(cli, "net attach: mode '%s': expected auto, native or generic", argv[1]);
}

static int net_attach_cmd(struct cli *cli, int argc, char **argv)
{
	char why[LOADER_WHY_LEN] = "";
	enum attach_mode mode;

	if (argc < 1)
		return cli_usage(cli, "net attach: expected DEV [mode auto|native|generic]");
	if (mode_parse(cli, argc - 1, argv + 1, &mode))
		return CLI_USAGE;
	if (net_attach(cli->instance, argv[0], &mode, why))
		return cli_failed(cli, "%s", why);
	if (why[0])
		cli_warn(cli, "%s", why);
	if (cli->json)
		return cli_json(cli, "net",
				json_pack("[{s:s,s:s}]", "dev", argv[0], "mode", attach_mode_name(mode)));
	printf("%s: attached, %s mode\n", argv[0], attach_mode_name(mode));
	return CLI_OK;
}

static int net_detach_cmd(struct cli *cli, int argc, char **argv)
{
	char why[LOADER_WHY_LEN];

	if (argc != 1)
		return cli_usage(cli, "net detach: expected DEV");
	return net_detach(cli->instance, argv[0], why) ? cli_failed(cli, "%s", why) : CLI_OK;
}

static json_t *info_json(const struct attach_info *info)
{
	json_t *o = json_pack("{s:s,s:i,s:s,s:i,s:i}", "dev", info->ifname, "ifindex", info->ifindex, "driver",
			      info->driver, "rx_queues", info->n_rx_queues, "mtu", info->mtu);

	if (info->prog_id)
		json_object_update_new(o, json_pack("{s:s,s:i,s:s,s:b}", "mode", attach_mode_name(info->mode), "prog_id",
						    info->prog_id, "prog_name", info->prog_name, "ours", info->ours));
	return o;
}

static int info_print(const struct attach_info *info, void *arg)
{
	(void)arg;
	printf("%s: driver %s, %u rx queue(s), mtu %u: ", info->ifname, info->driver[0] ? info->driver : "unknown",
	       info->n_rx_queues, info->mtu);
	if (!info->prog_id)
		printf("no XDP program\n");
	else
		printf("%s program %s id %u, %s mode\n", info->ours ? "our" : "another's", info->prog_name, info->prog_id,
		       attach_mode_name(info->mode));
	return 0;
}

static int info_append(const struct attach_info *info, void *arg)
{
	return json_array_append_new(arg, info_json(info));
}

static int net_show(struct cli *cli, int argc, char **argv)
{
	int (*fn)(const struct attach_info *info, void *arg) = cli->json ? info_append : info_print;
	json_t *list = json_array();
	char why[LOADER_WHY_LEN];
	struct attach_info info;
	int ret = CLI_OK;

	if (argc > 1)
		ret = cli_usage(cli, "net show: expected [DEV]");
	else if (argc == 0)
		net_for_each(cli->instance, fn, list);
	else if (net_info(cli->instance, argv[0], &info, why))
		ret = cli_failed(cli, "%s", why);
	else
		fn(&info, list);
	if (!ret && cli->json)
		return cli_json(cli, "net", list);
	json_decref(list);
	return ret;
}

static const struct cli_verb verbs[] = {
	{ "attach", net_attach_cmd, "DEV [mode auto|native|generic]",
	  "run the instance's program on a device; auto takes generic if the driver has no native XDP" },
	{ "detach", net_detach_cmd, "DEV", "take it off" },
	{ "show", net_show, "[DEV]", "devices that run it, or what runs on DEV" },
	{},
};

int cmd_net(struct cli *cli, int argc, char **argv)
{
	return cli_dispatch(cli, "net", verbs, argc, argv);
}
