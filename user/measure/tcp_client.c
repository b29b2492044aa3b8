/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#include "tcp_client.h"

#include <errno.h>
#include <stdio.h>
#include <sys/mman.h>
#include <unistd.h>

#include "clock.h"
#include "cputime.h"

#define STEP_NS NS_PER_MS

/* Seen by both. */
struct tcp_client_shared {
	volatile bool stop, has_ended;
	struct tcp_load_result result; /* when it has ended */
	uint64_t cpu_ns;	       /* likewise */
};

struct client_params {
	struct tcp_load_config config;
	struct tcp_client_shared *shared;
};

static int client_main(struct child_report *report, const void *arg)
{
	const struct client_params *params = arg;
	int ret;

	_Static_assert(LAB_WHY_LEN >= TCP_LOAD_WHY_LEN, "a sentence of the load fits");
	child_ready(report, "");
	ret = tcp_load_run(&params->config, &params->shared->result, &params->shared->stop, NULL, NULL, report->why);
	cputime_of(getpid(), &params->shared->cpu_ns);
	params->shared->has_ended = !ret;
	return ret;
}

int tcp_client_start(struct tcp_client *client, const struct bench *b, const struct tcp_load_config *config,
		     char why[LAB_WHY_LEN])
{
	struct client_params params = { .config = *config };
	const struct child_params child = {
		.lab = &b->lab, .side = LAB_SERVER, .cpu = b->cpu_traffic, .is_ordinary = true, .main = client_main, .arg = &params,
	};
	int ret;

	*client = (struct tcp_client){};
	params.shared = mmap(NULL, sizeof(*params.shared), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (params.shared == MAP_FAILED) {
		snprintf(why, LAB_WHY_LEN, "no memory");
		return -ENOMEM;
	}
	client->shared = params.shared;
	ret = child_start(&client->child, &child, why);
	if (ret)
		tcp_client_stop(client);
	return ret;
}

void tcp_client_quit(struct tcp_client *client)
{
	client->shared->stop = true;
}

int tcp_client_wait(struct tcp_client *client, struct bench *b, uint64_t timeout_ns, struct tcp_load_result *result,
		    uint64_t *cpu_ns, char why[LAB_WHY_LEN])
{
	uint64_t until_ns = clock_now_ns() + timeout_ns;
	int ret = 0;

	while (!ret && child_alive(&client->child, why) && clock_now_ns() < until_ns)
		ret = bench_sleep(b, STEP_NS);
	*result = client->shared->result;
	*cpu_ns = client->shared->cpu_ns;
	if (ret || client->shared->has_ended)
		return ret;
	if (!client->child.pid)
		return -EIO;
	snprintf(why, LAB_WHY_LEN, "the client did not end in time");
	return -ETIMEDOUT;
}

void tcp_client_stop(struct tcp_client *client)
{
	if (!client->shared)
		return;
	client->shared->stop = true;
	child_stop(&client->child);
	munmap(client->shared, sizeof(*client->shared));
	client->shared = NULL;
}
