/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* The datagram that all peers are measured with: Ethernet, IPv4, UDP, and one of our frames. */
#ifndef XSR_DATAGRAM_H
#define XSR_DATAGRAM_H

#include <stdint.h>

#include "frame.h"
#include "lab.h"

#define DATAGRAM_HEADERS_LEN 42
#define DATAGRAM_MAX 1500
#define DATAGRAM_CLIENT_PORT 40000

/*
 * Writes an ECHO_REQ of `payload_len` bytes (24 .. 1458) from one end of a wire to a port of the other. UDP's
 * checksum is absent, as IPv4 allows: the ID and the number change in place. Returns the frame's length.
 */
uint32_t datagram_fill(uint8_t frame[DATAGRAM_MAX], const struct lab_device *from,
		       const struct lab_device *to, uint16_t port, uint32_t payload_len, uint64_t id);

/* The frame of ours in it. */
static inline struct xsr_frame *datagram_frame(uint8_t *frame)
{
	return (struct xsr_frame *)(frame + DATAGRAM_HEADERS_LEN);
}

#endif /* XSR_DATAGRAM_H */
