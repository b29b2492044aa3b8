/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* `xsr bench stream`: one run of a scenario of many connections, and the formulas of what it came to. */
#ifndef XSR_STREAM_SCENARIO_H
#define XSR_STREAM_SCENARIO_H

#include <stdbool.h>
#include <stdint.h>

#include "lab.h"
#include "results.h"
#include "tcp_load.h"
#include "tcp_path.h"

enum stream_scenario {
	STREAM_S0, /* one connection, one echo */
	STREAM_S1, /* connections are made, nothing is sent */
	STREAM_S2, /* `inflight` unanswered on each */
	STREAM_SCENARIOS
};

struct stream_params {
	enum stream_scenario scenario;
	enum tcp_way way;
	uint32_t ccu;	   /* connections, each with a session */
	uint32_t size;	   /* of a frame, without its len field */
	uint32_t inflight; /* of each connection */
	uint32_t warmup_s, measure_s, drain_s, connect_timeout_s;
	uint32_t sndbuf, rcvbuf;
	uint32_t io_threads;
};

/* What a run came to; times in us. */
struct stream_outcome {
	uint64_t connect_success, connect_fail, connect_timeout;
	uint64_t sent, recv;	     /* while measuring, and of those the answered ones */
	double incomplete_ratio;
	double throughput;	     /* recv a second */
	double throughput_in;	     /* answers that came while measuring, a second */
	bool drain_timeout;	     /* something was not answered in the end */
	uint64_t gating_violation;   /* answers to nothing that was unanswered */
	uint64_t lost, dup, reorder, stale_gen;
	double p50, p95, p99, p999, min, mean, max;
	double cpu_s;		     /* of all parts, from before the first connection to after the last */
	bool passed;
	char mode[RESULT_MODE_LEN];
};

/* The client's part of a scenario. */
struct tcp_load_config stream_load_config(const struct stream_params *params);

/* The formulas; the mode and the processor time are left alone. */
void stream_outcome_fill(const struct stream_params *params, const struct tcp_load_result *result,
			 struct stream_outcome *outcome);

/* Runs it. 0 and *outcome; -EOPNOTSUPP: the way is not there, with a sentence; -EINTR; -errno with a sentence. */
int stream_scenario_run(const struct stream_params *params, struct stream_outcome *outcome, char why[LAB_WHY_LEN]);

#endif /* XSR_STREAM_SCENARIO_H */
