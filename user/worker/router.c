/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* A set of workers on one instance: opened together, published, run, stopped. */
#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "attach.h"
#include "instance.h"
#include "socket.h"
#include "umem.h"
#include "worker.h"

struct xsr_router {
	char instance[XSR_NAME_LEN];
	struct maps *maps;
	struct umem *umem; /* NULL without xdp */
	struct xsr_worker *workers[XSR_WORKERS_MAX];
	pthread_t threads[XSR_WORKERS_MAX];
	unsigned int n_workers;
	unsigned int n_threads;
	uint32_t ifindexes[XSR_DEVICES_MAX];
	unsigned int n_devices;
	const struct transport_ops *ops;
	bool published;
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

	if (base < 0) {
		snprintf(why, XSR_WHY_LEN, "device '%s' with %u rx queues: %s", info->ifname, info->n_rx_queues,
			 base == -ENOSPC ? "an instance has at most 64 queues" : strerror(-base));
		return base;
	}
	r->ifindexes[r->n_devices++] = info->ifindex;
	for (q = 0; q < info->n_rx_queues; q++) {
		struct umem_queue *queue = &r->umem->queues[(*n_queues)++];

		queue->ifindex = info->ifindex;
		queue->queue_id = q;
		queue->number = base + q;
		queue->device = device;
	}
	return 0;
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
	for (i = 0; i < c->n_devices && !ret; i++)
		ret = device_add(r, i, &infos[i], &n, why);
	snprintf(r->mode_active, sizeof(r->mode_active), "%s ", attach_mode_name(infos[0].mode));
	return ret;
}

/* The i-th of the cores that this process may use, round and round. */
static int cpu_choose(const struct xsr_router_config *c, unsigned int i)
{
	cpu_set_t set;
	int cpu, n;

	if (c->cpus)
		return c->cpus[i];
	if (sched_getaffinity(0, sizeof(set), &set))
		return -1;
	n = i % CPU_COUNT(&set);
	for (cpu = 0; cpu < CPU_SETSIZE; cpu++)
		if (CPU_ISSET(cpu, &set) && n-- == 0)
			return cpu;
	return -1;
}

static void workers_close(struct xsr_router *r)
{
	unsigned int i;

	for (i = 0; i < r->n_workers; i++)
		worker_close(r->workers[i]);
	r->n_workers = 0;
}

static int workers_open(struct xsr_router *r, const struct xsr_router_config *c, char why[XSR_WHY_LEN])
{
	unsigned int i;
	int ret = 0;

	for (i = 0; i < c->n_workers && !ret; i++) {
		const struct worker_params params = {
			.instance = r->instance,
			.number = i,
			.cpu = cpu_choose(c, i),
			.spin = c->spin,
			.batch = c->batch,
			.sessions_max = c->sessions_max,
			.idle_s = c->idle_s,
			.ring_len = c->ring_len,
			.frame_len = c->frame_len,
			.handler = c->handler,
			.ops = r->ops,
			.maps = r->maps,
			.umem = r->umem,
			.log = c->log,
			.log_arg = c->log_arg,
		};

		ret = worker_open(&r->workers[i], &params, why);
		if (!ret)
			r->n_workers++;
	}
	if (ret)
		workers_close(r);
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
		ret = workers_open(r, c, why);
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
		strncat(r->mode_active, r->ops->mode_active(r->workers[0]->transport),
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
	ret = router_fill(r, &c, why);
	if (ret)
		xsr_router_close(r);
	else
		*out = r;
	return ret;
}

int xsr_router_publish(struct xsr_router *r)
{
	uint64_t live = 0;
	unsigned int i;
	int ret = 0;

	if (r->published)
		return 0;
	for (i = 0; i < r->n_workers && !ret; i++) {
		ret = r->ops->publish(r->workers[i]->transport);
		live |= 1ULL << i;
	}
	if (ret)
		return ret;
	buckets_spread(r->maps->buckets, live);
	r->published = true;
	return 0;
}

static void withdraw(struct xsr_router *r)
{
	unsigned int i;

	if (!r->published)
		return;
	buckets_spread(r->maps->buckets, 0);
	for (i = 0; i < r->n_workers; i++)
		r->ops->withdraw(r->workers[i]->transport);
	maps_wait_readers(); /* from here on nothing more arrives */
	r->published = false;
}

static void *thread_main(void *arg)
{
	worker_run(arg);
	return NULL;
}

static int thread_start(pthread_t *thread, struct xsr_worker *worker)
{
	pthread_attr_t attr;
	char name[16];
	cpu_set_t set;
	int ret;

	pthread_attr_init(&attr);
	if (worker->p.cpu >= 0) {
		CPU_ZERO(&set);
		CPU_SET(worker->p.cpu, &set);
		pthread_attr_setaffinity_np(&attr, sizeof(set), &set);
	}
	ret = -pthread_create(thread, &attr, thread_main, worker);
	pthread_attr_destroy(&attr);
	if (ret)
		return ret;
	snprintf(name, sizeof(name), "xsr-worker-%u", worker->p.number);
	pthread_setname_np(*thread, name);
	return 0;
}

int xsr_router_start(struct xsr_router *r)
{
	unsigned int i;
	int ret;

	for (i = r->n_threads; i < r->n_workers; i++, r->n_threads++) {
		ret = thread_start(&r->threads[i], r->workers[i]);
		if (ret)
			return ret;
	}
	return xsr_router_publish(r);
}

void xsr_router_stop(struct xsr_router *r)
{
	unsigned int i;

	withdraw(r);
	for (i = 0; i < r->n_threads; i++)
		worker_stop(r->workers[i]);
	for (i = 0; i < r->n_threads; i++)
		pthread_join(r->threads[i], NULL);
	r->n_threads = 0;
}

void xsr_router_close(struct xsr_router *r)
{
	if (!r)
		return;
	xsr_router_stop(r);
	workers_close(r);
	devices_close(r);
	maps_close(r->maps);
	free(r);
}

struct xsr_worker *xsr_router_worker(struct xsr_router *r, unsigned int number)
{
	return number < r->n_workers ? r->workers[number] : NULL;
}

const char *xsr_router_mode_active(const struct xsr_router *r)
{
	return r->mode_active;
}
