/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Connections whose bytes are moved: their maps, and how much may wait for one of them. */
#ifndef XSR_STREAM_CONN_H
#define XSR_STREAM_CONN_H

#include <linux/bpf.h>
#include <bpf/bpf_core_read.h>
#include <bpf/bpf_helpers.h>

#include "frames.h"
#include "types.h"

#define CONNS_DEFAULT 32768

/* The kernel's own, by name. */
struct tcp_sock {
	__u64 bytes_sent, bytes_retrans;
	__u32 write_seq, snd_nxt;
} __attribute__((preserve_access_index));

/*
 * conn -> socket, three times: all that may be sent to; those whose bytes are cut into frames; those whose bytes go to their peer. A socket is
 * a target first, and a source only when it is started: a map that has programs sets them on what is put in.
 */
struct {
	__uint(type, BPF_MAP_TYPE_SOCKHASH);
	__uint(max_entries, CONNS_DEFAULT);
	__type(key, __u32);
	__type(value, __u64);
} targets SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_SOCKHASH);
	__uint(max_entries, CONNS_DEFAULT);
	__type(key, __u32);
	__type(value, __u64);
} frame_sources SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_SOCKHASH);
	__uint(max_entries, CONNS_DEFAULT);
	__type(key, __u32);
	__type(value, __u64);
} splice_sources SEC(".maps");

/* A socket's cookie -> its conn. */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, CONNS_DEFAULT);
	__type(key, __u64);
	__type(value, __u32);
} cookies SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(max_entries, CONNS_DEFAULT);
	__type(key, __u32);
	__type(value, struct xsr_conn);
} conns SEC(".maps");

/* Tells a worker for which of its conns too much waits, or little again. */
struct told_ring {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, 4096);
};

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY_OF_MAPS);
	__uint(max_entries, XSR_WORKERS_MAX);
	__type(key, __u32);
	__array(values, struct told_ring);
} told SEC(".maps");

static __always_inline struct xsr_conn *conn_get(__u32 conn)
{
	return bpf_map_lookup_elem(&conns, &conn);
}

static __always_inline struct xsr_conn *conn_find(struct __sk_buff *skb, __u32 *number)
{
	__u64 cookie = bpf_get_socket_cookie(skb);
	__u32 *conn = bpf_map_lookup_elem(&cookies, &cookie);

	if (!conn)
		return NULL;
	*number = *conn;
	return conn_get(*conn);
}

/* --- how much waits --- */

static __always_inline void conn_tell(struct xsr_conn *to, __u32 number, enum xsr_conn_told what)
{
	__u32 worker = to->worker, before = to->told;
	void *ring = bpf_map_lookup_elem(&told, &worker);

	to->told = what; /* before the router hears of it: it resets this */
	if (!ring || bpf_ringbuf_output(ring, &number, sizeof(number), BPF_RB_FORCE_WAKEUP))
		to->told = before;
}

static __always_inline bool conn_is_over(const struct xsr_conn *to, __u32 limit)
{
	__u64 redirected = to->redirected, written = to->written;

	if (redirected <= written || redirected - written < limit / 16)
		return false;
	return waiting_memory(redirected - written, to->run_avg, to->run_cost) > limit;
}

/* Two CPUs at a time may lose one another's share of it: it is about. */
static __always_inline void run_average(struct xsr_conn *to, __u32 len, bool starts)
{
	__u32 cost = RUN_COST + (starts ? SEGMENT_COST : 0);

	to->run_avg = to->run_avg - (to->run_avg >> 4) + (len >> 4) + 1;
	to->run_cost = to->run_cost - (to->run_cost >> 4) + (cost >> 4);
}

/* All that was handed to TCP, as TCP_INFO would tell. */
static __always_inline void written_note(struct xsr_conn *to, const struct tcp_sock *tcp)
{
	to->written = tcp->bytes_sent - tcp->bytes_retrans + (tcp->write_seq - tcp->snd_nxt) - to->written_before;
}

static __always_inline void written_look(struct xsr_conn *to, __u32 number)
{
	struct bpf_sock *sk = bpf_map_lookup_elem(&targets, &number);
	struct tcp_sock *tcp;

	if (!sk)
		return;
	tcp = bpf_skc_to_tcp_sock(sk);
	if (tcp)
		written_note(to, tcp);
	bpf_sk_release(sk);
}

/*
 * The kernel queues without bound. Of too much the router is told, to slow the source; it is not always in time: then what the source sends is
 * not let in from here on, until half of what waits is written.
 */
static __always_inline void conn_bound(struct xsr_conn *from, struct xsr_conn *to, __u32 number)
{
	__u32 high = to->waiting_high, limit = to->waiting_max;

	if (!conn_is_over(to, high))
		return;
	written_look(to, number); /* as it was seen last it is over again and again */
	if (!conn_is_over(to, high))
		return;
	if (to->told != XSR_TOLD_HIGH)
		conn_tell(to, number, XSR_TOLD_HIGH);
	if (from->kind != XSR_CONN_LANE && conn_is_over(to, limit))
		from->target = number;
}

#endif /* XSR_STREAM_CONN_H */
