/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#include "load_child.h"

#include <errno.h>
#include <stddef.h>
#include <stdio.h>
#include <sys/mman.h>

#include "clock.h"

#define STEP_NS NS_PER_MS

/* Seen by both. */
struct load_shared {
	volatile bool stop, ended;
	struct udp_load_result result; /* when it has ended */
};

struct load_params {
	struct udp_load_config config;
	struct load_shared *shared;
};

static int load_child_main(struct child_report *report, const void *arg)
{
	const struct load_params *params = arg;
	struct udp_load_config config = params->config;
	int ret;

	_Static_assert(LAB_WHY_LEN >= UDP_LOAD_WHY_LEN, "a sentence of the load fits");
	config.n_answered = &report->n_messages;
	child_ready(report, "");
	ret = udp_load_run(&config, &params->shared->result, &params->shared->stop, NULL, NULL, report->why);
	params->shared->ended = !ret;
	return ret;
}

int load_child_start(struct load_child *load, const struct bench *b, const struct udp_load_config *config,
		     char why[LAB_WHY_LEN])
{
	struct load_params params = { .config = *config };
	const struct child_params child = {
		.lab = &b->lab,
		.side = LAB_CLIENT,
		.cpu = b->cpu_traffic,
		.main = load_child_main,
		.arg = &params,
	};
	int ret;

	*load = (struct load_child){};
	params.shared =
		mmap(NULL, sizeof(*params.shared), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (params.shared == MAP_FAILED) {
		snprintf(why, LAB_WHY_LEN, "no memory");
		return -ENOMEM;
	}
	load->shared = params.shared;
	ret = child_start(&load->child, &child, why);
	if (ret)
		load_child_stop(load);
	return ret;
}

void load_child_stop(struct load_child *load)
{
	if (!load->shared)
		return;
	load->shared->stop = true;
	child_stop(&load->child);
	munmap(load->shared, sizeof(*load->shared));
	load->shared = NULL;
}

uint64_t load_child_answered(const struct load_child *load)
{
	return atomic_load_explicit(&load->child.report->n_messages, memory_order_relaxed);
}

/* What must be 0, and what it is called. */
static const struct fault {
	const char *what;
	size_t offset;
} faults[] = {
#define FAULT(field) offsetof(struct udp_load_result, field)
	{ "messages lost", FAULT(lost) },
	{ "doubled", FAULT(duplicated) },
	{ "served out of order", FAULT(reordered) },
	{ "served by a worker that was not the owner", FAULT(misrouted) },
	{ "answers to nothing that was sent", FAULT(unknown) },
	{ "sessions without their state", FAULT(state_lost) },
	{ "moves failed", FAULT(moves_failed) },
	{ "moved without their state", FAULT(moves_without_state) },
	{ "served before the command", FAULT(weird) },
#undef FAULT
};

int load_exact(const struct udp_load_result *result, char why[LAB_WHY_LEN])
{
	size_t i, len = 0;

	for (i = 0; i < sizeof(faults) / sizeof(faults[0]); i++) {
		uint64_t n = *(const uint64_t *)((const char *)result + faults[i].offset);

		if (n && len < LAB_WHY_LEN)
			len += snprintf(why + len, LAB_WHY_LEN - len, "%s%llu %s",
					len ? ", " : "not exact: ", (unsigned long long)n, faults[i].what);
	}
	if (!len && !udp_load_clean(result))
		len = snprintf(why, LAB_WHY_LEN, "no message was sent");
	else if (result->moves_failed && *result->moves_why && len < LAB_WHY_LEN)
		snprintf(why + len, LAB_WHY_LEN - len, ": %s", result->moves_why);
	return len ? -EBADMSG : 0;
}

int load_child_wait(struct load_child *load, struct bench *b, struct udp_load_result *result,
		    char why[LAB_WHY_LEN])
{
	int ret = 0;

	while (!ret && child_alive(&load->child, why))
		ret = bench_sleep(b, STEP_NS);
	if (!ret && !load->shared->ended)
		ret = -EIO;
	*result = load->shared->result;
	load_child_stop(load);
	return ret ? ret : load_exact(result, why);
}

int load_child_end(struct load_child *load, struct bench *b, struct udp_load_result *result,
		   char why[LAB_WHY_LEN])
{
	load->shared->stop = true;
	return load_child_wait(load, b, result, why);
}
