/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#include "stream_scenario.h"

#include <stdio.h>
#include <string.h>

#include "clock.h"
#include "tcp_client.h"

#define SPARE_S 30 /* for what has no time of its own: connecting, ending */

static const struct bench_profile no_profile = { .name = "stream", .rounds = 1 };

/* What all but the client took until now. */
static uint64_t servers_cpu_ns(const struct tcp_path *path)
{
	uint64_t sum = path->worktime ? worktime_ns(path->worktime) : 0, ns;
	unsigned int i;

	for (i = 0; i < path->n_parts; i++)
		sum += child_cpu_ns(path->parts[i], &ns) ? 0 : ns;
	return sum + (child_cpu_ns(path->backend, &ns) ? 0 : ns);
}

static uint64_t patience_ns(const struct stream_params *p)
{
	return (p->warmup_s + p->measure_s + p->drain_s + p->connect_timeout_s + SPARE_S) * NS_PER_S;
}

static int client_run(struct bench *b, const struct stream_params *p, const struct tcp_path *path, struct tcp_load_result *result,
		      double *cpu_s, char why[LAB_WHY_LEN])
{
	struct tcp_load_config config = stream_load_config(p);
	uint64_t before_ns = servers_cpu_ns(path), client_ns = 0;
	struct tcp_client client;
	int ret;

	memcpy(&config.address, &path->address, sizeof(path->address));
	ret = tcp_client_start(&client, b, &config, why);
	if (!ret)
		ret = tcp_client_wait(&client, b, patience_ns(p), result, &client_ns, why);
	*cpu_s = (servers_cpu_ns(path) + client_ns - before_ns) / (double)NS_PER_S;
	tcp_client_stop(&client);
	return ret;
}

int stream_scenario_run(const struct stream_params *p, struct stream_outcome *o, char why[LAB_WHY_LEN])
{
	struct tcp_load_result result = {};
	struct tcp_path path;
	struct bench b;
	int ret = tcp_bench_open(&b, &no_profile, why);

	*o = (struct stream_outcome){};
	if (ret)
		return ret;
	ret = tcp_path_open(&b, p->way, p->size, &path, why);
	snprintf(o->mode, sizeof(o->mode), "%s", path.mode);
	if (!ret)
		ret = client_run(&b, p, &path, &result, &o->cpu_s, why);
	if (!ret)
		stream_outcome_fill(p, &result, o);
	tcp_bench_close(&b);
	return ret;
}
