/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#include <arpa/inet.h>
#include <errno.h>
#include <signal.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cli.h"
#include "frame.h"
#include "service_spec.h"
#include "udp_load.h"

#define FRAME_LEN_MIN (XSR_FRAME_HEADER_LEN + sizeof(struct xsr_frame_perf))

static volatile bool stopped;

static void on_signal(int signo)
{
	(void)signo;
	stopped = true;
}

/* Options with a number: where it goes and what it may be. */
static const struct load_option {
	const char *name;
	size_t offset;
	uint64_t min, max;
	const char *meaning;
} options[] = {
	{ "--sessions", offsetof(struct udp_load_config, n_sessions), 1, 1 << 24, "how many" },
	{ "--sockets", offsetof(struct udp_load_config, n_sockets), 1, 1024, "that carry them" },
	{ "--roam", offsetof(struct udp_load_config, roam_ms), 0, 1 << 20, "ms until the next socket gets a new port, 0 = never" },
	{ "--rate", offsetof(struct udp_load_config, rate), 1, 1 << 24, "messages a second, of all sessions" },
	{ "--size", offsetof(struct udp_load_config, len), FRAME_LEN_MIN, 1472, "bytes of a frame" },
	{ "--owners", offsetof(struct udp_load_config, n_owners), 0, XSR_WORKERS_MAX,
	  "expect worker (ID + generation - 1) modulo this; 0 = any" },
};

#define N_OPTIONS (sizeof(options) / sizeof(options[0]))

static int load_help(void)
{
	unsigned int i;

	printf("xsr load udp ADDR:PORT [OPTION N]...\n"
	       "        send numbered frames on many sessions, check every answer; exit 0 if none is lost,\n"
	       "        doubled or misrouted\n"
	       "  --seconds S   how long (default 10)\n  --first ID    the first session's ID (default 0)\n");
	for (i = 0; i < N_OPTIONS; i++)
		printf("  %-12s  %s\n", options[i].name, options[i].meaning);
	return CLI_OK;
}

static int option_parse(const struct cli *cli, const char *name, const char *value, struct udp_load_config *c)
{
	char *end;
	uint64_t n;
	unsigned int i;

	if (!strcmp(name, "--seconds")) {
		c->seconds = strtod(value, &end);
		return *end || !(c->seconds > 0 && c->seconds <= 86400) ?
			       cli_usage(cli, "load: --seconds '%s': expected 0 to 86400", value) : CLI_OK;
	}
	if (!strcmp(name, "--first"))
		return number_parse(value, UINT64_MAX, &c->first_id) ?
			       cli_usage(cli, "load: --first '%s': expected an ID", value) : CLI_OK;
	for (i = 0; i < N_OPTIONS; i++) {
		if (strcmp(name, options[i].name))
			continue;
		if (number_parse(value, options[i].max, &n) || n < options[i].min)
			return cli_usage(cli, "load: %s '%s': expected %llu to %llu", name, value,
					 (unsigned long long)options[i].min, (unsigned long long)options[i].max);
		*(uint32_t *)((char *)c + options[i].offset) = n;
		return CLI_OK;
	}
	return cli_usage(cli, "load: unknown option '%s'; see: xsr load help", name);
}

static int address_parse(const struct cli *cli, const char *text, struct udp_load_config *c)
{
	const struct service_spec spec = { .name = "load", .protocol = "udp", .address = text, .id = "xsr" };
	struct sockaddr_in6 *in6 = (struct sockaddr_in6 *)&c->address;
	struct sockaddr_in *in = (struct sockaddr_in *)&c->address;
	char why[SERVICE_WHY_LEN];
	struct xsr_service s;

	if (service_spec_parse(&spec, &s, why))
		return cli_usage(cli, "load: %s", why);
	if (s.flags & XSR_SERVICE_ANY)
		return cli_usage(cli, "load: '%s': expected the address of one host", text);
	if (s.flags & XSR_SERVICE_IPV6) {
		in6->sin6_family = AF_INET6;
		in6->sin6_port = s.port;
		memcpy(&in6->sin6_addr, s.addr, 16);
	} else {
		in->sin_family = AF_INET;
		in->sin_port = s.port;
		in->sin_addr.s_addr = s.addr[3];
	}
	return CLI_OK;
}

/* Drawn over itself some times a second. */
struct table {
	struct udp_load_result before;
	double before_s;
	int n_lines;
};

