/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * TCP connections whose bytes the kernel moves: whole frames by session (`frames`), or all that comes from one to the other of a
 * pair (`splice`). What the kernel cannot decide goes the slow lane: to user space, in order, with the connection that it
 * came from. Nothing is lost in any of this but what a connection that dies has not yet written.
 *
 * A struct sockmap belongs to one thread, its sockets and flows too; several may share one struct stream (loader/stream.h), which outlives
 * them. Callbacks are called from sockmap_poll() alone, and may call anything here but sockmap_poll() and sockmap_close().
 *
 * The order of a client's joining: read its HELLO from the descriptor, whole frames and nothing behind them; sockmap_add();
 * sockmap_flow_add(); sockmap_start(). From sockmap_add() on nobody but sockmap_send() may write to the descriptor (frames would tear), nobody
 * may read from it, and only sockmap_remove() closes it. The caller watches it for EPOLLRDHUP, EPOLLERR and EPOLLHUP, and
 * nothing else: sockmap_end() then says what happened.
 */
#ifndef XSR_SOCKMAP_H
#define XSR_SOCKMAP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "chunk.h"
#include "frame.h"
#include "stream_load.h"

struct sockmap;
struct sockmap_socket;
struct sockmap_flow;

enum sockmap_kind {
	SOCKMAP_CLIENT, /* its data frames go to their session's link */
	SOCKMAP_LINK,	/* to a backend: its data frames go to their session's client */
	SOCKMAP_PAIR,	/* all that it sends goes to the other one of its pair */
};

/* The two ways of a session. Each is open, or held: then its data frames wait in user space, in order. */
enum sockmap_way {
	SOCKMAP_REQUESTS, /* client to link */
	SOCKMAP_REPLIES,  /* link to client */
	SOCKMAP_WAYS
};

/* A connection, as its owner sees it. Read only. */
struct sockmap_view {
	int fd;
	enum sockmap_kind kind;
	uint32_t service;
	void *owner;
	unsigned int n_flows;
};

/* What the kernel counted of a session. */
struct sockmap_counts {
	uint64_t asked, answered;     /* seq of the last request and reply that went through, slow lane included */
	uint64_t n_asked, n_answered; /* frames */
	uint64_t asked_bytes, answered_bytes;
};

/* A frame of the slow lane; borrowed until the callback returns. */
struct sockmap_frame {
	const struct xsr_frame *header;
	const void *data;	    /* the whole frame, header included */
	size_t len;
	struct sockmap_socket *from;
	struct sockmap_flow *flow;  /* of the frame's ID on that service, or NULL; it may be another connection's: see sockmap_flow_client() */
};

struct sockmap_events {
	/*
	 * A frame that the kernel did not pass on: control (HELLO, HELLO_ACK, HB, BYE, ERR) of any ID, data of no session, of a session
	 * that is another connection's, or that is lost. Frames of one connection come in order among themselves; they are later than
	 * what the kernel passed on before them.
	 */
	void (*frame)(const struct sockmap_frame *frame, void *arg);
	/* After sockmap_flow_hold(): all that went that way before is written to its connection. */
	void (*drained)(struct sockmap_flow *flow, enum sockmap_way way, void *arg);
	/* After sockmap_flow_release(): what waited has gone on, and the kernel passes frames on by itself again. */
	void (*released)(struct sockmap_flow *flow, enum sockmap_way way, void *arg);
};

struct sockmap_options {
	unsigned int worker;	  /* its share of stream's connections: each worker opens one */
	size_t memory_max;	  /* of what waits in user space: held, or to be sent */
	uint32_t backlog_high;	  /* memory of what is redirected and not yet written to a connection: above, those that feed it are slowed */
	uint32_t backlog_low;	  /* and below let go again; 0 = defaults of 1 MiB and 256 KiB */
	uint32_t backlog_max;	  /* the same, above which the kernel lets nothing more in from them, should this thread be late; 0 = 4 MiB */
	uint32_t rcvbuf;	  /* of each connection; raised to what frame_max needs; 0 = 256 KiB */
	uint32_t half_frame_ms;	  /* a client's frame that is not whole after so long ends its connection, also if it is slowed that long:
				     more than a target may be full before it is given up; 0 = 60 s */
	const struct sockmap_events *events;
	void *arg;		  /* of the events */
};

