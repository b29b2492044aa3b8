/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#include "outline.h"

#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <yaml.h>

#include "config.h"
#include "word.h"

#define ARRAY_SIZE(a) (sizeof(a) / sizeof((a)[0]))

/* A file that is being read, event by event. */
struct reader {
	const struct source *src;
	struct outline *outline;
	yaml_parser_t parser;
	yaml_event_t event; /* the current one */
};

static unsigned int event_line(const struct reader *r)
{
	return r->event.start_mark.line + 1;
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
static unsigned int problem_line(const struct reader *r)
{
	const struct source *src = r->src;
	unsigned int line = 1;
	size_t i;

	if (r->parser.error != YAML_READER_ERROR)
		return r->parser.problem_mark.line + 1;
	for (i = 0; i < src->len && i < r->parser.problem_offset; i++)
		line += src->data[i] == '\n';
	return line;
}

static int problem_refuse(const struct reader *r)
{
	const yaml_parser_t *p = &r->parser;

	if (p->error == YAML_MEMORY_ERROR)
		return source_refuse_memory(r->src);
	return source_refuse(r->src, problem_line(r), "not YAML: %s%s%s; expected lines of 'key: value'",
			     p->problem, p->context ? " " : "", p->context ? p->context : "");
}

static int key_refuse(const struct reader *r, const cyaml_schema_field_t *fields, const char *key)
{
	char known[CONFIG_WHY_LEN] = "";
	int i, n = 0;

	for (i = 0; fields[i].key && n < (int)sizeof(known); i++)
		n += snprintf(known + n, sizeof(known) - n, "%s%s", i ? ", " : "", fields[i].key);
	return source_refuse(r->src, event_line(r), "unknown key \"%.32s\"; expected one of %s", key, known);
}

static int event_next(struct reader *r)
{
	const char *ornament;

	yaml_event_delete(&r->event);
	if (!yaml_parser_parse(&r->parser, &r->event))
		return problem_refuse(r);
	ornament = event_ornament(&r->event);
	if (ornament)
		return source_refuse(r->src, event_line(r), "%s; expected the value itself, written out",
				     ornament);
	return 0;
}

static int event_expect(const struct reader *r, yaml_event_type_t type, const char *key, const char *expected)
{
	if (r->event.type == type)
		return 0;
	return source_refuse(r->src, event_line(r), "%s: %s; expected %s", key, event_name(&r->event),
			     expected);
}

static int map_read(struct reader *r, const cyaml_schema_field_t *fields);

static int entry_read(struct reader *r, const char *key, const cyaml_schema_value_t *entry)
{
	int ret;

	if (entry->type != CYAML_MAPPING)
		return event_expect(r, YAML_SCALAR_EVENT, key, "one word in each entry");
	ret = event_expect(r, YAML_MAPPING_START_EVENT, key,
			   "keys and values in each entry, as in '- name: game'");
	return ret ? ret : map_read(r, entry->mapping.fields);
}

/* Where the lines of a list's entries are kept; NULL: it is no list of the file itself. */
static unsigned int *entry_lines(struct reader *r, const cyaml_schema_field_t *fields, const cyaml_schema_field_t *field)
{
	return fields == schema_file ? r->outline->entry[field - fields] : NULL;
}

static int list_read(struct reader *r, const cyaml_schema_field_t *field, unsigned int *lines)
{
	const cyaml_schema_value_t *list = &field->value;
	unsigned int n;
	int ret;

	if (event_is_null(&r->event))
		return 0;
	ret = event_expect(r, YAML_SEQUENCE_START_EVENT, field->key, "a list, as in [a, b]");
	for (n = 0; !ret; n++) {
		ret = event_next(r);
		if (ret || r->event.type == YAML_SEQUENCE_END_EVENT)
			break;
		if (n == list->sequence.max)
			return source_refuse(r->src, event_line(r), "%s: one too many; expected at most %u",
					     field->key, n);
		if (lines)
			lines[n] = event_line(r);
		ret = entry_read(r, field->key, list->sequence.entry);
	}
	return ret;
}

static int value_read(struct reader *r, const cyaml_schema_field_t *fields, const cyaml_schema_field_t *field)
{
	const char *expected = fields == schema_file ? word_expected(field->key) : NULL;

	if (field->value.type == CYAML_SEQUENCE)
		return list_read(r, field, entry_lines(r, fields, field));
	return event_expect(r, YAML_SCALAR_EVENT, field->key, expected ? expected : "one word");
}

/* The key that is the current event, then its value. */
static int pair_read(struct reader *r, const cyaml_schema_field_t *fields, unsigned int *seen)
{
	const char *key;
	int i, ret;

	if (r->event.type != YAML_SCALAR_EVENT)
		return source_refuse(r->src, event_line(r), "%s for a key; expected a word",
				     event_name(&r->event));
	key = (const char *)r->event.data.scalar.value;
	i = schema_find(fields, key);
	if (i < 0)
		return key_refuse(r, fields, key);
	if (*seen & 1u << i)
		return source_refuse(r->src, event_line(r), "%s is given a second time; expected once", key);
	*seen |= 1u << i;
	if (fields == schema_file)
		r->outline->key[i] = event_line(r);
	ret = event_next(r);
	return ret ? ret : value_read(r, fields, &fields[i]);
}

static int map_read(struct reader *r, const cyaml_schema_field_t *fields)
{
	unsigned int seen = 0;
	int ret;

	for (;;) {
		ret = event_next(r);
		if (ret || r->event.type == YAML_MAPPING_END_EVENT)
			return ret;
		ret = pair_read(r, fields, &seen);
		if (ret)
			return ret;
	}
}

/* The current event is the document's start. */
static int document_read(struct reader *r)
{
	int ret = event_next(r);

	if (!ret)
		ret = event_expect(r, YAML_MAPPING_START_EVENT, "the file",
				   "keys and values, as in 'workers: 2'");
	if (!ret)
		ret = map_read(r, schema_file);
	return ret ? ret : event_next(r);
}

/* No document is a file without a key: all defaults. */
static int stream_read(struct reader *r)
{
	int ret = event_next(r);

	if (!ret)
		ret = event_next(r);
	if (!ret && r->event.type == YAML_DOCUMENT_START_EVENT)
		ret = document_read(r);
	if (!ret && r->event.type == YAML_DOCUMENT_END_EVENT)
		ret = event_next(r);
	if (!ret && r->event.type != YAML_STREAM_END_EVENT)
		ret = source_refuse(r->src, event_line(r), "a second document; expected one");
	return ret;
}

int outline_read(const struct source *src, struct outline *outline)
{
	struct reader r = { .src = src, .outline = outline };
	int ret;

	if (!yaml_parser_initialize(&r.parser))
		return source_refuse_memory(src);
	yaml_parser_set_input_string(&r.parser, src->data, src->len);
	ret = stream_read(&r);
	yaml_event_delete(&r.event);
	yaml_parser_delete(&r.parser);
	return ret;
}

unsigned int outline_key_line(const struct outline *outline, const char *key)
{
	return outline->key[schema_find(schema_file, key)];
}

unsigned int outline_entry_line(const struct outline *outline, const char *key, unsigned int i)
{
	return outline->entry[schema_find(schema_file, key)][i];
}
