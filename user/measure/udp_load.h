/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * A client of many sessions over few UDP sockets: sends numbered PERF_PING frames at a constant rate, or as fast as a
 * window allows, and holds every answer against what was sent. Its sockets may roam: one after another is replaced by
 * one with a new port while its sessions go on. It may have the router move sessions meanwhile.
 */
#ifndef XSR_UDP_LOAD_H
#define XSR_UDP_LOAD_H

#include <netinet/in.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "types.h"

#define UDP_LOAD_WHY_LEN 256
#define UDP_LOAD_RATE_MAX 1000000 /* messages a second at most, if there is no rate: memory is taken for so many */

struct udp_load_config {
	struct sockaddr_storage address; /* of the service */
	uint32_t n_sessions;
	uint64_t first_id; /* sessions are first_id .. first_id + n_sessions - 1 */
	uint32_t n_sockets;
	uint32_t n_sources;  /* sockets that a session's messages go out by in turn; 1 .. n_sockets */
	uint32_t roam_ms;    /* a socket gets a new port this often; 0 = never */
	uint32_t rate;       /* messages a second, of all sessions; 0 = no limit but the window */
	uint32_t window;     /* messages unanswered at most, of all sessions; 0 = no limit but the rate */
	uint64_t n_messages; /* ends after so many; 0 = no limit but the time */
	double seconds;      /* how long; 0 = no limit but the number */
	uint32_t len;        /* of a frame, all bytes */
	double drain_s;      /* answers are waited for so long after the last message */
	/*
	 * The owner that is expected: worker (id + generation - 1) % n_owners, so every change of a route moves its
	 * session to the next worker. 0: any, but all answers of one session and generation come from the same.
	 */
	uint32_t n_owners;
	const char *instance; /* whose router moves sessions */
	const char *service;
	uint32_t moves_rate;       /* a second, of all sessions; 0 = none */
	uint32_t n_moves;          /* in all; 0 = no limit */
	uint32_t n_workers;        /* each move goes to the next of so many */
	atomic_ullong *n_answered; /* is told how many messages were answered so far; may be NULL */
};

/* What is so far. */
struct udp_load_result {
	uint64_t sent, received;
	uint64_t lost;       /* sent and not answered when all is over */
	uint64_t duplicated; /* answered again */
	uint64_t reordered;  /* served after a later one of its session and source */
	uint64_t misrouted;  /* by a worker that did not own the session at the stamped generation */
	uint64_t unknown;    /* an answer to nothing that was sent */
	uint64_t state_lost; /* sessions that did not count all their messages, each once; see answer_check.h */
	uint64_t overdue;    /* unanswered for two seconds; some may be answered later. Counted if there is a window */
	uint64_t send_errors;
	uint64_t n_roamed;      /* sockets that were replaced */
	uint64_t n_generations; /* changes of owner that answers have shown */
	uint64_t by_worker[XSR_WORKERS_MAX];
	double seconds;        /* that sending took */
	double answered_per_s; /* while sending */

	/* Moves that were asked for, and what the router said of them. */
	uint64_t moves, moves_done, moves_unchanged, moves_failed, moves_without_state;
	char moves_why[UDP_LOAD_WHY_LEN]; /* the first failure's sentence, or why there were none */
	uint64_t moves_ns_p50;            /* the router's own time for a request */
	/* From the command to the first message that the new owner served. */
	uint64_t handoffs, handoff_ns_p50, handoff_ns_p99, handoff_ns_p999, handoff_ns_max;
	uint64_t handoff_ns_recent;  /* the median of those since the last report */
	uint64_t weird;              /* the message was served before the command */
	uint64_t gap_ns_max;         /* between two answers of a session */
	uint64_t gap_unmoved_ns_max; /* the same while it was not being moved */
	uint64_t stall_ns_max;       /* that one turn of this client took: it was late itself by as much */
};

/* True if messages were sent, and each was answered once, in order, by its owner, from a state that had them all. */
bool udp_load_clean(const struct udp_load_result *result);

/*
 * Runs to the end, or until *stop. Calls report() (may be NULL) some times a second. 0 or -errno with a sentence;
 * -EFBIG: memory does not hold the numbers of so many messages and sessions, 5 bytes a message and 150 a session. One
 * thread.
 */
int udp_load_run(const struct udp_load_config *config, struct udp_load_result *result, const volatile bool *stop,
		 void (*report)(const struct udp_load_result *result, double elapsed_s, void *arg), void *arg,
		 char why[UDP_LOAD_WHY_LEN]);

#endif /* XSR_UDP_LOAD_H */
