// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * Two ends of a TCP connection of this host, both in one cgroup: what one sends is put into the other's receive queue, past
 * TCP. What waits there has no bound but the memory of the cgroup: for flows that are bounded by themselves, as requests that wait for their
 * answers are.
 */
#include "lookup.h"

#define ENDS_MAX 65536
#define AF_INET 2
#define AF_INET6 10

/* An end, as it sees itself; addresses of IPv4 are in the last word. */
struct end_key {
	__u64 netns;
	__be32 local_addr[4], remote_addr[4];
	__u32 local_port, remote_port; /* both in network byte order, in the upper or lower half as the kernel has them */
};

struct {
	__uint(type, BPF_MAP_TYPE_SOCKHASH);
	__uint(max_entries, ENDS_MAX);
	__type(key, struct end_key);
	__type(value, __u64);
} ends SEC(".maps");

/* How an end's bytes go, from its first byte to its last: a change in the middle would let some overtake others. */
enum end_way {
	END_NEW = 0,
	END_JOINED,
	END_PLAIN,
};

struct end_state {
	__u32 way; /* enum end_way */
	__u32 service;
};

struct {
	__uint(type, BPF_MAP_TYPE_SK_STORAGE);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, int);
	__type(value, struct end_state);
} end_states SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, XSR_SERVICES_MAX);
	__type(key, __u32);
	__type(value, struct xsr_local_counters);
} local_counters SEC(".maps");

static __always_inline void count(__u32 service, enum xsr_local_stat stat, __u64 n)
{
	struct xsr_local_counters *counters = bpf_map_lookup_elem(&local_counters, &service);

	if (counters)
		counters->n[stat] += n;
}

/* --- connections begin --- */

/* The service at this address, if its mode is `local`; 0 if not. */
static __always_inline __u32 service_of(const struct datagram *d, __u32 dport)
{
	struct xsr_port *port = bpf_map_lookup_elem(&xsr_ports, &dport);
	__u32 index = port ? port->tcp : 0;
	int i;

	for (i = 0; index && i < XSR_SERVICES_PER_PORT_MAX; i++) {
		const struct xsr_service *s = bpf_map_lookup_elem(&xsr_services, &index);

		if (!s)
			return 0;
		if (service_has_address(s, d))
			return s->mode == XSR_STREAM_LOCAL ? index : 0;
		index = s->next;
	}
	return 0;
}

/* Read where it stands: clang would choose between two addresses, which the verifier forbids with the context's. */
#define ctx_word(word) (*(const volatile __u32 *)&(word))

/* Of IPv4 only the last word counts. */
static __always_inline void addr_set(__be32 addr[4], bool v4, __be32 only, __be32 a, __be32 b, __be32 c, __be32 d)
{
	addr[0] = v4 ? 0 : a;
	addr[1] = v4 ? 0 : b;
	addr[2] = v4 ? 0 : c;
	addr[3] = v4 ? only : d;
}

static __always_inline void key_of_ops(struct bpf_sock_ops *ops, struct end_key *key)
{
	bool v4 = ops->family == AF_INET;

	key->netns = bpf_get_netns_cookie(ops);
	key->local_port = bpf_htonl(ops->local_port);
	key->remote_port = ops->remote_port;
	addr_set(key->local_addr, v4, ctx_word(ops->local_ip4), ctx_word(ops->local_ip6[0]), ctx_word(ops->local_ip6[1]),
		 ctx_word(ops->local_ip6[2]), ctx_word(ops->local_ip6[3]));
	addr_set(key->remote_addr, v4, ctx_word(ops->remote_ip4), ctx_word(ops->remote_ip6[0]), ctx_word(ops->remote_ip6[1]),
		 ctx_word(ops->remote_ip6[2]), ctx_word(ops->remote_ip6[3]));
}

static __always_inline void end_begin(struct bpf_sock_ops *ops, bool is_server)
{
	struct end_key key = {};
	struct datagram d = { .family = ops->family == AF_INET ? 4 : 6 };
	struct end_state *state;
	__u32 service;

	if (ops->family != AF_INET && ops->family != AF_INET6)
		return;
	key_of_ops(ops, &key);
	d.daddr = is_server ? key.local_addr : key.remote_addr;
	if (d.family == 4)
		d.daddr += 3;
	service = service_of(&d, bpf_ntohl(is_server ? key.local_port : key.remote_port));
	/* Bytes that came or went with the handshake are TCP's: what follows past it would overtake them. */
	if (!service || ops->bytes_received || ops->bytes_acked > 1 || !ops->sk)
		return;
	state = bpf_sk_storage_get(&end_states, ops->sk, NULL, BPF_SK_STORAGE_GET_F_CREATE);
	if (!state)
		return;
	state->service = service;
	if (bpf_sock_hash_update(ops, &ends, &key, BPF_NOEXIST) == 0)
		count(service, XSR_LOCAL_STAT_ENDS, 1);
}

SEC("sockops")
int xsr_ends(struct bpf_sock_ops *ops)
{
	if (ops->op == BPF_SOCK_OPS_ACTIVE_ESTABLISHED_CB)
		end_begin(ops, false);
	else if (ops->op == BPF_SOCK_OPS_PASSIVE_ESTABLISHED_CB)
		end_begin(ops, true);
	return 1;
}

/* --- bytes --- */

/* The other end's key: the same connection seen from there. */
static __always_inline void key_of_peer(struct sk_msg_md *msg, struct end_key *key)
{
	bool v4 = msg->family == AF_INET;

	key->netns = bpf_get_netns_cookie(msg);
	key->local_port = msg->remote_port;
	key->remote_port = bpf_htonl(msg->local_port);
	addr_set(key->local_addr, v4, ctx_word(msg->remote_ip4), ctx_word(msg->remote_ip6[0]), ctx_word(msg->remote_ip6[1]),
		 ctx_word(msg->remote_ip6[2]), ctx_word(msg->remote_ip6[3]));
	addr_set(key->remote_addr, v4, ctx_word(msg->local_ip4), ctx_word(msg->local_ip6[0]), ctx_word(msg->local_ip6[1]),
		 ctx_word(msg->local_ip6[2]), ctx_word(msg->local_ip6[3]));
}

SEC("sk_msg")
int xsr_join(struct sk_msg_md *msg)
{
	struct end_key peer = {};
	struct end_state *state;

	if (!msg->sk)
		return SK_PASS;
	state = bpf_sk_storage_get(&end_states, msg->sk, NULL, 0);
	if (!state || state->way == END_PLAIN)
		return SK_PASS;
	key_of_peer(msg, &peer);
	if (bpf_msg_redirect_hash(msg, &ends, &peer, BPF_F_INGRESS) != SK_PASS) {
		/* Not there at the first byte: then never. Gone later: TCP says so to whoever sends. */
		if (state->way == END_NEW)
			count(state->service, XSR_LOCAL_STAT_PLAIN, 1);
		state->way = END_PLAIN;
		return SK_PASS;
	}
	if (state->way == END_NEW)
		count(state->service, XSR_LOCAL_STAT_JOINED, 1);
	state->way = END_JOINED;
	count(state->service, XSR_LOCAL_STAT_MESSAGES, 1);
	count(state->service, XSR_LOCAL_STAT_BYTES, msg->size);
	return SK_PASS;
}

char LICENSE[] SEC("license") = "Dual BSD/GPL";
