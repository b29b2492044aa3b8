/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The TCP services of a router whose mode is local: no byte of them comes here, the kernel joins their sockets as long as this says
 * so. Control thread.
 */
#ifndef XSR_LOCALS_H
#define XSR_LOCALS_H

#include "config.h"
#include "local_load.h"
#include "maps.h"

#define LOCALS_SYNC_MS 1000 /* how often the services, and their cgroups, are to be looked at */
#define LOCALS_WHY_LEN (LOCAL_WHY_LEN + XSR_NAME_LEN + 64)

struct locals;

struct locals_params {
	struct maps *maps; /* borrowed until the end */
	bool require_mode; /* what cannot be served so at the start is an error */
	void (*log)(const char *sentence, void *arg);
	void *log_arg;
};

/*
 * Serves those that the table of services has, in the cgroups that the configuration says. 0 and *out; else -errno and a sentence.
 * One that cannot be served is logged, the others are; its state says why.
 */
int locals_open(struct locals **out, const struct locals_params *params, const struct config *config, char why[LOCALS_WHY_LEN]);

/* What has changed: services, their cgroups, or the directories that these lead to. */
void locals_sync(struct locals *locals, const struct config *config);

/* Takes NULL. What is joined goes on by TCP. */
void locals_close(struct locals *locals);

/*
 * Joins two sockets of its own, in this process' cgroup, and sends known bytes both ways, also to a reader that stops. 0, or -errno
 * and a sentence: this kernel does not do it rightly.
 */
int local_self_test(char why[LOCAL_WHY_LEN]);

#endif /* XSR_LOCALS_H */
