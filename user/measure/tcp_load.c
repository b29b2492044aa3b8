/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#include "tcp_load.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "tcp_load_parts.h"

#define LOOK_NS (20 * NS_PER_MS)
#define REPORT_NS NS_PER_S

struct load {
	const struct tcp_load_config *c;
	struct load_shard *shards;
	uint32_t n_open;    /* were opened, or tried to */
	uint32_t n_started; /* have a thread */
};

/* --- sums --- */

static void result_add(struct tcp_load_result *sum, const struct tcp_load_result *r)
{
	request_counts_add(&sum->requests, &r->requests);
	sum->errors = request_counts_errors(&sum->requests);
	sum->lost += r->lost;
	sum->torn += r->torn;
	sum->unexpected += r->unexpected;
	sum->early += r->early;
	sum->connected += r->connected;
	sum->connect_failures += r->connect_failures;
	sum->drops += r->drops;
	sum->reconnects += r->reconnects;
	sum->resumed += r->resumed;
	sum->forgotten += r->forgotten;
	sum->refused += r->refused;
	sum->given_up += r->given_up;
	sum->not_opened += r->not_opened;
	sum->bytes += r->bytes;
	sum->measured_sent += r->measured_sent;
	sum->measured_answered += r->measured_answered;
	sum->answered_inside += r->answered_inside;
}

static void histogram_join(struct histogram *sum, const struct histogram *h)
{
	unsigned int i;

	if (!h->n)
		return;
	if (!sum->n || h->min < sum->min)
		sum->min = h->min;
	if (h->max > sum->max)
		sum->max = h->max;
	sum->n += h->n;
	for (i = 0; i < HISTOGRAM_BUCKETS; i++)
		sum->buckets[i] += h->buckets[i];
}

static void latency_collect(const struct load *l, struct tcp_load_result *r)
{
	struct histogram all = {};
	uint64_t sum_ns = 0;
	uint32_t i;

	for (i = 0; i < l->n_started; i++) {
		histogram_join(&all, &l->shards[i].latency_ns);
		sum_ns += l->shards[i].latency_sum_ns;
	}
	r->ns_min = all.min;
	r->ns_mean = all.n ? sum_ns / all.n : 0;
	r->ns_p95 = histogram_percentile(&all, 950);
	r->ns_p50 = histogram_percentile(&all, 500);
	r->ns_p99 = histogram_percentile(&all, 990);
	r->ns_p999 = histogram_percentile(&all, 999);
	r->ns_max = all.max;
}

/* The threads begin when their sessions are open: their speeds add up, the time is the longest. */
static void speed_collect(const struct load *l, struct tcp_load_result *r)
{
	uint32_t i;

	for (i = 0; i < l->n_started; i++) {
		const struct load_shard *shard = &l->shards[i];
		double seconds = (shard->end_ns - shard->start_ns) / (double)NS_PER_S;

		if (seconds <= 0)
			continue;
		r->answered_per_s += shard->answered_in_time / seconds;
		r->mb_per_s += shard->bytes_in_time / seconds / 1e6;
		r->seconds = seconds > r->seconds ? seconds : r->seconds;
	}
}

static void result_collect(const struct load *l, struct tcp_load_result *r)
{
	uint32_t i;

	memset(r, 0, sizeof(*r));
	for (i = 0; i < l->n_started; i++)
		result_add(r, &l->shards[i].result);
	latency_collect(l, r);
	speed_collect(l, r);
}

bool tcp_load_clean(const struct tcp_load_result *r)
{
	const struct request_counts *c = &r->requests;

	return c->sent && !r->lost && !c->duplicated && !c->after_error && !c->reordered && !c->unknown && !r->torn &&
	       !r->unexpected && !r->not_opened;
}

/* --- threads --- */

static int shards_open(struct load *l, const volatile bool *stop)
{
	int ret = 0;

	l->shards = calloc(l->c->n_threads, sizeof(*l->shards));
	if (!l->shards)
		return -ENOMEM;
	for (; l->n_open < l->c->n_threads && !ret; l->n_open++)
		ret = load_shard_open(&l->shards[l->n_open], l->c, l->n_open, stop);
	return ret;
}

static int shards_start(struct load *l)
{
	int ret = 0;

	while (l->n_started < l->n_open && !ret) {
		ret = -pthread_create(&l->shards[l->n_started].thread, NULL, load_shard_run, &l->shards[l->n_started]);
		l->n_started += !ret;
	}
	return ret;
}

/* What the threads have published. True if all have ended. */
static bool shards_look(struct load *l, struct tcp_load_result *sum)
{
	bool ended = true;
	uint32_t i;

	memset(sum, 0, sizeof(*sum));
	for (i = 0; i < l->n_started; i++) {
		pthread_mutex_lock(&l->shards[i].lock);
		result_add(sum, &l->shards[i].published);
		ended &= l->shards[i].has_ended;
		pthread_mutex_unlock(&l->shards[i].lock);
	}
	return ended;
}

static void shards_watch(struct load *l, void (*report)(const struct tcp_load_result *result, double elapsed_s, void *arg),
			 void *arg)
{
	const struct timespec pause = { .tv_nsec = LOOK_NS };
	uint64_t start_ns = clock_now_ns(), report_ns = start_ns + REPORT_NS;
	struct tcp_load_result sum;

	while (!shards_look(l, &sum)) {
		nanosleep(&pause, NULL);
		if (!report || clock_now_ns() < report_ns)
			continue;
		report(&sum, (clock_now_ns() - start_ns) / (double)NS_PER_S, arg);
		report_ns += REPORT_NS;
	}
}

static int shards_join(struct load *l)
{
	int ret = 0;
	uint32_t i;

	for (i = 0; i < l->n_started; i++) {
		pthread_join(l->shards[i].thread, NULL);
		ret = ret ? ret : l->shards[i].error;
	}
	return ret;
}

static void load_close(struct load *l)
{
	uint32_t i;

	for (i = 0; i < l->n_open; i++)
		load_shard_close(&l->shards[i]);
	free(l->shards);
}

int tcp_load_run(const struct tcp_load_config *config, struct tcp_load_result *result, const volatile bool *stop,
		 void (*report)(const struct tcp_load_result *result, double elapsed_s, void *arg), void *arg,
		 char why[TCP_LOAD_WHY_LEN])
{
	struct load l = { .c = config };
	int ret;

	ret = shards_open(&l, stop);
	if (!ret)
		ret = shards_start(&l);
	if (!ret)
		shards_watch(&l, report, arg);
	ret = shards_join(&l) ?: ret;
	result_collect(&l, result);
	if (ret)
		snprintf(why, TCP_LOAD_WHY_LEN, "%s", strerror(-ret));
	load_close(&l);
	return ret;
}
