/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Samples of a way from a TCP client to a backend: the processor time of all who have a part in a message, and the time that one
 * takes there and back. The client runs on the first core, the backend on the second, what is in between on both.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "clock.h"
#include "cputime.h"
#include "row.h"
#include "tcp_client.h"
#include "tcp_path.h"

#define STEP_NS NS_PER_MS
#define BEGIN_NS (5 * NS_PER_S) /* until the first answer */
#define END_NS (10 * NS_PER_S)	/* until the last one */
#define DEADLINE_MS 9000
#define SECONDS_MAX 60
#define WINDOWS_MAX 10	 /* where others leave no time, one may have nothing in it */
#define MESSAGES_MIN 200
#define PINGS_MIN 100 /* fewer have no p99 */
#define BULK_FROM 65536
#define GB 1e9
#define INTERRUPTS "ksoftirqd/" /* the threads that take over from interrupts */

/* Its sessions are nobody's before: what the last sample's left with the backend is not theirs. */
static int client_start(struct tcp_client *client, struct bench *b, const struct row *row, const struct tcp_path *path,
			char why[LAB_WHY_LEN])
{
	struct tcp_load_config config = {
		.n_connections = row->tcp.n_connections,
		.n_sessions = row->tcp.n_sessions,
		.n_threads = 1,
		.first_id = b->next_id,
		.len = row->payload_len,
		.window = row->tcp.window,
		.seconds = SECONDS_MAX,
		.deadline_ms = DEADLINE_MS,
		.seed = 1,
	};

	b->next_id += row->tcp.n_sessions;
	memcpy(&config.address, &path->address, sizeof(path->address));
	return tcp_client_start(client, b, &config, why);
}

/* --- processor time --- */

/* What stands now. */
struct reading {
	uint64_t client_ns, backend_ns, between_ns, workers_ns, n_messages;
	struct cputime kernel;
};

static int reading_take(const struct tcp_client *client, const struct tcp_path *path, struct reading *r)
{
	uint64_t ns;
	unsigned int i;
	int ret = cputime_read(&r->kernel, path->worktime ? INTERRUPTS : "");

	r->workers_ns = path->worktime ? worktime_ns(path->worktime) : 0;
	r->between_ns = 0;
	for (i = 0; i < path->n_parts && !ret; i++) {
		ret = child_cpu_ns(path->parts[i], &ns);
		r->between_ns += ret ? 0 : ns;
	}
	if (!ret)
		ret = child_cpu_ns(&client->child, &r->client_ns);
	if (!ret)
		ret = child_cpu_ns(path->backend, &r->backend_ns);
	r->n_messages = atomic_load_explicit(&path->backend->report->n_messages, memory_order_relaxed);
	return ret;
}

/* In us of a message, or in seconds of 10^9 bytes there and back. */
static double cost(const struct row *row, uint64_t ns, uint64_t n_messages)
{
	return row->payload_len > BULK_FROM ? ns / (2. * n_messages * row->payload_len) : ns / 1e3 / n_messages;
}

static int cost_fill(const struct row *row, const struct reading *before, const struct reading *after, double seconds,
		     struct sample *sample, char why[LAB_WHY_LEN])
{
	uint64_t n = after->n_messages - before->n_messages, kernel_ns;
	double *parts = sample->parts;
	int i;

	if (!n) {
		snprintf(why, LAB_WHY_LEN, "no message was answered");
		return -EIO;
	}
	parts[SAMPLE_CLIENT] = cost(row, after->client_ns - before->client_ns, n);
	parts[SAMPLE_BACKEND] = cost(row, after->backend_ns - before->backend_ns, n);
	parts[SAMPLE_BETWEEN] = cost(row, after->between_ns - before->between_ns, n);
	kernel_ns = cputime_grown(&before->kernel, &after->kernel) + after->workers_ns - before->workers_ns;
	parts[SAMPLE_KERNEL] = cost(row, kernel_ns, n);
	for (i = 0; i < SAMPLE_PARTS; i++)
		sample->value += parts[i];
	sample->rate = row->payload_len > BULK_FROM ? 2. * n * row->payload_len / GB / seconds : n / 1e6 / seconds;
	sample->rate_unit = row->payload_len > BULK_FROM ? "GB/s" : "M/s";
	return 0;
}

