/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

#include "tcp_load_parts.h"

#define EVENTS_MAX 256
#define ROUND_MAX 256		   /* connections that send before answers are taken */
#define CONNECTING_MAX 256	   /* at a time, of all threads */
#define TICK_NS NS_PER_MS	   /* while something is down, or pauses */
#define CHECK_NS (100 * NS_PER_MS)
#define PUBLISH_NS (250 * NS_PER_MS)
#define PATIENCE_NS (5 * NS_PER_S) /* sessions that are not open by then are not waited for */
#define LINGER_NS (50 * NS_PER_MS) /* a duplicate of the last answers may show */
#define BYE_NS (200 * NS_PER_MS)
#define MESSAGES_NO_LIMIT (1ULL << 38)

/* --- opening --- */

/* Of n things that are dealt out to connections 0, 1, .. in turn, how many the one of this number has. */
static uint32_t share(uint64_t n, uint32_t n_takers, uint32_t number)
{
	return (n + n_takers - 1 - number) / n_takers;
}

/* What is read and not whole, what is to be written, and what is in pieces before. */
static uint64_t memory_needed(const struct load_shard *shard)
{
	const struct tcp_load_config *c = shard->c;
	uint64_t len = c->len > c->len_max ? c->len : c->len_max;
	uint64_t of_conn = 3 * (len + TCP_CONTIGUOUS_MAX) + 2 * LOAD_QUEUE_LEN;

	return (shard->n_conns * of_conn + shard->n_sessions * STREAM_SMALL_MAX * 4ULL + (8 << 20)) / 4 * 5;
}

static int memory_open(struct load_shard *shard)
{
	shard->conns = calloc(shard->n_conns, sizeof(*shard->conns));
	shard->sessions = calloc(shard->n_sessions, sizeof(*shard->sessions));
	shard->requests = calloc((size_t)shard->n_sessions * shard->c->window, sizeof(*shard->requests));
	shard->in = malloc(STREAM_FRAME_MAX);
	shard->out = malloc(STREAM_FRAME_MAX);
	if (!shard->conns || !shard->sessions || !shard->requests || !shard->in || !shard->out)
		return -ENOMEM;
	return load_ids_open(shard) ?: tcp_shared_open(&shard->shared, memory_needed(shard));
}

/* Session i of all is on connection i modulo their number. */
static void conn_fill(struct load_shard *shard, uint32_t i, struct load_session *sessions)
{
	const struct tcp_load_config *config = shard->c;
	uint32_t number = shard->place + i * shard->stride, k;
	struct load_conn *c = &shard->conns[i];
	struct load_session *s;
	uint64_t index;

	load_conn_init(c, shard);
	c->is_slow = number < config->n_slow;
	c->sessions = sessions;
	c->n_sessions = share(config->n_sessions, config->n_connections, number);
	for (k = 0; k < c->n_sessions; k++) {
		index = number + (uint64_t)k * config->n_connections;
		s = &sessions[k];
		load_session_init(s, c, config->assign ? 0 : config->first_id + index,
				  shard->requests + (s - shard->sessions) * config->window);
		s->n_left = config->n_messages ? share(config->n_messages, config->n_sessions, index) : MESSAGES_NO_LIMIT;
		shard->n_left += s->n_left;
	}
}

static void shard_fill(struct load_shard *shard)
{
	struct load_session *sessions = shard->sessions;
	uint32_t i;

	for (i = 0; i < shard->n_conns; i++) {
		conn_fill(shard, i, sessions);
		sessions += shard->conns[i].n_sessions;
	}
}

static uint32_t sessions_count(const struct load_shard *shard)
{
	uint32_t i, n = 0;

	for (i = 0; i < shard->n_conns; i++)
		n += share(shard->c->n_sessions, shard->c->n_connections, shard->place + i * shard->stride);
	return n;
}

int load_shard_open(struct load_shard *shard, const struct tcp_load_config *config, uint32_t place, const volatile bool *stop)
{
	int ret;

	*shard = (struct load_shard){
		.c = config,
		.stop = stop,
		.stride = config->n_threads,
		.place = place,
		.n_conns = share(config->n_connections, config->n_threads, place),
		.random = { .state = config->seed + place },
	};
	pthread_mutex_init(&shard->lock, NULL);
	TAILQ_INIT(&shard->ready);
	TAILQ_INIT(&shard->dirty);
	TAILQ_INIT(&shard->down);
	TAILQ_INIT(&shard->paused);
	shard->n_sessions = shard->n_unopened = shard->n_unfinished = sessions_count(shard);
	shard->rate = (double)config->rate * shard->n_sessions / config->n_sessions;
	shard->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
	ret = shard->epoll_fd < 0 ? -errno : memory_open(shard);
	if (!ret)
		shard_fill(shard);
	return ret;
}

