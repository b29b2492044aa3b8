/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Round trips: one ping in flight on the narrow wire, the client on the traffic's core, the server on the
 * workers'.
 */
#include <errno.h>
#include <stdio.h>

#include "clock.h"
#include "pinger.h"
#include "row.h"

#define PINGS_MIN 1000 /* fewer have no p99.9 */
#define STEP_NS (10 * NS_PER_MS)

static int pinger_start(const struct bench *b, const struct row *row, struct child *pinger,
			char why[LAB_WHY_LEN])
{
	const struct lab_device *from = &b->lab.devices[LAB_NARROW][LAB_CLIENT];
	struct pinger_params params = {
		.device = from->name,
		.sockets_fd = traffic_sockets_fd(b->traffic),
		.warmup_ns = b->profile.warmup_ns,
		.measure_ns = b->profile.ping_ns,
	};
	const struct child_params child = {
		.lab = &b->lab,
		.side = LAB_CLIENT,
		.cpu = b->cpu_traffic,
		.main = pinger_main,
		.arg = &params,
	};

	params.frame_len = datagram_fill(params.frame, from, &b->lab.devices[LAB_NARROW][LAB_SERVER],
					 bench_port(row->service), row->payload_len, BENCH_ID_FIRST);
	return child_start(pinger, &child, why);
}

static int pinger_wait(struct bench *b, struct child *pinger, char why[LAB_WHY_LEN])
{
	int ret = 0;

	while (!ret && child_alive(pinger, NULL))
		ret = bench_sleep(b, STEP_NS);
	if (!ret && atomic_load(&pinger->report->state) == CHILD_FAILED) {
		snprintf(why, LAB_WHY_LEN, "%s", pinger->report->why);
		ret = -EIO;
	}
	return ret;
}

static double us(uint64_t ns)
{
	return ns / 1000.0;
}

static int result_take(const struct child_report *report, struct sample *sample, char why[LAB_WHY_LEN])
{
	const struct histogram *rtt_ns = &report->rtt_ns;

	if (rtt_ns->n < PINGS_MIN) {
		snprintf(why, LAB_WHY_LEN, "only %llu pings were answered in time",
			 (unsigned long long)rtt_ns->n);
		return -EIO;
	}
	sample->value = us(histogram_percentile(rtt_ns, 500));
	sample->p99 = us(histogram_percentile(rtt_ns, 990));
	sample->p999 = us(histogram_percentile(rtt_ns, 999));
	sample->n_lost = report->n_lost;
	return 0;
}

int sample_rtt(struct bench *b, const struct row *row, struct sample *sample, char why[LAB_WHY_LEN])
{
	struct child server = {}, pinger = {};
	int ret = bench_routes_load(b, row->service, row->n_ids, why);

	if (!ret)
		ret = row_attach(b, row, LAB_NARROW, TRAFFIC_RECEIVE, why);
	if (!ret)
		ret = row_server_start(b, row, LAB_NARROW, &server, why);
	if (!ret) {
		snprintf(sample->mode, sizeof(sample->mode), "%s", server.report->mode);
		ret = pinger_start(b, row, &pinger, why);
	}
	if (!ret)
		ret = pinger_wait(b, &pinger, why);
	if (!ret)
		ret = result_take(pinger.report, sample, why);
	child_stop(&pinger);
	child_stop(&server);
	return ret;
}
