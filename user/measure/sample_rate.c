/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Rates: a generator floods the wide wire for the whole of a window, and what got through is counted where it
 * ends: frames that the device's program saw, messages that the server took, answers that came back.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "child.h"
#include "clock.h"
#include "counter.h"
#include "row.h"

static uint64_t meter_read(const struct bench *b, const struct row *row, const struct child *server)
{
	if (row->server.kind == SERVER_NONE)
		return lab_xdp_packets(&b->lab, LAB_WIDE, LAB_SERVER);
	if (row->server.echo)
		return lab_xdp_packets(&b->lab, LAB_WIDE, LAB_CLIENT);
	return atomic_load_explicit(&server->report->n_messages, memory_order_relaxed);
}

static int traffic_start(const struct bench *b, const struct row *row, struct child *traffic,
			 char why[LAB_WHY_LEN])
{
	const struct lab_device *from = &b->lab.devices[LAB_WIDE][LAB_CLIENT],
				*to = &b->lab.devices[LAB_WIDE][LAB_SERVER];
	struct traffic_params params = {
		.traffic = b->traffic,
		.ifindex = from->ifindex,
		.ids = bench_ids(b, row->service, row->n_ids),
	};
	const struct child_params child = {
		.lab = &b->lab,
		.side = LAB_CLIENT,
		.cpu = b->cpu_traffic,
		.main = traffic_main,
		.arg = &params,
	};

	params.frame_len =
		datagram_fill(params.frame, from, to, bench_port(row->service), row->payload_len, 0);
	return child_start(traffic, &child, why);
}

static int window_measure(struct bench *b, const struct row *row, const struct child *server, double *per_us)
{
	uint64_t start_ns, n;
	int ret = bench_sleep(b, b->profile.warmup_ns);

	if (ret)
		return ret;
	n = meter_read(b, row, server);
	start_ns = clock_now_ns();
	ret = bench_sleep(b, b->profile.window_ns);
	n = meter_read(b, row, server) - n;
	*per_us = n * 1000.0 / (clock_now_ns() - start_ns);
	return ret;
}

/* What the program did with the messages must be what the row is about: else another path was measured. */
static int path_check(struct bench *b, const struct row *row, const struct xsr_counters *before,
		      char why[LAB_WHY_LEN])
{
	enum xsr_stat stat = row->server.kind == SERVER_XSR ? XSR_STAT_ROUTE_WORKER : XSR_STAT_ROUTE_DROP;
	struct xsr_counters after;
	uint64_t n, n_all;
	int ret = counter_read_all(b->maps, &after);

	if (ret || row->program != ROW_STEER)
		return ret;
	n = after.n[stat] - before->n[stat];
	n_all = counter_sum(&after) - counter_sum(before);
	if (n && n == n_all)
		return 0;
	snprintf(why, LAB_WHY_LEN, "only %llu of %llu messages followed their route", (unsigned long long)n,
		 (unsigned long long)n_all);
	return -EPROTO;
}

static int traffic_measure(struct bench *b, const struct row *row, const struct child *server,
			   struct sample *sample, char why[LAB_WHY_LEN])
{
	struct xsr_counters before;
	struct child traffic = {};
	int ret = counter_read_all(b->maps, &before);

	if (!ret)
		ret = traffic_start(b, row, &traffic, why);
	if (!ret)
		ret = window_measure(b, row, server, &sample->value);
	if (!ret && !child_alive(&traffic, why))
		ret = -EIO;
	child_stop(&traffic);
	return ret ? ret : path_check(b, row, &before, why);
}

int sample_rate(struct bench *b, const struct row *row, struct sample *sample, char why[LAB_WHY_LEN])
{
	struct child server = {};
	int ret = bench_routes_load(b, row->service, row->n_ids, why);

	if (!ret)
		ret = row_attach(b, row, LAB_WIDE, TRAFFIC_DROP, why);
	if (!ret)
		ret = row_server_start(b, row, LAB_WIDE, &server, why);
	if (!ret) {
		snprintf(sample->mode, sizeof(sample->mode), "%s",
			 server.report ? server.report->mode : "xdp native");
		ret = traffic_measure(b, row, &server, sample, why);
	}
	if (!ret && server.report && !child_alive(&server, why))
		ret = -EIO;
	child_stop(&server);
	return ret;
}
