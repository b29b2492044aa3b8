/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * From a datagram to its service and its route, on the instance's maps: what
 * every hook does before it acts.
 */
#ifndef XSR_LOOKUP_H
#define XSR_LOOKUP_H

#include <stdbool.h>

#include "maps.bpf.h"
#include "mix.h"
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

/* Last of all, when the verdict is known: one counter for each message, in the hook's own map. */
static __always_inline int message_count(void *counters_map, const struct message *m, enum xsr_stat stat, int verdict)
{
	__u32 index = m->service_index;
	struct xsr_counters *counters = bpf_map_lookup_elem(counters_map, &index);

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

/* One load: user space stores the word whole while it is followed. */
static __always_inline struct xsr_route route_load(const struct xsr_route *at)
{
	__u64 word = *(const volatile __u64 *)at;
	struct xsr_route route;

	__builtin_memcpy(&route, &word, sizeof(route));
	return route;
}

/* -1, or the reason why there is no route to follow. */
static __always_inline int dense_lookup(struct message *m)
{
	__u32 index = m->service->dense_base + xsr_id_index(m->id);
	struct xsr_route *route = bpf_map_lookup_elem(&xsr_dense, &index);

	if (!route)
		return XSR_REASON_NO_ROUTE;
	m->route = route_load(route);
	if (m->route.action == XSR_ACTION_NONE)
		return XSR_REASON_NO_ROUTE;
	return m->route.id_generation == xsr_id_generation(m->id) ? -1 : XSR_REASON_STALE_ID;
}

static __always_inline int hash_lookup(struct message *m)
{
	struct xsr_route_key key = { .id = m->id, .service = m->service_index };
	struct xsr_route *route = bpf_map_lookup_elem(&xsr_routes, &key);

	if (!route)
		return XSR_REASON_NO_ROUTE;
	m->route = route_load(route);
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

/* By the ID if there is one, else by the sender: a handshake stays on one worker. 0 if nobody asks. */
static __always_inline __u32 bucket_index(const struct message *m, int reason)
{
	__u64 x = m->id;

	if (m->service->default_action != XSR_ACTION_HASH)
		return 0;
	if (reason == XSR_REASON_NO_ID) {
		x = (__u64)m->d.sport << 32 | m->d.saddr[0];
		if (m->d.family == 6)
			x ^= mix64((__u64)m->d.saddr[2] << 32 | m->d.saddr[3]) ^ m->d.saddr[1];
	}
	return mix64(x) & (XSR_BUCKETS_MAX - 1);
}

#endif /* XSR_LOOKUP_H */
