/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* The client of `xsr load tcp` as a child on the first core, beside the server (tcp_path.h). */
#ifndef XSR_TCP_CLIENT_H
#define XSR_TCP_CLIENT_H

#include "bench.h"
#include "child.h"
#include "tcp_load.h"

struct tcp_client_shared;

struct tcp_client {
	struct child child;
	struct tcp_client_shared *shared; /* NULL = none */
};

/* The config is copied. 0, or -errno with a sentence and nothing running. */
int tcp_client_start(struct tcp_client *client, const struct bench *b, const struct tcp_load_config *config,
		     char why[LAB_WHY_LEN]);

/* Sending ends now; answers that are still to come are waited for. */
void tcp_client_quit(struct tcp_client *client);

/* Until it has ended by itself: 0, *result and its processor time; -EINTR; -ETIMEDOUT, or another -errno with a sentence. */
int tcp_client_wait(struct tcp_client *client, struct bench *b, uint64_t timeout_ns, struct tcp_load_result *result,
		    uint64_t *cpu_ns, char why[LAB_WHY_LEN]);

/* Ends it at once, and frees. Does nothing if there is none. */
void tcp_client_stop(struct tcp_client *client);

#endif /* XSR_TCP_CLIENT_H */
