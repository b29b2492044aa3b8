/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#include <stdarg.h>
#include <setjmp.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <errno.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>
#include <arpa/inet.h>
#include <netinet/in.h>
#include <cmocka.h>

#include "config.h"

#define ARRAY_SIZE(a) (sizeof(a) / sizeof((a)[0]))
#define FILE_NAME "test.yaml"
#define GAME "services:\n- {name: game, address: \"10.0.0.1:5000\", id: xsr}\n"

/* Stands in *out and in `why` before each call: nobody may touch it without reason. */
static struct config sentinel;

static struct config *accepted(const char *yaml)
{
	char why[CONFIG_WHY_LEN] = "untouched";
	struct config *c = &sentinel;

	if (config_parse(FILE_NAME, yaml, strlen(yaml), &c, why))
		fail_msg("refused: %s\n%s", why, yaml);
	assert_ptr_not_equal(c, &sentinel);
	assert_string_equal(why, "untouched");
	return c;
}

/* `why` must be "test.yaml:LINE: " and a sentence that holds `part`. */
static void refused_bytes(const char *data, size_t len, unsigned int line, const char *part)
{
	char why[CONFIG_WHY_LEN] = "", where[32];
	struct config *c = &sentinel;

	assert_int_equal(config_parse(FILE_NAME, data, len, &c, why), -EINVAL);
	assert_ptr_equal(c, &sentinel);
	snprintf(where, sizeof(where), FILE_NAME ":%u: ", line);
	if (strncmp(why, where, strlen(where)) || !strstr(why, part))
		fail_msg("\"%s\" is not \"%s...%s...\" of\n%.200s", why, where, part, data);
}

static void refused(const char *yaml, unsigned int line, const char *part)
{
	refused_bytes(yaml, strlen(yaml), line, part);
}

/* The key on line 3, with one word as its value. */
static const char *with(const char *key, const char *word)
{
	static char yaml[256];

	snprintf(yaml, sizeof(yaml), "# a comment\n\n%s: %s\nservices: []\n", key, word);
	return yaml;
}

/* --- what is given and what is not --- */

static void defaults_check(struct config *c)
{
	assert_string_equal(c->instance, "xsr");
	assert_string_equal(c->handler, "echo");
	assert_int_equal(c->mode, CONFIG_MODE_AUTO);
	assert_int_equal(c->transport, CONFIG_TRANSPORT_AUTO);
	assert_int_equal(c->wait, CONFIG_WAIT_SLEEP);
	assert_int_equal(c->n_devices, 0);
	assert_int_equal(c->n_workers, 1);
	assert_int_equal(c->cpus[0], CONFIG_CPU_AUTO);
	assert_int_equal(c->n_frames, 4096);
	assert_int_equal(c->frame_len, 2048);
	assert_int_equal(c->ring_len, 2048);
	assert_int_equal(c->batch, 64);
	assert_int_equal(c->sessions_max, 65536);
	assert_int_equal(c->idle_s, 60);
	assert_int_equal(c->hold_max, 1024);
	assert_int_equal(c->hold_ms, 64);
	assert_int_equal(c->hold_mib, 16);
	assert_int_equal(c->fence_ms, 1000);
	assert_int_equal(c->connections_max, 10000);
	assert_int_equal(c->stream_mib, 64);
	assert_int_equal(c->queue_kib, 256);
	assert_int_equal(c->kernel_queue_kib, 2048);
	assert_int_equal(c->deadline_ms, 1000);
	assert_int_equal(c->heartbeat_ms, 15000);
	assert_int_equal(c->connection_idle_s, 60);
	assert_int_equal(c->sndbuf_kib, 0);
	assert_int_equal(c->rcvbuf_kib, 0);
	assert_int_equal(c->fast_open, 0);
	assert_int_equal(c->backlog, 4096);
	assert_int_equal(c->reconnect_max_ms, 5000);
	assert_int_equal(c->n_backends, 0);
	assert_int_equal(c->n_services, 0);
	config_free(c);
}

static void what_is_not_given_has_its_default(void **state)
{
	(void)state;
	defaults_check(accepted(""));
	defaults_check(accepted("# only a comment\n"));
	defaults_check(accepted("services: []\n"));
	defaults_check(accepted("services:\n"));
	defaults_check(accepted("services: ~\n"));
	defaults_check(accepted("services: null\ndevices:\ncpus:\nbackends:\n"));
	defaults_check(accepted("backends: []\n"));
	defaults_check(accepted("{}"));
	defaults_check(accepted("%YAML 1.1\n---\nworkers: 1\n...\n"));
}

static void every_key_is_read(void **state)
{
	struct config *c = accepted("instance: edge-1_b\n"
				    "devices: [eth0, wlp3s0.100]\n"
				    "mode: native\n"
				    "transport: xdp\n"
				    "wait: spin\n"
				    "handler: gateway\n"
				    "workers: 3\n"
				    "cpus: [4, -1, 0x6]\n"
				    "frames: 8192\n"
				    "frame_size: 4096\n"
				    "ring: 1024\n"
				    "batch: 32\n"
				    "sessions: 1000\n"
				    "idle: 0\n"
				    "hold: 10\n"
				    "hold_time: 20\n"
				    "hold_memory: 30\n"
				    "fence: 400\n"
				    "connections: 100\n"
				    "stream_memory: 8\n"
				    "queue: 16\n"
				    "kernel_queue: 128\n"
				    "deadline: 0\n"
				    "heartbeat: 2000\n"
				    "connection_idle: 5\n"
				    "sndbuf: 128\n"
				    "rcvbuf: 512\n"
				    "fast_open: 64\n"
				    "backlog: 100\n"
				    "reconnect_max: 700\n"
				    "backends: [{name: one, address: \"10.0.1.1:9000\"}]\n" GAME);

	(void)state;
	assert_string_equal(c->instance, "edge-1_b");
	assert_int_equal(c->n_devices, 2);
	assert_string_equal(c->devices[0], "eth0");
	assert_string_equal(c->devices[1], "wlp3s0.100");
	assert_int_equal(c->mode, CONFIG_MODE_NATIVE);
	assert_int_equal(c->transport, CONFIG_TRANSPORT_XDP);
	assert_int_equal(c->wait, CONFIG_WAIT_SPIN);
	assert_string_equal(c->handler, "gateway");
	assert_int_equal(c->n_workers, 3);
	assert_int_equal(c->cpus[0], 4);
	assert_int_equal(c->cpus[1], CONFIG_CPU_NONE);
	assert_int_equal(c->cpus[2], 6);
	assert_int_equal(c->n_frames, 8192);
	assert_int_equal(c->frame_len, 4096);
	assert_int_equal(c->ring_len, 1024);
	assert_int_equal(c->batch, 32);
	assert_int_equal(c->sessions_max, 1000);
	assert_int_equal(c->idle_s, 0);
	assert_int_equal(c->hold_max, 10);
	assert_int_equal(c->hold_ms, 20);
	assert_int_equal(c->hold_mib, 30);
	assert_int_equal(c->fence_ms, 400);
	assert_int_equal(c->connections_max, 100);
	assert_int_equal(c->stream_mib, 8);
	assert_int_equal(c->queue_kib, 16);
	assert_int_equal(c->kernel_queue_kib, 128);
	assert_int_equal(c->deadline_ms, 0);
	assert_int_equal(c->heartbeat_ms, 2000);
	assert_int_equal(c->connection_idle_s, 5);
	assert_int_equal(c->sndbuf_kib, 128);
	assert_int_equal(c->rcvbuf_kib, 512);
	assert_int_equal(c->fast_open, 64);
	assert_int_equal(c->backlog, 100);
	assert_int_equal(c->reconnect_max_ms, 700);
	assert_int_equal(c->n_backends, 1);
	assert_string_equal(c->backends[0].name, "one");
	assert_int_equal(c->n_services, 1);
	assert_string_equal(c->services[0].name, "game");
	config_free(c);
}

