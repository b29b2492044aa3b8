/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The real program under test: bytes in, verdict and counters out. A group of
 * tests has an instance of its own and a network namespace without a name, which
 * ends with the process. In it is a pair of veth devices with four queues each
 * that both run the program; a run tells the program from which of them, and
 * from which queue, its frame came.
 *
 *	struct prog *prog = *state;
 *	struct prog_service game = prog_service_add(prog, &(struct service_spec){ ... });
 *
 *	prog_route(prog, &game, 42, XSR_ACTION_DROP, 0);
 *	expect_stat(prog, &packet, game.index, XSR_STAT_ROUTE_DROP);
 */
#ifndef XSR_TEST_PROG_H
#define XSR_TEST_PROG_H

#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <sys/file.h>
#include <unistd.h>

#include <bpf/bpf.h>
#include <linux/bpf.h>

#include "../unit/packet.h"
#include "attach.h"
#include "counter.h"
#include "maps.h"
#include "names.h"
#include "program.h"
#include "route.h"
#include "service.h"
#include "service_spec.h"
#include "socket.h"
#include "xsr.h"

#define PROG_INSTANCE "xsr-prog-test"
#define PROG_DEV "xsr0"
#define PROG_IFINDEX 10
#define PROG_PEER "xsr1"
#define PROG_PEER_IFINDEX 74 /* the low bits, by which devices are found, are those of PROG_IFINDEX */
#define PROG_LO_IFINDEX 1
#define PROG_N_QUEUES 4
#define PROG_DENSE_LEN 4096
#define PROG_ROUTES_MAX 4096
#define PROG_FRAME_MIN 14   /* shorter ones the kernel does not run */
#define PROG_FRAME_MAX 3500 /* what fits into one page with head and tail room */

_Static_assert(((PROG_IFINDEX ^ PROG_PEER_IFINDEX) & (XSR_DEVICES_MAX - 1)) == 0, "see above");

struct prog {
	int lock_fd; /* one group at a time: they share the instance's name */
	struct maps *maps;
	int fd;
	struct xsr_router *router;                      /* of the test that runs, or NULL */
	struct xsr_counters counters[XSR_SERVICES_MAX]; /* as they were after the last run */
};

struct prog_service {
	uint32_t index;
	struct xsr_service s;
};

/* Where a frame comes from, and what came of it. */
struct prog_run {
	uint32_t ifindex;
	uint32_t queue;
	uint32_t driver_meta_len; /* bytes of metadata that a driver left before it; a multiple of 4 */
	uint32_t verdict;
	uint32_t meta_len;              /* bytes of metadata, which stand before the frame */
	uint32_t len;                   /* of the frame */
	__u8 data[PROG_FRAME_MAX + 64]; /* metadata and frame */
};

/* --- the group --- */

static inline int prog_file_write(const char *path, const char *text)
{
	int fd = open(path, O_WRONLY | O_CLOEXEC);
	ssize_t n = fd < 0 ? -1 : write(fd, text, strlen(text));

	if (fd >= 0)
		close(fd);
	return n < 0 ? -1 : 0;
}

static inline int prog_group_lock(void)
{
	int fd = open("/run/" PROG_INSTANCE ".lock", O_RDWR | O_CREAT | O_CLOEXEC, 0600);

	if (fd >= 0)
		flock(fd, LOCK_EX);
	return fd;
}

/* Without IPv6, whose own messages the program would count. */
static inline int prog_devices_make(void)
{
	static const char make[] =
		"PATH=$PATH:/usr/sbin:/sbin\n"
		"ip link add name " PROG_DEV " index 10 numrxqueues 4 numtxqueues 4 type veth"
		" peer name " PROG_PEER " index 74 numrxqueues 4 numtxqueues 4 &&"
		" ip link set lo up && ip link set " PROG_DEV " up && ip link set " PROG_PEER " up";

	if (unshare(CLONE_NEWNET))
		return -1;
	prog_file_write("/proc/sys/net/ipv6/conf/default/disable_ipv6", "1");
	prog_file_write("/proc/sys/net/ipv6/conf/all/disable_ipv6", "1");
	return system(make) ? -1 : 0;
}

