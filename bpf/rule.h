/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Find the session ID in a payload by a service's rule. Like parse.h: no
 * helper, no map, the same code in the kernel and in the tests.
 *
 * Both loads take the bytes that END at a given place: at least 28 bytes of
 * headers stand before a payload, so 8 bytes ending anywhere in it are within
 * the frame, and masks confine them to their width.
 */
#ifndef XSR_RULE_H
#define XSR_RULE_H

#include "frame.h"
#include "parse.h"

/* The service takes messages to this address; its port was looked up before. */
parse_step int service_has_address(const struct xsr_service *s, const struct datagram *d)
{
	if (d->family == 4)
		return (s->flags & XSR_SERVICE_IPV4) && (s->flags & XSR_SERVICE_ANY || s->addr[3] == d->daddr[0]);
	if (!(s->flags & XSR_SERVICE_IPV6))
		return 0;
	return s->flags & XSR_SERVICE_ANY || (s->addr[0] == d->daddr[0] && s->addr[1] == d->daddr[1] &&
					      s->addr[2] == d->daddr[2] && s->addr[3] == d->daddr[3]);
}

/* The payload must be one of our frames: 0, or the negated reason. */
parse_step int frame_check(const struct datagram *d)
{
	const struct xsr_frame *frame = (const void *)d->payload;
	__u32 len;

	if (d->len < sizeof(*frame) || (const __u8 *)(frame + 1) > d->end)
		return -XSR_STAT_FRAME_BAD_LEN;
	len = be32_to_host(load32(&frame->len));
	if (len > XSR_FRAME_LEN_MAX || len + 4 != d->len)
		return -XSR_STAT_FRAME_BAD_LEN;
	if (frame->version != XSR_FRAME_VERSION)
		return -XSR_STAT_FRAME_BAD_VERSION;
	if (!frame_type_known(frame->type))
		return -XSR_STAT_FRAME_BAD_TYPE;
	return 0;
}

parse_step int alternative_matches(const struct datagram *d, const struct xsr_alternative *alt)
{
	__u32 end = alt->match_end;
	const __u8 *p = d->payload + end;

	if (end > d->len || end > XSR_PAYLOAD_MAX || p > d->end)
		return 0;
	return (be32_to_host(load32(p - 4)) & alt->match_mask) == alt->match_value;
}

parse_step int alternative_load(const struct datagram *d, const struct xsr_alternative *alt, __u64 *id)
{
	__u32 end = alt->flags & XSR_ALT_FROM_END ? d->len - alt->id_end : alt->id_end;
	const __u8 *p = d->payload + end;
	__u64 raw;

	if (end > d->len || end < alt->id_width || end > XSR_PAYLOAD_MAX || p > d->end)
		return 0;
	raw = load64(p - 8);
	raw = alt->flags & XSR_ALT_LITTLE_ENDIAN ? le64_to_host(raw) : be64_to_host(raw);
	*id = (raw >> (alt->id_shift & 63)) & alt->id_mask;
	return 1;
}

/* 1 and the ID of the first alternative that matches and fits, or 0. */
parse_step int rule_find_id(const struct datagram *d, const struct xsr_service *service, __u64 *id)
{
	int i;

	for (i = 0; i < XSR_ALTERNATIVES_MAX; i++) {
		const struct xsr_alternative *alt = &service->alternatives[i];

		if (i >= service->n_alternatives)
			return 0;
		if (alt->match_end && !alternative_matches(d, alt))
			continue;
		if (alternative_load(d, alt, id))
			return 1;
	}
	return 0;
}

#endif /* XSR_RULE_H */
