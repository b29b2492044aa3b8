/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The kernel queues what is redirected to a connection without bound, and tells its source nothing. So the program tells when more
 * than the high mark waits: whoever feeds that connection gets a window of almost nothing, until less than the low mark is left, which
 * the program tells, too. TCP_INFO says what really waits.
 */
#include <errno.h>
#include <linux/tcp.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include "sockmap_parts.h"

#define WINDOW_CLOSED 1 /* the kernel makes about a kilobyte of it */

int socket_info(const struct sockmap_socket *s, uint64_t *written, uint64_t *received, uint8_t *state)
{
	struct tcp_info info = {};
	socklen_t len = sizeof(info);

	if (getsockopt(s->view.fd, IPPROTO_TCP, TCP_INFO, &info, &len))
		return -errno;
	*written = info.tcpi_bytes_sent - info.tcpi_bytes_retrans + info.tcpi_notsent_bytes;
	*received = info.tcpi_bytes_received;
	if (state)
		*state = info.tcpi_state;
	return 0;
}

#define SETTLE_NS 50000000ULL /* in which what was under way to a slowed source has come */

static void option_set(const struct sockmap_socket *s, int level, int name, int value)
{
	setsockopt(s->view.fd, level, name, &value, sizeof(value));
}

/* --- brakes --- */

static void source_slow(struct sockmap_socket *s)
{
	s->sm->stats.slowed++;
	option_set(s, IPPROTO_TCP, TCP_WINDOW_CLAMP, WINDOW_CLOSED);
}

/* Its peer learns of it when it asks, by a timer of its own: no call makes the kernel tell. */
static void source_go(struct sockmap_socket *s)
{
	option_set(s, IPPROTO_TCP, TCP_WINDOW_CLAMP, s->window);
}

/* A window of a kilobyte is refilled with every round trip, by a source of small segments: the program lets none in. */
static void source_stop(struct sockmap_socket *s, bool stop)
{
	s->sm->stats.stopped += stop;
	__atomic_store_n(&conn_of(s)->stop, stop, __ATOMIC_RELAXED);
}

static void source_brake(struct sockmap_socket *s, enum brake_level level)
{
	if (level >= BRAKE_SLOW && !s->n_brakes++)
		source_slow(s);
	if (level == BRAKE_STOP && !s->n_stops++)
		source_stop(s, true);
}

static void source_release(struct sockmap_socket *s, enum brake_level level)
{
	if (level == BRAKE_STOP && !--s->n_stops)
		source_stop(s, false);
	if (level >= BRAKE_SLOW && !--s->n_brakes)
		source_go(s);
}

/* The new one first: a source that stays held back is not let go in between. */
void brake_set(struct brake *brake, struct sockmap_socket *source, enum brake_level level)
{
	struct brake before = *brake;

	if (!source || level == BRAKE_OFF)
		*brake = (struct brake){};
	else
		*brake = (struct brake){ source, level };
	if (brake->source)
		source_brake(brake->source, brake->level);
	if (before.source)
		source_release(before.source, before.level);
}

/* All that sent to the slow lane since it was last looked at; or, when it is not full, none. */
static void lane_brake(struct sockmap *sm)
{
	struct sockmap_socket *s;

	LIST_FOREACH(s, &sm->all, all) {
		uint64_t laned = counter_load(&conn_of(s)->laned);

		if (laned != s->laned_seen || s->for_lane.source)
			brake_set(&s->for_lane, s, sm->lane.full);
		s->laned_seen = laned;
	}
}

static void full_set(struct sockmap_socket *s, enum brake_level level)
{
	struct flow_node *node;

	s->full = level;
	if (s == &s->sm->lane) {
		lane_brake(s->sm);
		return;
	}
	brake_set(&s->on_peer, s->peer, level);
	LIST_FOREACH(node, &s->flows, at)
		flow_brake(node->flow);
}

/* --- how much waits --- */

