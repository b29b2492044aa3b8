/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#include <errno.h>
#include <netinet/in.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "cli.h"
#include "counter.h"
#include "names.h"
#include "socket.h"
#include "stream.h"
#include "stream_json.h"
#include "worker_json.h"

/* All counters at one moment. */
struct sample {
	struct xsr_counters counters; /* of the hook on devices */
	struct xsr_counters choices;  /* of the hook on sockets */
	struct xsr_worker_counters workers[XSR_WORKERS_MAX];
	struct xsr_stream_counters streams[XSR_SERVICES_MAX]; /* of TCP services, all workers together */
	double time_s;
};

static int sample_take(struct maps *maps, struct sample *sample)
{
	struct timespec now;
	uint32_t i;

	clock_gettime(CLOCK_MONOTONIC, &now);
	sample->time_s = now.tv_sec + now.tv_nsec / 1e9;
	memcpy(sample->workers, maps->workers, sizeof(sample->workers));
	for (i = 0; i < XSR_SERVICES_MAX; i++)
		stream_sum(maps, i, &sample->streams[i]);
	return counter_read_all(maps, &sample->counters) ?:
	       choice_read_all(maps, &sample->choices);
}

static json_t *counters_json(const struct xsr_counters *counters)
{
	json_t *o = json_object();
	int i;

	for (i = 0; i < XSR_STAT_MAX; i++)
		json_object_set_new(o, stat_name(i), json_integer(counters->n[i]));
	return o;
}

static int sample_json(const struct cli *cli, const struct sample *sample)
{
	return cli_json_object(cli, json_pack("{s:o,s:I,s:o,s:I,s:o,s:o}", "counters", counters_json(&sample->counters),
					      "messages", (json_int_t)counter_sum(&sample->counters), "socket_counters",
					      counters_json(&sample->choices), "socket_messages",
					      (json_int_t)counter_sum(&sample->choices), "workers",
					      workers_json(cli->maps), "streams", streams_json(cli->maps)));
}

static double rate(uint64_t now, uint64_t before, double seconds)
{
	return seconds > 0 && now >= before ? (now - before) / seconds : 0;
}

static void counter_row(const char *name, uint64_t now, uint64_t before, double seconds)
{
	printf("%-24s %16llu", name, (unsigned long long)now);
	if (seconds > 0)
		printf(" %14.0f", rate(now, before, seconds));
	printf("\n");
}

static void counters_print(const char *hook, const struct xsr_counters *now, const struct xsr_counters *before,
			   double seconds)
{
	int i;

	printf("%-24s %16s %14s\n", hook, "messages", seconds > 0 ? "per second" : "");
	for (i = 0; i < XSR_STAT_MAX; i++)
		if (now->n[i])
			counter_row(stat_name(i), now->n[i], before->n[i], seconds);
	counter_row("all", counter_sum(now), counter_sum(before), seconds);
}

static void worker_row(int number, const struct xsr_worker_counters *now, const struct xsr_worker_counters *before,
		       double seconds)
{
	int i;

	printf("worker %-2d %-8s %14llu %14llu", number, worker_pid(now) ? now->transport : "gone",
	       (unsigned long long)now->n[XSR_WORKER_STAT_RX], (unsigned long long)now->n[XSR_WORKER_STAT_TX]);
	if (seconds > 0)
		printf(" %12.0f %12.0f", rate(now->n[XSR_WORKER_STAT_RX], before->n[XSR_WORKER_STAT_RX], seconds),
		       rate(now->n[XSR_WORKER_STAT_TX], before->n[XSR_WORKER_STAT_TX], seconds));
	for (i = XSR_WORKER_STAT_BAD_PACKET; i < XSR_WORKER_STAT_MAX; i++)
		if (now->n[i] && i != XSR_WORKER_STAT_WAKEUPS)
			printf("  %s %llu", worker_stat_name(i), (unsigned long long)now->n[i]);
	printf("\n");
}

static void stream_print(const struct xsr_service *service, const struct xsr_stream_counters *now,
			 const struct xsr_stream_counters *before, double seconds)
{
	int i;

	printf("\n%-24s %16s %14s\n", service->name, "tcp", seconds > 0 ? "per second" : "");
	for (i = 0; i < XSR_STREAM_STAT_MAX; i++)
		if (now->n[i] || i < STREAM_STAT_FIRST_TOTAL)
			counter_row(stream_stat_name(i), now->n[i], before->n[i], i < STREAM_STAT_FIRST_TOTAL ? 0 : seconds);
}

