/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#include "bench_stream.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/utsname.h>
#include <unistd.h>

#include "options.h"
#include "stream_report.h"
#include "version.h"

#define STREAM_FAILED 2
#define FILES_SPARE 64 /* descriptors that are no connections */
#define DIR_DEFAULT "results"

struct command {
	struct stream_params params;
	const char *profile, *dir;
};

static const struct number_option options[] = {
#define OPTION(field) NUMBER_OPTION(command, params.field)
	{ "--ccu", OPTION(ccu), 1, 1 << 20, "connections (default 10000; ci 200)" },
	{ "--size", OPTION(size), 28, 1 << 20, "bytes of a frame behind its len field (default 1024)" },
	{ "--inflight", OPTION(inflight), 1, 65536, "unanswered on each connection (default 30)" },
	{ "--warmup", OPTION(warmup_s), 0, 3600, "seconds (default 3; ci 1)" },
	{ "--measure", OPTION(measure_s), 1, 3600, "seconds (default 10; ci 3)" },
	{ "--drain-timeout", OPTION(drain_s), 1, 3600, "seconds (default 10; ci 5)" },
	{ "--connect-timeout", OPTION(connect_timeout_s), 1, 3600, "seconds, of s1 (default 10)" },
	{ "--sndbuf", OPTION(sndbuf), 0, 1 << 30, "bytes of the client's send buffers (default 262144)" },
	{ "--rcvbuf", OPTION(rcvbuf), 0, 1 << 30, "bytes of its receive buffers (default 262144)" },
	{ "--io-threads", OPTION(io_threads), 1, 256, "of the client (default 1)" },
#undef OPTION
};

#define N_OPTIONS (sizeof(options) / sizeof(options[0]))

static const char *const ways[TCP_WAYS] = {
	[TCP_DIRECT] = "direct", [TCP_EPOLL] = "epoll",	  [TCP_FRAMES] = "frames",   [TCP_RELAY] = "relay",
	[TCP_SPLICE] = "splice", [TCP_LOCAL] = "local", [TCP_HAPROXY] = "haproxy", [TCP_NGINX] = "nginx",
};

/* --- options --- */

static int word_find(const char *const *words, int n, const char *word)
{
	int i;

	for (i = 0; i < n; i++)
		if (!strcmp(words[i], word))
			return i;
	return -1;
}

static int profile_take(const struct cli *cli, const char *name, struct command *c)
{
	struct stream_params *p = &c->params;

	if (strcmp(name, "full") && strcmp(name, "ci"))
		return cli_usage(cli, "bench stream: --profile '%s': expected full or ci", name);
	c->profile = name;
	if (strcmp(name, "ci"))
		return CLI_OK;
	p->ccu = 200;
	p->warmup_s = 1;
	p->measure_s = 3;
	p->drain_s = 5;
	return CLI_OK;
}

static int way_take(const struct cli *cli, const char *name, struct command *c)
{
	int way = word_find(ways, TCP_WAYS, name);

	if (way < 0)
		return cli_usage(cli,
				 "bench stream: --mode '%s': expected direct, epoll, frames, relay, splice, local, haproxy or nginx",
				 name);
	c->params.way = way;
	return CLI_OK;
}

static int option_take(const struct cli *cli, const char *name, const char *value, struct command *c)
{
	if (!value)
		return cli_usage(cli, "bench stream: '%s' needs a value", name);
	if (!strcmp(name, "--profile"))
		return CLI_OK; /* was taken first: others change it */
	if (!strcmp(name, "--mode"))
		return way_take(cli, value, c);
	if (!strcmp(name, "--results")) {
		c->dir = value;
		return CLI_OK;
	}
	return number_option_parse(cli, "bench", options, N_OPTIONS, name, value, c);
}

static int arguments_parse(const struct cli *cli, int argc, char **argv, struct command *c)
{
	int i, ret = CLI_OK, scenario = argc ? word_find(stream_scenario_names, STREAM_SCENARIOS, argv[0]) : -1;

	if (scenario < 0)
		return cli_usage(cli, "bench stream: expected s0, s1 or s2; see: xsr bench help");
	c->params.scenario = scenario;
	for (i = 1; i + 1 < argc && !ret; i += 2)
		if (!strcmp(argv[i], "--profile"))
			ret = profile_take(cli, argv[i + 1], c);
	for (i = 1; i < argc && !ret; i += 2)
		ret = option_take(cli, argv[i], i + 1 < argc ? argv[i + 1] : NULL, c);
	if (scenario == STREAM_S0)
		c->params.ccu = c->params.inflight = 1;
	return ret;
}

/* --- limits and environment --- */

