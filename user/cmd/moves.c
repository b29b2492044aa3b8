/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#include "moves.h"

#include <stdio.h>

#include "router_client.h"

#define FAILURES_MAX 16

static json_int_t result_count(const json_t *result, const char *key)
{
	return json_integer_value(json_object_get(result, key));
}

static void failure_add(const struct cli *cli, struct moves *moves, json_t *failure)
{
	const char *id = json_string_value(json_array_get(failure, 0));
	const char *why = json_string_value(json_array_get(failure, 1));

	if (!moves->failures)
		moves->failures = json_array();
	if (!id || !why || json_array_size(moves->failures) == FAILURES_MAX)
		return;
	cli_progress_end();
	cli_failed(cli, "session %s: %s", id, why);
	json_array_append(moves->failures, failure);
}

void moves_add(const struct cli *cli, struct moves *moves, const json_t *result)
{
	json_t *failure;
	size_t i;

	moves->n_results++;
	moves->n_moved += result_count(result, "moved");
	moves->n_along += result_count(result, "along");
	moves->n_unchanged += result_count(result, "unchanged");
	moves->n_without_state += result_count(result, "without_state");
	moves->n_failed += result_count(result, "failed");
	moves->time_ms = json_number_value(json_object_get(result, "time_ms"));
	json_array_foreach(json_object_get(result, "failures"), i, failure)
		failure_add(cli, moves, failure);
}

static void sum_print(const struct moves *moves)
{
	printf("moved %lld session%s in %.1f ms", (long long)moves->n_moved, moves->n_moved == 1 ? "" : "s",
	       moves->time_ms);
	if (moves->n_along)
		printf(", %lld other%s along in %s", (long long)moves->n_along, moves->n_along == 1 ? "" : "s",
		       moves->n_moved == 1 ? "its connection" : "their connections");
	if (moves->n_unchanged)
		printf(", %lld %s there already", (long long)moves->n_unchanged, moves->n_unchanged == 1 ? "was" : "were");
	if (moves->n_without_state)
		printf(", %lld without their state", (long long)moves->n_without_state);
	if (moves->n_failed)
		printf(", %lld failed", (long long)moves->n_failed);
	putchar('\n');
}

static json_t *sum_json(const struct moves *moves)
{
	json_t *failures = moves->failures ? json_incref(moves->failures) : json_array();

	return json_pack("{s:I,s:I,s:I,s:I,s:I,s:o,s:f}", "moved", moves->n_moved, "along", moves->n_along, "unchanged",
			 moves->n_unchanged, "without_state", moves->n_without_state, "failed", moves->n_failed, "failures", failures,
			 "time_ms", moves->time_ms);
}

int moves_print(const struct cli *cli, struct moves *moves)
{
	json_int_t n_unsaid = moves->n_failed - (json_int_t)json_array_size(moves->failures);

	cli_progress_end();
	if (n_unsaid > 0 && json_array_size(moves->failures))
		cli_failed(cli, "%lld more sessions failed", (long long)n_unsaid);
	else if (n_unsaid > 0)
		cli_failed(cli, "%lld sessions failed", (long long)n_unsaid);
	if (cli->json)
		cli_json(cli, "moves", sum_json(moves));
	else
		sum_print(moves);
	return moves->n_failed ? CLI_FAILED : CLI_OK;
}

void moves_free(struct moves *moves)
{
	json_decref(moves->failures);
	moves->failures = NULL;
}

static void progress_draw(const json_t *line, void *arg)
{
	const json_t *progress = json_object_get(line, "progress");

	(void)arg;
	if (progress)
		cli_progress("moving: %lld of %lld sessions", (long long)result_count(progress, "done"),
			     (long long)result_count(progress, "of"));
}

int moves_ask(const struct cli *cli, const char *otherwise, json_t *request)
{
	struct moves moves = {};
	json_t *result = NULL;
	int ret = router_client_ask(cli, otherwise, request, progress_draw, NULL, &result);

	if (!ret) {
		moves_add(cli, &moves, result);
		ret = moves_print(cli, &moves);
	}
	moves_free(&moves);
	json_decref(result);
	return ret;
}
