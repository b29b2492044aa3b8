/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#include <errno.h>
#include <signal.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include "cli.h"
#include "frame.h"
#include "instance.h"
#include "load_print.h"
#include "load_tcp.h"
#include "options.h"
#include "udp_load.h"

#define FRAME_LEN_MIN (XSR_FRAME_HEADER_LEN + sizeof(struct xsr_frame_perf))

static volatile bool stopped;

static void on_signal(int signo)
{
	(void)signo;
	stopped = true;
}

#define RATE_DEFAULT 10000
#define SECONDS_DEFAULT 10
#define NOT_GIVEN UINT32_MAX

static const struct number_option options[] = {
#define OPTION(field) NUMBER_OPTION(udp_load_config, field)
	{ "--sessions", OPTION(n_sessions), 1, 1 << 24, "how many (default 1000)" },
	{ "--first", OPTION(first_id), 0, UINT64_MAX, "the first session's ID (default 0)" },
	{ "--sockets", OPTION(n_sockets), 1, 1024, "that carry them (default 8)" },
	{ "--sources", OPTION(n_sources), 1, 1024, "sockets that a session's messages go out by in turn (default 1)" },
	{ "--roam", OPTION(roam_ms), 0, 1 << 20, "ms until the next socket gets a new port; 0 = never (default)" },
	{ "--rate", OPTION(rate), 0, 1 << 24,
	  "messages a second, of all sessions (default 10000); 0 = as fast as the window allows" },
	{ "--window", OPTION(window), 1, 1 << 24,
	  "messages unanswered at most, of all sessions; the rate's default is then 0" },
	{ "--messages", OPTION(n_messages), 1, UINT32_MAX, "end after so many" },
	{ "--size", OPTION(len), FRAME_LEN_MIN, 1472, "bytes of a frame (default 104)" },
	{ "--owners", OPTION(n_owners), 0, XSR_WORKERS_MAX,
	  "expect worker (ID + generation - 1) modulo this; 0 = any, the same for one generation (default)" },
	{ "--moves", OPTION(moves_rate), 0, 1 << 24,
	  "sessions a second that the router is told to move to their next worker" },
	{ "--move-count", OPTION(n_moves), 0, UINT32_MAX - 1, "end the moves after so many; 0 = never (default)" },
	{ "--workers", OPTION(n_workers), 1, XSR_WORKERS_MAX, "moves go round so many (default: owners, or 2)" },
#undef OPTION
};

#define N_OPTIONS (sizeof(options) / sizeof(options[0]))

static int load_help(void)
{
	printf("xsr load udp ADDR:PORT [OPTION N]...\n"
	       "        send numbered frames on many sessions, check every answer; exit 0 if none is lost, doubled,\n"
	       "        served out of order or by a wrong worker, and no session lost its state\n"
	       "  --seconds S     how long (default 10, or no limit with --messages)\n"
	       "  --service S     whose sessions are moved\n");
	number_options_help(options, N_OPTIONS);
	printf("Memory: 5 bytes a message, 150 a session, 16 more for each source.\n\n");
	load_tcp_help();
	return CLI_OK;
}

static int option_parse(const struct cli *cli, const char *name, const char *value, struct udp_load_config *c)
{
	if (!strcmp(name, "--seconds"))
		return seconds_option_parse(cli, "load", value, &c->seconds);
	if (!strcmp(name, "--service")) {
		c->service = value;
		return CLI_OK;
	}
	return number_option_parse(cli, "load", options, N_OPTIONS, name, value, c);
}

/* What depends on other options, and what they must have in common. */
static int options_complete(const struct cli *cli, struct udp_load_config *c)
{
	if (c->rate == NOT_GIVEN)
		c->rate = c->window ? 0 : RATE_DEFAULT;
	if (!c->seconds && !c->n_messages)
		c->seconds = SECONDS_DEFAULT;
	if (!c->n_workers)
		c->n_workers = c->n_owners ? c->n_owners : 2;
	if (!c->rate && !c->window)
		return cli_usage(cli, "load: --rate 0 needs --window");
	if (c->n_sources > c->n_sockets)
		return cli_usage(cli, "load: --sources %u: there are --sockets %u", c->n_sources, c->n_sockets);
	if (c->moves_rate && (!c->service || !instance_name_valid(c->service)))
		return cli_usage(cli, "load: --moves needs --service and its name");
	return CLI_OK;
}

static int load_udp(struct cli *cli, int argc, char **argv)
{
	struct udp_load_config config = {
		.n_sessions = 1000, .n_sockets = 8, .n_sources = 1, .rate = NOT_GIVEN, .len = FRAME_LEN_MIN, .drain_s = 2,
		.instance = cli->instance,
	};
	struct udp_load_result result;
	struct load_table table = {};
	char why[UDP_LOAD_WHY_LEN];
	int i, ret;

	if (argc < 1)
		return cli_usage(cli, "load udp: expected ADDR:PORT; see: xsr load help");
	ret = address_option_parse(cli, "load", argv[0], false, &config.address);
	for (i = 1; i < argc && !ret; i += 2)
		ret = i + 1 < argc ? option_parse(cli, argv[i], argv[i + 1], &config) :
				     cli_usage(cli, "load: '%s' needs a value", argv[i]);
	ret = ret ? ret : options_complete(cli, &config);
	if (ret)
		return ret;
	ret = udp_load_run(&config, &result, &stopped, load_table_draw, &table, why);
	if (ret == -EFBIG)
		return cli_usage(cli, "load: %s", why);
	if (ret)
		return cli_failed(cli, "load: %s", why);
	ret = load_result_print(cli, &config, &result);
	return ret ? ret : udp_load_clean(&result) ? CLI_OK : CLI_FAILED;
}

int cmd_load(struct cli *cli, int argc, char **argv)
{
	struct sigaction action = { .sa_handler = on_signal };

	if (argc >= 1 && !strcmp(argv[0], "help"))
		return load_help();
	if (argc < 1 || (strcmp(argv[0], "udp") && strcmp(argv[0], "tcp")))
		return cli_usage(cli, "load: expected udp|tcp ADDR:PORT; see: xsr load help");
	sigaction(SIGINT, &action, NULL);
	sigaction(SIGTERM, &action, NULL);
	return !strcmp(argv[0], "udp") ? load_udp(cli, argc - 1, argv + 1) : load_tcp(cli, argc - 1, argv + 1, &stopped);
}
