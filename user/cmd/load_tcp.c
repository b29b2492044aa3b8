/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#include "load_tcp.h"

#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include "clock.h"
#include "options.h"
#include "stream_frame.h"
#include "tcp_load.h"

#define SECONDS_DEFAULT 10
#define FILES_SPARE 64 /* descriptors that are no connections */
#define LEN_DEFAULT 104
#define PERF_LEN_MIN (XSR_FRAME_HEADER_LEN + sizeof(struct xsr_frame_perf))

static const struct number_option options[] = {
#define OPTION(field) NUMBER_OPTION(tcp_load_config, field)
	{ "--connections", OPTION(n_connections), 1, 1 << 20, "how many (default 8)" },
	{ "--sessions", OPTION(n_sessions), 1, 1 << 24, "spread over them (default: one each)" },
	{ "--first", OPTION(first_id), 1, UINT64_MAX, "the first session's ID (default 1)" },
	{ "--threads", OPTION(n_threads), 1, 256, "that share the connections (default 1)" },
	{ "--size", OPTION(len), XSR_FRAME_HEADER_LEN, STREAM_FRAME_MAX, "bytes of a frame (default 104)" },
	{ "--size-max", OPTION(len_max), XSR_FRAME_HEADER_LEN, STREAM_FRAME_MAX, "frames of random length, from --size to this" },
	{ "--window", OPTION(window), 1, 65536, "unanswered requests of a session at most (default 16)" },
	{ "--rate", OPTION(rate), 0, 1 << 24, "requests a second, of all sessions; 0 = as fast as the window allows (default)" },
	{ "--messages", OPTION(n_messages), 1, UINT32_MAX, "end after so many" },
	{ "--deadline", OPTION(deadline_ms), 1, 86400000, "ms until a session that hears nothing is given up (default 10000)" },
	{ "--reconnect", OPTION(drop_rate), 0, 1 << 20, "connections a second that are dropped and come back (default 0)" },
	{ "--slow-reader", OPTION(n_slow), 0, 1 << 20, "connections that read slowly (default 0)" },
	{ "--slow-rate", OPTION(slow_rate), 10, 1 << 30, "bytes a second that those read (default 10000)" },
	{ "--sndbuf", OPTION(sndbuf), 0, 1 << 30, "bytes of a socket's send buffer (default 0: the kernel decides)" },
	{ "--rcvbuf", OPTION(rcvbuf), 0, 1 << 30, "bytes of its receive buffer (default 0)" },
	{ "--seed", OPTION(seed), 0, UINT64_MAX, "of all that is random (default: the time)" },
#undef OPTION
};

#define N_OPTIONS (sizeof(options) / sizeof(options[0]))

/* Options without a value. */
static const struct {
	const char *name;
	size_t offset;
	const char *meaning;
} flags[] = {
#define FLAG(field) offsetof(struct tcp_load_config, field)
	{ "--assign", FLAG(assign), "the server chooses the sessions' IDs" },
	{ "--perf", FLAG(perf), "PERF frames instead of ECHO" },
	{ "--cut", FLAG(cut), "written in pieces of random length" },
#undef FLAG
};

#define N_FLAGS (sizeof(flags) / sizeof(flags[0]))

void load_tcp_help(void)
{
	size_t i;

	printf("xsr load tcp ADDR:PORT [OPTION [N]]...\n"
	       "        send numbered frames on many sessions over TCP, compare every byte of every answer; exit 0 if each request\n"
	       "        was answered or covered by an error, once and in order\n"
	       "  --seconds S     how long (default 10, or no limit with --messages)\n");
	number_options_help(options, N_OPTIONS);
	for (i = 0; i < N_FLAGS; i++)
		printf("  %-14s  %s\n", flags[i].name, flags[i].meaning);
	printf("Memory: 16 bytes a request under way, 200 a session, 1 MiB and more a connection that has as much to write or to read.\n");
}

/* --- options --- */

static bool flag_take(const char *name, struct tcp_load_config *c)
{
	size_t i;

	for (i = 0; i < N_FLAGS; i++)
		if (!strcmp(name, flags[i].name))
			return *(bool *)((char *)c + flags[i].offset) = true;
	return false;
}

