/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#include "mover.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "clock.h"
#include "histogram.h"

#define REQUESTS_MAX 16   /* under way, as the router allows */
#define MOVES_MAX 16384   /* of one request, likewise */
#define OUT_LEN (1 << 20) /* a request's line, likewise */
#define IN_LEN (1 << 16)  /* an answer's */

struct request {
	uint32_t n; /* 0 = free */
	uint32_t sessions[MOVES_MAX];
};

struct mover {
	const struct mover_config *c;
	const struct owner_check *owners;
	struct move_watch *watch;
	struct mover_counts counts;
	struct histogram times_ns;
	int fd, epoll_fd;
	uint64_t start_ns; /* 0 = not begun */
	uint64_t next_ns;  /* tick */
	uint32_t next_session;
	size_t out_len, out_done, in_len;
	char out[OUT_LEN], in[IN_LEN];
	struct request requests[REQUESTS_MAX];
};

static int socket_connect(const char *instance, char why[MOVER_WHY_LEN])
{
	struct sockaddr_un to = { .sun_family = AF_UNIX };
	const int size = OUT_LEN;
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	snprintf(to.sun_path, sizeof(to.sun_path), "/run/xsr/%s.sock", instance);
	if (fd < 0 || connect(fd, (const struct sockaddr *)&to, sizeof(to)) ||
	    fcntl(fd, F_SETFL, O_NONBLOCK)) {
		int ret = -errno;

		snprintf(why, MOVER_WHY_LEN, "cannot ask the router to move sessions: %s: %s", to.sun_path,
			 strerror(-ret));
		if (fd >= 0)
			close(fd);
		return ret;
	}
	setsockopt(fd, SOL_SOCKET, SO_SNDBUFFORCE, &size,
		   sizeof(size)); /* a whole request at once, if we may */
	return fd;
}

/* Told when there is something to read, and while something waits to be written, when it can be. */
static int socket_watch(struct mover *m, int operation)
{
	struct epoll_event event = { .events = EPOLLIN, .data.fd = m->fd };

	if (m->out_done < m->out_len)
		event.events |= EPOLLOUT;
	return epoll_ctl(m->epoll_fd, operation, m->fd, &event) ? -errno : 0;
}

int mover_open(struct mover **out, const struct mover_config *config, const struct owner_check *owners,
	       struct move_watch *watch, int epoll_fd, char why[MOVER_WHY_LEN])
{
	struct mover *m = calloc(1, sizeof(*m));
	int ret;

	snprintf(why, MOVER_WHY_LEN, "out of memory");
	if (!m)
		return -ENOMEM;
	m->c = config;
	m->owners = owners;
	m->watch = watch;
	m->epoll_fd = epoll_fd;
	ret = m->fd = socket_connect(config->instance, why);
	if (ret >= 0)
		ret = socket_watch(m, EPOLL_CTL_ADD);
	if (ret) {
		mover_close(m);
		return ret;
	}
	*out = m;
	return 0;
}

void mover_close(struct mover *m)
{
	if (!m)
		return;
	if (m->fd >= 0)
		close(m->fd);
	free(m);
}

int mover_fd(const struct mover *m)
{
	return m->fd;
}

bool mover_waits(const struct mover *m)
{
	unsigned int i;

	for (i = 0; i < REQUESTS_MAX; i++)
		if (m->requests[i].n)
			return true;
	return false;
}

const struct mover_counts *mover_counts(const struct mover *m)
{
	return &m->counts;
}

uint64_t mover_time_ns(const struct mover *m)
{
	return histogram_percentile(&m->times_ns, 500);
}

static void why_keep(struct mover *m, const char *why)
{
	if (!*m->counts.why)
		snprintf(m->counts.why, MOVER_WHY_LEN, "%s", why);
}

