// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * sk_skb: what a TCP connection sends goes on to another one. `frames`: the parser cuts runs of whole frames of one session, the verdict
 * sends them to the session's connection. `splice`: no parser, all goes to the peer. Only ever egress: SK_PASS and ingress leave bytes behind
 * or lose them. What cannot be decided here goes to the router, on the slow lane.
 */
#include <linux/bpf.h>
#include <bpf/bpf_core_read.h>
#include <bpf/bpf_helpers.h>

#include "frames.h"
#include "types.h"

#define CONNS_DEFAULT 32768
#define FLOWS_DEFAULT 65536
#define BREATH_NS 100000000ULL
#define BREATH_LEN_MAX 4096
#define MOVED_TRIES 8 /* a session's target changes once in milliseconds, the program runs for a microsecond */

/* The kernel's own, by name: where in its segment a message begins. */
struct strp_msg {
	int full_len;
	int offset;
} __attribute__((preserve_access_index));

struct _strp_msg {
	struct strp_msg strp;
} __attribute__((preserve_access_index));

struct sk_skb_cb {
	struct _strp_msg strp;
} __attribute__((preserve_access_index));

struct sk_buff {
	char cb[48];
} __attribute__((preserve_access_index));

struct tcp_sock {
	__u64 bytes_sent, bytes_retrans;
	__u32 write_seq, snd_nxt;
} __attribute__((preserve_access_index));

extern void *bpf_cast_to_kern_ctx(void *ctx) __ksym __weak;
extern void *bpf_rdonly_cast(void *at, __u32 type) __ksym __weak;

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

/* The program gets the whole segment; the message begins somewhere in it. */
static __always_inline __u32 message_offset(struct __sk_buff *skb)
{
	struct sk_buff *k = bpf_cast_to_kern_ctx(skb);
	struct sk_skb_cb *cb = bpf_rdonly_cast(&k->cb, bpf_core_type_id_kernel(struct sk_skb_cb));

	return cb->strp.strp.offset;
}

static __always_inline bool words_load(struct __sk_buff *skb, __u32 at, struct frame_words *words)
{
	return bpf_skb_load_bytes(skb, at, words, sizeof(*words)) == 0;
}

static __always_inline void run_note(struct xsr_conn *c, const struct frame_run *run, __u32 at)
{
	c->run_starts = at == 0;
	c->run_id = run->id;
	c->run_seq = run->seq;
	c->run_len = run->len;
	c->run_first = run->first;
	c->run_frames = run->n;
	c->run_type = run->type;
	c->run_flags = run->flags;
}

/* --- sessions --- */

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

/* --- the parser --- */

/* Frames of a session pass while their run is cut, if its way is open, to this target (0 = any). Where they go, 0 if they do not pass now. */
static __always_inline __u32 frames_pass(const struct xsr_conn *from, __u32 number, __u64 id, const struct passing *p, __u32 target)
{
	struct xsr_flow_key key = flow_key(from, id);
	struct flow_look look = {};

	if (!flow_look(&look, &key, number) || (target && look.target != target) || look.to->gone)
		return 0;
	return flow_pass(&look, p, false) == PASSED_OPEN ? look.target : 0;
}

/*
 * Whether a frame goes on with the run. One of the same session does, and the verdict decides. If it is another one's, both must go to the same
 * target: that is decided here, as what is whole goes to the verdict at once.
 */
static __always_inline bool run_joins(struct xsr_conn *c, __u32 number, const struct frame_run *run, const struct frame_head *h)
{
	const struct passing before = { run->seq, run->n, run->len }, next = { h->seq, 1, h->len + 4 };

	if (!c->run_target && h->id == run->id)
		return true;
	if (!c->run_target)
		c->run_target = frames_pass(c, number, run->id, &before, 0);
	return c->run_target && frames_pass(c, number, h->id, &next, c->run_target);
}

static __always_inline int cut_frames(struct __sk_buff *skb, struct xsr_conn *c, __u32 number, __u32 at, __u32 avail,
				      struct frame_words *words)
{
	__u32 frame_max = c->frame_max, run_max = c->run_max;
	struct frame_head head;
	struct frame_run run;
	int i;

