/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Options of commands that have many: rows that say where a number goes, and what it may be. */
#ifndef XSR_OPTIONS_H
#define XSR_OPTIONS_H

#include <netinet/in.h>
#include <stddef.h>

#include "cli.h"

struct number_option {
	const char *name;
	size_t offset, size; /* in the command's configuration; 4 or 8 bytes */
	uint64_t min, max;
	const char *meaning;
};

#define NUMBER_OPTION(type, field) offsetof(struct type, field), sizeof(((struct type *)0)->field)

/* The words "NAME VALUE" of a command; CLI_OK or CLI_USAGE after a message. */
int number_option_parse(const struct cli *cli, const char *command, const struct number_option *options, size_t n, const char *name,
			const char *value, void *config);

/* "--seconds": up to a day. */
int seconds_option_parse(const struct cli *cli, const char *command, const char *value, double *seconds);

/* ADDR:PORT; is_server: any address may be meant. */
int address_option_parse(const struct cli *cli, const char *command, const char *text, bool is_server,
			 struct sockaddr_storage *address);

void number_options_help(const struct number_option *options, size_t n);

/* As many descriptors as this process may ever have; returns how many. */
uint64_t files_limit_raise(void);

#endif /* XSR_OPTIONS_H */
