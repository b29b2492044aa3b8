/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#include "target.h"

#include <errno.h>
#include <netinet/in.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "names.h"
#include "route.h"
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

static bool backend_is(const struct xsr_backend *backend, const char *name, size_t len)
{
	return backend->family && word_is(name, len, backend->name);
}

/* Lines that follow each other most often name the same. 0 = there is none. */
static uint32_t backend_find(struct target_names *names, const char *name, size_t len)
{
	uint32_t i;

	if (!names || !names->backends)
		return 0;
	if (names->last && backend_is(&names->backends[names->last], name, len))
		return names->last;
	for (i = 1; i < XSR_BACKENDS_MAX; i++)
		if (backend_is(&names->backends[i], name, len))
			return names->last = i;
	return 0;
}

static int backend_read(const char **p, const char *end, struct target_names *names, struct xsr_route *route,
			char why[TARGET_WHY_LEN])
{
	const char *name = skip_blanks(*p, end);
	size_t len = word_len(name, end);

	*p = name + len;
	if (!len)
		return fail(why, "backend '%.*s': expected a name", name, len);
	route->action = XSR_ACTION_BACKEND;
	route->target = backend_find(names, name, len);
	if (route->target)
		return 0;
	fail(why, "no backend '%.*s'; see: xsr backend show", name, len);
	return -ENOENT;
}

static int target_read(const char **p, const char *end, struct target_names *names, struct xsr_route *route,
		       char why[TARGET_WHY_LEN])
{
	const char *word = *p;
	size_t len = word_len(word, end);

	*p += len;
	route->target = 0;
	if (word_is(word, len, "worker"))
		return worker_read(p, end, route, why);
	if (word_is(word, len, "backend"))
		return backend_read(p, end, names, route, why);
	if (word_is(word, len, "pass"))
		route->action = XSR_ACTION_PASS;
	else if (word_is(word, len, "drop"))
		route->action = XSR_ACTION_DROP;
	else
		return fail(why, "target '%.*s': expected " TARGET_USAGE, word, len);
	return 0;
}

int target_parse_line(const char *text, size_t len, struct target_names *names, uint64_t *id, struct xsr_route *route,
		      char why[TARGET_WHY_LEN])
{
	const char *end = text + len, *p = skip_blanks(text, end), *word = p;
	int ret;

	if (!number_read(&p, end, id) || (p < end && !is_blank(*p)))
		return fail(why, "ID '%.*s': expected a decimal or 0x number of at most 64 bits", word,
			    word_len(word, end));
	p = skip_blanks(p, end);
	ret = target_read(&p, end, names, route, why);
	if (ret)
		return ret;
	p = skip_blanks(p, end);
	return p == end ? 0 : fail(why, "unexpected '%.*s' behind the target", p, word_len(p, end));
}

int target_parse_words(int argc, char **argv, struct target_names *names, struct xsr_route *route, char why[TARGET_WHY_LEN])
{
	char text[128] = "";
	const char *p = text;
	int i, ret;

	if (argc < 1)
		return fail(why, "no target: expected " TARGET_USAGE "%.*s", "", 0);
	for (i = 0; i < argc; i++)
		snprintf(text + strlen(text), sizeof(text) - strlen(text), "%s%s", i ? " " : "", argv[i]);
	ret = target_read(&p, text + strlen(text), names, route, why);
	if (ret)
		return ret;
	p = skip_blanks(p, text + strlen(text));
	return *p ? fail(why, "unexpected '%.*s' behind the target", p, strlen(p)) : 0;
}

static int misfit(const struct xsr_service *service, const char *what, char why[TARGET_WHY_LEN])
{
	snprintf(why, TARGET_WHY_LEN, "service '%s' %s", service->name, what);
	return -EINVAL;
}

int target_check(const struct xsr_service *service, const struct xsr_route *route, const struct xsr_backend *backends,
		 char why[TARGET_WHY_LEN])
{
	if (!route_action_fits(service, route->action))
		return misfit(service,
			      service->proto != IPPROTO_TCP ? "is a UDP service: expected worker N, pass or drop" :
			      service->n_alternatives	    ? "is a TCP service: expected backend NAME or drop" :
							      "has no session IDs, and so no routes",
			      why);
	if (route->action != XSR_ACTION_BACKEND || service->backends >> route->target & 1)
		return 0;
	snprintf(why, TARGET_WHY_LEN, "backend '%s' is none of service '%s'; see: xsr service show %s",
		 backends[route->target].name, service->name, service->name);
	return -EINVAL;
}

/* NULL if it is not there any more. */
static const char *backend_name(const struct xsr_route *route, const struct xsr_backend *backends)
{
	const struct xsr_backend *backend = &backends[route->target % XSR_BACKENDS_MAX];

	return route->target && route->target < XSR_BACKENDS_MAX && backend->family ? backend->name : NULL;
}

const char *target_text(const struct xsr_route *route, const struct xsr_backend *backends, char buf[TARGET_TEXT_LEN])
{
	if (route->action == XSR_ACTION_WORKER)
		snprintf(buf, TARGET_TEXT_LEN, "worker %u", route->target);
	else if (route->action == XSR_ACTION_BACKEND)
		snprintf(buf, TARGET_TEXT_LEN, "backend %.31s", backend_name(route, backends) ?: "?");
	else
		snprintf(buf, TARGET_TEXT_LEN, "%s", action_name(route->action));
	return buf;
}

const char *target_json(const struct xsr_route *route, const struct xsr_backend *backends, char buf[TARGET_TEXT_LEN])
{
	const char *name = route->action == XSR_ACTION_BACKEND ? backend_name(route, backends) : NULL;

	if (route->action == XSR_ACTION_WORKER)
		snprintf(buf, TARGET_TEXT_LEN, "{\"worker\":%u}", route->target);
	else if (name)
		snprintf(buf, TARGET_TEXT_LEN, "{\"backend\":\"%.31s\"}", name);
	else if (route->action == XSR_ACTION_BACKEND)
		snprintf(buf, TARGET_TEXT_LEN, "{\"backend\":null}");
	else
		snprintf(buf, TARGET_TEXT_LEN, "\"%s\"", action_name(route->action));
	return buf;
}
