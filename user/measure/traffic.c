/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#include "traffic.h"

#include <errno.h>
#include <limits.h>
#include <linux/bpf.h>
#include <linux/if_ether.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <bpf/bpf.h>
#include <bpf/libbpf.h>

#include "bench.skel.h"
#include "clock.h"

#define BATCH 64 /* frames between two looks at the receiving side: what NAPI takes at once */
#define LOOKUPS (1 << 17)
#define LOOKUP_RUNS 16

struct traffic {
	struct bench_bpf *skel;
};

/* The instance's map of that name, or -1. */
static int map_fd(const struct maps *maps, const char *name)
{
	int i;

	for (i = 0; i < MAPS_MAX; i++)
		if (!strcmp(maps_name(i), name))
			return maps->fds[i];
	return -1;
}

/* The object names the maps of an instance: they are the instance's own, and nothing is pinned. */
static int maps_reuse(struct bpf_object *obj, const struct maps *maps)
{
	struct bpf_map *map;
	int fd, ret = 0;

	bpf_object__for_each_map(map, obj)
	{
		bpf_map__set_pin_path(map, NULL);
		fd = map_fd(maps, bpf_map__name(map));
		if (fd >= 0 && !ret)
			ret = bpf_map__reuse_fd(map, fd);
	}
	return ret;
}

int traffic_open(struct traffic **out, struct maps *maps, char why[LAB_WHY_LEN])
{
	struct traffic *t = calloc(1, sizeof(*t));
	int ret = -ENOMEM;

	if (t)
		t->skel = bench_bpf__open();
	if (t && t->skel)
		ret = maps_reuse(t->skel->obj, maps);
	if (!ret)
		ret = bench_bpf__load(t->skel);
	if (ret) {
		snprintf(why, LAB_WHY_LEN, "cannot load the programs that make the traffic: %s",
			 strerror(-ret));
		traffic_close(t);
		return ret;
	}
	*out = t;
	return 0;
}

void traffic_close(struct traffic *t)
{
	if (!t)
		return;
	bench_bpf__destroy(t->skel);
	free(t);
}

int traffic_program_fd(const struct traffic *t, enum traffic_program program)
{
	const struct bpf_program *const programs[] = {
		[TRAFFIC_DROP] = t->skel->progs.bench_drop,
		[TRAFFIC_PASS] = t->skel->progs.bench_pass,
		[TRAFFIC_RECEIVE] = t->skel->progs.bench_receive,
	};

	return bpf_program__fd(programs[program]);
}

int traffic_sockets_fd(const struct traffic *t)
{
	return bpf_map__fd(t->skel->maps.bench_sockets);
}

static void ids_set(struct traffic *t, const struct traffic_ids *ids)
{
	t->skel->bss->id_first = ids->first;
	t->skel->bss->n_ids = ids->n;
	t->skel->bss->service = ids->service;
}

int traffic_main(struct child_report *report, const void *arg)
{
	const struct traffic_params *params = arg;
	LIBBPF_OPTS(bpf_test_run_opts, opts, .data_in = params->frame, .data_size_in = params->frame_len,
		    .repeat = INT_MAX, .flags = BPF_F_TEST_XDP_LIVE_FRAMES, .batch_size = BATCH);
	int fd = bpf_program__fd(params->traffic->skel->progs.bench_generate), ret = 0;

	ids_set(params->traffic, &params->ids);
	params->traffic->skel->bss->out_ifindex = params->ifindex;
	child_ready(report, "live frames");
	while (!ret && !child_stopping(report)) {
		ret = bpf_prog_test_run_opts(fd, &opts);
		if (ret == -EINTR || ret == -EAGAIN)
			ret = 0;
	}
	if (ret)
		snprintf(report->why, sizeof(report->why),
			 "cannot send frames from a BPF program: %s (needs Linux 5.18 or later)",
			 strerror(-ret));
	return ret;
}

static int lookup_program_fd(const struct traffic *t, enum traffic_lookup lookup)
{
	const struct bpf_program *const programs[] = {
		[TRAFFIC_NOTHING] = t->skel->progs.bench_nothing,
		[TRAFFIC_DENSE] = t->skel->progs.bench_dense,
		[TRAFFIC_DENSE_CHAINED] = t->skel->progs.bench_dense_chained,
		[TRAFFIC_HASH] = t->skel->progs.bench_hash,
		[TRAFFIC_HASH_CHAINED] = t->skel->progs.bench_hash_chained,
	};

	return bpf_program__fd(programs[lookup]);
}

double traffic_lookup_ns(struct traffic *t, enum traffic_lookup lookup, const struct traffic_ids *ids)
{
	char frame[ETH_ZLEN] = {};
	LIBBPF_OPTS(bpf_test_run_opts, opts, .data_in = frame, .data_size_in = sizeof(frame), .repeat = 1);
	double best_ns = 0, ns;
	uint64_t start_ns;
	int i, ret;

	ids_set(t, ids);
	t->skel->bss->n_lookups = LOOKUPS;
	for (i = 0; i < LOOKUP_RUNS; i++) {
		start_ns = clock_now_ns();
		ret = bpf_prog_test_run_opts(lookup_program_fd(t, lookup), &opts);
		if (ret)
			return ret;
		ns = (double)(clock_now_ns() - start_ns) / LOOKUPS;
		best_ns = i == 0 || ns < best_ns ? ns : best_ns;
	}
	return best_ns;
}