static void every_choice_has_its_value(void **state)
{
	static const char *const modes[] = { "auto", "native", "generic" };
	static const char *const transports[] = { "auto", "xdp, devices: [eth0]", "udp" };
	static const char *const waits[] = { "sleep", "spin" };
	char yaml[64];
	unsigned int i;

	(void)state;
	for (i = 0; i < ARRAY_SIZE(modes) * 2 + ARRAY_SIZE(waits); i++) {
		unsigned int kind = i / 3, n = i % 3;
		struct config *c;

		snprintf(yaml, sizeof(yaml), "{%s: %s}",
			 kind == 0   ? "mode"
			 : kind == 1 ? "transport"
				     : "wait",
			 kind == 0   ? modes[n]
			 : kind == 1 ? transports[n]
				     : waits[n]);
		c = accepted(yaml);
		assert_int_equal(kind == 0 ? (int)c->mode : kind == 1 ? (int)c->transport : (int)c->wait, n);
		config_free(c);
	}
}

static void the_examples_load(void **state)
{
	static const struct {
		const char *path;
		const char *instance;
		unsigned int n_devices, n_workers, n_backends, n_services;
	} examples[] = {
		{ "config/echo.yaml", "xsr", 1, 2, 0, 1 },
		{ "config/full.yaml", "xsr", 2, 2, 3, 6 },
		{ "config/gateway.yaml", "gateway", 0, 2, 2, 1 },
		{ "config/udp.yaml", "udp", 0, 1, 0, 1 },
	};
	char why[CONFIG_WHY_LEN];
	unsigned int i;

	(void)state;
	for (i = 0; i < ARRAY_SIZE(examples); i++) {
		struct config *c;

		if (config_load(examples[i].path, &c, why))
			fail_msg("%s", why);
		assert_string_equal(c->instance, examples[i].instance);
		assert_int_equal(c->n_devices, examples[i].n_devices);
		assert_int_equal(c->n_workers, examples[i].n_workers);
		assert_int_equal(c->n_backends, examples[i].n_backends);
		assert_int_equal(c->n_services, examples[i].n_services);
		config_free(c);
	}
}

/* full.yaml tells operators the defaults: they are those of a file without a key. */
static void the_full_example_shows_the_defaults(void **state)
{
	char why[CONFIG_WHY_LEN];
	struct config *full, *plain = accepted("");

	(void)state;
	assert_int_equal(config_load("config/full.yaml", &full, why), 0);
	full->n_workers = 1;
	full->n_devices = 0;
	full->cpus[0] = CONFIG_CPU_AUTO;
	assert_false(config_needs_restart(plain, full, why));
	config_free(full);
	config_free(plain);
}

/* --- values --- */

static const struct {
	const char *key;
	size_t offset;
	unsigned int min, max;
	bool power;
} numbers[] = {
	{ "workers", offsetof(struct config, n_workers), 1, 64, false },
	{ "frames", offsetof(struct config, n_frames), 64, 1048576, true },
	{ "frame_size", offsetof(struct config, frame_len), 2048, 4096, true },
	{ "ring", offsetof(struct config, ring_len), 64, 65536, true },
	{ "batch", offsetof(struct config, batch), 1, 256, false },
	{ "sessions", offsetof(struct config, sessions_max), 1, 16777216, false },
	{ "idle", offsetof(struct config, idle_s), 0, 31536000, false },
	{ "hold", offsetof(struct config, hold_max), 1, 16777216, false },
	{ "hold_time", offsetof(struct config, hold_ms), 1, 60000, false },
	{ "hold_memory", offsetof(struct config, hold_mib), 1, 4095, false },
	{ "fence", offsetof(struct config, fence_ms), 100, 60000, false },
	{ "connections", offsetof(struct config, connections_max), 1, 1048576, false },
	{ "stream_memory", offsetof(struct config, stream_mib), 1, 65536, false },
	{ "queue", offsetof(struct config, queue_kib), 4, 65536, false },
	{ "kernel_queue", offsetof(struct config, kernel_queue_kib), 64, 65536, false },
	{ "deadline", offsetof(struct config, deadline_ms), 0, 3600000, false },
	{ "heartbeat", offsetof(struct config, heartbeat_ms), 0, 3600000, false },
	{ "connection_idle", offsetof(struct config, connection_idle_s), 0, 31536000, false },
	{ "sndbuf", offsetof(struct config, sndbuf_kib), 0, 65536, false },
	{ "rcvbuf", offsetof(struct config, rcvbuf_kib), 0, 65536, false },
	{ "fast_open", offsetof(struct config, fast_open), 0, 65535, false },
	{ "backlog", offsetof(struct config, backlog), 1, 65535, false },
	{ "reconnect_max", offsetof(struct config, reconnect_max_ms), 100, 3600000, false },
};

static void number_accepted(unsigned int i, const char *word, unsigned int value)
{
	struct config *c = accepted(with(numbers[i].key, word));

	assert_int_equal(*(unsigned int *)((char *)c + numbers[i].offset), value);
	config_free(c);
}

static void a_number_at_the_end_of_its_range_is_accepted(void **state)
{
	char word[32];
	unsigned int i;

	(void)state;
	for (i = 0; i < ARRAY_SIZE(numbers); i++) {
		snprintf(word, sizeof(word), "%u", numbers[i].min);
		number_accepted(i, word, numbers[i].min);
		snprintf(word, sizeof(word), "\"%u\"", numbers[i].max);
		number_accepted(i, word, numbers[i].max);
		snprintf(word, sizeof(word), "0x%x", numbers[i].max);
		number_accepted(i, word, numbers[i].max);
	}
}

