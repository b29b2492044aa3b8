/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#include "local_load.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <bpf/bpf.h>
#include <bpf/libbpf.h>

#include "libbpf_log.h"
#include "local.skel.h"

struct local {
	struct local_bpf *skeleton;
	struct bpf_link *ends; /* to the cgroup */
};

static int fail(int ret, char why[LOCAL_WHY_LEN], const char *what, const char *on)
{
	const char *kernel = libbpf_log_take();

	snprintf(why, LOCAL_WHY_LEN, "cannot %s%s: %s%s%.160s%s", what, on, strerror(-ret), *kernel ? " (" : "", kernel, *kernel ? ")" : "");
	return ret;
}

/* The instance's own maps, in the place of those that the object would make. */
static int maps_reuse(struct bpf_object *obj, const struct maps *maps)
{
	struct bpf_map *map;
	int i, ret = 0;

	bpf_object__for_each_map(map, obj)
		bpf_map__set_pin_path(map, NULL);
	for (i = 0; i < MAPS_MAX && !ret; i++) {
		map = bpf_object__find_map_by_name(obj, maps_name(i));
		if (map && maps->fds[i] >= 0)
			ret = bpf_map__reuse_fd(map, maps->fds[i]);
	}
	return ret;
}

static int programs_load(struct local *local, const struct maps *maps, char why[LOCAL_WHY_LEN])
{
	int ret;

	local->skeleton = local_bpf__open();
	if (!local->skeleton)
		return fail(-errno, why, "open the built-in program for local connections", "");
	ret = maps_reuse(local->skeleton->obj, maps);
	if (!ret)
		ret = local_bpf__load(local->skeleton);
	return ret ? fail(ret, why, "load the programs for local connections into the kernel", "") : 0;
}

/* Of the first line in /proc/mounts that is a cgroup2. */
static bool cgroup_find(char path[256])
{
	FILE *f = fopen("/proc/mounts", "re");
	char line[512], type[32];
	bool found = false;

	while (f && !found && fgets(line, sizeof(line), f))
		found = sscanf(line, "%*s %255s %31s", path, type) == 2 && !strcmp(type, "cgroup2");
	if (f)
		fclose(f);
	return found;
}

static int programs_attach(struct local *local, const char *cgroup, char why[LOCAL_WHY_LEN])
{
	struct local_bpf *k = local->skeleton;
	int fd = open(cgroup, O_RDONLY | O_DIRECTORY | O_CLOEXEC), ret;

	if (fd < 0)
		return fail(-errno, why, "open the cgroup ", cgroup);
	ret = bpf_prog_attach(bpf_program__fd(k->progs.xsr_join), bpf_map__fd(k->maps.ends), BPF_SK_MSG_VERDICT, 0) ? -errno : 0;
	if (!ret) {
		local->ends = bpf_program__attach_cgroup(k->progs.xsr_ends, fd);
		ret = local->ends ? 0 : -errno;
	}
	close(fd);
	return ret ? fail(ret, why, "attach the programs for local connections to ", cgroup) : 0;
}

int local_open(struct local **out, const struct maps *maps, const char *cgroup, char why[LOCAL_WHY_LEN])
{
	struct local *local = calloc(1, sizeof(*local));
	char path[256];
	int ret;

	if (!local)
		return fail(-ENOMEM, why, "open local connections", "");
	libbpf_log_capture();
	if (!cgroup && !cgroup_find(path)) {
		ret = -ENOENT;
		snprintf(why, LOCAL_WHY_LEN, "no cgroup of version 2 is mounted; mount one: mount -t cgroup2 none /sys/fs/cgroup");
	} else {
		ret = programs_load(local, maps, why);
	}
	if (!ret)
		ret = programs_attach(local, cgroup ? cgroup : path, why);
	if (ret)
		local_close(local);
	else
		*out = local;
	return ret;
}

void local_close(struct local *local)
{
	if (!local)
		return;
	bpf_link__destroy(local->ends);
	local_bpf__destroy(local->skeleton);
	free(local);
}

int local_sum(const struct local *local, uint32_t service, struct xsr_local_counters *out)
{
	int n = libbpf_num_possible_cpus(), i, j, ret = 0;
	struct xsr_local_counters *all = calloc(n > 0 ? n : 1, sizeof(*all));

	memset(out, 0, sizeof(*out));
	if (!all || n < 0)
		ret = -ENOMEM;
	if (!ret && bpf_map_lookup_elem(bpf_map__fd(local->skeleton->maps.local_counters), &service, all))
		ret = -errno;
	for (i = 0; i < n && !ret; i++)
		for (j = 0; j < XSR_LOCAL_STAT_MAX; j++)
			out->n[j] += all[i].n[j];
	free(all);
	return ret;
}
