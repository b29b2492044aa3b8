/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#include "service_spec.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "profile.h"

#define ARRAY_SIZE(a) (sizeof(a) / sizeof((a)[0]))

#define STAMP_INTERVAL_MAX (1u << 31)
#define DENSE_LEN_MAX (1u << 28)
#define NODE_MAX 0xffff

__attribute__((format(printf, 2, 3))) static int refuse(char *why, const char *fmt, ...)
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

/* --- one function for each word; each fills its part of the service --- */

static int name_take(const struct service_spec *spec, struct xsr_service *s, char *why)
{
	const char *allowed = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-";
	const char *name = spec->name;

	if (!name || !*name)
		return refuse(why, "the service has no name; expected letters, digits, '_' and '-'");
	if (name[strspn(name, allowed)])
		return refuse(why,
			      "name \"%.64s\" holds a character that is not a letter, a digit, '_' or '-'",
			      name);
	if (strlen(name) >= sizeof(s->name))
		return refuse(why, "name \"%.64s\" is %zu characters long; at most %zu fit", name,
			      strlen(name), sizeof(s->name) - 1);
	strcpy(s->name, name);
	return 0;
}

static int protocol_take(const struct service_spec *spec, struct xsr_service *s, char *why)
{
	const char *protocol = spec->protocol;

	if (!protocol)
		return refuse(why, "the service has no protocol; expected udp");
	if (!strcmp(protocol, "tcp"))
		return refuse(why,
			      "protocol \"tcp\": TCP services are not served by this version; expected udp");
	if (strcmp(protocol, "udp"))
		return refuse(why, "protocol \"%.64s\" is not known; expected udp or tcp", protocol);
	s->proto = IPPROTO_UDP;
	return 0;
}

static int port_take(const char *address, const char *text, struct xsr_service *s, char *why)
{
	uint64_t port;

	if (number_parse(text, 65535, &port) || port == 0)
		return refuse(why, "address \"%.96s\": port \"%.16s\" is not a number from 1 to 65535",
			      address, text);
	s->port = htons(port);
	return 0;
}

static int ipv4_take(const char *address, const char *host, struct xsr_service *s, char *why)
{
	if (inet_pton(AF_INET, host, &s->addr[3]) != 1)
		return refuse(why,
			      "address \"%.96s\": \"%s\" is not an IPv4 address; expected four numbers, "
			      "no host name",
			      address, host);
	s->flags |= XSR_SERVICE_IPV4;
	if (!s->addr[3])
		s->flags |= XSR_SERVICE_ANY;
	return 0;
}

/* [::] is any address of both families, as a socket bound to it would be. */
static int ipv6_take(const char *address, const char *host, struct xsr_service *s, char *why)
{
	struct in6_addr in6;

	if (inet_pton(AF_INET6, host, &in6) != 1)
		return refuse(why, "address \"%.96s\": \"%s\" is not an IPv6 address", address, host);
	if (IN6_IS_ADDR_V4MAPPED(&in6))
		return refuse(why,
			      "address \"%.96s\" stands for an IPv4 address; expected that, without brackets",
			      address);
	memcpy(s->addr, &in6, sizeof(s->addr));
	s->flags |= XSR_SERVICE_IPV6;
	if (IN6_IS_ADDR_UNSPECIFIED(&in6))
		s->flags |= XSR_SERVICE_IPV4 | XSR_SERVICE_ANY;
	return 0;
}

/* Copies the `len` characters of an address that stand before its port. */
static int host_copy(const char *address, const char *text, size_t len, char host[INET6_ADDRSTRLEN],
		     char *why)
{
	if (len >= INET6_ADDRSTRLEN)
		return refuse(why,
			      "address \"%.96s\": what stands before the port is too long for an address",
			      address);
	memcpy(host, text, len);
	host[len] = '\0';
	return 0;
}

static int address_take_ipv6(const char *address, struct xsr_service *s, char *why)
{
	const char *close = strchr(address, ']');
	char host[INET6_ADDRSTRLEN];
	int ret;

	if (!close || close[1] != ':')
		return refuse(why, "address \"%.96s\" has no port; expected [ADDR]:PORT", address);
	ret = host_copy(address, address + 1, close - address - 1, host, why);
	if (!ret)
		ret = ipv6_take(address, host, s, why);
	return ret ? ret : port_take(address, close + 2, s, why);
}