/* All sessions of the request are free again. */
static void request_end(struct mover *m, struct request *r, bool moved, uint64_t now_ns)
{
	uint32_t i;

	for (i = 0; i < r->n; i++)
		move_watch_end(m->watch, r->sessions[i], moved, now_ns);
	if (!moved)
		m->counts.failed += r->n;
	r->n = 0;
}

static void router_is_gone(struct mover *m, const char *why, uint64_t now_ns)
{
	unsigned int i;

	why_keep(m, why);
	close(m->fd);
	m->fd = -1;
	for (i = 0; i < REQUESTS_MAX; i++)
		request_end(m, &m->requests[i], false, now_ns);
}

/* --- answers --- */

static void failures_note(struct mover *m, json_t *failures, uint64_t now_ns)
{
	const char *id, *why;
	json_t *failure;
	size_t i;

	json_array_foreach(failures, i, failure)
	{
		uint64_t session;

		if (json_unpack(failure, "[s,s]", &id, &why))
			continue;
		session = strtoull(id, NULL, 0) - m->c->first_id;
		why_keep(m, why);
		if (session < m->c->n_sessions)
			move_watch_end(m->watch, session, false, now_ns);
	}
}

static void result_note(struct mover *m, struct request *r, json_t *result, uint64_t now_ns)
{
	json_int_t moved = 0, unchanged = 0, without_state = 0, failed = 0;
	json_t *failures = NULL;
	double time_ms = 0;

	json_unpack(result, "{s?I,s?I,s?I,s?I,s?o,s?F}", "moved", &moved, "unchanged", &unchanged,
		    "without_state", &without_state, "failed", &failed, "failures", &failures, "time_ms",
		    &time_ms);
	m->counts.moved += moved;
	m->counts.unchanged += unchanged;
	m->counts.without_state += without_state;
	m->counts.failed += failed;
	if (time_ms > 0)
		histogram_add(&m->times_ns, time_ms * NS_PER_MS);
	request_end(m, r, true, now_ns);
	failures_note(m, failures, now_ns);
}

/* False: this is no answer to us. */
static bool answer_note(struct mover *m, json_t *answer, uint64_t now_ns)
{
	const char *error = NULL;
	json_int_t tag = -1;
	json_t *result = NULL;

	json_unpack(answer, "{s?I,s?s,s?o}", "tag", &tag, "error", &error, "result", &result);
	if (error)
		why_keep(m, error);
	if (tag < 0 || tag >= REQUESTS_MAX || !m->requests[tag].n)
		return false;
	if (error)
		request_end(m, &m->requests[tag], false, now_ns);
	else if (result)
		result_note(m, &m->requests[tag], result, now_ns);
	return true;
}

static bool line_note(struct mover *m, const char *line, size_t len, uint64_t now_ns)
{
	json_t *answer = json_loadb(line, len, 0, NULL);
	bool ours = answer && answer_note(m, answer, now_ns);

	json_decref(answer);
	return ours;
}

/* Takes the whole lines off the buffer. */
static bool lines_note(struct mover *m, uint64_t now_ns)
{
	char *line = m->in, *end;

	for (; (end = memchr(line, '\n', m->in + m->in_len - line)); line = end + 1)
		if (!line_note(m, line, end - line, now_ns))
			return false;
	m->in_len -= line - m->in;
	memmove(m->in, line, m->in_len);
	return m->in_len < IN_LEN;
}

static void answers_read(struct mover *m, uint64_t now_ns)
{
	ssize_t n = recv(m->fd, m->in + m->in_len, IN_LEN - m->in_len, 0);

	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	if (n <= 0) {
		router_is_gone(m, "the router has closed the control socket", now_ns);
		return;
	}
	m->in_len += n;
	if (!lines_note(m, now_ns))
		router_is_gone(m, "the router's answer cannot be understood", now_ns);
}

/* --- requests --- */

