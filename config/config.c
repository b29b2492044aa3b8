/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Three steps. The outline refuses what the schema does not have and notes the
 * lines of what it has; the schema fills struct text with words; here the words
 * become values.
 */
#include "config.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "address.h"
#include "backend_spec.h"
#include "outline.h"
#include "schema.h"
#include "service_spec.h"
#include "source.h"
#include "word.h"

#define STRING(x) #x
#define TEXT_OF(x) STRING(x)

#define CPU_MAX 1023

#define EXPECTED_DEVICE "the name of an interface, 1 to 15 characters without '/', ':' or blanks"
#define EXPECTED_CPU "the number of a core from 0 to " TEXT_OF(CPU_MAX) ", or -1 for not pinned"

struct reading {
	const struct source *src;
	const struct outline *outline;
	const struct text *text;
	struct config *config;
};

static int words_take(const struct reading *r)
{
	const char *key, *word, *expected;
	unsigned int i;

	for (i = 0; (key = word_key(i)); i++) {
		word = schema_word(r->text, schema_find(schema_file, key));
		expected = word_take(i, word, r->config);
		if (expected)
			return source_refuse(r->src, outline_key_line(r->outline, key),
					     "%s: \"%.32s\"; expected %s", key, word, expected);
	}
	return 0;
}

/* As the kernel's dev_valid_name(). */
static bool device_valid(const char *name)
{
	size_t len = strlen(name);

	if (len == 0 || len >= sizeof(((struct config *)0)->devices[0]))
		return false;
	return strcmp(name, ".") && strcmp(name, "..") && !name[strcspn(name, "/: \t\n\v\f\r")];
}

static int device_take(const struct reading *r, const char *name)
{
	struct config *c = r->config;
	unsigned int i, line = outline_entry_line(r->outline, "devices", c->n_devices);

	if (!device_valid(name))
		return source_refuse(r->src, line, "devices: \"%.32s\"; expected " EXPECTED_DEVICE, name);
	for (i = 0; i < c->n_devices; i++)
		if (!strcmp(c->devices[i], name))
			return source_refuse(r->src, line,
					     "devices: \"%s\" a second time; expected each once", name);
	strcpy(c->devices[c->n_devices++], name);
	return 0;
}

static int devices_take(const struct reading *r)
{
	unsigned int i;
	int ret = 0;

	if (!r->text->n_devices && r->config->transport == CONFIG_TRANSPORT_XDP)
		return source_refuse(
			r->src, outline_key_line(r->outline, "transport"),
			"transport: \"xdp\" has nothing to receive from; expected at least one of devices");
	for (i = 0; !ret && i < r->text->n_devices; i++)
		ret = device_take(r, r->text->devices[i]);
	return ret;
}

static bool cpu_parse(const char *word, int *cpu)
{
	uint64_t number;

	if (!strcmp(word, "-1")) {
		*cpu = CONFIG_CPU_NONE;
		return true;
	}
	if (number_parse(word, CPU_MAX, &number))
		return false;
	*cpu = number;
	return true;
}

/* After the workers' number is known. */
static int cpus_take(const struct reading *r)
{
	unsigned int i, n = r->text->n_cpus;
	struct config *c = r->config;

	for (i = 0; i < XSR_WORKERS_MAX; i++)
		c->cpus[i] = CONFIG_CPU_AUTO;
	for (i = 0; i < n; i++)
		if (!cpu_parse(r->text->cpus[i], &c->cpus[i]))
			return source_refuse(r->src, outline_entry_line(r->outline, "cpus", i),
					     "cpus: \"%.32s\"; expected " EXPECTED_CPU, r->text->cpus[i]);
	if (n && n != c->n_workers)
		return source_refuse(r->src, outline_key_line(r->outline, "cpus"),
				     "cpus: %u given; expected %u, one for each of the workers", n,
				     c->n_workers);
	return 0;
}

static int backend_check(const struct reading *r, const struct xsr_backend *backend, unsigned int line)
{
	const struct config *c = r->config;
	unsigned int i;

	for (i = 0; i < c->n_backends; i++) {
		const struct xsr_backend *other = &c->backends[i];

		if (!strcmp(other->name, backend->name))
			return source_refuse(r->src, line, "backends: a second backend '%s'; expected another name",
					     backend->name);
		if (backend_same_address(other, backend))
			return source_refuse(r->src, line,
					     "backend '%s': '%s' has this address and port; expected another",
					     backend->name, other->name);
	}
	return 0;
}

static int backend_take(const struct reading *r, unsigned int i)
{
	unsigned int line = outline_entry_line(r->outline, "backends", i);
	const struct backend_spec *spec = &r->text->backends[i];
	struct xsr_backend backend;
	char why[SERVICE_WHY_LEN];
	int ret;

	if (backend_spec_parse(spec, &backend, why))
		return source_refuse(r->src, line, "backend '%.31s': %s", spec->name ? spec->name : "", why);
	ret = backend_check(r, &backend, line);
	if (!ret)
		r->config->backends[r->config->n_backends++] = backend;
	return ret;
}

/* What the table of services would refuse of this file alone; its room in the dense table depends on others.
 */
static int service_check(const struct reading *r, const struct xsr_service *service, unsigned int line)
{
	const struct config *c = r->config;
	unsigned int i, n_port = 0;

	for (i = 0; i < c->n_services; i++) {
		const struct xsr_service *other = &c->services[i];

		if (!strcmp(other->name, service->name))
			return source_refuse(r->src, line,
					     "services: a second service '%s'; expected another name",
					     service->name);
		if (service_same_address(other, service))
			return source_refuse(r->src, line,
					     "service '%s': '%s' has this address and port; expected another",
					     service->name, other->name);
		n_port += other->port == service->port && other->proto == service->proto;
	}
	if (n_port < XSR_SERVICES_PER_PORT_MAX)
		return 0;
	return source_refuse(r->src, line, "service '%s': one too many on its port; expected at most %u",
			     service->name, n_port);
}

