/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#include "maps.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdbool.h>
#include <linux/membarrier.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <bpf/bpf.h>

#define PORTS_LEN (65536 * sizeof(struct xsr_port))
#define SERVICES_LEN (XSR_SERVICES_MAX * sizeof(struct xsr_service))
#define BUCKETS_LEN (XSR_BUCKETS_MAX * sizeof(struct xsr_bucket))
#define SLOTS_LEN (XSR_SLOTS_MAX * sizeof(struct xsr_slot))
#define RUNS_LEN (XSR_QUEUES_MAX * sizeof(struct xsr_runs))
#define WORKERS_LEN (XSR_WORKERS_MAX * sizeof(struct xsr_worker_counters))
#define BACKENDS_LEN (XSR_BACKENDS_MAX * sizeof(struct xsr_backend))
#define STREAMS_LEN (XSR_STREAMS_MAX * sizeof(struct xsr_stream_counters))
#define STATES_LEN (XSR_SERVICES_MAX * sizeof(struct xsr_stream_state))

struct maps_row {
	const char *name;
	__u32 type;
	__u32 key_len;
	__u32 value_len;
	bool optional; /* of the sockets' hook: not in what ip loads */
};

/* What a program of this version pins; anything else under these names is not ours. */
static const struct maps_row rows[MAPS_MAX] = {
	[MAPS_PORTS] = { "xsr_ports", BPF_MAP_TYPE_ARRAY, 4, sizeof(struct xsr_port) },
	[MAPS_SERVICES] = { "xsr_services", BPF_MAP_TYPE_ARRAY, 4, sizeof(struct xsr_service) },
	[MAPS_DENSE] = { "xsr_dense", BPF_MAP_TYPE_ARRAY, 4, sizeof(struct xsr_route) },
	[MAPS_ROUTES] = { "xsr_routes", BPF_MAP_TYPE_HASH, sizeof(struct xsr_route_key),
			  sizeof(struct xsr_route) },
	[MAPS_BUCKETS] = { "xsr_buckets", BPF_MAP_TYPE_ARRAY, 4, sizeof(struct xsr_bucket) },
	[MAPS_DEVICES] = { "xsr_devices", BPF_MAP_TYPE_ARRAY, 4, sizeof(struct xsr_device) },
	[MAPS_SLOTS] = { "xsr_slots", BPF_MAP_TYPE_ARRAY, 4, sizeof(struct xsr_slot) },
	[MAPS_RUNS] = { "xsr_runs", BPF_MAP_TYPE_ARRAY, 4, sizeof(struct xsr_runs) },
	[MAPS_SWITCHES] = { "xsr_switches", BPF_MAP_TYPE_ARRAY, 4, sizeof(struct xsr_switches) },
	[MAPS_SOCKETS] = { "xsr_sockets", BPF_MAP_TYPE_XSKMAP, 4, 4 },
	[MAPS_STATS] = { "xsr_stats", BPF_MAP_TYPE_PERCPU_ARRAY, 4, sizeof(struct xsr_counters) },
	[MAPS_WORKERS] = { "xsr_workers", BPF_MAP_TYPE_ARRAY, 4, sizeof(struct xsr_worker_counters) },
	[MAPS_BACKENDS] = { "xsr_backends", BPF_MAP_TYPE_ARRAY, 4, sizeof(struct xsr_backend) },
	[MAPS_STREAMS] = { "xsr_streams", BPF_MAP_TYPE_ARRAY, 4, sizeof(struct xsr_stream_counters) },
	[MAPS_STATES] = { "xsr_streamstate", BPF_MAP_TYPE_ARRAY, 4, sizeof(struct xsr_stream_state) },
	[MAPS_LISTENERS] = { "xsr_listeners", BPF_MAP_TYPE_REUSEPORT_SOCKARRAY, 4, 8, .optional = true },
	[MAPS_CHOICES] = { "xsr_choices", BPF_MAP_TYPE_PERCPU_ARRAY, 4, sizeof(struct xsr_counters), .optional = true },
};

const char *maps_name(enum maps_index index)
{
	return rows[index].name;
}

static int map_open(const char *dir, const struct maps_row *row, __u32 *max_entries)
{
	struct bpf_map_info info = {};
	__u32 info_len = sizeof(info);
	char path[PATH_MAX];
	int fd;

	snprintf(path, sizeof(path), "%s/%s", dir, row->name);
	fd = bpf_obj_get(path);
	if (fd < 0)
		return -errno;
	if (bpf_obj_get_info_by_fd(fd, &info, &info_len) || info.type != row->type ||
	    info.key_size != row->key_len || info.value_size != row->value_len) {
		close(fd);
		return -EPROTO;
	}
	*max_entries = info.max_entries;
	return fd;
}

/* Array values are 8-aligned in the mapping; all mapped structs are multiples of 8. */
static int array_map(int fd, size_t len, int protection, void *out)
{
	void *p = mmap(NULL, len, protection, MAP_SHARED, fd, 0);

	if (p == MAP_FAILED)
		return -errno;
	*(void **)out = p;
	return 0;
}

