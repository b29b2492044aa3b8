/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Three steps. The outline holds libyaml's events against the schema: it refuses
 * whatever the schema does not have, and notes the line of what it has. Then
 * libcyaml fills struct text by the same schema. Then rules turn the text into
 * values. The outline is ours because libcyaml keeps no lines: for an unknown
 * key it names the line before it, and it passes over anchors, tags, second
 * documents and whatever follows a zero byte. Values are loaded as words because
 * its numbers take "12abc" and octal, and its booleans take anything.
 */
#include "config.h"

#include <cyaml/cyaml.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <yaml.h>

#include "service_spec.h"

#define ARRAY_SIZE(a) (sizeof(a) / sizeof((a)[0]))
#define STRING(x) #x
#define TEXT_OF(x) STRING(x)

#define NAME_SHOWN_MAX 80 /* of the file's name: the sentence behind it must fit too */
#define CPU_MAX 1023
#define NAME_CHARS "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-"

#define EXPECTED_NAME "1 to 31 letters, digits, '_' or '-'"
#define EXPECTED_DEVICE "the name of an interface, 1 to 15 characters without '/', ':' or blanks"
#define EXPECTED_CPU "the number of a core from 0 to " TEXT_OF(CPU_MAX) ", or -1 for not pinned"

/* The file as it was read, and where the complaint goes. */
struct source {
	const char *name;
	const unsigned char *data;
	size_t len;
	char *why;
};

/* --- the schema: what stands in a file --- */

/* The words of a file; NULL = not given. Owned by libcyaml's allocator. */
struct text {
	const char *instance, *mode, *transport, *wait, *handler, *workers, *frames, *frame_size, *ring,
		*batch, *sessions, *idle;
	const char **devices, **cpus;
	struct service_spec *services;
	unsigned int n_devices, n_cpus, n_services;
};

#define WORD(key_, type, member)                                                                             \
	CYAML_FIELD_STRING_PTR(key_, CYAML_FLAG_OPTIONAL, type, member, 0, CYAML_UNLIMITED)
#define LIST(member, entry, max)                                                                             \
	CYAML_FIELD_SEQUENCE_COUNT(#member, CYAML_FLAG_OPTIONAL | CYAML_FLAG_POINTER_NULL_STR, struct text,  \
				   member, n_##member, entry, 0, max)

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
	CYAML_FIELD_END,
};

static const cyaml_schema_value_t service_value = {
	CYAML_VALUE_MAPPING(CYAML_FLAG_DEFAULT, struct service_spec, service_fields),
};

static const cyaml_schema_field_t file_fields[] = {
	WORD("instance", struct text, instance),
	LIST(devices, &word_value, XSR_DEVICES_MAX),
	WORD("mode", struct text, mode),
	WORD("transport", struct text, transport),
	WORD("wait", struct text, wait),
	WORD("handler", struct text, handler),
	WORD("workers", struct text, workers),
	LIST(cpus, &word_value, XSR_WORKERS_MAX),
	WORD("frames", struct text, frames),
	WORD("frame_size", struct text, frame_size),
	WORD("ring", struct text, ring),
	WORD("batch", struct text, batch),
	WORD("sessions", struct text, sessions),
	WORD("idle", struct text, idle),
	LIST(services, &service_value, XSR_SERVICES_MAX - 1),
	CYAML_FIELD_END,
};

static const cyaml_schema_value_t file_value = {
	CYAML_VALUE_MAPPING(CYAML_FLAG_POINTER, struct text, file_fields),
};

static const cyaml_config_t loader = { .mem_fn = cyaml_mem, .flags = CYAML_CFG_NO_ALIAS };

#define ENTRIES_MAX 64
_Static_assert(XSR_DEVICES_MAX <= ENTRIES_MAX && XSR_WORKERS_MAX <= ENTRIES_MAX &&
		       XSR_SERVICES_MAX <= ENTRIES_MAX,
	       "every entry of a list has room for its line");

