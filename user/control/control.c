/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#include "control.h"

#include <errno.h>
#include <netinet/in.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <systemd/sd-daemon.h>
#include <systemd/sd-event.h>
#include <unistd.h>

#include "attach.h"
#include "command.h"
#include "conductor.h"
#include "config.h"
#include "gateways.h"
#include "instance.h"
#include "listener.h"
#include "locals.h"
#include "log.h"
#include "probe.h"
#include "program.h"
#include "reconcile.h"
#include "stream_moves.h"
#include "xsr.h"

struct run {
	const char *path;
	struct config *config;
	struct maps *maps;
	struct xsr_router *router;   /* of the UDP services; NULL with handler gateway */
	struct gateways *gateways;   /* of the TCP services; NULL if there are none */
	struct stream_moves *streams; /* likewise */
	struct locals *locals;	     /* likewise */
	sd_event *event;
	struct control *control;
	struct listener *listener;
	bool attached[XSR_DEVICES_MAX]; /* by us: we detach it */
	bool xdp_possible;
	bool stopping;
	bool require_mode;
};

#define PATIENCE_MS 1000 /* for what is under way when it is told to stop */


static void sentence_warn(const char *sentence, void *arg)
{
	(void)arg;
	log_warning("%s", sentence);
}

static bool has_handler_gateway(const struct run *c)
{
	return !strcmp(c->config->handler, "gateway");
}

/* The first service of this protocol, or NULL. */
static const char *service_of(const struct config *config, int proto)
{
	unsigned int i;

	for (i = 0; i < config->n_services; i++)
		if (config->services[i].proto == proto)
			return config->services[i].name;
	return NULL;
}

/* A router serves TCP services if it has any when it starts. */
static bool has_streams(const struct run *c)
{
	return has_handler_gateway(c) || service_of(c->config, IPPROTO_TCP);
}

/* Whether this router can serve all services of a configuration: false, and a sentence. */
static bool services_fit(const struct run *c, const struct config *config, char why[CONFIG_WHY_LEN])
{
	const char *udp = service_of(config, IPPROTO_UDP), *tcp = service_of(config, IPPROTO_TCP);

	if (has_handler_gateway(c) && udp)
		snprintf(why, CONFIG_WHY_LEN, "service '%s': handler gateway serves TCP services only", udp);
	else if (tcp && !has_streams(c))
		snprintf(why, CONFIG_WHY_LEN, "service '%s': this router was started without TCP services; start it again", tcp);
	else
		return true;
	return false;
}

static int config_open(struct run *c, const char *instance)
{
	char why[CONFIG_WHY_LEN];

	if (config_load(c->path, &c->config, why)) {
		log_error("%s", why);
		return -EINVAL;
	}
	if (!services_fit(c, c->config, why)) {
		log_error("%s: %s", c->path, why);
		return -EINVAL;
	}
	if (instance)
		snprintf(c->config->instance, sizeof(c->config->instance), "%s", instance);
	return 0;
}

static int program_ensure(struct run *c)
{
	const struct program_options options = {};
	struct program_report report;
	struct program_info info;
	char why[LOADER_WHY_LEN];

	if (program_info(c->config->instance, &info, why) == 0 && info.pinned)
		return 0;
	if (program_load(c->config->instance, &options, &report, why)) {
		log_error("%s", why);
		return -EIO;
	}
	log_info("loaded the program of instance '%s'%s", c->config->instance,
		 report.bpffs_mounted ? ", on a BPF file system that was mounted for it" : "");
	return 0;
}

static int device_ensure(struct run *c, unsigned int i)
{
	static const enum attach_mode modes[] = {
		[CONFIG_MODE_AUTO] = ATTACH_AUTO,
		[CONFIG_MODE_NATIVE] = ATTACH_NATIVE,
		[CONFIG_MODE_GENERIC] = ATTACH_GENERIC,
	};
	enum attach_mode mode = modes[c->config->mode];
	const char *device = c->config->devices[i];
	char why[LOADER_WHY_LEN] = "";
	struct attach_info info;
	int ret;

	ret = net_info(c->config->instance, device, &info, why);
	if (!ret && info.ours)
		return 0;
	if (!ret)
		ret = net_attach(c->config->instance, device, &mode, why);
	if (ret)
		return log_warning("%s", why), ret;
	if (why[0])
		log_warning("%s", why);
	c->attached[i] = true;
	log_info("attached to '%s', %s mode", device, attach_mode_name(mode));
	return 0;
}

