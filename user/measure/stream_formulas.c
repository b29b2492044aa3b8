/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#include "frame.h"
#include "stream_scenario.h"

#define INCOMPLETE_MAX 0.01
#define US 1e3

/* The wire has the len field before what it counts. A session that hears nothing while it waits is given up after the deadline. */
struct tcp_load_config stream_load_config(const struct stream_params *p)
{
	struct tcp_load_config config = {
		.n_connections = p->ccu,
		.n_sessions = p->ccu,
		.n_threads = p->io_threads < p->ccu ? p->io_threads : p->ccu,
		.first_id = 1,
		.len = p->size + sizeof(((struct xsr_frame *)0)->len),
		.window = p->inflight,
		.warmup_s = p->warmup_s,
		.seconds = p->measure_s,
		.deadline_ms = p->drain_s * 1000,
		.sndbuf = p->sndbuf,
		.rcvbuf = p->rcvbuf,
		.seed = 1,
	};

	if (p->scenario == STREAM_S2)
		return config;
	config.warmup_s = config.seconds = 0;
	config.window = 1;
	config.opens_only = p->scenario == STREAM_S1;
	config.n_messages = !config.opens_only;
	if (config.opens_only)
		config.deadline_ms = p->connect_timeout_s * 1000;
	return config;
}

static bool passed(const struct stream_params *p, const struct tcp_load_result *r, const struct stream_outcome *o)
{
	if (o->connect_success != p->ccu)
		return false;
	if (p->scenario == STREAM_S1)
		return !o->connect_fail && !o->connect_timeout;
	if (p->scenario == STREAM_S0)
		return tcp_load_clean(r) && o->sent == 1 && o->recv == 1;
	return o->recv && o->incomplete_ratio <= INCOMPLETE_MAX && !o->drain_timeout && !o->gating_violation && !r->torn;
}

void stream_outcome_fill(const struct stream_params *p, const struct tcp_load_result *r, struct stream_outcome *o)
{
	o->connect_success = p->ccu - r->not_opened;
	o->connect_fail = r->connect_failures;
	o->connect_timeout = r->not_opened;
	o->sent = r->measured_sent;
	o->recv = r->measured_answered;
	o->incomplete_ratio = o->sent ? (double)(o->sent - o->recv) / o->sent : 0;
	o->throughput = p->scenario == STREAM_S2 ? (double)o->recv / p->measure_s : 0;
	o->throughput_in = p->scenario == STREAM_S2 ? (double)r->answered_inside / p->measure_s : 0;
	o->drain_timeout = r->lost;
	o->gating_violation = r->requests.unknown + r->requests.duplicated + r->requests.after_error;
	o->lost = r->lost;
	o->dup = r->requests.duplicated;
	o->reorder = r->requests.reordered;
	o->stale_gen = r->requests.errors[XSR_ERROR_STALE];
	o->p50 = r->ns_p50 / US;
	o->p95 = r->ns_p95 / US;
	o->p99 = r->ns_p99 / US;
	o->p999 = r->ns_p999 / US;
	o->min = r->ns_min / US;
	o->mean = r->ns_mean / US;
	o->max = r->ns_max / US;
	o->passed = passed(p, r, o);
}