/* After the backends are known. */
static int service_backends_take(const struct reading *r, const struct service_spec *spec, struct xsr_service *service,
				 unsigned int line)
{
	const struct config *c = r->config;
	unsigned int i, n;

	for (i = 0; i < spec->n_backends; i++) {
		for (n = 0; n < c->n_backends && strcmp(c->backends[n].name, spec->backends[i]); n++)
			;
		if (n == c->n_backends)
			return source_refuse(r->src, line,
					     "service '%s': backends: \"%.64s\" is not known; expected the name of one of backends",
					     service->name, spec->backends[i]);
		service->backends |= 1ULL << n;
	}
	return 0;
}

static int service_take(const struct reading *r, unsigned int i)
{
	unsigned int line = outline_entry_line(r->outline, "services", i);
	struct service_spec spec = r->text->services[i];
	struct xsr_service service = { 0 };
	char why[SERVICE_WHY_LEN];
	int ret;

	if (!spec.protocol)
		spec.protocol = "udp";
	if (service_spec_parse(&spec, &service, why))
		return source_refuse(r->src, line, "service '%.31s': %s", spec.name ? spec.name : "", why);
	ret = service_backends_take(r, &spec, &service, line);
	if (!ret)
		ret = service_check(r, &service, line);
	if (ret)
		return ret;
	if (spec.cgroup)
		strcpy(r->config->cgroups[r->config->n_services], spec.cgroup); /* as long as was checked */
	r->config->services[r->config->n_services++] = service;
	return 0;
}

static int text_take(const struct reading *r)
{
	unsigned int i;
	int ret = words_take(r);

	if (!ret)
		ret = devices_take(r);
	if (!ret)
		ret = cpus_take(r);
	for (i = 0; !ret && i < r->text->n_backends; i++)
		ret = backend_take(r, i);
	for (i = 0; !ret && i < r->text->n_services; i++)
		ret = service_take(r, i);
	return ret;
}

static int config_fill(const struct source *src, const struct outline *outline, struct config *config)
{
	static const struct text nothing;
	struct text *text;
	int ret = schema_load(src, &text);

	if (!ret)
		ret = text_take(&(struct reading){ src, outline, text ? text : &nothing, config });
	schema_free(text);
	return ret;
}

int config_parse(const char *name, const void *data, size_t len, struct config **out,
		 char why[CONFIG_WHY_LEN])
{
	const struct source src = { name, data, len, why };
	struct outline outline = { 0 };
	struct config *config;
	int ret;

	if (len > CONFIG_FILE_MAX) {
		source_refuse(&src, 0, "the file is too long; expected at most %u bytes", CONFIG_FILE_MAX);
		return -EFBIG;
	}
	ret = outline_read(&src, &outline);
	if (ret)
		return ret;
	config = calloc(1, sizeof(*config));
	ret = config ? config_fill(&src, &outline, config) : source_refuse_memory(&src);
	if (ret)
		config_free(config);
	else
		*out = config;
	return ret;
}

/* Into `data`, up to `max` bytes. Returns how many, or -errno. */
static ssize_t file_read(const char *path, char *data, size_t max)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	size_t len = 0;
	ssize_t n = fd < 0 ? -1 : 1;

	while (n > 0 && len < max) {
		n = read(fd, data + len, max - len);
		if (n > 0)
			len += n;
		else if (n < 0 && errno == EINTR)
			n = 1;
	}
	n = n < 0 ? -errno : (ssize_t)len;
	if (fd >= 0)
		close(fd);
	return n;
}

int config_load(const char *path, struct config **out, char why[CONFIG_WHY_LEN])
{
	const struct source src = { .name = path, .why = why };
	char *data = malloc(CONFIG_FILE_MAX + 1);
	ssize_t len;
	int ret;

	if (!data)
		return source_refuse_memory(&src);
	len = file_read(path, data, CONFIG_FILE_MAX + 1);
	if (len >= 0) {
		ret = config_parse(path, data, len, out, why);
	} else {
		ret = len;
		source_refuse(&src, 0, "%s; expected a file that can be read", strerrordesc_np(-ret));
	}
	free(data);
	return ret;
}

void config_free(struct config *config)
{
	free(config);
}

static bool devices_differ(const struct config *a, const struct config *b)
{
	unsigned int i;

	if (a->n_devices != b->n_devices)
		return true;
	for (i = 0; i < a->n_devices; i++)
		if (strcmp(a->devices[i], b->devices[i]))
			return true;
	return false;
}

/* The first key that differs, of those that are read at the start only; NULL if none. */
static const char *key_differs(const struct config *a, const struct config *b)
{
	unsigned int i;

	for (i = 0; word_key(i); i++)
		if (word_differs(i, a, b))
			return word_key(i);
	if (devices_differ(a, b))
		return "devices";
	return memcmp(a->cpus, b->cpus, a->n_workers * sizeof(a->cpus[0])) ? "cpus" : NULL;
}

bool config_needs_restart(const struct config *a, const struct config *b, char why[CONFIG_WHY_LEN])
{
	const char *key = key_differs(a, b);

	if (key)
		snprintf(why, CONFIG_WHY_LEN,
			 "%s differs from what runs, and only services and backends are changed live: "
			 "expected the old value, or a restart",
			 key);
	return key;
}