/* --- a run --- */

static int first_answer_wait(struct bench *b, struct tcp_client *client, const struct tcp_path *path, char why[LAB_WHY_LEN])
{
	uint64_t n = atomic_load(&path->backend->report->n_messages), until_ns = clock_now_ns() + BEGIN_NS;
	int ret = 0;

	while (!ret && atomic_load(&path->backend->report->n_messages) == n) {
		if (!child_alive(&client->child, why))
			return -EIO;
		if (clock_now_ns() > until_ns) {
			snprintf(why, LAB_WHY_LEN, "nothing was answered within 5 s");
			return -ETIMEDOUT;
		}
		ret = bench_sleep(b, STEP_NS);
	}
	return ret ? ret : bench_sleep(b, b->profile.warmup_ns);
}

/* Every message must have been answered, by its own bytes, once and in order. */
static int client_end(struct bench *b, struct tcp_client *client, struct tcp_load_result *result, char why[LAB_WHY_LEN])
{
	uint64_t cpu_ns;
	int ret;

	tcp_client_quit(client);
	ret = tcp_client_wait(client, b, END_NS, result, &cpu_ns, why);
	if (ret || (tcp_load_clean(result) && !result->errors && !result->reconnects))
		return ret;
	snprintf(why, LAB_WHY_LEN, "not exact: %llu sent, %llu lost, %llu torn, %llu out of order, %llu errors, %llu reconnects",
		 (unsigned long long)result->requests.sent, (unsigned long long)result->lost, (unsigned long long)result->torn,
		 (unsigned long long)result->requests.reordered, (unsigned long long)result->errors,
		 (unsigned long long)result->reconnects);
	return -EBADMSG;
}

static int window_measure(struct bench *b, const struct row *row, const struct tcp_client *client, const struct tcp_path *path,
			  struct sample *sample, char why[LAB_WHY_LEN])
{
	static struct reading before, after;
	uint64_t start_ns;
	int ret = reading_take(client, path, &before), i;

	start_ns = clock_now_ns();
	for (i = 0; i < WINDOWS_MAX && !ret; i++) {
		ret = bench_sleep(b, b->profile.window_ns);
		if (!ret)
			ret = reading_take(client, path, &after);
		if (after.n_messages - before.n_messages >= MESSAGES_MIN)
			break;
	}
	if (ret) {
		snprintf(why, LAB_WHY_LEN, "cannot read the processor time of a part: %s", strerror(-ret));
		return ret;
	}
	return cost_fill(row, &before, &after, (clock_now_ns() - start_ns) / (double)NS_PER_S, sample, why);
}

static int path_measure(struct bench *b, const struct row *row, struct tcp_load_result *result, struct sample *sample,
			char why[LAB_WHY_LEN])
{
	struct tcp_client client = {};
	struct tcp_path path;
	int ret = tcp_path_open(b, row->tcp.way, row->payload_len, &path, why);

	snprintf(sample->mode, sizeof(sample->mode), "%s", path.mode);
	if (!ret)
		ret = client_start(&client, b, row, &path, why);
	if (!ret)
		ret = first_answer_wait(b, &client, &path, why);
	if (!ret)
		ret = window_measure(b, row, &client, &path, sample, why);
	if (!ret)
		ret = client_end(b, &client, result, why);
	tcp_client_stop(&client);
	return ret;
}

int sample_tcp_cpu(struct bench *b, const struct row *row, struct sample *sample, char why[LAB_WHY_LEN])
{
	struct tcp_load_result result;

	return path_measure(b, row, &result, sample, why);
}

int sample_tcp_rtt(struct bench *b, const struct row *row, struct sample *sample, char why[LAB_WHY_LEN])
{
	struct tcp_load_result result;
	int ret = path_measure(b, row, &result, sample, why);

	if (ret)
		return ret;
	if (result.requests.answered < PINGS_MIN) {
		snprintf(why, LAB_WHY_LEN, "only %llu messages were answered", (unsigned long long)result.requests.answered);
		return -EIO;
	}
	sample->value = result.ns_p50 / 1e3;
	sample->p99 = result.ns_p99 / 1e3;
	sample->p999 = result.ns_p999 / 1e3;
	sample->rate = 0;
	memset(sample->parts, 0, sizeof(sample->parts));
	return 0;
}
