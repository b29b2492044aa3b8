/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Frames for tests, put together header by header:
 *
 *	struct packet p = {};
 *
 *	packet_ethernet(&p);
 *	packet_vlan(&p, ETH_P_8021Q);
 *	packet_ipv4(&p, 0);
 *	packet_udp(&p, 40000, 5000);
 *	packet_add(&p, payload, payload_len);
 *	packet_finish(&p);
 *
 * Each header enters itself as what follows in the one before; packet_finish()
 * enters the lengths. Then a test may spoil what it likes: the headers' positions
 * are kept. A frame begins at offset 2 of an aligned buffer, as in the kernel, so
 * that the IP header is aligned.
 */
#ifndef XSR_TEST_PACKET_H
#define XSR_TEST_PACKET_H

#include <assert.h>
#include <endian.h>
#include <linux/if_ether.h>
#include <linux/in.h>
#include <linux/ip.h>
#include <linux/ipv6.h>
#include <linux/types.h>
#include <linux/udp.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#define PACKET_LEN_MAX 18000    /* room for a payload longer than XSR_PAYLOAD_MAX */
#define PACKET_SADDR 0x0a090001 /* 10.9.0.1, host order; fd09::1 */
#define PACKET_DADDR 0x0a090002 /* 10.9.0.2; fd09::2 */

struct packet {
	__u8 align[2];
	__u8 data[PACKET_LEN_MAX];
	size_t len;
	size_t next_at;    /* the field that names what follows */
	size_t next_len;   /* its size: 2 = ethertype, 1 = IP protocol */
	size_t network_at; /* first byte behind Ethernet and VLAN tags */
	size_t udp_at;     /* 0 = there is none */
	size_t payload_at; /* first byte behind the last header */
	size_t end;        /* of the IP datagram; padding may follow */
	__u8 family;       /* 4, 6, or 0 */
} __attribute__((aligned(8)));

static inline void *packet_reserve(struct packet *p, size_t len)
{
	void *at = p->data + p->len;

	assert(p->len + len <= sizeof(p->data));
	p->len += len;
	p->payload_at = p->len;
	return at;
}

static inline void packet_add(struct packet *p, const void *bytes, size_t len)
{
	size_t payload_at = p->payload_at;

	memcpy(packet_reserve(p, len), bytes, len);
	p->payload_at = payload_at;
}

/* Says in the header before what the next one is. */
static inline void packet_name_next(struct packet *p, __u16 proto)
{
	if (p->next_len == 1) {
		p->data[p->next_at] = proto;
		return;
	}
	p->data[p->next_at] = proto >> 8;
	p->data[p->next_at + 1] = proto & 0xff;
}

static inline struct ethhdr *packet_ethernet(struct packet *p)
{
	static const struct ethhdr header = {
		.h_dest = { 2, 0, 0, 0, 0, 2 },
		.h_source = { 2, 0, 0, 0, 0, 1 },
	};
	struct ethhdr *eth = packet_reserve(p, sizeof(*eth));

	*eth = header;
	p->next_at = offsetof(struct ethhdr, h_proto);
	p->next_len = 2;
	p->network_at = p->len;
	return eth;
}

/* tpid: ETH_P_8021Q or ETH_P_8021AD */
static inline void packet_vlan(struct packet *p, __u16 tpid)
{
	__u8 *tag = packet_reserve(p, 4);

	packet_name_next(p, tpid);
	tag[1] = 42;
	p->next_at = tag + 2 - p->data;
	p->network_at = p->len;
}

/* options_len: a multiple of 4, at most 40; the options are no-operations. */
static inline struct iphdr *packet_ipv4(struct packet *p, size_t options_len)
{
	struct iphdr *ip;

	packet_name_next(p, ETH_P_IP);
	ip = packet_reserve(p, sizeof(*ip));
	*ip = (struct iphdr){ .version = 4, .ihl = (sizeof(*ip) + options_len) / 4, .ttl = 64 };
	ip->saddr = htobe32(PACKET_SADDR);
	ip->daddr = htobe32(PACKET_DADDR);
	p->family = 4;
	memset(packet_reserve(p, options_len), 1, options_len);
	p->next_at = &ip->protocol - p->data;
	p->next_len = 1;
	return ip;
}

