/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#include <errno.h>
#include <stdio.h>

#include "cli.h"
#include "instance.h"
#include "move.h"
#include "move_file.h"
#include "moves.h"
#include "router_client.h"
#include "service_spec.h"

/* What can be no service's name, as it can be no instance's, is not worth asking the router. */
static int service_check(const struct cli *cli, const char *name)
{
	return instance_name_valid(name) ? CLI_OK : cli_failed(cli, "no service '%s'; see: xsr service show", name);
}

static int move_one(struct cli *cli, int argc, char **argv)
{
	char why[TARGET_WHY_LEN];
	json_t *move;
	int ret = move_parse(argc - 1, argv + 1, &move, why);

	if (ret)
		return cli_usage(cli, "session move: %s", why);
	if (service_check(cli, argv[0])) {
		json_decref(move);
		return CLI_FAILED;
	}
	return moves_ask(cli, MOVE_OTHERWISE, json_pack("{s:s,s:s,s:[o]}", "command", "session move", "service", argv[0],
							"moves", move));
}

static int session_move(struct cli *cli, int argc, char **argv)
{
	if (argc == 2)
		return service_check(cli, argv[0]) ? CLI_FAILED : move_file(cli, argv[0], argv[1]);
	if (argc == 4)
		return move_one(cli, argc, argv);
	return cli_usage(cli, "session move: expected SERVICE ID worker N | backend NAME, or SERVICE FILE|-");
}

/* Sessions are printed as they come: a million of them are never held at once. */
struct session_printer {
	const struct cli *cli;
	size_t n;
};

static void printer_begin(const struct session_printer *printer)
{
	if (!printer->cli->json)
		printf("%-16s %-18s %6s %-9s %10s %8s %12s %8s %8s %8s  %s\n", "service", "id", "worker", "state", "generation",
		       "held", "messages", "handoffs", "moved", "heard", "backend");
	else
		printf(printer->cli->pretty ? "{\n \"schema\": \"xsr/1\",\n \"sessions\": [\n  "
					    : "{\"schema\":\"xsr/1\",\"sessions\":[");
}

static void printer_end(const struct session_printer *printer)
{
	if (printer->cli->json)
		printf(printer->cli->pretty ? "\n ]\n}\n" : "]}\n");
}

/* How long ago: "12ms", "12s", "12m", "12h" or "never". */
static const char *ago_text(json_int_t ms, char buf[16])
{
	if (ms < 0)
		return "never";
	if (ms < 10 * 1000)
		snprintf(buf, 16, "%lldms", (long long)ms);
	else if (ms < 600 * 1000)
		snprintf(buf, 16, "%llds", (long long)ms / 1000);
	else if (ms < 36000 * 1000)
		snprintf(buf, 16, "%lldm", (long long)ms / 60000);
	else
		snprintf(buf, 16, "%lldh", (long long)ms / 3600000);
	return buf;
}

static json_int_t session_number(const json_t *session, const char *key)
{
	return json_integer_value(json_object_get(session, key));
}

static const char *session_word(const json_t *session, const char *key)
{
	const char *word = json_string_value(json_object_get(session, key));

	return word ? word : "?";
}

static void session_print(const json_t *session)
{
	char moved[16], heard[16];

	printf("%-16s %-18s %6lld %-9s %10lld %8lld %12lld %8lld %8s %8s  %s\n", session_word(session, "service"),
	       session_word(session, "id"), (long long)session_number(session, "worker"),
	       session_word(session, "state"),
	       (long long)session_number(session, "generation"), (long long)session_number(session, "held"),
	       (long long)session_number(session, "messages"), (long long)session_number(session, "handoffs"),
	       ago_text(session_number(session, "moved_ms_ago"), moved),
	       ago_text(session_number(session, "heard_ms_ago"), heard),
	       json_string_value(json_object_get(session, "backend")) ?: "-");
}

static void session_print_json(const struct session_printer *printer, const json_t *session)
{
	if (printer->n)
		printf(printer->cli->pretty ? ",\n  " : ",");
	json_dumpf(session, stdout, JSON_COMPACT);
}

static void sessions_print(const json_t *line, void *arg)
{
	struct session_printer *printer = arg;
	json_t *session;
	size_t i;

	json_array_foreach(json_object_get(line, "sessions"), i, session) {
		if (!printer->n)
			printer_begin(printer);
		if (printer->cli->json)
			session_print_json(printer, session);
		else
			session_print(session);
		printer->n++;
	}
}

static json_t *show_request(int argc, char **argv, uint64_t id)
{
	json_t *request = json_pack("{s:s}", "command", "session show");
	char text[24];

	snprintf(text, sizeof(text), "0x%llx", (unsigned long long)id);
	if (argc > 0)
		json_object_set_new(request, "service", json_string(argv[0]));
	if (argc > 1)
		json_object_set_new(request, "id", json_string(text));
	return request;
}

static int sessions_show(struct cli *cli, json_t *request, bool one)
{
	struct session_printer printer = { .cli = cli };
	json_t *result = NULL;
	int ret = router_client_ask(cli, "routes are shown without one: xsr route show", request, sessions_print, &printer,
				    &result);

	json_decref(result);
	if (!ret && !printer.n && one)
		return cli_failed(cli, "no worker has that session; its route, if it has one: xsr route show SERVICE ID");
	if (!ret && !printer.n)
		printer_begin(&printer);
	if (!ret || printer.n)
		printer_end(&printer);
	return ret;
}

static int session_show(struct cli *cli, int argc, char **argv)
{
	uint64_t id = 0;

	if (argc > 2)
		return cli_usage(cli, "session show: expected [SERVICE [ID]]");
	if (argc == 2 && number_parse(argv[1], UINT64_MAX, &id))
		return cli_usage(cli, "ID '%s': expected a decimal or 0x number of at most 64 bits", argv[1]);
	if (argc && service_check(cli, argv[0]))
		return CLI_FAILED;
	return sessions_show(cli, show_request(argc, argv, id), argc == 2);
}

static const struct cli_verb verbs[] = {
	{ "move", session_move, "SERVICE ID worker N | SERVICE ID backend NAME | SERVICE FILE|-",
	  "with their state, and without losing a message; lines of 'ID worker N' or 'ID backend NAME' as they come" },
	{ "show", session_show, "[SERVICE [ID]]", "sessions that the workers of the running router know" },
	{},
};

int cmd_session(struct cli *cli, int argc, char **argv)
{
	return cli_dispatch(cli, "session", verbs, argc, argv);
}
