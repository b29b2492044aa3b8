/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#include "udp_load.h"

#include <endian.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

#include "answer_check.h"
#include "clock.h"
#include "frame.h"
#include "move_watch.h"
#include "mover.h"
#include "owner_check.h"
#include "source_order.h"
#include "udp_sockets.h"
#include "window.h"

#define REPORT_NS (NS_PER_S / 4)
#define ROUND_MAX 1024 /* messages sent before answers are taken */
#define BYTES_A_SESSION 150

struct load {
	const struct udp_load_config *c;
	struct udp_load_result *r;
	const struct mover_config moves;
	int epoll_fd;
	uint64_t n_messages; /* ends after so many */
	uint64_t start_ns, now_ns, report_ns, roam_ns;
	uint64_t n_unknown;
	struct udp_sockets *sockets;
	struct source_order *order;
	struct answer_check *check;
	struct owner_check *owners;
	struct move_watch *watch;
	struct mover *mover; /* NULL = no moves */
	struct window window;
};

static uint64_t messages_max(const struct udp_load_config *c)
{
	uint64_t n = (c->rate ? c->rate : UDP_LOAD_RATE_MAX) * c->seconds;

	return c->n_messages && (!c->seconds || c->n_messages < n) ? c->n_messages : n;
}

static void load_close(struct load *l)
{
	udp_sockets_close(l->sockets);
	mover_close(l->mover);
	move_watch_close(l->watch);
	owner_check_close(l->owners);
	answer_check_close(l->check);
	source_order_close(l->order);
	if (l->epoll_fd >= 0)
		close(l->epoll_fd);
}

/* What calloc() promises the kernel may not have: ask before. */
static int memory_check(const struct load *l, char why[UDP_LOAD_WHY_LEN])
{
	uint64_t bytes = answer_check_size(l->c->n_sessions, l->n_messages) +
			 (uint64_t)l->c->n_sessions * (BYTES_A_SESSION + 16 * l->c->n_sources);

	if (bytes / sysconf(_SC_PAGESIZE) < (uint64_t)sysconf(_SC_PHYS_PAGES) / 2)
		return 0;
	snprintf(why, UDP_LOAD_WHY_LEN,
		 "the numbers of %llu messages on %u sessions need %llu MiB, more than half of this host's "
		 "memory; "
		 "send fewer messages, for a shorter time, or on fewer sessions",
		 (unsigned long long)l->n_messages, l->c->n_sessions, (unsigned long long)bytes >> 20);
	return -EFBIG;
}

static int mover_start(struct load *l, char why[UDP_LOAD_WHY_LEN])
{
	_Static_assert(UDP_LOAD_WHY_LEN >= MOVER_WHY_LEN, "a sentence of the mover fits");

	return l->c->moves_rate ? mover_open(&l->mover, &l->moves, l->owners, l->watch, l->epoll_fd, why) : 0;
}

static int load_open(struct load *l, char why[UDP_LOAD_WHY_LEN])
{
	const struct udp_load_config *c = l->c;
	int ret = memory_check(l, why);

	if (ret)
		return ret;
	l->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
	ret = l->epoll_fd < 0 ? -errno : 0;
	if (!ret)
		ret = source_order_open(&l->order, c->n_sessions, c->n_sources, c->n_sockets);
	if (!ret)
		ret = answer_check_open(&l->check, c->n_sessions, l->n_messages, l->order);
	if (!ret)
		ret = owner_check_open(&l->owners, c->first_id, c->n_sessions, c->n_owners);
	if (!ret)
		ret = move_watch_open(&l->watch, c->n_sessions);
	if (!ret)
		ret = udp_sockets_open(&l->sockets, &c->address, c->n_sockets, l->epoll_fd);
	if (ret)
		snprintf(why, UDP_LOAD_WHY_LEN, "%s", strerror(-ret));
	return ret ? ret : mover_start(l, why);
}

/* --- sending --- */

static void ping_write(const struct udp_load_config *c, uint8_t *at, uint64_t id, uint64_t seq)
{
	struct xsr_frame *frame = (struct xsr_frame *)at;
	struct xsr_frame_perf *perf = (struct xsr_frame_perf *)(frame + 1);

	memset(at, seq & 0xff, c->len);
	memset(perf, 0, sizeof(*perf));
	*frame = (struct xsr_frame){
		.len = htobe32(c->len - 4),
		.version = XSR_FRAME_VERSION,
		.type = XSR_FRAME_PERF_PING,
		.id = htobe64(id),
		.seq = htobe64(seq),
	};
	perf->t1_ns = htobe64(clock_now_ns());
}

