/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* What `xsr load` shows while it runs, on stderr, and in the end, on stdout. */
#ifndef XSR_LOAD_PRINT_H
#define XSR_LOAD_PRINT_H

#include "cli.h"
#include "udp_load.h"

/* Drawn over itself some times a second. Begins as all zeroes. */
struct load_table {
	struct udp_load_result before;
	double before_s;
	int n_lines;
};

/* For udp_load_run(): `arg` is a struct load_table. Nothing unless stderr is a terminal. */
void load_table_draw(const struct udp_load_result *result, double elapsed_s, void *arg);

/* One line, as JSON if that is asked for; a warning if moves failed. CLI_OK, whatever the result says. */
int load_result_print(const struct cli *cli, const struct udp_load_config *config,
		      const struct udp_load_result *result);

#endif /* XSR_LOAD_PRINT_H */