static void a_number_out_of_its_range_is_refused(void **state)
{
	char word[32], expected[96];
	unsigned int i;

	(void)state;
	for (i = 0; i < ARRAY_SIZE(numbers); i++) {
		uint64_t step = numbers[i].power ? numbers[i].max : 1;

		snprintf(expected, sizeof(expected), "from %u to %u", numbers[i].min, numbers[i].max);
		snprintf(word, sizeof(word), "%ju", (uintmax_t)(numbers[i].max + step));
		refused(with(numbers[i].key, word), 3, expected);
		snprintf(word, sizeof(word), "%d",
			 numbers[i].power ? (int)numbers[i].min / 2 : (int)numbers[i].min - 1);
		refused(with(numbers[i].key, word), 3, expected);
		snprintf(word, sizeof(word), "%ju", (uintmax_t)UINT32_MAX + 1 + numbers[i].min);
		refused(with(numbers[i].key, word), 3, expected);
		refused(with(numbers[i].key, "18446744073709551680"), 3, expected);
	}
}

static void what_is_no_power_of_two_is_refused(void **state)
{
	(void)state;
	refused(with("frames", "4095"), 3, "frames: \"4095\"; expected a power of two from 64 to 1048576");
	refused(with("frame_size", "3072"), 3, "expected a power of two from 2048 to 4096");
	refused(with("ring", "1000"), 3, "expected a power of two from 64 to 65536");
}

static void what_is_no_number_is_refused(void **state)
{
	static const char *const words[] = { "many", "64abc", "6 4",     "64.0",     "-64",
					     "+64",  "1e3",   "0x",      "\"\"",     "",
					     "~",    "true",  "\" 64\"", "0b100000", "0o100" };
	unsigned int i, n;

	(void)state;
	for (i = 0; i < ARRAY_SIZE(numbers); i++)
		for (n = 0; n < ARRAY_SIZE(words); n++)
			refused(with(numbers[i].key, words[n]), 3, numbers[i].key);
}

static void a_leading_zero_is_not_octal(void **state)
{
	struct config *c = accepted(with("batch", "010"));

	(void)state;
	assert_int_equal(c->batch, 10);
	config_free(c);
}

static void an_unknown_choice_is_refused_with_the_known_ones(void **state)
{
	(void)state;
	refused(with("mode", "offload"), 3, "mode: \"offload\"; expected auto, native or generic");
	refused(with("mode", "Native"), 3, "mode");
	refused(with("mode", "1"), 3, "mode");
	refused(with("mode", ""), 3, "mode: \"\"");
	refused(with("transport", "tcp"), 3, "transport: \"tcp\"; expected auto, xdp or udp");
	refused(with("wait", "poll"), 3, "wait: \"poll\"; expected sleep or spin");
}

static void a_bad_name_is_refused(void **state)
{
	static const char *const keys[] = { "instance", "handler" };
	static const char *const names[] = {
		"a.b", "a/b", "\"\"", "\"a b\"", "gr\xc3\xb6n", "\"..\"", "x2345678901234567890123456789012"
	};
	unsigned int i, n;
	struct config *c;

	(void)state;
	for (i = 0; i < ARRAY_SIZE(keys); i++)
		for (n = 0; n < ARRAY_SIZE(names); n++)
			refused(with(keys[i], names[n]), 3, "expected 1 to 31 letters, digits, '_' or '-'");
	c = accepted(with("instance", "x234567890123456789012345678901"));
	assert_int_equal(strlen(c->instance), 31);
	config_free(c);
}

static void a_bad_device_is_refused_with_the_line_of_its_entry(void **state)
{
	static const char *const names[] = { "a/b", "sixteen-letters-", "\"\"",    ".",
					     "..",  "\"a b\"",          "\"a:1\"", "" };
	char yaml[128];
	unsigned int i;

	(void)state;
	for (i = 0; i < ARRAY_SIZE(names); i++) {
		snprintf(yaml, sizeof(yaml), "devices:\n  - fifteen-letters\n\n  - %s\n", names[i]);
		refused(yaml, 4, "expected the name of an interface");
	}
	refused("devices:\n- eth0\n- eth1\n- eth0\n", 4,
		"devices: \"eth0\" a second time; expected each once");
	refused("devices: [eth0,\n eth1,\n eth1]\n", 3, "\"eth1\" a second time");
}

static void a_list_that_is_too_long_is_refused_with_the_line_of_the_first_excess(void **state)
{
	char yaml[2048] = "devices:\n";
	struct config *c;
	unsigned int i;

	(void)state;
	for (i = 0; i < XSR_DEVICES_MAX; i++)
		sprintf(yaml + strlen(yaml), "- eth%u\n", i);
	c = accepted(yaml);
	assert_int_equal(c->n_devices, 64);
	assert_string_equal(c->devices[63], "eth63");
	config_free(c);
	strcat(yaml, "- eth64\n- eth65\n");
	refused(yaml, 66, "devices: one too many; expected at most 64");
}

static void xdp_without_a_device_is_refused(void **state)
{
	(void)state;
	refused("workers: 1\ntransport: xdp\n", 2, "expected at least one of devices");
	config_free(accepted("transport: xdp\ndevices: [eth0]\n"));
	config_free(accepted("transport: auto\n"));
}

static void cpus_are_as_many_as_workers(void **state)
{
	struct config *c = accepted("cpus: [0, 1023]\nworkers: 2\n");

	(void)state;
	assert_int_equal(c->cpus[0], 0);
	assert_int_equal(c->cpus[1], 1023);
	config_free(c);
	refused("workers: 2\ncpus: [0]\n", 2, "cpus: 1 given; expected 2, one for each of the workers");
	refused("\ncpus: [0, 1, 2]\nworkers: 2\n", 2, "cpus: 3 given; expected 2");
	refused("cpus: [0, 1]\n", 1, "cpus: 2 given; expected 1");
}

static void a_bad_cpu_is_refused_with_the_line_of_its_entry(void **state)
{
	static const char *const words[] = { "-2", "1024", "first", "", "0-1", "-1 ,", "[0]" };
	char yaml[128];
	unsigned int i;

	(void)state;
	for (i = 0; i < ARRAY_SIZE(words); i++) {
		snprintf(yaml, sizeof(yaml), "workers: 2\ncpus:\n- 0\n# the second\n- %s\n", words[i]);
		refused(yaml, 5, "cpus: ");
	}
	refused("cpus: [-2]", 1, "expected the number of a core from 0 to 1023, or -1 for not pinned");
}

/* --- structure --- */

