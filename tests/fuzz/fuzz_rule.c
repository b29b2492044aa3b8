/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Any words for a service: each is refused with a sentence and nothing is changed, or what
 * comes of it keeps the contract, and written again gives the same.
 *
 * Input: the words in the order of struct service_spec, one a line; "-" is one that is not given. What
 * stands behind them are names of backends.
 */
#include <assert.h>
#include <errno.h>
#include <netinet/in.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "profile.h"
#include "service_spec.h"

#define WORDS (offsetof(struct service_spec, backends) / sizeof(char *))

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

static void why_check(const char *why)
{
	size_t len = strnlen(why, SERVICE_WHY_LEN);

	assert(len > 20 && len < SERVICE_WHY_LEN);
}

static void alternative_check(const struct xsr_alternative *alt)
{
	unsigned int bits = alt->id_width * 8;
	unsigned int shift = alt->id_shift - (alt->flags & XSR_ALT_LITTLE_ENDIAN ? 64 - bits : 0);

	assert(alt->id_width >= 1 && alt->id_width <= 8 && shift < bits && !alt->pad);
	assert(alt->id_mask && !(alt->id_mask & ~(UINT64_MAX >> (64 - bits + shift))));
	assert(alt->id_end <= XSR_OFFSET_MAX + 8 && alt->match_end <= XSR_OFFSET_MAX + 4);
	assert(alt->flags & XSR_ALT_FROM_END || alt->id_end >= alt->id_width);
	assert(!(alt->match_value & ~alt->match_mask) && !alt->match_mask == !alt->match_end);
	if (alt->match_end && alt->match_end < 4)
		assert(!(alt->match_mask >> 8 * alt->match_end));
}

static void rule_check(const char *text)
{
	struct xsr_service service, before, again = {};
	char why[SERVICE_WHY_LEN];
	int i;

	memset(&service, 0x5a, sizeof(service));
	memset(why, 0xff, sizeof(why));
	before = service;
	if (rule_compile(text, &service, why, sizeof(why))) {
		why_check(why);
		assert(!memcmp(&service, &before, sizeof(service)));
		return;
	}
	assert(!strcmp(service.rule, text) && !service.n_alternatives == !strcmp(text, "none"));
	assert(service.n_alternatives <= XSR_ALTERNATIVES_MAX);
	for (i = 0; i < service.n_alternatives; i++)
		alternative_check(&service.alternatives[i]);
	assert(!rule_compile(service.rule, &again, why, sizeof(why)));
	assert(!memcmp(service.alternatives, again.alternatives, sizeof(service.alternatives)));
	assert((service.flags & XSR_SERVICE_FRAMED) == again.flags);
}

static void service_check(const struct service_spec *spec, const struct xsr_service *service)
{
	struct service_spec shown = *spec;
	char address[SERVICE_ADDRESS_LEN], why[SERVICE_WHY_LEN];
	struct xsr_service again = {};

	assert(*service->name && strnlen(service->name, XSR_NAME_LEN) < XSR_NAME_LEN);
	assert(service->port && service->flags & (XSR_SERVICE_IPV4 | XSR_SERVICE_IPV6));
	if (service->proto == IPPROTO_TCP)
		assert(service->mode && service->mode < XSR_STREAM_MAX && !service->stamp_interval);
	else
		assert(!service->mode && !service->frame_max && service->n_alternatives);
	shown.name = service->name;
	shown.id = service->rule;
	shown.address = service_address(service, address);
	assert(!service_spec_parse(&shown, &again, why));
	assert(!memcmp(service, &again, sizeof(again)));
}

static void spec_check(const struct service_spec *spec)
{
	struct xsr_service service = {}, untouched = {};
	char why[SERVICE_WHY_LEN];

	memset(why, 0xff, sizeof(why));
	if (!service_spec_parse(spec, &service, why)) {
		service_check(spec, &service);
		return;
	}
	why_check(why);
	assert(!memcmp(&service, &untouched, sizeof(service)));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	char *text = strndup((const char *)data, len), *rest = text;
	const char *words[WORDS] = {}, *backends[XSR_BACKENDS_MAX];
	struct service_spec spec = {};
	size_t i;

	assert(text);
	if (*text && text[strlen(text) - 1] == '\n')
		text[strlen(text) - 1] = 0;
	for (i = 0; i < WORDS && rest; i++) {
		words[i] = strsep(&rest, "\n");
		if (!strcmp(words[i], "-"))
			words[i] = NULL;
	}
	memcpy(&spec, words, sizeof(words));
	spec.backends = backends;
	while (rest && spec.n_backends < XSR_BACKENDS_MAX)
		backends[spec.n_backends++] = strsep(&rest, "\n");
	if (spec.id)
		rule_check(spec.id);
	spec_check(&spec);
	free(text);
	return 0;
}
