/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#include "packet.h"

#include <endian.h>
#include <string.h>

#define TTL 64

int packet_parse(uint8_t *frame, uint32_t len, struct xsr_message *message, struct datagram *d)
{
	struct cursor c = { frame, frame + len };
	struct xsr_peer *peer = &message->peer;
	int ret = parse_datagram(&c, d);
	size_t addr_len, addr_at;

	if (ret)
		return ret;
	addr_len = d->family == 4 ? 4 : 16;
	addr_at = 16 - addr_len;
	memset(peer, 0, 32);
	memcpy(peer->addr + addr_at, d->saddr, addr_len);
	memcpy(peer->local + addr_at, d->daddr, addr_len);
	peer->port = d->sport;
	peer->local_port = d->dport;
	peer->family = d->family;
	/* The source address stands 12 bytes into an IPv4 header, 8 into an IPv6 one. */
	peer->link_len = (const uint8_t *)d->saddr - (d->family == 4 ? 12 : 8) - frame;
	memcpy(peer->link, frame, peer->link_len);
	message->data = (uint8_t *)d->payload;
	message->len = d->len;
	return 0;
}

/* One's complement sums may be taken in 64-bit words: the carries come back in at the end. */
uint64_t checksum_add(const void *data, size_t len, uint64_t sum)
{
	const uint8_t *p = data;
	uint64_t word, carry = 0;

	for (; len >= 8; len -= 8, p += 8) {
		memcpy(&word, p, 8);
		carry += __builtin_add_overflow(sum, word, &sum);
	}
	if (len) {
		word = 0;
		memcpy(&word, p, len);
		carry += __builtin_add_overflow(sum, word, &sum);
	}
	return __builtin_add_overflow(sum, carry, &sum) ? sum + 1 : sum;
}

uint16_t checksum_fold(uint64_t sum)
{
	sum = (sum & 0xffffffff) + (sum >> 32);
	sum = (sum & 0xffffffff) + (sum >> 32);
	sum = (sum & 0xffff) + (sum >> 16);
	sum = (sum & 0xffff) + (sum >> 16);
	return ~sum;
}

/* Ethernet turned round; VLAN tags as they came. */
static void link_build(uint8_t *at, const struct xsr_peer *peer)
{
	memcpy(at, peer->link + ETH_ALEN, ETH_ALEN);
	memcpy(at + ETH_ALEN, peer->link, ETH_ALEN);
	memcpy(at + 2 * ETH_ALEN, peer->link + 2 * ETH_ALEN, peer->link_len - 2 * ETH_ALEN);
}

static void ipv4_build(uint8_t *at, const struct xsr_peer *peer, uint32_t udp_len)
{
	struct iphdr ip = {
		.version = 4,
		.ihl = 5,
		.tot_len = htobe16(sizeof(ip) + udp_len),
		.frag_off = htobe16(0x4000), /* don't fragment: so an ID of 0 is allowed, RFC 6864 */
		.ttl = TTL,
		.protocol = IPPROTO_UDP,
	};

	memcpy(&ip.saddr, peer->local + 12, 4);
	memcpy(&ip.daddr, peer->addr + 12, 4);
	ip.check = checksum_fold(checksum_add(&ip, sizeof(ip), 0));
	memcpy(at, &ip, sizeof(ip));
}

static void ipv6_build(uint8_t *at, const struct xsr_peer *peer, uint32_t udp_len)
{
	struct ipv6hdr ip = {
		.version = 6,
		.payload_len = htobe16(udp_len),
		.nexthdr = IPPROTO_UDP,
		.hop_limit = TTL,
	};

	memcpy(&ip.saddr, peer->local, 16);
	memcpy(&ip.daddr, peer->addr, 16);
	memcpy(at, &ip, sizeof(ip));
}

static void udp_build(uint8_t *at, const struct xsr_message *message)
{
	const struct xsr_peer *peer = &message->peer;
	uint32_t len = sizeof(struct udphdr) + message->len;
	struct udphdr udp = { .source = peer->local_port, .dest = peer->port, .len = htobe16(len) };
	/* The pseudo header; addresses that are IPv4 have zeroes before them, which add nothing. */
	uint64_t sum = htobe16(len) + htobe16(IPPROTO_UDP);

	sum = checksum_add(peer->addr, 32, sum);
	sum = checksum_add(&udp, sizeof(udp), sum);
	sum = checksum_add(message->data, message->len, sum);
	udp.check = checksum_fold(sum);
	if (udp.check == 0) /* would say "no checksum" */
		udp.check = 0xffff;
	memcpy(at, &udp, sizeof(udp));
}

uint32_t packet_headers_len(const struct xsr_peer *peer)
{
	return peer->link_len + (peer->family == 4 ? sizeof(struct iphdr) : sizeof(struct ipv6hdr)) +
	       sizeof(struct udphdr);
}

uint32_t packet_build(const struct xsr_message *message)
{
	uint32_t udp_len = sizeof(struct udphdr) + message->len;
	uint32_t headers_len = packet_headers_len(&message->peer);
	uint8_t *start = message->data - headers_len;

	link_build(start, &message->peer);
	if (message->peer.family == 4)
		ipv4_build(start + message->peer.link_len, &message->peer, udp_len);
	else
		ipv6_build(start + message->peer.link_len, &message->peer, udp_len);
	udp_build(message->data - sizeof(struct udphdr), message);
	return headers_len;
}
