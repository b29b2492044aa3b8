/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#include "grace.h"

#include <errno.h>
#include <pthread.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "maps.h"

#define BEGIN 1
#define END (1ULL << 32)

struct grace {
	pthread_t thread;
	int begin_fd, over_fd; /* eventfds */
};

static void event_write(int fd, uint64_t n)
{
	if (write(fd, &n, sizeof(n)) < 0)
		abort(); /* neither counter can be full */
}

static void *grace_main(void *arg)
{
	struct grace *g = arg;
	uint64_t events;

	while (read(g->begin_fd, &events, sizeof(events)) == sizeof(events) && events < END) {
		maps_wait_readers();
		event_write(g->over_fd, 1);
	}
	return NULL;
}

static void fds_close(struct grace *g)
{
	if (g->begin_fd >= 0)
		close(g->begin_fd);
	if (g->over_fd >= 0)
		close(g->over_fd);
	free(g);
}

int grace_open(struct grace **out)
{
	struct grace *g = calloc(1, sizeof(*g));
	int ret;

	if (!g)
		return -ENOMEM;
	g->begin_fd = eventfd(0, EFD_CLOEXEC);
	g->over_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	ret = g->begin_fd < 0 || g->over_fd < 0 ? -errno : -pthread_create(&g->thread, NULL, grace_main, g);
	if (ret) {
		fds_close(g);
		return ret;
	}
	pthread_setname_np(g->thread, "xsr-grace");
	*out = g;
	return 0;
}

void grace_close(struct grace *g)
{
	if (!g)
		return;
	event_write(g->begin_fd, END);
	pthread_join(g->thread, NULL);
	fds_close(g);
}

int grace_fd(const struct grace *g)
{
	return g->over_fd;
}

void grace_take(struct grace *g)
{
	uint64_t events;

	if (read(g->over_fd, &events, sizeof(events)) < 0)
		return; /* it was taken already */
}

void grace_begin(struct grace *g)
{
	event_write(g->begin_fd, BEGIN);
}