/* Where things stand, by the index in file_fields; 0 = not in the file. */
struct lines {
	unsigned int key[ARRAY_SIZE(file_fields)];
	unsigned int entry[ARRAY_SIZE(file_fields)][ENTRIES_MAX];
};

/* --- the rules: what a word means --- */

struct rule {
	const char *key;
	const char *fallback; /* the word if none is given */
	size_t offset;        /* in struct config */
	size_t len;
	bool (*take)(const struct rule *rule, const char *word, void *value);
	const char *expected;
	const char *const *choices; /* in the order of their enum, NULL behind the last */
	unsigned int min, max;
};

static bool name_take(const struct rule *rule, const char *word, void *value)
{
	size_t len = strlen(word);

	if (len == 0 || len >= rule->len || word[strspn(word, NAME_CHARS)])
		return false;
	memcpy(value, word, len + 1);
	return true;
}

static bool choice_take(const struct rule *rule, const char *word, void *value)
{
	unsigned int i;

	for (i = 0; rule->choices[i] && strcmp(rule->choices[i], word); i++)
		;
	memcpy(value, &i, sizeof(i));
	return rule->choices[i];
}

static bool number_take(const struct rule *rule, const char *word, void *value)
{
	unsigned int number;
	uint64_t wide;

	if (number_parse(word, rule->max, &wide) || wide < rule->min)
		return false;
	number = wide;
	memcpy(value, &number, sizeof(number));
	return true;
}

static bool power_take(const struct rule *rule, const char *word, void *value)
{
	unsigned int number;

	if (!number_take(rule, word, &number) || (number & (number - 1)))
		return false;
	memcpy(value, &number, sizeof(number));
	return true;
}

static const char *const modes[] = { "auto", "native", "generic", NULL };
static const char *const transports[] = { "auto", "xdp", "udp", NULL };
static const char *const waits[] = { "sleep", "spin", NULL };
_Static_assert(sizeof(enum config_mode) == sizeof(unsigned int), "choices are stored as unsigned int");

#define MEMBER(member) offsetof(struct config, member), sizeof(((struct config *)0)->member)
#define RANGE(what, min_, max_)                                                                              \
	.expected = what " from " TEXT_OF(min_) " to " TEXT_OF(max_), .min = min_, .max = max_

static const struct rule rules[] = {
	{ "instance", "xsr", MEMBER(instance), .take = name_take, .expected = EXPECTED_NAME },
	{ "mode", "auto", MEMBER(mode), .take = choice_take, .expected = "auto, native or generic",
	  .choices = modes },
	{ "transport", "auto", MEMBER(transport), .take = choice_take, .expected = "auto, xdp or udp",
	  .choices = transports },
	{ "wait", "sleep", MEMBER(wait), .take = choice_take, .expected = "sleep or spin", .choices = waits },
	{ "handler", "echo", MEMBER(handler), .take = name_take, .expected = EXPECTED_NAME },
	{ "workers", "1", MEMBER(n_workers), .take = number_take, RANGE("a number", 1, XSR_WORKERS_MAX) },
	{ "frames", "4096", MEMBER(n_frames), .take = power_take, RANGE("a power of two", 64, 1048576) },
	{ "frame_size", "2048", MEMBER(frame_len), .take = power_take, RANGE("a power of two", 2048, 4096) },
	{ "ring", "2048", MEMBER(ring_len), .take = power_take, RANGE("a power of two", 64, 65536) },
	{ "batch", "64", MEMBER(batch), .take = number_take, RANGE("a number", 1, 256) },
	{ "sessions", "65536", MEMBER(sessions_max), .take = number_take, RANGE("a number", 1, 16777216) },
	{ "idle", "60", MEMBER(idle_s), .take = number_take, RANGE("a number of seconds", 0, 31536000) },
};

static const struct rule *rule_find(const char *key)
{
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(rules); i++)
		if (!strcmp(rules[i].key, key))
			return &rules[i];
	return NULL;
}