static void devices_detach(struct run *c)
{
	char why[LOADER_WHY_LEN];
	unsigned int i;

	for (i = 0; i < c->config->n_devices; i++)
		if (c->attached[i] && net_detach(c->config->instance, c->config->devices[i], why))
			log_warning("%s", why);
	memset(c->attached, 0, sizeof(c->attached));
}

/* Without xdp the program has no business on a device: it would see no worker's socket there. */
static int udp_instead(struct run *c, const char *why)
{
	if (c->config->transport == CONFIG_TRANSPORT_XDP) {
		log_error("transport xdp is demanded, and %s", why);
		return -ENODEV;
	}
	log_warning("transport udp is used instead of xdp: %s", why);
	devices_detach(c);
	return 0;
}

/* Every device runs the program, or udp serves, unless xdp is demanded. */
static int devices_ensure(struct run *c)
{
	unsigned int i;

	c->xdp_possible = false;
	if (c->config->transport == CONFIG_TRANSPORT_UDP)
		return 0;
	if (c->config->n_devices == 0)
		return udp_instead(c, "the configuration names no device");
	for (i = 0; i < c->config->n_devices; i++)
		if (device_ensure(c, i))
			return udp_instead(c, "not every device can serve it");
	c->xdp_possible = true;
	return 0;
}

static const char *transport_wish(const struct run *c)
{
	if (c->config->transport == CONFIG_TRANSPORT_UDP || !c->xdp_possible)
		return "udp";
	return c->config->transport == CONFIG_TRANSPORT_XDP ? "xdp" : NULL;
}

static int router_open(struct run *c)
{
	const struct config *config = c->config;
	const char *devices[XSR_DEVICES_MAX];
	char why[XSR_WHY_LEN] = "out of memory";
	unsigned int i;
	struct xsr_router_config rc = {
		.instance = config->instance,
		.devices = devices,
		.n_devices = config->n_devices,
		.transport = transport_wish(c),
		.n_workers = config->n_workers,
		.cpus = config->cpus[0] == CONFIG_CPU_AUTO ? NULL : config->cpus,
		.spin = config->wait == CONFIG_WAIT_SPIN,
		.n_frames = config->n_frames,
		.frame_len = config->frame_len,
		.ring_len = config->ring_len,
		.batch = config->batch,
		.sessions_max = config->sessions_max,
		.idle_s = config->idle_s,
		.hold_max = config->hold_max,
		.hold_ms = config->hold_ms,
		.hold_len = config->hold_mib << 20,
		.fence_ms = config->fence_ms,
		.handler = xsr_handler_find(config->handler),
		.log = sentence_warn,
	};

	for (i = 0; i < config->n_devices; i++)
		devices[i] = config->devices[i];
	if (!rc.handler) {
		log_error("%s: no handler '%s'; expected echo or gateway", c->path, config->handler);
		return -EINVAL;
	}
	if (xsr_router_open(&c->router, &rc, why)) {
		log_error("%s", why);
		return -EIO;
	}
	if (!strncmp(xsr_router_mode_active(c->router), "udp", 3))
		devices_detach(c);
	return 0;
}

static int gateways_begin(struct run *c)
{
	const struct config *config = c->config;
	const struct gateway_params params = {
		.maps = c->maps,
		.connections_max = config->connections_max,
		.sessions_max = config->sessions_max,
		.memory_max = (size_t)config->stream_mib << 20,
		.queue_max = (size_t)config->queue_kib << 10,
		.kernel_queue_max = (size_t)config->kernel_queue_kib << 10,
		.deadline_ms = config->deadline_ms,
		.heartbeat_ms = config->heartbeat_ms,
		.idle_s = config->connection_idle_s,
		.reconnect_max_ms = config->reconnect_max_ms,
		.backlog = config->backlog,
		.require_mode = c->require_mode,
		.options = { .sndbuf = config->sndbuf_kib << 10, .rcvbuf = config->rcvbuf_kib << 10, .fast_open = config->fast_open },
		.log = sentence_warn,
	};
	char why[XSR_WHY_LEN];

	if (!has_streams(c))
		return 0;
	if (gateways_open(&c->gateways, &params, config->n_workers,
			  config->cpus[0] == CONFIG_CPU_AUTO ? NULL : config->cpus, why)) {
		log_error("%s", why);
		return -EIO;
	}
	return 0;
}

