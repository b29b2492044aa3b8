/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#include "live.h"

#include <arpa/inet.h>
#include <errno.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "clock.h"
#include "listener.h"
#include "names.h"
#include "program.h"
#include "route.h"
#include "server.h"
#include "service.h"
#include "tool.h"

#define PORT 7101
#define ROUTES_MAX 1024 /* hashed ones, of which there are none */
#define CONFIG_LEN 512
#define OUTPUT_LEN 8192
#define PATH_LEN 64

/*
 * Rings and frames for 150 ms of 50,000 messages a second: on a shared machine the workers may wait for their
 * core as long as that.
 */
static const char config_format[] =
	"instance: " LIVE_INSTANCE "\n"
	"devices: [%s]\n"
	"transport: %s\n"
	"mode: native\n"
	"workers: 2\n"
	"cpus: [%d, %d]\n"
	"frames: 16384\n"
	"ring: 8192\n"
	"services:\n"
	"  - { name: " LIVE_SERVICE ", address: \"%s:%d\", id: xsr, default: drop, stamp: on, dense: %d }\n";

struct sockaddr_in live_address(const struct bench *b)
{
	return (struct sockaddr_in){
		.sin_family = AF_INET,
		.sin_port = htons(PORT),
		.sin_addr.s_addr = b->lab.devices[LAB_WIDE][LAB_SERVER].addr,
	};
}

static void config_fill(char config[CONFIG_LEN], const struct bench *b, const char *transport)
{
	const struct sockaddr_in to = live_address(b);
	char address[INET_ADDRSTRLEN];

	inet_ntop(AF_INET, &to.sin_addr, address, sizeof(address));
	snprintf(config, CONFIG_LEN, config_format, b->lab.devices[LAB_WIDE][LAB_SERVER].name, transport,
		 b->cpu_worker, b->cpu_worker, address, PORT, LIVE_SESSIONS_MAX);
}

/* The instance is loaded once: with tables of the usual size that takes longer than the router's start. */
static int instance_ensure(char why[LAB_WHY_LEN])
{
	const struct program_options options = { .dense_len = LIVE_SESSIONS_MAX, .routes_max = ROUTES_MAX };
	struct program_report report;
	struct program_info info;

	if (!program_info(LIVE_INSTANCE, &info, why) && info.pinned)
		return 0;
	return program_load(LIVE_INSTANCE, &options, &report, why);
}

/* The router attaches its own program, and its client is a kernel socket. */
static int programs_take_off(const struct bench *b, char why[LAB_WHY_LEN])
{
	int ret = lab_attach(&b->lab, LAB_WIDE, LAB_SERVER, -1);

	if (!ret)
		ret = lab_attach(&b->lab, LAB_WIDE, LAB_CLIENT, -1);
	if (ret)
		snprintf(why, LAB_WHY_LEN, "cannot take an XDP program off: %s", strerror(-ret));
	return ret;
}

static int router_start(struct live *live, const struct bench *b, const char *transport,
			char why[LAB_WHY_LEN])
{
	char config[CONFIG_LEN];
	const struct child_params params = {
		.lab = &b->lab,
		.side = LAB_SERVER,
		.cpu = b->cpu_worker,
		.main = server_run_main,
		.arg = config,
	};

	config_fill(config, b, transport);
	return child_start(&live->child, &params, why);
}

static int routes_import(struct live *live, uint32_t n, char why[LAB_WHY_LEN])
{
	struct route_entry *entries = calloc(n, sizeof(*entries));
	int index, ret = entries ? 0 : -ENOMEM;
	struct xsr_service service;
	size_t i, bad;

	for (i = 0; i < n && entries; i++) {
		entries[i].id = BENCH_ID_FIRST + i;
		entries[i].route.action = XSR_ACTION_WORKER;
		entries[i].route.target = i % LIVE_WORKERS;
	}
	maps_lock(live->maps);
	index = service_get(live->maps, LIVE_SERVICE, &service);
	if (!ret && index <= 0)
		ret = index ? index : -ENOENT;
	if (!ret)
		ret = route_import(live->maps, index, &service, entries, n, &bad, NULL, NULL);
	maps_unlock(live->maps);
	free(entries);
	if (ret)
		snprintf(why, LAB_WHY_LEN, "cannot add the routes of '" LIVE_SERVICE "': %s", strerror(-ret));
	return ret;
}

int live_open(struct live *live, const struct bench *b, const char *transport, uint32_t n_sessions,
	      char why[LAB_WHY_LEN])
{
	int ret;

	*live = (struct live){};
	ret = programs_take_off(b, why);
	if (!ret)
		ret = instance_ensure(why);
	if (!ret)
		ret = router_start(live, b, transport, why);
	if (!ret)
		ret = instance_open(LIVE_INSTANCE, &live->maps, why);
	if (!ret)
		ret = routes_import(live, n_sessions, why);
	if (ret)
		live_close(live);
	return ret;
}

