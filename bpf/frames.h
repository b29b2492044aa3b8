/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Frames in a stream: which of them go on together, and how the slow lane says where they came from. No helper is
 * called and no map touched: it compiles natively and is tested there.
 */
#ifndef XSR_FRAMES_H
#define XSR_FRAMES_H

#include <stdbool.h>

#include "frame.h"
#include "parse.h"

#define RUN_FRAMES_MAX 64

/* Between the router and the kernel's part, on the lane alone; never on a wire. No payload. */
#define FRAME_TARGET 0xf0 /* what is injected goes to the conn `id` from here on */
#define FRAME_FLIP 0xf1	  /* the way `flags & 1` of session `id` of service `flags >> 1` opens, if `seq` is generation << 32 | frames held; it
			   * comes back on the slow lane as it is, behind all that was there before */

/* The 24 bytes before the payload, as three words: eight-byte loads from any copy that is aligned. */
struct frame_words {
	__u64 w[3];
};

/* A frame's header in the host's order. */
struct frame_head {
	__u64 id, seq;
	__u32 len; /* bytes after the len field */
	__u8 version, type;
	__u16 flags;
};

parse_step struct frame_head frame_read(const struct frame_words *words)
{
	__u64 w = be64_to_host(words->w[0]);

	return (struct frame_head){
		.len = w >> 32,
		.version = w >> 24,
		.type = w >> 16,
		.flags = w,
		.id = be64_to_host(words->w[1]),
		.seq = be64_to_host(words->w[2]),
	};
}

/* enum xsr_conn_error: what is wrong with it, 0 if nothing. */
parse_step int frame_judge(const struct frame_head *h, __u32 frame_max)
{
	if (h->len < XSR_FRAME_LEN_MIN || h->len > frame_max)
		return XSR_CONN_BAD_LEN;
	if (h->version != XSR_FRAME_VERSION)
		return XSR_CONN_BAD_VERSION;
	return frame_type_known(h->type) ? 0 : XSR_CONN_BAD_TYPE;
}

/* HELLO, HELLO_ACK, heartbeats, BYE and ERR are for the router. */
parse_step bool frame_is_control(__u8 type)
{
	return type <= XSR_FRAME_BYE || type >= XSR_FRAME_ERROR;
}

/*
 * Frames of a stream that go on together: data of one session, or of several that go the same way, whole but for a first one that stands
 * alone; or one frame of control.
 */
struct frame_run {
	__u64 id, seq; /* of the last frame */
	__u32 len;     /* bytes in all */
	__u32 first;   /* len field of the first frame */
	__u32 n;
	__u16 type;    /* of the first frame, */
	__u16 flags;   /* and its flags */
};

/* enum xsr_conn_error. The first frame need not be all there. */
parse_step int run_begin(struct frame_run *run, const struct frame_words *words, __u32 frame_max)
{
	struct frame_head h = frame_read(words);
	int error = frame_judge(&h, frame_max);

	if (error)
		return error;
	run->id = h.id;
	run->seq = h.seq;
	run->len = h.len + 4;
	run->first = h.len;
	run->n = 1;
	run->type = h.type;
	run->flags = h.flags;
	return 0;
}

/* Whether another frame may follow, if its header is there: a run has so many bytes at most, and `avail` are there from its start. */
parse_step bool run_goes_on(const struct frame_run *run, __u32 avail, __u32 run_max)
{
	return !frame_is_control(run->type) && run->n < RUN_FRAMES_MAX && run->len < run_max &&
	       run->len + XSR_FRAME_HEADER_LEN <= avail;
}

/* Whether the frame behind it is whole data, and fits. What is wrong with it is for the next run to say. */
parse_step bool run_fits(const struct frame_run *run, const struct frame_head *h, __u32 avail, __u32 frame_max, __u32 run_max)
{
	return !frame_judge(h, frame_max) && !frame_is_control(h->type) && run->len + 4 + h->len <= avail &&
	       run->len + 4 + h->len <= run_max;
}

parse_step void run_take(struct frame_run *run, const struct frame_head *h)
{
	run->len += 4 + h->len;
	run->id = h->id;
	run->seq = h->seq;
	run->n++;
}

/*
 * What a run takes of the kernel's memory while it waits, besides its bytes: a segment its buffers, whose bytes all runs that are cut from it share.
 * What comes in small segments takes many times its bytes.
 */
#define SEGMENT_COST 1280
#define RUN_COST 256

parse_step __u64 waiting_memory(__u64 waiting, __u32 run_avg, __u32 run_cost)
{
	return run_avg ? waiting + waiting / run_avg * run_cost : waiting;
}

/* What the router injects: our own, so of any session. -1 if it is for the kernel's part itself. */
parse_step int injected_begin(struct frame_run *run, const struct frame_words *words)
{
	struct frame_head h = frame_read(words);

	run->id = h.id;
	run->seq = h.seq;
	run->len = h.len + 4;
	run->first = h.len;
	run->n = 1;
	run->type = h.type;
	run->flags = h.flags;
	return h.type == FRAME_TARGET || h.type == FRAME_FLIP ? -1 : 0;
}

parse_step bool injected_take(struct frame_run *run, const struct frame_words *words, __u32 avail, __u32 run_max)
{
	struct frame_head h = frame_read(words);

	if (h.type == FRAME_TARGET || h.type == FRAME_FLIP)
		return false;
	if (h.len > run_max || run->len + 4 + h.len > avail || run->len + 4 + h.len > run_max)
		return false;
	run->len += 4 + h.len;
	run->n++;
	return true;
}

/*
 * On the slow lane a run's first header says where the run came from and whether it was counted as held: 19 bits, 8 of them in the place of
 * the version, which was judged before, 11 above the len field, which needs 21. The other frames of the run have the bits that every frame has;
 * as a mark they would name conn 0, held: so the mark of a source is never that.
 */
#define FRAME_LEN_BITS 21
#define FRAME_LEN_LIMIT (1u << FRAME_LEN_BITS)

struct frame_mark {
	__u32 conn;
	bool held;
};

/* The first five bytes of a marked header. */
parse_step void mark_put(__u8 bytes[5], __u32 len, struct frame_mark mark)
{
	__u32 bits = mark.conn << 1 | mark.held;
	__u32 word = (bits >> 8) << FRAME_LEN_BITS | len;

	bytes[0] = word >> 24;
	bytes[1] = word >> 16;
	bytes[2] = word >> 8;
	bytes[3] = word;
	bytes[4] = bits;
}

/* What takes a mark off again, put in its place. */
parse_step struct frame_mark mark_none(void)
{
	return (struct frame_mark){ XSR_FRAME_VERSION >> 1, XSR_FRAME_VERSION & 1 };
}

/* True if the header is marked. Then *mark, and the header is as it was. */
parse_step bool mark_take(struct xsr_frame *frame, struct frame_mark *mark)
{
	__u32 word = be32_to_host(frame->len);
	__u32 bits = (word >> FRAME_LEN_BITS) << 8 | frame->version;

	if (bits == XSR_FRAME_VERSION)
		return false;
	mark->conn = bits >> 1;
	mark->held = bits & 1;
	frame->len = be32_to_host(word & (FRAME_LEN_LIMIT - 1));
	frame->version = XSR_FRAME_VERSION;
	return true;
}

#endif /* XSR_FRAMES_H */
