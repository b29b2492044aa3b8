/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#include "service_spec.h"

#include <errno.h>
#include <netinet/in.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "endpoint.h"
#include "profile.h"

#define ARRAY_SIZE(a) (sizeof(a) / sizeof((a)[0]))

#define STAMP_INTERVAL_MAX (1u << 31)
#define DENSE_LEN_MAX (1u << 28)
#define NODE_MAX 0xffff
#define FRAME_MAX_MIN 20 /* the header behind the len field */
#define FRAME_MAX_MAX 1048576
#define FRAME_MAX_DEFAULT 65536

int spec_refuse(char why[SERVICE_WHY_LEN], const char *fmt, ...)
{
	va_list args;

	va_start(args, fmt);
	vsnprintf(why, SERVICE_WHY_LEN, fmt, args);
	va_end(args);
	return -EINVAL;
}

/* The digit's value, or the base if it is none. */
static unsigned int digit_value(char c, unsigned int base)
{
	unsigned int value = base;

	if (c >= '0' && c <= '9')
		value = c - '0';
	else if (c >= 'a' && c <= 'f')
		value = c - 'a' + 10;
	else if (c >= 'A' && c <= 'F')
		value = c - 'A' + 10;
	return value < base ? value : base;
}

/* strtoull takes signs, blanks and octal, none of which an operator means. */
int number_parse(const char *text, uint64_t max, uint64_t *out)
{
	unsigned int base = strncmp(text, "0x", 2) ? 10 : 16;
	uint64_t value = 0;
	bool too_large = false;

	if (base == 16)
		text += 2;
	if (!*text)
		return -EINVAL;
	for (; *text; text++) {
		unsigned int digit = digit_value(*text, base);

		if (digit == base)
			return -EINVAL;
		if (value > (UINT64_MAX - digit) / base)
			too_large = true;
		value = value * base + digit;
	}
	if (too_large || value > max)
		return -ERANGE;
	*out = value;
	return 0;
}

int name_parse(const char *what, const char *name, char out[XSR_NAME_LEN], char why[SERVICE_WHY_LEN])
{
	const char *allowed = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-";

	if (!name || !*name)
		return spec_refuse(why, "the %s has no name; expected letters, digits, '_' and '-'", what);
	if (name[strspn(name, allowed)])
		return spec_refuse(why, "name \"%.64s\" holds a character that is not a letter, a digit, '_' or '-'",
				   name);
	if (strlen(name) >= XSR_NAME_LEN)
		return spec_refuse(why, "name \"%.64s\" is %zu characters long; at most %d fit", name, strlen(name),
				   XSR_NAME_LEN - 1);
	strcpy(out, name);
	return 0;
}

/* --- one function for each word; each fills its part of the service --- */

static int name_take(const struct service_spec *spec, struct xsr_service *s, char *why)
{
	return name_parse("service", spec->name, s->name, why);
}

static int protocol_take(const struct service_spec *spec, struct xsr_service *s, char *why)
{
	const char *protocol = spec->protocol;

	if (!protocol)
		return spec_refuse(why, "the service has no protocol; expected udp or tcp");
	if (strcmp(protocol, "udp") && strcmp(protocol, "tcp"))
		return spec_refuse(why, "protocol \"%.64s\" is not known; expected udp or tcp", protocol);
	s->proto = strcmp(protocol, "tcp") ? IPPROTO_UDP : IPPROTO_TCP;
	return 0;
}

static bool is_tcp(const struct xsr_service *s)
{
	return s->proto == IPPROTO_TCP;
}

static int address_take(const struct service_spec *spec, struct xsr_service *s, char *why)
{
	struct endpoint e;
	int ret;

	if (!spec->address)
		return spec_refuse(why, "the service has no address; expected ADDR:PORT or [ADDR6]:PORT");
	ret = endpoint_parse(spec->address, &e, why);
	if (ret)
		return ret;
	memcpy(s->addr, e.addr, sizeof(s->addr));
	s->port = e.port;
	s->flags |= e.flags;
	return 0;
}

static int id_take(const struct service_spec *spec, struct xsr_service *s, char *why)
{
	int ret;

	if (!spec->id)
		return spec_refuse(why,
				   "the service has no rule that finds the session ID; expected a profile such as xsr "
				   "or offset:0:8");
	ret = rule_compile(spec->id, s, why, SERVICE_WHY_LEN);
	if (!ret && !s->n_alternatives && !is_tcp(s))
		return spec_refuse(why, "rule \"%.64s\": a UDP service is steered by its IDs; expected a rule that finds them",
				   spec->id);
	return ret;
}

