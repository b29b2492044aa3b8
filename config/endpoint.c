/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#include "endpoint.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

static int port_take(const char *address, const char *text, struct endpoint *e, char *why)
{
	uint64_t port;

	if (number_parse(text, 65535, &port) || port == 0)
		return spec_refuse(why, "address \"%.96s\": port \"%.16s\" is not a number from 1 to 65535", address,
				   text);
	e->port = htons(port);
	return 0;
}

static int ipv4_take(const char *address, const char *host, struct endpoint *e, char *why)
{
	if (inet_pton(AF_INET, host, &e->addr[3]) != 1)
		return spec_refuse(why,
				   "address \"%.96s\": \"%s\" is not an IPv4 address; expected four numbers, "
				   "no host name",
				   address, host);
	e->flags |= XSR_SERVICE_IPV4;
	if (!e->addr[3])
		e->flags |= XSR_SERVICE_ANY;
	return 0;
}

/* [::] is any address of both families, as a socket bound to it would be. */
static int ipv6_take(const char *address, const char *host, struct endpoint *e, char *why)
{
	struct in6_addr in6;

	if (inet_pton(AF_INET6, host, &in6) != 1)
		return spec_refuse(why, "address \"%.96s\": \"%s\" is not an IPv6 address", address, host);
	if (IN6_IS_ADDR_V4MAPPED(&in6))
		return spec_refuse(why, "address \"%.96s\" stands for an IPv4 address; expected that, without brackets",
				   address);
	memcpy(e->addr, &in6, sizeof(e->addr));
	e->flags |= XSR_SERVICE_IPV6;
	if (IN6_IS_ADDR_UNSPECIFIED(&in6))
		e->flags |= XSR_SERVICE_IPV4 | XSR_SERVICE_ANY;
	return 0;
}

/* Copies the `len` characters of an address that stand before its port. */
static int host_copy(const char *address, const char *text, size_t len, char host[INET6_ADDRSTRLEN],
		     char *why)
{
	if (len >= INET6_ADDRSTRLEN)
		return spec_refuse(why, "address \"%.96s\": what stands before the port is too long for an address",
				   address);
	memcpy(host, text, len);
	host[len] = '\0';
	return 0;
}

static int bracketed_parse(const char *address, struct endpoint *e, char *why)
{
	const char *close = strchr(address, ']');
	char host[INET6_ADDRSTRLEN];
	int ret;

	if (!close || close[1] != ':')
		return spec_refuse(why, "address \"%.96s\" has no port; expected [ADDR]:PORT", address);
	ret = host_copy(address, address + 1, close - address - 1, host, why);
	if (!ret)
		ret = ipv6_take(address, host, e, why);
	return ret ? ret : port_take(address, close + 2, e, why);
}

static int plain_parse(const char *address, struct endpoint *e, char *why)
{
	const char *colon = strchr(address, ':');
	char host[INET6_ADDRSTRLEN];
	int ret;

	if (!colon)
		return spec_refuse(why, "address \"%.96s\" has no port; expected ADDR:PORT", address);
	if (strchr(colon + 1, ':'))
		return spec_refuse(why, "address \"%.96s\": an IPv6 address stands in brackets; expected [ADDR]:PORT",
				   address);
	ret = host_copy(address, address, colon - address, host, why);
	if (!ret)
		ret = ipv4_take(address, host, e, why);
	return ret ? ret : port_take(address, colon + 1, e, why);
}

int endpoint_parse(const char *text, struct endpoint *out, char why[SERVICE_WHY_LEN])
{
	struct endpoint e = {};
	int ret = text[0] == '[' ? bracketed_parse(text, &e, why) : plain_parse(text, &e, why);

	if (!ret)
		*out = e;
	return ret;
}

const char *endpoint_text(const struct endpoint *endpoint, char buf[SERVICE_ADDRESS_LEN])
{
	bool ipv6 = endpoint->flags & XSR_SERVICE_IPV6;
	char host[INET6_ADDRSTRLEN];

	inet_ntop(ipv6 ? AF_INET6 : AF_INET, ipv6 ? &endpoint->addr[0] : &endpoint->addr[3], host, sizeof(host));
	snprintf(buf, SERVICE_ADDRESS_LEN, ipv6 ? "[%s]:%u" : "%s:%u", host, ntohs(endpoint->port));
	return buf;
}
