/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#include "socket.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <bpf/bpf.h>

#include "mix.h"

uint64_t process_start(uint32_t pid)
{
	unsigned long long start = 0;
	char path[64], text[1024];
	const char *after_name;
	char state;
	size_t n;
	FILE *f;

	snprintf(path, sizeof(path), "/proc/%u/stat", pid);
	f = fopen(path, "re");
	if (!f)
		return 0;
	n = fread(text, 1, sizeof(text) - 1, f);
	fclose(f);
	text[n] = 0;
	after_name = strrchr(text, ')'); /* the name may hold spaces and parentheses */
	if (!after_name ||
	    sscanf(after_name + 1, " %c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %*u %*u %*d %*d %*d %*d %*d %*d %llu",
		   &state, &start) != 2)
		return 0;
	return state == 'Z' || state == 'X' ? 0 : start;
}

static int device_read(struct maps *maps, uint32_t key, struct xsr_device *device)
{
	return bpf_map_lookup_elem(maps->fds[MAPS_DEVICES], &key, device) ? -errno : 0;
}

/* Entries of dead routers do not count: the kernel has taken their sockets already. */
static bool device_is_live(const struct xsr_device *device)
{
	return device->ifindex && process_start(device->pid);
}

/* The lowest queue number behind which n queues are free; the device's own entry does not count. */
static int queue_base_find(struct maps *maps, uint32_t own_key, uint16_t n_queues)
{
	struct xsr_device device;
	uint64_t used = 0, want;
	uint32_t key;
	int base, ret;

	for (key = 0; key < XSR_DEVICES_MAX; key++) {
		ret = device_read(maps, key, &device);
		if (ret)
			return ret;
		if (key != own_key && device_is_live(&device) && device.n_queues)
			used |= (~0ULL >> (64 - device.n_queues)) << device.queue_base;
	}
	want = ~0ULL >> (64 - n_queues);
	for (base = 0; base + n_queues <= XSR_QUEUES_MAX; base++)
		if (!(used & want << base))
			return base;
	return -ENOSPC;
}

int device_publish(struct maps *maps, uint32_t ifindex, uint16_t n_queues)
{
	uint32_t key = ifindex & (XSR_DEVICES_MAX - 1);
	struct xsr_device device;
	int base, ret;

	if (n_queues == 0 || n_queues > XSR_QUEUES_MAX)
		return -ENOSPC;
	ret = device_read(maps, key, &device);
	if (ret)
		return ret;
	if (device_is_live(&device) && (device.ifindex != ifindex || device.pid != (uint32_t)getpid()))
		return -EBUSY;
	base = queue_base_find(maps, key, n_queues);
	if (base < 0)
		return base;
	device = (struct xsr_device){
		.ifindex = ifindex, .queue_base = base, .n_queues = n_queues, .pid = getpid()
	};
	return bpf_map_update_elem(maps->fds[MAPS_DEVICES], &key, &device, BPF_ANY) ? -errno : base;
}

int device_withdraw(struct maps *maps, uint32_t ifindex)
{
	uint32_t key = ifindex & (XSR_DEVICES_MAX - 1);
	struct xsr_device device;
	int ret = device_read(maps, key, &device);

	if (ret || device.ifindex != ifindex)
		return ret;
	memset(&device, 0, sizeof(device));
	return bpf_map_update_elem(maps->fds[MAPS_DEVICES], &key, &device, BPF_ANY) ? -errno : 0;
}

static int slot_store(struct maps *maps, uint32_t key, const struct xsr_slot *slot)
{
	return bpf_map_update_elem(maps->fds[MAPS_SLOTS], &key, slot, BPF_ANY) ? -errno : 0;
}

int socket_publish(struct maps *maps, uint16_t queue, uint16_t worker, int xsk_fd, uint32_t ifindex,
		   uint64_t n_redirected)
{
	uint32_t key = xsr_slot_index(queue, worker);
	const struct xsr_slot slot = { .ifindex = ifindex, .pid = getpid(), .n_redirected = n_redirected };

	if (bpf_map_update_elem(maps->fds[MAPS_SOCKETS], &key, &xsk_fd, BPF_ANY))
		return -errno;
	return slot_store(maps, key, &slot);
}

int socket_withdraw(struct maps *maps, uint16_t queue, uint16_t worker)
{
	uint32_t key = xsr_slot_index(queue, worker);
	const struct xsr_slot empty = {};
	int ret = slot_store(maps, key, &empty);

	if (bpf_map_delete_elem(maps->fds[MAPS_SOCKETS], &key) && errno != ENOENT)
		return -errno;
	return ret;
}

int listener_publish(struct maps *maps, uint32_t service, uint16_t worker, int fd)
{
	uint32_t key = service * XSR_WORKERS_MAX + worker;
	uint64_t value = fd;

	if (maps->fds[MAPS_LISTENERS] < 0)
		return -ENOENT;
	return bpf_map_update_elem(maps->fds[MAPS_LISTENERS], &key, &value, BPF_ANY) ? -errno : 0;
}

static uint32_t bucket_winner(uint32_t bucket, uint64_t live)
{
	uint64_t best = 0;
	uint32_t winner = 0, worker;

	for (worker = 0; worker < XSR_WORKERS_MAX; worker++) {
		uint64_t weight = mix64((uint64_t)(worker + 1) << 32 | bucket);

		if (!(live >> worker & 1) || (winner && weight <= best))
			continue;
		best = weight;
		winner = worker + 1;
	}
	return winner;
}

void buckets_spread(struct xsr_bucket buckets[XSR_BUCKETS_MAX], uint64_t live)
{
	uint32_t i;

	for (i = 0; i < XSR_BUCKETS_MAX; i++)
		__atomic_store_n(&buckets[i].worker, bucket_winner(i, live), __ATOMIC_RELAXED);
}

uint32_t worker_pid(const struct xsr_worker_counters *worker)
{
	uint32_t pid = worker->pid;

	return pid && worker->started && process_start(pid) == worker->started ? pid : 0;
}

void worker_claim(struct xsr_worker_counters *worker, int cpu, const char *transport)
{
	memset(worker, 0, sizeof(*worker));
	worker->cpu = cpu;
	snprintf(worker->transport, sizeof(worker->transport), "%s", transport);
	worker->started = process_start(getpid());
	__atomic_store_n(&worker->pid, getpid(), __ATOMIC_RELEASE);
}

void worker_leave(struct xsr_worker_counters *worker)
{
	__atomic_store_n(&worker->started, 0, __ATOMIC_RELEASE);
}