/* The sessions send in turn. */
static void message_send(struct load *l, uint64_t index)
{
	uint32_t session = index % l->c->n_sessions, seq = index / l->c->n_sessions + 1;
	uint32_t socket = source_order_socket(l->order, session, seq);

	ping_write(l->c, udp_sockets_reserve(l->sockets, socket, l->c->len), l->c->first_id + session, seq);
}

/* How many messages may be sent now. */
static uint64_t messages_due(const struct load *l)
{
	uint64_t due = l->n_messages, room;

	if (l->c->rate)
		due = (l->now_ns - l->start_ns) / (double)NS_PER_S * l->c->rate;
	if (due > l->n_messages)
		due = l->n_messages;
	due -= l->window.n_sent;
	room = l->c->window ? window_room(&l->window, l->c->window) : due;
	return room < due ? room : due;
}

/* True if there are more to send. What the kernel refuses is sent and will be missed: its number is used up.
 */
static bool send_due(struct load *l)
{
	uint64_t due = messages_due(l), n = due < ROUND_MAX ? due : ROUND_MAX, i;

	for (i = 0; i < n; i++)
		message_send(l, l->window.n_sent + i);
	l->r->send_errors += udp_sockets_flush(l->sockets);
	window_sent(&l->window, l->window.n_sent + n);
	answer_check_sent(l->check, l->window.n_sent);
	return n < due;
}

static void roam(struct load *l)
{
	if (!l->c->roam_ms || l->now_ns < l->roam_ns)
		return;
	l->roam_ns += l->c->roam_ms * NS_PER_MS;
	if (source_order_reserve(l->order) || udp_sockets_roam(l->sockets, l->now_ns))
		return;
	source_order_roamed(l->order, l->window.n_sent);
	l->r->n_roamed++;
}

/* --- answers --- */

static void answer_measure(struct load *l, uint32_t session, const struct xsr_frame_perf *perf)
{
	const struct move_answer answer = {
		.arrived_ns = l->now_ns,
		.served_ns = be64toh(perf->t2_ns),
		.number = be64toh(perf->served),
		.settled = answer_check_settled(l->check, session),
		.generation = be16toh(perf->generation),
	};
	uint16_t worker = be16toh(perf->owner_worker);

	if (worker < XSR_WORKERS_MAX)
		l->r->by_worker[worker]++;
	owner_check_note(l->owners, session, answer.generation, worker);
	move_watch_answer(l->watch, session, &answer);
}

static void answer_take(const uint8_t *data, uint32_t len, void *arg)
{
	const struct xsr_frame *f = (const struct xsr_frame *)data;
	const struct xsr_frame_perf *perf = (const struct xsr_frame_perf *)(f + 1);
	struct load *l = arg;
	uint64_t session, seq;

	if (len != l->c->len || f->type != XSR_FRAME_PERF_PONG) {
		l->n_unknown++;
		return;
	}
	session = be64toh(f->id) - l->c->first_id;
	seq = be64toh(f->seq);
	if (!answer_check_note(l->check, session, seq, be64toh(perf->served)))
		return;
	window_answered(&l->window, (seq - 1) * l->c->n_sessions + session);
	answer_measure(l, session, perf);
}

static void receive(struct load *l, int timeout_ms)
{
	struct epoll_event events[64];
	int i, n = epoll_wait(l->epoll_fd, events, 64, timeout_ms);

	l->now_ns = clock_now_ns();
	for (i = 0; i < n; i++) {
		if (l->mover && events[i].data.fd == mover_fd(l->mover))
			mover_handle(l->mover, l->now_ns);
		else
			udp_sockets_receive(l->sockets, events[i].data.fd, answer_take, l);
	}
	if (l->c->n_answered)
		atomic_store_explicit(l->c->n_answered, l->window.n_answered, memory_order_relaxed);
}

/* --- results --- */

static void moves_collect(struct load *l)
{
	const struct mover_counts *moves = mover_counts(l->mover);
	struct udp_load_result *r = l->r;

	r->moves = moves->asked;
	r->moves_done = moves->moved;
	r->moves_unchanged = moves->unchanged;
	r->moves_failed = moves->failed;
	r->moves_without_state = moves->without_state;
	r->moves_ns_p50 = mover_time_ns(l->mover);
	snprintf(r->moves_why, sizeof(r->moves_why), "%s",
		 *moves->why || moves->asked ? moves->why : "not every session was answered before the end");
}

