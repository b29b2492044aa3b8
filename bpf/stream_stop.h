/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Sources that are held back: what is let in from them, and when they may go on. */
#ifndef XSR_STREAM_STOP_H
#define XSR_STREAM_STOP_H

#include "stream_conn.h"

#define BREATH_NS 100000000ULL
#define BREATH_LEN_MAX 4096

static __always_inline bool source_is_stopped(struct xsr_conn *from)
{
	__u32 number = from->target;
	struct xsr_conn *to;

	if (from->stop)
		return true;
	if (!number)
		return false;
	to = conn_get(number);
	if (to && !to->gone && conn_is_over(to, to->waiting_max / 2))
		return true; /* as the router saw it last */
	from->target = 0;
	return false;
}

/* The length of the header of a segment, with which it begins here. */
static __always_inline __u32 header_len(struct __sk_buff *skb)
{
	__u8 offset = 0;

	bpf_skb_load_bytes(skb, 12, &offset, sizeof(offset));
	return (offset >> 4) * 4;
}

/*
 * The longer the sender hears nothing, the longer it waits before it tries again. So that it goes on soon when it may, a small segment passes now
 * and then: after a tenth of a second, and then at intervals that grow as the stop does.
 */
static __always_inline bool breathes(struct xsr_conn *from, __u32 len)
{
	__u64 now = bpf_ktime_get_ns(), stopped = from->stopped_ns;

	if (!stopped) {
		from->stopped_ns = from->let_in_ns = now;
		return false;
	}
	if (len > BREATH_LEN_MAX || now - from->let_in_ns < BREATH_NS || now - from->let_in_ns < (now - stopped) / 4)
		return false;
	from->let_in_ns = now;
	return true;
}

/*
 * Whoever has read tells so with a segment: a target whose sources are held back is looked at then, so that they go on as soon as little waits. What is
 * written now will be acknowledged, too.
 */
static __always_inline void drain_look(struct __sk_buff *skb, struct xsr_conn *to, __u32 number)
{
	__u32 low = to->waiting_low;
	struct bpf_sock *sk = skb->sk;
	struct tcp_sock *tcp;

	if (to->told != XSR_TOLD_HIGH || !sk)
		return;
	tcp = bpf_skc_to_tcp_sock(sk);
	if (!tcp)
		return;
	written_note(to, tcp);
	if (!conn_is_over(to, low))
		conn_tell(to, number, XSR_TOLD_LOW);
}

#endif /* XSR_STREAM_STOP_H */
