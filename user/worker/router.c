/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* A set of workers on one instance: opened together, published, run, stopped. */
#include <errno.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "attach.h"
#include "cpu.h"
#include "instance.h"
#include "socket.h"
#include "router.h"
#include "umem.h"

struct xsr_router {
	char instance[XSR_NAME_LEN];
	struct maps *maps;
	struct umem *umem; /* NULL without xdp */
	struct workers workers;
	struct worker_params params; /* of any worker, but for its number and cpu */
	uint32_t ifindexes[XSR_DEVICES_MAX];
	unsigned int n_devices;
	const struct transport_ops *ops;
	bool published;
	bool any_generic; /* a device runs the program in generic mode */
	char mode_active[64];
};

static void log_nowhere(const char *sentence, void *arg)
{
	(void)sentence;
	(void)arg;
}

/* The config with its defaults filled in. */
static struct xsr_router_config config_complete(const struct xsr_router_config *config)
{
	struct xsr_router_config c = *config;

	c.instance = c.instance ?: INSTANCE_DEFAULT;
	c.n_frames = c.n_frames ?: 4096;
	c.frame_len = c.frame_len ?: 2048;
	c.ring_len = c.ring_len ?: 2048;
	c.batch = c.batch ?: 64;
	c.sessions_max = c.sessions_max ?: 65536;
	c.hold_max = c.hold_max ?: 1024;
	c.hold_ms = c.hold_ms ?: 64;
	c.hold_len = c.hold_len ?: 16 << 20;
	c.fence_ms = c.fence_ms ?: 1000;
	c.log = c.log ?: log_nowhere;
	return c;
}

static bool power_of_two(unsigned int n)
{
	return n && !(n & (n - 1));
}

static const char *config_wrong(const struct xsr_router_config *c)
{
	if (!c->handler || !c->handler->message)
		return "no handler";
	if (c->n_workers == 0 || c->n_workers > XSR_WORKERS_MAX)
		return "the number of workers must be 1 to 64";
	if (c->n_devices > XSR_DEVICES_MAX)
		return "too many devices";
	if (!power_of_two(c->n_frames) || c->n_frames < 64 || !power_of_two(c->ring_len))
		return "n_frames (at least 64) and ring_len must be powers of two";
	if (c->frame_len != 2048 && c->frame_len != 4096)
		return "frame_len must be 2048 or 4096";
	if (c->batch > WORKER_BATCH_MAX)
		return "batch must be at most 256";
	return NULL;
}

/* One router an instance: two would fight for slots and buckets. */
static int other_router(const struct maps *maps, char why[XSR_WHY_LEN])
{
	int i;

	for (i = 0; i < XSR_WORKERS_MAX; i++) {
		uint32_t pid = worker_pid(&maps->workers[i]);

		if (!pid || pid == (uint32_t)getpid())
			continue;
		snprintf(why, XSR_WHY_LEN, "the instance is served by process %u already; end that one first", pid);
		return -EBUSY;
	}
	return 0;
}

static int device_add(struct xsr_router *r, unsigned int device, const struct attach_info *info,
		      unsigned int *n_queues, char why[XSR_WHY_LEN])
{
	int base = device_publish(r->maps, info->ifindex, info->n_rx_queues);
	unsigned int q;
	int ret = 0;

	if (base < 0) {
		snprintf(why, XSR_WHY_LEN, "device '%s' with %u rx queues: %s", info->ifname, info->n_rx_queues,
			 base == -ENOSPC ? "an instance has at most 64 queues" : strerror(-base));
		return base;
	}
	r->ifindexes[r->n_devices++] = info->ifindex;
	for (q = 0; q < info->n_rx_queues && !ret; q++) {
		struct umem_queue *queue = &r->umem->queues[(*n_queues)++];

		queue->ifindex = info->ifindex;
		queue->queue_id = q;
		queue->number = base + q;
		queue->device = device;
		ret = umem_queue_open(r->umem, queue, why);
	}
	return ret;
}

static int devices_ask(const struct xsr_router_config *c, struct attach_info *infos, unsigned int *n_queues,
		       char why[XSR_WHY_LEN])
{
	unsigned int i;
	int ret;

	_Static_assert(XSR_WHY_LEN == LOADER_WHY_LEN, "sentences fit");
	*n_queues = 0;
	for (i = 0; i < c->n_devices; i++) {
		ret = net_info(c->instance, c->devices[i], &infos[i], why);
		if (ret)
			return ret;
		if (!infos[i].ours) {
			snprintf(why, XSR_WHY_LEN,
				 "the program of instance '%s' is not attached to '%s'; attach it: xsr --name %s net attach %s",
				 c->instance, c->devices[i], c->instance, c->devices[i]);
			return -ENOENT;
		}
		*n_queues += infos[i].n_rx_queues;
	}
	return 0;
}

