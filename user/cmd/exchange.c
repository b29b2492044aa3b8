/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#include <signal.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include "cli.h"
#include "clock.h"
#include "exchange.h"
#include "options.h"

#define IDLE_NS NS_PER_S /* it wakes up so often, whatever comes */

static volatile sig_atomic_t stopped, asked;

static void on_signal(int signo)
{
	if (signo == SIGUSR1)
		asked = 1;
	else
		stopped = 1;
}

struct exchange_command {
	struct exchange_config config;
	double seconds; /* 0 = until a signal */
	uint32_t queue_kib, memory_mib;
};

static const struct number_option options[] = {
#define OPTION(field) NUMBER_OPTION(exchange_command, field)
	{ "--service-us", OPTION(config.service_us), 0, 60000000, "each reply waits for so long (default 0)" },
	{ "--jitter-us", OPTION(config.jitter_us), 0, 60000000, "and for up to so much more, at random (default 0)" },
	{ "--sndbuf", OPTION(config.sndbuf), 0, 1 << 30, "bytes of a socket's send buffer (default 0: the kernel decides)" },
	{ "--rcvbuf", OPTION(config.rcvbuf), 0, 1 << 30, "bytes of its receive buffer (default 0)" },
	{ "--stall-after", OPTION(config.stall_after), 1, UINT64_MAX, "a connection that brought so many bytes is not read any more" },
	{ "--sessions-max", OPTION(config.n_sessions_max), 1, 1 << 24, "sessions that are known (default 65536)" },
	{ "--keep", OPTION(config.n_kept), 0, 65536, "replies of a session that can be sent again (default 64)" },
	{ "--waiting", OPTION(config.n_waiting_max), 1, 1 << 24, "replies that wait at most (default 65536)" },
	{ "--queue", OPTION(queue_kib), 1, 1 << 20, "KiB of replies that a connection may queue (default 1024)" },
	{ "--memory", OPTION(memory_mib), 1, 1 << 20, "MiB that all queues may take (default 4096)" },
	{ "--backlog", OPTION(config.backlog), 1, 1 << 20, "connections that wait to be accepted (default 32768)" },
#undef OPTION
};

#define N_OPTIONS (sizeof(options) / sizeof(options[0]))

static int exchange_help(void)
{
	printf("xsr exchange ADDR:PORT [OPTION N]...\n"
	       "        a backend: answers the frames of a router, or of `xsr load tcp`, and checks them; at its end, and on\n"
	       "        SIGUSR1, it says what came; exit 0 if all of that was whole and in order\n"
	       "  --seconds S     how long (default: until SIGTERM or SIGINT)\n");
	number_options_help(options, N_OPTIONS);
	printf("Memory: 32 bytes for each reply that may be kept (65536 sessions with --keep 64: 128 MiB).\n");
	return CLI_OK;
}

/* Numbers as they are printed, in this order. */
static const struct {
	const char *name;
	size_t offset;
} fields[] = {
#define FIELD(field) { #field, offsetof(struct exchange_counts, field) }
	FIELD(frames), FIELD(bytes), FIELD(inversions), FIELD(gaps), FIELD(sessions), FIELD(torn), FIELD(again), FIELD(stale),
	FIELD(no_handshake), FIELD(unexpected), FIELD(replies), FIELD(resent), FIELD(not_kept), FIELD(resumed), FIELD(evicted),
	FIELD(sessions_full), FIELD(sessions_now), FIELD(connections), FIELD(links), FIELD(connections_now),
	FIELD(closed_half_frame), FIELD(closed_reset), FIELD(closed_bad_len), FIELD(closed_bad_version), FIELD(closed_bad_type),
	FIELD(closed_no_memory), FIELD(stalls),
#undef FIELD
};

#define N_FIELDS (sizeof(fields) / sizeof(fields[0]))

static uint64_t field_value(const struct exchange_counts *counts, size_t i)
{
	return *(const uint64_t *)((const char *)counts + fields[i].offset);
}

