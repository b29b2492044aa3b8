/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#include "counter.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <bpf/bpf.h>
#include <bpf/libbpf.h>

static void counters_add(struct xsr_counters *sum, const struct xsr_counters *more)
{
	int i;

	for (i = 0; i < XSR_STAT_MAX; i++)
		sum->n[i] += more->n[i];
}

/* Room for one value of every possible CPU, zeroed. */
static struct xsr_counters *percpu_alloc(int *n_cpus)
{
	*n_cpus = libbpf_num_possible_cpus();
	return *n_cpus < 0 ? NULL : calloc(*n_cpus, sizeof(struct xsr_counters));
}

/* Adds one service's counters to *sum. */
static int entry_add(int map_fd, uint32_t service, struct xsr_counters *sum)
{
	struct xsr_counters *values;
	int n_cpus, i, ret = 0;

	values = percpu_alloc(&n_cpus);
	if (!values)
		return -ENOMEM;
	if (bpf_map_lookup_elem(map_fd, &service, values))
		ret = -errno;
	for (i = 0; i < n_cpus && !ret; i++)
		counters_add(sum, &values[i]);
	free(values);
	return ret;
}

static int map_add(int map_fd, struct xsr_counters *sum)
{
	uint32_t i;
	int ret = 0;

	for (i = 0; i < XSR_SERVICES_MAX && !ret; i++)
		ret = entry_add(map_fd, i, sum);
	return ret;
}

int counter_read(struct maps *maps, uint32_t service, struct xsr_counters *out)
{
	memset(out, 0, sizeof(*out));
	return entry_add(maps->fds[MAPS_STATS], service, out);
}

int counter_read_all(struct maps *maps, struct xsr_counters *out)
{
	memset(out, 0, sizeof(*out));
	return map_add(maps->fds[MAPS_STATS], out);
}

int choice_read_all(struct maps *maps, struct xsr_counters *out)
{
	memset(out, 0, sizeof(*out));
	return maps->fds[MAPS_CHOICES] < 0 ? 0 : map_add(maps->fds[MAPS_CHOICES], out);
}

uint64_t counter_sum(const struct xsr_counters *counters)
{
	uint64_t sum = 0;
	int i;

	for (i = 0; i < XSR_STAT_MAX; i++)
		sum += counters->n[i];
	return sum;
}

static int entry_clear(int map_fd, uint32_t service)
{
	struct xsr_counters *zero;
	int n_cpus, ret = 0;

	zero = percpu_alloc(&n_cpus);
	if (!zero)
		return -ENOMEM;
	if (bpf_map_update_elem(map_fd, &service, zero, BPF_ANY))
		ret = -errno;
	free(zero);
	return ret;
}

int counter_clear(struct maps *maps, uint32_t service)
{
	int ret = entry_clear(maps->fds[MAPS_STATS], service);

	if (!ret && maps->fds[MAPS_CHOICES] >= 0)
		ret = entry_clear(maps->fds[MAPS_CHOICES], service);
	return ret;
}