/* --- what is said if it is wrong --- */

/* Words of the file may hold whatever moves a terminal's cursor or breaks a line of JSON. */
static void text_clean(char *text)
{
	for (; *text; text++)
		if (*text < ' ' || *text > '~')
			*text = '?';
}

/* Writes "name:line: " (no line if that is 0) and the sentence; returns -EINVAL. */
__attribute__((format(printf, 3, 4))) static int refuse(const struct source *src, unsigned int line,
							const char *fmt, ...)
{
	size_t len = strlen(src->name), cut = len > NAME_SHOWN_MAX ? len - NAME_SHOWN_MAX : 0;
	va_list args;
	int n;

	n = snprintf(src->why, CONFIG_WHY_LEN, "%s%s:", cut ? "..." : "", src->name + cut);
	if (line)
		n += snprintf(src->why + n, CONFIG_WHY_LEN - n, "%u:", line);
	src->why[n++] = ' ';
	va_start(args, fmt);
	vsnprintf(src->why + n, CONFIG_WHY_LEN - n, fmt, args);
	va_end(args);
	text_clean(src->why + n);
	return -EINVAL;
}

static int memory_refuse(const struct source *src)
{
	refuse(src, 0, "not enough memory to read it; expected some to be free");
	return -ENOMEM;
}

static int field_find(const cyaml_schema_field_t *fields, const char *key)
{
	int i;

	for (i = 0; fields[i].key; i++)
		if (!strcmp(fields[i].key, key))
			return i;
	return -ENOENT;
}

static int key_refuse(const struct source *src, unsigned int line, const cyaml_schema_field_t *fields,
		      const char *key)
{
	char known[CONFIG_WHY_LEN] = "";
	int i, n = 0;

	for (i = 0; fields[i].key && n < (int)sizeof(known); i++)
		n += snprintf(known + n, sizeof(known) - n, "%s%s", i ? ", " : "", fields[i].key);
	return refuse(src, line, "unknown key \"%.32s\"; expected one of %s", key, known);
}

/* --- the outline: libyaml's events against the schema --- */

struct outline {
	const struct source *src;
	struct lines *lines;
	yaml_parser_t parser;
	yaml_event_t event; /* the current one */
};

static unsigned int event_line(const struct outline *o)
{
	return o->event.start_mark.line + 1;
}

static const char *event_name(const yaml_event_t *event)
{
	switch (event->type) {
	case YAML_SCALAR_EVENT:
		return "a word";
	case YAML_SEQUENCE_START_EVENT:
		return "a list";
	default:
		return "keys and values";
	}
}

/* YAML's ways to say "no value"; in quotes they are words. */
static bool event_is_null(const yaml_event_t *event)
{
	static const char *const nulls[] = { "", "~", "null", "Null", "NULL" };
	unsigned int i;

	if (event->type != YAML_SCALAR_EVENT || event->data.scalar.style != YAML_PLAIN_SCALAR_STYLE)
		return false;
	for (i = 0; i < ARRAY_SIZE(nulls); i++)
		if (!strcmp(nulls[i], (const char *)event->data.scalar.value))
			return true;
	return false;
}

static const char *ornament_name(const yaml_char_t *anchor, const yaml_char_t *tag)
{
	if (anchor)
		return "an anchor";
	return tag ? "a tag" : NULL;
}

/* What libcyaml would pass over in silence, or copy a thousand times; NULL if nothing. */
static const char *event_ornament(const yaml_event_t *event)
{
	switch (event->type) {
	case YAML_ALIAS_EVENT:
		return "an alias";
	case YAML_SCALAR_EVENT:
		if (memchr(event->data.scalar.value, 0, event->data.scalar.length))
			return "a zero byte";
		return ornament_name(event->data.scalar.anchor, event->data.scalar.tag);
	case YAML_SEQUENCE_START_EVENT:
		return ornament_name(event->data.sequence_start.anchor, event->data.sequence_start.tag);
	case YAML_MAPPING_START_EVENT:
		return ornament_name(event->data.mapping_start.anchor, event->data.mapping_start.tag);
	default:
		return NULL;
	}
}