	c->error = run_begin(&run, words, frame_max);
	if (c->error)
		return -71; /* EPROTO: ends the connection. 0 or a length below the header's would stall it silently */
	c->run_target = 0;
	for (i = 1; i < RUN_FRAMES_MAX && run_goes_on(&run, avail, run_max); i++) {
		if (!words_load(skb, at + run.len, words))
			break;
		head = frame_read(words);
		if (!run_fits(&run, &head, avail, frame_max, run_max) || !run_joins(c, number, &run, &head))
			break;
		run_take(&run, &head);
	}
	run_note(c, &run, at);
	return run.len;
}

static __always_inline int cut_injected(struct __sk_buff *skb, struct xsr_conn *c, __u32 at, __u32 avail, struct frame_words *words)
{
	__u32 run_max = c->run_max;
	struct frame_run run;
	int i, more = injected_begin(&run, words);

	for (i = 1; !more && i < RUN_FRAMES_MAX && run.len < run_max && run.len + XSR_FRAME_HEADER_LEN <= avail; i++)
		if (!words_load(skb, at + run.len, words) || !injected_take(&run, words, avail, run_max))
			break;
	run_note(c, &run, at);
	return run.len;
}

SEC("sk_skb/stream_parser")
int xsr_cut(struct __sk_buff *skb)
{
	__u32 number, at = message_offset(skb), avail = skb->len - at;
	struct xsr_conn *c = conn_find(skb, &number);
	struct frame_words words;

	if (!c)
		return -71;
	if (skb->len < at + XSR_FRAME_HEADER_LEN || !words_load(skb, at, &words))
		return 0; /* more of the header first */
	return c->kind == XSR_CONN_LANE ? cut_injected(skb, c, at, avail, &words) : cut_frames(skb, c, number, at, avail, &words);
}

/* --- the verdict --- */

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

/* `redirected` was counted already. */
static __always_inline int conn_send(struct __sk_buff *skb, struct xsr_conn *from, struct xsr_conn *to, __u32 number, __u32 frames,
				       __u32 len)
{
	run_average(to, len, from->run_starts);
	conn_bound(from, to, number);
	if (bpf_sk_redirect_hash(skb, &targets, &number, 0) == SK_PASS)
		return SK_PASS;
	/* It was closed in this moment: what was on its way to it is lost in any case. */
	__sync_fetch_and_add(&to->dropped, frames);
	return SK_DROP;
}

/* The run's first header says where it came from. False: no memory. */
static __always_inline bool run_mark(struct __sk_buff *skb, const struct xsr_conn *from, struct frame_mark mark)
{
	__u8 bytes[5];

	mark_put(bytes, from->run_first, mark);
	return bpf_skb_store_bytes(skb, message_offset(skb), bytes, sizeof(bytes), 0) == 0;
}

/* The connection has a gap, and the router ends it: what comes behind would be out of order. */
static __always_inline int run_lose(struct xsr_conn *from)
{
	from->lost += from->run_len;
	return SK_DROP;
}

static __always_inline int lane_redirect(struct __sk_buff *skb, struct xsr_conn *from)
{
	__u32 lane = from->lane;
	struct xsr_conn *to = conn_get(lane);

	if (!to)
		return run_lose(from);
	from->laned += from->run_len;
	__sync_fetch_and_add(&to->redirected, from->run_len);
	return conn_send(skb, from, to, lane, from->run_frames, from->run_len);
}

static __always_inline int lane_send(struct __sk_buff *skb, struct xsr_conn *from, __u32 number)
{
	return run_mark(skb, from, (struct frame_mark){ number, false }) ? lane_redirect(skb, from) : run_lose(from);
}

