/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* The tables of routes: what a lookup takes, how fast they are filled, what memory they need. */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "row.h"

#define MILLION 1000000.0

int sample_lookup(struct bench *b, const struct row *row, struct sample *sample, char why[LAB_WHY_LEN])
{
	struct traffic_ids ids = bench_ids(b, row->service, row->n_ids);
	double empty_ns, full_ns;
	int ret = bench_routes_load(b, row->service, row->n_ids, why);

	if (ret)
		return ret;
	empty_ns = traffic_lookup_ns(b->traffic, TRAFFIC_NOTHING, &ids);
	full_ns = traffic_lookup_ns(b->traffic, row->lookup, &ids);
	if (empty_ns < 0 || full_ns < 0) {
		ret = empty_ns < 0 ? empty_ns : full_ns;
		snprintf(why, LAB_WHY_LEN, "cannot run the lookups: %s", strerror(-ret));
		return ret;
	}
	sample->value = full_ns - empty_ns;
	snprintf(sample->mode, sizeof(sample->mode), "bpf test run");
	return 0;
}

int sample_import(struct bench *b, const struct row *row, struct sample *sample, char why[LAB_WHY_LEN])
{
	double seconds = 0;
	int ret = bench_import(b, row->service, row->n_ids, &seconds, why);

	if (ret)
		return ret;
	if (seconds <= 0)
		return -EPROTO;
	sample->value = row->n_ids / seconds / MILLION;
	snprintf(sample->mode, sizeof(sample->mode), "xsr route import");
	return 0;
}

/* As the kernel accounts for it; the table is preallocated, so how many routes are in it does not matter. */
static int memory_read(int map_fd, unsigned long long *bytes)
{
	char path[64], line[128];
	int ret = -EPROTO;
	FILE *file;

	snprintf(path, sizeof(path), "/proc/self/fdinfo/%d", map_fd);
	file = fopen(path, "r");
	if (!file)
		return -errno;
	while (ret && fgets(line, sizeof(line), file))
		if (sscanf(line, "memlock: %llu", bytes) == 1)
			ret = 0;
	fclose(file);
	return ret;
}

int sample_memory(struct bench *b, const struct row *row, struct sample *sample, char why[LAB_WHY_LEN])
{
	unsigned long long bytes;
	int ret = memory_read(b->maps->fds[row->service == BENCH_DENSE ? MAPS_DENSE : MAPS_ROUTES], &bytes);

	if (ret) {
		snprintf(why, LAB_WHY_LEN, "the kernel does not tell what a map takes: %s", strerror(-ret));
		return ret;
	}
	sample->value = bytes / MILLION;
	snprintf(sample->mode, sizeof(sample->mode), "fdinfo memlock");
	return 0;
}
