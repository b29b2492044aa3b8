/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * stall TID MS: stops one thread of another process, says "stalled", and lets it go on after so many milliseconds, or at
 * the latest when this process ends. Exit status 77 if that is not permitted here.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/wait.h>
#include <unistd.h>

static int fail(const char *what)
{
	fprintf(stderr, "stall: %s: %s\n", what, strerror(errno));
	return errno == EPERM || errno == ENOSYS ? 77 : 1;
}

int main(int argc, char **argv)
{
	pid_t tid;

	if (argc != 3) {
		fprintf(stderr, "usage: stall TID MS\n");
		return 2;
	}
	tid = atoi(argv[1]);
	if (ptrace(PTRACE_SEIZE, tid, NULL, NULL))
		return fail("PTRACE_SEIZE");
	if (ptrace(PTRACE_INTERRUPT, tid, NULL, NULL))
		return fail("PTRACE_INTERRUPT");
	if (waitpid(tid, NULL, __WALL) != tid)
		return fail("waitpid");
	puts("stalled");
	fflush(stdout);
	usleep(atoi(argv[2]) * 1000u);
	return ptrace(PTRACE_DETACH, tid, NULL, NULL) ? fail("PTRACE_DETACH") : 0;
}
