/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#include "exchange.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

#include "clock.h"
#include "exchange_parts.h"
#include "tcp_socket.h"

#define EVENTS_MAX 256
#define ACCEPTS_MAX 64
#define ACCEPT_PAUSE_NS (100 * NS_PER_MS) /* no descriptor was left, or no memory */
#define STARVED_NS NS_PER_MS		  /* until memory is looked for again */

/* --- opening --- */

static int listener_open(struct exchange *e)
{
	struct tcp_options options = { .sndbuf = e->c.sndbuf, .rcvbuf = e->c.rcvbuf };
	struct epoll_event event = { .events = EPOLLIN };
	int fd = tcp_listen((const struct sockaddr *)&e->c.address, &options, e->c.backlog);

	if (fd < 0)
		return fd;
	e->listener = fd;
	return epoll_ctl(e->epoll_fd, EPOLL_CTL_ADD, fd, &event) ? -errno : 0;
}

static int memory_open(struct exchange *e)
{
	int ret;

	e->in = malloc(STREAM_FRAME_MAX);
	e->out = malloc(STREAM_FRAME_MAX);
	if (!e->in || !e->out)
		return -ENOMEM;
	ret = tcp_shared_open(&e->shared, e->c.memory_max);
	if (!ret)
		ret = exchange_sessions_open(&e->sessions, e->c.n_sessions_max, e->c.n_kept);
	return ret ? ret : exchange_waiting_open(&e->waiting, e->c.n_waiting_max);
}

int exchange_open(struct exchange **out, const struct exchange_config *config, char why[EXCHANGE_WHY_LEN])
{
	struct exchange *e = calloc(1, sizeof(*e));
	int ret = -ENOMEM;

	if (!e)
		goto fail;
	*e = (struct exchange){ .c = *config, .listener = -1, .now_ns = clock_now_ns() };
	e->random.state = e->now_ns;
	e->last_id = stream_random_next(&e->random);
	TAILQ_INIT(&e->dirty);
	TAILQ_INIT(&e->again);
	TAILQ_INIT(&e->starved);
	e->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
	ret = e->epoll_fd < 0 ? -errno : memory_open(e);
	if (!ret)
		ret = listener_open(e);
	if (!ret) {
		*out = e;
		return 0;
	}
fail:
	snprintf(why, EXCHANGE_WHY_LEN, "cannot listen: %s", strerror(-ret));
	exchange_close(e);
	return ret;
}

/* What waits may be the last that keeps a session. */
static void waiting_close(struct exchange *e)
{
	struct exchange_wait wait;

	while (e->waiting && exchange_waiting_first(e->waiting)) {
		wait = exchange_waiting_take(e->waiting);
		free(wait.head);
		if (!wait.session)
			continue;
		wait.session->n_waiting--;
		exchange_session_release(wait.session);
	}
	exchange_waiting_close(e->waiting);
}

void exchange_close(struct exchange *e)
{
	struct exchange_conn *c;

	if (!e)
		return;
	while ((c = LIST_FIRST(&e->conns)))
		exchange_conn_free(c);
	waiting_close(e);
	exchange_sessions_close(e->sessions);
	tcp_shared_close(&e->shared);
	if (e->listener >= 0)
		close(e->listener);
	if (e->epoll_fd >= 0)
		close(e->epoll_fd);
	free(e->in);
	free(e->out);
	free(e);
}

/* --- connections --- */

static void listener_watch(struct exchange *e, uint32_t events)
{
	struct epoll_event event = { .events = events };

	epoll_ctl(e->epoll_fd, EPOLL_CTL_MOD, e->listener, &event);
}

static void connections_accept(struct exchange *e)
{
	const struct tcp_options options = { .sndbuf = e->c.sndbuf, .rcvbuf = e->c.rcvbuf };
	int i, fd;

	for (i = 0; i < ACCEPTS_MAX; i++) {
		fd = tcp_accept(e->listener, &options);
		if (fd == -EAGAIN)
			return;
		if (fd < 0) {
			e->accept_ns = e->now_ns + ACCEPT_PAUSE_NS;
			listener_watch(e, 0);
			return;
		}
		exchange_conn_open(e, fd);
	}
}

static void accepting_resume(struct exchange *e)
{
	if (!e->accept_ns || e->now_ns < e->accept_ns)
		return;
	e->accept_ns = 0;
	listener_watch(e, EPOLLIN);
}

/* --- the turn --- */

static uint64_t until_ns(uint64_t timeout_ns, uint64_t now_ns, uint64_t at_ns)
{
	uint64_t left = at_ns > now_ns ? at_ns - now_ns : 0;

	return left < timeout_ns ? left : timeout_ns;
}

static uint64_t timeout_shorten(const struct exchange *e, uint64_t timeout_ns)
{
	const struct exchange_wait *first = exchange_waiting_first(e->waiting);
	uint64_t now_ns = clock_now_ns();

	if (!TAILQ_EMPTY(&e->again))
		return 0;
	if (!TAILQ_EMPTY(&e->starved) || e->is_short)
		return until_ns(timeout_ns, now_ns, now_ns + STARVED_NS);
	if (e->accept_ns)
		timeout_ns = until_ns(timeout_ns, now_ns, e->accept_ns);
	return first ? until_ns(timeout_ns, now_ns, first->due_ns) : timeout_ns;
}

static int events_take(struct exchange *e, uint64_t timeout_ns, const sigset_t *mask)
{
	const struct timespec timeout = { timeout_ns / NS_PER_S, timeout_ns % NS_PER_S };
	struct epoll_event events[EVENTS_MAX];
	int i, n = epoll_pwait2(e->epoll_fd, events, EVENTS_MAX, &timeout, mask);

	e->now_ns = clock_now_ns();
	if (n < 0)
		return errno == EINTR ? 0 : -errno;
	for (i = 0; i < n; i++) {
		if (events[i].data.ptr)
			exchange_conn_ready(events[i].data.ptr, events[i].events);
		else
			connections_accept(e);
	}
	return 0;
}

int exchange_turn(struct exchange *e, uint64_t timeout_ns, const sigset_t *mask)
{
	int ret;

	ret = events_take(e, timeout_shorten(e, timeout_ns), mask);
	if (ret)
		return ret;
	exchange_conns_go_on(&e->again);
	exchange_conns_go_on(&e->starved);
	e->is_short = !exchange_replies_due(e);
	accepting_resume(e);
	exchange_conns_flush(e);
	e->counts.sessions_now = exchange_sessions_count(e->sessions);
	return 0;
}

/* It lies at the same place in the addresses of both families. */
uint16_t exchange_port(const struct exchange *e)
{
	struct sockaddr_storage address = {};
	socklen_t len = sizeof(address);

	getsockname(e->listener, (struct sockaddr *)&address, &len);
	return ntohs(((struct sockaddr_in *)&address)->sin_port);
}

const struct exchange_counts *exchange_counts(const struct exchange *e)
{
	return &e->counts;
}

bool exchange_clean(const struct exchange_counts *c)
{
	return !c->inversions && !c->torn && !c->unexpected && !c->closed_bad_len && !c->closed_bad_version && !c->closed_bad_type;
}
