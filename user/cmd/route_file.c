/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#include "route_file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "route.h"
#include "socket.h"
#include "target.h"

#define TEXT_MAX (4ULL << 30)
#define PROGRESS_LINES (1 << 18)

/* A whole file in memory: mapped if it is a regular one, else read. */
struct text {
	char *data;
	size_t len;
	size_t capacity; /* 0 = mapped */
};

static int text_map(int fd, size_t len, struct text *text)
{
	void *p = mmap(NULL, len, PROT_READ, MAP_PRIVATE | MAP_POPULATE, fd, 0);

	if (p == MAP_FAILED)
		return -errno;
	*text = (struct text){ .data = p, .len = len };
	return 0;
}

static int text_grow(struct text *text)
{
	size_t capacity = text->capacity ? text->capacity * 2 : 1 << 20;
	char *grown;

	if (text->len < text->capacity)
		return 0;
	if (capacity > TEXT_MAX)
		return -EFBIG;
	grown = realloc(text->data, capacity);
	if (!grown)
		return -ENOMEM;
	text->data = grown;
	text->capacity = capacity;
	return 0;
}

static int text_read(int fd, struct text *text)
{
	ssize_t n = 1;
	int ret = 0;

	while (n && !ret) {
		ret = text_grow(text);
		if (ret)
			break;
		n = read(fd, text->data + text->len, text->capacity - text->len);
		if (n > 0)
			text->len += n;
		else if (n < 0 && errno != EINTR)
			ret = -errno;
	}
	return ret;
}

static int text_open(const char *path, struct text *text)
{
	int fd = strcmp(path, "-") ? open(path, O_RDONLY | O_CLOEXEC) : dup(STDIN_FILENO);
	struct stat st;
	int ret;

	memset(text, 0, sizeof(*text));
	if (fd < 0 || fstat(fd, &st)) {
		ret = -errno;
	} else if (S_ISDIR(st.st_mode)) {
		ret = -EISDIR;
	} else if (S_ISREG(st.st_mode) && st.st_size > 0 && lseek(fd, 0, SEEK_CUR) == 0) {
		ret = text_map(fd, st.st_size, text);
	} else {
		ret = text_read(fd, text);
	}
	if (fd >= 0)
		close(fd);
	return ret;
}

static void text_close(struct text *text)
{
	if (text->capacity)
		free(text->data);
	else if (text->data)
		munmap(text->data, text->len);
}

struct routes {
	struct route_entry *entries;
	size_t n, capacity;
	uint64_t workers; /* a bit for each worker that is named */
};

/* Sized by the shortest line there can be, "0 pass\n": no growing while lines are read. */
static int routes_open(struct routes *routes, size_t text_len)
{
	memset(routes, 0, sizeof(*routes));
	routes->capacity = text_len / 7 + 1;
	routes->entries = mmap(NULL, routes->capacity * sizeof(*routes->entries), PROT_READ | PROT_WRITE,
			       MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (routes->entries == MAP_FAILED)
		return -ENOMEM;
	/* Most of it is never touched; what is, in few faults. */
	madvise(routes->entries, routes->capacity * sizeof(*routes->entries), MADV_HUGEPAGE);
	return 0;
}

static void routes_close(struct routes *routes)
{
	if (routes->entries != MAP_FAILED)
		munmap(routes->entries, routes->capacity * sizeof(*routes->entries));
}

static bool line_is_empty(const char *line, size_t len)
{
	size_t i;

	for (i = 0; i < len && (line[i] == ' ' || line[i] == '\t' || line[i] == '\r'); i++)
		;
	return i == len || line[i] == '#';
}

static int routes_parse(const struct cli *cli, const char *path, const struct text *text,
			const struct xsr_service *service, struct routes *routes)
{
	struct target_names names = { .backends = cli->maps->backends };
	const char *p = text->data, *end = text->data + text->len;
	char why[TARGET_WHY_LEN];
	uint32_t line;

	for (line = 1; p < end; line++) {
		const char *newline = memchr(p, '\n', end - p);
		size_t len = (newline ? newline : end) - p;
		struct route_entry *e = &routes->entries[routes->n];

		if (line % PROGRESS_LINES == 0)
			cli_progress("reading %s: %zu routes, %.0f %%", path, routes->n,
				     100.0 * (p - text->data) / text->len);
		if (!line_is_empty(p, len)) {
			memset(&e->route, 0, sizeof(e->route));
			if (target_parse_line(p, len, &names, &e->id, &e->route, why) ||
			    target_check(service, &e->route, names.backends, why))
				return cli_failed(cli, "%s:%u: %s; nothing was imported", path, line, why);
			if (e->route.action == XSR_ACTION_WORKER)
				routes->workers |= 1ULL << e->route.target;
			routes->n++;
		}
		p += len + 1;
	}
	return CLI_OK;
}

/* The line of the n-th entry, from 0: looked for again only when something is wrong with it. */
static uint32_t entry_line(const struct text *text, size_t n)
{
	const char *p = text->data, *end = text->data + text->len;
	uint32_t line;

	for (line = 1; p < end; line++) {
		const char *newline = memchr(p, '\n', end - p);
		size_t len = (newline ? newline : end) - p;

		if (!line_is_empty(p, len) && n-- == 0)
			break;
		p += len + 1;
	}
	return line;
}

static void import_progress(size_t done, void *arg)
{
	const struct routes *routes = arg;

	cli_progress("importing: %zu of %zu routes, %.0f %%", done, routes->n, 100.0 * done / routes->n);
}

static int import_failed(const struct cli *cli, const char *path, const struct text *text,
			 const struct routes *routes, size_t bad, int ret)
{
	if (ret == -EBUSY)
		return cli_failed(cli,
				  "%s:%u: the dense slot of 0x%llx holds another generation of the ID; nothing was imported",
				  path, entry_line(text, bad), (unsigned long long)routes->entries[bad].id);
	if (ret == -E2BIG)
		return cli_failed(cli, "%s: the table takes %u routes in all; nothing was imported; see: prog load routes N",
				  path, cli->maps->routes_max);
	return cli_failed(cli, "%s: import failed: %s", path, strerror(-ret));
}

static void workers_warn(const struct cli *cli, uint64_t workers)
{
	int i;

	for (i = 0; i < XSR_WORKERS_MAX; i++)
		if (workers >> i & 1 && !worker_pid(&cli->maps->workers[i]))
			cli_warn(cli, "worker %d does not run; until it does, the service's default action is taken", i);
}

static double seconds_since(const struct timespec *start)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (now.tv_sec - start->tv_sec) + (now.tv_nsec - start->tv_nsec) / 1e9;
}

