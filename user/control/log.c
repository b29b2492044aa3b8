/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#include "log.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <systemd/sd-daemon.h>

static void log_line(const char *priority, const char *kind, const char *format, va_list args)
{
	char line[1024];

	vsnprintf(line, sizeof(line), format, args);
	fprintf(stderr, "%sxsr: %s%s\n", getenv("JOURNAL_STREAM") ? priority : "", kind, line);
}

void log_error(const char *format, ...)
{
	va_list args;

	va_start(args, format);
	log_line(SD_ERR, "", format, args);
	va_end(args);
}

void log_warning(const char *format, ...)
{
	va_list args;

	va_start(args, format);
	log_line(SD_WARNING, "warning: ", format, args);
	va_end(args);
}

void log_info(const char *format, ...)
{
	va_list args;

	va_start(args, format);
	log_line(SD_INFO, "", format, args);
	va_end(args);
}
