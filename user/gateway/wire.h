/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* The frames that a gateway writes itself. */
#ifndef XSR_WIRE_H
#define XSR_WIRE_H

#include <endian.h>
#include <string.h>

#include "frame.h"

#define WIRE_PAYLOAD_MAX 16

struct wire_frame {
	struct xsr_frame header;
	uint8_t payload[WIRE_PAYLOAD_MAX];
} __attribute__((packed));

/* Returns the frame's length. */
static inline size_t wire_frame(struct wire_frame *f, uint8_t type, uint16_t flags, uint64_t id, uint64_t seq,
				const void *payload, size_t len)
{
	f->header = (struct xsr_frame){
		.len = htobe32(XSR_FRAME_LEN_MIN + len),
		.version = XSR_FRAME_VERSION,
		.type = type,
		.flags = htobe16(flags),
		.id = htobe64(id),
		.seq = htobe64(seq),
	};
	if (len)
		memcpy(f->payload, payload, len);
	return XSR_FRAME_HEADER_LEN + len;
}

#endif /* XSR_WIRE_H */
