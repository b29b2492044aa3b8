/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * A backend for measurements and tests: answers ECHO, PERF and CALL frames on any number of TCP connections, of a router (which
 * carry many sessions) or of clients, and checks what it is asked. A session that comes back on another connection goes on:
 * replies that the client has not got are sent again if they are kept; if not, an ERR says so. Nothing outlives the process: a
 * backend that was started again knows no session, and is asked again.
 */
#ifndef XSR_EXCHANGE_H
#define XSR_EXCHANGE_H

#include <netinet/in.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>

#define EXCHANGE_WHY_LEN 256

struct exchange_config {
	struct sockaddr_storage address;
	uint32_t backlog;
	uint32_t sndbuf, rcvbuf;   /* of each connection; 0 = the kernel's own tuning */
	uint32_t service_us;	   /* a reply waits for so long */
	uint32_t jitter_us;	   /* and for up to so much more, at random; the order of a session stays */
	uint64_t stall_after;	   /* a connection that brought so many bytes is not read any more; 0 = never */
	uint32_t n_sessions_max;
	uint32_t n_kept;	   /* replies of each session that can be sent again */
	uint32_t n_waiting_max;	   /* replies that wait at most; then nothing is read */
	uint32_t queue_max;	   /* bytes of replies that a connection may have queued; then it is not read */
	uint64_t memory_max;	   /* bytes, of all that is read and not yet answered, and of all that is queued */
};

struct exchange_counts {
	uint64_t frames;	/* requests */
	uint64_t bytes;		/* of them */
	uint64_t inversions;	/* came after a later one of their session, or twice, without a HELLO in between */
	uint64_t gaps;		/* came without the one before */
	uint64_t torn;		/* not the bytes they should be; their reply is a header alone */
	uint64_t again;		/* were served before, and came again after a HELLO */
	uint64_t stale;		/* of a session that has gone to another connection: thrown away */
	uint64_t no_handshake;	/* of a session without a HELLO: answered by ERR */
	uint64_t unexpected;	/* frames that a backend is not sent */
	uint64_t replies;	/* sent for the first time */
	uint64_t resent;	/* kept ones that were sent again */
	uint64_t not_kept;	/* times that an ERR covered replies that were to be sent again and are not kept */
	uint64_t sessions;	/* begun */
	uint64_t resumed;	/* HELLOs of a session that was known */
	uint64_t evicted;	/* sessions without a connection that made room */
	uint64_t sessions_full; /* HELLOs answered by busy */
	uint64_t connections;	/* accepted */
	uint64_t links;		/* of them by a router */
	uint64_t connections_now, sessions_now;
	uint64_t closed_half_frame, closed_reset;
	uint64_t closed_bad_len, closed_bad_version, closed_bad_type;
	uint64_t closed_no_memory;
	uint64_t stalls; /* times that a connection was not read on because of its own queue */
};

struct exchange;

/* Listens. 0 or -errno with a sentence. */
int exchange_open(struct exchange **out, const struct exchange_config *config, char why[EXCHANGE_WHY_LEN]);
void exchange_close(struct exchange *exchange); /* takes NULL; closes all connections at once */

/*
 * Does what there is to do, and waits for it for at most so long. Returns at once if a signal comes that `mask` (NULL = the
 * thread's own) lets through. 0 or -errno of epoll.
 */
int exchange_turn(struct exchange *exchange, uint64_t timeout_ns, const sigset_t *mask);

/* Where it listens, if the configuration left that to the kernel (port 0). */
uint16_t exchange_port(const struct exchange *exchange);

/* Borrowed until exchange_close(); up to date between turns. */
const struct exchange_counts *exchange_counts(const struct exchange *exchange);

/* True if what came was in order and whole. */
bool exchange_clean(const struct exchange_counts *counts);

#endif /* XSR_EXCHANGE_H */