static void sample_print(const struct maps *maps, const struct sample *now, const struct sample *before)
{
	double seconds = now->time_s - before->time_s;
	bool titled = false;
	int i;

	counters_print("devices", &now->counters, &before->counters, seconds);
	if (counter_sum(&now->choices)) {
		printf("\n");
		counters_print("sockets", &now->choices, &before->choices, seconds);
	}
	for (i = 0; i < XSR_WORKERS_MAX; i++) {
		if (!now->workers[i].pid)
			continue;
		if (!titled)
			printf("\n%-18s %14s %14s%s\n", "", "rx", "tx", seconds > 0 ? "         rx/s         tx/s" : "");
		titled = true;
		worker_row(i, &now->workers[i], &before->workers[i], seconds);
	}
	for (i = 1; i < XSR_SERVICES_MAX; i++)
		if (maps->services[i].proto == IPPROTO_TCP)
			stream_print(&maps->services[i], &now->streams[i], &before->streams[i], seconds);
	fflush(stdout);
}

/* Sleeps; false when the user has had enough. */
static bool wait_signal(const sigset_t *signals, double seconds)
{
	struct timespec timeout = { .tv_sec = (time_t)seconds,
				    .tv_nsec = (long)((seconds - (time_t)seconds) * 1e9) };

	return sigtimedwait(signals, NULL, &timeout) < 0 && errno == EAGAIN;
}

static int stats_watch(struct cli *cli, double seconds)
{
	struct sample samples[2] = {};
	bool live = isatty(STDOUT_FILENO) && !cli->json;
	sigset_t signals;
	int i = 0, ret;

	sigemptyset(&signals);
	sigaddset(&signals, SIGINT);
	sigaddset(&signals, SIGTERM);
	sigprocmask(SIG_BLOCK, &signals, NULL);
	do {
		struct sample *now = &samples[i & 1], *before = i ? &samples[~i & 1] : now;

		ret = sample_take(cli->maps, now);
		if (ret)
			return cli_failed(cli, "cannot read the counters: %s", strerror(-ret));
		if (live)
			printf("\033[H\033[J");
		if (cli->json)
			ret = sample_json(cli, now);
		else
			sample_print(cli->maps, now, before);
		i++;
	} while (!ret && !ferror(stdout) && wait_signal(&signals, seconds));
	return ret;
}

static int stats_show(struct cli *cli, int argc, char **argv)
{
	struct sample sample;
	double seconds = 0;
	char *end = NULL;
	int ret;

	if (argc == 2 && !strcmp(argv[0], "--watch"))
		seconds = strtod(argv[1], &end);
	if (argc && (!end || end == argv[1] || *end || !(seconds >= 0.1 && seconds <= 86400)))
		return cli_usage(cli, "stats show: expected [--watch SECONDS], 0.1 to 86400");
	if (!cli_maps(cli))
		return CLI_FAILED;
	if (argc)
		return stats_watch(cli, seconds);
	ret = sample_take(cli->maps, &sample);
	if (ret)
		return cli_failed(cli, "cannot read the counters: %s", strerror(-ret));
	if (cli->json)
		return sample_json(cli, &sample);
	sample_print(cli->maps, &sample, &sample);
	return CLI_OK;
}

static int stats_names(struct cli *cli, int argc, char **argv)
{
	int i;

	if (argc > 0)
		return cli_usage(cli, "stats names: unexpected '%s'", argv[0]);
	for (i = 0; i < XSR_STAT_MAX; i++)
		printf("%-24s %s\n", stat_name(i), stat_meaning(i));
	printf("\nof TCP services:\n");
	for (i = 0; i < XSR_STREAM_STAT_MAX; i++)
		printf("%-24s %s\n", stream_stat_name(i), stream_stat_meaning(i));
	return CLI_OK;
}

static const struct cli_verb verbs[] = {
	{ "show", stats_show, "[--watch SECONDS]", "counters that are not zero, workers, TCP services; live with --watch" },
	{ "names", stats_names, "", "every counter and what it means", .for_anyone = true },
	{},
};

int cmd_stats(struct cli *cli, int argc, char **argv)
{
	return cli_dispatch(cli, "stats", verbs, argc, argv);
}
