/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#include "stream_json.h"

#include <netinet/in.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "names.h"
#include "stream.h"

json_t *stream_counters_json(const struct xsr_stream_counters *counters)
{
	json_t *o = json_object();
	int i;

	for (i = 0; i < XSR_STREAM_STAT_MAX; i++)
		json_object_set_new(o, stream_stat_name(i), json_integer(counters->n[i]));
	return o;
}

static bool counts_anything(const struct xsr_stream_counters *counters)
{
	int i;

	for (i = 0; i < XSR_STREAM_STAT_MAX; i++)
		if (counters->n[i])
			return true;
	return false;
}

json_t *streams_json(const struct maps *maps)
{
	json_t *list = json_array();
	uint32_t i, worker;

	for (i = 1; i < XSR_SERVICES_MAX; i++)
		for (worker = 0; worker < XSR_WORKERS_MAX && maps->services[i].proto == IPPROTO_TCP; worker++) {
			const struct xsr_stream_counters *counters = &maps->streams[xsr_stream_index(i, worker)];

			if (counts_anything(counters))
				json_array_append_new(list, json_pack("{s:s,s:i,s:o}", "service", maps->services[i].name, "worker",
								      worker, "counters", stream_counters_json(counters)));
		}
	return list;
}

const char *stream_mode_active(const struct maps *maps, uint32_t index, const char **why)
{
	const struct xsr_stream_state *state = &maps->states[index];

	*why = NULL;
	if (!stream_pid(state))
		return NULL;
	if (state->why[0])
		*why = state->why;
	return stream_mode_name(state->mode);
}

static json_t *backends_json(const struct maps *maps, uint64_t backends)
{
	json_t *list = json_array();

	for (; backends; backends &= backends - 1)
		json_array_append_new(list, json_string(maps->backends[__builtin_ctzll(backends)].name));
	return list;
}

void stream_json_add(const struct maps *maps, uint32_t index, const struct xsr_service *service, json_t *to)
{
	const char *why, *active = stream_mode_active(maps, index, &why);
	json_t *more = json_pack("{s:s,s:s?,s:s?,s:I,s:o}", "mode", stream_mode_name(service->mode), "mode_active", active, "mode_why",
				 why, "frame_max", (json_int_t)service->frame_max, "backends",
				 backends_json(maps, service->backends));

	json_object_update(to, more);
	json_decref(more);
}

const char *stream_backends_text(const struct maps *maps, const struct xsr_service *service, char buf[STREAM_BACKENDS_LEN])
{
	uint64_t left = service->backends;
	size_t len = 0;

	buf[0] = 0;
	for (; left; left &= left - 1)
		len += snprintf(buf + len, STREAM_BACKENDS_LEN - len, "%s%.31s", len ? "," : "",
				maps->backends[__builtin_ctzll(left)].name);
	return buf;
}
