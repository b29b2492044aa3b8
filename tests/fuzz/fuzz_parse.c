/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Any bytes for a frame, any bytes for a service's alternatives: nothing outside the
 * frame is read, and what is found lies within the payload.
 *
 * Input: one byte n_alternatives, the alternatives as in memory, the frame.
 */
#include <assert.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "parse.h"
#include "rule.h"

#define HEAD_LEN (1 + XSR_ALTERNATIVES_MAX * sizeof(struct xsr_alternative))

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

static void datagram_check(const struct datagram *d, const uint8_t *frame, size_t len)
{
	size_t headers_len = d->payload - frame;

	assert(d->family == 4 || d->family == 6);
	assert(d->end == frame + len);
	assert(d->payload >= frame + ETH_HLEN + 20 + 8 && d->payload <= d->end);
	assert(headers_len + d->len <= len && d->len <= XSR_PAYLOAD_MAX);
	assert((const uint8_t *)d->saddr > frame && (const uint8_t *)d->daddr < d->payload);
	assert(!memcmp(&d->dport, d->payload - 6, 2) && !memcmp(&d->sport, d->payload - 8, 2));
}

/* As a compiled rule would be: masks confined to their widths. */
static void alternative_tame(struct xsr_alternative *alt)
{
	unsigned int bits;

	alt->id_width = 1 + alt->id_width % 8;
	bits = alt->id_width * 8;
	alt->id_shift %= bits;
	alt->id_mask &= UINT64_MAX >> (64 - bits + alt->id_shift);
	if (alt->flags & XSR_ALT_LITTLE_ENDIAN)
		alt->id_shift += 64 - bits;
	if (alt->match_end < 4)
		alt->match_mask &= UINT32_MAX >> (32 - 8 * alt->match_end) % 32;
	alt->match_value &= alt->match_mask;
}

/* Bytes before and behind the payload must not matter to a rule that was compiled. */
static void rule_check_tame(struct datagram *d, struct xsr_service *service, uint8_t *frame)
{
	__u64 id = 0, id_again = 0;
	uint8_t *p;
	int i, found;

	for (i = 0; i < XSR_ALTERNATIVES_MAX; i++)
		alternative_tame(&service->alternatives[i]);
	found = rule_find_id(d, service, &id);
	for (p = frame; p < d->end; p++)
		if (p < d->payload || p >= d->payload + d->len)
			*p = ~*p;
	assert(rule_find_id(d, service, &id_again) == found);
	assert(!found || id == id_again);
}

static void rule_check(const struct datagram *d, const struct xsr_service *service)
{
	__u64 id, masks = 0;
	int i;

	if (!rule_find_id(d, service, &id))
		return;
	assert(service->n_alternatives);
	for (i = 0; i < XSR_ALTERNATIVES_MAX; i++)
		masks |= service->alternatives[i].id_mask;
	assert(!(id & ~masks));
}

static void address_check(const struct datagram *d, struct xsr_service *service)
{
	const int families = XSR_SERVICE_IPV4 | XSR_SERVICE_IPV6;
	int own = d->family == 4 ? XSR_SERVICE_IPV4 : XSR_SERVICE_IPV6;

	for (service->flags = 0; service->flags < 8; service->flags++) {
		int takes = service_has_address(service, d);

		assert(!takes || service->flags & own);
		assert(takes || !(service->flags & own) || !(service->flags & XSR_SERVICE_ANY));
	}
	memcpy(d->family == 4 ? &service->addr[3] : service->addr, d->daddr, d->family == 4 ? 4 : 16);
	service->flags = families;
	assert(service_has_address(service, d));
}

static void frame_run(uint8_t *frame, size_t len, struct xsr_service *service)
{
	struct cursor c = { frame, frame + len };
	struct datagram d;
	int ret = parse_datagram(&c, &d);

	if (ret) {
		assert(ret <= -XSR_STAT_NOT_IP && ret >= -XSR_STAT_TOO_MANY_HEADERS);
		return;
	}
	datagram_check(&d, frame, len);
	ret = frame_check(&d);
	assert(!ret || (ret <= -XSR_STAT_FRAME_BAD_LEN && ret >= -XSR_STAT_FRAME_BAD_TYPE));
	address_check(&d, service);
	rule_check(&d, service);
	rule_check_tame(&d, service, frame);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	struct xsr_service service = {};
	uint8_t *memory;

	if (len < HEAD_LEN)
		return 0;
	service.n_alternatives = data[0];
	memcpy(service.alternatives, data + 1, sizeof(service.alternatives));
	len -= HEAD_LEN;
	/* Ends where the frame ends; begins 2 before, so that the IP header is aligned. */
	memory = malloc(len + 2);
	assert(memory);
	memcpy(memory + 2, data + HEAD_LEN, len);
	frame_run(memory + 2, len, &service);
	free(memory);
	return 0;
}
