/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* A message of the model: a frame that says which one it is, and bytes that follow from that. */
#ifndef XSR_TEST_PAYLOAD_H
#define XSR_TEST_PAYLOAD_H

#include <endian.h>
#include <stdbool.h>
#include <stdint.h>

#include "frame.h"

struct payload {
	struct xsr_frame frame; /* seq: the message's number */
	__u32 index;		/* of the session */
	__u32 lane;
	__u8 fill[];
} __attribute__((packed));

static inline uint8_t payload_byte(const struct payload *p, uint32_t i)
{
	return be64toh(p->frame.seq) * 7 + be64toh(p->frame.id) + p->lane + i;
}

/* len: of all of it, at least sizeof(struct payload). */
static inline void payload_write(struct payload *p, uint32_t len, uint64_t id, uint32_t index, uint32_t lane,
				 uint32_t number)
{
	uint32_t i;

	*p = (struct payload){
		.frame = {
			.len = htobe32(len - 4),
			.version = XSR_FRAME_VERSION,
			.type = XSR_FRAME_ECHO_REQ,
			.id = htobe64(id),
			.seq = htobe64(number),
		},
		.index = index,
		.lane = lane,
	};
	for (i = 0; i < len - sizeof(*p); i++)
		p->fill[i] = payload_byte(p, i);
}

static inline bool payload_is_whole(const struct payload *p, uint32_t len)
{
	uint32_t i;

	if (len < sizeof(*p) || be32toh(p->frame.len) != len - 4)
		return false;
	for (i = 0; i < len - sizeof(*p) && p->fill[i] == payload_byte(p, i); i++)
		;
	return i == len - sizeof(*p);
}

static inline uint32_t payload_number(const struct payload *p)
{
	return be64toh(p->frame.seq);
}

/* The handler answers it. */
static inline void payload_reply(struct payload *p)
{
	p->frame.flags |= htobe16(XSR_FRAME_REPLY);
}

static inline bool payload_is_reply(const struct payload *p)
{
	return p->frame.flags & htobe16(XSR_FRAME_REPLY);
}

#endif /* XSR_TEST_PAYLOAD_H */
