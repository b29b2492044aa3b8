/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#include <stdio.h>
#include <string.h>

#include "cli.h"
#include "moves.h"
#include "names.h"
#include "router_client.h"
#include "service_spec.h"
#include "socket.h"
#include "target.h"
#include "worker_json.h"

#define CPU_MAX 1023 /* as in the configuration */

json_t *worker_json(const struct maps *maps, int number)
{
	const struct xsr_worker_counters *w = &maps->workers[number];
	uint32_t pid = worker_pid(w);
	json_t *o = json_pack("{s:i,s:b,s:s}", "worker", number, "running", pid != 0, "transport", w->transport);
	int i;

	if (pid)
		json_object_set_new(o, "pid", json_integer(pid));
	if (w->cpu != (uint32_t)-1)
		json_object_set_new(o, "cpu", json_integer(w->cpu));
	for (i = 0; i < XSR_WORKER_STAT_MAX; i++)
		json_object_set_new(o, worker_stat_name(i), json_integer(w->n[i]));
	return o;
}

json_t *workers_json(const struct maps *maps)
{
	json_t *list = json_array();
	int i;

	for (i = 0; i < XSR_WORKERS_MAX; i++)
		if (maps->workers[i].pid)
			json_array_append_new(list, worker_json(maps, i));
	return list;
}

static void worker_print(const struct maps *maps, int number)
{
	const struct xsr_worker_counters *w = &maps->workers[number];
	uint32_t pid = worker_pid(w);

	printf("worker %d ", number);
	if (pid)
		printf("running pid %u ", pid);
	else
		printf("not running ");
	if (w->cpu != (uint32_t)-1)
		printf("cpu %u ", w->cpu);
	printf("transport %s rx %llu tx %llu sessions %llu\n", w->transport,
	       (unsigned long long)w->n[XSR_WORKER_STAT_RX], (unsigned long long)w->n[XSR_WORKER_STAT_TX],
	       (unsigned long long)w->n[XSR_WORKER_STAT_SESSIONS]);
}

static int worker_show(struct cli *cli, int argc, char **argv)
{
	int i;

	if (argc > 0)
		return cli_usage(cli, "worker show: unexpected '%s'", argv[0]);
	if (!cli_maps(cli))
		return CLI_FAILED;
	if (cli->json)
		return cli_json(cli, "workers", workers_json(cli->maps));
	for (i = 0; i < XSR_WORKERS_MAX; i++)
		if (cli->maps->workers[i].pid)
			worker_print(cli->maps, i);
	return CLI_OK;
}

static int cpu_words(const struct cli *cli, int argc, char **argv, json_t *request)
{
	uint64_t cpu;

	if (argc == 0)
		return CLI_OK;
	if (argc != 2 || strcmp(argv[0], "cpu"))
		return cli_usage(cli, "worker add: expected [cpu N]");
	if (number_parse(argv[1], CPU_MAX, &cpu))
		return cli_usage(cli, "cpu '%s': expected the number of a core from 0 to %d", argv[1], CPU_MAX);
	json_object_set_new(request, "cpu", json_integer(cpu));
	return CLI_OK;
}

static int worker_add(struct cli *cli, int argc, char **argv)
{
	json_t *request = json_pack("{s:s}", "command", "worker add"), *result = NULL;
	int ret = cpu_words(cli, argc, argv, request);
	json_int_t number;

	if (ret)
		return json_decref(request), ret;
	ret = router_client_ask(cli, NULL, request, NULL, NULL, &result);
	number = json_integer_value(json_object_get(result, "worker"));
	json_decref(result);
	if (ret)
		return ret;
	if (cli->json)
		return cli_json(cli, "worker", json_integer(number));
	printf("added worker %lld\n", (long long)number);
	return CLI_OK;
}

/* The sessions of worker N go to others. */
static int worker_vacate(struct cli *cli, int argc, char **argv, const char *verb)
{
	char why[TARGET_WHY_LEN], command[32];
	struct xsr_route route;

	if (argc != 1)
		return cli_usage(cli, "worker %s: expected N", verb);
	if (target_parse_words(2, (char *[]){ "worker", argv[0] }, NULL, &route, why))
		return cli_usage(cli, "%s", why);
	snprintf(command, sizeof(command), "worker %s", verb);
	return moves_ask(cli, NULL, json_pack("{s:s,s:i}", "command", command, "worker", route.target));
}

static int worker_drain(struct cli *cli, int argc, char **argv)
{
	return worker_vacate(cli, argc, argv, "drain");
}

static int worker_remove(struct cli *cli, int argc, char **argv)
{
	return worker_vacate(cli, argc, argv, "remove");
}

static int worker_rebalance(struct cli *cli, int argc, char **argv)
{
	if (argc > 0)
		return cli_usage(cli, "worker rebalance: unexpected '%s'", argv[0]);
	return moves_ask(cli, NULL, json_pack("{s:s}", "command", "worker rebalance"));
}

static const struct cli_verb verbs[] = {
	{ "show", worker_show, "", "workers of the router that runs, or ran last" },
	{ "add", worker_add, "[cpu N]", "one more worker; new sessions come to it, known ones by: worker rebalance" },
	{ "drain", worker_drain, "N", "move all its sessions to the other workers; it runs on, and takes no more" },
	{ "remove", worker_remove, "N", "drain it, and end it" },
	{ "rebalance", worker_rebalance, "", "move sessions until all workers have about as many" },
	{},
};

int cmd_worker(struct cli *cli, int argc, char **argv)
{
	return cli_dispatch(cli, "worker", verbs, argc, argv);
}