void load_shard_close(struct load_shard *shard)
{
	uint32_t i;

	for (i = 0; shard->conns && i < shard->n_conns; i++)
		if (shard->conns[i].shard)
			load_conn_down(&shard->conns[i], 0);
	tcp_shared_close(&shard->shared);
	load_ids_close(shard);
	free(shard->conns);
	free(shard->sessions);
	free(shard->requests);
	free(shard->in);
	free(shard->out);
	if (shard->epoll_fd >= 0)
		close(shard->epoll_fd);
	pthread_mutex_destroy(&shard->lock);
}

/* --- when requests are due --- */

uint64_t load_shard_due_ns(const struct load_shard *shard)
{
	return shard->rate ? shard->start_ns + shard->n_begun / shard->rate * NS_PER_S : shard->now_ns;
}

bool load_shard_may_begin(const struct load_shard *shard)
{
	return load_shard_due_ns(shard) <= shard->now_ns;
}

/* --- a turn --- */

/* True if something was sent. If not, those that are in the list wait for their time. */
static bool shard_send(struct load_shard *shard)
{
	unsigned int n = ROUND_MAX;
	struct load_conn *c;
	bool any = false, sent;

	while (n-- && (c = TAILQ_FIRST(&shard->ready))) {
		sent = load_conn_send(c);
		any |= sent;
		if (!sent && c->is_ready)
			break;
	}
	load_conns_flush(shard);
	return any;
}

static bool is_busy(const struct load_shard *shard)
{
	return !TAILQ_EMPTY(&shard->down) || !TAILQ_EMPTY(&shard->paused) || shard->c->drop_rate;
}

static uint64_t timeout_ns(const struct load_shard *shard, bool has_sent)
{
	uint64_t now_ns = clock_now_ns(), at_ns = now_ns + (is_busy(shard) ? TICK_NS : CHECK_NS), due_ns;

	if (has_sent && !TAILQ_EMPTY(&shard->ready))
		return 0;
	due_ns = load_shard_due_ns(shard);
	if (shard->rate && !TAILQ_EMPTY(&shard->ready) && due_ns < at_ns)
		at_ns = due_ns;
	return at_ns > now_ns ? at_ns - now_ns : 0;
}

static void events_take(struct load_shard *shard, uint64_t ns)
{
	const struct timespec timeout = { ns / NS_PER_S, ns % NS_PER_S };
	struct epoll_event events[EVENTS_MAX];
	int i, n = epoll_pwait2(shard->epoll_fd, events, EVENTS_MAX, &timeout, NULL);

	if (n < 0 && errno != EINTR)
		shard->error = -errno;
	shard->now_ns = clock_now_ns();
	for (i = 0; i < n; i++)
		load_conn_ready(events[i].data.ptr, events[i].events);
}

/* --- what is due --- */

static bool is_needed(const struct load_conn *c)
{
	uint32_t i;

	for (i = 0; i < c->n_sessions; i++)
		if (!c->sessions[i].is_finished)
			return true;
	return false;
}

static void down_retry(struct load_shard *shard)
{
	uint32_t limit = CONNECTING_MAX / shard->c->n_threads + 1;
	struct load_conn *c, *next;

	for (c = TAILQ_FIRST(&shard->down); c && shard->n_connecting < limit; c = next) {
		next = TAILQ_NEXT(c, in_down);
		if (shard->now_ns >= c->retry_ns && is_needed(c))
			load_conn_connect(c);
	}
}

/* As many as are due, of those that are up. */
static void conns_drop(struct load_shard *shard)
{
	double rate = (double)shard->c->drop_rate * shard->n_conns / shard->c->n_connections;
	uint64_t due;
	struct load_conn *c;

	if (!rate || !shard->start_ns || shard->end_ns)
		return;
	due = (shard->now_ns - shard->start_ns) / (double)NS_PER_S * rate;
	for (; shard->n_dropped < due; shard->n_dropped++) {
		c = &shard->conns[stream_random_from(&shard->random, 0, shard->n_conns - 1)];
		if (c->state == LOAD_UP)
			load_conn_drop(c);
	}
}

