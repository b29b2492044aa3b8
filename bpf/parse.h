/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * From the frame's first byte to the datagram's payload. Each step pulls one
 * header off the cursor and returns the next protocol, or the negated enum
 * xsr_stat that says what is wrong. No helper is called and no map touched:
 * the same code runs in the kernel, in the unit tests and under the fuzzer,
 * and the workers parse their frames with it.
 */
#ifndef XSR_PARSE_H
#define XSR_PARSE_H

#include <linux/if_ether.h>
#include <linux/in.h>
#include <linux/ip.h>
#include <linux/ipv6.h>
#include <linux/udp.h>

#include "types.h"

#define parse_step static inline __attribute__((always_inline))

#ifdef __bpf__
#include <bpf/bpf_endian.h>
#define be16_to_host(x) bpf_ntohs(x)
#define be32_to_host(x) bpf_ntohl(x)
#define be64_to_host(x) bpf_be64_to_cpu(x)
#define le64_to_host(x) (x)
#define host_to_be16_const(x) bpf_htons(x)
#else
#include <endian.h>
#define be16_to_host(x) be16toh(x)
#define be32_to_host(x) be32toh(x)
#define be64_to_host(x) be64toh(x)
#define le64_to_host(x) le64toh(x)
#define host_to_be16_const(x) htobe16(x)
#endif

/*
 * Loads at any address. BPF needs no alignment on packets, but clang would take
 * a load that might be unaligned apart into single bytes; C needs to be told.
 */
#ifdef __bpf__
#define load_at(type, p) (*(const type *)(p))
#else
#define load_at(type, p) (((const struct { type v; } __attribute__((packed)) *)(p))->v)
#endif

parse_step __u16 load16(const void *p)
{
	return load_at(__u16, p);
}

parse_step __u32 load32(const void *p)
{
	return load_at(__u32, p);
}

parse_step __u64 load64(const void *p)
{
	return load_at(__u64, p);
}

#define PARSE_VLAN_MAX 2
#define PARSE_EXTENSION_MAX 6

#define IPV4_FRAGMENT_BITS 0x3fff /* more fragments, and the offset */

struct cursor {
	const __u8 *pos;
	const __u8 *end;
};

/* What is known of a datagram. Pointers lead into the frame. */
struct datagram {
	const __u8 *payload;
	const __u8 *end;     /* of the frame; behind the payload may be padding */
	const __be32 *saddr; /* 1 word (IPv4) or 4 (IPv6) */
	const __be32 *daddr;
	__u32 len;	     /* of the payload */
	__be16 sport;
	__be16 dport;
	__u8 family;	     /* 4 or 6 */
};

struct vlan_tag {
	__be16 tci;
	__be16 proto;
};

/* As the UAPI has no struct for it: every IPv6 extension header starts so. */
struct extension {
	__u8 next;
	__u8 len; /* in 8 bytes, the first not counted; in 4 for AH, two not counted */
};

/* Ethernet and up to two VLAN tags; returns the ethertype in network order. */
parse_step int parse_ethernet(struct cursor *c)
{
	const struct ethhdr *eth = (const void *)c->pos;
	__be16 proto;
	int i;

	if (c->pos + sizeof(*eth) > c->end)
		return -XSR_STAT_BAD_ETHERNET;
	proto = load16(&eth->h_proto);
	c->pos += sizeof(*eth);
	for (i = 0; i < PARSE_VLAN_MAX; i++) {
		const struct vlan_tag *tag = (const void *)c->pos;

		if (proto != host_to_be16_const(ETH_P_8021Q) && proto != host_to_be16_const(ETH_P_8021AD))
			break;
		if (c->pos + sizeof(*tag) > c->end)
			return -XSR_STAT_BAD_ETHERNET;
		proto = tag->proto;
		c->pos += sizeof(*tag);
	}
	return proto;
}

/* Returns the transport protocol; a fragment of whatever kind is not judged. */
parse_step int parse_ipv4(struct cursor *c, struct datagram *d)
{
	const struct iphdr *ip = (const void *)c->pos;
	__u32 header_len, total_len;

	if (c->pos + sizeof(*ip) > c->end)
		return -XSR_STAT_BAD_IPV4;
	header_len = ip->ihl * 4;
	total_len = be16_to_host(ip->tot_len);
	if (ip->version != 4 || header_len < sizeof(*ip) || total_len < header_len)
		return -XSR_STAT_BAD_IPV4;
	if (c->pos + header_len > c->end || total_len > (__u64)(c->end - c->pos))
		return -XSR_STAT_BAD_IPV4;
	if (ip->frag_off & host_to_be16_const(IPV4_FRAGMENT_BITS))
		return -XSR_STAT_FRAGMENT;
	d->family = 4;
	d->saddr = &ip->saddr;
	d->daddr = &ip->daddr;
	d->len = total_len - header_len;
	c->pos += header_len;
	return ip->protocol;
}