static inline int prog_program_attach(char why[LOADER_WHY_LEN])
{
	const struct program_options options = { .dense_len = PROG_DENSE_LEN, .routes_max = PROG_ROUTES_MAX };
	enum attach_mode native = ATTACH_NATIVE, native_too = ATTACH_NATIVE;
	struct program_report report;
	int ret;

	program_unload(PROG_INSTANCE, true, why); /* what a killed run left */
	ret = program_load(PROG_INSTANCE, &options, &report, why);
	if (!ret)
		ret = net_attach(PROG_INSTANCE, PROG_DEV, &native, why);
	if (!ret)
		ret = net_attach(PROG_INSTANCE, PROG_PEER, &native_too, why);
	return ret;
}

static inline int prog_close(void **state)
{
	struct prog *prog = *state;
	char why[LOADER_WHY_LEN];
	int ret;

	xsr_router_close(prog->router);
	maps_close(prog->maps);
	if (prog->fd >= 0)
		close(prog->fd);
	ret = program_unload(PROG_INSTANCE, true, why);
	close(prog->lock_fd);
	test_free(prog);
	return ret;
}

static inline int prog_open(void **state)
{
	char why[LOADER_WHY_LEN] = "cannot make a network namespace with a pair of veth devices";
	struct prog *prog = test_calloc(1, sizeof(*prog));
	int ret;

	prog->fd = -1;
	prog->lock_fd = prog_group_lock();
	*state = prog;
	ret = prog_devices_make();
	if (!ret)
		ret = prog_program_attach(why);
	if (!ret)
		ret = prog->fd = program_open(PROG_INSTANCE, INSTANCE_STEER, why);
	if (ret >= 0)
		ret = instance_open(PROG_INSTANCE, &prog->maps, why);
	if (ret)
		print_error("%s\n", why);
	return ret; /* what is there, prog_close() takes down: it is called in any case */
}

static inline void prog_counters_read(struct prog *prog)
{
	uint32_t i;

	for (i = 0; i < XSR_SERVICES_MAX; i++)
		assert_int_equal(counter_read(prog->maps, i, &prog->counters[i]), 0);
}

static inline void prog_counters_clear(struct prog *prog)
{
	uint32_t i;

	for (i = 0; i < XSR_SERVICES_MAX; i++)
		assert_int_equal(counter_clear(prog->maps, i), 0);
	memset(prog->counters, 0, sizeof(prog->counters));
}

/* To be unlocked before anything is asserted: a router that is opened takes the lock, too. */
static inline void prog_lock(struct prog *prog)
{
	assert_int_equal(maps_lock(prog->maps), 0);
}

static inline void prog_service_delete(struct prog *prog, const char *name)
{
	int ret;

	prog_lock(prog);
	ret = service_delete(prog->maps, name);
	maps_unlock(prog->maps);
	assert_int_equal(ret, 0);
}

/* After each test: no router, no service, no route, nothing counted. */
static inline int prog_reset(void **state)
{
	struct prog *prog = *state;
	struct xsr_service service;
	uint32_t i;

	xsr_router_close(prog->router);
	prog->router = NULL;
	for (i = 1; i < XSR_SERVICES_MAX; i++)
		if (!service_at(prog->maps, i, &service))
			prog_service_delete(prog, service.name);
	prog_counters_clear(prog);
	return 0;
}

#define prog_test(f) cmocka_unit_test_teardown(f, prog_reset)

/* The value of main(). A number of failures could be the 77 of a skip. */
#define prog_run_tests(tests)                                                                                \
	(geteuid() ? prog_skip() : cmocka_run_group_tests(tests, prog_open, prog_close) ? 1 : 0)

