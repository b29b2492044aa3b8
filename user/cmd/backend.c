/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#include "backend.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "backend_spec.h"
#include "cli.h"
#include "service.h"

static int add_failed(struct cli *cli, const struct xsr_backend *backend, int ret)
{
	char address[SERVICE_ADDRESS_LEN];

	switch (ret) {
	case -EEXIST:
		return cli_failed(cli, "backend '%s' exists", backend->name);
	case -EADDRINUSE:
		return cli_failed(cli, "another backend is at %s", backend_address(backend, address));
	case -ENOSPC:
		return cli_failed(cli, "the table of backends is full: %d", XSR_BACKENDS_MAX - 1);
	default:
		return cli_failed(cli, "cannot add backend '%s': %s", backend->name, strerror(-ret));
	}
}

static int backend_add_cmd(struct cli *cli, int argc, char **argv)
{
	struct xsr_backend backend;
	char why[SERVICE_WHY_LEN];
	int ret;

	if (argc != 2)
		return cli_usage(cli, "backend add: expected NAME ADDR:PORT");
	if (backend_spec_parse(&(struct backend_spec){ argv[0], argv[1] }, &backend, why))
		return cli_usage(cli, "%s", why);
	if (!cli_maps(cli))
		return CLI_FAILED;
	maps_lock(cli->maps);
	ret = backend_add(cli->maps, &backend);
	maps_unlock(cli->maps);
	return ret < 0 ? add_failed(cli, &backend, ret) : CLI_OK;
}

static int delete_failed(struct cli *cli, const char *name, uint32_t user, int ret)
{
	struct xsr_backend backend;
	struct xsr_service service;
	int number;

	if (ret == -ENOENT)
		return cli_failed(cli, "no backend '%s'", name);
	number = backend_get(cli->maps, name, &backend);
	if (ret != -EBUSY || number < 0 || service_at(cli->maps, user, &service))
		return cli_failed(cli, "cannot delete backend '%s': %s", name, strerror(-ret));
	if (service.backends >> number & 1)
		return cli_failed(cli, "backend '%s' is one of service '%s'; delete that one first: xsr service delete %s", name,
				  service.name, service.name);
	return cli_failed(cli, "service '%s' has routes to backend '%s'; see: xsr route show %s", service.name, name,
			  service.name);
}

static int backend_delete_cmd(struct cli *cli, int argc, char **argv)
{
	uint32_t user = 0;
	int ret;

	if (argc != 1)
		return cli_usage(cli, "backend delete: expected NAME");
	if (!cli_maps(cli))
		return CLI_FAILED;
	maps_lock(cli->maps);
	ret = backend_delete(cli->maps, argv[0], &user);
	maps_unlock(cli->maps);
	return ret ? delete_failed(cli, argv[0], user, ret) : CLI_OK;
}

/* The services that name it. */
static json_t *services_json(struct maps *maps, uint32_t number)
{
	json_t *list = json_array();
	struct xsr_service service;
	uint32_t i;

	for (i = 1; i < XSR_SERVICES_MAX; i++)
		if (!service_at(maps, i, &service) && service.backends >> number & 1)
			json_array_append_new(list, json_string(service.name));
	return list;
}

static void backend_print(const char *name, const char *address, const json_t *services)
{
	const json_t *service;
	size_t i;

	printf("%s %s", name, address);
	json_array_foreach(services, i, service)
		printf("%s%s", i ? "," : " services ", json_string_value(service));
	printf("\n");
}

static void backend_show_one(struct cli *cli, uint32_t number, json_t *list)
{
	char address[SERVICE_ADDRESS_LEN];
	struct xsr_backend backend;
	json_t *services;

	if (backend_at(cli->maps, number, &backend))
		return;
	backend_address(&backend, address);
	services = services_json(cli->maps, number);
	if (!cli->json)
		backend_print(backend.name, address, services);
	json_array_append_new(list, json_pack("{s:s,s:s,s:o}", "backend", backend.name, "address", address, "services",
					      services));
}

static int backend_show(struct cli *cli, int argc, char **argv)
{
	struct xsr_backend backend;
	json_t *list;
	uint32_t i;
	int number;

	if (argc > 1)
		return cli_usage(cli, "backend show: expected [NAME]");
	if (!cli_maps(cli))
		return CLI_FAILED;
	number = argc ? backend_get(cli->maps, argv[0], &backend) : 0;
	if (number < 0)
		return cli_failed(cli, "no backend '%s'", argv[0]);
	list = json_array();
	for (i = 1; i < XSR_BACKENDS_MAX; i++)
		if (!number || i == (uint32_t)number)
			backend_show_one(cli, i, list);
	if (cli->json)
		return cli_json(cli, "backends", list);
	json_decref(list);
	return CLI_OK;
}

static const struct cli_verb verbs[] = {
	{ "add", backend_add_cmd, "NAME ADDR:PORT", "services name it: xsr service add ... backends NAME,..." },
	{ "delete", backend_delete_cmd, "NAME", "one that no service names and no route leads to" },
	{ "show", backend_show, "[NAME]", "backends, and the services that name them" },
	{},
};

int cmd_backend(struct cli *cli, int argc, char **argv)
{
	return cli_dispatch(cli, "backend", verbs, argc, argv);
}
