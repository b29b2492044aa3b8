/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#include "worktime.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/stat.h>

#include "worktime.skel.h"

struct worktime {
	struct worktime_bpf *skel;
};

static int skel_open(struct worktime *w, uint32_t netns)
{
	int ret;

	w->skel = worktime_bpf__open();
	if (!w->skel)
		return -errno;
	w->skel->rodata->netns = netns;
	ret = worktime_bpf__load(w->skel);
	return ret ? ret : worktime_bpf__attach(w->skel);
}

int worktime_open(struct worktime **out, int netns_fd)
{
	struct worktime *w;
	struct stat stat;
	int ret;

	*out = NULL;
	if (fstat(netns_fd, &stat))
		return -errno;
	w = calloc(1, sizeof(*w));
	ret = w ? skel_open(w, stat.st_ino) : -ENOMEM;
	if (ret)
		worktime_close(w);
	else
		*out = w;
	return ret;
}

void worktime_close(struct worktime *w)
{
	if (w)
		worktime_bpf__destroy(w->skel);
	free(w);
}

uint64_t worktime_ns(const struct worktime *w)
{
	return __atomic_load_n(&w->skel->bss->ours_ns, __ATOMIC_RELAXED);
}
