/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#include "service.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "cli.h"
#include "counter.h"
#include "names.h"
#include "profile.h"
#include "service_spec.h"

#define ADD_USAGE "NAME udp|tcp ADDR:PORT id RULE [default ACTION] [stamp off|on|N] [dense N] [node N]"

/* The words behind the address: keyword and value, each at most once. */
static int words_parse(const struct cli *cli, int argc, char **argv, struct service_spec *spec)
{
	const struct {
		const char *keyword;
		const char **value;
	} words[] = {
		{ "id", &spec->id },	   { "default", &spec->default_action }, { "stamp", &spec->stamp },
		{ "dense", &spec->dense }, { "node", &spec->node },
	};
	unsigned int w;
	int i;

	for (i = 0; i < argc; i += 2) {
		for (w = 0; w < sizeof(words) / sizeof(words[0]); w++)
			if (!strcmp(argv[i], words[w].keyword))
				break;
		if (w == sizeof(words) / sizeof(words[0]))
			return cli_usage(cli, "service add: unexpected '%s'; expected %s", argv[i], ADD_USAGE);
		if (i + 1 == argc)
			return cli_usage(cli, "service add: '%s' needs a value", argv[i]);
		if (*words[w].value)
			return cli_usage(cli, "service add: '%s' is given twice", argv[i]);
		*words[w].value = argv[i + 1];
	}
	return CLI_OK;
}

static int add_failed(struct cli *cli, const struct xsr_service *service, int ret)
{
	char address[SERVICE_ADDRESS_LEN];

	service_address(service, address);
	switch (ret) {
	case -EEXIST:
		return cli_failed(cli, "service '%s' exists", service->name);
	case -EADDRINUSE:
		return cli_failed(cli, "another service is at %s", address);
	case -ENOSPC:
		return cli_failed(cli, "the table of services is full: %d", XSR_SERVICES_MAX - 1);
	case -E2BIG:
		return cli_failed(cli, "%s: one port takes at most %d services", address, XSR_SERVICES_PER_PORT_MAX);
	case -ENOBUFS:
		return cli_failed(cli,
				  "dense %u: the dense table has %u free in a row; ask for fewer, or: prog load dense N",
				  service->dense_len, service_dense_free(cli->maps));
	default:
		return cli_failed(cli, "cannot add service '%s': %s", service->name, strerror(-ret));
	}
}

static int service_add_cmd(struct cli *cli, int argc, char **argv)
{
	struct service_spec spec = {};
	char why[SERVICE_WHY_LEN];
	struct xsr_service service;
	int ret;

	if (argc < 5)
		return cli_usage(cli, "service add: expected %s", ADD_USAGE);
	spec.name = argv[0];
	spec.protocol = argv[1];
	spec.address = argv[2];
	if (words_parse(cli, argc - 3, argv + 3, &spec))
		return CLI_USAGE;
	if (!spec.id)
		return cli_usage(cli, "service add: no rule; expected %s", ADD_USAGE);
	if (service_spec_parse(&spec, &service, why))
		return cli_usage(cli, "%s", why);
	if (!cli_maps(cli))
		return CLI_FAILED;
	maps_lock(cli->maps);
	ret = service_add(cli->maps, &service);
	maps_unlock(cli->maps);
	return ret < 0 ? add_failed(cli, &service, ret) : CLI_OK;
}

static int service_delete_cmd(struct cli *cli, int argc, char **argv)
{
	int ret;

	if (argc != 1)
		return cli_usage(cli, "service delete: expected NAME");
	if (!cli_maps(cli))
		return CLI_FAILED;
	maps_lock(cli->maps);
	ret = service_delete(cli->maps, argv[0]);
	maps_unlock(cli->maps);
	if (ret == -ENOENT)
		return cli_failed(cli, "no service '%s'", argv[0]);
	return ret ? cli_failed(cli, "cannot delete service '%s': %s", argv[0], strerror(-ret)) : CLI_OK;
}

