/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The ways from a TCP client to a backend that are compared, all on the loopback device of the lab's server side: none between
 * them, a service of a router of its own in each mode, haproxy and nginx as their manuals set them up. Each has two
 * threads or processes, one on each core. What is needed is started when it is needed first, and runs until the end.
 */
#ifndef XSR_TCP_PATH_H
#define XSR_TCP_PATH_H

#include <netinet/in.h>

#include "bench.h"
#include "child.h"
#include "worktime.h"

#define TCP_PATH_PARTS 2
#define TCP_BULK_LEN (1 << 20) /* of a frame; the services for those allow so long ones */

enum tcp_way {
	TCP_DIRECT,
	TCP_EPOLL,   /* by session, the worker moves the frames */
	TCP_FRAMES,  /* by session, the kernel does */
	TCP_RELAY,   /* a backend connection for each client's; the worker moves the bytes */
	TCP_SPLICE,  /* the same, the kernel does */
	TCP_LOCAL,   /* the kernel joins the two ends */
	TCP_HAPROXY,
	TCP_NGINX,
	TCP_WAYS
};

struct tcp_path {
	struct sockaddr_in address;		  /* that the client connects to */
	const struct child *backend;
	const struct worktime *worktime; /* the kernel's workers; NULL = they cannot be told from those of others */
	const struct child *parts[TCP_PATH_PARTS]; /* what is in between */
	unsigned int n_parts;
	char mode[RESULT_MODE_LEN];		  /* the path that really runs */
};

/* The place, and the backend. As bench_open() and bench_close(). */
int tcp_bench_open(struct bench *b, const struct bench_profile *profile, char why[LAB_WHY_LEN]);
void tcp_bench_close(struct bench *b);

/*
 * Sees to it that the way is open for frames of that length. 0; -EOPNOTSUPP and what is missing: that is no failure; or -errno with
 * a sentence.
 */
int tcp_path_open(struct bench *b, enum tcp_way way, uint32_t len, struct tcp_path *path, char why[LAB_WHY_LEN]);

/* --- the processes; tcp_peers.c --- */

struct tcp_backend_params {
	struct sockaddr_in address;
};

/* arg: struct tcp_backend_params. report->n_messages: requests answered. */
int tcp_backend_main(struct child_report *report, const void *arg);

/* A program of somebody else's, that stays in the foreground; arg. */
struct tcp_program_params {
	const char *argv[6]; /* NULL at the end; the first is a path */
	const char *log;     /* a file, for what it says */
};
int tcp_program_main(struct child_report *report, const void *arg);

#endif /* XSR_TCP_PATH_H */
