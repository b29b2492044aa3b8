/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#include "listener.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/file.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "client.h"
#include "log.h"

#define CLIENTS_MAX 32
#define BACKLOG 32

struct listener {
	const struct command_row *rows;
	struct control *control;
	sd_event_source *source; /* NULL = stopped */
	int fd;
	struct sockaddr_un address;
	struct client_list clients;
	bool warned; /* that no connection can be taken */
};

/* 0 if nobody is there: no file, or the socket of a process that has ended. */
static int address_probe(const struct sockaddr_un *address)
{
	struct stat st;
	int fd, ret;

	if (lstat(address->sun_path, &st))
		return errno == ENOENT ? 0 : -errno;
	if (!S_ISSOCK(st.st_mode))
		return -EEXIST;
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return -errno;
	ret = connect(fd, (const struct sockaddr *)address, sizeof(*address)) ? -errno : -EADDRINUSE;
	close(fd);
	if (ret == -EAGAIN) /* so many wait to be taken */
		return -EADDRINUSE;
	return ret == -ECONNREFUSED || ret == -ENOENT ? 0 : ret;
}

/* The mode of a socket is that of its file: nobody else can connect at any time. */
static int address_bind(const struct sockaddr_un *address, int fd)
{
	if (unlink(address->sun_path) && errno != ENOENT)
		return -errno;
	if (fchmod(fd, 0600) || bind(fd, (const struct sockaddr *)address, sizeof(*address)) || listen(fd, BACKLOG))
		return -errno;
	return 0;
}

/* Makes the folder if need be. Its descriptor, locked: of two that start at once one finds the other's socket. */
static int folder_lock(const struct sockaddr_un *address)
{
	struct sockaddr_un folder = *address;
	char *slash = strrchr(folder.sun_path, '/');
	int fd;

	if (!slash || slash == folder.sun_path)
		return -EINVAL;
	*slash = 0;
	if (mkdir(folder.sun_path, 0700) && errno != EEXIST)
		return -errno;
	fd = open(folder.sun_path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	TEMP_FAILURE_RETRY(flock(fd, LOCK_EX));
	return fd;
}

static int address_listen(const struct sockaddr_un *address, int fd)
{
	int folder = folder_lock(address), ret;

	if (folder < 0)
		return folder;
	ret = address_probe(address);
	if (!ret)
		ret = address_bind(address, fd);
	close(folder);
	return ret;
}

static int address_set(struct sockaddr_un *address, const char *path)
{
	address->sun_family = AF_UNIX;
	if (strlen(path) >= sizeof(address->sun_path))
		return -ENAMETOOLONG;
	strcpy(address->sun_path, path);
	return 0;
}

static bool clients_full(const struct listener *listener)
{
	const struct client *client;
	unsigned int n = 0;

	LIST_FOREACH(client, &listener->clients, link)
		n++;
	return n >= CLIENTS_MAX;
}

/* One line, as far as it fits into a new socket, which it does. */
static void client_turn_away(int fd)
{
	static const char line[] = "{\"schema\":\"xsr/1\",\"error\":\"there are 32 connections already\"}\n";

	_Static_assert(CLIENTS_MAX == 32, "the sentence above says 32");
	send(fd, line, sizeof(line) - 1, MSG_NOSIGNAL | MSG_DONTWAIT);
	close(fd);
}

static void accept_failed(struct listener *listener, int error)
{
	if (error == EAGAIN || error == EINTR || error == ECONNABORTED)
		return;
	if (!listener->warned)
		log_warning("%s: cannot take a connection: %s", listener->address.sun_path, strerror(error));
	listener->warned = true;
}

static int on_connection(sd_event_source *source, int listening, uint32_t revents, void *arg)
{
	struct listener *listener = arg;
	int fd = accept4(listening, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC), ret = 0;

	(void)revents;
	if (fd < 0)
		ret = -errno;
	else if (clients_full(listener))
		client_turn_away(fd);
	else
		ret = client_open(&listener->clients, sd_event_source_get_event(source), fd, listener->rows,
				  listener->control);
	if (ret < 0)
		accept_failed(listener, -ret);
	else
		listener->warned = false;
	return 0;
}

static int listener_start(struct listener *listener, sd_event *event, const char *path)
{
	int ret = address_set(&listener->address, path);

	if (ret)
		return ret;
	listener->fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (listener->fd < 0)
		return -errno;
	ret = address_listen(&listener->address, listener->fd);
	if (ret)
		return ret;
	ret = sd_event_add_io(event, &listener->source, listener->fd, EPOLLIN, on_connection, listener);
	if (ret < 0)
		return unlink(path), ret;
	/* Whoever closes makes room for whoever connects after that. */
	sd_event_source_set_priority(listener->source, SD_EVENT_PRIORITY_NORMAL + 1);
	/* Without descriptors a connection cannot be taken, nor does it go away: the loop must not spin on it. */
	sd_event_source_set_ratelimit(listener->source, 100 * 1000, 100);
	return 0;
}

static int open_failed(const char *path, int ret, char why[LISTENER_WHY_LEN])
{
	if (ret == -EADDRINUSE)
		snprintf(why, LISTENER_WHY_LEN, "'%s' is served by another router; stop it first", path);
	else if (ret == -EEXIST)
		snprintf(why, LISTENER_WHY_LEN, "'%s' is no socket; remove it first", path);
	else
		snprintf(why, LISTENER_WHY_LEN, "cannot listen on '%s': %s", path, strerror(-ret));
	return ret;
}

const char *listener_path(const char *instance, char path[LISTENER_PATH_LEN])
{
	snprintf(path, LISTENER_PATH_LEN, "/run/xsr/%s.sock", instance);
	return path;
}

int listener_open(struct listener **out, sd_event *event, const char *path, const struct command_row *rows,
		  struct control *control, char why[LISTENER_WHY_LEN])
{
	struct listener *listener = calloc(1, sizeof(*listener));
	int ret;

	if (!listener)
		return open_failed(path, -ENOMEM, why);
	listener->rows = rows;
	listener->control = control;
	listener->fd = -1;
	LIST_INIT(&listener->clients);
	ret = listener_start(listener, event, path);
	if (ret) {
		listener_close(listener);
		return open_failed(path, ret, why);
	}
	*out = listener;
	return 0;
}

/* The file goes before the socket: as long as it is there it answers. */
void listener_stop(struct listener *listener)
{
	struct client *client;

	if (listener->source) {
		unlink(listener->address.sun_path);
		listener->source = sd_event_source_disable_unref(listener->source);
	}
	if (listener->fd >= 0)
		close(listener->fd);
	listener->fd = -1;
	LIST_FOREACH(client, &listener->clients, link)
		client_finish(client);
}

void listener_close(struct listener *listener)
{
	struct client *client;

	if (!listener)
		return;
	listener_stop(listener);
	while ((client = LIST_FIRST(&listener->clients)))
		client_close(client);
	free(listener);
}
