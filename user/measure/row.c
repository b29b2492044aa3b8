/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#include "row.h"

#include <stdio.h>
#include <string.h>

static int program_fd(const struct bench *b, enum row_program program)
{
	switch (program) {
	case ROW_STEER:
		return b->steer_fd;
	case ROW_DROP:
		return traffic_program_fd(b->traffic, TRAFFIC_DROP);
	case ROW_PASS:
		return traffic_program_fd(b->traffic, TRAFFIC_PASS);
	default:
		return -1;
	}
}

int row_attach(const struct bench *b, const struct row *row, enum lab_wire wire, enum traffic_program client,
	       char why[LAB_WHY_LEN])
{
	int ret = lab_attach(&b->lab, wire, LAB_SERVER, program_fd(b, row->program));

	if (!ret)
		ret = lab_attach(&b->lab, wire, LAB_CLIENT, traffic_program_fd(b->traffic, client));
	if (ret)
		snprintf(why, LAB_WHY_LEN, "cannot attach an XDP program natively to veth: %s",
			 strerror(-ret));
	return ret;
}

int row_server_start(const struct bench *b, const struct row *row, enum lab_wire wire, struct child *server,
		     char why[LAB_WHY_LEN])
{
	struct server_params params = row->server;
	const struct child_params child = {
		.lab = &b->lab,
		.side = LAB_SERVER,
		.cpu = b->cpu_worker,
		.main = params.kind == SERVER_XSR ? server_xsr_main : server_udp_main,
		.arg = &params,
	};

	params.worker = bench_worker(b, row->service);
	params.device = b->lab.devices[wire][LAB_SERVER].name;
	params.port = bench_port(row->service);
	return params.kind == SERVER_NONE ? 0 : child_start(server, &child, why);
}