/* libyaml reads ahead: a byte that is no text has an offset, but no line. */
static unsigned int problem_line(const struct outline *o)
{
	const struct source *src = o->src;
	unsigned int line = 1;
	size_t i;

	if (o->parser.error != YAML_READER_ERROR)
		return o->parser.problem_mark.line + 1;
	for (i = 0; i < src->len && i < o->parser.problem_offset; i++)
		line += src->data[i] == '\n';
	return line;
}

static int problem_refuse(const struct outline *o)
{
	const yaml_parser_t *p = &o->parser;

	if (p->error == YAML_MEMORY_ERROR)
		return memory_refuse(o->src);
	return refuse(o->src, problem_line(o), "not YAML: %s%s%s; expected lines of 'key: value'", p->problem,
		      p->context ? " " : "", p->context ? p->context : "");
}

static int outline_next(struct outline *o)
{
	const char *ornament;

	yaml_event_delete(&o->event);
	if (!yaml_parser_parse(&o->parser, &o->event))
		return problem_refuse(o);
	ornament = event_ornament(&o->event);
	if (ornament)
		return refuse(o->src, event_line(o), "%s; expected the value itself, written out", ornament);
	return 0;
}

static int outline_expect(struct outline *o, yaml_event_type_t type, const char *key, const char *expected)
{
	if (o->event.type == type)
		return 0;
	return refuse(o->src, event_line(o), "%s: %s; expected %s", key, event_name(&o->event), expected);
}

static int outline_map(struct outline *o, const cyaml_schema_field_t *fields);

static int outline_entry(struct outline *o, const char *key, const cyaml_schema_value_t *entry)
{
	int ret;

	if (entry->type != CYAML_MAPPING)
		return outline_expect(o, YAML_SCALAR_EVENT, key, "one word in each entry");
	ret = outline_expect(o, YAML_MAPPING_START_EVENT, key,
			     "keys and values in each entry, as in '- name: game'");
	return ret ? ret : outline_map(o, entry->mapping.fields);
}

/* Only the file itself has lists: `field` is one of file_fields. */
static int outline_list(struct outline *o, const cyaml_schema_field_t *field)
{
	const cyaml_schema_value_t *list = &field->value;
	unsigned int n;
	int ret;

	if (event_is_null(&o->event))
		return 0;
	ret = outline_expect(o, YAML_SEQUENCE_START_EVENT, field->key, "a list, as in [a, b]");
	for (n = 0; !ret; n++) {
		ret = outline_next(o);
		if (ret || o->event.type == YAML_SEQUENCE_END_EVENT)
			break;
		if (n == list->sequence.max)
			return refuse(o->src, event_line(o), "%s: one too many; expected at most %u",
				      field->key, n);
		o->lines->entry[field - file_fields][n] = event_line(o);
		ret = outline_entry(o, field->key, list->sequence.entry);
	}
	return ret;
}

static int outline_value(struct outline *o, const cyaml_schema_field_t *field)
{
	const struct rule *rule = rule_find(field->key);

	if (field->value.type == CYAML_SEQUENCE)
		return outline_list(o, field);
	return outline_expect(o, YAML_SCALAR_EVENT, field->key, rule ? rule->expected : "one word");
}

/* The key that is the current event, then its value. */
static int outline_pair(struct outline *o, const cyaml_schema_field_t *fields, unsigned long *seen)
{
	const char *key;
	int i, ret;

	if (o->event.type != YAML_SCALAR_EVENT)
		return refuse(o->src, event_line(o), "%s for a key; expected a word", event_name(&o->event));
	key = (const char *)o->event.data.scalar.value;
	i = field_find(fields, key);
	if (i < 0)
		return key_refuse(o->src, event_line(o), fields, key);
	if (*seen & 1ul << i)
		return refuse(o->src, event_line(o), "%s is given a second time; expected once", key);
	*seen |= 1ul << i;
	if (fields == file_fields)
		o->lines->key[i] = event_line(o);
	ret = outline_next(o);
	return ret ? ret : outline_value(o, &fields[i]);
}