static void an_unknown_key_is_refused_with_the_known_ones(void **state)
{
	(void)state;
	refused("workers: 1\n\nfraems: 4096\n", 3,
		"unknown key \"fraems\"; expected one of instance, devices, mode, transport, wait, handler, "
		"workers, cpus, frames, frame_size, ring, batch, sessions, idle, hold, hold_time, hold_memory, fence, "
		"connections, stream_memory, queue, kernel_queue, deadline, heartbeat, connection_idle, sndbuf, rcvbuf, "
		"fast_open, backlog, reconnect_max, backends, services");
	refused("Workers: 1\n", 1, "unknown key \"Workers\"");
	refused("<<: {workers: 1}\n", 1, "unknown key \"<<\"");
	refused("\"\": 1\n", 1, "unknown key \"\"");
	refused("services:\n- name: game\n  adress: 10.0.0.1:5000\n", 3,
		"unknown key \"adress\"; expected one of name, protocol, address, id, default, stamp, dense, "
		"node, mode, backends, frame_max");
	refused("backends:\n- name: one\n  adress: 10.0.0.1:5000\n", 3, "unknown key \"adress\"; expected one of name, address");
	refused("services:\n- workers: 1\n", 2, "unknown key \"workers\"");
}

static void a_key_given_twice_is_refused_with_the_line_of_the_second(void **state)
{
	(void)state;
	refused("workers: 1\nbatch: 1\nworkers: 1\n", 3, "workers is given a second time");
	refused("services: []\n\nservices: []\n", 3, "services is given a second time");
	refused("services:\n- name: a\n  id: xsr\n  name: b\n", 4, "name is given a second time");
}

static void a_value_of_the_wrong_kind_is_refused(void **state)
{
	static const char *const words[] = { "instance", "mode",    "transport", "wait",
					     "handler",  "workers", "frames",    "frame_size",
					     "ring",     "batch",   "sessions",  "idle",
					     "hold",     "hold_time", "hold_memory", "fence",
					     "connections", "stream_memory", "queue", "kernel_queue", "deadline",
					     "heartbeat", "connection_idle", "sndbuf", "rcvbuf",
					     "fast_open", "backlog", "reconnect_max" };
	char part[64];
	unsigned int i;

	(void)state;
	for (i = 0; i < ARRAY_SIZE(words); i++) {
		snprintf(part, sizeof(part), "%s: a list; expected ", words[i]);
		refused(with(words[i], "[1]"), 3, part);
		snprintf(part, sizeof(part), "%s: keys and values; expected ", words[i]);
		refused(with(words[i], "{a: 1}"), 3, part);
	}
	refused(with("frames", "\n  - 4096"), 4,
		"frames: a list; expected a power of two from 64 to 1048576");
	refused(with("devices", "eth0"), 3, "devices: a word; expected a list, as in [a, b]");
	refused(with("devices", "{eth0: 1}"), 3, "devices: keys and values; expected a list");
	refused(with("devices", "[eth0, [eth1]]"), 3, "devices: a list; expected one word in each entry");
	refused(with("cpus", "0"), 3, "cpus: a word; expected a list");
	refused(with("cpus", "\"\""), 3, "cpus: a word; expected a list");
	refused("backends: one\n", 1, "backends: a word; expected a list");
	refused("backends: [one]\n", 1, "backends: a word; expected keys and values in each entry");
	refused("services:\n- name: game\n  backends: one\n", 3, "backends: a word; expected a list");
	refused("services:\n- name: game\n  backends:\n  - [one]\n", 4, "backends: a list; expected one word in each entry");
	refused("services:\n- name: game\n  mode: [epoll]\n", 3, "mode: a list; expected one word");
	refused("services: game\n", 1, "services: a word; expected a list");
	refused("services: {name: game}\n", 1, "services: keys and values; expected a list");
	refused("services:\n- name: game\n  address: a:1\n- game\n", 4,
		"services: a word; expected keys and values");
	refused("services:\n-\n", 2, "services: a word; expected keys and values");
	refused("services:\n- name: game\n  id:\n    - xsr\n", 4, "id: a list; expected one word");
}

static void a_file_of_the_wrong_kind_is_refused(void **state)
{
	(void)state;
	refused("- workers\n", 1, "the file: a list; expected keys and values, as in 'workers: 2'");
	refused("\nworkers\n", 2, "the file: a word");
	refused("---\n", 2, "the file: a word");
	refused("? [a]\n: b\n", 1, "a list for a key; expected a word");
	refused("workers: 1\n? {a: b}\n: c\n", 2, "keys and values for a key; expected a word");
	refused("workers: 1\n---\nworkers: 2\n", 2, "a second document; expected one");
}

static void broken_yaml_is_refused_with_its_line(void **state)
{
	(void)state;
	refused("workers: 1\ndevices: [eth0\nbatch: 2\n", 3, "not YAML: did not find expected ',' or ']'");
	refused("workers: 1\n\n\tbatch: 2\n", 3, "not YAML: found a tab character that violates indentation");
	refused("workers: 1\n  batch: 2\n", 2, "not YAML: mapping values are not allowed in this context");
	refused("instance: \"a\n", 2,
		"not YAML: found unexpected end of stream while scanning a quoted scalar");
	refused("workers: 1\n}\n", 2, "not YAML: ");
	refused("%YAML 3.0\n---\nworkers: 1\n", 1, "not YAML: found incompatible YAML document");
}

static void what_is_no_text_is_refused_with_its_line(void **state)
{
	static const char zero[] = "workers: 1\n\nbatch: \0 2\n", utf8[] = "workers: 1\nbatch: \xff\n";

	(void)state;
	refused_bytes(zero, sizeof(zero) - 1, 3, "not YAML: control characters are not allowed");
	refused_bytes(utf8, sizeof(utf8) - 1, 2, "not YAML: invalid leading UTF-8 octet");
	refused("workers: 1\ninstance: \"xsr\\0xyz\"\n", 2, "a zero byte; expected the value itself");
	refused("workers: 1\n\"batch\\0x\": 1\n", 2, "a zero byte");
}

static void anchors_aliases_and_tags_are_refused(void **state)
{
	(void)state;
	refused("workers: 1\nbatch: &n 1\n", 2, "an anchor; expected the value itself, written out");
	refused("workers: 1\ndevices: &n [eth0]\n", 2, "an anchor");
	refused("workers: 1\n\nservices:\n- &n {name: game}\n", 4, "an anchor");
	refused("workers: 1\nbatch: *n\n", 2, "an alias");
	refused("*n : 1\n", 1, "an alias");
	refused("workers: 1\nbatch: !!int 1\n", 2, "a tag");
	refused("workers: 1\ndevices: !x [eth0]\n", 2, "a tag");
	refused("--- !!map\nworkers: 1\n", 1, "a tag");
}

