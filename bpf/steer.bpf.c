// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* XDP: a datagram goes to the worker that owns its session. */
#include "lookup.h"

static __always_inline int count(const struct message *m, enum xsr_stat stat, int verdict)
{
	return message_count(&xsr_stats, m, stat, verdict);
}

/*
 * One word before the frame tells the worker when it came and by which
 * generation of the route. It moves data_meta only, but the verifier forgets
 * every packet pointer: nothing of m->d may be used after this.
 */
static __always_inline void stamp(struct xdp_md *ctx, const struct message *m)
{
	/* In the place of what a driver, or a stamp for a worker that was gone, left there. */
	long left = (void *)(long)ctx->data - (void *)(long)ctx->data_meta;
	struct xsr_stamp *stamp;

	if (bpf_xdp_adjust_meta(ctx, left - (int)sizeof(*stamp)))
		return;
	stamp = (void *)(long)ctx->data_meta;
	if ((void *)(stamp + 1) > (void *)(long)ctx->data)
		return;
	stamp->magic = XSR_STAMP_MAGIC;
	stamp->generation = m->route.generation;
	stamp->service = m->service_index;
	stamp->time_ns = bpf_ktime_get_ns();
}

static __always_inline bool stamp_due(const struct xsr_service *s)
{
	return s->stamp_interval == 1 || (s->stamp_interval && bpf_get_prandom_u32() % s->stamp_interval == 0);
}

/* XDP_REDIRECT if the worker has a socket on this queue, else -1. */
static __always_inline int worker_redirect(struct xdp_md *ctx, const struct message *m, __u32 worker)
{
	__u32 ifindex = ctx->ingress_ifindex, key = ifindex & (XSR_DEVICES_MAX - 1);
	struct xsr_device *device = bpf_map_lookup_elem(&xsr_devices, &key);
	__u32 slot_index;
	struct xsr_slot *slot;

	if (!device || device->ifindex != ifindex || ctx->rx_queue_index >= device->n_queues ||
	    worker >= XSR_WORKERS_MAX)
		return -1;
	slot_index = xsr_slot_index(device->queue_base + ctx->rx_queue_index, worker);
	slot = bpf_map_lookup_elem(&xsr_slots, &slot_index);
	if (!slot || slot->ifindex != ifindex)
		return -1;
	if (stamp_due(m->service))
		stamp(ctx, m);
	/* XDP_ABORTED comes back if the socket died without telling. */
	if (bpf_redirect_map(&xsr_sockets, slot_index, XDP_ABORTED) != XDP_REDIRECT)
		return -1;
	__sync_fetch_and_add(&slot->n_redirected, 1); /* generic mode runs on several CPUs at a time */
	return XDP_REDIRECT;
}

static __always_inline int default_hash(struct xdp_md *ctx, struct message *m, __u32 bucket_key)
{
	struct xsr_bucket *bucket = bpf_map_lookup_elem(&xsr_buckets, &bucket_key);

	if (!bucket || !bucket->worker)
		return -1;
	__builtin_memset(&m->route, 0, sizeof(m->route));
	return worker_redirect(ctx, m, bucket->worker - 1);
}

/* bucket_key was computed while m->d could still be read. */
static __always_inline int act_default(struct xdp_md *ctx, struct message *m, int reason, __u32 bucket_key)
{
	switch (m->service->default_action) {
	case XSR_ACTION_DROP:
		/* The operator chose: an unknown session is no work for the stack. */
		return count(m, xsr_stat_default(reason, XSR_RESULT_DROP), XDP_DROP);
	case XSR_ACTION_HASH:
		if (default_hash(ctx, m, bucket_key) == XDP_REDIRECT)
			return count(m, xsr_stat_default(reason, XSR_RESULT_HASH), XDP_REDIRECT);
		return count(m, xsr_stat_default(reason, XSR_RESULT_NO_WORKER), XDP_PASS);
	default:
		return count(m, xsr_stat_default(reason, XSR_RESULT_PASS), XDP_PASS);
	}
}

static __always_inline int act(struct xdp_md *ctx, struct message *m, int reason)
{
	__u32 bucket_key;

	if (reason >= 0)
		return act_default(ctx, m, reason, bucket_index(m, reason));
	switch (m->route.action) {
	case XSR_ACTION_WORKER:
		bucket_key = bucket_index(m, XSR_REASON_WORKER_GONE);
		if (worker_redirect(ctx, m, m->route.target) == XDP_REDIRECT)
			return count(m, XSR_STAT_ROUTE_WORKER, XDP_REDIRECT);
		return act_default(ctx, m, XSR_REASON_WORKER_GONE, bucket_key);
	case XSR_ACTION_PASS:
		return count(m, XSR_STAT_ROUTE_PASS, XDP_PASS);
	case XSR_ACTION_DROP:
		/* The operator chose. */
		return count(m, XSR_STAT_ROUTE_DROP, XDP_DROP);
	default:
		/* Written by a newer xsr: nobody here knows where it should go. */
		return count(m, XSR_STAT_ROUTE_UNKNOWN_ACTION, XDP_DROP);
	}
}

/*
 * A value that is fetched makes the addition a full barrier: a router that stored a route, and then sees that no run is under
 * way, knows that every later run reads what it stored.
 */
static __always_inline void barrier_add(__u64 *counter)
{
	__u64 before = __sync_fetch_and_add(counter, 1);

	asm volatile("" : : "r"(before));
}

/* NULL unless a router wants to know which runs are under way. */
static __always_inline struct xsr_runs *run_begin(struct xdp_md *ctx)
{
	__u32 ifindex, key = 0, queue;
	struct xsr_switches *switches = bpf_map_lookup_elem(&xsr_switches, &key);
	struct xsr_device *device;
	struct xsr_runs *runs;

	if (!switches || !switches->count_runs)
		return NULL;
	ifindex = ctx->ingress_ifindex;
	key = ifindex & (XSR_DEVICES_MAX - 1);
	device = bpf_map_lookup_elem(&xsr_devices, &key);
	if (!device || device->ifindex != ifindex)
		return NULL; /* no socket is there to redirect to */
	queue = device->queue_base + ctx->rx_queue_index;
	runs = bpf_map_lookup_elem(&xsr_runs, &queue);
	if (runs)
		barrier_add(&runs->begun);
	return runs;
}

static __always_inline int steer(struct xdp_md *ctx)
{
	struct cursor c = { (void *)(long)ctx->data, (void *)(long)ctx->data_end };
	struct message m = {};
	int ret;

	ret = parse_datagram(&c, &m.d);
	if (ret < 0)
		return count(&m, -ret, XDP_PASS);
	if (!service_find(&m))
		return count(&m, XSR_STAT_NO_SERVICE, XDP_PASS);
	if (m.service->flags & XSR_SERVICE_FRAMED) {
		ret = frame_check(&m.d);
		/* No listener of this format could make sense of it either. */
		if (ret < 0)
			return count(&m, -ret, XDP_DROP);
	}
	return act(ctx, &m, route_lookup(&m));
}

SEC("xdp")
int xsr_steer(struct xdp_md *ctx)
{
	struct xsr_runs *runs = run_begin(ctx);
	int verdict = steer(ctx);

	if (runs)
		barrier_add(&runs->ended);
	return verdict;
}

char LICENSE[] SEC("license") = "Dual BSD/GPL";