/* Pulls one extension header of `proto`; returns the protocol behind it. */
parse_step int parse_extension(struct cursor *c, struct datagram *d, int proto)
{
	const struct extension *ext = (const void *)c->pos;
	__u32 len;

	if (c->pos + 8 > c->end)
		return -XSR_STAT_BAD_IPV6;
	len = proto == IPPROTO_AH ? (ext->len + 2) * 4 : (ext->len + 1) * 8;
	if (len > d->len || c->pos + len > c->end)
		return -XSR_STAT_BAD_IPV6;
	d->len -= len;
	c->pos += len;
	return ext->next;
}

parse_step int parse_ipv6(struct cursor *c, struct datagram *d)
{
	const struct ipv6hdr *ip = (const void *)c->pos;
	int proto, i;

	if (c->pos + sizeof(*ip) > c->end)
		return -XSR_STAT_BAD_IPV6;
	d->len = be16_to_host(ip->payload_len);
	if (ip->version != 6 || d->len > (__u64)(c->end - c->pos) - sizeof(*ip))
		return -XSR_STAT_BAD_IPV6;
	d->family = 6;
	d->saddr = (const void *)&ip->saddr;
	d->daddr = (const void *)&ip->daddr;
	proto = ip->nexthdr;
	c->pos += sizeof(*ip);
	for (i = 0; i < PARSE_EXTENSION_MAX; i++) {
		if (proto == IPPROTO_FRAGMENT)
			return -XSR_STAT_FRAGMENT;
		if (proto != IPPROTO_HOPOPTS && proto != IPPROTO_ROUTING && proto != IPPROTO_DSTOPTS &&
		    proto != IPPROTO_AH)
			return proto;
		proto = parse_extension(c, d, proto);
		if (proto < 0)
			return proto;
	}
	return -XSR_STAT_TOO_MANY_HEADERS;
}

/* On entry d->len is what the IP header leaves; on return the payload's length. */
parse_step int parse_udp(struct cursor *c, struct datagram *d)
{
	const struct udphdr *udp = (const void *)c->pos;
	__u32 len;

	if (c->pos + sizeof(*udp) > c->end)
		return -XSR_STAT_BAD_UDP;
	len = be16_to_host(udp->len);
	if (len < sizeof(*udp) || len > d->len || len - sizeof(*udp) > XSR_PAYLOAD_MAX)
		return -XSR_STAT_BAD_UDP;
	d->sport = udp->source;
	d->dport = udp->dest;
	d->len = len - sizeof(*udp);
	c->pos += sizeof(*udp);
	d->payload = c->pos;
	d->end = c->end;
	return 0;
}

/*
 * The common packet, with no tag and no option, by one check of bounds; true
 * only if the steps above would come to the same. They judge all others.
 */
parse_step int parse_plain(const struct cursor *c, struct datagram *d)
{
	const struct ethhdr *eth = (const void *)c->pos;
	const struct iphdr *ip = (const void *)(eth + 1);
	const struct udphdr *udp = (const void *)(ip + 1);
	__u32 total_len, len;

	if ((const __u8 *)(udp + 1) > c->end)
		return 0;
	if (load16(&eth->h_proto) != host_to_be16_const(ETH_P_IP) || *(const __u8 *)ip != 0x45 ||
	    ip->protocol != IPPROTO_UDP || ip->frag_off & host_to_be16_const(IPV4_FRAGMENT_BITS))
		return 0;
	total_len = be16_to_host(ip->tot_len);
	len = be16_to_host(udp->len);
	if (len < sizeof(*udp) || len + sizeof(*ip) > total_len ||
	    total_len > (__u64)(c->end - (const __u8 *)ip) || len - sizeof(*udp) > XSR_PAYLOAD_MAX)
		return 0;
	d->payload = (const __u8 *)(udp + 1);
	d->end = c->end;
	d->saddr = &ip->saddr;
	d->daddr = &ip->daddr;
	d->len = len - sizeof(*udp);
	d->sport = udp->source;
	d->dport = udp->dest;
	d->family = 4;
	return 1;
}

/* The whole way. 0, or the negated enum xsr_stat that says where it ended. */
parse_step int parse_datagram(struct cursor *c, struct datagram *d)
{
	int proto;

	if (parse_plain(c, d))
		return 0;
	proto = parse_ethernet(c);
	if (proto < 0)
		return proto;
	if (proto == host_to_be16_const(ETH_P_IP))
		proto = parse_ipv4(c, d);
	else if (proto == host_to_be16_const(ETH_P_IPV6))
		proto = parse_ipv6(c, d);
	else
		return -XSR_STAT_NOT_IP;
	if (proto < 0)
		return proto;
	if (proto != IPPROTO_UDP)
		return -XSR_STAT_NOT_UDP;
	return parse_udp(c, d);
}

#endif /* XSR_PARSE_H */
