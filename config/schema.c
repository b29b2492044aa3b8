/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Values are loaded as words: libcyaml's numbers take "12abc" and octal, and its
 * booleans take anything. What a word means says word.c.
 */
#include "schema.h"

#include <errno.h>
#include <string.h>

#include "types.h"

#define ARRAY_SIZE(a) (sizeof(a) / sizeof((a)[0]))

#define WORD(key_, type, member)                                                                             \
	CYAML_FIELD_STRING_PTR(key_, CYAML_FLAG_OPTIONAL, type, member, 0, CYAML_UNLIMITED)
#define LIST(type, member, entry, max)                                                                       \
	CYAML_FIELD_SEQUENCE_COUNT(#member, CYAML_FLAG_OPTIONAL | CYAML_FLAG_POINTER_NULL_STR, type, member, \
				   n_##member, entry, 0, max)

static const cyaml_schema_value_t word_value = {
	CYAML_VALUE_STRING(CYAML_FLAG_POINTER, char, 0, CYAML_UNLIMITED),
};

static const cyaml_schema_field_t service_fields[] = {
	WORD("name", struct service_spec, name),
	WORD("protocol", struct service_spec, protocol),
	WORD("address", struct service_spec, address),
	WORD("id", struct service_spec, id),
	WORD("default", struct service_spec, default_action),
	WORD("stamp", struct service_spec, stamp),
	WORD("dense", struct service_spec, dense),
	WORD("node", struct service_spec, node),
	WORD("mode", struct service_spec, mode),
	LIST(struct service_spec, backends, &word_value, XSR_BACKENDS_MAX - 1),
	WORD("frame_max", struct service_spec, frame_max),
	WORD("cgroup", struct service_spec, cgroup),
	CYAML_FIELD_END,
};

static const cyaml_schema_field_t backend_fields[] = {
	WORD("name", struct backend_spec, name),
	WORD("address", struct backend_spec, address),
	CYAML_FIELD_END,
};

static const cyaml_schema_value_t backend_value = {
	CYAML_VALUE_MAPPING(CYAML_FLAG_DEFAULT, struct backend_spec, backend_fields),
};

static const cyaml_schema_value_t service_value = {
	CYAML_VALUE_MAPPING(CYAML_FLAG_DEFAULT, struct service_spec, service_fields),
};

const cyaml_schema_field_t schema_file[] = {
	WORD("instance", struct text, instance),
	LIST(struct text, devices, &word_value, XSR_DEVICES_MAX),
	WORD("mode", struct text, mode),
	WORD("transport", struct text, transport),
	WORD("wait", struct text, wait),
	WORD("handler", struct text, handler),
	WORD("workers", struct text, workers),
	LIST(struct text, cpus, &word_value, XSR_WORKERS_MAX),
	WORD("frames", struct text, frames),
	WORD("frame_size", struct text, frame_size),
	WORD("ring", struct text, ring),
	WORD("batch", struct text, batch),
	WORD("sessions", struct text, sessions),
	WORD("idle", struct text, idle),
	WORD("hold", struct text, hold),
	WORD("hold_time", struct text, hold_time),
	WORD("hold_memory", struct text, hold_memory),
	WORD("fence", struct text, fence),
	WORD("connections", struct text, connections),
	WORD("stream_memory", struct text, stream_memory),
	WORD("queue", struct text, queue),
	WORD("kernel_queue", struct text, kernel_queue),
	WORD("deadline", struct text, deadline),
	WORD("heartbeat", struct text, heartbeat),
	WORD("connection_idle", struct text, connection_idle),
	WORD("sndbuf", struct text, sndbuf),
	WORD("rcvbuf", struct text, rcvbuf),
	WORD("fast_open", struct text, fast_open),
	WORD("backlog", struct text, backlog),
	WORD("reconnect_max", struct text, reconnect_max),
	LIST(struct text, backends, &backend_value, XSR_BACKENDS_MAX - 1),
	LIST(struct text, services, &service_value, XSR_SERVICES_MAX - 1),
	CYAML_FIELD_END,
};
_Static_assert(ARRAY_SIZE(schema_file) - 1 <= SCHEMA_KEYS_MAX, "every key has a bit and a line");
_Static_assert(ARRAY_SIZE(service_fields) - 1 <= SCHEMA_KEYS_MAX, "every key has a bit");

static const cyaml_schema_value_t file_value = {
	CYAML_VALUE_MAPPING(CYAML_FLAG_POINTER, struct text, schema_file),
};

static const cyaml_config_t loader = { .mem_fn = cyaml_mem, .flags = CYAML_CFG_NO_ALIAS };

int schema_find(const cyaml_schema_field_t *fields, const char *key)
{
	int i;

	for (i = 0; fields[i].key; i++)
		if (!strcmp(fields[i].key, key))
			return i;
	return -ENOENT;
}

const char *schema_word(const struct text *text, int i)
{
	return *(const char *const *)((const char *)text + schema_file[i].data_offset);
}

/* The outline was accepted, so only memory can be short. */
int schema_load(const struct source *src, struct text **text)
{
	cyaml_data_t *data = NULL;
	cyaml_err_t err = cyaml_load_data(src->data, src->len, &loader, &file_value, &data, NULL);

	*text = data;
	if (err == CYAML_ERR_OOM)
		return source_refuse_memory(src);
	if (err)
		return source_refuse(src, 0, "libcyaml refuses it: %s; expected a file like full.yaml",
				     cyaml_strerror(err));
	return 0;
}

void schema_free(struct text *text)
{
	cyaml_free(&loader, &file_value, text, 0);
}
