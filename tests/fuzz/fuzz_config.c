/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Any bytes for a file: it is refused with a sentence, or every value is in its range. */
#include <assert.h>
#include <errno.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "config.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

static void power_check(unsigned int value, unsigned int min, unsigned int max)
{
	assert(value >= min && value <= max && !(value & (value - 1)));
}

static void text_check(const char *text, size_t len)
{
	size_t n = strnlen(text, len);

	assert(n > 0 && n < len);
}

static void lists_check(const struct config *c)
{
	unsigned int i;

	assert(c->n_devices <= XSR_DEVICES_MAX && c->n_services < XSR_SERVICES_MAX);
	for (i = 0; i < c->n_devices; i++)
		text_check(c->devices[i], sizeof(c->devices[i]));
	for (i = 0; i < c->n_workers; i++)
		assert(c->cpus[i] >= CONFIG_CPU_AUTO);
	for (i = 0; i < c->n_services; i++) {
		text_check(c->services[i].name, sizeof(c->services[i].name));
		assert(c->services[i].port && (c->services[i].n_alternatives || c->services[i].mode));
		assert(c->n_backends == 0 ? !c->services[i].backends : !(c->services[i].backends >> c->n_backends));
	}
	assert(c->n_backends < XSR_BACKENDS_MAX);
	for (i = 0; i < c->n_backends; i++) {
		text_check(c->backends[i].name, sizeof(c->backends[i].name));
		assert(c->backends[i].port && c->backends[i].family);
	}
}

static void config_check(const struct config *c)
{
	text_check(c->instance, sizeof(c->instance));
	text_check(c->handler, sizeof(c->handler));
	assert(c->mode <= CONFIG_MODE_GENERIC && c->transport <= CONFIG_TRANSPORT_UDP &&
	       c->wait <= CONFIG_WAIT_SPIN);
	assert(c->n_workers >= 1 && c->n_workers <= XSR_WORKERS_MAX);
	assert(c->batch >= 1 && c->batch <= 256 && c->sessions_max >= 1);
	assert(c->connections_max >= 1 && c->stream_mib >= 1 && c->queue_kib >= 4 && c->backlog >= 1);
	power_check(c->n_frames, 64, 1048576);
	power_check(c->frame_len, 2048, 4096);
	power_check(c->ring_len, 64, 65536);
	lists_check(c);
}

/* One line of printable text that starts with the file's name and says what was expected or wrong. */
static void why_check(const char *why)
{
	size_t i, len = strnlen(why, CONFIG_WHY_LEN);

	assert(len > 6 && len < CONFIG_WHY_LEN && !strncmp(why, "fuzz:", 5));
	for (i = 0; i < len; i++)
		assert(why[i] >= ' ' && why[i] <= '~');
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	struct config *const untouched = (struct config *)-1, *c = untouched;
	char why[CONFIG_WHY_LEN];
	int ret;

	memset(why, 0xff, sizeof(why));
	ret = config_parse("fuzz", data, len, &c, why);
	if (ret) {
		assert(ret == -EINVAL || ret == -EFBIG);
		assert(c == untouched);
		why_check(why);
		return 0;
	}
	config_check(c);
	assert(!config_needs_restart(c, c, why));
	config_free(c);
	return 0;
}
