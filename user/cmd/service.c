/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#include "service.h"

#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>

#include "backend.h"
#include "cli.h"
#include "counter.h"
#include "names.h"
#include "profile.h"
#include "service_spec.h"
#include "stream.h"
#include "stream_json.h"

#define ADD_USAGE                                                                                                  \
	"NAME udp|tcp ADDR:PORT id RULE [default ACTION] [stamp off|on|N] [dense N] [node N] [mode MODE]"          \
	" [backends NAME,...] [frame_max N]"

/* A service as the words of the command line have it. */
struct words {
	struct service_spec spec;
	const char *backends[XSR_BACKENDS_MAX];
};

/* Cuts "one,two" up, in place. */
static int backends_split(const struct cli *cli, char *list, struct words *w)
{
	w->spec.backends = w->backends;
	while (list) {
		if (w->spec.n_backends == XSR_BACKENDS_MAX - 1)
			return cli_usage(cli, "service add: more than %d backends", XSR_BACKENDS_MAX - 1);
		w->backends[w->spec.n_backends++] = strsep(&list, ",");
	}
	return CLI_OK;
}

/* The words behind the address: keyword and value, each at most once. */
static int words_parse(const struct cli *cli, int argc, char **argv, struct words *out)
{
	struct service_spec *spec = &out->spec;
	const char *backends = NULL;
	const struct {
		const char *keyword;
		const char **value;
	} words[] = {
		{ "id", &spec->id },	   { "default", &spec->default_action }, { "stamp", &spec->stamp },
		{ "dense", &spec->dense }, { "node", &spec->node },		  { "mode", &spec->mode },
		{ "backends", &backends }, { "frame_max", &spec->frame_max },
	};
	unsigned int w;
	int i;

	for (i = 0; i < argc; i += 2) {
		for (w = 0; w < sizeof(words) / sizeof(words[0]); w++)
			if (!strcmp(argv[i], words[w].keyword))
				break;
		if (w == sizeof(words) / sizeof(words[0]))
			return cli_usage(cli, "service add: unexpected '%s'; expected %s", argv[i], ADD_USAGE);
		if (i + 1 == argc)
			return cli_usage(cli, "service add: '%s' needs a value", argv[i]);
		if (*words[w].value)
			return cli_usage(cli, "service add: '%s' is given twice", argv[i]);
		*words[w].value = argv[i + 1];
	}
	return backends_split(cli, (char *)backends, out);
}

/* Names -> numbers. The caller holds maps_lock(). */
static int backends_find(struct cli *cli, const struct service_spec *spec, struct xsr_service *service)
{
	struct xsr_backend backend;
	unsigned int i;
	int number;

	service->backends = 0;
	for (i = 0; i < spec->n_backends; i++) {
		number = backend_get(cli->maps, spec->backends[i], &backend);
		if (number < 0)
			return cli_failed(cli, "no backend '%s'; see: xsr backend show", spec->backends[i]);
		service->backends |= 1ULL << number;
	}
	return CLI_OK;
}

static int add_failed(struct cli *cli, const struct xsr_service *service, int ret)
{
	char address[SERVICE_ADDRESS_LEN];

	service_address(service, address);
	switch (ret) {
	case -EEXIST:
		return cli_failed(cli, "service '%s' exists", service->name);
	case -EADDRINUSE:
		return cli_failed(cli, "another service is at %s", address);
	case -ENOSPC:
		return cli_failed(cli, "the table of services is full: %d", XSR_SERVICES_MAX - 1);
	case -E2BIG:
		return cli_failed(cli, "%s: one port takes at most %d services", address, XSR_SERVICES_PER_PORT_MAX);
	case -ENOBUFS:
		return cli_failed(cli,
				  "dense %u: the dense table has %u free in a row; ask for fewer, or: prog load dense N",
				  service->dense_len, service_dense_free(cli->maps));
	default:
		return cli_failed(cli, "cannot add service '%s': %s", service->name, strerror(-ret));
	}
}

static int add_locked(struct cli *cli, const struct service_spec *spec, struct xsr_service *service)
{
	int ret = backends_find(cli, spec, service);

	if (ret)
		return ret;
	ret = service_add(cli->maps, service);
	return ret < 0 ? add_failed(cli, service, ret) : CLI_OK;
}

