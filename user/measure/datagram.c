/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#include "datagram.h"

#include <assert.h>
#include <endian.h>
#include <linux/if_ether.h>
#include <linux/udp.h>
#include <stddef.h>
#include <string.h>

#include "packet.h"

#define IPV4_ADDR_AT 12 /* in a peer's 16 bytes */

/* As if `to` had sent us something: that is what answers are built from. */
static void peer_fill(struct xsr_peer *peer, const struct lab_device *from, const struct lab_device *to,
		      uint16_t port)
{
	struct ethhdr eth = { .h_proto = htobe16(ETH_P_IP) };

	*peer = (struct xsr_peer){
		.port = htobe16(port),
		.local_port = htobe16(DATAGRAM_CLIENT_PORT),
		.family = 4,
		.link_len = sizeof(eth),
	};
	memcpy(peer->addr + IPV4_ADDR_AT, &to->addr, sizeof(to->addr));
	memcpy(peer->local + IPV4_ADDR_AT, &from->addr, sizeof(from->addr));
	memcpy(eth.h_dest, from->mac, ETH_ALEN);
	memcpy(eth.h_source, to->mac, ETH_ALEN);
	memcpy(peer->link, &eth, sizeof(eth));
}

uint32_t datagram_fill(uint8_t frame[DATAGRAM_MAX], const struct lab_device *from,
		       const struct lab_device *to, uint16_t port, uint32_t payload_len, uint64_t id)
{
	const struct xsr_frame header = {
		.len = htobe32(payload_len - sizeof(header.len)),
		.version = XSR_FRAME_VERSION,
		.type = XSR_FRAME_ECHO_REQ,
		.id = htobe64(id),
		.seq = htobe64(1),
	};
	struct xsr_message m = { .data = frame + DATAGRAM_HEADERS_LEN, .len = payload_len };

	assert(payload_len >= sizeof(header) && payload_len <= DATAGRAM_MAX - DATAGRAM_HEADERS_LEN);
	memset(frame, 0, DATAGRAM_MAX);
	memcpy(m.data, &header, sizeof(header));
	peer_fill(&m.peer, from, to, port);
	assert(packet_headers_len(&m.peer) == DATAGRAM_HEADERS_LEN);
	packet_build(&m);
	memset(m.data - sizeof(struct udphdr) + offsetof(struct udphdr, check), 0, sizeof(__sum16));
	return DATAGRAM_HEADERS_LEN + payload_len;
}
