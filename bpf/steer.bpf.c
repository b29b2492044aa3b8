// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* XDP: a datagram goes to the worker that owns its session. */
#include <stdbool.h>

#include "maps.bpf.h"
#include "parse.h"
#include "rule.h"

/* A message under way: what is known of it, and where it stands. */
struct message {
	struct datagram d;
	const struct xsr_service *service;
	__u32 service_index; /* 0 until a service is found */
	__u64 id;
	struct xsr_route route; /* all zeroes if a default action led here */
};

/* Last of all, when the verdict is known: one counter for each message. */
static __always_inline int count(const struct message *m, enum xsr_stat stat, int verdict)
{
	__u32 index = m->service_index;
	struct xsr_counters *counters = bpf_map_lookup_elem(&xsr_stats, &index);

	if (counters && (__u32)stat < XSR_STAT_MAX)
		counters->n[stat]++;
	return verdict;
}

static __always_inline bool service_find(struct message *m)
{
	__u32 dport = bpf_ntohs(m->d.dport);
	struct xsr_port *port = bpf_map_lookup_elem(&xsr_ports, &dport);
	__u32 index = port ? port->udp : 0;
	int i;

	for (i = 0; index && i < XSR_SERVICES_PER_PORT_MAX; i++) {
		const struct xsr_service *s = bpf_map_lookup_elem(&xsr_services, &index);

		if (!s)
			return false;
		if (service_has_address(s, &m->d)) {
			m->service = s;
			m->service_index = index;
			return true;
		}
		index = s->next;
	}
	return false;
}

/* 0, or the reason why there is no route to follow. */
static __always_inline int dense_lookup(struct message *m)
{
	__u32 index = m->service->dense_base + xsr_id_index(m->id);
	struct xsr_route *route = bpf_map_lookup_elem(&xsr_dense, &index);

	if (!route || route->action == XSR_ACTION_NONE)
		return XSR_REASON_NO_ROUTE;
	__builtin_memcpy(&m->route, route, sizeof(m->route));
	return m->route.id_generation == xsr_id_generation(m->id) ? -1 : XSR_REASON_STALE_ID;
}

static __always_inline int hash_lookup(struct message *m)
{
	struct xsr_route_key key = { .id = m->id, .service = m->service_index };
	struct xsr_route *route = bpf_map_lookup_elem(&xsr_routes, &key);

	if (!route)
		return XSR_REASON_NO_ROUTE;
	__builtin_memcpy(&m->route, route, sizeof(m->route));
	return -1;
}

/* -1 and m->route, or the enum xsr_reason for the default action. */
static __always_inline int route_lookup(struct message *m)
{
	const struct xsr_service *s = m->service;

	if (!rule_find_id(&m->d, s, &m->id))
		return XSR_REASON_NO_ID;
	if (xsr_id_index(m->id) < s->dense_len && xsr_id_node(m->id) == s->node)
		return dense_lookup(m);
	return hash_lookup(m);
}

/*
 * One word before the frame tells the worker when it came and by which
 * generation of the route. It moves data_meta only, but the verifier forgets
 * every packet pointer: nothing of m->d may be used after this.
 */
static __always_inline void stamp(struct xdp_md *ctx, const struct message *m)
{
	struct xsr_stamp *stamp;

	if (bpf_xdp_adjust_meta(ctx, -(int)sizeof(*stamp)))
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
	return bpf_redirect_map(&xsr_sockets, slot_index, XDP_ABORTED) == XDP_REDIRECT ? XDP_REDIRECT : -1;
}

/* Finalizer of MurmurHash3: every bit of x reaches every bit of the result. */
static __always_inline __u64 mix(__u64 x)
{
	x ^= x >> 33;
	x *= 0xff51afd7ed558ccdULL;
	x ^= x >> 33;
	x *= 0xc4ceb9fe1a85ec53ULL;
	return x ^ x >> 33;
}

/* By the ID if there is one, else by the sender: a handshake stays on one worker. 0 if nobody asks. */
static __always_inline __u32 bucket_index(const struct message *m, int reason)
{
	__u64 x = m->id;

	if (m->service->default_action != XSR_ACTION_HASH)
		return 0;
	if (reason == XSR_REASON_NO_ID) {
		x = (__u64)m->d.sport << 32 | m->d.saddr[0];
		if (m->d.family == 6)
			x ^= mix((__u64)m->d.saddr[2] << 32 | m->d.saddr[3]) ^ m->d.saddr[1];
	}
	return mix(x) & (XSR_BUCKETS_MAX - 1);
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

SEC("xdp")
int xsr_steer(struct xdp_md *ctx)
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

char LICENSE[] SEC("license") = "Dual BSD/GPL";
