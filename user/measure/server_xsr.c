/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#include <errno.h>
#include <stdio.h>
#include <unistd.h>

#include "bench.h"
#include "server.h"
#include "xsr.h"

#define OPEN_TRIES 100
#define OPEN_PAUSE_US 10000
#define SLEEP_MS 1000

/* Takes and gives back: the worker's own cost is what is left. */
static enum xsr_verdict count_message(void *context, struct xsr_session *session, struct xsr_message *message)
{
	(void)context;
	(void)session;
	(void)message;
	return XSR_RELEASE;
}

static const struct xsr_handler handler_count = { .name = "count", .message = count_message };

/* The kernel lets go of the queues of the child before us a little after that ended. */
static int router_open(struct xsr_router **router, const struct xsr_router_config *config,
		       char why[XSR_WHY_LEN])
{
	int i, ret = -EBUSY;

	for (i = 0; i < OPEN_TRIES && ret == -EBUSY; i++) {
		if (i)
			usleep(OPEN_PAUSE_US);
		ret = xsr_router_open(router, config, why);
	}
	return ret;
}

/* One worker, polled from here: nobody else runs on its core. */
static int worker_serve(struct xsr_router *router, const struct server_params *params,
			struct child_report *report)
{
	struct xsr_worker *worker = xsr_router_worker(router, params->worker);
	int timeout_ms = params->wait == SERVER_SPIN ? 0 : SLEEP_MS, n = 0;

	while (!child_stopping(report) && n >= 0) {
		n = xsr_worker_poll(worker, timeout_ms);
		if (n > 0)
			atomic_fetch_add_explicit(&report->n_messages, n, memory_order_relaxed);
		else if (!timeout_ms)
			__builtin_ia32_pause();
	}
	return n < 0 ? n : 0;
}

static int threads_serve(struct xsr_router *router, struct child_report *report)
{
	int ret = xsr_router_start(router);

	while (!ret && !child_stopping(report))
		pause();
	return ret;
}

int server_xsr_main(struct child_report *report, const void *arg)
{
	const struct server_params *params = arg;
	const struct xsr_router_config config = {
		.instance = BENCH_INSTANCE,
		.devices = &params->device,
		.n_devices = 1,
		.transport = "xdp",
		.n_workers = BENCH_WORKERS,
		.handler = params->echo ? xsr_handler_find("echo") : &handler_count,
	};
	struct xsr_router *router = NULL;
	int ret = router_open(&router, &config, report->why);

	if (!ret)
		ret = xsr_router_publish(router);
	if (!ret) {
		child_ready(report, xsr_router_mode_active(router));
		ret = params->threads ? threads_serve(router, report) : worker_serve(router, params, report);
	}
	xsr_router_close(router);
	return ret;
}
