/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The contract: every structure that the kernel's programs and user space
 * share is written here and nowhere else. Both sides include this file; it
 * includes nothing but the kernel's own types.
 */
#ifndef XSR_TYPES_H
#define XSR_TYPES_H

#include <linux/bpf.h>
#include <linux/types.h>

#define XSR_SERVICES_MAX 64	 /* index 0 stands for "no service" */
#define XSR_WORKERS_MAX 64	 /* a power of two: slots are computed by shifting */
#define XSR_QUEUES_MAX 64	 /* receive queues of all devices of an instance */
#define XSR_DEVICES_MAX 64	 /* a power of two: indexed by the low bits of ifindex */
#define XSR_SLOTS_MAX (XSR_QUEUES_MAX * XSR_WORKERS_MAX)
#define XSR_BUCKETS_MAX 4096	 /* of the `hash` default; a power of two */
#define XSR_ALTERNATIVES_MAX 4
#define XSR_BACKENDS_MAX 64	 /* index 0 stands for "no backend" */
#define XSR_SERVICES_PER_PORT_MAX 8
#define XSR_NAME_LEN 32
#define XSR_RULE_LEN 80
#define XSR_PAYLOAD_MAX 0x3fff	 /* longer than any frame XDP sees in one buffer */
#define XSR_OFFSET_MAX 2047	 /* where a rule may look */
#define XSR_DENSE_DEFAULT (1u << 20)  /* dense routes of an instance */
#define XSR_ROUTES_DEFAULT (1u << 20) /* hashed routes of an instance */

/* What is done with a message. A route word of all zeroes is no route. */
enum xsr_action {
	XSR_ACTION_NONE = 0,
	XSR_ACTION_PASS = 1,	/* to the kernel's stack */
	XSR_ACTION_DROP = 2,
	XSR_ACTION_WORKER = 3,	/* target: the worker's number */
	XSR_ACTION_HASH = 4,	/* only as a default: spread over the workers, or a TCP service's backends */
	XSR_ACTION_BACKEND = 5, /* target: the backend's number; TCP services only */
	XSR_ACTION_MAX
};

/*
 * What happened to a message: the hook counts exactly one of these for each
 * message it sees, so they sum up to what it saw. The sixteen `default`
 * counters are laid out as reason * 4 + result; see xsr_stat_default().
 */
enum xsr_stat {
	/* The session's route was followed. */
	XSR_STAT_ROUTE_WORKER, /* 0: no step of parsing returns it */
	XSR_STAT_ROUTE_PASS,
	XSR_STAT_ROUTE_DROP,
	XSR_STAT_ROUTE_UNKNOWN_ACTION, /* dropped: a word this program cannot read */

	/* Not ours, or not to be judged here: to the kernel's stack. */
	XSR_STAT_NOT_IP,
	XSR_STAT_NOT_UDP,
	XSR_STAT_FRAGMENT,
	XSR_STAT_NO_SERVICE,
	XSR_STAT_BAD_ETHERNET,
	XSR_STAT_BAD_IPV4,
	XSR_STAT_BAD_IPV6,
	XSR_STAT_BAD_UDP,
	XSR_STAT_TOO_MANY_HEADERS,

	/* A frame of ours that breaks the format: dropped. */
	XSR_STAT_FRAME_BAD_LEN,
	XSR_STAT_FRAME_BAD_VERSION,
	XSR_STAT_FRAME_BAD_TYPE,

