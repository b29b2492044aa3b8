/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#include "route.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "cli.h"
#include "route_file.h"
#include "service.h"
#include "service_spec.h"
#include "socket.h"
#include "target.h"

/* The words of a route command, understood. */
struct route_words {
	struct xsr_service service;
	uint32_t index;
	uint64_t id;
	struct xsr_route route;
};

static int service_word(struct cli *cli, const char *name, struct route_words *w)
{
	int index;

	if (!cli_maps(cli))
		return CLI_FAILED;
	index = service_get(cli->maps, name, &w->service);
	if (index < 0)
		return cli_failed(cli, "no service '%s'; see: xsr service show", name);
	w->index = index;
	return CLI_OK;
}

static int id_word(const struct cli *cli, const char *text, uint64_t *id)
{
	if (number_parse(text, UINT64_MAX, id))
		return cli_usage(cli, "ID '%s': expected a decimal or 0x number of at most 64 bits", text);
	return CLI_OK;
}

/* A route may name a worker that does not run: its messages take the default action until it does. */
static void worker_warn(const struct cli *cli, const struct xsr_route *route)
{
	if (route->action == XSR_ACTION_WORKER && !worker_pid(&cli->maps->workers[route->target]))
		cli_warn(cli, "worker %u does not run; until it does, the service's default action is taken",
			 route->target);
}

static int change_failed(const struct cli *cli, const struct route_words *w, int ret)
{
	unsigned long long id = w->id;

	switch (ret) {
	case -EEXIST:
		return cli_failed(cli, "service '%s' has a route for 0x%llx; see: route replace", w->service.name, id);
	case -ENOENT:
		return cli_failed(cli, "service '%s' has no route for 0x%llx", w->service.name, id);
	case -EBUSY:
		return cli_failed(cli,
				  "0x%llx: its dense slot %u holds another generation of the ID; delete that route first", id,
				  xsr_id_index(w->id));
	case -E2BIG:
		return cli_failed(cli, "the table of routes is full: %u; see: prog load routes N", cli->maps->routes_max);
	default:
		return cli_failed(cli, "cannot change the route of 0x%llx: %s", id, strerror(-ret));
	}
}

/* A backend's name is looked up in the instance; everything else that is wrong is said without one. */
static int target_words(struct cli *cli, int argc, char **argv, const char *verb, struct xsr_route *route)
{
	struct target_names names = {};
	char why[TARGET_WHY_LEN];
	int ret;

	if (!strcmp(argv[0], "backend") && argc == 2) {
		if (!cli_maps(cli))
			return CLI_FAILED;
		names.backends = cli->maps->backends;
	}
	ret = target_parse_words(argc, argv, &names, route, why);
	if (ret == -ENOENT)
		return cli_failed(cli, "%s", why);
	return ret ? cli_usage(cli, "route %s: %s", verb, why) : CLI_OK;
}

static int route_change(struct cli *cli, int argc, char **argv, const char *verb,
			int (*change)(struct maps *maps, uint32_t index, const struct xsr_service *service,
				      uint64_t id, enum xsr_action action, uint16_t target))
{
	char why[TARGET_WHY_LEN];
	struct route_words w = {};
	int ret;

	if (argc < 3)
		return cli_usage(cli, "route %s: expected SERVICE ID " TARGET_USAGE, verb);
	ret = id_word(cli, argv[1], &w.id);
	if (ret)
		return ret;
	ret = target_words(cli, argc - 2, argv + 2, verb, &w.route);
	if (!ret)
		ret = service_word(cli, argv[0], &w);
	if (ret)
		return ret;
	if (target_check(&w.service, &w.route, cli->maps->backends, why))
		return cli_failed(cli, "%s", why);
	maps_lock(cli->maps);
	ret = change(cli->maps, w.index, &w.service, w.id, w.route.action, w.route.target);
	maps_unlock(cli->maps);
	if (ret)
		return change_failed(cli, &w, ret);
	worker_warn(cli, &w.route);
	return CLI_OK;
}

static int route_add_cmd(struct cli *cli, int argc, char **argv)
{
	return route_change(cli, argc, argv, "add", route_add);
}

static int route_replace_cmd(struct cli *cli, int argc, char **argv)
{
	return route_change(cli, argc, argv, "replace", route_replace);
}

static int route_delete_cmd(struct cli *cli, int argc, char **argv)
{
	struct route_words w = {};
	int ret;

	if (argc != 2)
		return cli_usage(cli, "route delete: expected SERVICE ID");
	ret = id_word(cli, argv[1], &w.id);
	if (!ret)
		ret = service_word(cli, argv[0], &w);
	if (ret)
		return ret;
	maps_lock(cli->maps);
	ret = route_delete(cli->maps, w.index, &w.service, w.id);
	maps_unlock(cli->maps);
	return ret ? change_failed(cli, &w, ret) : CLI_OK;
}

/* Routes are printed as they come: a million of them are never held at once. */
struct route_printer {
	const struct cli *cli;
	const char *service;
	bool first;
};