static int import_apply(struct cli *cli, uint32_t index, const struct xsr_service *service, const char *path,
			const struct text *text, struct routes *routes)
{
	size_t bad = 0;
	int ret;

	maps_lock(cli->maps);
	ret = route_import(cli->maps, index, service, routes->entries, routes->n, &bad, import_progress, routes);
	maps_unlock(cli->maps);
	cli_progress_end();
	if (ret)
		return import_failed(cli, path, text, routes, bad, ret);
	workers_warn(cli, routes->workers);
	return CLI_OK;
}

int route_file_import(struct cli *cli, uint32_t index, const struct xsr_service *service, const char *path)
{
	struct timespec start;
	struct routes routes;
	struct text text;
	int ret;

	clock_gettime(CLOCK_MONOTONIC, &start);
	ret = text_open(path, &text);
	if (ret) {
		text_close(&text);
		return cli_failed(cli, "cannot read '%s': %s", path, strerror(-ret));
	}
	ret = routes_open(&routes, text.len) ? cli_failed(cli, "%s: out of memory", path) : CLI_OK;
	if (!ret)
		ret = routes_parse(cli, path, &text, service, &routes);
	cli_progress_end();
	if (!ret)
		ret = import_apply(cli, index, service, path, &text, &routes);
	text_close(&text);
	if (!ret && cli->json)
		ret = cli_json(cli, "import", json_pack("{s:I,s:f}", "routes", (json_int_t)routes.n, "seconds",
							seconds_since(&start)));
	else if (!ret)
		printf("imported %zu route(s) in %.3f s\n", routes.n, seconds_since(&start));
	routes_close(&routes);
	return ret;
}

struct lines {
	const struct xsr_backend *backends;
	size_t n_done;
};

static int lines_print(const struct route_entry *entries, size_t n, void *arg)
{
	struct lines *lines = arg;
	size_t i;

	for (i = 0; i < n; i++) {
		char text[TARGET_TEXT_LEN];

		printf("0x%llx %s\n", (unsigned long long)entries[i].id, target_text(&entries[i].route, lines->backends, text));
	}
	lines->n_done += n;
	if (!isatty(STDOUT_FILENO))
		cli_progress("exporting: %zu routes", lines->n_done);
	return ferror(stdout) ? -EIO : 0;
}

int route_file_export(struct cli *cli, uint32_t index, const struct xsr_service *service)
{
	struct lines lines = { .backends = cli->maps->backends };
	int ret;

	ret = route_for_each(cli->maps, index, service, lines_print, &lines);
	if (!ret && fflush(stdout))
		ret = -errno;
	cli_progress_end();
	return ret ? cli_failed(cli, "export failed: %s", strerror(-ret)) : CLI_OK;
}
