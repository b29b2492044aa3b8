/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Processes of `xsr bench tcp` that are not the router: the backend, other people's proxies. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "clock.h"
#include "exchange.h"
#include "tcp_path.h"

#define TURN_NS (100 * NS_PER_MS)
#define BACKLOG 32768 /* the kernel cuts it to net.core.somaxconn */
#define SESSIONS_MAX 65536
#define WAITING_MAX 65536
#define QUEUE_MAX (1u << 20)
#define MEMORY_MAX (4ULL << 30)

/* Nobody comes back here: no reply is kept. */
int tcp_backend_main(struct child_report *report, const void *arg)
{
	const struct tcp_backend_params *params = arg;
	struct exchange_config config = {
		.backlog = BACKLOG,
		.n_sessions_max = SESSIONS_MAX,
		.n_waiting_max = WAITING_MAX,
		.queue_max = QUEUE_MAX,
		.memory_max = MEMORY_MAX,
	};
	struct exchange *exchange;
	int ret;

	memcpy(&config.address, &params->address, sizeof(params->address));
	ret = exchange_open(&exchange, &config, report->why);
	if (ret)
		return ret;
	child_ready(report, "");
	while (!ret && !child_stopping(report)) {
		ret = exchange_turn(exchange, TURN_NS, NULL);
		atomic_store_explicit(&report->n_messages, exchange_counts(exchange)->replies, memory_order_relaxed);
	}
	exchange_close(exchange);
	return ret;
}

/* Whether it came up is seen by who connects to it. */
int tcp_program_main(struct child_report *report, const void *arg)
{
	const struct tcp_program_params *params = arg;
	int fd = open(params->log, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);

	if (fd < 0 || dup2(fd, STDOUT_FILENO) < 0 || dup2(fd, STDERR_FILENO) < 0)
		return -errno;
	child_ready(report, "");
	execv(params->argv[0], (char *const *)params->argv);
	return -errno;
}
