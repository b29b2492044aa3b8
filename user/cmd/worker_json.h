/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Workers as JSON, for `worker show` and `stats show` alike. */
#ifndef XSR_WORKER_JSON_H
#define XSR_WORKER_JSON_H

#include <jansson.h>

#include "maps.h"

/* A new reference: {"worker":N,"running":B,...,"rx":N,"tx":N,...}. */
json_t *worker_json(const struct maps *maps, int number);

/* All workers that ever ran in this instance. */
json_t *workers_json(const struct maps *maps);

#endif /* XSR_WORKER_JSON_H */
