/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * What may stand in a configuration file: its keys, as libcyaml wants them, and
 * the words that it finds there. One more key is one row in schema.c, and one in
 * word.c if its value is one word.
 */
#ifndef XSR_SCHEMA_H
#define XSR_SCHEMA_H

#include <cyaml/cyaml.h>

#include "backend_spec.h"
#include "service_spec.h"
#include "source.h"

#define SCHEMA_KEYS_MAX 32 /* of the file; as many as an unsigned int has bits */

/* The words of a file; NULL = not given. */
struct text {
	const char *instance, *mode, *transport, *wait, *handler, *workers, *frames, *frame_size, *ring,
		*batch, *sessions, *idle, *hold, *hold_time, *hold_memory, *fence, *connections, *stream_memory,
		*queue, *kernel_queue, *deadline, *heartbeat, *connection_idle, *sndbuf, *rcvbuf, *fast_open, *backlog,
		*reconnect_max;
	const char **devices, **cpus;
	struct backend_spec *backends;
	struct service_spec *services;
	unsigned int n_devices, n_cpus, n_backends, n_services;
};

/* The keys of the file itself, ended by one without a name. */
extern const cyaml_schema_field_t schema_file[];

/* The number of a key among `fields`, or -ENOENT. */
int schema_find(const cyaml_schema_field_t *fields, const char *key);

/* The word behind the i-th key of the file, which takes one; NULL = not given. */
const char *schema_word(const struct text *text, int i);

/*
 * Fills a new *text from a file that outline_read() accepted, NULL if it has no key;
 * schema_free() frees it. 0, or -errno and the sentence in src->why.
 */
int schema_load(const struct source *src, struct text **text);
void schema_free(struct text *text); /* takes NULL */

#endif /* XSR_SCHEMA_H */
