/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * ask SOCKET: sends what comes on stdin to a stream socket as it is, and prints what comes back until the other side closes
 * the connection. Exit status 1 if it cannot connect, 3 if nothing comes for ten seconds.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <poll.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#define PATIENCE_MS 10000

static int connect_to(const char *path)
{
	struct sockaddr_un to = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_STREAM, 0);

	strncpy(to.sun_path, path, sizeof(to.sun_path) - 1);
	if (fd >= 0 && connect(fd, (struct sockaddr *)&to, sizeof(to)) == 0)
		return fd;
	fprintf(stderr, "ask: %s: %s\n", path, strerror(errno));
	return -1;
}

/* Some of stdin; at its end, or if nobody reads it, no more. */
static bool send_some(int fd)
{
	char buf[4096];
	ssize_t n = read(STDIN_FILENO, buf, sizeof(buf)), done = 0, sent;

	for (; done < n; done += sent) {
		sent = send(fd, buf + done, n - done, MSG_NOSIGNAL);
		if (sent < 0)
			return false;
	}
	if (n <= 0)
		shutdown(fd, SHUT_WR);
	return n > 0;
}

int main(int argc, char **argv)
{
	int fd = argc == 2 ? connect_to(argv[1]) : -1;
	bool more = true;
	char buf[4096];
	ssize_t n = 1;

	while (fd >= 0 && n > 0) {
		struct pollfd fds[] = { { .fd = fd, .events = POLLIN | (more ? POLLOUT : 0) } };

		if (poll(fds, 1, PATIENCE_MS) <= 0)
			return 3;
		if (fds[0].revents & ~POLLOUT)
			n = recv(fd, buf, sizeof(buf), 0);
		else
			more = send_some(fd);
		if (n > 0 && fds[0].revents & ~POLLOUT)
			fwrite(buf, 1, n, stdout);
	}
	return fd < 0;
}
