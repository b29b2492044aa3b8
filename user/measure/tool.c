/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#include "tool.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include "child.h"

/* In the child: signals that the parent holds back end it as usual; the terminal's do not reach it. */
static void command_exec(const char *const argv[], int out_fd, int quiet)
{
	sigset_t none;

	priority_raise();
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
	dup2(out_fd, STDOUT_FILENO);
	if (quiet)
		dup2(open("/dev/null", O_WRONLY), STDERR_FILENO);
	execvp(argv[0], (char *const *)argv);
	_exit(127);
}

static void output_read(int fd, char *out, size_t size)
{
	size_t len = 0;
	char rest[256];
	ssize_t n;

	do {
		n = len + 1 < size ? read(fd, out + len, size - len - 1) : read(fd, rest, sizeof(rest));
		if (n > 0 && len + 1 < size)
			len += n;
	} while (n > 0 || (n < 0 && errno == EINTR));
	if (size)
		out[len] = 0;
}

int tool_run(const char *const argv[], char *out, size_t size, int quiet)
{
	int fds[2], status;
	pid_t pid;

	if (pipe2(fds, O_CLOEXEC))
		return -errno;
	pid = fork();
	if (pid == 0)
		command_exec(argv, fds[1], quiet);
	close(fds[1]);
	if (pid > 0)
		output_read(fds[0], out, size);
	close(fds[0]);
	if (pid < 0 || waitpid(pid, &status, 0) < 0)
		return -errno;
	return WIFEXITED(status) ? WEXITSTATUS(status) : -EINTR;
}
