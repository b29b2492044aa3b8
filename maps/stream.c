/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#include "stream.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "socket.h"

static struct xsr_stream_counters *entry(const struct maps *maps, uint32_t service, uint32_t worker)
{
	return &maps->streams[xsr_stream_index(service, worker)];
}

void stream_sum(const struct maps *maps, uint32_t service, struct xsr_stream_counters *out)
{
	uint32_t worker, i;

	memset(out, 0, sizeof(*out));
	for (worker = 0; worker < XSR_WORKERS_MAX; worker++)
		for (i = 0; i < XSR_STREAM_STAT_MAX; i++)
			out->n[i] += __atomic_load_n(&entry(maps, service, worker)->n[i], __ATOMIC_RELAXED);
}

void stream_clear(struct maps *maps, uint32_t service)
{
	uint32_t worker, i;

	stream_leave(maps, service);
	for (worker = 0; worker < XSR_WORKERS_MAX; worker++)
		for (i = 0; i < XSR_STREAM_STAT_MAX; i++)
			__atomic_store_n(&entry(maps, service, worker)->n[i], 0, __ATOMIC_RELAXED);
}

void stream_claim(struct maps *maps, uint32_t service, enum xsr_stream_mode mode, const char *why)
{
	struct xsr_stream_state *state = &maps->states[service];

	__atomic_store_n(&state->pid, 0, __ATOMIC_RELEASE);
	state->mode = mode;
	snprintf(state->why, sizeof(state->why), "%s", why ? why : "");
	state->started = process_start(getpid());
	__atomic_store_n(&state->pid, getpid(), __ATOMIC_RELEASE);
}

void stream_leave(struct maps *maps, uint32_t service)
{
	__atomic_store_n(&maps->states[service].pid, 0, __ATOMIC_RELEASE);
}

uint32_t stream_pid(const struct xsr_stream_state *state)
{
	uint32_t pid = __atomic_load_n(&state->pid, __ATOMIC_ACQUIRE);

	return pid && process_start(pid) == state->started ? pid : 0;
}
