/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* What became of sessions that were moved, as the router tells it; for `session move` and the commands of workers. */
#ifndef XSR_MOVES_H
#define XSR_MOVES_H

#include "cli.h"

/* Results, summed up. Zero to begin with, moves_free() at the end. */
struct moves {
	json_int_t n_moved, n_along, n_unchanged, n_without_state, n_failed;
	unsigned int n_results;
	double time_ms;
	json_t *failures; /* the first of them: lists of an ID and a sentence */
};

/* Adds a result; time_ms is that of the last one. What failed is said on stderr, up to 16 sessions in all. */
void moves_add(const struct cli *cli, struct moves *moves, const json_t *result);

/* Prints the sum. CLI_OK, or CLI_FAILED if any failed. */
int moves_print(const struct cli *cli, struct moves *moves);
void moves_free(struct moves *moves);

/* Sends a request that moves sessions, waits, prints what became of them. Takes the reference. Exit status. */
int moves_ask(const struct cli *cli, const char *otherwise, json_t *request);

#endif /* XSR_MOVES_H */