	/* The service's default action was taken: why, and what came of it. */
	XSR_STAT_NO_ID_PASS,
	XSR_STAT_NO_ID_DROP,
	XSR_STAT_NO_ID_HASH,
	XSR_STAT_NO_ID_NO_WORKER,
	XSR_STAT_NO_ROUTE_PASS,
	XSR_STAT_NO_ROUTE_DROP,
	XSR_STAT_NO_ROUTE_HASH,
	XSR_STAT_NO_ROUTE_NO_WORKER,
	XSR_STAT_STALE_ID_PASS,
	XSR_STAT_STALE_ID_DROP,
	XSR_STAT_STALE_ID_HASH,
	XSR_STAT_STALE_ID_NO_WORKER,
	XSR_STAT_WORKER_GONE_PASS,
	XSR_STAT_WORKER_GONE_DROP,
	XSR_STAT_WORKER_GONE_HASH,
	XSR_STAT_WORKER_GONE_NO_WORKER,
	XSR_STAT_MAX
};

/* Why a service's default action is taken. */
enum xsr_reason {
	XSR_REASON_NO_ID,	/* no alternative of the rule matched */
	XSR_REASON_NO_ROUTE,	/* the ID has no route */
	XSR_REASON_STALE_ID,	/* the dense slot belongs to another generation of the ID */
	XSR_REASON_WORKER_GONE, /* the route's worker has no socket on this queue */
	XSR_REASON_MAX
};

/* What came of it. */
enum xsr_result {
	XSR_RESULT_PASS,
	XSR_RESULT_DROP,
	XSR_RESULT_HASH,      /* a worker got it */
	XSR_RESULT_NO_WORKER, /* `hash`, but no worker runs: to the stack */
	XSR_RESULT_MAX
};

#define xsr_stat_default(reason, result) (XSR_STAT_NO_ID_PASS + (reason) * XSR_RESULT_MAX + (result))

_Static_assert(xsr_stat_default(XSR_REASON_WORKER_GONE, XSR_RESULT_NO_WORKER) == XSR_STAT_MAX - 1,
	       "the default counters are reason * 4 + result");

/* The value of a per-CPU counter entry; one entry a service, 0 for no service. */
struct xsr_counters {
	__u64 n[XSR_STAT_MAX];
};

/*
 * A route, one 8-byte word, the same in both tables. In the dense table user
 * space stores it with one atomic store while the kernel reads it.
 */
struct xsr_route {
	__u16 generation;    /* counts the changes of this route, from 1; wraps past 0 */
	__u8 action;	     /* enum xsr_action */
	__u8 flags;	     /* none yet; 0 */
	__u16 target;	     /* number of the worker or backend */
	__u16 id_generation; /* bits 48..63 of the ID; tells a dense slot's reuse apart */
} __attribute__((aligned(8)));
_Static_assert(sizeof(struct xsr_route) == 8, "a route is one word");

/* Key of the hashed routes. */
struct xsr_route_key {
	__u64 id;
	__u32 service;
	__u32 pad; /* 0 */
};
_Static_assert(sizeof(struct xsr_route_key) == 16, "no hidden padding in a key");

/* An ID that xsr hands out: generation 16 | node 16 | index 32. */
#define xsr_id_generation(id) ((__u16)((id) >> 48))
#define xsr_id_node(id) ((__u16)((id) >> 32))
#define xsr_id_index(id) ((__u32)(id))

/*
 * One way to find the ID, in the form the kernel executes: both loads take the
 * bytes that END at the given place, so that a mask confines them to their
 * width and no load runs past the payload. config/profile.c
 * compiles it from the operator's text.
 */
struct xsr_alternative {
	__u64 id_mask;	    /* after the shift */
	__u32 match_mask;   /* (4 bytes ending at match_end) & match_mask == match_value */
	__u32 match_value;
	__u16 match_end;    /* from the payload's start; 0 = matches always */
	__u16 id_end;	    /* where the ID ends: from the start, or back from the end */
	__u8 id_width;	    /* 1..8 bytes */
	__u8 id_shift;	    /* of the 8 bytes ending there */
	__u8 flags;	    /* XSR_ALT_* */
	__u8 pad;
};
_Static_assert(sizeof(struct xsr_alternative) == 24, "size is part of the contract");

#define XSR_ALT_FROM_END 0x1	 /* id_end counts back from the payload's end */
#define XSR_ALT_LITTLE_ENDIAN 0x2 /* the 8 bytes are read as little endian */

