/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Sessions: where the frames of each way go, and what became of them. */
#ifndef XSR_STREAM_FLOW_H
#define XSR_STREAM_FLOW_H

#include "stream_conn.h"

#define FLOWS_DEFAULT 65536

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 2 * FLOWS_DEFAULT);
	__type(key, struct xsr_flow_key);
	__type(value, struct xsr_flow);
} flows SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(max_entries, 2 * FLOWS_DEFAULT);
	__type(key, __u32);
	__type(value, struct xsr_flow_counts);
} flow_counts SEC(".maps");

/* What one way of a session came to, once its lock was held. */
enum passed {
	PASSED_OPEN,
	PASSED_HELD,
	PASSED_NOT,
	PASSED_MOVED, /* it is not as it was looked up */
};

/* Frames of one session. */
struct passing {
	__u64 seq; /* of the last one */
	__u32 frames, bytes;
};

static __always_inline void flow_count(struct xsr_flow_counts *counts, const struct passing *p)
{
	counts->seq = p->seq;
	counts->frames += p->frames;
	counts->bytes += p->bytes;
}

/* What was looked up of one way of a session, before its lock. */
struct flow_look {
	struct xsr_flow *flow;
	struct xsr_flow_counts *counts;
	struct xsr_conn *to;
	__u32 target, generation;
};

static __always_inline bool flow_look(struct flow_look *look, const struct xsr_flow_key *key, __u32 source)
{
	struct xsr_flow *flow = bpf_map_lookup_elem(&flows, key);
	__u32 index, target;

	if (!flow || (flow->source && flow->source != source))
		return false;
	look->flow = flow;
	look->generation = flow->generation;
	index = flow->counts;
	look->target = target = flow->target;
	look->counts = bpf_map_lookup_elem(&flow_counts, &index);
	look->to = conn_get(target);
	return look->counts && look->to;
}

/*
 * In the lock no helper may be called: what is counted there was looked up before. The entry may be another session's since then: its generation
 * tells.
 */
static __always_inline enum passed flow_pass(const struct flow_look *look, const struct passing *p, bool marked)
{
	struct xsr_flow_counts *counts = look->counts;
	struct xsr_flow *flow = look->flow;
	enum passed passed = PASSED_NOT;

	bpf_spin_lock(&flow->lock);
	if (flow->generation != look->generation || (flow->state == XSR_WAY_HELD && !marked)) {
		passed = PASSED_MOVED;
	} else if (flow->state == XSR_WAY_HELD) {
		counts->held += p->frames;
		flow_count(counts, p);
		passed = PASSED_HELD;
	} else if (flow->state == XSR_WAY_OPEN) {
		flow_count(counts, p);
		__sync_fetch_and_add(&look->to->redirected, p->bytes);
		passed = PASSED_OPEN;
	}
	bpf_spin_unlock(&flow->lock);
	return passed;
}

static __always_inline struct xsr_flow_key flow_key(const struct xsr_conn *from, __u64 id)
{
	struct xsr_flow_key key = { .id = id, .service = from->service };

	key.way = from->kind == XSR_CONN_LINK ? XSR_WAY_REPLIES : XSR_WAY_REQUESTS;
	return key;
}

/* Frames of a session pass while their run is cut, if its way is open, to this target (0 = any). Where they go, 0 if they do not pass now. */
static __always_inline __u32 frames_pass(const struct xsr_conn *from, __u32 number, __u64 id, const struct passing *p, __u32 target)
{
	struct xsr_flow_key key = flow_key(from, id);
	struct flow_look look = {};

	if (!flow_look(&look, &key, number) || (target && look.target != target) || look.to->gone)
		return 0;
	return flow_pass(&look, p, false) == PASSED_OPEN ? look.target : 0;
}

/* The way opens if as many frames came out of the lane as went in, so that none is on it. */
static __always_inline void flow_flip(const struct xsr_conn *lane)
{
	struct xsr_flow_key key = { .id = lane->run_id, .service = lane->run_flags >> 1, .way = lane->run_flags & 1 };
	struct xsr_flow *flow = bpf_map_lookup_elem(&flows, &key);
	struct xsr_flow_counts *counts;
	__u32 index;

	if (!flow)
		return;
	index = flow->counts;
	counts = bpf_map_lookup_elem(&flow_counts, &index);
	if (!counts)
		return;
	bpf_spin_lock(&flow->lock);
	if (flow->state == XSR_WAY_HELD && lane->run_seq == ((__u64)flow->generation << 32 | (__u32)counts->held))
		flow->state = XSR_WAY_OPEN;
	bpf_spin_unlock(&flow->lock);
}

#endif /* XSR_STREAM_FLOW_H */
