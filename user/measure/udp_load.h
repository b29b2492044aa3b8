/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * A client of many sessions over few UDP sockets: sends numbered PERF_PING frames
 * at a constant rate and holds every answer against what was sent. Its sockets may roam: one after
 * another is replaced by one with a new port while its sessions go on.
 */
#ifndef XSR_UDP_LOAD_H
#define XSR_UDP_LOAD_H

#include <netinet/in.h>
#include <stdbool.h>
#include <stdint.h>

#include "types.h"

struct udp_load_config {
	struct sockaddr_storage address; /* of the service */
	uint32_t n_sessions;
	uint64_t first_id;	/* sessions are first_id .. first_id + n_sessions - 1 */
	uint32_t n_sockets;
	uint32_t roam_ms;	/* a socket gets a new port this often; 0 = never */
	uint32_t rate;		/* messages a second, of all sessions */
	double seconds;
	uint32_t len;		/* of a frame, all bytes */
	double drain_s;		/* answers are waited for so long after the last message */
	/*
	 * The owner that is expected: worker (id + generation - 1) % n_owners, so every change of a route
	 * moves its session to the next worker. 0 = not checked.
	 */
	uint32_t n_owners;
};

/* What is so far; read at any time by the thread that runs it. */
struct udp_load_result {
	uint64_t sent, received;
	uint64_t lost;		/* sent and not answered when all is over */
	uint64_t duplicated;	/* answered again */
	uint64_t reordered;	/* answered after a later one of its session */
	uint64_t misrouted;	/* by a worker that did not own the session at the stamped generation */
	uint64_t unknown;	/* an answer to nothing that was sent */
	uint64_t send_errors;
	uint64_t n_roamed;	/* sockets that were replaced */
	uint64_t n_generations; /* changes of owner that answers have shown */
	uint64_t by_worker[XSR_WORKERS_MAX];
	double seconds;		/* that sending took */
};

/*
 * Runs to the end, or until *stop. Calls report() (may be NULL) some times a
 * second. 0 or -errno. One thread.
 */
int udp_load_run(const struct udp_load_config *config, struct udp_load_result *result, const volatile bool *stop,
		 void (*report)(const struct udp_load_result *result, double elapsed_s, void *arg), void *arg);

#endif /* XSR_UDP_LOAD_H */