/* How the bytes of a TCP service's connections go on. */
enum xsr_stream_mode {
	XSR_STREAM_NONE = 0, /* a UDP service */
	XSR_STREAM_EPOLL,    /* frames by session, moved by the worker */
	XSR_STREAM_FRAMES,   /* frames by session, moved by the kernel (sockmap) */
	XSR_STREAM_SPLICE,   /* a connection of its own to a backend for each client's, joined in the kernel */
	XSR_STREAM_RELAY,    /* the same, moved by the worker */
	XSR_STREAM_LOCAL,    /* both ends are sockets of this host, in one cgroup: joined by the kernel */
	XSR_STREAM_MAX
};

/* A service. The head and the first alternative share a cache line. */
struct xsr_service {
	__be32 addr[4];	      /* IPv4 in addr[3]; see flags */
	__be16 port;
	__u8 proto;	      /* IPPROTO_UDP, IPPROTO_TCP */
	__u8 flags;	      /* XSR_SERVICE_* */
	__u16 next;	      /* the next service on this port, 0 = none */
	__u8 n_alternatives;
	__u8 default_action;  /* enum xsr_action */
	__u32 dense_base;     /* first slot in the dense table */
	__u32 dense_len;      /* 0 = all routes are hashed */
	__u16 node;	      /* dense IDs carry this node number */
	__u16 pad;
	__u32 stamp_interval; /* 0 = off, 1 = every message, N = one of N */
	struct xsr_alternative alternatives[XSR_ALTERNATIVES_MAX];
	char name[XSR_NAME_LEN]; /* zero terminated; empty = free entry */
	char rule[XSR_RULE_LEN]; /* as the operator wrote it */
	__u64 backends;	      /* that a TCP service may use: a bit each, by number */
	__u32 frame_max;      /* of a TCP service: the most that the len field of a frame may say */
	__u8 mode;	      /* enum xsr_stream_mode, as wished */
	__u8 pad2[3];
	__u8 reserved[56];
};
_Static_assert(sizeof(struct xsr_service) == 320, "size is part of the contract");

#define XSR_SERVICE_IPV4 0x1   /* serves addr[3], or any IPv4 address if ANY */
#define XSR_SERVICE_IPV6 0x2   /* serves addr, or any IPv6 address if ANY */
#define XSR_SERVICE_ANY 0x4    /* the address is not compared */
#define XSR_SERVICE_FRAMED 0x8 /* payloads are our frames and checked as such */

/* What stands behind a TCP service. */
struct xsr_backend {
	__be32 addr[4];	  /* IPv4 in addr[3] */
	__be16 port;
	__u8 family;	  /* 4 or 6; 0 = free entry */
	__u8 pad[5];
	char name[XSR_NAME_LEN];
	__u8 reserved[8];
};
_Static_assert(sizeof(struct xsr_backend) == 64, "size is part of the contract");

/* The first service on a destination port; 0 = none. */
struct xsr_port {
	__u16 udp;
	__u16 tcp;
	__u32 pad; /* array values are 8-aligned when mapped */
};
_Static_assert(sizeof(struct xsr_port) == 8, "size is part of the contract");

/* A device whose queues have sockets; found by the low bits of its ifindex. */
struct xsr_device {
	__u32 ifindex;	  /* 0 = free */
	__u16 queue_base; /* its queue q is queue_base + q of the instance */
	__u16 n_queues;
	__u32 pid;	  /* of the router whose sockets they are */
	__u32 pad;
};
_Static_assert(sizeof(struct xsr_device) == 16, "size is part of the contract");

/*
 * Shadow of the XSKMAP, which user space cannot read: slot queue * 64 + worker.
 * A slot is live if a router said so; whether its socket still exists the
 * redirect itself tells.
 */
