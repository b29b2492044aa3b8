// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * sk_reuseport: a datagram that came through the kernel's stack goes to the socket of
 * the worker that owns its session. The same rules, routes and default actions as in steer.bpf.c.
 */
#include "lookup.h"

#define IP_ADDRS_MAX 32

/* Slot service * 64 + worker -> the worker's socket of that service. Only this hook uses them. */
struct {
	__uint(type, BPF_MAP_TYPE_REUSEPORT_SOCKARRAY);
	__uint(max_entries, XSR_SERVICES_MAX * XSR_WORKERS_MAX);
	__type(key, __u32);
	__type(value, __u64);
	__uint(pinning, LIBBPF_PIN_BY_NAME);
} xsr_listeners SEC(".maps");

/* Like xsr_stats, of the messages that this hook saw. */
struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, XSR_SERVICES_MAX);
	__type(key, __u32);
	__type(value, struct xsr_counters);
	__uint(pinning, LIBBPF_PIN_BY_NAME);
} xsr_choices SEC(".maps");

static __always_inline int count(const struct message *m, enum xsr_stat stat, int verdict)
{
	return message_count(&xsr_choices, m, stat, verdict);
}

/*
 * The stack has checked the headers; what it hands over begins with the UDP header, and
 * the addresses are fetched from before it. 0, or the negated reason.
 */
static __always_inline int datagram_read(struct sk_reuseport_md *md, struct datagram *d, __be32 addrs[8])
{
	struct cursor c = { (void *)(long)md->data, (void *)(long)md->data_end };
	bool v4 = md->eth_protocol == bpf_htons(ETH_P_IP);

	if (md->ip_protocol != IPPROTO_UDP)
		return -XSR_STAT_NOT_UDP;
	if (bpf_skb_load_bytes_relative(md, v4 ? 12 : 8, addrs, v4 ? 8 : IP_ADDRS_MAX, BPF_HDR_START_NET))
		return v4 ? -XSR_STAT_BAD_IPV4 : -XSR_STAT_BAD_IPV6;
	d->family = v4 ? 4 : 6;
	d->saddr = addrs;
	d->daddr = v4 ? addrs + 1 : addrs + 4;
	d->len = md->len;
	return parse_udp(&c, d);
}

/* 0 if the worker has a socket of this service. */
static __always_inline int worker_select(struct sk_reuseport_md *md, const struct message *m, __u32 worker)
{
	__u32 key = m->service_index * XSR_WORKERS_MAX + worker;

	if (worker >= XSR_WORKERS_MAX)
		return -1;
	return bpf_sk_select_reuseport(md, &xsr_listeners, &key, 0);
}

static __always_inline int default_hash(struct sk_reuseport_md *md, const struct message *m, int reason)
{
	__u32 key = bucket_index(m, reason);
	struct xsr_bucket *bucket = bpf_map_lookup_elem(&xsr_buckets, &key);

	if (!bucket || !bucket->worker)
		return -1;
	return worker_select(md, m, bucket->worker - 1);
}

static __always_inline int act_default(struct sk_reuseport_md *md, const struct message *m, int reason)
{
	switch (m->service->default_action) {
	case XSR_ACTION_DROP:
		/* The operator chose: an unknown session is no work for anyone. */
		return count(m, xsr_stat_default(reason, XSR_RESULT_DROP), SK_DROP);
	case XSR_ACTION_HASH:
		if (default_hash(md, m, reason) == 0)
			return count(m, xsr_stat_default(reason, XSR_RESULT_HASH), SK_PASS);
		return count(m, xsr_stat_default(reason, XSR_RESULT_NO_WORKER), SK_PASS);
	default:
		return count(m, xsr_stat_default(reason, XSR_RESULT_PASS), SK_PASS);
	}
}

/* SK_PASS without a choice lets the kernel choose, by address and port. */
static __always_inline int act(struct sk_reuseport_md *md, struct message *m, int reason)
{
	if (reason >= 0)
		return act_default(md, m, reason);
	switch (m->route.action) {
	case XSR_ACTION_WORKER:
		if (worker_select(md, m, m->route.target) == 0)
			return count(m, XSR_STAT_ROUTE_WORKER, SK_PASS);
		return act_default(md, m, XSR_REASON_WORKER_GONE);
	case XSR_ACTION_PASS:
		return count(m, XSR_STAT_ROUTE_PASS, SK_PASS);
	case XSR_ACTION_DROP:
		/* The operator chose. */
		return count(m, XSR_STAT_ROUTE_DROP, SK_DROP);
	default:
		/* Written by a newer xsr: nobody here knows where it should go. */
		return count(m, XSR_STAT_ROUTE_UNKNOWN_ACTION, SK_DROP);
	}
}

SEC("sk_reuseport")
int xsr_select(struct sk_reuseport_md *md)
{
	__be32 addrs[8] = {};
	struct message m = {};
	int ret;

	ret = datagram_read(md, &m.d, addrs);
	if (ret < 0)
		return count(&m, -ret, SK_PASS);
	if (!service_find(&m))
		return count(&m, XSR_STAT_NO_SERVICE, SK_PASS);
	if (m.service->flags & XSR_SERVICE_FRAMED) {
		ret = frame_check(&m.d);
		/* No listener of this format could make sense of it either. */
		if (ret < 0)
			return count(&m, -ret, SK_DROP);
	}
	return act(md, &m, route_lookup(&m));
}

char LICENSE[] SEC("license") = "Dual BSD/GPL";
