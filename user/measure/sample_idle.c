/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* A router that has nothing to do: what it takes of a core. */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "clock.h"
#include "row.h"

static int idle_measure(struct bench *b, const struct child *server, double *percent)
{
	uint64_t start_ns, before_ns, after_ns;
	int ret = bench_sleep(b, b->profile.warmup_ns);

	if (!ret)
		ret = child_cpu_ns(server, &before_ns);
	start_ns = clock_now_ns();
	if (!ret)
		ret = bench_sleep(b, b->profile.idle_ns);
	if (!ret)
		ret = child_cpu_ns(server, &after_ns);
	if (!ret)
		*percent = 100.0 * (after_ns - before_ns) / (clock_now_ns() - start_ns);
	return ret;
}

int sample_idle(struct bench *b, const struct row *row, struct sample *sample, char why[LAB_WHY_LEN])
{
	struct child server = {};
	int ret = bench_routes_load(b, row->service, row->n_ids, why);

	if (!ret)
		ret = row_attach(b, row, LAB_WIDE, TRAFFIC_DROP, why);
	if (!ret)
		ret = row_server_start(b, row, LAB_WIDE, &server, why);
	if (!ret) {
		snprintf(sample->mode, sizeof(sample->mode), "%s", server.report->mode);
		ret = idle_measure(b, &server, &sample->value);
		if (ret && ret != -EINTR)
			snprintf(why, LAB_WHY_LEN, "cannot read the router's processor time: %s",
				 strerror(-ret));
	}
	child_stop(&server);
	return ret;
}