static int outline_map(struct outline *o, const cyaml_schema_field_t *fields)
{
	unsigned long seen = 0;
	int ret;

	for (;;) {
		ret = outline_next(o);
		if (ret || o->event.type == YAML_MAPPING_END_EVENT)
			return ret;
		ret = outline_pair(o, fields, &seen);
		if (ret)
			return ret;
	}
}

/* The current event is the document's start. */
static int outline_document(struct outline *o)
{
	int ret = outline_next(o);

	if (!ret)
		ret = outline_expect(o, YAML_MAPPING_START_EVENT, "the file",
				     "keys and values, as in 'workers: 2'");
	if (!ret)
		ret = outline_map(o, file_fields);
	return ret ? ret : outline_next(o);
}

/* No document is a file without a key: all defaults. */
static int outline_stream(struct outline *o)
{
	int ret = outline_next(o);

	if (!ret)
		ret = outline_next(o);
	if (!ret && o->event.type == YAML_DOCUMENT_START_EVENT)
		ret = outline_document(o);
	if (!ret && o->event.type == YAML_DOCUMENT_END_EVENT)
		ret = outline_next(o);
	if (!ret && o->event.type != YAML_STREAM_END_EVENT)
		ret = refuse(o->src, event_line(o), "a second document; expected one");
	return ret;
}

static int outline_read(const struct source *src, struct lines *lines)
{
	struct outline o = { .src = src, .lines = lines };
	int ret;

	if (!yaml_parser_initialize(&o.parser))
		return memory_refuse(src);
	yaml_parser_set_input_string(&o.parser, src->data, src->len);
	ret = outline_stream(&o);
	yaml_event_delete(&o.event);
	yaml_parser_delete(&o.parser);
	return ret;
}

/* --- from words to values --- */

struct reading {
	const struct source *src;
	const struct lines *lines;
	const struct text *text;
	struct config *config;
};

static int word_take(const struct reading *r, const struct rule *rule)
{
	int i = field_find(file_fields, rule->key);
	const char *word = *(const char *const *)((const char *)r->text + file_fields[i].data_offset);

	if (rule->take(rule, word ? word : rule->fallback, (char *)r->config + rule->offset))
		return 0;
	return refuse(r->src, r->lines->key[i], "%s: \"%.32s\"; expected %s", rule->key, word,
		      rule->expected);
}

/* As the kernel's dev_valid_name(). */
static bool device_valid(const char *name)
{
	size_t len = strlen(name);

	if (len == 0 || len >= sizeof(((struct config *)0)->devices[0]))
		return false;
	return strcmp(name, ".") && strcmp(name, "..") && !name[strcspn(name, "/: \t\n\v\f\r")];
}

static int device_take(const struct reading *r, const char *name)
{
	struct config *c = r->config;
	unsigned int i, line = r->lines->entry[field_find(file_fields, "devices")][c->n_devices];

	if (!device_valid(name))
		return refuse(r->src, line, "devices: \"%.32s\"; expected " EXPECTED_DEVICE, name);
	for (i = 0; i < c->n_devices; i++)
		if (!strcmp(c->devices[i], name))
			return refuse(r->src, line, "devices: \"%s\" a second time; expected each once",
				      name);
	strcpy(c->devices[c->n_devices++], name);
	return 0;
}

static int devices_take(const struct reading *r)
{
	unsigned int i;
	int ret = 0;

	if (!r->text->n_devices && r->config->transport == CONFIG_TRANSPORT_XDP)
		return refuse(
			r->src, r->lines->key[field_find(file_fields, "transport")],
			"transport: \"xdp\" has nothing to receive from; expected at least one of devices");
	for (i = 0; !ret && i < r->text->n_devices; i++)
		ret = device_take(r, r->text->devices[i]);
	return ret;
}

