/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Any payload: frame_check() takes what the wire format describes and nothing else,
 * and reads not a byte behind it.
 *
 * Input: two bytes for the payload's length, big endian, the payload, padding.
 */
#include <assert.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "rule.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

static uint32_t be32_at(const uint8_t *bytes)
{
	return (uint32_t)bytes[0] << 24 | bytes[1] << 16 | bytes[2] << 8 | bytes[3];
}

static bool type_exists(uint8_t type)
{
	static const uint8_t types[] = { 0x01, 0x02, 0x03, 0x04, 0x05, 0x10, 0x11, 0x20,
					 0x21, 0x30, 0x31, 0x32, 0x40, 0x41, 0x50, 0x7f };

	return memchr(types, type, sizeof(types)) != NULL;
}

/* The wire format once more, byte by byte. */
static int expected_result(const uint8_t *payload, size_t len)
{
	if (len < 24 || be32_at(payload) != len - 4 || len - 4 > 65536)
		return -XSR_STAT_FRAME_BAD_LEN;
	if (payload[4] != 1)
		return -XSR_STAT_FRAME_BAD_VERSION;
	return type_exists(payload[5]) ? 0 : -XSR_STAT_FRAME_BAD_TYPE;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	struct datagram d;
	uint8_t *payload;

	if (len < 2)
		return 0;
	payload = malloc(len - 2);
	assert(payload || len == 2);
	memcpy(payload, data + 2, len - 2);
	d = (struct datagram){ .payload = payload, .end = payload + len - 2, .len = data[0] << 8 | data[1] };
	if (d.len > len - 2)
		d.len = len - 2; /* parse.h would not let more through */
	assert(frame_check(&d) == expected_result(payload, d.len));
	free(payload);
	return 0;
}