/* 0 and *out, or -errno and a sentence. The stream is borrowed until sockmap_close(). */
int sockmap_open(struct sockmap **out, struct stream *stream, const struct sockmap_options *options, char why[STREAM_WHY_LEN]);
void sockmap_close(struct sockmap *sm); /* takes NULL; closes all its connections */

/* To be watched for EPOLLIN: then, and every 10 ms while sockmap_busy(), sockmap_poll(). */
int sockmap_fd(const struct sockmap *sm);
bool sockmap_busy(const struct sockmap *sm); /* something waits: a backlog, a hold, something to send */

/* Reads the slow lane, sends what waits, slows those whose targets are full and lets them go. 0, or -errno: this sockmap is of no use any more. */
int sockmap_poll(struct sockmap *sm);

/*
 * A connected socket: from now on it can be sent to; what it sends waits until sockmap_start(). fd becomes the sockmap's. What user
 * space wrote to it before is written out by now or will be by the kernel: no queue of the caller may hold more for it. frame_max: the
 * most that a len field may say. -ENFILE: this worker's share of connections is used up, for now; -EBUSY: fd is in use by another
 * program; -EOPNOTSUPP: its peer has ended its way. With an error fd stays the caller's.
 */
int sockmap_add(struct sockmap *sm, int fd, enum sockmap_kind kind, uint32_t service, uint32_t frame_max, void *owner,
		struct sockmap_socket **out);
/* Two added with SOCKMAP_PAIR: joined to one another, before either is started. */
void sockmap_pair(struct sockmap_socket *a, struct sockmap_socket *b);
/* Lets bytes flow: what came before first, in order. 0 or -errno: as if its peer has ended its way already. */
int sockmap_start(struct sockmap_socket *s);
/* One that is not started: its descriptor is the caller's again, with all that came. */
void sockmap_give_back(struct sockmap_socket *s);
/*
 * Closes it, at once: what is redirected to it and not yet written is lost (sockmap_drained() tells), and so is what it sent
 * and was not read. Its flows must be cleared, or given to another, before; those of a link are lost, see sockmap_lose().
 */
void sockmap_remove(struct sockmap_socket *s);
const struct sockmap_view *sockmap_view(const struct sockmap_socket *s);

/* Why a connection that stirred carries no more. */
enum sockmap_end {
	SOCKMAP_END_NONE,	/* it does */
	SOCKMAP_END_FIN,	/* all that it sent was passed on, or handed out here; it can still be written to */
	SOCKMAP_END_UNREAD,	/* it ended, but bytes before the end are not passed on yet: ask again in some milliseconds */
	SOCKMAP_END_HALF_FRAME, /* likewise, and they will never be a frame */
	SOCKMAP_END_LATE,	/* a frame was not whole in time */
	SOCKMAP_END_RESET,	/* or another error */
	SOCKMAP_END_BAD_LEN,
	SOCKMAP_END_BAD_VERSION,
	SOCKMAP_END_BAD_TYPE,
};
enum sockmap_end sockmap_end(struct sockmap_socket *s);

/* Bytes for it that the kernel has not written to it yet, and what waits here; 0 = drained: shutdown loses nothing. */
uint64_t sockmap_backlog(struct sockmap_socket *s);
static inline bool sockmap_drained(struct sockmap_socket *s)
{
	return sockmap_backlog(s) == 0;
}
uint64_t sockmap_redirected(const struct sockmap_socket *s); /* bytes to it, ever; counted before they are queued */
uint64_t sockmap_written(struct sockmap_socket *s);	     /* those of them that were written to it */
uint64_t sockmap_received(const struct sockmap_socket *s);   /* bytes from it that were passed on or read here */

/* More waits for it than may, and those that send to it are slowed. */
bool sockmap_is_full(const struct sockmap_socket *s);
/* It is slowed itself, for a connection that is full, or a move: that nothing comes of it is not its peer's doing. */
bool sockmap_is_slowed(const struct sockmap_socket *s);
/* It reads nothing, and no flow is to go there: it is heard no more, and that it is full stops nobody, until it is choked no more. */
void sockmap_choke(struct sockmap_socket *s, bool choked);

/*
 * Bytes from it that took the slow lane, ever, and those of them that came out of it: when these are as many as those were, all that was on its way
 * there has been handed out. What is judged after this sees every flow as it is now.
 */
