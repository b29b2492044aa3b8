/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#include "target.h"

#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "names.h"
#include "service_spec.h"

static int fail(char why[TARGET_WHY_LEN], const char *format, const char *word, size_t len)
{
	snprintf(why, TARGET_WHY_LEN, format, (int)(len > 40 ? 40 : len), word);
	return -EINVAL;
}

/* A digit's value, 16 or more for what is none. */
static inline unsigned int digit(char c)
{
	unsigned int decimal = (unsigned char)c - '0', letter = ((unsigned char)c | 32) - 'a';

	return decimal < 10 ? decimal : letter < 6 ? letter + 10 : 16;
}

/* Digits of base 16; false if there are none or more than fit. */
static bool hex_read(const char **p, const char *end, uint64_t *out)
{
	const char *start = *p, *c = start;
	uint64_t n = 0;

	for (; c < end && digit(*c) < 16; c++)
		n = n << 4 | digit(*c);
	*p = c;
	*out = n;
	return c > start && c - start <= 16;
}

/* 19 digits always fit in 64 bits: only a 20th needs looking after. */
static bool decimal_read(const char **p, const char *end, uint64_t *out)
{
	const char *start = *p, *c = start, *safe = end - start > 19 ? start + 19 : end;
	bool fits = true;
	uint64_t n = 0;

	for (; c < safe && digit(*c) < 10; c++)
		n = n * 10 + digit(*c);
	for (; c < end && digit(*c) < 10; c++)
		fits = fits && !__builtin_mul_overflow(n, 10, &n) && !__builtin_add_overflow(n, digit(*c), &n);
	*p = c;
	*out = n;
	return fits && c > start;
}

/* Reads a decimal or 0x number at *p; moves *p behind it. False if there is none or it does not fit. */
static bool number_read(const char **p, const char *end, uint64_t *out)
{
	if (end - *p > 2 && (*p)[0] == '0' && ((*p)[1] | 32) == 'x') {
		*p += 2;
		return hex_read(p, end, out);
	}
	return decimal_read(p, end, out);
}

static bool is_blank(char c)
{
	return c == ' ' || c == '\t' || c == '\r';
}

static const char *skip_blanks(const char *p, const char *end)
{
	while (p < end && is_blank(*p))
		p++;
	return p;
}

static size_t word_len(const char *p, const char *end)
{
	const char *start = p;

	while (p < end && !is_blank(*p))
		p++;
	return p - start;
}

static int worker_read(const char **p, const char *end, struct xsr_route *route, char why[TARGET_WHY_LEN])
{
	const char *number = skip_blanks(*p, end);
	size_t len = word_len(number, end);
	uint64_t n;

	*p = number;
	if (!number_read(p, end, &n) || *p != number + len)
		return fail(why, "worker '%.*s': expected a number", number, len);
	if (n >= XSR_WORKERS_MAX)
		return fail(why, "worker %.*s: an instance has at most 64 workers, 0 to 63", number, len);
	_Static_assert(XSR_WORKERS_MAX == 64, "the sentence above says 64");
	route->action = XSR_ACTION_WORKER;
	route->target = n;
	return 0;
}

static bool word_is(const char *p, size_t len, const char *word)
{
	return len == strlen(word) && !memcmp(p, word, len);
}

static int target_read(const char **p, const char *end, struct xsr_route *route, char why[TARGET_WHY_LEN])
{
	const char *word = *p;
	size_t len = word_len(word, end);

	*p += len;
	route->target = 0;
	if (word_is(word, len, "worker"))
		return worker_read(p, end, route, why);
	if (word_is(word, len, "pass"))
		route->action = XSR_ACTION_PASS;
	else if (word_is(word, len, "drop"))
		route->action = XSR_ACTION_DROP;
	else
		return fail(why, "target '%.*s': expected " TARGET_USAGE, word, len);
	return 0;
}

int target_parse_line(const char *text, size_t len, uint64_t *id, struct xsr_route *route,
		      char why[TARGET_WHY_LEN])
{
	const char *end = text + len, *p = skip_blanks(text, end), *word = p;
	int ret;

	if (!number_read(&p, end, id) || (p < end && !is_blank(*p)))
		return fail(why, "ID '%.*s': expected a decimal or 0x number of at most 64 bits", word,
			    word_len(word, end));
	p = skip_blanks(p, end);
	ret = target_read(&p, end, route, why);
	if (ret)
		return ret;
	p = skip_blanks(p, end);
	return p == end ? 0 : fail(why, "unexpected '%.*s' behind the target", p, word_len(p, end));
}

int target_parse_words(int argc, char **argv, struct xsr_route *route, char why[TARGET_WHY_LEN])
{
	char text[128] = "";
	const char *p = text;
	int i, ret;

	if (argc < 1)
		return fail(why, "no target: expected " TARGET_USAGE "%.*s", "", 0);
	for (i = 0; i < argc; i++)
		snprintf(text + strlen(text), sizeof(text) - strlen(text), "%s%s", i ? " " : "", argv[i]);
	ret = target_read(&p, text + strlen(text), route, why);
	if (ret)
		return ret;
	p = skip_blanks(p, text + strlen(text));
	return *p ? fail(why, "unexpected '%.*s' behind the target", p, strlen(p)) : 0;
}

const char *target_text(const struct xsr_route *route, char buf[TARGET_TEXT_LEN])
{
	if (route->action == XSR_ACTION_WORKER)
		snprintf(buf, TARGET_TEXT_LEN, "worker %u", route->target);
	else
		snprintf(buf, TARGET_TEXT_LEN, "%s", action_name(route->action));
	return buf;
}

const char *target_json(const struct xsr_route *route, char buf[TARGET_TEXT_LEN])
{
	if (route->action == XSR_ACTION_WORKER)
		snprintf(buf, TARGET_TEXT_LEN, "{\"worker\":%u}", route->target);
	else
		snprintf(buf, TARGET_TEXT_LEN, "\"%s\"", action_name(route->action));
	return buf;
}