static int locals_begin(struct run *c)
{
	const struct locals_params params = { .maps = c->maps, .require_mode = c->require_mode, .log = sentence_warn };
	char why[LOCALS_WHY_LEN];
	int ret;

	if (!has_streams(c))
		return 0;
	ret = locals_open(&c->locals, &params, c->config, why);
	if (ret)
		log_error("%s", why);
	return ret;
}

static void services_log(const struct reconcile_result *r)
{
	log_info("services: %u added, %u changed, %u deleted", r->n_added, r->n_changed, r->n_deleted);
	if (r->n_backends_added + r->n_backends_changed + r->n_backends_deleted)
		log_info("backends: %u added, %u changed, %u deleted", r->n_backends_added, r->n_backends_changed,
			 r->n_backends_deleted);
}

static int services_open(struct run *c)
{
	struct reconcile_result result;
	char why[CONFIG_WHY_LEN];
	_Static_assert(CONFIG_WHY_LEN >= LOADER_WHY_LEN, "sentences fit");

	if (instance_open(c->config->instance, &c->maps, why)) {
		log_error("%s", why);
		return -EIO;
	}
	if (reconcile_services(c->maps, NULL, c->config, &result, why)) {
		log_error("%s", why);
		return -EIO;
	}
	services_log(&result);
	return 0;
}

/* Sessions of workers that are no more get others before messages come. */
static int routes_open(struct run *c)
{
	long n = reconcile_routes(c->maps, ~0ULL >> (64 - c->config->n_workers));

	if (n < 0)
		log_error("cannot read the routes: %s", strerror(-n));
	else if (n)
		log_warning("%ld routes led to workers that do not run any more; they lead to others now", n);
	return n < 0 ? n : 0;
}

/* The new file whole, or the running state. */
static void config_reload(struct run *c)
{
	struct reconcile_result result;
	struct config *new = NULL;
	char why[CONFIG_WHY_LEN];

	if (config_load(c->path, &new, why)) {
		log_error("%s; the running configuration stays", why);
		return;
	}
	memcpy(new->instance, c->config->instance, sizeof(new->instance));
	if (config_needs_restart(c->config, new, why) || !services_fit(c, new, why) || reconcile_services(c->maps, c->config, new, &result, why)) {
		log_error("%s: %s; the running configuration stays", c->path, why);
		config_free(new);
		return;
	}
	services_log(&result);
	config_free(c->config);
	c->config = new;
	if (c->locals)
		locals_sync(c->locals, new);
}

static int on_hangup(sd_event_source *source, const struct signalfd_siginfo *info, void *arg)
{
	(void)source;
	(void)info;
	sd_notify(0, "RELOADING=1");
	config_reload(arg);
	sd_notify(0, "READY=1");
	return 0;
}

static int on_locals(sd_event_source *source, uint64_t now_us, void *arg)
{
	struct run *c = arg;

	(void)now_us;
	locals_sync(c->locals, c->config);
	sd_event_source_set_time_relative(source, LOCALS_SYNC_MS * 1000ULL);
	return sd_event_source_set_enabled(source, SD_EVENT_ONESHOT);
}

static int on_patience(sd_event_source *source, uint64_t now_us, void *arg)
{
	(void)now_us;
	(void)arg;
	return sd_event_exit(sd_event_source_get_event(source), 0);
}

static void on_idle(void *arg)
{
	sd_event_exit(arg, 0);
}

/* Nothing new is begun; sessions that are on their way arrive first, if they do soon. A second signal does not wait. */
static int on_stop(sd_event_source *source, const struct signalfd_siginfo *info, void *arg)
{
	struct run *c = arg;

	(void)source;
	log_info("stopping on signal %u", info->ssi_signo);
	if (c->stopping)
		return sd_event_exit(c->event, 0);
	c->stopping = true;
	sd_notify(0, "STOPPING=1");
	listener_stop(c->listener);
	conductor_stop(c->control, on_idle, c->event);
	return sd_event_add_time_relative(c->event, NULL, CLOCK_MONOTONIC, PATIENCE_MS * 1000ULL, 0, on_patience, c);
}