uint64_t sockmap_laned(const struct sockmap_socket *s);
uint64_t sockmap_lane_taken(const struct sockmap_socket *s);

/* Whole frames to a connection, by the only way there is; copied. -EAGAIN: memory_max is used up, nothing was sent. */
int sockmap_send(struct sockmap_socket *to, const void *data, size_t len);
int sockmap_send_queue(struct sockmap_socket *to, const struct chunk_queue *from, size_t len); /* its first len bytes */
size_t sockmap_pending(const struct sockmap_socket *to); /* bytes that were sent so and wait here */
size_t sockmap_room(const struct sockmap *sm);		 /* what is left of memory_max */

/*
 * A session: data frames of this ID that come from `client` go to `link`, those that come from any link of the service go to `client`.
 * Either may be NULL: frames that would go there are held. A way that begins held is let go by sockmap_flow_release(). -EEXIST: the ID has one;
 * -ENOMEM: as many as there may be.
 */
int sockmap_flow_add(struct sockmap *sm, uint32_t service, uint64_t id, struct sockmap_socket *client, struct sockmap_socket *link,
		     bool hold_requests, bool hold_replies, void *owner, struct sockmap_flow **out);
/* Ends a session: its frames are of no session from now on; what is held of it is dropped. */
void sockmap_flow_remove(struct sockmap_flow *flow);
struct sockmap_flow *sockmap_flow_find(struct sockmap *sm, uint32_t service, uint64_t id); /* or NULL */
void *sockmap_flow_owner(const struct sockmap_flow *flow);
uint64_t sockmap_flow_id(const struct sockmap_flow *flow);
struct sockmap_socket *sockmap_flow_client(const struct sockmap_flow *flow);
struct sockmap_socket *sockmap_flow_link(const struct sockmap_flow *flow);
void sockmap_flow_counts(const struct sockmap_flow *flow, struct sockmap_counts *counts);

/*
 * Ordered moves, in three steps. Hold: at once no frame goes that way any more, they wait here in order, and their source is slowed. `drained`
 * is called when all that went before is written to its connection (whether its peer has read it, only the peer can tell: a heartbeat asks).
 * Then release, to the same connection or another: what waited is sent there, in order, and then the kernel goes on. -EBUSY: it is held already, or
 * being released.
 */
int sockmap_flow_hold(struct sockmap_flow *flow, enum sockmap_way way);
int sockmap_flow_release(struct sockmap_flow *flow, enum sockmap_way way, struct sockmap_socket *to);
/*
 * The session has another client connection: requests come from it from now on, what is held of the old one's is dropped. Both ways are held, at
 * once, without `drained`: first the client and the backend have to agree where they stand. 0 or -errno.
 */
int sockmap_flow_take(struct sockmap_flow *flow, struct sockmap_socket *client);
/* No frame of the session passes any more: they come to events.frame. What is held is dropped. */
void sockmap_flow_lose(struct sockmap_flow *flow);

/*
 * A connection died: from this call on nothing is redirected to it. Its flows are lost as by sockmap_flow_lose(), and fn is
 * told of each, with what had been asked and answered; it may remove the flow. sockmap_remove() comes after.
 */
void sockmap_lose(struct sockmap_socket *s, void (*fn)(struct sockmap_flow *flow, const struct sockmap_counts *counts, void *arg), void *arg);

/* What became of bytes, over all its connections; for operators and tests. */
struct sockmap_stats {
	uint64_t lane_frames, lane_bytes; /* through user space */
	uint64_t slowed, stopped;	  /* times that a connection was slowed, and stopped where that was not enough */
	uint64_t held_max;		  /* frames held at a time, the most */
	uint64_t backlog_max;		  /* memory that waits for one connection, the most that was seen */
	uint64_t dropped;		  /* frames, by the kernel's part: their target was gone, or no memory */
};
void sockmap_stats(const struct sockmap *sm, struct sockmap_stats *stats);

/*
 * Known bytes through the real programs: 0, or -errno and a sentence that says what this kernel does wrong with `mode`. Takes less than
 * 300 ms. Before others use the stream.
 */
int sockmap_self_test(struct stream *stream, enum xsr_stream_mode mode, char why[STREAM_WHY_LEN]);

#endif /* XSR_SOCKMAP_H */