static void handoffs_collect(struct load *l)
{
	const struct move_results *moves = move_watch_results(l->watch);
	struct udp_load_result *r = l->r;

	r->handoffs = moves->handoffs_ns.n;
	r->handoff_ns_p50 = histogram_percentile(&moves->handoffs_ns, 500);
	r->handoff_ns_p99 = histogram_percentile(&moves->handoffs_ns, 990);
	r->handoff_ns_p999 = histogram_percentile(&moves->handoffs_ns, 999);
	r->handoff_ns_max = moves->handoffs_ns.max;
	r->handoff_ns_recent = move_watch_recent(l->watch);
	r->weird = moves->weird;
	r->gap_ns_max = moves->gap_ns_max;
	r->gap_unmoved_ns_max = moves->gap_unmoved_ns_max;
}

static void result_collect(struct load *l)
{
	const struct answer_counts *answers = answer_check_counts(l->check);
	const struct owner_counts *owners = owner_check_counts(l->owners);
	struct udp_load_result *r = l->r;

	r->sent = l->window.n_sent;
	r->overdue = l->window.n_given_up;
	r->received = answers->received;
	r->duplicated = answers->duplicated;
	r->unknown = answers->unknown + l->n_unknown;
	r->reordered = answers->reordered;
	r->state_lost = answers->state_lost;
	r->misrouted = owners->misrouted;
	r->n_generations = owners->n_generations;
	handoffs_collect(l);
	if (l->mover)
		moves_collect(l);
}

bool udp_load_clean(const struct udp_load_result *r)
{
	return r->sent && !r->lost && !r->duplicated && !r->reordered && !r->misrouted && !r->unknown &&
	       !r->state_lost;
}

/* --- the run --- */

static bool sending_is_over(const struct load *l)
{
	if (l->window.n_sent >= l->n_messages)
		return true;
	/* Without a window all that is due is sent, however long that takes. */
	return l->c->window && l->c->seconds && l->now_ns - l->start_ns >= l->c->seconds * NS_PER_S;
}

static void drain(struct load *l)
{
	uint64_t end_ns = l->now_ns + l->c->drain_s * NS_PER_S;

	while ((l->window.n_answered < l->window.n_sent || (l->mover && mover_waits(l->mover))) &&
	       l->now_ns < end_ns)
		receive(l, 1);
	receive(l, 50); /* time for a duplicate of the last ones to show */
}

/* Sends what is due, takes what is there; waits a little if that is all. */
static void turn(struct load *l)
{
	uint64_t before_ns = l->now_ns;
	bool more = send_due(l);

	receive(l, more ? 0 : 1);
	if (l->now_ns - before_ns > l->r->stall_ns_max)
		l->r->stall_ns_max = l->now_ns - before_ns;
	if (l->c->window)
		window_expire(&l->window, l->check, l->now_ns);
	roam(l);
	udp_sockets_expire(l->sockets, l->now_ns);
	if (l->mover)
		mover_ask(l->mover, l->now_ns);
}

static void send_all(struct load *l, const volatile bool *stop,
		     void (*report)(const struct udp_load_result *result, double elapsed_s, void *arg),
		     void *arg)
{
	while (!sending_is_over(l) && !*stop) {
		turn(l);
		if (!report || l->now_ns < l->report_ns)
			continue;
		l->report_ns = l->now_ns + REPORT_NS;
		result_collect(l);
		report(l->r, (l->now_ns - l->start_ns) / (double)NS_PER_S, arg);
	}
}

int udp_load_run(const struct udp_load_config *config, struct udp_load_result *result,
		 const volatile bool *stop,
		 void (*report)(const struct udp_load_result *result, double elapsed_s, void *arg), void *arg,
		 char why[UDP_LOAD_WHY_LEN])
{
	struct load l = {
		.c = config,
		.r = result,
		.moves = { config->instance, config->service, config->first_id, config->n_sessions,
			   config->n_workers, config->moves_rate, config->n_moves },
		.n_messages = messages_max(config),
		.epoll_fd = -1,
	};
	int ret;

	memset(result, 0, sizeof(*result));
	ret = load_open(&l, why);
	if (ret)
		goto out;
	l.start_ns = l.now_ns = clock_now_ns();
	l.roam_ns = l.start_ns + config->roam_ms * NS_PER_MS;
	send_all(&l, stop, report, arg);
	result->seconds = (l.now_ns - l.start_ns) / (double)NS_PER_S;
	result->answered_per_s = result->seconds > 0 ? l.window.n_answered / result->seconds : 0;
	drain(&l);
	answer_check_finish(l.check);
	move_watch_finish(l.watch);
	result_collect(&l);
	result->lost = result->sent - result->received;
out:
	load_close(&l);
	return ret;
}