static int devices_open(struct xsr_router *r, const struct xsr_router_config *c, char why[XSR_WHY_LEN])
{
	struct attach_info infos[XSR_DEVICES_MAX];
	unsigned int i, n_queues, n = 0;
	int ret;

	ret = devices_ask(c, infos, &n_queues, why);
	if (ret)
		return ret;
	ret = umem_open(&r->umem, n_queues, c->n_frames, c->frame_len);
	if (ret) {
		snprintf(why, XSR_WHY_LEN, "no memory for %u queues of %u frames", n_queues, c->n_frames);
		return ret;
	}
	r->umem->n_devices = c->n_devices;
	for (i = 0; i < c->n_devices && !ret; i++) {
		r->any_generic |= infos[i].mode != ATTACH_NATIVE;
		ret = device_add(r, i, &infos[i], &n, why);
	}
	snprintf(r->mode_active, sizeof(r->mode_active), "%s ", attach_mode_name(infos[0].mode));
	return ret;
}

static int worker_add(struct xsr_router *r, unsigned int number, int cpu, char why[XSR_WHY_LEN])
{
	struct worker_params params = r->params;

	params.number = number;
	params.cpu = cpu;
	return workers_add(&r->workers, &params, why);
}

static void workers_end(struct xsr_router *r)
{
	uint64_t open;

	for (open = r->workers.open; open; open &= open - 1)
		workers_remove(&r->workers, __builtin_ctzll(open));
}

static int workers_begin(struct xsr_router *r, const struct xsr_router_config *c, char why[XSR_WHY_LEN])
{
	unsigned int i;
	int ret = 0;

	r->params = (struct worker_params){
		.instance = r->instance,
		.spin = c->spin,
		.batch = c->batch,
		.sessions_max = c->sessions_max,
		.idle_s = c->idle_s,
		.hold_max = c->hold_max,
		.hold_ms = c->hold_ms,
		.hold_len = c->hold_len,
		.fence_ms = c->fence_ms,
		.ring_len = c->ring_len,
		.frame_len = c->frame_len,
		.handler = c->handler,
		.ops = r->ops,
		.maps = r->maps,
		.umem = r->umem,
		.log = c->log,
		.log_arg = c->log_arg,
	};
	for (i = 0; i < c->n_workers && !ret; i++)
		ret = worker_add(r, i, c->cpus ? c->cpus[i] : cpu_choose(i), why);
	if (ret)
		workers_end(r);
	return ret;
}

static void devices_close(struct xsr_router *r)
{
	unsigned int i;

	for (i = 0; i < r->n_devices; i++)
		device_withdraw(r->maps, r->ifindexes[i]);
	r->n_devices = 0;
	umem_close(r->umem);
	r->umem = NULL;
}

static int transport_try(struct xsr_router *r, const struct xsr_router_config *c, const char *name,
			 char why[XSR_WHY_LEN])
{
	int ret = 0;

	r->ops = transport_find(name);
	r->mode_active[0] = 0;
	if (!r->ops) {
		snprintf(why, XSR_WHY_LEN, "no transport '%s'; expected xdp or udp", name);
		return -EINVAL;
	}
	if (r->ops == &transport_xdp && c->n_devices == 0) {
		snprintf(why, XSR_WHY_LEN, "transport xdp needs at least one device");
		return -EINVAL;
	}
	if (r->ops == &transport_xdp)
		ret = devices_open(r, c, why);
	if (!ret)
		ret = workers_begin(r, c, why);
	if (ret)
		devices_close(r);
	return ret;
}

/* Without a wish: xdp if there is a device, and udp if that fails. */
static int transport_choose(struct xsr_router *r, const struct xsr_router_config *c, char why[XSR_WHY_LEN])
{
	char sentence[XSR_WHY_LEN + 64];
	int ret;

	if (c->transport || c->n_devices == 0)
		return transport_try(r, c, c->transport ?: "udp", why);
	ret = transport_try(r, c, "xdp", why);
	if (!ret || ret == -EBUSY)
		return ret;
	snprintf(sentence, sizeof(sentence), "transport udp is used instead of xdp: %s", why);
	c->log(sentence, c->log_arg);
	return transport_try(r, c, "udp", why);
}

static int router_fill(struct xsr_router *r, const struct xsr_router_config *c, char why[XSR_WHY_LEN])
{
	int ret;

	snprintf(r->instance, sizeof(r->instance), "%s", c->instance);
	ret = instance_open(r->instance, &r->maps, why);
	if (ret)
		return ret;
	ret = maps_lock(r->maps);
	if (ret)
		return ret;
	ret = other_router(r->maps, why);
	if (!ret)
		ret = transport_choose(r, c, why);
	maps_unlock(r->maps);
	if (!ret)
		strncat(r->mode_active, r->ops->mode_active(r->workers.at[0]->transport),
			sizeof(r->mode_active) - strlen(r->mode_active) - 1);
	return ret;
}

