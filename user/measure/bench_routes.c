/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* The routes of the bench's services. The many come by the command that an operator would use. */
#include <errno.h>
#include <jansson.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "bench.h"
#include "route.h"
#include "service.h"
#include "tool.h"

#define OUTPUT_LEN 512

static const char *const names[BENCH_SERVICES] = { "hash", "dense", "own", "other" };

static int file_fill(const char *path, uint32_t n)
{
	FILE *file = fopen(path, "w");
	int ret = 0;
	uint64_t i;

	if (!file)
		return -errno;
	for (i = 0; i < n && ret >= 0; i++)
		ret = fprintf(file, "0x%llx drop\n", (unsigned long long)(BENCH_ID_FIRST + i));
	if (fclose(file) || ret < 0)
		return -EIO;
	return 0;
}

/* A file of n routes serves both tables: the service decides which one holds an ID. */
static int file_make(struct bench *b, uint32_t n, char why[LAB_WHY_LEN])
{
	int ret;

	if (b->file_routes == n)
		return 0;
	if (!b->file[0]) {
		snprintf(b->file, sizeof(b->file), "/tmp/xsr-bench-XXXXXX");
		ret = mkstemp(b->file);
		if (ret < 0) {
			snprintf(why, LAB_WHY_LEN, "cannot make a file in /tmp: %s", strerror(errno));
			b->file[0] = 0;
			return -EIO;
		}
		close(ret);
	}
	b->file_routes = n;
	ret = file_fill(b->file, n);
	if (ret)
		snprintf(why, LAB_WHY_LEN, "cannot write %s: %s", b->file, strerror(-ret));
	return ret;
}

/* Our own command with these words; what it prints, as JSON, or NULL after a sentence. */
static json_t *xsr_run(const char *verb, const char *service, const char *file, char why[LAB_WHY_LEN])
{
	const char *const argv[] = {
		"/proc/self/exe", "--json", "--name", BENCH_INSTANCE, "route", verb, service, file, NULL,
	};
	char out[OUTPUT_LEN];
	json_t *json = NULL;
	int ret = tool_run(argv, out, sizeof(out), 0);

	if (ret == 0)
		json = json_loads(out, 0, NULL);
	if (!json)
		snprintf(why, LAB_WHY_LEN, "'xsr route %s %s' failed with %d", verb, service, ret);
	return json;
}

int bench_import(struct bench *b, enum bench_service service, uint32_t n, double *seconds,
		 char why[LAB_WHY_LEN])
{
	json_t *flushed, *imported;
	int ret = file_make(b, n, why);

	if (ret)
		return ret;
	b->routes[service] = 0;
	flushed = xsr_run("flush", names[service], NULL, why);
	imported = flushed ? xsr_run("import", names[service], b->file, why) : NULL;
	if (!imported || json_unpack(imported, "{s:{s:F}}", "import", "seconds", seconds))
		ret = -EIO;
	else
		b->routes[service] = n;
	json_decref(flushed);
	json_decref(imported);
	return ret;
}

/* Few, and to a worker that does not run yet: the library's way gives no warnings. */
static int worker_routes_load(struct bench *b, enum bench_service service, uint32_t n)
{
	struct route_entry *entries = calloc(n, sizeof(*entries));
	struct xsr_service s;
	size_t i, bad;
	int ret;

	if (!entries)
		return -ENOMEM;
	for (i = 0; i < n; i++) {
		entries[i].id = BENCH_ID_FIRST + i;
		entries[i].route.action = XSR_ACTION_WORKER;
		entries[i].route.target = bench_worker(b, service);
	}
	maps_lock(b->maps);
	ret = service_at(b->maps, b->services[service], &s);
	if (!ret)
		ret = route_import(b->maps, b->services[service], &s, entries, n, &bad, NULL, NULL);
	maps_unlock(b->maps);
	free(entries);
	return ret;
}

/* Of the hash table each route costs all others something: it holds what is asked for and no more. */
static bool routes_there(const struct bench *b, enum bench_service service, uint32_t n)
{
	return service == BENCH_HASH ? b->routes[service] == n : b->routes[service] >= n;
}

int bench_routes_load(struct bench *b, enum bench_service service, uint32_t n, char why[LAB_WHY_LEN])
{
	double seconds;
	int ret;

	if (routes_there(b, service, n))
		return 0;
	if (service == BENCH_HASH || service == BENCH_DENSE)
		return bench_import(b, service, n, &seconds, why);
	ret = worker_routes_load(b, service, n);
	if (ret)
		snprintf(why, LAB_WHY_LEN, "cannot add the routes of '%s': %s", names[service],
			 strerror(-ret));
	else
		b->routes[service] = n;
	return ret;
}