static inline int prog_skip(void)
{
	puts("needs root");
	return 77;
}

/* --- services, routes, workers --- */

/* The new service's index, or why service_add() refused it. UDP, if *spec does not say; its backends service->s has. */
static inline int prog_service_try(struct prog *prog, const struct service_spec *spec,
				   struct prog_service *service)
{
	const __u64 backends = service->s.backends;
	struct service_spec full = *spec;
	char why[SERVICE_WHY_LEN];
	int index;

	memset(service, 0, sizeof(*service));
	service->s.backends = backends;
	if (!full.protocol)
		full.protocol = "udp";
	if (service_spec_parse(&full, &service->s, why))
		fail_msg("%s", why);
	prog_lock(prog);
	index = service_add(prog->maps, &service->s);
	maps_unlock(prog->maps);
	if (index < 0)
		return index;
	service->index = index;
	memset(&prog->counters[index], 0, sizeof(prog->counters[index]));
	return service_at(prog->maps, index, &service->s) ?: index;
}

static inline struct prog_service prog_service_add(struct prog *prog, const struct service_spec *spec)
{
	struct prog_service service = {};
	int ret = prog_service_try(prog, spec, &service);

	if (ret < 0)
		fail_msg("service %s: %s", spec->name, strerror(-ret));
	return service;
}

static inline void prog_route(struct prog *prog, const struct prog_service *service, uint64_t id,
			      enum xsr_action action, uint16_t target)
{
	int ret;

	prog_lock(prog);
	ret = route_replace(prog->maps, service->index, &service->s, id, action, target);
	maps_unlock(prog->maps);
	assert_int_equal(ret, 0);
}

/* A router with AF_XDP sockets on all queues of PROG_DEV. It has no threads: nobody reads them. */
static inline struct xsr_router *prog_router_open(unsigned int n_workers, const struct xsr_handler *handler)
{
	static const char *const devices[] = { PROG_DEV };
	const struct xsr_router_config config = {
		.instance = PROG_INSTANCE,
		.devices = devices,
		.n_devices = 1,
		.transport = "xdp",
		.n_workers = n_workers,
		.n_frames = 64,
		.ring_len = 64,
		.sessions_max = 64,
		.handler = handler,
	};
	struct xsr_router *router = NULL;
	char why[XSR_WHY_LEN] = "";

	if (xsr_router_open(&router, &config, why))
		print_error("cannot open a router: %s\n", why);
	return router;
}

/* Workers 0 .. n_workers - 1 can be delivered to from here to the test's end. */
static inline void prog_workers_start(struct prog *prog, unsigned int n_workers)
{
	prog->router = prog_router_open(n_workers, xsr_handler_find("echo"));
	assert_non_null(prog->router);
	assert_int_equal(xsr_router_publish(prog->router), 0);
}

/* --- runs --- */

/* Runs the program once on frame[0..len), coming from where *run says. 0 or -errno of the kernel. */
static inline int prog_run(struct prog *prog, const __u8 *frame, size_t len, struct prog_run *run)
{
	struct xdp_md in = {
		.data = run->driver_meta_len,
		.data_end = run->driver_meta_len + len,
		.ingress_ifindex = run->ifindex,
		.rx_queue_index = run->queue,
	};
	struct xdp_md out = {};
	__u8 bytes[PROG_FRAME_MAX + 32];
	LIBBPF_OPTS(bpf_test_run_opts, opts, .data_in = bytes, .data_size_in = in.data_end,
		    .data_out = run->data, .data_size_out = sizeof(run->data), .ctx_in = &in,
		    .ctx_size_in = sizeof(in), .ctx_out = &out, .ctx_size_out = sizeof(out), .repeat = 1);

	assert_in_range(in.data_end, PROG_FRAME_MIN, sizeof(bytes));
	memset(bytes, 0xdd, run->driver_meta_len);
	memcpy(bytes + run->driver_meta_len, frame, len);
	if (bpf_prog_test_run_opts(prog->fd, &opts))
		return -errno;
	run->verdict = opts.retval;
	run->meta_len = out.data;
	run->len = opts.data_size_out - out.data;
	return 0;
}

