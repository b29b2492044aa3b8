/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* How the result of a stream scenario is told: as columns, in the order of metrics.csv, and as files in a folder of its own. */
#ifndef XSR_STREAM_REPORT_H
#define XSR_STREAM_REPORT_H

#include <jansson.h>
#include <stdio.h>

#include "stream_scenario.h"

#define STREAM_VALUE_LEN 80
#define STREAM_PASS_COLUMN 17 /* from 1: where scripts find it */

struct stream_report {
	const struct stream_params *params;
	const struct stream_outcome *outcome;
	const char *profile;
	const char *git_rev;
	const char *verdict; /* PASS, FAIL or SKIP */
	const char *why;     /* of a SKIP; "" */
	int exit_status;
};

extern const char *const stream_scenario_names[STREAM_SCENARIOS];

/* The name of column i, from 0; NULL past the last. Its value as text; "" if there is none. */
const char *stream_column(unsigned int i);
const char *stream_value(const struct stream_report *report, unsigned int i, char text[STREAM_VALUE_LEN]);

/* "RESULT name=value ...", with what has a value. */
void stream_result_print(const struct stream_report *report, FILE *out);

/* The two lines of metrics.csv. */
void stream_metrics_print(const struct stream_report *report, FILE *out);

/* All columns, numbers as such. */
json_t *stream_report_json(const struct stream_report *report);

/*
 * Makes DIR/stream-SCENARIO/TIME/ with report.txt, metrics.csv and summary.json; `environment` is borrowed. 0 and where it is, or
 * -errno with a sentence.
 */
int stream_report_write(const struct stream_report *report, const char *dir, json_t *environment, char path[256],
			char why[LAB_WHY_LEN]);

#endif /* XSR_STREAM_REPORT_H */