struct xsr_slot {
	__u32 ifindex;	     /* the device that the socket is bound to; 0 = not live */
	__u32 pid;	     /* of the router */
	__u64 n_redirected;  /* frames sent its way since it is live, whether or not they found room */
};
_Static_assert(sizeof(struct xsr_slot) == 16, "size is part of the contract");

#define xsr_slot_index(queue, worker) ((queue) * XSR_WORKERS_MAX + (worker))

/*
 * Runs of the program on one receive queue, counted while xsr_switches says so. When both are equal no run is under way,
 * so that whatever was stored before is seen by all that begin.
 */
struct xsr_runs {
	__u64 begun;
	__u64 ended;
	__u64 pad[6];
};
_Static_assert(sizeof(struct xsr_runs) == 64, "a cache line of its own");

/* What the router asks of the program; one entry. */
struct xsr_switches {
	__u32 count_runs;
	__u32 routes_version; /* counts the changes of routes of TCP services: who keeps a copy of one looks again */
};
_Static_assert(sizeof(struct xsr_switches) == 8, "size is part of the contract");

/* One bucket of the `hash` default. */
struct xsr_bucket {
	__u32 worker; /* number + 1; 0 = no worker runs */
	__u32 pad;
};
_Static_assert(sizeof(struct xsr_bucket) == 8, "size is part of the contract");

/* In the metadata right before a stamped frame. */
struct xsr_stamp {
	__u32 magic;
	__u16 generation; /* of the route that was followed; 0 = by default action */
	__u16 service;
	__u64 time_ns;	  /* CLOCK_MONOTONIC when the kernel's program saw the frame */
};
_Static_assert(sizeof(struct xsr_stamp) == 16, "metadata is a multiple of 4, at most 32");

#define XSR_STAMP_MAGIC 0x78737231 /* "xsr1" */

/*
 * What a worker counts, written by its thread alone, read by anyone. An entry
 * that has a pid belongs to a router that ran; whether it still does, the pid
 * and the start time tell.
 */
enum xsr_worker_stat {
	XSR_WORKER_STAT_RX,	       /* messages received */
	XSR_WORKER_STAT_TX,	       /* messages handed to the kernel for sending */
	XSR_WORKER_STAT_RX_BYTES,      /* payload */
	XSR_WORKER_STAT_TX_BYTES,      /* payload */
	XSR_WORKER_STAT_BAD_PACKET,    /* not a datagram that this worker can parse */
	XSR_WORKER_STAT_NO_SERVICE,    /* no service has this address and port any more */
	XSR_WORKER_STAT_BAD_FRAME,     /* breaks the frame format */
	XSR_WORKER_STAT_NO_ID,	       /* served without a session */
	XSR_WORKER_STAT_SESSIONS_FULL, /* served without a session: the table is full */
	XSR_WORKER_STAT_UNEXPECTED,    /* a type the handler does not serve */
	XSR_WORKER_STAT_TX_FULL,       /* not sent: the transmit ring is full */
	XSR_WORKER_STAT_TX_ERROR,      /* not sent: the kernel refused */
	XSR_WORKER_STAT_RX_DROPPED,    /* by the kernel: frame too large, or UMEM invalid */
	XSR_WORKER_STAT_RX_RING_FULL,  /* by the kernel: this worker did not keep up */
	XSR_WORKER_STAT_FILL_EMPTY,    /* by the kernel: no free frame in the fill ring */
	XSR_WORKER_STAT_WAKEUPS,       /* times that the worker slept and was woken */
	XSR_WORKER_STAT_SESSIONS,      /* now in the table, not a total */
	XSR_WORKER_STAT_HANDOFFS_IN,   /* sessions taken over, with their state or without */
	XSR_WORKER_STAT_HANDOFFS_OUT,  /* sessions given up */
	XSR_WORKER_STAT_HELD,	       /* messages that waited for their session's state; all were served but for: */
	XSR_WORKER_STAT_HOLD_OVERFLOW, /* dropped: the session, or the worker, holds as many as it may */
	XSR_WORKER_STAT_NO_FENCE,      /* sessions that went on without state: the old owner did not answer in time */
	XSR_WORKER_STAT_LATE_FENCE,    /* fences that came after that; what they brought was thrown away */
	XSR_WORKER_STAT_STATE_REFUSED, /* sessions that went on without state: the handler could not read or write it */
	XSR_WORKER_STAT_STALE,	       /* dropped: of a session that has gone to another worker, or by an old route */
	XSR_WORKER_STAT_MAX
};

