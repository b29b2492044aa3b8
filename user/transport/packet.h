/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* A datagram in a frame: from the bytes to a message, and the headers for an answer. */
#ifndef XSR_PACKET_H
#define XSR_PACKET_H

#include <stddef.h>
#include <stdint.h>

#include "parse.h"
#include "xsr.h"

/* The longest headers that packet_build() writes: link 22, IPv6 40, UDP 8. */
#define PACKET_HEADERS_MAX 70

/*
 * Parses frame[0..len) and fills the message's data, len and peer (but queue); *d
 * gets what parse.h knows. 0, or the negated enum xsr_stat.
 */
int packet_parse(uint8_t *frame, uint32_t len, struct xsr_message *message, struct datagram *d);

/*
 * Writes link, IP and UDP headers right before message->data, from us to message->peer,
 * with checksums. There must be PACKET_HEADERS_MAX bytes of room, or as many as the peer needs.
 * Returns their length.
 */
uint32_t packet_build(const struct xsr_message *message);

/* Bytes that packet_build() will write for this peer. */
uint32_t packet_headers_len(const struct xsr_peer *peer);

/* Internet checksum of data[0..len), added to `sum` and not folded; RFC 1071. */
uint64_t checksum_add(const void *data, size_t len, uint64_t sum);
/* Folded and complemented, as it goes into a header. */
uint16_t checksum_fold(uint64_t sum);

#endif /* XSR_PACKET_H */
