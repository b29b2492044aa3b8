/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* TCP services as JSON, for `service show` and `stats show` alike. */
#ifndef XSR_STREAM_JSON_H
#define XSR_STREAM_JSON_H

#include <jansson.h>

#include "maps.h"

/* A new reference: every counter by its name. */
json_t *stream_counters_json(const struct xsr_stream_counters *counters);

/* [{"service":NAME,"worker":N,"counters":{...}},...] of all workers that counted anything. */
json_t *streams_json(const struct maps *maps);

/* Adds to *service what only a TCP service has: mode, mode_active, mode_why, frame_max, backends. */
void stream_json_add(const struct maps *maps, uint32_t index, const struct xsr_service *service, json_t *to);

/* The names of the service's backends, joined by commas, into buf; returns buf. */
#define STREAM_BACKENDS_LEN (XSR_BACKENDS_MAX * XSR_NAME_LEN)
const char *stream_backends_text(const struct maps *maps, const struct xsr_service *service, char buf[STREAM_BACKENDS_LEN]);

/* The mode that is active, NULL if no router serves the service; *why it is not the one wished for, or NULL. Borrowed. */
const char *stream_mode_active(const struct maps *maps, uint32_t index, const char **why);

#endif /* XSR_STREAM_JSON_H */
