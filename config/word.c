/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#include "word.h"

#include <string.h>

#include "service_spec.h"

#define ARRAY_SIZE(a) (sizeof(a) / sizeof((a)[0]))
#define STRING(x) #x
#define TEXT_OF(x) STRING(x)

#define NAME_CHARS "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-"

#define EXPECTED_NAME "1 to 31 letters, digits, '_' or '-'"
_Static_assert(XSR_NAME_LEN == 32, "the sentence above says 31");

struct rule {
	const char *key;
	const char *fallback; /* the word if none is given */
	size_t offset;        /* in struct config */
	size_t len;
	bool (*take)(const struct rule *rule, const char *word, void *value);
	const char *expected;
	const char *const *choices; /* in the order of their enum, NULL behind the last */
	unsigned int min, max;
};

static bool name_take(const struct rule *rule, const char *word, void *value)
{
	size_t len = strlen(word);

	if (len == 0 || len >= rule->len || word[strspn(word, NAME_CHARS)])
		return false;
	memcpy(value, word, len + 1);
	return true;
}

static bool choice_take(const struct rule *rule, const char *word, void *value)
{
	unsigned int i;

	for (i = 0; rule->choices[i] && strcmp(rule->choices[i], word); i++)
		;
	memcpy(value, &i, sizeof(i));
	return rule->choices[i];
}

static bool number_take(const struct rule *rule, const char *word, void *value)
{
	unsigned int number;
	uint64_t wide;

	if (number_parse(word, rule->max, &wide) || wide < rule->min)
		return false;
	number = wide;
	memcpy(value, &number, sizeof(number));
	return true;
}

static bool power_take(const struct rule *rule, const char *word, void *value)
{
	unsigned int number;

	if (!number_take(rule, word, &number) || (number & (number - 1)))
		return false;
	memcpy(value, &number, sizeof(number));
	return true;
}

static const char *const modes[] = { "auto", "native", "generic", NULL };
static const char *const transports[] = { "auto", "xdp", "udp", NULL };
static const char *const waits[] = { "sleep", "spin", NULL };
_Static_assert(sizeof(enum config_mode) == sizeof(unsigned int), "choices are stored as unsigned int");

#define MEMBER(member) offsetof(struct config, member), sizeof(((struct config *)0)->member)
#define RANGE(what, min_, max_)                                                                              \
	.expected = what " from " TEXT_OF(min_) " to " TEXT_OF(max_), .min = min_, .max = max_

static const struct rule rules[] = {
	{ "instance", "xsr", MEMBER(instance), .take = name_take, .expected = EXPECTED_NAME },
	{ "mode", "auto", MEMBER(mode), .take = choice_take, .expected = "auto, native or generic",
	  .choices = modes },
	{ "transport", "auto", MEMBER(transport), .take = choice_take, .expected = "auto, xdp or udp",
	  .choices = transports },
	{ "wait", "sleep", MEMBER(wait), .take = choice_take, .expected = "sleep or spin", .choices = waits },
	{ "handler", "echo", MEMBER(handler), .take = name_take, .expected = EXPECTED_NAME },
	{ "workers", "1", MEMBER(n_workers), .take = number_take, RANGE("a number", 1, XSR_WORKERS_MAX) },
	{ "frames", "4096", MEMBER(n_frames), .take = power_take, RANGE("a power of two", 64, 1048576) },
	{ "frame_size", "2048", MEMBER(frame_len), .take = power_take, RANGE("a power of two", 2048, 4096) },
	{ "ring", "2048", MEMBER(ring_len), .take = power_take, RANGE("a power of two", 64, 65536) },
	{ "batch", "64", MEMBER(batch), .take = number_take, RANGE("a number", 1, 256) },
	{ "sessions", "65536", MEMBER(sessions_max), .take = number_take, RANGE("a number", 1, 16777216) },
	{ "idle", "60", MEMBER(idle_s), .take = number_take, RANGE("a number of seconds", 0, 31536000) },
	{ "hold", "1024", MEMBER(hold_max), .take = number_take, RANGE("a number", 1, 16777216) },
	{ "hold_time", "64", MEMBER(hold_ms), .take = number_take, RANGE("a number of ms", 1, 60000) },
	{ "hold_memory", "16", MEMBER(hold_mib), .take = number_take, RANGE("a number of MiB", 1, 4095) },
	{ "fence", "1000", MEMBER(fence_ms), .take = number_take, RANGE("a number of ms", 100, 60000) },
	{ "connections", "10000", MEMBER(connections_max), .take = number_take, RANGE("a number", 1, 1048576) },
	{ "stream_memory", "64", MEMBER(stream_mib), .take = number_take, RANGE("a number of MiB", 1, 65536) },
	{ "queue", "256", MEMBER(queue_kib), .take = number_take, RANGE("a number of KiB", 4, 65536) },
	{ "kernel_queue", "2048", MEMBER(kernel_queue_kib), .take = number_take, RANGE("a number of KiB", 64, 65536) },
	{ "deadline", "1000", MEMBER(deadline_ms), .take = number_take, RANGE("a number of ms", 0, 3600000) },
	{ "heartbeat", "15000", MEMBER(heartbeat_ms), .take = number_take, RANGE("a number of ms", 0, 3600000) },
	{ "connection_idle", "60", MEMBER(connection_idle_s), .take = number_take,
	  RANGE("a number of seconds", 0, 31536000) },
	{ "sndbuf", "0", MEMBER(sndbuf_kib), .take = number_take, RANGE("a number of KiB", 0, 65536) },
	{ "rcvbuf", "0", MEMBER(rcvbuf_kib), .take = number_take, RANGE("a number of KiB", 0, 65536) },
	{ "fast_open", "0", MEMBER(fast_open), .take = number_take, RANGE("a number", 0, 65535) },
	{ "backlog", "4096", MEMBER(backlog), .take = number_take, RANGE("a number", 1, 65535) },
	{ "reconnect_max", "5000", MEMBER(reconnect_max_ms), .take = number_take, RANGE("a number of ms", 100, 3600000) },
};

const char *word_key(unsigned int i)
{
	return i < ARRAY_SIZE(rules) ? rules[i].key : NULL;
}

const char *word_take(unsigned int i, const char *word, struct config *config)
{
	const struct rule *rule = &rules[i];

	if (rule->take(rule, word ? word : rule->fallback, (char *)config + rule->offset))
		return NULL;
	return rule->expected;
}

const char *word_expected(const char *key)
{
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(rules); i++)
		if (!strcmp(rules[i].key, key))
			return rules[i].expected;
	return NULL;
}

bool word_differs(unsigned int i, const struct config *a, const struct config *b)
{
	const struct rule *rule = &rules[i];
	const char *one = (const char *)a + rule->offset, *other = (const char *)b + rule->offset;

	return rule->take == name_take ? strcmp(one, other) : memcmp(one, other, rule->len);
}
