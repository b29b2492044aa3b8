/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#include <fnmatch.h>
#include <stdio.h>
#include <string.h>
#include <sys/utsname.h>
#include <unistd.h>

#include "bench_stream.h"
#include "cli.h"
#include "steer_bench.h"
#include "tcp_bench.h"
#include "version.h"

struct environment {
	struct utsname uname;
	char cpu[64];
	long n_cpus;
};

/* The processor's name, as far as the kernel tells. */
static void cpu_name_read(char *name, size_t size)
{
	FILE *file = fopen("/proc/cpuinfo", "r");
	char line[256];

	snprintf(name, size, "unknown processor");
	while (file && fgets(line, sizeof(line), file)) {
		char *value = strchr(line, ':');

		if (strncmp(line, "model name", 10) || !value)
			continue;
		value[strcspn(value, "\n")] = 0;
		snprintf(name, size, "%.*s", (int)size - 1, value + 2);
		break;
	}
	if (file)
		fclose(file);
}

static void environment_read(struct environment *e)
{
	uname(&e->uname);
	cpu_name_read(e->cpu, sizeof(e->cpu));
	e->n_cpus = sysconf(_SC_NPROCESSORS_ONLN);
}

static void progress_draw(unsigned int done, unsigned int all, const char *row)
{
	cli_progress("sample %u of %u: %s", done + 1, all, row);
}

static bool row_exists(const struct bench_table *table, const char *pattern)
{
	size_t i;

	for (i = 0; i < table->n_rows; i++)
		if (fnmatch(pattern, bench_table_row(table, i), 0) == 0)
			return true;
	return false;
}

static int only_wrong(const struct cli *cli, const struct bench_table *table, const char *pattern)
{
	char names[2048] = "";
	size_t i, len = 0;

	for (i = 0; i < table->n_rows && len < sizeof(names); i++)
		len += snprintf(names + len, sizeof(names) - len, " %s", bench_table_row(table, i));
	return cli_usage(cli, "bench %s: no row is called '%s'; there are:%s", table->name, pattern, names);
}

static int options_parse(const struct cli *cli, const struct bench_table *table, int argc, char **argv,
			 struct bench_options *options)
{
	int i;

	for (i = 0; i < argc; i++) {
		if (!strcmp(argv[i], "--quick"))
			options->quick = true;
		else if (!strcmp(argv[i], "--only") && i + 1 < argc)
			options->only = argv[++i];
		else
			return cli_usage(cli, "bench %s: unexpected '%s'; expected [--quick] [--only PATTERN]",
					 table->name, argv[i]);
	}
	return options->only && !row_exists(table, options->only) ? only_wrong(cli, table, options->only) : CLI_OK;
}

static const char *profile_name(const struct bench_options *options)
{
	return options->quick ? "quick" : "full";
}

static int table_json(const struct cli *cli, const struct bench_table *table, const struct bench_options *options,
		      const struct results *results)
{
	struct environment e;

	environment_read(&e);
	return cli_json(cli, "bench",
			json_pack("{s:s,s:s,s:s,s:o,s:o,s:o}", "name", table->name, "profile", profile_name(options),
				  "git_rev", version_git_rev(), "environment",
				  json_pack("{s:s,s:s,s:s,s:I,s:s}", "system", e.uname.sysname, "release", e.uname.release,
					    "cpu", e.cpu, "cores", (json_int_t)e.n_cpus, "machine", e.uname.machine),
				  "rows", results_rows_json(results), "targets", results_targets_json(results)));
}

static int table_print(const struct bench_table *table, const struct bench_options *options, const struct results *results)
{
	struct environment e;

	environment_read(&e);
	printf("xsr bench %s, %s profile, xsr %s; %s %s %s, %ld x %s\n", table->name, profile_name(options),
	       version_git_rev(), e.uname.sysname, e.uname.release, e.uname.machine, e.n_cpus, e.cpu);
	results_print(results, stdout);
	return fflush(stdout) ? CLI_FAILED : CLI_OK;
}

static bool rows_failed(const struct results *results)
{
	unsigned int i;

	for (i = 0; i < results->n_rows; i++)
		if (results->rows[i].why[0] && !results->rows[i].is_skipped)
			return true;
	return false;
}

static int table_measure(struct cli *cli, const struct bench_table *table, int argc, char **argv)
{
	struct bench_options options = { .progress = progress_draw };
	static struct results results;
	char why[LAB_WHY_LEN];
	int ret = options_parse(cli, table, argc, argv, &options);

	if (ret)
		return ret;
	ret = bench_table_run(table, &options, &results, why);
	cli_progress_end();
	if (ret)
		return cli_failed(cli, "bench %s: %s", table->name, why);
	ret = cli->json ? table_json(cli, table, &options, &results) : table_print(table, &options, &results);
	return ret || rows_failed(&results) ? CLI_FAILED : CLI_OK;
}

static int bench_steer(struct cli *cli, int argc, char **argv)
{
	return table_measure(cli, &steer_bench, argc, argv);
}

static int bench_tcp(struct cli *cli, int argc, char **argv)
{
	return table_measure(cli, &tcp_bench, argc, argv);
}

static const struct cli_verb verbs[] = {
	{ "steer", bench_steer, "[--quick] [--only PATTERN]",
	  "the datagram path against the kernel's own; PATTERN picks rows" },
	{ "tcp", bench_tcp, "[--quick] [--only PATTERN]",
	  "the ways of a TCP service against each other, and against haproxy and nginx if those are installed" },
	{ "stream", bench_stream, "s0|s1|s2 [--mode MODE] [--profile full|ci] [--results DIR] [OPTION N]...",
	  "many connections: one echo, connections alone, or as many messages as they carry; writes results/" },
	{ NULL, NULL, NULL, NULL },
};

int cmd_bench(struct cli *cli, int argc, char **argv)
{
	return cli_dispatch(cli, "bench", verbs, argc, argv);
}
