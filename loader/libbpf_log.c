/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#include "libbpf_log.h"

#include <stdio.h>
#include <string.h>

#include <bpf/libbpf.h>

/* libbpf's callback has no argument of ours: the one place for a variable of this kind. */
static __thread char last[256];
static __thread char taken[256];

static int keep(enum libbpf_print_level level, const char *format, va_list args)
{
	char line[256];
	char *text = line;

	if (level != LIBBPF_WARN)
		return 0;
	vsnprintf(line, sizeof(line), format, args);
	line[strcspn(line, "\n")] = 0;
	if (!strncmp(text, "libbpf: ", 8))
		text += 8;
	/* The kernel's own message says more than libbpf's that follow it. */
	if (strncmp(last, "Kernel error message", 20))
		snprintf(last, sizeof(last), "%s", text);
	return 0;
}

void libbpf_log_capture(void)
{
	libbpf_set_print(keep);
}

const char *libbpf_log_take(void)
{
	const char *prefix = "Kernel error message: ";

	strcpy(taken, !strncmp(last, prefix, strlen(prefix)) ? last + strlen(prefix) : last);
	last[0] = 0;
	return taken;
}