static int address_take_ipv4(const char *address, struct xsr_service *s, char *why)
{
	const char *colon = strchr(address, ':');
	char host[INET6_ADDRSTRLEN];
	int ret;

	if (!colon)
		return refuse(why, "address \"%.96s\" has no port; expected ADDR:PORT", address);
	if (strchr(colon + 1, ':'))
		return refuse(why,
			      "address \"%.96s\": an IPv6 address stands in brackets; expected [ADDR]:PORT",
			      address);
	ret = host_copy(address, address, colon - address, host, why);
	if (!ret)
		ret = ipv4_take(address, host, s, why);
	return ret ? ret : port_take(address, colon + 1, s, why);
}

static int address_take(const struct service_spec *spec, struct xsr_service *s, char *why)
{
	if (!spec->address)
		return refuse(why, "the service has no address; expected ADDR:PORT or [ADDR6]:PORT");
	return spec->address[0] == '[' ? address_take_ipv6(spec->address, s, why)
				       : address_take_ipv4(spec->address, s, why);
}

static int id_take(const struct service_spec *spec, struct xsr_service *s, char *why)
{
	if (!spec->id)
		return refuse(
			why,
			"the service has no rule that finds the session ID; expected a profile such as xsr "
			"or offset:0:8");
	return rule_compile(spec->id, s, why, SERVICE_WHY_LEN);
}

static int default_take(const struct service_spec *spec, struct xsr_service *s, char *why)
{
	static const struct {
		const char *name;
		enum xsr_action action;
	} actions[] = { { "pass", XSR_ACTION_PASS },
			{ "drop", XSR_ACTION_DROP },
			{ "hash", XSR_ACTION_HASH } };
	const char *name = spec->default_action ? spec->default_action : "pass";
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(actions); i++) {
		if (strcmp(actions[i].name, name))
			continue;
		s->default_action = actions[i].action;
		return 0;
	}
	return refuse(why, "default action \"%.64s\" is not known; expected pass, drop or hash", name);
}

static int stamp_take(const struct service_spec *spec, struct xsr_service *s, char *why)
{
	const char *stamp = spec->stamp ? spec->stamp : "off";
	uint64_t interval = 0;

	if (!strcmp(stamp, "on"))
		interval = 1;
	else if (strcmp(stamp, "off") && (number_parse(stamp, STAMP_INTERVAL_MAX, &interval) || interval < 2))
		return refuse(why, "stamp \"%.64s\" is not known; expected off, on or a number from 2 to %u",
			      stamp, STAMP_INTERVAL_MAX);
	s->stamp_interval = interval;
	return 0;
}

/* A number that may be left out: 0 then. */
static int number_take(const char *what, const char *text, uint64_t max, uint64_t *out, char *why)
{
	*out = 0;
	if (text && number_parse(text, max, out))
		return refuse(why, "%s \"%.64s\" is not a number from 0 to %ju", what, text, (uintmax_t)max);
	return 0;
}

static int dense_take(const struct service_spec *spec, struct xsr_service *s, char *why)
{
	uint64_t len;
	int ret = number_take("dense", spec->dense, DENSE_LEN_MAX, &len, why);

	s->dense_len = len;
	return ret;
}

static int node_take(const struct service_spec *spec, struct xsr_service *s, char *why)
{
	uint64_t node;
	int ret = number_take("node", spec->node, NODE_MAX, &node, why);

	s->node = node;
	return ret;
}

int service_spec_parse(const struct service_spec *spec, struct xsr_service *out, char why[SERVICE_WHY_LEN])
{
	static int (*const words[])(const struct service_spec *spec, struct xsr_service *s, char *why) = {
		name_take,    protocol_take, address_take, id_take,
		default_take, stamp_take,    dense_take,   node_take,
	};
	struct xsr_service s = { .next = out->next, .dense_base = out->dense_base };
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
	bool ipv6 = service->flags & XSR_SERVICE_IPV6;
	char host[INET6_ADDRSTRLEN];

	inet_ntop(ipv6 ? AF_INET6 : AF_INET, ipv6 ? &service->addr[0] : &service->addr[3], host,
		  sizeof(host));
	snprintf(buf, SERVICE_ADDRESS_LEN, ipv6 ? "[%s]:%u" : "%s:%u", host, ntohs(service->port));
	return buf;
}
