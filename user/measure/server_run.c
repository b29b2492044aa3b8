/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* `xsr run` as a child: its configuration is a file in memory, and what it says tells when it is ready, and
 * how. */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "control.h"
#include "server.h"

#define PATH_LEN 32
#define LINE_LEN 1024
#define SPEAKER "xsr: "
#define READY " is served by "
#define MODE ", mode "

/* What the router writes to stderr. */
struct listening {
	struct child_report *report;
	FILE *from;
	pthread_t thread;
};

/* The last line stands for what went wrong, if something did. */
static void line_hear(struct child_report *report, char *line)
{
	const char *mode = strstr(line, MODE);

	line[strcspn(line, "\n")] = 0;
	if (!strncmp(line, SPEAKER, strlen(SPEAKER)))
		line += strlen(SPEAKER);
	if (!strstr(line, READY) || !mode) {
		snprintf(report->why, sizeof(report->why), "%.*s", LAB_WHY_LEN - 1, line);
		return;
	}
	report->why[0] = 0;
	child_ready(report, mode + strlen(MODE));
}

static void *listening_main(void *arg)
{
	struct listening *l = arg;
	char line[LINE_LEN];

	while (fgets(line, sizeof(line), l->from))
		line_hear(l->report, line);
	return NULL;
}

/* The signals are the router's: it takes them from its event loop. */
static int thread_start(struct listening *l)
{
	sigset_t all;
	int ret;

	sigfillset(&all);
	ret = pthread_sigmask(SIG_BLOCK, &all, NULL);
	return ret ? -ret : -pthread_create(&l->thread, NULL, listening_main, l);
}

static int listening_start(struct listening *l, struct child_report *report)
{
	int fds[2];

	l->report = report;
	if (pipe2(fds, O_CLOEXEC) || dup2(fds[1], STDERR_FILENO) < 0)
		return -errno;
	close(fds[1]);
	unsetenv("JOURNAL_STREAM"); /* no priorities in the lines */
	l->from = fdopen(fds[0], "r");
	return l->from ? thread_start(l) : -ENOMEM;
}

/* When all has been heard. */
static void listening_end(struct listening *l)
{
	close(STDERR_FILENO);
	pthread_join(l->thread, NULL);
}

/* The file goes with the process. */
static int config_write(const char *config, char path[PATH_LEN])
{
	const size_t len = strlen(config);
	int fd = memfd_create("xsr-bench", MFD_CLOEXEC);

	if (fd < 0)
		return -errno;
	if (write(fd, config, len) != (ssize_t)len)
		return -EIO;
	snprintf(path, PATH_LEN, "/proc/self/fd/%d", fd);
	return 0;
}

int server_run_main(struct child_report *report, const void *arg)
{
	struct listening listening = {};
	char path[PATH_LEN];
	int status, ret = config_write(arg, path);

	if (!ret)
		ret = listening_start(&listening, report);
	if (ret)
		return ret;
	status = control_run(path, false, NULL);
	listening_end(&listening);
	return status ? -EIO : 0;
}
