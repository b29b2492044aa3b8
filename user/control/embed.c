/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* The controller for programs that embed a router: what `xsr run` has, on a loop of its own. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "command.h"
#include "conductor.h"
#include "listener.h"

struct xsr_control {
	sd_event *event;
	struct control *control;
	struct listener *listener;
};

static int control_fill(struct xsr_control *c, struct xsr_router *router, char why[XSR_WHY_LEN])
{
	char path[LISTENER_PATH_LEN];
	int ret = sd_event_new(&c->event);

	_Static_assert(XSR_WHY_LEN == CONDUCTOR_WHY_LEN && XSR_WHY_LEN == LISTENER_WHY_LEN, "sentences fit");
	if (ret < 0) {
		snprintf(why, XSR_WHY_LEN, "cannot make an event loop: %s", strerror(-ret));
		return ret;
	}
	ret = conductor_open(&c->control, c->event, router_maps(router), router, why);
	if (ret)
		return ret;
	return listener_open(&c->listener, c->event, listener_path(router_instance(router), path), command_rows, c->control,
			     why);
}

int xsr_control_open(struct xsr_control **out, struct xsr_router *router, char why[XSR_WHY_LEN])
{
	struct xsr_control *c = calloc(1, sizeof(*c));
	int ret;

	if (!c) {
		snprintf(why, XSR_WHY_LEN, "out of memory");
		return -ENOMEM;
	}
	ret = control_fill(c, router, why);
	if (ret)
		xsr_control_close(c);
	else
		*out = c;
	return ret;
}

int xsr_control_fd(const struct xsr_control *c)
{
	return sd_event_get_fd(c->event);
}

int xsr_control_poll(struct xsr_control *c, int timeout_ms)
{
	int ret = sd_event_run(c->event, timeout_ms < 0 ? UINT64_MAX : timeout_ms * 1000ULL);

	return ret < 0 ? ret : 0;
}

void xsr_control_close(struct xsr_control *c)
{
	if (!c)
		return;
	listener_close(c->listener);
	conductor_close(c->control);
	sd_event_unref(c->event);
	free(c);
}