/* --- services --- */

static void a_service_has_what_its_keys_say(void **state)
{
	struct config *c = accepted("services:\n"
				    "- name: game\n"
				    "  protocol: udp\n"
				    "  address: 10.0.0.1:5000\n"
				    "  id: xsr\n"
				    "  default: hash\n"
				    "  stamp: on\n"
				    "  dense: 65536\n"
				    "  node: 7\n"
				    "- name: other\n"
				    "  address: \"[::]:53\"\n"
				    "  id: offset:8:4:le\n");
	const struct xsr_service *game = &c->services[0], *other = &c->services[1];

	(void)state;
	assert_int_equal(c->n_services, 2);
	assert_string_equal(game->name, "game");
	assert_int_equal(game->proto, IPPROTO_UDP);
	assert_int_equal(game->port, htons(5000));
	assert_int_equal(game->addr[3], inet_addr("10.0.0.1"));
	assert_string_equal(game->rule, "xsr");
	assert_int_equal(game->default_action, XSR_ACTION_HASH);
	assert_int_equal(game->stamp_interval, 1);
	assert_int_equal(game->dense_len, 65536);
	assert_int_equal(game->node, 7);
	assert_string_equal(other->name, "other");
	assert_int_equal(other->proto, IPPROTO_UDP);
	assert_int_equal(other->port, htons(53));
	assert_int_equal(other->default_action, XSR_ACTION_PASS);
	assert_int_equal(other->stamp_interval, 0);
	assert_int_equal(other->dense_len, 0);
	config_free(c);
}

static void a_stamp_is_a_word_whatever_yaml_takes_it_for(void **state)
{
	static const struct {
		const char *word;
		unsigned int interval;
	} stamps[] = { { "on", 1 }, { "off", 0 }, { "100", 100 }, { "\"on\"", 1 }, { "0x10", 16 } };
	char yaml[256];
	unsigned int i;

	(void)state;
	for (i = 0; i < ARRAY_SIZE(stamps); i++) {
		struct config *c;

		snprintf(yaml, sizeof(yaml), GAME "- {name: b, address: \"0.0.0.0:1\", id: xsr, stamp: %s}\n",
			 stamps[i].word);
		c = accepted(yaml);
		assert_int_equal(c->services[1].stamp_interval, stamps[i].interval);
		config_free(c);
	}
}

static void a_bad_service_is_refused_with_its_name_and_line(void **state)
{
	static const struct {
		const char *keys;
		const char *part;
	} bad[] = {
		{ "name: b, id: xsr", "service 'b': " },
		{ "name: b, address: \"10.0.0.1:1\"", "service 'b': " },
		{ "name: b, address: 10.0.0.1, id: xsr", "10.0.0.1" },
		{ "name: b, address: \"10.0.0.1:0\", id: xsr", "service 'b': " },
		{ "name: b, address: \"10.0.0.1:1\", id: nonsense", "nonsense" },
		{ "name: b, address: \"10.0.0.1:1\", id: xsr, protocol: sctp", "sctp" },
		{ "name: b, address: \"10.0.0.1:1\", id: xsr, default: reject", "reject" },
		{ "name: b, address: \"10.0.0.1:1\", id: xsr, stamp: maybe", "maybe" },
		{ "name: b, address: \"10.0.0.1:1\", id: xsr, dense: -1", "-1" },
		{ "name: b, address: \"10.0.0.1:1\", id: xsr, node: 65536", "65536" },
		{ "name: b.c, address: \"10.0.0.1:1\", id: xsr", "service 'b.c': " },
		{ "address: \"10.0.0.1:1\", id: xsr", "service '': " },
		{ "", "service '': " },
	};
	char yaml[256];
	unsigned int i;

	(void)state;
	for (i = 0; i < ARRAY_SIZE(bad); i++) {
		snprintf(yaml, sizeof(yaml), GAME "\n- {%s}\n", bad[i].keys);
		refused(yaml, 4, bad[i].part);
	}
}

static void two_services_of_one_name_are_refused(void **state)
{
	(void)state;
	refused(GAME "- {name: b, address: \"10.0.0.1:1\", id: xsr}\n"
		     "- name: game\n  address: 10.0.0.1:2\n  id: xsr\n",
		4, "services: a second service 'game'; expected another name");
}

static void two_services_of_one_address_and_port_are_refused(void **state)
{
	(void)state;
	refused(GAME "- name: b\n  address: 10.0.0.1:5000\n  id: gtpu\n", 3,
		"service 'b': 'game' has this address and port; expected another");
	refused("services:\n- {name: a, address: \"[::]:1\", id: xsr}\n- {name: b, address: \"[::0]:1\", id: "
		"xsr}\n",
		3, "'a' has this address and port");
}

static void services_that_differ_in_address_or_port_are_accepted(void **state)
{
	struct config *c = accepted(GAME "- {name: b, address: \"10.0.0.1:5001\", id: xsr}\n"
					 "- {name: c, address: \"10.0.0.2:5000\", id: xsr}\n"
					 "- {name: d, address: \"0.0.0.0:5000\", id: xsr}\n"
					 "- {name: e, address: \"[::]:5000\", id: xsr}\n"
					 "- {name: f, address: \"[::a00:1]:5000\", id: xsr}\n");

	(void)state;
	assert_int_equal(c->n_services, 6);
	assert_string_equal(c->services[5].name, "f");
	config_free(c);
}

static char *services_write(char *yaml, unsigned int n, bool one_port)
{
	unsigned int i;

	strcpy(yaml, "services:\n");
	for (i = 0; i < n; i++)
		sprintf(yaml + strlen(yaml), "- {name: s%u, address: \"10.0.0.%u:%u\", id: xsr}\n", i, i + 1,
			one_port ? 1 : i + 1);
	return yaml;
}

static void more_services_than_fit_are_refused(void **state)
{
	struct config *c;
	char yaml[8192];

	(void)state;
	c = accepted(services_write(yaml, XSR_SERVICES_MAX - 1, false));
	assert_int_equal(c->n_services, 63);
	assert_string_equal(c->services[62].name, "s62");
	config_free(c);
	refused(services_write(yaml, XSR_SERVICES_MAX, false), 65,
		"services: one too many; expected at most 63");
}

static void more_services_on_a_port_than_fit_are_refused(void **state)
{
	char yaml[2048];

	(void)state;
	config_free(accepted(services_write(yaml, XSR_SERVICES_PER_PORT_MAX, true)));
	refused(services_write(yaml, XSR_SERVICES_PER_PORT_MAX + 1, true), 10,
		"service 's8': one too many on its port; expected at most 8");
}

/* --- backends --- */

