/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* How connections end, and whether all that they sent was passed on. */
#include <errno.h>
#include <sys/socket.h>

#include "sockmap_parts.h"

#define END_WAIT_NS 100000000ULL /* in which the kernel passes on what came before an end */

unsigned int socket_fin_counts(uint8_t state)
{
	switch (state) {
	case BPF_TCP_CLOSE_WAIT:
	case BPF_TCP_LAST_ACK:
	case BPF_TCP_CLOSING:
	case BPF_TCP_TIME_WAIT:
	case BPF_TCP_CLOSE: /* without an error: both sides have finished */
		return 1;
	default:
		return 0;
	}
}

static enum sockmap_end end_of_error(int error, bool half)
{
	switch (error) {
	case 0:
	case EPIPE: /* what is written has nowhere to go; the other way may still be whole */
		return SOCKMAP_END_NONE;
	case EMSGSIZE:
		return SOCKMAP_END_BAD_LEN;
	case ETIMEDOUT:
		return half ? SOCKMAP_END_LATE : SOCKMAP_END_RESET;
	default:
		return SOCKMAP_END_RESET;
	}
}

static enum sockmap_end end_of_frames(const struct xsr_conn *conn)
{
	switch (conn->error) {
	case XSR_CONN_BAD_LEN:
		return SOCKMAP_END_BAD_LEN;
	case XSR_CONN_BAD_VERSION:
		return SOCKMAP_END_BAD_VERSION;
	case XSR_CONN_BAD_TYPE:
		return SOCKMAP_END_BAD_TYPE;
	default:
		return conn->lost ? SOCKMAP_END_RESET : SOCKMAP_END_NONE;
	}
}

/* It will send no more: did all that it sent go on? */
static enum sockmap_end end_of_fin(struct sockmap_socket *s, uint64_t received)
{
	uint64_t passed = counter_load(&conn_of(s)->passed), now = sockmap_now_ns();

	if (passed >= received)
		return s->lane_taken < sockmap_laned(s) ? SOCKMAP_END_UNREAD : SOCKMAP_END_FIN;
	if (!s->end_ns || passed != s->end_passed) {
		s->end_ns = now;
		s->end_passed = passed;
		socket_kick(s);
	}
	return now - s->end_ns < END_WAIT_NS || s->n_brakes ? SOCKMAP_END_UNREAD : SOCKMAP_END_HALF_FRAME;
}

static enum sockmap_end end_look(struct sockmap_socket *s)
{
	enum sockmap_end end = end_of_frames(conn_of(s));
	uint64_t written, received;
	socklen_t size = sizeof(int);
	uint8_t state;
	int error = 0;

	if (end)
		return end;
	if (socket_info(s, &written, &received, &state) || getsockopt(s->view.fd, SOL_SOCKET, SO_ERROR, &error, &size))
		return SOCKMAP_END_RESET;
	received -= s->received_before + socket_fin_counts(state);
	end = end_of_error(error, counter_load(&conn_of(s)->passed) < received);
	if (end)
		return end;
	return socket_fin_counts(state) ? end_of_fin(s, received) : SOCKMAP_END_NONE;
}

/* The kernel tells an error once. */
enum sockmap_end sockmap_end(struct sockmap_socket *s)
{
	if (s->end == SOCKMAP_END_NONE || s->end == SOCKMAP_END_FIN || s->end == SOCKMAP_END_UNREAD)
		s->end = end_look(s);
	return s->end;
}