static bool cpu_parse(const char *word, int *cpu)
{
	uint64_t number;

	if (!strcmp(word, "-1")) {
		*cpu = CONFIG_CPU_NONE;
		return true;
	}
	if (number_parse(word, CPU_MAX, &number))
		return false;
	*cpu = number;
	return true;
}

/* After the workers' number is known. */
static int cpus_take(const struct reading *r)
{
	unsigned int i, n = r->text->n_cpus, key = field_find(file_fields, "cpus");
	struct config *c = r->config;

	for (i = 0; i < XSR_WORKERS_MAX; i++)
		c->cpus[i] = CONFIG_CPU_AUTO;
	for (i = 0; i < n; i++)
		if (!cpu_parse(r->text->cpus[i], &c->cpus[i]))
			return refuse(r->src, r->lines->entry[key][i],
				      "cpus: \"%.32s\"; expected " EXPECTED_CPU, r->text->cpus[i]);
	if (n && n != c->n_workers)
		return refuse(r->src, r->lines->key[key],
			      "cpus: %u given; expected %u, one for each of the workers", n, c->n_workers);
	return 0;
}

static bool service_same_place(const struct xsr_service *a, const struct xsr_service *b)
{
	const __u8 family = XSR_SERVICE_IPV4 | XSR_SERVICE_IPV6 | XSR_SERVICE_ANY;

	return a->port == b->port && a->proto == b->proto && (a->flags & family) == (b->flags & family) &&
	       !memcmp(a->addr, b->addr, sizeof(a->addr));
}

/* What the table of services would refuse of this file alone; its room in the dense table depends on others.
 */
static int service_check(const struct reading *r, const struct xsr_service *service, unsigned int line)
{
	const struct config *c = r->config;
	unsigned int i, n_port = 0;

	for (i = 0; i < c->n_services; i++) {
		const struct xsr_service *other = &c->services[i];

		if (!strcmp(other->name, service->name))
			return refuse(r->src, line, "services: a second service '%s'; expected another name",
				      service->name);
		if (service_same_place(other, service))
			return refuse(r->src, line,
				      "service '%s': '%s' has this address and port; expected another",
				      service->name, other->name);
		n_port += other->port == service->port && other->proto == service->proto;
	}
	if (n_port < XSR_SERVICES_PER_PORT_MAX)
		return 0;
	return refuse(r->src, line, "service '%s': one too many on its port; expected at most %u",
		      service->name, n_port);
}

static int service_take(const struct reading *r, unsigned int i)
{
	unsigned int line = r->lines->entry[field_find(file_fields, "services")][i];
	struct service_spec spec = r->text->services[i];
	struct xsr_service service = { 0 };
	char why[SERVICE_WHY_LEN];
	int ret;

	if (!spec.protocol)
		spec.protocol = "udp";
	if (service_spec_parse(&spec, &service, why))
		return refuse(r->src, line, "service '%.31s': %s", spec.name ? spec.name : "", why);
	ret = service_check(r, &service, line);
	if (!ret)
		r->config->services[r->config->n_services++] = service;
	return ret;
}

static int text_take(const struct reading *r)
{
	unsigned int i;
	int ret = 0;

	for (i = 0; !ret && i < ARRAY_SIZE(rules); i++)
		ret = word_take(r, &rules[i]);
	if (!ret)
		ret = devices_take(r);
	if (!ret)
		ret = cpus_take(r);
	for (i = 0; !ret && i < r->text->n_services; i++)
		ret = service_take(r, i);
	return ret;
}

/* --- the public functions --- */

