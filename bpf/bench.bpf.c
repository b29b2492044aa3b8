// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * For `xsr bench` alone: the traffic, the programs that xsr is compared with, and
 * lookups by themselves. The instance's maps are given to it, never made here.
 */
#include <stdbool.h>

#include <linux/if_ether.h>
#include <linux/ip.h>
#include <linux/udp.h>

#include <bpf/bpf_endian.h>

#include "frame.h"
#include "maps.bpf.h"

#define HEADERS_LEN (sizeof(struct ethhdr) + sizeof(struct iphdr) + sizeof(struct udphdr))
#define unused __attribute__((unused))
#define ID_OFFSET (HEADERS_LEN + __builtin_offsetof(struct xsr_frame, id))

/* Set by user space before a run: IDs id_first .. id_first + n_ids - 1, of one service. */
__u32 out_ifindex;
__u32 n_ids;
__u64 id_first;
__u32 service;
__u32 n_lookups;
__u64 lookups_sum;

/* One generator, on one core: no state per CPU is needed. Never 0. */
__u64 random_state = 88172645463325252ULL;

/* The pinger's sockets, by queue. */
struct {
	__uint(type, BPF_MAP_TYPE_XSKMAP);
	__uint(max_entries, 4);
	__type(key, __u32);
	__type(value, __u32);
} bench_sockets SEC(".maps");

/* xorshift64: a few cycles, no helper. */
static __always_inline __u64 random_next(__u64 x)
{
	x ^= x << 13;
	x ^= x >> 7;
	x ^= x << 17;
	return x;
}

static __always_inline __u64 random_id(__u64 random)
{
	return id_first + ((random >> 32) * n_ids >> 32);
}

/*
 * Runs on frames made by BPF_PROG_TEST_RUN: a session ID into each, and out of the device. An
 * aligned type: the compiler would store the bytes of a packed one singly.
 */
SEC("xdp")
int bench_generate(struct xdp_md *ctx)
{
	__u8 *data = (void *)(long)ctx->data, *end = (void *)(long)ctx->data_end;

	if (data + ID_OFFSET + sizeof(__u64) > end)
		return XDP_ABORTED;
	random_state = random_next(random_state);
	*(__u64 *)(data + ID_OFFSET) = bpf_cpu_to_be64(random_id(random_state));
	return bpf_redirect(out_ifindex, 0);
}

SEC("xdp")
int bench_drop(struct xdp_md *ctx unused)
{
	return XDP_DROP;
}

SEC("xdp")
int bench_pass(struct xdp_md *ctx unused)
{
	return XDP_PASS;
}

/* To the pinger, whatever it is: nothing else is on that wire. */
SEC("xdp")
int bench_receive(struct xdp_md *ctx)
{
	return bpf_redirect_map(&bench_sockets, ctx->rx_queue_index, XDP_DROP);
}

/* Where lookups of random IDs stand. */
struct walk {
	__u64 random;
	__u64 sum; /* of what was found, or the compiler would look nothing up */
};

static __always_inline void walk_on(struct walk *walk, const struct xsr_route *route, bool chained)
{
	__u64 found = route ? route->flags : 1;

	walk->sum += found;
	/* Flags are 0, but the processor has to wait for the lookup to know that. */
	walk->random = random_next(walk->random + (chained ? found : 0));
}

static __always_inline struct xsr_route *dense_find(const struct walk *walk)
{
	__u32 key = xsr_id_index(random_id(walk->random));

	return bpf_map_lookup_elem(&xsr_dense, &key);
}

static __always_inline struct xsr_route *hash_find(const struct walk *walk)
{
	struct xsr_route_key key = { .id = random_id(walk->random), .service = service };

	return bpf_map_lookup_elem(&xsr_routes, &key);
}

static long step_nothing(__u32 i unused, struct walk *walk)
{
	walk->sum += random_id(walk->random);
	walk->random = random_next(walk->random);
	return 0;
}

static long step_dense(__u32 i unused, struct walk *walk)
{
	walk_on(walk, dense_find(walk), false);
	return 0;
}

static long step_dense_chained(__u32 i unused, struct walk *walk)
{
	walk_on(walk, dense_find(walk), true);
	return 0;
}

static long step_hash(__u32 i unused, struct walk *walk)
{
	walk_on(walk, hash_find(walk), false);
	return 0;
}

static long step_hash_chained(__u32 i unused, struct walk *walk)
{
	walk_on(walk, hash_find(walk), true);
	return 0;
}

static __always_inline int walk_all(void *step)
{
	struct walk walk = { .random = random_state };

	bpf_loop(n_lookups, step, &walk, 0);
	random_state = walk.random;
	lookups_sum = walk.sum;
	return XDP_DROP;
}

/* The loop and the random numbers alone. */
SEC("xdp")
int bench_nothing(struct xdp_md *ctx unused)
{
	return walk_all(step_nothing);
}

/* Lookups that may overlap, as those of a batch of packets do. */
SEC("xdp")
int bench_dense(struct xdp_md *ctx unused)
{
	return walk_all(step_dense);
}

SEC("xdp")
int bench_hash(struct xdp_md *ctx unused)
{
	return walk_all(step_hash);
}

/* Lookups of which each begins when the one before has ended. */
SEC("xdp")
int bench_dense_chained(struct xdp_md *ctx unused)
{
	return walk_all(step_dense_chained);
}

SEC("xdp")
int bench_hash_chained(struct xdp_md *ctx unused)
{
	return walk_all(step_hash_chained);
}

char LICENSE[] SEC("license") = "Dual BSD/GPL";