static int service_add_cmd(struct cli *cli, int argc, char **argv)
{
	struct words words = {};
	struct xsr_service service = {};
	char why[SERVICE_WHY_LEN];
	int ret;

	if (argc < 5)
		return cli_usage(cli, "service add: expected %s", ADD_USAGE);
	words.spec.name = argv[0];
	words.spec.protocol = argv[1];
	words.spec.address = argv[2];
	if (words_parse(cli, argc - 3, argv + 3, &words))
		return CLI_USAGE;
	if (!words.spec.id)
		return cli_usage(cli, "service add: no rule; expected %s", ADD_USAGE);
	if (service_spec_parse(&words.spec, &service, why))
		return cli_usage(cli, "%s", why);
	if (!cli_maps(cli))
		return CLI_FAILED;
	maps_lock(cli->maps);
	ret = add_locked(cli, &words.spec, &service);
	maps_unlock(cli->maps);
	return ret;
}

static int service_delete_cmd(struct cli *cli, int argc, char **argv)
{
	int ret;

	if (argc != 1)
		return cli_usage(cli, "service delete: expected NAME");
	if (!cli_maps(cli))
		return CLI_FAILED;
	maps_lock(cli->maps);
	ret = service_delete(cli->maps, argv[0]);
	maps_unlock(cli->maps);
	if (ret == -ENOENT)
		return cli_failed(cli, "no service '%s'", argv[0]);
	return ret ? cli_failed(cli, "cannot delete service '%s': %s", argv[0], strerror(-ret)) : CLI_OK;
}

static const char *stamp_text(const struct xsr_service *s, char buf[16])
{
	if (s->stamp_interval <= 1)
		return s->stamp_interval ? "on" : "off";
	snprintf(buf, 16, "%u", s->stamp_interval);
	return buf;
}

static json_t *counters_json(const struct xsr_counters *counters)
{
	json_t *o = json_object();
	int i;

	for (i = 0; i < XSR_STAT_MAX; i++)
		if (counters->n[i])
			json_object_set_new(o, stat_name(i), json_integer(counters->n[i]));
	return o;
}

static json_t *datagrams_json(const struct xsr_service *s, const struct xsr_counters *counters)
{
	char address[SERVICE_ADDRESS_LEN], stamp[16];

	return json_pack("{s:s,s:s,s:s,s:s,s:s,s:s,s:I,s:i,s:I,s:o}", "service", s->name, "protocol", "udp", "address",
			 service_address(s, address), "id", s->rule, "default", action_name(s->default_action), "stamp",
			 stamp_text(s, stamp), "dense", (json_int_t)s->dense_len, "node", s->node, "messages",
			 (json_int_t)counter_sum(counters), "counters", counters_json(counters));
}

static void dense_print(const struct xsr_service *s)
{
	if (s->dense_len)
		printf(" dense %u node %u", s->dense_len, s->node);
}

static void datagrams_print(const struct xsr_service *s, const struct xsr_counters *counters)
{
	char address[SERVICE_ADDRESS_LEN], stamp[16];

	printf("%s udp %s id %s default %s stamp %s", s->name, service_address(s, address), s->rule,
	       action_name(s->default_action), stamp_text(s, stamp));
	dense_print(s);
	printf("  messages %llu\n", (unsigned long long)counter_sum(counters));
}

static int datagrams_show(struct cli *cli, uint32_t index, const struct xsr_service *s, json_t *list)
{
	struct xsr_counters counters;
	int ret = counter_read(cli->maps, index, &counters);

	if (ret)
		return ret;
	if (cli->json)
		json_array_append_new(list, datagrams_json(s, &counters));
	else
		datagrams_print(s, &counters);
	return 0;
}

static json_t *stream_json(const struct maps *maps, uint32_t index, const struct xsr_service *s,
			   const struct xsr_stream_counters *counters)
{
	char address[SERVICE_ADDRESS_LEN];
	json_t *o = json_pack("{s:s,s:s,s:s,s:s,s:s,s:I,s:i}", "service", s->name, "protocol", "tcp", "address",
			      service_address(s, address), "id", s->rule, "default", action_name(s->default_action), "dense",
			      (json_int_t)s->dense_len, "node", s->node);

	stream_json_add(maps, index, s, o);
	json_object_set_new(o, "counters", stream_counters_json(counters));
	return o;
}

