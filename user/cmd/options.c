/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#include "options.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

#include "endpoint.h"

static int number_take(const struct cli *cli, const char *command, const struct number_option *option, const char *value,
		       void *config)
{
	void *at = (char *)config + option->offset;
	uint64_t n;

	if (number_parse(value, option->max, &n) || n < option->min)
		return cli_usage(cli, "%s: %s '%s': expected %llu to %llu", command, option->name, value,
				 (unsigned long long)option->min, (unsigned long long)option->max);
	if (option->size == sizeof(uint64_t))
		*(uint64_t *)at = n;
	else
		*(uint32_t *)at = n;
	return CLI_OK;
}

int number_option_parse(const struct cli *cli, const char *command, const struct number_option *options, size_t n, const char *name,
			const char *value, void *config)
{
	size_t i;

	for (i = 0; i < n; i++)
		if (!strcmp(name, options[i].name))
			return number_take(cli, command, &options[i], value, config);
	return cli_usage(cli, "%s: unknown option '%s'; see: xsr %s help", command, name, command);
}

int seconds_option_parse(const struct cli *cli, const char *command, const char *value, double *seconds)
{
	char *end;

	*seconds = strtod(value, &end);
	if (*end || !(*seconds > 0 && *seconds <= 86400))
		return cli_usage(cli, "%s: --seconds '%s': expected 0 to 86400", command, value);
	return CLI_OK;
}

static void address_fill(struct sockaddr_storage *address, const struct endpoint *endpoint)
{
	struct sockaddr_in6 *in6 = (struct sockaddr_in6 *)address;
	struct sockaddr_in *in = (struct sockaddr_in *)address;

	if (endpoint->flags & XSR_SERVICE_IPV6) {
		in6->sin6_family = AF_INET6;
		in6->sin6_port = endpoint->port;
		memcpy(&in6->sin6_addr, endpoint->addr, 16);
	} else {
		in->sin_family = AF_INET;
		in->sin_port = endpoint->port;
		in->sin_addr.s_addr = endpoint->addr[3];
	}
}

int address_option_parse(const struct cli *cli, const char *command, const char *text, bool is_server,
			 struct sockaddr_storage *address)
{
	struct endpoint endpoint;
	char why[SERVICE_WHY_LEN];

	if (endpoint_parse(text, &endpoint, why))
		return cli_usage(cli, "%s: %s", command, why);
	if (!is_server && endpoint.flags & XSR_SERVICE_ANY)
		return cli_usage(cli, "%s: '%s': expected the address of one host", command, text);
	memset(address, 0, sizeof(*address));
	address_fill(address, &endpoint);
	return CLI_OK;
}

void number_options_help(const struct number_option *options, size_t n)
{
	size_t i;

	for (i = 0; i < n; i++)
		printf("  %-14s  %s\n", options[i].name, options[i].meaning);
}

uint64_t files_limit_raise(void)
{
	struct rlimit limit;

	if (getrlimit(RLIMIT_NOFILE, &limit))
		return 1024;
	limit.rlim_cur = limit.rlim_max;
	setrlimit(RLIMIT_NOFILE, &limit);
	return limit.rlim_max;
}