static int default_take(const struct service_spec *spec, struct xsr_service *s, char *why)
{
	static const struct {
		const char *name;
		enum xsr_action action;
	} actions[] = { { "pass", XSR_ACTION_PASS },
			{ "drop", XSR_ACTION_DROP },
			{ "hash", XSR_ACTION_HASH } };
	const char *name = spec->default_action ? spec->default_action : is_tcp(s) ? "hash" : "pass";
	unsigned int i;

	if (is_tcp(s) && !strcmp(name, "pass"))
		return spec_refuse(why,
				   "default action \"pass\": nobody else would serve a TCP service's sessions; expected drop or hash");
	for (i = 0; i < ARRAY_SIZE(actions); i++) {
		if (strcmp(actions[i].name, name))
			continue;
		s->default_action = actions[i].action;
		return 0;
	}
	return spec_refuse(why, "default action \"%.64s\" is not known; expected pass, drop or hash", name);
}

static int stamp_take(const struct service_spec *spec, struct xsr_service *s, char *why)
{
	const char *stamp = spec->stamp ? spec->stamp : "off";
	uint64_t interval = 0;

	if (spec->stamp && is_tcp(s))
		return spec_refuse(why, "stamp \"%.64s\": a TCP service's messages have none; expected no stamp", stamp);
	if (!strcmp(stamp, "on"))
		interval = 1;
	else if (strcmp(stamp, "off") && (number_parse(stamp, STAMP_INTERVAL_MAX, &interval) || interval < 2))
		return spec_refuse(why, "stamp \"%.64s\" is not known; expected off, on or a number from 2 to %u",
			      stamp, STAMP_INTERVAL_MAX);
	s->stamp_interval = interval;
	return 0;
}

/* A number that may be left out: 0 then. */
static int number_take(const char *what, const char *text, uint64_t max, uint64_t *out, char *why)
{
	*out = 0;
	if (text && number_parse(text, max, out))
		return spec_refuse(why, "%s \"%.64s\" is not a number from 0 to %ju", what, text, (uintmax_t)max);
	return 0;
}

static int dense_take(const struct service_spec *spec, struct xsr_service *s, char *why)
{
	uint64_t len;
	int ret = number_take("dense", spec->dense, DENSE_LEN_MAX, &len, why);

	s->dense_len = len;
	if (!ret && len && !s->n_alternatives)
		return spec_refuse(why, "dense \"%.64s\": without IDs there are no routes; expected 0", spec->dense);
	return ret;
}

static int node_take(const struct service_spec *spec, struct xsr_service *s, char *why)
{
	uint64_t node;
	int ret = number_take("node", spec->node, NODE_MAX, &node, why);

	s->node = node;
	return ret;
}

/* --- what only TCP services have --- */

static const struct {
	const char *name;
	enum xsr_stream_mode mode;
	bool framed;
} modes[] = {
	{ "epoll", XSR_STREAM_EPOLL, true },	{ "frames", XSR_STREAM_FRAMES, true }, { "splice", XSR_STREAM_SPLICE, false },
	{ "relay", XSR_STREAM_RELAY, false }, { "local", XSR_STREAM_LOCAL, false },
};
_Static_assert(ARRAY_SIZE(modes) == XSR_STREAM_MAX - 1, "every mode but that of UDP services");

/* Whether the worker, or the kernel, looks for sessions in the bytes. */
static int mode_check(const char *name, bool framed, const struct xsr_service *s, char *why)
{
	if (framed && !(s->flags & XSR_SERVICE_FRAMED))
		return spec_refuse(why, "mode \"%s\" moves xsr's own frames by their session; expected id xsr", name);
	if (!framed && s->n_alternatives)
		return spec_refuse(why, "mode \"%s\" moves bytes without looking for an ID; expected id none", name);
	return 0;
}