struct xsr_worker_counters {
	__u64 n[XSR_WORKER_STAT_MAX];
	__u32 pid;	   /* of the router; 0 = this worker never ran */
	__u32 cpu;	   /* pinned to; ~0 = not pinned */
	__u64 started;	   /* of the process, in clock ticks since boot: tells a reused pid; 0 = it left */
	char transport[8]; /* "xdp" or "udp" */
	__u8 reserved[256 - XSR_WORKER_STAT_MAX * 8 - 24];
};
_Static_assert(sizeof(struct xsr_worker_counters) == 256, "whole cache lines: no false sharing");

/*
 * What one worker counts of one TCP service; written by its thread alone, read by anyone: entry service * 64 + worker. What became of a
 * connection is counted once, at its end, so accepted + taken_over = now open + handed_over + all of closed_*.
 */
enum xsr_stream_stat {
	XSR_STREAM_STAT_CONNECTIONS,  /* clients now connected, not a total */
	XSR_STREAM_STAT_SESSIONS,     /* now bound to a connection, not a total */
	XSR_STREAM_STAT_BACKENDS,     /* connections to backends that are up now, not a total */
	XSR_STREAM_STAT_ACCEPTED,
	XSR_STREAM_STAT_REFUSED,      /* closed at once: as many connections as there may be */
	XSR_STREAM_STAT_HELLOS,	      /* sessions begun */
	XSR_STREAM_STAT_RESUMED,      /* sessions that came along from another connection */
	XSR_STREAM_STAT_REJECTED,     /* HELLOs answered by reject or busy */
	XSR_STREAM_STAT_REQUESTS,     /* frames passed on to a backend */
	XSR_STREAM_STAT_REPLIES,      /* frames passed on to a client */
	XSR_STREAM_STAT_REQUEST_BYTES,
	XSR_STREAM_STAT_REPLY_BYTES,
	XSR_STREAM_STAT_STRAY_REPLIES, /* dropped: their session has no connection here */
	XSR_STREAM_STAT_ERR_NO_BACKEND, /* requests answered by ERR: the backend was lost, or is not there */
	XSR_STREAM_STAT_ERR_STALE,
	XSR_STREAM_STAT_ERR_DEADLINE,
	XSR_STREAM_STAT_ERR_OVERFLOW,
	XSR_STREAM_STAT_ERR_NO_HANDSHAKE,
	XSR_STREAM_STAT_CLOSED_BY_PEER, /* FIN, or BYE */
	XSR_STREAM_STAT_CLOSED_RESET,
	XSR_STREAM_STAT_CLOSED_BAD_LEN,
	XSR_STREAM_STAT_CLOSED_BAD_VERSION,
	XSR_STREAM_STAT_CLOSED_BAD_TYPE,
	XSR_STREAM_STAT_CLOSED_HALF_FRAME, /* FIN in the middle of a frame */
	XSR_STREAM_STAT_CLOSED_SLOW,	   /* a frame, or the handshake, was not whole in time */
	XSR_STREAM_STAT_CLOSED_SILENT,	   /* two heartbeats unanswered */
	XSR_STREAM_STAT_CLOSED_IDLE,
	XSR_STREAM_STAT_CLOSED_TAKEN,	   /* its sessions all came along to other connections */
	XSR_STREAM_STAT_CLOSED_HANDOVER,   /* on its way from one worker to another: neither could take it */
	XSR_STREAM_STAT_CLOSED_BACKEND,	   /* splice: its backend's connection ended */
	XSR_STREAM_STAT_CLOSED_STOP,	   /* the router, or the service, ended */
	XSR_STREAM_STAT_BACKEND_CONNECTED,
	XSR_STREAM_STAT_BACKEND_FAILED,	   /* could not be reached, or broke the handshake */
	XSR_STREAM_STAT_BACKEND_LOST,
	XSR_STREAM_STAT_STALLS,		   /* times that a connection was not read on because what it sends to is full, or held */
	XSR_STREAM_STAT_MOVES,		   /* sessions moved to another backend */
	XSR_STREAM_STAT_HANDED_OVER,	   /* connections that went on to another worker */
	XSR_STREAM_STAT_TAKEN_OVER,	   /* connections that came from another worker */
	XSR_STREAM_STAT_JOINED,		   /* local: connections whose two ends the kernel joined */
	XSR_STREAM_STAT_NOT_JOINED,	   /* local: one end alone is here */
	XSR_STREAM_STAT_TCP_BYTES,	   /* local: of joined connections, that went by TCP all the same */
	XSR_STREAM_STAT_MAX
};