static void array_unmap(const void *p, size_t len)
{
	if (p)
		munmap((void *)p, len);
}

static size_t page_round(size_t len)
{
	size_t page = sysconf(_SC_PAGESIZE);

	return (len + page - 1) & ~(page - 1);
}

static size_t dense_size(const struct maps *maps)
{
	return page_round((size_t)maps->dense_len * sizeof(struct xsr_route));
}

static int maps_map(struct maps *maps)
{
	const struct {
		enum maps_index index;
		size_t len;
		int protection;
		void *out;
	} mappings[] = {
		{ MAPS_PORTS, PORTS_LEN, PROT_READ, &maps->ports },
		{ MAPS_SERVICES, SERVICES_LEN, PROT_READ, &maps->services },
		{ MAPS_DENSE, dense_size(maps), PROT_READ | PROT_WRITE, &maps->dense },
		{ MAPS_BUCKETS, BUCKETS_LEN, PROT_READ | PROT_WRITE, &maps->buckets },
		{ MAPS_WORKERS, WORKERS_LEN, PROT_READ | PROT_WRITE, &maps->workers },
		{ MAPS_BACKENDS, BACKENDS_LEN, PROT_READ, &maps->backends },
		{ MAPS_STREAMS, STREAMS_LEN, PROT_READ | PROT_WRITE, &maps->streams },
		{ MAPS_STATES, STATES_LEN, PROT_READ | PROT_WRITE, &maps->states },
		{ MAPS_SLOTS, SLOTS_LEN, PROT_READ, &maps->slots },
		{ MAPS_RUNS, RUNS_LEN, PROT_READ, &maps->runs },
		{ MAPS_SWITCHES, sizeof(struct xsr_switches), PROT_READ | PROT_WRITE, &maps->switches },
	};
	unsigned int i;
	int ret = 0;

	for (i = 0; i < sizeof(mappings) / sizeof(mappings[0]) && !ret; i++)
		ret = array_map(maps->fds[mappings[i].index], mappings[i].len, mappings[i].protection, mappings[i].out);
	return ret;
}

int maps_open(const char *dir, const char *lock_path, struct maps **out)
{
	__u32 max_entries[MAPS_MAX];
	struct maps *maps = calloc(1, sizeof(*maps));
	int ret, i;

	if (!maps)
		return -ENOMEM;
	for (i = 0; i < MAPS_MAX; i++)
		maps->fds[i] = -1;
	maps->lock_fd = open(lock_path, O_RDONLY | O_CLOEXEC);
	ret = maps->lock_fd < 0 ? -errno : 0;
	for (i = 0; i < MAPS_MAX && ret >= 0; i++) {
		ret = maps->fds[i] = map_open(dir, &rows[i], &max_entries[i]);
		if (ret == -ENOENT && rows[i].optional)
			ret = 0;
	}
	if (ret < 0)
		goto out;
	maps->dense_len = max_entries[MAPS_DENSE];
	maps->routes_max = max_entries[MAPS_ROUTES];
	ret = maps_map(maps);
out:
	if (ret < 0)
		maps_close(maps);
	else
		*out = maps;
	return ret < 0 ? ret : 0;
}

void maps_close(struct maps *maps)
{
	int i;

	if (!maps)
		return;
	array_unmap(maps->ports, PORTS_LEN);
	array_unmap(maps->services, SERVICES_LEN);
	array_unmap(maps->dense, dense_size(maps));
	array_unmap(maps->buckets, BUCKETS_LEN);
	array_unmap(maps->workers, WORKERS_LEN);
	array_unmap(maps->backends, BACKENDS_LEN);
	array_unmap(maps->streams, STREAMS_LEN);
	array_unmap(maps->states, STATES_LEN);
	array_unmap(maps->slots, SLOTS_LEN);
	array_unmap(maps->runs, RUNS_LEN);
	array_unmap(maps->switches, sizeof(struct xsr_switches));
	for (i = 0; i < MAPS_MAX; i++)
		if (maps->fds[i] >= 0)
			close(maps->fds[i]);
	if (maps->lock_fd >= 0)
		close(maps->lock_fd);
	free(maps);
}

int maps_lock(struct maps *maps)
{
	while (flock(maps->lock_fd, LOCK_EX))
		if (errno != EINTR)
			return -errno;
	return 0;
}

int maps_trylock(struct maps *maps)
{
	return flock(maps->lock_fd, LOCK_EX | LOCK_NB) ? -errno : 0;
}

void maps_unlock(struct maps *maps)
{
	flock(maps->lock_fd, LOCK_UN);
}

void maps_wait_readers(void)
{
	/* Kernels without it (nohz_full) get a pause that no XDP run outlasts. */
	if (syscall(__NR_membarrier, MEMBARRIER_CMD_GLOBAL, 0, 0))
		usleep(50000);
}
