/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * A client of many sessions over many TCP connections: sends numbered ECHO or PERF frames, compares every byte of every answer, and
 * accounts for every request: it is answered, or an error covers it, or it is lost. Connections may be cut, on purpose or by the
 * other side: their sessions come back on new ones, tell what they have, and send again what the server has not got. A fixed
 * number of threads, each with its share of the connections.
 */
#ifndef XSR_TCP_LOAD_H
#define XSR_TCP_LOAD_H

#include <netinet/in.h>
#include <stdbool.h>
#include <stdint.h>

#include "request_ledger.h"

#define TCP_LOAD_WHY_LEN 256

struct tcp_load_config {
	struct sockaddr_storage address;
	uint32_t n_connections;
	uint32_t n_sessions;   /* spread over the connections; at least as many */
	uint32_t n_threads;    /* at most as many as connections */
	uint64_t first_id;     /* sessions are first_id .. first_id + n_sessions - 1; not 0 */
	bool assign;	       /* the server chooses the IDs */
	bool perf;	       /* PERF frames instead of ECHO */
	uint32_t len, len_max; /* bytes of a frame, header included; in between at random, small ones as often as large ones */
	uint32_t window;       /* unanswered requests of a session at most */
	uint32_t rate;	       /* requests a second, of all sessions; 0 = no limit but the window */
	uint64_t n_messages;   /* ends after so many; 0 = no limit but the time */
	double seconds;	       /* 0 = no limit but the number */
	double warmup_s;       /* before them: what is sent meanwhile is not measured */
	bool opens_only;       /* ends when its sessions are open, and sends nothing */
	uint32_t deadline_ms;  /* a session that hears nothing for so long while it waits is given up */
	uint32_t drop_rate;    /* connections a second that are dropped and come back */
	bool cut;	       /* written in pieces of random length */
	uint32_t n_slow;       /* connections that read slowly, until all is sent */
	uint32_t slow_rate;    /* so many bytes a second */
	uint32_t sndbuf, rcvbuf; /* 0 = the kernel's own tuning */
	uint64_t seed;	       /* of all that is random */
};

/* What is so far. */
struct tcp_load_result {
	struct request_counts requests;
	uint64_t errors;	   /* requests that have no answer but an error */
	uint64_t lost;		   /* sent, and neither answered nor covered by an error when all is over */
	uint64_t torn;		   /* answers of other bytes than were sent, and frames that are none */
	uint64_t unexpected;	   /* frames that a client is not sent */
	uint64_t early;		   /* answers before the session's handshake: they come again behind it */
	uint64_t connected;	   /* times that a connection was made */
	uint64_t connect_failures;
	uint64_t drops;		   /* connections that were dropped on purpose */
	uint64_t reconnects;	   /* connections that were made again */
	uint64_t resumed;	   /* sessions that came back, each time */
	uint64_t forgotten;	   /* of those the server knew less than the client had seen */
	uint64_t refused;	   /* HELLOs */
	uint64_t given_up;	   /* sessions, at the deadline */
	uint64_t not_opened;	   /* sessions, when all is over */
	uint64_t bytes;		   /* of answers */
	double seconds;		   /* that sending took */
	double answered_per_s, mb_per_s; /* while sending; 10^6 bytes */
	uint64_t measured_sent;	    /* requests, behind the warm-up */
	uint64_t measured_answered; /* of those, whenever */
	uint64_t answered_inside;   /* answers that came behind the warm-up, while sending */
	/* From a request's time to its answer, of those measured; 0 until all is over. */
	uint64_t ns_min, ns_mean, ns_p50, ns_p95, ns_p99, ns_p999, ns_max;
};

/* True if there were requests on all sessions, and each was answered by its own bytes or covered by an error, once and in order. */
bool tcp_load_clean(const struct tcp_load_result *result);

/*
 * Runs to the end, or until *stop, which ends sending. Calls report() (may be NULL) once a second. 0, or -errno with a sentence.
 * Latency with a rate counts from the time that a request was due, else from when it was first sent.
 */
int tcp_load_run(const struct tcp_load_config *config, struct tcp_load_result *result, const volatile bool *stop,
		 void (*report)(const struct tcp_load_result *result, double elapsed_s, void *arg), void *arg,
		 char why[TCP_LOAD_WHY_LEN]);

#endif /* XSR_TCP_LOAD_H */
