/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#include "bench.h"

#include <errno.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "child.h"
#include "clock.h"
#include "live.h"
#include "program.h"
#include "route.h"
#include "service.h"
#include "service_spec.h"

_Static_assert(BENCH_WORKERS == LAB_WIDE_QUEUES, "each worker has a queue of its own");
_Static_assert(LOADER_WHY_LEN == LAB_WHY_LEN && SERVICE_WHY_LEN <= LAB_WHY_LEN, "sentences fit");

/*
 * All answer to the server's address, whichever wire it came by. What has no route is counted as such and
 * dropped.
 */
static const struct service_spec specs[BENCH_SERVICES] = {
	[BENCH_HASH] = { "hash", "udp", "0.0.0.0:7001", "xsr", "drop", .dense = "0" },
	[BENCH_DENSE] = { "dense", "udp", "0.0.0.0:7002", "xsr", "drop", .dense = "1000000" },
	[BENCH_OWN] = { "own", "udp", "0.0.0.0:7003", "xsr", "drop", .dense = "0" },
	[BENCH_OTHER] = { "other", "udp", "0.0.0.0:7004", "xsr", "drop", .dense = "0" },
};

unsigned int bench_worker(const struct bench *b, enum bench_service service)
{
	return service == BENCH_OTHER ? (b->own_worker + 1) % BENCH_WORKERS : b->own_worker;
}

uint16_t bench_port(enum bench_service service)
{
	return 7001 + service;
}

struct traffic_ids bench_ids(const struct bench *b, enum bench_service service, uint32_t n)
{
	return (struct traffic_ids){ .first = BENCH_ID_FIRST, .n = n, .service = b->services[service] };
}

/* The first two cores that we may use: one for the traffic, one for the workers. */
static int cpus_choose(struct bench *b, char why[LAB_WHY_LEN])
{
	int *const cpus[] = { &b->cpu_traffic, &b->cpu_worker };
	int cpu, n = 0;
	cpu_set_t set;

	if (sched_getaffinity(0, sizeof(set), &set))
		return -errno;
	for (cpu = 0; cpu < CPU_SETSIZE && n < 2; cpu++)
		if (CPU_ISSET(cpu, &set))
			*cpus[n++] = cpu;
	if (n < 2) {
		snprintf(why, LAB_WHY_LEN,
			 "two cores are needed, one for the traffic and one for the workers; %d may be used",
			 n);
		return -EINVAL;
	}
	/* Core N's frames arrive on queue N, worker N's own is queue N: see lab.h. */
	b->own_worker = b->cpu_traffic % LAB_WIDE_QUEUES;
	return cpu_pin(b->cpu_worker); /* we mostly sleep; the traffic's core has no time for us */
}

static int signals_hold(struct bench *b)
{
	sigemptyset(&b->signals);
	sigaddset(&b->signals, SIGINT);
	sigaddset(&b->signals, SIGTERM);
	sigaddset(&b->signals, SIGHUP);
	return sigprocmask(SIG_BLOCK, &b->signals, NULL) ? -errno : 0;
}

/* The signal is put back after it was seen: whoever asks next sees it too. */
int bench_sleep(struct bench *b, uint64_t ns)
{
	uint64_t end_ns = clock_now_ns() + ns, now_ns;
	struct timespec left = {};
	int signal_number;

	do {
		now_ns = clock_now_ns();
		left.tv_sec = now_ns < end_ns ? (end_ns - now_ns) / NS_PER_S : 0;
		left.tv_nsec = now_ns < end_ns ? (end_ns - now_ns) % NS_PER_S : 0;
		signal_number = sigtimedwait(&b->signals, NULL, &left);
		if (signal_number > 0) {
			kill(getpid(), signal_number);
			return -EINTR;
		}
	} while (now_ns < end_ns);
	return 0;
}

static int instance_load(struct bench *b, char why[LAB_WHY_LEN])
{
	const struct program_options options = {};
	struct program_report report;
	int ret;

	program_unload(BENCH_INSTANCE, true, why); /* what a killed bench left */
	live_remove();
	ret = program_load(BENCH_INSTANCE, &options, &report, why);
	if (!ret)
		ret = instance_open(BENCH_INSTANCE, &b->maps, why);
	if (ret)
		return ret;
	b->steer_fd = program_open(BENCH_INSTANCE, INSTANCE_STEER, why);
	return b->steer_fd < 0 ? b->steer_fd : 0;
}

static int services_add(struct bench *b, char why[LAB_WHY_LEN])
{
	struct xsr_service service;
	int i, ret = 0;

	maps_lock(b->maps);
	for (i = 0; i < BENCH_SERVICES && ret >= 0; i++) {
		memset(&service, 0, sizeof(service));
		ret = service_spec_parse(&specs[i], &service, why);
		if (ret)
			break;
		ret = service_add(b->maps, &service);
		b->services[i] = ret;
		if (ret < 0)
			snprintf(why, LAB_WHY_LEN, "cannot add service '%s': %s", specs[i].name,
				 strerror(-ret));
	}
	maps_unlock(b->maps);
	return ret < 0 ? ret : 0;
}

static int bench_fill(struct bench *b, char why[LAB_WHY_LEN])
{
	int ret = instance_load(b, why);

	if (!ret)
		ret = services_add(b, why);
	if (!ret)
		ret = traffic_open(&b->traffic, b->maps, why);
	return ret;
}

/* Signals first: nothing may be left behind. Without the lab another bench may run, and what is there is its. */
int bench_place_open(struct bench *b, const struct bench_profile *profile, char why[LAB_WHY_LEN])
{
	int ret;

	*b = (struct bench){ .profile = *profile, .steer_fd = -1, .next_id = 1 };
	snprintf(why, LAB_WHY_LEN, "out of memory");
	ret = signals_hold(b);
	if (ret)
		return ret;
	ret = lab_open(&b->lab, why);
	if (ret) {
		sigprocmask(SIG_UNBLOCK, &b->signals, NULL);
		return ret;
	}
	ret = cpus_choose(b, why);
	if (ret)
		bench_place_close(b);
	return ret;
}

void bench_place_close(struct bench *b)
{
	lab_close(&b->lab);
	sigprocmask(SIG_UNBLOCK, &b->signals, NULL);
}

int bench_open(struct bench *b, const struct bench_profile *profile, char why[LAB_WHY_LEN])
{
	int ret = bench_place_open(b, profile, why);

	if (ret)
		return ret;
	ret = bench_fill(b, why);
	if (ret)
		bench_close(b);
	return ret;
}

/* With the lab the devices go that the programs are on. */
void bench_close(struct bench *b)
{
	traffic_close(b->traffic);
	if (b->steer_fd >= 0)
		close(b->steer_fd);
	maps_close(b->maps);
	if (b->file[0])
		unlink(b->file);
	lab_close(&b->lab);
	program_unload(BENCH_INSTANCE, true, (char[LAB_WHY_LEN]){});
	live_remove();
	bench_place_close(b);
}