/* Signals are blocked before threads start, so that only the event loop takes them. */
static int signals_block(void)
{
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, SIGTERM);
	sigaddset(&set, SIGINT);
	sigaddset(&set, SIGHUP);
	return sigprocmask(SIG_BLOCK, &set, NULL) ? -errno : 0;
}

static int event_open(struct run *c)
{
	int ret = sd_event_new(&c->event);

	if (ret >= 0)
		ret = sd_event_add_signal(c->event, NULL, SIGTERM, on_stop, c);
	if (ret >= 0)
		ret = sd_event_add_signal(c->event, NULL, SIGINT, on_stop, c);
	if (ret >= 0)
		ret = sd_event_add_signal(c->event, NULL, SIGHUP, on_hangup, c);
	if (ret >= 0 && c->locals)
		ret = sd_event_add_time_relative(c->event, NULL, CLOCK_MONOTONIC, LOCALS_SYNC_MS * 1000ULL, 0, on_locals, c);
	if (ret >= 0)
		ret = sd_event_set_watchdog(c->event, true);
	if (ret < 0)
		log_error("event loop: %s", strerror(-ret));
	return ret < 0 ? ret : 0;
}

/* Who asks on the control socket finds a router that serves. */
static int commands_open(struct run *c)
{
	char path[LISTENER_PATH_LEN], why[CONDUCTOR_WHY_LEN] = "";
	int ret;

	_Static_assert(CONDUCTOR_WHY_LEN == LISTENER_WHY_LEN, "sentences fit");
	listener_path(c->config->instance, path);
	ret = conductor_open(&c->control, c->event, c->maps, c->router, why);
	if (!ret && c->gateways)
		ret = stream_moves_open(&c->streams, c->event, c->maps, c->gateways);
	if (!ret) {
		c->control->streams = c->streams;
		ret = listener_open(&c->listener, c->event, path, command_rows, c->control, why);
	}
	if (ret)
		log_error("%s", why);
	return ret;
}

/* Of the UDP services. */
static int datagrams_open(struct run *c)
{
	int ret = devices_ensure(c);

	return ret ?: router_open(c);
}

static int control_serve(struct run *c)
{
	int ret;

	ret = program_ensure(c);
	if (!ret && !has_handler_gateway(c))
		ret = datagrams_open(c);
	if (!ret)
		ret = services_open(c); /* last: what cannot be served changes nothing */
	if (!ret)
		ret = routes_open(c);
	if (!ret)
		ret = gateways_begin(c);
	if (!ret)
		ret = locals_begin(c);
	if (!ret)
		ret = event_open(c);
	if (!ret && c->router)
		ret = xsr_router_start(c->router);
	if (!ret && c->gateways)
		ret = gateways_start(c->gateways);
	if (!ret)
		ret = commands_open(c);
	if (ret)
		return ret;
	log_info("instance '%s' is served by %u worker(s), mode %s", c->config->instance, c->config->n_workers,
		 c->router ? xsr_router_mode_active(c->router) : "tcp");
	sd_notify(0, "READY=1");
	ret = sd_event_loop(c->event);
	if (ret < 0)
		log_error("event loop: %s", strerror(-ret));
	return ret;
}

/* A worker whose handler does not return holds what would be freed: the kernel takes it all. */
static void router_end(struct run *c)
{
	int ret = c->router ? xsr_router_stop(c->router) : 0;

	if (c->gateways)
		ret = gateways_stop(c->gateways) ?: ret;

	if (c->config)
		devices_detach(c); /* before the sockets close, which takes the kernel its time */
	if (ret) {
		log_error("a worker hangs; the process ends without it");
		_exit(1);
	}
	gateways_close(c->gateways);
	xsr_router_close(c->router);
}

int control_run(const char *config_path, bool require_mode, const char *instance)
{
	struct run c = { .path = config_path, .require_mode = require_mode };
	int ret;

	ret = config_open(&c, instance);
	if (!ret)
		ret = signals_block();
	if (!ret) {
		probe_kernel(sentence_warn, NULL);
		ret = control_serve(&c);
	}
	listener_close(c.listener);
	conductor_close(c.control);
	stream_moves_close(c.streams);
	locals_close(c.locals);
	router_end(&c);
	maps_close(c.maps);
	config_free(c.config);
	sd_event_unref(c.event);
	return ret < 0 ? 1 : 0;
}