static void table_draw(const struct udp_load_result *r, double elapsed_s, void *arg)
{
	struct table *t = arg;
	double seconds = elapsed_s - t->before_s;
	int i, lines = 2;

	if (!isatty(STDERR_FILENO) || seconds <= 0)
		return;
	if (t->n_lines)
		fprintf(stderr, "\033[%dA", t->n_lines);
	fprintf(stderr, "\033[K%6.1f s  sent %10llu  answered %10llu  under way %6llu  doubled %llu  misrouted %llu\n", elapsed_s,
		(unsigned long long)r->sent, (unsigned long long)r->received,
		(unsigned long long)(r->sent - r->received), (unsigned long long)r->duplicated,
		(unsigned long long)r->misrouted);
	fprintf(stderr, "\033[K          sockets moved %6llu  sessions moved %6llu\n", (unsigned long long)r->n_roamed,
		(unsigned long long)r->n_generations);
	for (i = 0; i < XSR_WORKERS_MAX; i++) {
		if (!r->by_worker[i])
			continue;
		fprintf(stderr, "\033[K          worker %-2d  answered %10llu  %9.0f /s\n", i,
			(unsigned long long)r->by_worker[i], (r->by_worker[i] - t->before.by_worker[i]) / seconds);
		lines++;
	}
	t->n_lines = lines;
	t->before = *r;
	t->before_s = elapsed_s;
}

static json_t *result_json(const struct udp_load_result *r)
{
	json_t *o = json_pack("{s:I,s:I,s:I,s:I,s:I,s:I,s:I,s:I,s:I,s:I,s:f}", "sent", (json_int_t)r->sent, "received",
			      (json_int_t)r->received, "lost", (json_int_t)r->lost, "duplicated",
			      (json_int_t)r->duplicated, "reordered", (json_int_t)r->reordered, "misrouted",
			      (json_int_t)r->misrouted, "unknown", (json_int_t)r->unknown, "send_errors",
			      (json_int_t)r->send_errors, "sockets_moved", (json_int_t)r->n_roamed, "sessions_moved",
			      (json_int_t)r->n_generations, "seconds", r->seconds);
	json_t *workers = json_array();
	int i;

	for (i = 0; i < XSR_WORKERS_MAX; i++)
		if (r->by_worker[i])
			json_array_append_new(workers, json_pack("{s:i,s:I}", "worker", i, "answered",
								 (json_int_t)r->by_worker[i]));
	json_object_set_new(o, "workers", workers);
	return o;
}

static int result_print(const struct cli *cli, const struct udp_load_result *r)
{
	bool clean = r->sent && !r->lost && !r->duplicated && !r->misrouted && !r->unknown;
	int ret = CLI_OK;

	if (cli->json)
		ret = cli_json(cli, "load", result_json(r));
	else
		printf("sent=%llu received=%llu lost=%llu duplicated=%llu misrouted=%llu reordered=%llu unknown=%llu sockets_moved=%llu sessions_moved=%llu seconds=%.1f\n",
		       (unsigned long long)r->sent, (unsigned long long)r->received, (unsigned long long)r->lost,
		       (unsigned long long)r->duplicated, (unsigned long long)r->misrouted,
		       (unsigned long long)r->reordered, (unsigned long long)r->unknown,
		       (unsigned long long)r->n_roamed, (unsigned long long)r->n_generations, r->seconds);
	return ret ? ret : clean ? CLI_OK : CLI_FAILED;
}

static int load_udp(struct cli *cli, int argc, char **argv)
{
	struct udp_load_config config = {
		.n_sessions = 1000, .n_sockets = 8, .rate = 10000, .seconds = 10, .len = FRAME_LEN_MIN, .drain_s = 2,
	};
	struct sigaction action = { .sa_handler = on_signal };
	struct udp_load_result result;
	struct table table = {};
	int i, ret;

	if (argc < 1)
		return cli_usage(cli, "load udp: expected ADDR:PORT; see: xsr load help");
	ret = address_parse(cli, argv[0], &config);
	for (i = 1; i < argc && !ret; i += 2)
		ret = i + 1 < argc ? option_parse(cli, argv[i], argv[i + 1], &config) :
				     cli_usage(cli, "load: '%s' needs a value", argv[i]);
	if (ret)
		return ret;
	sigaction(SIGINT, &action, NULL);
	sigaction(SIGTERM, &action, NULL);
	ret = udp_load_run(&config, &result, &stopped, table_draw, &table);
	if (ret)
		return cli_failed(cli, "load: %s", strerror(-ret));
	return result_print(cli, &result);
}

int cmd_load(struct cli *cli, int argc, char **argv)
{
	if (argc >= 1 && !strcmp(argv[0], "help"))
		return load_help();
	if (argc < 1 || strcmp(argv[0], "udp"))
		return cli_usage(cli, "load: expected udp ADDR:PORT; see: xsr load help");
	return load_udp(cli, argc - 1, argv + 1);
}