void socket_watch(struct sockmap_socket *s)
{
	if (s->watched)
		return;
	s->watched = true;
	TAILQ_INSERT_TAIL(&s->sm->watched, s, in_watched);
}

void socket_unwatch(struct sockmap_socket *s)
{
	if (!s->watched)
		return;
	s->watched = false;
	TAILQ_REMOVE(&s->sm->watched, s, in_watched);
}

void socket_told(uint32_t conn, void *arg)
{
	struct sockmap *sm = arg;
	struct sockmap_socket *s = conn == sm->lane.conn ? &sm->lane : sockmap_by_conn(sm, conn);

	if (s)
		socket_watch(s);
}

/* What is redirected is read first: then less may seem to wait than does, by what is written meanwhile; never for long. */
static uint64_t socket_waiting(struct sockmap_socket *s)
{
	uint64_t redirected = counter_load(&conn_of(s)->redirected), written, received;

	if (socket_info(s, &written, &received, NULL) == 0)
		s->written = written - s->written_before;
	__atomic_store_n(&conn_of(s)->written, s->written, __ATOMIC_RELAXED);
	return redirected > s->written ? redirected - s->written : 0;
}

/* What was under way when its sources were slowed still comes. If more comes after that, they are stopped, until that is written. */
static enum brake_level level_of(struct sockmap_socket *s, uint64_t waiting)
{
	const struct sockmap_options *o = &s->sm->options;

	if (!s->full)
		return waiting > o->backlog_high ? BRAKE_SLOW : BRAKE_OFF;
	if (waiting < o->backlog_low)
		return BRAKE_OFF;
	if (sockmap_now_ns() - s->full_since_ns < SETTLE_NS || waiting < s->full_settled || !s->full_settled) {
		s->full_settled = waiting;
		return BRAKE_SLOW;
	}
	if (s->full == BRAKE_STOP)
		return waiting > s->full_settled ? BRAKE_STOP : BRAKE_SLOW;
	return waiting > s->full_settled + o->backlog_high / 2 ? BRAKE_STOP : BRAKE_SLOW;
}

static void told_set(struct sockmap_socket *s, enum xsr_conn_told told)
{
	__atomic_store_n(&conn_of(s)->told, told, __ATOMIC_SEQ_CST);
}

/* All that waits, with the memory it takes besides its bytes. */
static uint64_t socket_memory(struct sockmap_socket *s)
{
	uint32_t run_avg = __atomic_load_n(&conn_of(s)->run_avg, __ATOMIC_RELAXED);
	uint32_t run_cost = __atomic_load_n(&conn_of(s)->run_cost, __ATOMIC_RELAXED);

	return waiting_memory(socket_waiting(s), run_avg, run_cost);
}

/* What becomes little after it was looked at is told: it is said first that it is much. */
void socket_refresh(struct sockmap_socket *s)
{
	enum brake_level level;
	uint64_t waiting;

	told_set(s, XSR_TOLD_HIGH);
	waiting = socket_memory(s);
	level = level_of(s, waiting);
	if (waiting > s->sm->stats.backlog_max)
		s->sm->stats.backlog_max = waiting;
	if (!s->full && level) {
		s->full_since_ns = sockmap_now_ns();
		s->full_settled = 0;
	}
	if (level != s->full)
		full_set(s, level);
	if (s->full)
		return;
	told_set(s, XSR_TOLD_NOTHING);
	socket_unwatch(s);
}

void pace_poll(struct sockmap *sm)
{
	struct sockmap_socket *s, *next;

	for (s = TAILQ_FIRST(&sm->watched); s; s = next) {
		next = TAILQ_NEXT(s, in_watched);
		socket_refresh(s);
		if (s == &sm->lane && s->full)
			lane_brake(sm);
	}
}

uint64_t sockmap_backlog(struct sockmap_socket *s)
{
	uint64_t injected = counter_load(&conn_of(s)->injected);

	return s->submitted - injected + socket_waiting(s);
}

uint64_t sockmap_written(struct sockmap_socket *s)
{
	socket_waiting(s);
	return s->written;
}