int xsr_router_open(struct xsr_router **out, const struct xsr_router_config *config, char why[XSR_WHY_LEN])
{
	const struct xsr_router_config c = config_complete(config);
	const char *wrong = config_wrong(&c);
	struct xsr_router *r;
	int ret;

	if (wrong) {
		snprintf(why, XSR_WHY_LEN, "%s", wrong);
		return -EINVAL;
	}
	r = calloc(1, sizeof(*r));
	if (!r)
		return -ENOMEM;
	ret = workers_open(&r->workers);
	if (!ret)
		ret = router_fill(r, &c, why);
	if (ret)
		xsr_router_close(r);
	else
		*out = r;
	return ret;
}

int xsr_router_publish(struct xsr_router *r)
{
	uint64_t open;
	int ret = 0;

	if (r->published)
		return 0;
	for (open = r->workers.open; open && !ret; open &= open - 1)
		ret = r->ops->publish(r->workers.at[__builtin_ctzll(open)]->transport);
	if (ret)
		return ret;
	buckets_spread(r->maps->buckets, r->workers.open);
	workers_serve(&r->workers);
	r->published = true;
	return 0;
}

static void withdraw(struct xsr_router *r)
{
	uint64_t open;

	if (!r->published)
		return;
	buckets_spread(r->maps->buckets, 0);
	for (open = r->workers.open; open; open &= open - 1)
		r->ops->withdraw(r->workers.at[__builtin_ctzll(open)]->transport);
	maps_wait_readers(); /* from here on nothing more arrives */
	r->published = false;
}

int xsr_router_start(struct xsr_router *r)
{
	uint64_t idle;
	int ret = xsr_router_publish(r); /* while the transports are still ours alone */

	for (idle = r->workers.open & ~r->workers.running; idle && !ret; idle &= idle - 1)
		ret = workers_start(&r->workers, __builtin_ctzll(idle));
	return ret;
}

int xsr_router_stop(struct xsr_router *r)
{
	uint64_t running;
	int ret = 0;

	withdraw(r);
	for (running = r->workers.running; running; running &= running - 1)
		worker_stop(r->workers.at[__builtin_ctzll(running)]); /* all at once: they drain side by side */
	for (running = r->workers.running; running; running &= running - 1)
		ret = workers_stop(&r->workers, __builtin_ctzll(running)) ?: ret;
	return ret;
}

static bool cpu_is_ours(int cpu)
{
	cpu_set_t set;

	return sched_getaffinity(0, sizeof(set), &set) || CPU_ISSET(cpu, &set);
}

int router_worker_add(struct xsr_router *r, int cpu, char why[XSR_WHY_LEN])
{
	int number = r->workers.open == ~0ULL ? -1 : __builtin_ctzll(~r->workers.open), ret;

	if (number < 0) {
		snprintf(why, XSR_WHY_LEN, "a router has at most %u workers", XSR_WORKERS_MAX);
		return -ENOSPC;
	}
	if (cpu >= 0 && !cpu_is_ours(cpu)) { /* before anybody is told of it */
		snprintf(why, XSR_WHY_LEN, "core %d is not there, or not for this process", cpu);
		return -EINVAL;
	}
	ret = worker_add(r, number, cpu >= 0 ? cpu : cpu_choose(number), why);
	if (ret)
		return ret;
	ret = r->ops->publish(r->workers.at[number]->transport);
	if (!ret)
		ret = workers_start(&r->workers, number);
	if (!ret)
		return number;
	snprintf(why, XSR_WHY_LEN, "worker %d cannot be started: %s", number, strerror(-ret));
	return ret; /* its number stays taken: the others know its rings */
}

int router_worker_end(struct xsr_router *r, unsigned int number)
{
	r->ops->withdraw(r->workers.at[number]->transport);
	maps_wait_readers();
	return workers_stop(&r->workers, number);
}

struct workers *router_workers(struct xsr_router *r)
{
	return &r->workers;
}

const char *router_instance(const struct xsr_router *r)
{
	return r->instance;
}

struct maps *router_maps(struct xsr_router *r)
{
	return r->maps;
}

bool router_is_native(const struct xsr_router *r)
{
	return r->ops == &transport_xdp && !r->any_generic;
}

unsigned int router_fence_ms(const struct xsr_router *r)
{
	return r->params.fence_ms;
}

void xsr_router_close(struct xsr_router *r)
{
	if (!r)
		return;
	while (xsr_router_stop(r))
		;
	workers_close(&r->workers);
	devices_close(r);
	maps_close(r->maps);
	free(r);
}

struct xsr_worker *xsr_router_worker(struct xsr_router *r, unsigned int number)
{
	return number < XSR_WORKERS_MAX ? r->workers.at[number] : NULL;
}

const char *xsr_router_mode_active(const struct xsr_router *r)
{
	return r->mode_active;
}