#define BACKENDS                                                                                                  \
	"backends:\n"                                                                                             \
	"- {name: one, address: \"10.0.1.1:9000\"}\n"                                                             \
	"- {name: two, address: \"[2001:db8::2]:9000\"}\n"                                                        \
	"- {name: three, address: \"10.0.1.3:9000\"}\n"

static void a_backend_has_what_its_keys_say(void **state)
{
	struct config *c = accepted(BACKENDS);

	(void)state;
	assert_int_equal(c->n_backends, 3);
	assert_string_equal(c->backends[0].name, "one");
	assert_int_equal(c->backends[0].family, 4);
	assert_int_equal(c->backends[0].addr[3], inet_addr("10.0.1.1"));
	assert_int_equal(c->backends[0].port, htons(9000));
	assert_int_equal(c->backends[1].family, 6);
	assert_int_equal(c->backends[1].addr[0], htonl(0x20010db8));
	config_free(c);
}

static void a_bad_backend_is_refused_with_its_name_and_line(void **state)
{
	(void)state;
	refused(BACKENDS "- {name: four}\n", 5, "backend 'four': the backend has no address; expected ADDR:PORT");
	refused(BACKENDS "- {address: \"10.0.1.4:1\"}\n", 5, "backend '': the backend has no name");
	refused(BACKENDS "- {}\n", 5, "backend '': the backend has no name");
	refused(BACKENDS "- {name: a.b, address: \"10.0.1.4:1\"}\n", 5, "backend 'a.b': name \"a.b\"");
	refused(BACKENDS "- {name: four, address: somewhere}\n", 5, "backend 'four': address \"somewhere\"");
	refused(BACKENDS "- {name: four, address: \"0.0.0.0:1\"}\n", 5, "expected that of one host");
	refused(BACKENDS "- {name: four, address: \"[::]:1\"}\n", 5, "expected that of one host");
	refused(BACKENDS "- {name: two, address: \"10.0.1.4:1\"}\n", 5,
		"backends: a second backend 'two'; expected another name");
	refused(BACKENDS "- {name: four, address: \"10.0.1.3:9000\"}\n", 5,
		"backend 'four': 'three' has this address and port; expected another");
}

static void more_backends_than_fit_are_refused(void **state)
{
	char yaml[8192] = "backends:\n";
	struct config *c;
	unsigned int i;

	(void)state;
	for (i = 1; i < XSR_BACKENDS_MAX; i++)
		sprintf(yaml + strlen(yaml), "- {name: b%u, address: \"10.0.0.%u:1\"}\n", i, i);
	c = accepted(yaml);
	assert_int_equal(c->n_backends, 63);
	config_free(c);
	strcat(yaml, "- {name: b64, address: \"10.0.0.64:1\"}\n");
	refused(yaml, 65, "backends: one too many; expected at most 63");
}

static void a_tcp_service_has_what_its_keys_say(void **state)
{
	struct config *c = accepted("services:\n"
				    "- name: gw\n"
				    "  protocol: tcp\n"
				    "  address: 10.0.0.1:7000\n"
				    "  id: xsr\n"
				    "  default: drop\n"
				    "  mode: frames\n"
				    "  backends: [three, one]\n"
				    "  frame_max: 1048576\n"
				    "- {name: raw, protocol: tcp, address: \"10.0.0.1:7001\", id: none, mode: relay,\n"
				    "   backends: [two]}\n"
				    "- {name: here, protocol: tcp, address: \"10.0.0.1:7002\", id: none, mode: local,\n"
				    "   cgroup: /sys/fs/cgroup/here.slice}\n" BACKENDS);

	(void)state;
	assert_int_equal(c->n_services, 3);
	assert_int_equal(c->services[2].mode, XSR_STREAM_LOCAL);
	assert_string_equal(c->cgroups[2], "/sys/fs/cgroup/here.slice");
	assert_string_equal(c->cgroups[1], "");
	assert_int_equal(c->services[0].proto, IPPROTO_TCP);
	assert_int_equal(c->services[0].mode, XSR_STREAM_FRAMES);
	assert_int_equal(c->services[0].frame_max, 1048576);
	assert_int_equal(c->services[0].default_action, XSR_ACTION_DROP);
	assert_int_equal(c->services[0].backends, 0x5); /* by their place in the list */
	assert_int_equal(c->services[1].mode, XSR_STREAM_RELAY);
	assert_int_equal(c->services[1].default_action, XSR_ACTION_HASH);
	assert_int_equal(c->services[1].backends, 0x2);
	config_free(c);
}

#define TCP "{name: b, protocol: tcp, address: \"10.0.0.1:1\", "

static void a_bad_tcp_service_is_refused_with_its_name_and_line(void **state)
{
	static const struct {
		const char *entry;
		const char *part;
	} bad[] = {
		{ TCP "id: xsr}", "service 'b': a TCP service has no backends; expected at least one" },
		{ TCP "id: xsr, backends: []}", "expected at least one" },
		{ TCP "id: xsr, backends: [one, four]}",
		  "service 'b': backends: \"four\" is not known; expected the name of one of backends" },
		{ TCP "id: xsr, backends: [one, two, one]}", "backends: \"one\" a second time; expected each once" },
		{ TCP "id: xsr, backends: [one], mode: auto}", "expected epoll, frames, splice, relay or local" },
		{ TCP "id: xsr, backends: [one], mode: splice}", "mode \"splice\"" },
		{ TCP "id: none, mode: local}", "expected cgroup" },
		{ TCP "id: none, mode: relay, backends: [one], cgroup: /sys/fs/cgroup}", "cgroup \"/sys/fs/cgroup\"" },
		{ TCP "id: none, backends: [one], mode: frames}", "expected id xsr" },
		{ TCP "id: xsr, backends: [one], frame_max: 19}", "from 20 to 1048576" },
		{ TCP "id: xsr, backends: [one], stamp: on}", "stamp \"on\"" },
		{ TCP "id: xsr, backends: [one], default: pass}", "expected drop or hash" },
		{ "{name: b, address: \"10.0.0.1:1\", id: xsr, backends: [one]}", "a UDP service has none" },
		{ "{name: b, address: \"10.0.0.1:1\", id: xsr, mode: epoll}", "a UDP service has none" },
	};
	char yaml[512];
	unsigned int i;

	(void)state;
	for (i = 0; i < ARRAY_SIZE(bad); i++) {
		snprintf(yaml, sizeof(yaml), BACKENDS GAME "\n- %s\n", bad[i].entry);
		refused(yaml, 8, bad[i].part);
	}
}