static const char *stamp_text(const struct xsr_service *s, char buf[16])
{
	if (s->stamp_interval <= 1)
		return s->stamp_interval ? "on" : "off";
	snprintf(buf, 16, "%u", s->stamp_interval);
	return buf;
}

static json_t *counters_json(const struct xsr_counters *counters)
{
	json_t *o = json_object();
	int i;

	for (i = 0; i < XSR_STAT_MAX; i++)
		if (counters->n[i])
			json_object_set_new(o, stat_name(i), json_integer(counters->n[i]));
	return o;
}

static json_t *service_json(const struct xsr_service *s, const struct xsr_counters *counters)
{
	char address[SERVICE_ADDRESS_LEN], stamp[16];

	return json_pack("{s:s,s:s,s:s,s:s,s:s,s:s,s:I,s:i,s:I,s:o}", "service", s->name, "protocol", "udp", "address",
			 service_address(s, address), "id", s->rule, "default", action_name(s->default_action), "stamp",
			 stamp_text(s, stamp), "dense", (json_int_t)s->dense_len, "node", s->node, "messages",
			 (json_int_t)counter_sum(counters), "counters", counters_json(counters));
}

static void service_print(const struct xsr_service *s, const struct xsr_counters *counters)
{
	char address[SERVICE_ADDRESS_LEN], stamp[16];

	printf("%s udp %s id %s default %s stamp %s", s->name, service_address(s, address), s->rule,
	       action_name(s->default_action), stamp_text(s, stamp));
	if (s->dense_len)
		printf(" dense %u node %u", s->dense_len, s->node);
	printf("  messages %llu\n", (unsigned long long)counter_sum(counters));
}

static int service_show_one(struct cli *cli, uint32_t index, json_t *list)
{
	struct xsr_counters counters;
	struct xsr_service service;
	int ret = service_at(cli->maps, index, &service);

	if (!ret)
		ret = counter_read(cli->maps, index, &counters);
	if (ret)
		return ret;
	if (cli->json)
		json_array_append_new(list, service_json(&service, &counters));
	else
		service_print(&service, &counters);
	return 0;
}

static int service_show(struct cli *cli, int argc, char **argv)
{
	struct xsr_service service;
	json_t *list;
	uint32_t i;
	int index;

	if (argc > 1)
		return cli_usage(cli, "service show: expected [NAME]");
	if (!cli_maps(cli))
		return CLI_FAILED;
	index = argc ? service_get(cli->maps, argv[0], &service) : 0;
	if (index < 0)
		return cli_failed(cli, "no service '%s'", argv[0]);
	list = json_array();
	for (i = 1; i < XSR_SERVICES_MAX; i++)
		if (!index || i == (uint32_t)index)
			service_show_one(cli, i, list);
	if (cli->json)
		return cli_json(cli, "services", list);
	json_decref(list);
	return CLI_OK;
}

static int service_rules(struct cli *cli, int argc, char **argv)
{
	const char *usage, *meaning;
	int i;

	(void)argv;
	if (argc > 0)
		return cli_usage(cli, "service rules: expected nothing");
	for (i = 0; (usage = rule_profile_usage(i, &meaning)); i++)
		printf("%-60s %s\n", usage, meaning);
	return CLI_OK;
}

static const struct cli_verb verbs[] = {
	{ "add", service_add_cmd, ADD_USAGE,
	  "ADDR may be 0.0.0.0 (any IPv4) or [::] (any); ACTION is pass, drop or hash; see: service rules" },
	{ "delete", service_delete_cmd, "NAME", "with its routes" },
	{ "show", service_show, "[NAME]", "services and their messages" },
	{ "rules", service_rules, "", "the rules that find a session ID", .for_anyone = true },
	{},
};

int cmd_service(struct cli *cli, int argc, char **argv)
{
	return cli_dispatch(cli, "service", verbs, argc, argv);
}