static void counts_print(const struct cli *cli, const struct exchange_counts *counts)
{
	json_t *o;
	size_t i;

	if (cli->json) {
		o = json_object();
		for (i = 0; i < N_FIELDS; i++)
			json_object_set_new(o, fields[i].name, json_integer(field_value(counts, i)));
		cli_json(cli, "exchange", o);
		return;
	}
	printf("exchange:");
	for (i = 0; i < N_FIELDS; i++)
		printf(" %s=%llu", fields[i].name, (unsigned long long)field_value(counts, i));
	putchar('\n');
	fflush(stdout);
}

static int option_parse(const struct cli *cli, const char *name, const char *value, struct exchange_command *command)
{
	if (!strcmp(name, "--seconds"))
		return seconds_option_parse(cli, "exchange", value, &command->seconds);
	return number_option_parse(cli, "exchange", options, N_OPTIONS, name, value, command);
}

static int arguments_parse(const struct cli *cli, int argc, char **argv, struct exchange_command *command)
{
	int i, ret;

	if (argc < 1)
		return cli_usage(cli, "exchange: expected ADDR:PORT; see: xsr exchange help");
	ret = address_option_parse(cli, "exchange", argv[0], true, &command->config.address);
	for (i = 1; i < argc && !ret; i += 2)
		ret = i + 1 < argc ? option_parse(cli, argv[i], argv[i + 1], command) :
				     cli_usage(cli, "exchange: '%s' needs a value", argv[i]);
	command->config.queue_max = command->queue_kib << 10;
	command->config.memory_max = (uint64_t)command->memory_mib << 20;
	return ret;
}

/* They come only while the exchange waits: none is missed between a look at it and the next wait. */
static void signals_catch(sigset_t *waiting_mask)
{
	static const int signals[] = { SIGTERM, SIGINT, SIGUSR1 };
	struct sigaction action = { .sa_handler = on_signal };
	sigset_t blocked;
	size_t i;

	sigemptyset(&blocked);
	for (i = 0; i < sizeof(signals) / sizeof(signals[0]); i++) {
		sigaction(signals[i], &action, NULL);
		sigaddset(&blocked, signals[i]);
	}
	sigprocmask(SIG_BLOCK, &blocked, waiting_mask);
	for (i = 0; i < sizeof(signals) / sizeof(signals[0]); i++)
		sigdelset(waiting_mask, signals[i]);
}

static uint64_t left_ns(const struct exchange_command *command, uint64_t end_ns)
{
	uint64_t now_ns = clock_now_ns();

	if (!command->seconds)
		return IDLE_NS;
	return now_ns < end_ns ? end_ns - now_ns : 0;
}

static int exchange_run(struct cli *cli, struct exchange *exchange, const struct exchange_command *command,
			const sigset_t *waiting_mask)
{
	const uint64_t end_ns = clock_now_ns() + command->seconds * NS_PER_S;
	uint64_t left;
	int ret = 0;

	while (!ret && !stopped && (left = left_ns(command, end_ns))) {
		ret = exchange_turn(exchange, left < IDLE_NS ? left : IDLE_NS, waiting_mask);
		if (asked)
			counts_print(cli, exchange_counts(exchange));
		asked = 0;
	}
	counts_print(cli, exchange_counts(exchange));
	if (ret)
		return cli_failed(cli, "exchange: cannot wait for connections: %s", strerror(-ret));
	return exchange_clean(exchange_counts(exchange)) ? CLI_OK : CLI_FAILED;
}

int cmd_exchange(struct cli *cli, int argc, char **argv)
{
	struct exchange_command command = {
		.config = { .n_sessions_max = 65536, .n_kept = 64, .n_waiting_max = 65536, .backlog = 32768 },
		.queue_kib = 1024,
		.memory_mib = 4096,
	};
	char why[EXCHANGE_WHY_LEN];
	struct exchange *exchange;
	sigset_t waiting_mask;
	int ret;

	if (argc >= 1 && !strcmp(argv[0], "help"))
		return exchange_help();
	ret = arguments_parse(cli, argc, argv, &command);
	if (ret)
		return ret;
	files_limit_raise();
	signals_catch(&waiting_mask);
	if (exchange_open(&exchange, &command.config, why))
		return cli_failed(cli, "exchange: %s: %s", argv[0], why);
	ret = exchange_run(cli, exchange, &command, &waiting_mask);
	exchange_close(exchange);
	return ret;
}
