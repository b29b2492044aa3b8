/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#include <stdio.h>

#include "cli.h"
#include "names.h"
#include "socket.h"
#include "worker_json.h"

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

static const struct cli_verb verbs[] = {
	{ "show", worker_show, "", "workers of the router that runs, or ran last" },
	{},
};

int cmd_worker(struct cli *cli, int argc, char **argv)
{
	return cli_dispatch(cli, "worker", verbs, argc, argv);
}
