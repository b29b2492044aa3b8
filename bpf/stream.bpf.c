// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * sk_skb: what a TCP connection sends goes on to another one. `frames`: the parser cuts runs of whole frames that go the same way, the verdict
 * sends them to their sessions' connection. `splice`: no parser, all goes to the peer. Only ever egress: SK_PASS and ingress leave bytes behind
 * or lose them. What cannot be decided here goes to the router, on the slow lane.
 */
#include "stream_flow.h"
#include "stream_stop.h"

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

extern void *bpf_cast_to_kern_ctx(void *ctx) __ksym __weak;
extern void *bpf_rdonly_cast(void *at, __u32 type) __ksym __weak;

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

/* --- the parser --- */

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