static int option_parse(const struct cli *cli, const char *name, const char *value, struct tcp_load_config *c)
{
	if (!value)
		return cli_usage(cli, "load: '%s' needs a value", name);
	if (!strcmp(name, "--seconds"))
		return seconds_option_parse(cli, "load", value, &c->seconds);
	return number_option_parse(cli, "load", options, N_OPTIONS, name, value, c);
}

static int options_parse(const struct cli *cli, int argc, char **argv, struct tcp_load_config *c)
{
	int i, ret = CLI_OK;

	for (i = 0; i < argc && !ret; i++)
		if (!flag_take(argv[i], c)) {
			ret = option_parse(cli, argv[i], i + 1 < argc ? argv[i + 1] : NULL, c);
			i++;
		}
	return ret;
}

static void defaults_fill(struct tcp_load_config *c)
{
	if (!c->n_sessions)
		c->n_sessions = c->n_connections;
	if (!c->seconds && !c->n_messages)
		c->seconds = SECONDS_DEFAULT;
	if (c->n_threads > c->n_connections)
		c->n_threads = c->n_connections;
	if (!c->seed)
		c->seed = clock_now_ns();
}

static int options_check(const struct cli *cli, const struct tcp_load_config *c)
{
	uint64_t files = files_limit_raise();

	if (c->n_sessions < c->n_connections)
		return cli_usage(cli, "load: --sessions %u: there are --connections %u, and each has one", c->n_sessions,
				 c->n_connections);
	if (c->n_connections + FILES_SPARE > files)
		return cli_usage(cli, "load: --connections %u: this process may have %llu descriptors; see ulimit -Hn",
				 c->n_connections, (unsigned long long)files);
	if (c->perf && c->len < PERF_LEN_MIN)
		return cli_usage(cli, "load: --size %u: a PERF frame has at least %zu bytes", c->len, PERF_LEN_MIN);
	if (c->len_max && c->len_max < c->len)
		return cli_usage(cli, "load: --size-max %u: --size is %u", c->len_max, c->len);
	return CLI_OK;
}

/* --- the result --- */

/* Numbers as they are printed, in this order; the first seven are cut out by scripts. */
static const struct {
	const char *name;
	size_t offset;
	enum { COUNT, MICROSECONDS, PER_SECOND, REAL } unit;
} fields[] = {
#define FIELD(field) offsetof(struct tcp_load_result, field)
	{ "sent", FIELD(requests.sent) },
	{ "answered", FIELD(requests.answered) },
	{ "errors", FIELD(errors) },
	{ "lost", FIELD(lost) },
	{ "duplicated", FIELD(requests.duplicated) },
	{ "reordered", FIELD(requests.reordered) },
	{ "torn", FIELD(torn) },
	{ "error_no_backend", FIELD(requests.errors[XSR_ERROR_NO_BACKEND]) },
	{ "error_stale", FIELD(requests.errors[XSR_ERROR_STALE]) },
	{ "error_deadline", FIELD(requests.errors[XSR_ERROR_DEADLINE]) },
	{ "error_overflow", FIELD(requests.errors[XSR_ERROR_OVERFLOW]) },
	{ "error_no_handshake", FIELD(requests.errors[XSR_ERROR_NO_HANDSHAKE]) },
	{ "error_other", FIELD(requests.errors[0]) },
	{ "after_error", FIELD(requests.after_error) },
	{ "unknown", FIELD(requests.unknown) },
	{ "older", FIELD(requests.older) },
	{ "early", FIELD(early) },
	{ "unexpected", FIELD(unexpected) },
	{ "resent", FIELD(requests.resent) },
	{ "connected", FIELD(connected) },
	{ "connect_failures", FIELD(connect_failures) },
	{ "drops", FIELD(drops) },
	{ "reconnects", FIELD(reconnects) },
	{ "resumed", FIELD(resumed) },
	{ "forgotten", FIELD(forgotten) },
	{ "refused", FIELD(refused) },
	{ "given_up", FIELD(given_up) },
	{ "not_opened", FIELD(not_opened) },
	{ "bytes", FIELD(bytes) },
	{ "seconds", FIELD(seconds), REAL },
	{ "answered_per_s", FIELD(answered_per_s), PER_SECOND },
	{ "mb_per_s", FIELD(mb_per_s), REAL },
	{ "p50_us", FIELD(ns_p50), MICROSECONDS },
	{ "p99_us", FIELD(ns_p99), MICROSECONDS },
	{ "p999_us", FIELD(ns_p999), MICROSECONDS },
	{ "max_us", FIELD(ns_max), MICROSECONDS },
#undef FIELD
};