static inline struct ipv6hdr *packet_ipv6(struct packet *p)
{
	struct ipv6hdr *ip;

	packet_name_next(p, ETH_P_IPV6);
	ip = packet_reserve(p, sizeof(*ip));
	*ip = (struct ipv6hdr){ .version = 6, .hop_limit = 64 };
	ip->saddr = (struct in6_addr){ .s6_addr = { 0xfd, 0x09, [15] = 1 } };
	ip->daddr = (struct in6_addr){ .s6_addr = { 0xfd, 0x09, [15] = 2 } };
	p->family = 6;
	p->next_at = &ip->nexthdr - p->data;
	p->next_len = 1;
	return ip;
}

/* An IPv6 extension header of len bytes: a multiple of 8, of 4 if it is AH. */
static inline __u8 *packet_extension(struct packet *p, __u8 proto, size_t len)
{
	__u8 *extension = packet_reserve(p, len);

	packet_name_next(p, proto);
	extension[1] = proto == IPPROTO_AH ? len / 4 - 2 : len / 8 - 1;
	p->next_at = extension - p->data;
	return extension;
}

static inline struct udphdr *packet_udp(struct packet *p, __u16 sport, __u16 dport)
{
	struct udphdr *udp;

	packet_name_next(p, IPPROTO_UDP);
	p->udp_at = p->len;
	udp = packet_reserve(p, sizeof(*udp));
	*udp = (struct udphdr){ .source = htobe16(sport), .dest = htobe16(dport) };
	return udp;
}

static inline struct iphdr *packet_ip(struct packet *p)
{
	return (void *)(p->data + p->network_at);
}

static inline struct ipv6hdr *packet_ip6(struct packet *p)
{
	return (void *)(p->data + p->network_at);
}

static inline struct udphdr *packet_udp_header(struct packet *p)
{
	return (void *)(p->data + p->udp_at);
}

/* Enters the lengths of IP and UDP, if they are there. */
static inline void packet_finish(struct packet *p)
{
	p->end = p->len;
	if (p->family == 4)
		packet_ip(p)->tot_len = htobe16(p->end - p->network_at);
	if (p->family == 6)
		packet_ip6(p)->payload_len = htobe16(p->end - p->network_at - sizeof(struct ipv6hdr));
	if (p->udp_at)
		packet_udp_header(p)->len = htobe16(p->end - p->udp_at);
}

/* What Ethernet puts behind a short datagram; not zeroes, so that a reader of it is found out. */
static inline void packet_pad(struct packet *p, size_t len)
{
	size_t payload_at = p->payload_at;

	memset(packet_reserve(p, len), 0xee, len);
	p->payload_at = payload_at;
}

/* The common ones, complete. */
static inline void packet_make_udp4(struct packet *p, __u16 dport, const void *payload, size_t len)
{
	packet_ethernet(p);
	packet_ipv4(p, 0);
	packet_udp(p, 40000, dport);
	packet_add(p, payload, len);
	packet_finish(p);
}

static inline void packet_make_udp6(struct packet *p, __u16 dport, const void *payload, size_t len)
{
	packet_ethernet(p);
	packet_ipv6(p);
	packet_udp(p, 40000, dport);
	packet_add(p, payload, len);
	packet_finish(p);
}

/*
 * The first len bytes in memory of their own whose end is the allocation's end,
 * so that a sanitizer sees whoever reads one byte more. The caller frees it.
 */
static inline __u8 *frame_copy(const __u8 *frame, size_t len)
{
	__u8 *memory = malloc(len + 2);

	assert(memory);
	return memcpy(memory + 2, frame, len);
}

static inline void frame_free(__u8 *copy)
{
	free(copy - 2);
}

#endif /* XSR_TEST_PACKET_H */