/* What the contract says becomes of a message that is counted so. */
static inline uint32_t stat_verdict(enum xsr_stat stat)
{
	switch (stat) {
	case XSR_STAT_ROUTE_WORKER:
	case XSR_STAT_NO_ID_HASH:
	case XSR_STAT_NO_ROUTE_HASH:
	case XSR_STAT_STALE_ID_HASH:
	case XSR_STAT_WORKER_GONE_HASH:
		return XDP_REDIRECT;
	case XSR_STAT_ROUTE_DROP:
	case XSR_STAT_ROUTE_UNKNOWN_ACTION:
	case XSR_STAT_FRAME_BAD_LEN:
	case XSR_STAT_FRAME_BAD_VERSION:
	case XSR_STAT_FRAME_BAD_TYPE:
	case XSR_STAT_NO_ID_DROP:
	case XSR_STAT_NO_ROUTE_DROP:
	case XSR_STAT_STALE_ID_DROP:
	case XSR_STAT_WORKER_GONE_DROP:
		return XDP_DROP;
	default:
		return XDP_PASS;
	}
}

/* What was counted since the last run, for a sentence. */
static inline void prog_counted(const struct xsr_counters *before, const struct xsr_counters *after)
{
	uint32_t service, stat;

	for (service = 0; service < XSR_SERVICES_MAX; service++)
		for (stat = 0; stat < XSR_STAT_MAX; stat++)
			if (before[service].n[stat] != after[service].n[stat])
				print_error("counted: service %u, %s\n", service, stat_name(stat));
}

/* The run's frame must come out as it went in, with this verdict and exactly this counted, once. */
static inline void prog_expect(struct prog *prog, const __u8 *frame, size_t len, struct prog_run *run,
			       uint32_t service, enum xsr_stat stat, const char *file, int line)
{
	struct xsr_counters before[XSR_SERVICES_MAX];
	int ret = prog_run(prog, frame, len, run);

	if (ret) {
		print_error("the kernel does not run a frame of %zu bytes: %s\n", len, strerror(-ret));
		_fail(file, line);
	}
	memcpy(before, prog->counters, sizeof(before));
	prog_counters_read(prog);
	before[service].n[stat]++;
	if (memcmp(before, prog->counters, sizeof(before)) || run->verdict != stat_verdict(stat)) {
		before[service].n[stat]--;
		print_error("frame of %zu bytes: verdict %u, expected %u and service %u, %s\n", len,
			    run->verdict, stat_verdict(stat), service, stat_name(stat));
		prog_counted(before, prog->counters);
		_fail(file, line);
	}
	if (run->len != len || memcmp(run->data + run->meta_len, frame, len)) {
		print_error("the program changed the frame of %zu bytes\n", len);
		_fail(file, line);
	}
}

/* Cut to its first `cut` bytes. */
#define expect_stat_cut(prog, packet, cut, service, stat)                                                    \
	do {                                                                                                 \
		struct prog_run run_ = { .ifindex = PROG_IFINDEX };                                          \
		prog_expect(prog, (packet)->data, cut, &run_, service, stat, __FILE__, __LINE__);            \
	} while (0)

#define expect_stat(prog, packet, service, stat) expect_stat_cut(prog, packet, (packet)->len, service, stat)

/* From elsewhere than PROG_DEV's queue 0, or to look at what came out. */
#define expect_stat_run(prog, packet, run, service, stat)                                                    \
	prog_expect(prog, (packet)->data, (packet)->len, run, service, stat, __FILE__, __LINE__)

#endif /* XSR_TEST_PROG_H */
