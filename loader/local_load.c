/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#include "local_load.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <linux/magic.h>

#include "libbpf_log.h"
#include "local.skel.h"

struct local {
	struct local_bpf *skeleton;
	struct bpf_link *link; /* NULL = not attached */
	dev_t dev;	       /* of the directory that it is attached to */
	ino_t ino;
	uint32_t index;
};

static int fail(int ret, char why[LOCAL_WHY_LEN], const char *what, const char *on)
{
	const char *kernel = libbpf_log_take();

	snprintf(why, LOCAL_WHY_LEN, "cannot %s%.100s: %s%s%.80s%s", what, on, strerror(-ret), *kernel ? " (" : "", kernel,
		 *kernel ? ")" : "");
	return ret;
}

/* Its counters are the instance's map, or one with no more than its own place. */
static int counters_choose(struct local *l, const struct local_options *options)
{
	struct bpf_map *counters = l->skeleton->maps.counters;

	if (options->counters_fd >= 0)
		return bpf_map__reuse_fd(counters, options->counters_fd);
	return bpf_map__set_max_entries(counters, xsr_stream_index(options->index + 1, 0));
}

static int programs_load(struct local *l, const struct local_options *options)
{
	int ret;

	l->skeleton = local_bpf__open();
	if (!l->skeleton)
		return -errno;
	memcpy((void *)&l->skeleton->rodata->service, options->service, sizeof(*options->service));
	*(uint32_t *)&l->skeleton->rodata->service_index = options->index;
	ret = counters_choose(l, options);
	if (!ret)
		ret = local_bpf__load(l->skeleton);
	if (!ret && bpf_prog_attach(bpf_program__fd(l->skeleton->progs.xsr_send), bpf_map__fd(l->skeleton->maps.sockets),
				    BPF_SK_MSG_VERDICT, 0))
		ret = -errno;
	return ret;
}

int local_open(struct local **out, const struct local_options *options, char why[LOCAL_WHY_LEN])
{
	struct local *l = calloc(1, sizeof(*l));
	int ret;

	if (!l)
		return fail(-ENOMEM, why, "open mode local", "");
	libbpf_log_capture();
	l->index = options->index;
	ret = programs_load(l, options);
	if (ret) {
		fail(ret, why, ret == -EPERM ? "load the programs that join sockets; run as root" : "load the programs that join sockets",
		     "");
		local_close(l);
		return ret;
	}
	*out = l;
	return 0;
}

/* Its descriptor, or -errno. */
static int cgroup_open(const char *cgroup, char why[LOCAL_WHY_LEN])
{
	int fd = open(cgroup, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	struct statfs fs;

	if (fd < 0)
		return fail(-errno, why, "open cgroup ", cgroup);
	if (!fstatfs(fd, &fs) && fs.f_type == CGROUP2_SUPER_MAGIC)
		return fd;
	close(fd);
	snprintf(why, LOCAL_WHY_LEN, "%.150s is no directory of cgroup v2", cgroup);
	return -ENOTDIR;
}

int local_attach(struct local *l, const char *cgroup, char why[LOCAL_WHY_LEN])
{
	int fd = cgroup_open(cgroup, why), ret = 0;
	struct bpf_link *link;
	struct stat st;

	if (fd < 0)
		return fd;
	link = bpf_program__attach_cgroup(l->skeleton->progs.xsr_join, fd);
	if (!link)
		ret = fail(-errno, why, "attach to cgroup ", cgroup);
	if (!ret && !fstat(fd, &st)) {
		bpf_link__destroy(l->link);
		l->link = link;
		l->dev = st.st_dev;
		l->ino = st.st_ino;
	}
	close(fd);
	return ret;
}

/* A word of the first line that has `mark` in it; "" = there is none. */
static void line_word(const char *path, const char *mark, const char *format, char word[LOCAL_CGROUP_LEN / 2])
{
	FILE *f = fopen(path, "re");
	char line[512];

	word[0] = 0;
	while (f && !word[0] && fgets(line, sizeof(line), f))
		if (strstr(line, mark))
			sscanf(line, format, word);
	if (f)
		fclose(f);
}

int local_own_cgroup(char cgroup[LOCAL_CGROUP_LEN], char why[LOCAL_WHY_LEN])
{
	char mount[LOCAL_CGROUP_LEN / 2], place[LOCAL_CGROUP_LEN / 2];

	line_word("/proc/self/mounts", " cgroup2 ", "%*s %127s", mount);
	line_word("/proc/self/cgroup", "0::/", "0::%127s", place);
	if (!mount[0] || !place[0]) {
		snprintf(why, LOCAL_WHY_LEN, "cgroup v2 is not mounted; mount it: mount -t cgroup2 none /sys/fs/cgroup");
		return -ENOENT;
	}
	snprintf(cgroup, LOCAL_CGROUP_LEN, "%s%s", mount, place);
	return 0;
}

bool local_is_attached(const struct local *l, const char *cgroup)
{
	struct stat st;

	return l->link && !stat(cgroup, &st) && st.st_dev == l->dev && st.st_ino == l->ino;
}

void local_close(struct local *l)
{
	if (!l)
		return;
	if (l->skeleton && l->skeleton->bss)
		__atomic_store_n(&l->skeleton->bss->is_over, 1, __ATOMIC_RELEASE);
	bpf_link__destroy(l->link);
	local_bpf__destroy(l->skeleton);
	free(l);
}

uint64_t local_counter(const struct local *l, enum xsr_stream_stat stat)
{
	struct xsr_stream_counters counters;
	uint64_t sum = 0;
	uint32_t place, index;

	for (place = 0; place < XSR_WORKERS_MAX; place++) {
		index = xsr_stream_index(l->index, place);
		if (!bpf_map_lookup_elem(bpf_map__fd(l->skeleton->maps.counters), &index, &counters))
			sum += counters.n[stat];
	}
	return sum;
}