static void mode_print(const struct maps *maps, uint32_t index, const struct xsr_service *s)
{
	const char *why, *active = stream_mode_active(maps, index, &why);

	printf(" mode %s active %s", stream_mode_name(s->mode), active ?: "-");
	if (why)
		printf(" (%s)", why);
}

static void stream_print(const struct maps *maps, uint32_t index, const struct xsr_service *s,
			 const struct xsr_stream_counters *counters)
{
	char address[SERVICE_ADDRESS_LEN], backends[STREAM_BACKENDS_LEN];

	printf("%s tcp %s id %s default %s", s->name, service_address(s, address), s->rule, action_name(s->default_action));
	mode_print(maps, index, s);
	if (s->backends)
		printf(" backends %s", stream_backends_text(maps, s, backends));
	if (s->frame_max)
		printf(" frame_max %u", s->frame_max);
	dense_print(s);
	printf("  connections %llu sessions %llu requests %llu replies %llu\n",
	       (unsigned long long)counters->n[XSR_STREAM_STAT_CONNECTIONS],
	       (unsigned long long)counters->n[XSR_STREAM_STAT_SESSIONS],
	       (unsigned long long)counters->n[XSR_STREAM_STAT_REQUESTS],
	       (unsigned long long)counters->n[XSR_STREAM_STAT_REPLIES]);
}

static int stream_show(struct cli *cli, uint32_t index, const struct xsr_service *s, json_t *list)
{
	struct xsr_stream_counters counters;

	stream_sum(cli->maps, index, &counters);
	if (cli->json)
		json_array_append_new(list, stream_json(cli->maps, index, s, &counters));
	else
		stream_print(cli->maps, index, s, &counters);
	return 0;
}

static int service_show_one(struct cli *cli, uint32_t index, json_t *list)
{
	struct xsr_service service;
	int ret = service_at(cli->maps, index, &service);

	if (ret)
		return ret;
	return service.proto == IPPROTO_TCP ? stream_show(cli, index, &service, list) :
					      datagrams_show(cli, index, &service, list);
}

static int service_show(struct cli *cli, int argc, char **argv)
{
	struct xsr_service service;
	json_t *list;
	uint32_t i;
	int index;

	if (argc > 1)
		return cli_usage(cli, "service show: expected [NAME]");
	if (!cli_maps(cli))
		return CLI_FAILED;
	index = argc ? service_get(cli->maps, argv[0], &service) : 0;
	if (index < 0)
		return cli_failed(cli, "no service '%s'", argv[0]);
	list = json_array();
	for (i = 1; i < XSR_SERVICES_MAX; i++)
		if (!index || i == (uint32_t)index)
			service_show_one(cli, i, list);
	if (cli->json)
		return cli_json(cli, "services", list);
	json_decref(list);
	return CLI_OK;
}

static int service_rules(struct cli *cli, int argc, char **argv)
{
	const char *usage, *meaning;
	int i;

	(void)argv;
	if (argc > 0)
		return cli_usage(cli, "service rules: expected nothing");
	for (i = 0; (usage = rule_profile_usage(i, &meaning)); i++)
		printf("%-60s %s\n", usage, meaning);
	return CLI_OK;
}

static const struct cli_verb verbs[] = {
	{ "add", service_add_cmd, ADD_USAGE,
	  "ADDR may be 0.0.0.0 (any IPv4) or [::] (any); ACTION is pass, drop or hash; see: service rules; of tcp alone: backends, and MODE epoll, frames, splice, relay or local" },
	{ "delete", service_delete_cmd, "NAME", "with its routes" },
	{ "show", service_show, "[NAME]", "services and their messages" },
	{ "rules", service_rules, "", "the rules that find a session ID", .for_anyone = true },
	{},
};

int cmd_service(struct cli *cli, int argc, char **argv)
{
	return cli_dispatch(cli, "service", verbs, argc, argv);
}