/* What is counted as held must come out of the lane: so it is marked before, which may fail. */
static __always_inline int session_send(struct __sk_buff *skb, struct xsr_conn *from, __u32 number, const struct xsr_flow_key *key)
{
	const struct passing run = { from->run_seq, from->run_frames, from->run_len };
	enum passed passed = PASSED_MOVED;
	struct flow_look look = {};
	bool marked = false;
	int i;

	for (i = 0; i < MOVED_TRIES && passed == PASSED_MOVED; i++) {
		if (!flow_look(&look, key, number))
			return lane_send(skb, from, number);
		if (!marked && look.flow->state == XSR_WAY_HELD) {
			marked = run_mark(skb, from, (struct frame_mark){ number, true });
			if (!marked)
				return run_lose(from);
		}
		passed = look.to->gone ? PASSED_NOT : flow_pass(&look, &run, marked);
	}
	if (passed == PASSED_HELD)
		return lane_redirect(skb, from);
	if (passed != PASSED_OPEN)
		return lane_send(skb, from, number);
	if (marked)
		run_mark(skb, from, mark_none()); /* it can be written to by now */
	return conn_send(skb, from, look.to, look.target, from->run_frames, from->run_len);
}

static __always_inline int session_judge(struct __sk_buff *skb, struct xsr_conn *from, __u32 number)
{
	struct xsr_flow_key key = flow_key(from, from->run_id);
	__u32 target = from->run_target;
	struct xsr_conn *to;

	if (frame_is_control(from->run_type))
		return lane_send(skb, from, number);
	if (!target)
		return session_send(skb, from, number, &key);
	to = conn_get(target);
	return to ? conn_send(skb, from, to, target, from->run_frames, from->run_len) : run_lose(from);
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

static __always_inline int inject(struct __sk_buff *skb, struct xsr_conn *lane)
{
	__u32 target = lane->target;
	struct xsr_conn *to;

	if (lane->run_type == FRAME_TARGET) {
		lane->target = lane->run_id;
		return SK_DROP; /* it has arrived */
	}
	if (lane->run_type == FRAME_FLIP) {
		flow_flip(lane);
		return lane_redirect(skb, lane); /* without a mark, which could fail: nobody else says this */
	}
	to = conn_get(target);
	if (!to)
		return SK_DROP;
	__sync_fetch_and_add(&to->injected, lane->run_len);
	__sync_fetch_and_add(&to->redirected, lane->run_len);
	return conn_send(skb, lane, to, target, lane->run_frames, lane->run_len);
}

SEC("sk_skb/stream_verdict")
int xsr_frames(struct __sk_buff *skb)
{
	__u32 number;
	struct xsr_conn *from = conn_find(skb, &number);

	if (!from)
		return SK_DROP; /* being closed */
	from->passed += from->run_len;
	return from->kind == XSR_CONN_LANE ? inject(skb, from) : session_judge(skb, from, number);
}

/* The one program without a parser: also what kernels before 6.2 can load. */
SEC("sk_skb/stream_verdict")
int xsr_splice(struct __sk_buff *skb)
{
	__u32 number, peer;
	struct xsr_conn *from = conn_find(skb, &number);
	struct xsr_conn *to;

	if (!from)
		return SK_DROP; /* being closed */
	peer = from->peer;
	to = conn_get(peer);
	if (!to)
		return SK_DROP;
	from->passed += skb->len;
	from->run_starts = true;
	__sync_fetch_and_add(&to->redirected, skb->len);
	return conn_send(skb, from, to, peer, 1, skb->len);
}

/* --- what is let in --- */

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

/*
 * Before TCP sees a segment of a source that is stopped: if it has bytes it is dropped, so that its sender keeps it and sends it again, as if it
 * was lost on the way. What has none, acknowledgements and a bare FIN, passes.
 */
SEC("socket")
int xsr_let_in(struct __sk_buff *skb)
{
	__u32 number;
	struct xsr_conn *from = conn_find(skb, &number);

	if (!from)
		return skb->len;
	drain_look(skb, from, number);
	if (from->kind == XSR_CONN_LANE)
		return skb->len;
	if (!source_is_stopped(from)) {
		if (from->stopped_ns)
			from->stopped_ns = 0;
		return skb->len;
	}
	if (skb->len <= header_len(skb) || breathes(from, skb->len))
		return skb->len;
	return 0;
}

char LICENSE[] SEC("license") = "Dual BSD/GPL";
