/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#include "source.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "config.h"

#define NAME_SHOWN_MAX 80 /* of the file's name: the sentence behind it must fit too */

/* Words of the file may hold whatever moves a terminal's cursor or breaks a line of JSON. */
static void text_clean(char *text)
{
	for (; *text; text++)
		if (*text < ' ' || *text > '~')
			*text = '?';
}

int source_refuse(const struct source *src, unsigned int line, const char *fmt, ...)
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

int source_refuse_memory(const struct source *src)
{
	source_refuse(src, 0, "not enough memory to read it; expected some to be free");
	return -ENOMEM;
}