void live_close(struct live *live)
{
	child_stop(&live->child);
	maps_close(live->maps);
	live->maps = NULL;
}

void live_remove(void)
{
	char path[LISTENER_PATH_LEN];

	program_unload(LIVE_INSTANCE, true, (char[LAB_WHY_LEN]){});
	unlink(listener_path(LIVE_INSTANCE, path));
}

/* --- moves --- */

/* A file in memory with a line for each; its descriptor, or -errno. */
static int list_make(const struct live *live, uint32_t n)
{
	int fd = memfd_create("xsr-bench", MFD_CLOEXEC);
	FILE *file;
	uint32_t i;

	if (fd < 0)
		return -errno;
	file = fdopen(dup(fd), "w");
	for (i = 0; i < n && file; i++)
		fprintf(file, "0x%llx worker %u\n", BENCH_ID_FIRST + i, (i + live->shift + 1) % LIVE_WORKERS);
	if (file && !fclose(file))
		return fd;
	close(fd);
	return -ENOMEM;
}

static int move_read(const char *text, uint32_t n, struct live_move *out, char why[LAB_WHY_LEN])
{
	json_t *json = json_loads(text, 0, NULL);
	json_int_t moved, without_state;
	int ret = json_unpack(json, "{s:{s:I,s:I,s:F}}", "moves", "moved", &moved, "without_state",
			      &without_state, "time_ms", &out->router_ms);

	json_decref(json);
	if (ret) {
		snprintf(why, LAB_WHY_LEN, "'xsr session move' does not say what it did");
		return -EPROTO;
	}
	out->n_moved = moved;
	out->n_without_state = without_state;
	if (out->n_moved == n && !without_state)
		return 0;
	snprintf(why, LAB_WHY_LEN, "of %u sessions %llu moved, %llu of them without their state", n,
		 (unsigned long long)moved, (unsigned long long)without_state);
	return -EPROTO;
}

int live_move(struct live *live, uint32_t n, struct live_move *out, char why[LAB_WHY_LEN])
{
	int ret, fd = list_make(live, n);
	char text[OUTPUT_LEN], path[PATH_LEN];
	const char *const argv[] = {
		"/proc/self/exe", "--json",     "--name", LIVE_INSTANCE, "session",
		"move",           LIVE_SERVICE, path,     NULL,
	};
	uint64_t start_ns = clock_now_ns();

	if (fd < 0) {
		snprintf(why, LAB_WHY_LEN, "cannot make a file in memory: %s", strerror(-fd));
		return fd;
	}
	snprintf(path, sizeof(path), "/proc/%d/fd/%d", getpid(), fd);
	ret = tool_run(argv, text, sizeof(text), 1);
	out->command_ms = (clock_now_ns() - start_ns) / (double)NS_PER_MS;
	close(fd);
	if (ret) {
		snprintf(why, LAB_WHY_LEN, "'xsr session move' failed with %d", ret);
		return -EPROTO;
	}
	live->shift++;
	return move_read(text, n, out, why);
}

/* --- what went wrong --- */

static const enum xsr_worker_stat losses[] = {
	XSR_WORKER_STAT_BAD_PACKET,    XSR_WORKER_STAT_NO_SERVICE,   XSR_WORKER_STAT_BAD_FRAME,
	XSR_WORKER_STAT_SESSIONS_FULL, XSR_WORKER_STAT_TX_FULL,      XSR_WORKER_STAT_TX_ERROR,
	XSR_WORKER_STAT_RX_DROPPED,    XSR_WORKER_STAT_RX_RING_FULL, XSR_WORKER_STAT_FILL_EMPTY,
	XSR_WORKER_STAT_HOLD_OVERFLOW, XSR_WORKER_STAT_NO_FENCE,     XSR_WORKER_STAT_LATE_FENCE,
	XSR_WORKER_STAT_STATE_REFUSED, XSR_WORKER_STAT_STALE,
};

static uint64_t workers_count(const struct maps *maps, enum xsr_worker_stat stat)
{
	uint64_t n = 0;
	int i;

	for (i = 0; i < LIVE_WORKERS; i++)
		n += maps->workers[i].n[stat];
	return n;
}

void live_losses(char *text, size_t size)
{
	char why[LAB_WHY_LEN];
	struct maps *maps;
	size_t i, len = 0;
	uint64_t n;

	text[0] = 0;
	if (instance_open(LIVE_INSTANCE, &maps, why))
		return;
	for (i = 0; i < sizeof(losses) / sizeof(losses[0]) && len < size; i++) {
		n = workers_count(maps, losses[i]);
		if (n)
			len += snprintf(text + len, size - len, "%s%s %llu", len ? ", " : "",
					worker_stat_name(losses[i]), (unsigned long long)n);
	}
	maps_close(maps);
}