static int mode_take(const struct service_spec *spec, struct xsr_service *s, char *why)
{
	const char *name = spec->mode ? spec->mode : "epoll";
	unsigned int i;

	if (spec->mode && !is_tcp(s))
		return spec_refuse(why, "mode \"%.64s\": a UDP service has none; expected it with protocol tcp", name);
	for (i = 0; i < ARRAY_SIZE(modes) && is_tcp(s); i++) {
		if (strcmp(modes[i].name, name))
			continue;
		s->mode = modes[i].mode;
		return mode_check(name, modes[i].framed, s, why);
	}
	if (!is_tcp(s))
		return 0;
	return spec_refuse(why, "mode \"%.64s\" is not known; expected epoll, frames, splice, relay or local", name);
}

static int frame_max_take(const struct service_spec *spec, struct xsr_service *s, char *why)
{
	const char *text = spec->frame_max;
	uint64_t len = is_tcp(s) && s->flags & XSR_SERVICE_FRAMED ? FRAME_MAX_DEFAULT : 0;

	if (text && !len)
		return spec_refuse(why, "frame_max \"%.64s\": the service has no frames; expected it with protocol tcp, id xsr",
				   text);
	if (text && (number_parse(text, FRAME_MAX_MAX, &len) || len < FRAME_MAX_MIN))
		return spec_refuse(why, "frame_max \"%.64s\" is not a number from %d to %d", text, FRAME_MAX_MIN, FRAME_MAX_MAX);
	s->frame_max = len;
	return 0;
}

static const char *name_twice(const struct service_spec *spec)
{
	unsigned int i, j;

	for (i = 0; i < spec->n_backends; i++)
		for (j = 0; j < i; j++)
			if (!strcmp(spec->backends[i], spec->backends[j]))
				return spec->backends[i];
	return NULL;
}

/* Whether they are there is seen when their names are looked up. */
static int backends_check(const struct service_spec *spec, struct xsr_service *s, char *why)
{
	const char *twice = name_twice(spec);

	if (twice)
		return spec_refuse(why, "backends: \"%.64s\" a second time; expected each once", twice);
	if (spec->n_backends && !is_tcp(s))
		return spec_refuse(why, "backends: a UDP service has none; expected them with protocol tcp");
	if (spec->n_backends && s->mode == XSR_STREAM_LOCAL)
		return spec_refuse(why, "backends: mode local joins clients with the server at the address itself; expected none");
	if (!spec->n_backends && is_tcp(s) && s->mode != XSR_STREAM_LOCAL)
		return spec_refuse(why, "a TCP service has no backends; expected at least one");
	return 0;
}

/* The table has no room for it: so it is in the configuration alone. Whether it is there is seen when it is used. */
static int cgroup_check(const struct service_spec *spec, struct xsr_service *s, char *why)
{
	const char *cgroup = spec->cgroup;

	if (cgroup && s->mode != XSR_STREAM_LOCAL)
		return spec_refuse(why, "cgroup \"%.64s\": only mode local joins the sockets of one; expected none", cgroup);
	if (!cgroup && s->mode == XSR_STREAM_LOCAL)
		return spec_refuse(why, "mode local joins the sockets of a cgroup, which the configuration names; expected cgroup there");
	if (cgroup && (*cgroup != '/' || strlen(cgroup) >= SERVICE_CGROUP_LEN))
		return spec_refuse(why, "cgroup \"%.64s\" is no path; expected one from the root on, of at most %d characters", cgroup,
				   SERVICE_CGROUP_LEN - 1);
	return 0;
}

int service_spec_parse(const struct service_spec *spec, struct xsr_service *out, char why[SERVICE_WHY_LEN])
{
	static int (*const words[])(const struct service_spec *spec, struct xsr_service *s, char *why) = {
		name_take,    protocol_take, address_take, id_take,
		default_take, stamp_take,    dense_take,   node_take,
		mode_take,    frame_max_take, backends_check, cgroup_check,
	};
	struct xsr_service s = { .next = out->next, .dense_base = out->dense_base, .backends = out->backends };
	unsigned int i;
	int ret;

	for (i = 0; i < ARRAY_SIZE(words); i++) {
		ret = words[i](spec, &s, why);
		if (ret)
			return ret;
	}
	*out = s;
	return 0;
}

const char *service_address(const struct xsr_service *service, char buf[SERVICE_ADDRESS_LEN])
{
	struct endpoint e = { .port = service->port, .flags = service->flags };

	memcpy(e.addr, service->addr, sizeof(e.addr));
	return endpoint_text(&e, buf);
}