#define N_FIELDS (sizeof(fields) / sizeof(fields[0]))

static json_t *field_json(const struct tcp_load_result *r, size_t i)
{
	const void *at = (const char *)r + fields[i].offset;

	switch (fields[i].unit) {
	case COUNT:
		return json_integer(*(const uint64_t *)at);
	case MICROSECONDS:
		return json_real(*(const uint64_t *)at / 1e3);
	case PER_SECOND:
		return json_integer(*(const double *)at + 0.5);
	case REAL:
		return json_real(*(const double *)at);
	}
	return NULL;
}

static void field_print(const struct tcp_load_result *r, size_t i)
{
	json_t *value = field_json(r, i);

	if (json_is_integer(value))
		printf("%s%s=%" JSON_INTEGER_FORMAT, i ? " " : "", fields[i].name, json_integer_value(value));
	else
		printf("%s%s=%.1f", i ? " " : "", fields[i].name, json_real_value(value));
	json_decref(value);
}

static int result_print(const struct cli *cli, const struct tcp_load_result *r)
{
	json_t *o;
	size_t i;

	if (cli->json) {
		o = json_object();
		for (i = 0; i < N_FIELDS; i++)
			json_object_set_new(o, fields[i].name, field_json(r, i));
		return cli_json(cli, "load", o);
	}
	for (i = 0; i < N_FIELDS; i++)
		field_print(r, i);
	putchar('\n');
	return CLI_OK;
}

/* What was there at the last report. */
struct progress {
	uint64_t answered, bytes;
	double elapsed_s;
};

static void progress_draw(const struct tcp_load_result *r, double elapsed_s, void *arg)
{
	struct progress *before = arg;
	double seconds = elapsed_s - before->elapsed_s;

	cli_progress("%5.0f s  answered %llu  %.0f /s  %.1f MB/s  under way %llu  errors %llu  reconnects %llu  wrong %llu", elapsed_s,
		     (unsigned long long)r->requests.answered, (r->requests.answered - before->answered) / seconds,
		     (r->bytes - before->bytes) / seconds / 1e6,
		     (unsigned long long)(r->requests.sent - r->requests.answered - r->errors), (unsigned long long)r->errors,
		     (unsigned long long)r->reconnects,
		     (unsigned long long)(r->torn + r->requests.duplicated + r->requests.reordered + r->requests.after_error));
	*before = (struct progress){ r->requests.answered, r->bytes, elapsed_s };
}

int load_tcp(struct cli *cli, int argc, char **argv, const volatile bool *stop)
{
	struct tcp_load_config config = {
		.n_connections = 8, .n_threads = 1, .first_id = 1, .len = LEN_DEFAULT, .window = 16, .deadline_ms = 10000,
		.slow_rate = 10000,
	};
	struct tcp_load_result result;
	struct progress progress = {};
	char why[TCP_LOAD_WHY_LEN];
	int ret;

	if (argc < 1)
		return cli_usage(cli, "load tcp: expected ADDR:PORT; see: xsr load help");
	ret = address_option_parse(cli, "load", argv[0], false, &config.address);
	ret = ret ? ret : options_parse(cli, argc - 1, argv + 1, &config);
	if (ret)
		return ret;
	defaults_fill(&config);
	ret = options_check(cli, &config);
	if (ret)
		return ret;
	ret = tcp_load_run(&config, &result, stop, progress_draw, &progress, why);
	cli_progress_end();
	if (ret)
		return cli_failed(cli, "load: %s", why);
	ret = result_print(cli, &result);
	return ret ? ret : tcp_load_clean(&result) ? CLI_OK : CLI_FAILED;
}