struct xsr_stream_counters {
	__u64 n[XSR_STREAM_STAT_MAX];
	__u8 reserved[384 - XSR_STREAM_STAT_MAX * 8];
};
_Static_assert(sizeof(struct xsr_stream_counters) == 384, "whole cache lines: no false sharing");

#define xsr_stream_index(service, worker) ((service) * XSR_WORKERS_MAX + (worker))
#define XSR_STREAMS_MAX (XSR_SERVICES_MAX * XSR_WORKERS_MAX)

/* How a TCP service really runs; written by the router that serves it. */
struct xsr_stream_state {
	__u32 pid;	 /* of the router; 0 = not served */
	__u32 mode;	 /* enum xsr_stream_mode, active */
	__u64 started;	 /* of the process, as in xsr_worker_counters */
	char why[240];	 /* why it is not the mode wished for; empty if it is */
};
_Static_assert(sizeof(struct xsr_stream_state) == 256, "size is part of the contract");

/*
 * Connections whose bytes the kernel moves (sockmap). A connection is a number, its conn: the key of its socket, and of what the
 * kernel's programs and the router tell one another of it. Who writes a line of it, is said at the line.
 */
enum xsr_conn_kind {
	XSR_CONN_NONE = 0,
	XSR_CONN_CLIENT, /* its data frames go to their session's link */
	XSR_CONN_LINK,	 /* to a backend: its data frames go to their session's client */
	XSR_CONN_PAIR,	 /* all that it sends goes to its peer */
	XSR_CONN_LANE,	 /* to the router itself: what is sent to it is the slow lane, what it sends is injected */
};

/* Why what a connection sends is no frame. */
enum xsr_conn_error {
	XSR_CONN_OK = 0,
	XSR_CONN_BAD_LEN,
	XSR_CONN_BAD_VERSION,
	XSR_CONN_BAD_TYPE,
};

/* What the router was told of how much waits for a connection. */
enum xsr_conn_told {
	XSR_TOLD_NOTHING = 0,
	XSR_TOLD_HIGH, /* too much */
	XSR_TOLD_LOW,  /* little again */
};