static int routes_print(const struct route_entry *entries, size_t n, void *arg)
{
	struct route_printer *printer = arg;
	const char *separator = printer->cli->pretty ? ",\n  " : ",";
	char text[TARGET_TEXT_LEN];
	size_t i;

	for (i = 0; i < n; i++) {
		const struct route_entry *e = &entries[i];

		if (printer->cli->json)
			printf("%s{\"service\":\"%s\",\"id\":\"0x%llx\",\"target\":%s,\"generation\":%u}",
			       printer->first ? "" : separator, printer->service, (unsigned long long)e->id,
			       target_json(&e->route, printer->cli->maps->backends, text), e->route.generation);
		else
			printf("%s 0x%llx %s generation %u\n", printer->service, (unsigned long long)e->id,
			       target_text(&e->route, printer->cli->maps->backends, text), e->route.generation);
		printer->first = false;
	}
	return ferror(stdout) ? -EIO : 0;
}

static int show_service(struct cli *cli, const struct route_words *w, struct route_printer *printer)
{
	int ret;

	printer->service = w->service.name;
	ret = route_for_each(cli->maps, w->index, &w->service, routes_print, printer);
	return ret ? cli_failed(cli, "cannot read the routes of '%s': %s", w->service.name, strerror(-ret)) : CLI_OK;
}

static int show_all(struct cli *cli, struct route_printer *printer)
{
	struct route_words w;
	int ret = CLI_OK;

	for (w.index = 1; w.index < XSR_SERVICES_MAX && !ret; w.index++)
		if (!service_at(cli->maps, w.index, &w.service))
			ret = show_service(cli, &w, printer);
	return ret;
}

/* One route is looked up before anything is printed. */
static int find_one(struct cli *cli, const char *id_text, struct route_words *w)
{
	int ret = id_word(cli, id_text, &w->id);

	if (ret)
		return ret;
	ret = route_get(cli->maps, w->index, &w->service, w->id, &w->route);
	return ret ? change_failed(cli, w, ret) : CLI_OK;
}

static int show_one(const struct route_words *w, struct route_printer *printer)
{
	const struct route_entry entry = { .id = w->id, .route = w->route };

	printer->service = w->service.name;
	routes_print(&entry, 1, printer);
	return CLI_OK;
}

static int route_show(struct cli *cli, int argc, char **argv)
{
	struct route_printer printer = { .cli = cli, .first = true };
	struct route_words w;
	int ret;

	if (argc > 2)
		return cli_usage(cli, "route show: expected [SERVICE [ID]]");
	ret = argc ? service_word(cli, argv[0], &w) : (cli_maps(cli) ? CLI_OK : CLI_FAILED);
	if (!ret && argc == 2)
		ret = find_one(cli, argv[1], &w);
	if (ret)
		return ret;
	if (cli->json)
		printf(cli->pretty ? "{\n \"schema\": \"xsr/1\",\n \"routes\": [\n  " : "{\"schema\":\"xsr/1\",\"routes\":[");
	if (argc == 2)
		ret = show_one(&w, &printer);
	else
		ret = argc ? show_service(cli, &w, &printer) : show_all(cli, &printer);
	if (cli->json)
		printf(cli->pretty ? "\n ]\n}\n" : "]}\n");
	return ret;
}

static int route_import_cmd(struct cli *cli, int argc, char **argv)
{
	struct route_words w;
	int ret;

	if (argc != 2)
		return cli_usage(cli, "route import: expected SERVICE FILE|-");
	ret = service_word(cli, argv[0], &w);
	return ret ? ret : route_file_import(cli, w.index, &w.service, argv[1]);
}

static int route_export_cmd(struct cli *cli, int argc, char **argv)
{
	struct route_words w;
	int ret;

	if (argc != 1)
		return cli_usage(cli, "route export: expected SERVICE");
	ret = service_word(cli, argv[0], &w);
	return ret ? ret : route_file_export(cli, w.index, &w.service);
}

static int route_flush_cmd(struct cli *cli, int argc, char **argv)
{
	struct route_words w;
	long n;
	int ret;

	if (argc != 1)
		return cli_usage(cli, "route flush: expected SERVICE");
	ret = service_word(cli, argv[0], &w);
	if (ret)
		return ret;
	maps_lock(cli->maps);
	n = route_flush(cli->maps, w.index, &w.service);
	maps_unlock(cli->maps);
	if (n < 0)
		return cli_failed(cli, "cannot flush the routes of '%s': %s", argv[0], strerror(-n));
	if (cli->json)
		return cli_json(cli, "flushed", json_integer(n));
	printf("flushed %ld route(s)\n", n);
	return CLI_OK;
}

static const struct cli_verb verbs[] = {
	{ "add", route_add_cmd, "SERVICE ID " TARGET_USAGE, "ID is decimal or 0x hex" },
	{ "replace", route_replace_cmd, "SERVICE ID " TARGET_USAGE, "change the route, or add it; counts its generation up" },
	{ "delete", route_delete_cmd, "SERVICE ID", "the session takes the service's default action" },
	{ "show", route_show, "[SERVICE [ID]]", "routes with their generations" },
	{ "import", route_import_cmd, "SERVICE FILE|-", "lines of 'ID TARGET'; all or none; # begins a comment" },
	{ "export", route_export_cmd, "SERVICE", "lines that import takes" },
	{ "flush", route_flush_cmd, "SERVICE", "delete all routes of the service" },
	{},
};

int cmd_route(struct cli *cli, int argc, char **argv)
{
	return cli_dispatch(cli, "route", verbs, argc, argv);
}