static void request_write(struct mover *m, uint64_t now_ns)
{
	ssize_t n = send(m->fd, m->out + m->out_done, m->out_len - m->out_done, MSG_NOSIGNAL);

	if (n < 0 && errno != EAGAIN && errno != EINTR) {
		router_is_gone(m, "the router has closed the control socket", now_ns);
		return;
	}
	m->out_done += n > 0 ? n : 0;
	socket_watch(m, EPOLL_CTL_MOD);
}

void mover_handle(struct mover *m, uint64_t now_ns)
{
	answers_read(m, now_ns);
	if (m->fd >= 0 && m->out_done < m->out_len)
		request_write(m, now_ns);
}

static struct request *request_free(struct mover *m)
{
	unsigned int i;

	for (i = 0; i < REQUESTS_MAX; i++)
		if (!m->requests[i].n)
			return &m->requests[i];
	return NULL;
}

/* The next sessions in turn that may be moved, up to n. */
static void sessions_choose(struct mover *m, struct request *r, uint64_t n, uint64_t now_ns)
{
	uint32_t i;

	for (i = 0; i < m->c->n_sessions && r->n < n; i++) {
		uint32_t session = m->next_session;

		m->next_session = (session + 1) % m->c->n_sessions;
		if (owner_check_worker(m->owners, session) >= 0 && move_watch_free(m->watch, session, now_ns))
			r->sessions[r->n++] = session;
	}
}

static void request_print(struct mover *m, const struct request *r)
{
	size_t len = snprintf(m->out, OUT_LEN,
			      "{\"command\":\"session move\",\"service\":\"%s\",\"tag\":%d,\"moves\":[",
			      m->c->service, (int)(r - m->requests));
	uint32_t i;

	for (i = 0; i < r->n; i++)
		len += snprintf(m->out + len, OUT_LEN - len, "%s[\"0x%" PRIx64 "\",%u]", i ? "," : "",
				m->c->first_id + r->sessions[i],
				(owner_check_worker(m->owners, r->sessions[i]) + 1) % m->c->n_workers);
	len += snprintf(m->out + len, OUT_LEN - len, "]}\n");
	m->out_len = len;
	m->out_done = 0;
}

static void request_send(struct mover *m, struct request *r)
{
	uint64_t now_ns;
	uint32_t i;

	request_print(m, r);
	now_ns = clock_now_ns();
	for (i = 0; i < r->n; i++)
		move_watch_begin(m->watch, r->sessions[i], owner_check_generation(m->owners, r->sessions[i]),
				 now_ns);
	m->counts.asked += r->n;
	request_write(m, now_ns);
}

/* Of all moves since the beginning, to the end of this tick. */
static uint64_t moves_due(const struct mover *m, uint64_t now_ns)
{
	uint64_t ticks = (now_ns - m->start_ns) / MOVER_TICK_NS + 1;
	uint64_t n = (double)ticks * MOVER_TICK_NS / NS_PER_S * m->c->rate;

	return m->c->n_max && n > m->c->n_max ? m->c->n_max : n;
}

/* False until the next tick. */
static bool tick_begins(struct mover *m, uint64_t now_ns)
{
	if (!m->start_ns && owner_check_counts(m->owners)->n_heard == m->c->n_sessions)
		m->start_ns = m->next_ns = now_ns;
	if (!m->start_ns || now_ns < m->next_ns)
		return false;
	m->next_ns = now_ns + MOVER_TICK_NS - (now_ns - m->start_ns) % MOVER_TICK_NS;
	return true;
}

void mover_ask(struct mover *m, uint64_t now_ns)
{
	struct request *r;
	uint64_t due;

	if (!tick_begins(m, now_ns))
		return;
	while (m->fd >= 0 && m->out_done == m->out_len && (r = request_free(m))) {
		due = moves_due(m, now_ns) - m->counts.asked;
		sessions_choose(m, r, due < MOVES_MAX ? due : MOVES_MAX, now_ns);
		if (!r->n)
			return;
		request_send(m, r);
	}
}