static void all_check(struct load_shard *shard)
{
	uint32_t i;

	for (i = 0; i < shard->n_conns; i++) {
		load_conn_check(&shard->conns[i]);
		if (shard->conns[i].is_slow)
			load_conn_allow(&shard->conns[i], shard->now_ns - shard->check_ns);
	}
	for (i = 0; i < shard->n_sessions; i++)
		load_session_check(&shard->sessions[i]);
	shard->check_ns = shard->now_ns;
}

static void publish(struct load_shard *shard)
{
	shard->publish_ns = shard->now_ns;
	pthread_mutex_lock(&shard->lock);
	shard->published = shard->result;
	pthread_mutex_unlock(&shard->lock);
}

static void due_do(struct load_shard *shard)
{
	if (shard->now_ns - shard->tick_ns >= TICK_NS) {
		shard->tick_ns = shard->now_ns;
		down_retry(shard);
		load_sessions_unpause(shard);
		conns_drop(shard);
	}
	if (shard->now_ns - shard->check_ns >= CHECK_NS)
		all_check(shard);
	if (shard->now_ns - shard->publish_ns >= PUBLISH_NS)
		publish(shard);
}

static void shard_turn(struct load_shard *shard)
{
	bool sent = shard_send(shard);

	events_take(shard, timeout_ns(shard, sent));
	due_do(shard);
}

/* --- phases --- */

static void sessions_each(struct load_shard *shard, void (*what)(struct load_session *s))
{
	uint32_t i;

	for (i = 0; i < shard->n_sessions; i++)
		what(&shard->sessions[i]);
}

static void session_clock_start(struct load_session *s)
{
	s->alive_ns = s->conn->shard->now_ns;
}

static void sending_begin(struct load_shard *shard)
{
	shard->start_ns = shard->now_ns;
	shard->measure_ns = shard->start_ns + shard->c->warmup_s * NS_PER_S;
	sessions_each(shard, load_session_offer);
}

static bool sending_is_over(const struct load_shard *shard)
{
	if (!shard->n_left || *shard->stop)
		return true;
	return shard->start_ns && shard->c->seconds && shard->now_ns >= shard->measure_ns + shard->c->seconds * NS_PER_S;
}

/* From here on a slow reader's silence counts. */
static void sending_end(struct load_shard *shard)
{
	shard->end_ns = shard->now_ns;
	if (!shard->start_ns)
		shard->start_ns = shard->now_ns;
	shard->answered_in_time = shard->result.requests.answered;
	shard->bytes_in_time = shard->result.bytes;
	if (shard->c->n_slow)
		sessions_each(shard, session_clock_start);
	sessions_each(shard, load_session_settle);
}

static void turn_for(struct load_shard *shard, uint64_t ns, bool (*is_done)(const struct load_shard *shard))
{
	uint64_t until_ns = shard->now_ns + ns;

	while (shard->now_ns < until_ns && !(is_done && is_done(shard)) && !shard->error) {
		shard_send(shard);
		events_take(shard, NS_PER_MS);
	}
}

static bool all_is_written(const struct load_shard *shard)
{
	uint32_t i;

	for (i = 0; i < shard->n_conns; i++)
		if (load_conn_queued(&shard->conns[i]))
			return false;
	return true;
}

/* What is not told by then the server finds out. */
static void shard_finish(struct load_shard *shard)
{
	uint32_t i;

	turn_for(shard, LINGER_NS, NULL);
	for (i = 0; i < shard->n_conns; i++)
		load_conn_bye(&shard->conns[i]);
	turn_for(shard, BYE_NS, all_is_written);
	for (i = 0; i < shard->n_sessions; i++) {
		shard->result.lost += shard->sessions[i].ledger.n_open;
		shard->result.not_opened += !shard->sessions[i].was_opened;
	}
}

static void shard_work(struct load_shard *shard)
{
	while ((!shard->end_ns || shard->n_unfinished) && !shard->error) {
		shard_turn(shard);
		if (!shard->start_ns && (!shard->n_unopened || shard->now_ns - shard->open_ns >= PATIENCE_NS))
			sending_begin(shard);
		if (!shard->end_ns && sending_is_over(shard))
			sending_end(shard);
	}
}

void *load_shard_run(void *arg)
{
	struct load_shard *shard = arg;

	shard->now_ns = shard->open_ns = shard->check_ns = clock_now_ns();
	sessions_each(shard, session_clock_start);
	shard_work(shard);
	shard_finish(shard);
	publish(shard);
	pthread_mutex_lock(&shard->lock);
	shard->has_ended = true;
	pthread_mutex_unlock(&shard->lock);
	return NULL;
}
