/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The frame: the same bytes on every transport. Integers are big endian; a
 * datagram holds exactly one frame. Nothing here touches a map or calls a
 * helper, so both sides include it.
 */
#ifndef XSR_FRAME_H
#define XSR_FRAME_H

#include <linux/types.h>

#define XSR_FRAME_VERSION 1
#define XSR_FRAME_LEN_MIN 20	/* of the bytes after the len field */
#define XSR_FRAME_LEN_MAX 65536
#define XSR_FRAME_HEADER_LEN 24

struct xsr_frame {
	__be32 len; /* bytes after this field */
	__u8 version;
	__u8 type;  /* enum xsr_frame_type */
	__be16 flags;
	__be64 id;
	__be64 seq; /* per session and direction, from 1 */
} __attribute__((packed));
_Static_assert(sizeof(struct xsr_frame) == XSR_FRAME_HEADER_LEN, "wire format");

#define XSR_FRAME_MEASURE 0x1
#define XSR_FRAME_SAMPLED 0x2
#define XSR_FRAME_REPLY 0x4
#define XSR_FRAME_ERR 0x8
#define XSR_FRAME_CROSSED 0x10

enum xsr_frame_type {
	XSR_FRAME_HELLO = 0x01,
	XSR_FRAME_HELLO_ACK = 0x02,
	XSR_FRAME_HB_PING = 0x03,
	XSR_FRAME_HB_PONG = 0x04,
	XSR_FRAME_BYE = 0x05,
	XSR_FRAME_ECHO_REQ = 0x10,
	XSR_FRAME_ECHO_REP = 0x11,
	XSR_FRAME_PERF_PING = 0x20,
	XSR_FRAME_PERF_PONG = 0x21,
	XSR_FRAME_MPING = 0x30,
	XSR_FRAME_MPONG = 0x31,
	XSR_FRAME_MACK = 0x32,
	XSR_FRAME_CALL = 0x40,
	XSR_FRAME_REPLY_TYPE = 0x41,
	XSR_FRAME_FEED = 0x50,
	XSR_FRAME_ERROR = 0x7f,
};

enum xsr_frame_role {
	XSR_ROLE_CLIENT = 1,
	XSR_ROLE_ROUTER = 2,
	XSR_ROLE_BACKEND = 3,
	XSR_ROLE_PINGER = 4,
	XSR_ROLE_RECORDER = 5,
};

/* Payload of HELLO. The header's seq: the last reply of the session that the sender has; 0 = none. */
struct xsr_frame_hello {
	__u8 role; /* enum xsr_frame_role */
	__u8 transport;
	__be16 caps;
	__be64 id; /* wanted; 0 = any */
} __attribute__((packed));
_Static_assert(sizeof(struct xsr_frame_hello) == 12, "wire format");

enum xsr_hello_result {
	XSR_HELLO_OK = 0,
	XSR_HELLO_REJECT = 1,
	XSR_HELLO_BUSY = 2, /* not now: try again */
};

/* Payload of HELLO_ACK. The header's seq: the last request of the session that was served; 0 = none. */
struct xsr_frame_hello_ack {
	__u8 result; /* enum xsr_hello_result */
	__u8 role;
	__be16 worker; /* that owns the session */
	__be32 generation;
	__be64 id;
} __attribute__((packed));
_Static_assert(sizeof(struct xsr_frame_hello_ack) == 16, "wire format");

enum xsr_frame_error_code {
	XSR_ERROR_NO_BACKEND = 1,
	XSR_ERROR_STALE = 2,
	XSR_ERROR_DEADLINE = 3,
	XSR_ERROR_OVERFLOW = 4,
	XSR_ERROR_NO_HANDSHAKE = 5,
	XSR_ERROR_MAX
};

/* Payload of ERROR: no request of the session up to the header's seq that has no answer yet will get one. */
struct xsr_frame_error {
	__be16 code; /* enum xsr_frame_error_code */
} __attribute__((packed));

/* Payload of BYE. */
struct xsr_frame_bye {
	__be16 reason;
} __attribute__((packed));

/* Payload of ECHO_REQ and ECHO_REP: the stamp, then filler of byte seq & 0xff. */
struct xsr_frame_echo {
	__be64 t_send_ns;
} __attribute__((packed));

/* Payload of PERF_PING and PERF_PONG; an absent stamp is 0. */
struct xsr_frame_perf {
	__be64 t1_ns, t2k_ns, t2_ns, t3_ns, t3s_ns, t4k_ns, t4_ns;
	__be16 in_worker, owner_worker, out_worker;
	__be16 n_handoff;
	__be32 clock_domain;
	__be16 generation; /* of the route that the router's kernel part followed; 0 = none */
	__be64 served;	   /* how many of the session's messages were served, this one included; moves with the session */
	__u8 pad[2];
} __attribute__((packed));
_Static_assert(sizeof(struct xsr_frame_perf) == 80, "wire format");

#define frame_type_bit(type) (1ULL << ((type) & 63))

/* A bitmap of the types that exist, one word for the values below 64, one for the others. */
static inline __attribute__((always_inline)) int frame_type_known(__u8 type)
{
	__u64 known = frame_type_bit(XSR_FRAME_HELLO) | frame_type_bit(XSR_FRAME_HELLO_ACK) |
		      frame_type_bit(XSR_FRAME_HB_PING) | frame_type_bit(XSR_FRAME_HB_PONG) |
		      frame_type_bit(XSR_FRAME_BYE) | frame_type_bit(XSR_FRAME_ECHO_REQ) |
		      frame_type_bit(XSR_FRAME_ECHO_REP) | frame_type_bit(XSR_FRAME_PERF_PING) |
		      frame_type_bit(XSR_FRAME_PERF_PONG) | frame_type_bit(XSR_FRAME_MPING) |
		      frame_type_bit(XSR_FRAME_MPONG) | frame_type_bit(XSR_FRAME_MACK);

	if (type & 0x40)
		known = frame_type_bit(XSR_FRAME_CALL) | frame_type_bit(XSR_FRAME_REPLY_TYPE) |
			frame_type_bit(XSR_FRAME_FEED) | frame_type_bit(XSR_FRAME_ERROR);
	return type < 128 && known >> (type & 63) & 1;
}

#endif /* XSR_FRAME_H */