static void tcp_and_udp_services_may_have_one_address_and_port(void **state)
{
	struct config *c = accepted(BACKENDS GAME
				    "- {name: b, protocol: tcp, address: \"10.0.0.1:5000\", id: xsr, backends: [one]}\n");

	(void)state;
	assert_int_equal(c->n_services, 2);
	config_free(c);
	refused(BACKENDS "services:\n"
		"- {name: a, protocol: tcp, address: \"10.0.0.1:5000\", id: xsr, backends: [one]}\n"
		"- {name: b, protocol: tcp, address: \"10.0.0.1:5000\", id: none, mode: relay, backends: [one]}\n",
		7, "service 'b': 'a' has this address and port; expected another");
}

/* --- the sentence --- */

static void a_long_file_name_leaves_room_for_the_sentence(void **state)
{
	char name[500], why[CONFIG_WHY_LEN];
	struct config *c = &sentinel;

	(void)state;
	memset(name, 'x', sizeof(name));
	strcpy(name + sizeof(name) - 11, "/last.yaml");
	assert_int_equal(config_parse(name, "mode: a", 7, &c, why), -EINVAL);
	assert_memory_equal(why, "...xxx", 6);
	assert_non_null(strstr(why, "x/last.yaml:1: mode: \"a\"; expected auto, native or generic"));
}

static void what_moves_the_cursor_does_not_come_into_the_sentence(void **state)
{
	(void)state;
	refused("mode: \"\\e[2J\\n\\x7f\"\n", 1, "mode: \"?[2J??\"; expected");
	refused("\"\\r\\x9b\": 1\n", 1, "unknown key \"???\"");
	refused(GAME "- {name: \"\\a\"}\n", 3, "service '?': ");
}

static void a_long_value_is_cut(void **state)
{
	char yaml[1024] = "mode: ";

	(void)state;
	memset(yaml + 6, 'x', 900);
	refused(yaml, 1, "mode: \"xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx\"; expected auto, native or generic");
}

/* --- bombs --- */

static double seconds_now(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return ts.tv_sec + ts.tv_nsec / 1e9;
}

/* `unit` as often as 1 MiB holds it, behind `head`: it must be refused, and soon. */
static void bomb_refused(const char *head, const char *unit, unsigned int line, const char *part)
{
	size_t unit_len = strlen(unit), len = strlen(head);
	char *yaml = malloc(CONFIG_FILE_MAX);
	double started = seconds_now();

	assert_non_null(yaml);
	memcpy(yaml, head, len);
	for (; len + unit_len <= CONFIG_FILE_MAX; len += unit_len)
		memcpy(yaml + len, unit, unit_len);
	refused_bytes(yaml, len, line, part);
	free(yaml);
	assert_true(seconds_now() - started < 5);
}

static void bombs_are_refused_soon(void **state)
{
	(void)state;
	bomb_refused("a: &a [x,x,x,x,x,x]\n", "b: &b [*a,*a,*a,*a]\n", 1, "unknown key \"a\"");
	bomb_refused("devices: &a [x,x]\n", "- *a\n", 1, "an anchor");
	bomb_refused("", "[", 1, "the file: a list");
	bomb_refused("devices: ", "[", 1, "devices: a list");
	bomb_refused("instance: ", "{", 1, "instance: keys and values");
	bomb_refused("", "{", 1, "keys and values for a key");
	bomb_refused("", "- ", 1, "the file: a list");
	bomb_refused("", "? ", 1, "keys and values for a key");
	bomb_refused("devices: [", "a,", 1, "devices: one too many");
	bomb_refused("services:\n", "- {}\n", 65, "services: one too many");
	bomb_refused("instance: ", "x", 1, "instance: \"xxxx");
	bomb_refused("instance: \"", "\\n", 1, "not YAML");
	bomb_refused("", "x", 1, "the file: a word");
}

/* --- files --- */

/* A file that holds `len` bytes of `data`; its path is written into `path`. Returns its descriptor. */
static int file_make(const char *data, size_t len, char path[32])
{
	int fd = memfd_create("config", MFD_CLOEXEC);

	assert_true(fd >= 0);
	assert_int_equal(write(fd, data, len), len);
	snprintf(path, 32, "/proc/self/fd/%d", fd);
	return fd;
}

static void a_file_that_cannot_be_read_is_refused(void **state)
{
	char why[CONFIG_WHY_LEN];
	struct config *c = &sentinel;

	(void)state;
	assert_int_equal(config_load("/nonexistent/xsr.yaml", &c, why), -ENOENT);
	assert_string_equal(
		why, "/nonexistent/xsr.yaml: No such file or directory; expected a file that can be read");
	assert_int_equal(config_load("config", &c, why), -EISDIR);
	assert_string_equal(why, "config: Is a directory; expected a file that can be read");
	assert_ptr_equal(c, &sentinel);
}

static void a_file_longer_than_the_limit_is_refused(void **state)
{
	static char data[CONFIG_FILE_MAX + 1];
	char path[32], why[CONFIG_WHY_LEN];
	struct config *c = &sentinel;
	int fd;

	(void)state;
	memset(data, '\n', sizeof(data));
	fd = file_make(data, sizeof(data), path);
	assert_int_equal(config_load(path, &c, why), -EFBIG);
	assert_non_null(strstr(why, ": the file is too long; expected at most 1048576 bytes"));
	assert_ptr_equal(c, &sentinel);
	assert_int_equal(ftruncate(fd, CONFIG_FILE_MAX), 0);
	assert_int_equal(config_load(path, &c, why), 0);
	defaults_check(c);
	close(fd);
}

static void a_bad_file_is_refused_with_its_name_and_line(void **state)
{
	char path[32], why[CONFIG_WHY_LEN], expected[96];
	struct config *c = &sentinel;
	int fd = file_make("workers: 1\nbatch: 0\n", 20, path);

	(void)state;
	assert_int_equal(config_load(path, &c, why), -EINVAL);
	snprintf(expected, sizeof(expected), "%s:2: batch: \"0\"; expected a number from 1 to 256", path);
	assert_string_equal(why, expected);
	assert_ptr_equal(c, &sentinel);
	close(fd);
}

static void a_pipe_is_read_to_its_end(void **state)
{
	char path[32], why[CONFIG_WHY_LEN];
	struct config *c;
	int fds[2];

	(void)state;
	assert_int_equal(pipe(fds), 0);
	assert_int_equal(write(fds[1], GAME, strlen(GAME)), strlen(GAME));
	close(fds[1]);
	snprintf(path, sizeof(path), "/proc/self/fd/%d", fds[0]);
	assert_int_equal(config_load(path, &c, why), 0);
	assert_string_equal(c->services[0].name, "game");
	config_free(c);
	close(fds[0]);
}

static void freeing_nothing_is_allowed(void **state)
{
	(void)state;
	config_free(NULL);
}

/* --- what a new file changes --- */