struct xsr_conn {
	/* As a target. Any CPU adds. */
	__u64 redirected;  /* bytes sent its way, whether or not they are written yet */
	__u64 injected;	   /* those of them that the router sent */
	__u64 dropped;	   /* frames for it that were thrown away: it has no socket */
	__u64 written;	   /* bytes of those redirected that the kernel has written to it; as last seen, by the router or a program */
	__u32 run_avg;	   /* about how many bytes go to it at a time, */
	__u32 run_cost;	   /* and how many more bytes of memory they take while they wait */
	__u64 stopped_ns;  /* since when what it sends is not let in; 0 = it is */
	__u64 let_in_ns;   /* when a segment was, all the same */
	__u64 pad;
	/* As a source. Its socket's lock is held: one CPU at a time. */
	__u64 passed;	   /* bytes of it that were judged */
	__u64 laned;	   /* those of them that took the slow lane */
	__u64 run_id;	   /* the run that was cut last: its session, */
	__u64 run_seq;	   /* the seq of its last frame, */
	__u32 run_len;	   /* all its bytes, */
	__u32 run_first;   /* the len field of its first frame, */
	__u32 run_frames;
	__u16 run_type;
	__u16 run_flags;   /* of its first frame */
	__u16 error;	   /* enum xsr_conn_error */
	__u16 run_starts;  /* with it a segment begins */
	__u32 target;	   /* lane: where what is injected goes. Others: the conn that has too much waiting, so that this one is stopped; 0 = none */
	__u32 lost;	   /* bytes that could not take the slow lane: no memory */
	__u32 run_target;  /* where the run goes, if that is known since it was cut; 0 = the verdict looks */
	/* The router. */
	__u32 kind;	   /* enum xsr_conn_kind */
	__u32 service;
	__u32 frame_max;   /* the most that a len field may say */
	__u32 run_max;	   /* the most bytes of a run of several frames */
	__u32 worker;	   /* whose it is */
	__u32 lane;	   /* the conn of that worker's lane */
	__u32 peer;	   /* of a pair */
	__u32 gone;	   /* nothing may be sent to it any more */
	__u64 written_before; /* bytes written to the connection before it became a conn */
	__u32 waiting_high; /* memory of what is redirected and not written: above, the router is told; */
	__u32 waiting_low; /* and again when it is below that; */
	__u32 waiting_max; /* above, a source of it is stopped at once */
	__u32 told;	   /* enum xsr_conn_told; written by any CPU */
	__u16 stop;	   /* what it sends is not let in */
	__u16 stop_pad[3];
};
_Static_assert(sizeof(struct xsr_conn) == 192, "a cache line each for the target, the source and the router");

/* The slow lane names a frame's source in bits of its header that say nothing else: see frames.h. */
#define XSR_CONN_FIRST 1u      /* 0 is no connection */
#define XSR_CONNS_MAX (1u << 18)

/* The two ways of a session's frames. */
enum xsr_way {
	XSR_WAY_REQUESTS, /* from the client to the link */
	XSR_WAY_REPLIES,  /* and back */
	XSR_WAYS
};

enum xsr_way_state {
	XSR_WAY_OPEN = 0,
	XSR_WAY_HELD,	/* frames take the slow lane, where they wait, and are counted */
	XSR_WAY_LOST,	/* frames take the slow lane; there is nowhere to go */
};

/* A session has an entry for each way, so that requests and replies, on different CPUs, do not meet in one lock. */
struct xsr_flow_key {
	__u64 id;
	__u32 service;
	__u32 way; /* enum xsr_way */
};
_Static_assert(sizeof(struct xsr_flow_key) == 16, "no hidden padding in a key");

/* Where a session's frames go. */
struct xsr_flow {
	struct bpf_spin_lock lock;
	__u32 counts; /* index of its xsr_flow_counts */
	__u32 source; /* requests from another conn than this are not its own; 0 = from any: replies, from any link of the service */
	__u32 target; /* conn; 0 = none */
	__u32 state;  /* enum xsr_way_state */
	__u32 generation; /* another one whenever the router changes it; no other entry has it, ever */
};
_Static_assert(sizeof(struct xsr_flow) == 24, "size is part of the contract");

/* What went that way; changed under the flow's lock, read by the router. */
struct xsr_flow_counts {
	__u64 seq;    /* of the last frame */
	__u64 frames;
	__u64 bytes;
	__u64 held;   /* frames since the way is held */
};
_Static_assert(sizeof(struct xsr_flow_counts) == 32, "size is part of the contract");

#endif /* XSR_TYPES_H */