/* The outline was accepted, so only memory can be short; *text NULL: no keys. */
static int text_load(const struct source *src, struct text **text)
{
	cyaml_data_t *data = NULL;
	cyaml_err_t err = cyaml_load_data(src->data, src->len, &loader, &file_value, &data, NULL);

	*text = data;
	if (err == CYAML_ERR_OOM)
		return memory_refuse(src);
	if (err)
		return refuse(src, 0, "libcyaml refuses it: %s; expected a file like full.yaml",
			      cyaml_strerror(err));
	return 0;
}

static int config_fill(const struct source *src, const struct lines *lines, struct config *config)
{
	static const struct text nothing;
	struct text *text;
	int ret = text_load(src, &text);

	if (!ret)
		ret = text_take(&(struct reading){ src, lines, text ? text : &nothing, config });
	cyaml_free(&loader, &file_value, text, 0);
	return ret;
}

int config_parse(const char *name, const void *data, size_t len, struct config **out,
		 char why[CONFIG_WHY_LEN])
{
	const struct source src = { name, data, len, why };
	struct lines lines = { 0 };
	struct config *config;
	int ret;

	if (len > CONFIG_FILE_MAX) {
		refuse(&src, 0, "the file is too long; expected at most %u bytes", CONFIG_FILE_MAX);
		return -EFBIG;
	}
	ret = outline_read(&src, &lines);
	if (ret)
		return ret;
	config = calloc(1, sizeof(*config));
	ret = config ? config_fill(&src, &lines, config) : memory_refuse(&src);
	if (ret)
		config_free(config);
	else
		*out = config;
	return ret;
}

/* Into `data`, up to `max` bytes. Returns how many, or -errno. */
static ssize_t file_read(const char *path, char *data, size_t max)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	size_t len = 0;
	ssize_t n = fd < 0 ? -1 : 1;

	while (n > 0 && len < max) {
		n = read(fd, data + len, max - len);
		if (n > 0)
			len += n;
		else if (n < 0 && errno == EINTR)
			n = 1;
	}
	n = n < 0 ? -errno : (ssize_t)len;
	if (fd >= 0)
		close(fd);
	return n;
}

int config_load(const char *path, struct config **out, char why[CONFIG_WHY_LEN])
{
	const struct source src = { .name = path, .why = why };
	char *data = malloc(CONFIG_FILE_MAX + 1);
	ssize_t len;
	int ret;

	if (!data)
		return memory_refuse(&src);
	len = file_read(path, data, CONFIG_FILE_MAX + 1);
	if (len >= 0) {
		ret = config_parse(path, data, len, out, why);
	} else {
		ret = len;
		refuse(&src, 0, "%s; expected a file that can be read", strerrordesc_np(-ret));
	}
	free(data);
	return ret;
}

void config_free(struct config *config)
{
	free(config);
}

static bool rule_differs(const struct rule *rule, const struct config *a, const struct config *b)
{
	const char *one = (const char *)a + rule->offset, *other = (const char *)b + rule->offset;

	return rule->take == name_take ? strcmp(one, other) : memcmp(one, other, rule->len);
}

static bool devices_differ(const struct config *a, const struct config *b)
{
	unsigned int i;

	if (a->n_devices != b->n_devices)
		return true;
	for (i = 0; i < a->n_devices; i++)
		if (strcmp(a->devices[i], b->devices[i]))
			return true;
	return false;
}

/* The first key that differs, of those that are read at the start only; NULL if none. */
static const char *key_differs(const struct config *a, const struct config *b)
{
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(rules); i++)
		if (rule_differs(&rules[i], a, b))
			return rules[i].key;
	if (devices_differ(a, b))
		return "devices";
	return memcmp(a->cpus, b->cpus, a->n_workers * sizeof(a->cpus[0])) ? "cpus" : NULL;
}

bool config_needs_restart(const struct config *a, const struct config *b, char why[CONFIG_WHY_LEN])
{
	const char *key = key_differs(a, b);

	if (key)
		snprintf(why, CONFIG_WHY_LEN,
			 "%s differs from what runs, and only services are changed live: "
			 "expected the old value, or a restart",
			 key);
	return key;
}