/* Whether `yaml` in place of `base` needs a restart; `key` is what the sentence names. */
static void restart_check(const char *base, const char *yaml, const char *key)
{
	struct config *a = accepted(base), *b = accepted(yaml);
	char why[CONFIG_WHY_LEN] = "untouched", expected[CONFIG_WHY_LEN];

	assert_int_equal(config_needs_restart(a, b, why), key != NULL);
	snprintf(expected, sizeof(expected), "%s differs from what runs, ", key ? key : "");
	if (key ? strncmp(why, expected, strlen(expected)) : strcmp(why, "untouched"))
		fail_msg("\"%s\" does not name %s", why, key ? key : "nothing");
	config_free(a);
	config_free(b);
}

static void every_key_but_services_and_backends_needs_a_restart(void **state)
{
	static const char *const words[][2] = {
		{ "instance", "other" }, { "mode", "native" },     { "transport", "udp" },
		{ "wait", "spin" },      { "handler", "gateway" }, { "workers", "2" },
		{ "frames", "64" },      { "frame_size", "4096" }, { "ring", "64" },
		{ "batch", "1" },        { "sessions", "1" },      { "idle", "0" },
		{ "hold", "1" },         { "hold_time", "1" },     { "hold_memory", "1" },
		{ "fence", "100" },      { "connections", "1" },   { "stream_memory", "1" },
		{ "queue", "4" },        { "kernel_queue", "64" }, { "deadline", "0" },
		{ "heartbeat", "0" },
		{ "connection_idle", "0" }, { "sndbuf", "1" },     { "rcvbuf", "1" },
		{ "fast_open", "1" },    { "backlog", "1" },       { "reconnect_max", "100" },
		{ "devices", "[eth0]" }, { "cpus", "[0]" },
	};
	unsigned int i;

	(void)state;
	for (i = 0; i < ARRAY_SIZE(words); i++)
		restart_check("", with(words[i][0], words[i][1]), words[i][0]);
	restart_check("devices: [a, b]", "devices: [a, c]", "devices");
	restart_check("devices: [a, b]", "devices: [b, a]", "devices");
	restart_check("devices: [a, b]", "devices: [a]", "devices");
	restart_check("workers: 2\ncpus: [0, 1]", "workers: 2\ncpus: [0, -1]", "cpus");
}

static void services_and_backends_alone_need_no_restart(void **state)
{
	(void)state;
	restart_check("", BACKENDS, NULL);
	restart_check(BACKENDS, "backends:\n- {name: one, address: \"10.0.1.9:9000\"}\n", NULL);
	restart_check("", GAME, NULL);
	restart_check(GAME, "", NULL);
	restart_check(GAME, "services:\n- {name: game, address: \"[::]:9\", id: gtpu, default: drop}\n",
		      NULL);
}

static void a_default_that_is_written_out_needs_no_restart(void **state)
{
	(void)state;
	restart_check("", "instance: xsr\nworkers: 1\nframes: 0x1000\nmode: auto\ndevices: []\n", NULL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_is_not_given_has_its_default),
		cmocka_unit_test(every_key_is_read),
		cmocka_unit_test(every_choice_has_its_value),
		cmocka_unit_test(the_examples_load),
		cmocka_unit_test(the_full_example_shows_the_defaults),
		cmocka_unit_test(a_number_at_the_end_of_its_range_is_accepted),
		cmocka_unit_test(a_number_out_of_its_range_is_refused),
		cmocka_unit_test(what_is_no_power_of_two_is_refused),
		cmocka_unit_test(what_is_no_number_is_refused),
		cmocka_unit_test(a_leading_zero_is_not_octal),
		cmocka_unit_test(an_unknown_choice_is_refused_with_the_known_ones),
		cmocka_unit_test(a_bad_name_is_refused),
		cmocka_unit_test(a_bad_device_is_refused_with_the_line_of_its_entry),
		cmocka_unit_test(a_list_that_is_too_long_is_refused_with_the_line_of_the_first_excess),
		cmocka_unit_test(xdp_without_a_device_is_refused),
		cmocka_unit_test(cpus_are_as_many_as_workers),
		cmocka_unit_test(a_bad_cpu_is_refused_with_the_line_of_its_entry),
		cmocka_unit_test(an_unknown_key_is_refused_with_the_known_ones),
		cmocka_unit_test(a_key_given_twice_is_refused_with_the_line_of_the_second),
		cmocka_unit_test(a_value_of_the_wrong_kind_is_refused),
		cmocka_unit_test(a_file_of_the_wrong_kind_is_refused),
		cmocka_unit_test(broken_yaml_is_refused_with_its_line),
		cmocka_unit_test(what_is_no_text_is_refused_with_its_line),
		cmocka_unit_test(anchors_aliases_and_tags_are_refused),
		cmocka_unit_test(a_service_has_what_its_keys_say),
		cmocka_unit_test(a_stamp_is_a_word_whatever_yaml_takes_it_for),
		cmocka_unit_test(a_bad_service_is_refused_with_its_name_and_line),
		cmocka_unit_test(two_services_of_one_name_are_refused),
		cmocka_unit_test(two_services_of_one_address_and_port_are_refused),
		cmocka_unit_test(services_that_differ_in_address_or_port_are_accepted),
		cmocka_unit_test(more_services_than_fit_are_refused),
		cmocka_unit_test(more_services_on_a_port_than_fit_are_refused),
		cmocka_unit_test(a_backend_has_what_its_keys_say),
		cmocka_unit_test(a_bad_backend_is_refused_with_its_name_and_line),
		cmocka_unit_test(more_backends_than_fit_are_refused),
		cmocka_unit_test(a_tcp_service_has_what_its_keys_say),
		cmocka_unit_test(a_bad_tcp_service_is_refused_with_its_name_and_line),
		cmocka_unit_test(tcp_and_udp_services_may_have_one_address_and_port),
		cmocka_unit_test(a_long_file_name_leaves_room_for_the_sentence),
		cmocka_unit_test(what_moves_the_cursor_does_not_come_into_the_sentence),
		cmocka_unit_test(a_long_value_is_cut),
		cmocka_unit_test(bombs_are_refused_soon),
		cmocka_unit_test(a_file_that_cannot_be_read_is_refused),
		cmocka_unit_test(a_file_longer_than_the_limit_is_refused),
		cmocka_unit_test(a_bad_file_is_refused_with_its_name_and_line),
		cmocka_unit_test(a_pipe_is_read_to_its_end),
		cmocka_unit_test(freeing_nothing_is_allowed),
		cmocka_unit_test(every_key_but_services_and_backends_needs_a_restart),
		cmocka_unit_test(services_and_backends_alone_need_no_restart),
		cmocka_unit_test(a_default_that_is_written_out_needs_no_restart),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