static void line_read(const char *path, char *line, size_t size)
{
	FILE *file = fopen(path, "r");

	snprintf(line, size, "-");
	if (file && fgets(line, size, file))
		line[strcspn(line, "\n")] = 0;
	if (file)
		fclose(file);
}

static json_t *environment_json(void)
{
	static const char *const sysctls[] = {
		"net/core/somaxconn", "net/ipv4/tcp_congestion_control", "net/ipv4/tcp_rmem", "net/ipv4/tcp_wmem",
	};
	json_t *o = json_object(), *settings = json_object();
	struct utsname u;
	char path[128], line[128];
	size_t i;

	uname(&u);
	for (i = 0; i < sizeof(sysctls) / sizeof(sysctls[0]); i++) {
		snprintf(path, sizeof(path), "/proc/sys/%s", sysctls[i]);
		line_read(path, line, sizeof(line));
		json_object_set_new(settings, sysctls[i], json_string(line));
	}
	line_read("/sys/devices/system/cpu/cpu0/cpufreq/scaling_governor", line, sizeof(line));
	json_object_set_new(o, "system", json_sprintf("%s %s %s", u.sysname, u.release, u.machine));
	json_object_set_new(o, "cores", json_integer(sysconf(_SC_NPROCESSORS_ONLN)));
	json_object_set_new(o, "governor", json_string(line));
	json_object_set_new(o, "nofile", json_integer(files_limit_raise()));
	json_object_set_new(o, "sysctl", settings);
	json_object_set_new(o, "placement", json_string("client: first core; backend: second; what is between: both"));
	return o;
}

/* Where the bytes are relayed each client needs two descriptors of one process. */
static int limits_check(const struct cli *cli, const struct stream_params *p)
{
	uint64_t files = files_limit_raise();
	unsigned int of_each = p->way == TCP_DIRECT || p->way == TCP_EPOLL || p->way == TCP_FRAMES ? 1 : 2;
	struct rlimit memlock = {};
	char somaxconn[32];

	getrlimit(RLIMIT_MEMLOCK, &memlock);
	line_read("/proc/sys/net/core/somaxconn", somaxconn, sizeof(somaxconn));
	fprintf(stderr, "limits: nofile %llu, backlog %s, memlock %llu\n", (unsigned long long)files, somaxconn,
		(unsigned long long)memlock.rlim_cur);
	if ((uint64_t)p->ccu * of_each + FILES_SPARE > files)
		return cli_usage(cli,
				 "bench stream: --ccu %u: a process may have %llu descriptors; this way needs %u for each; ulimit -Hn",
				 p->ccu, (unsigned long long)files, of_each);
	return CLI_OK;
}

/* --- the run --- */

static int result_tell(struct cli *cli, const struct command *c, struct stream_report *report)
{
	json_t *environment = environment_json();
	char path[256], why[LAB_WHY_LEN];
	int ret = stream_report_write(report, c->dir, environment, path, why);

	json_decref(environment);
	if (cli->json)
		cli_json(cli, "bench", stream_report_json(report));
	else
		stream_result_print(report, stdout);
	if (report->why[0])
		fprintf(stderr, "xsr: bench stream: %s\n", report->why);
	if (ret)
		return cli_failed(cli, "bench stream: %s", why);
	fprintf(stderr, "results: %s\n", path);
	return report->exit_status;
}

int bench_stream(struct cli *cli, int argc, char **argv)
{
	struct command c = {
		.params = { .ccu = 10000, .size = 1024, .inflight = 30, .warmup_s = 3, .measure_s = 10, .drain_s = 10,
			    .connect_timeout_s = 10, .sndbuf = 262144, .rcvbuf = 262144, .io_threads = 1 },
		.profile = "full",
		.dir = DIR_DEFAULT,
	};
	char why[LAB_WHY_LEN] = "";
	struct stream_outcome outcome;
	struct stream_report report = { .params = &c.params, .outcome = &outcome, .git_rev = version_git_rev(), .why = "" };
	int ret = arguments_parse(cli, argc, argv, &c);

	ret = ret ? ret : limits_check(cli, &c.params);
	if (ret)
		return ret;
	ret = stream_scenario_run(&c.params, &outcome, why);
	if (ret && ret != -EOPNOTSUPP)
		return cli_failed(cli, "bench stream: %s", ret == -EINTR ? "interrupted" : why);
	report.profile = c.profile;
	report.verdict = ret ? "SKIP" : outcome.passed ? "PASS" : "FAIL";
	report.why = ret ? why : "";
	report.exit_status = ret || outcome.passed ? CLI_OK : STREAM_FAILED;
	return result_tell(cli, &c, &report);
}
