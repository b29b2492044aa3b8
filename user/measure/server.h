/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Who serves the datagrams of a measurement, as a child on the workers' core: a worker of libxsr, or what a
 * program without xsr would do on a kernel socket. All of them treat a message the same way: it is counted,
 * or its type is turned into ECHO_REP and it goes back.
 */
#ifndef XSR_SERVER_H
#define XSR_SERVER_H

#include <stdbool.h>
#include <stdint.h>

#include "child.h"

enum server_kind { SERVER_NONE, SERVER_XSR, SERVER_UDP };

enum server_wait {
	SERVER_SPIN,  /* asks again and again */
	SERVER_SLEEP, /* poll() (xsr) or epoll (udp), then takes what is there */
};

/* Through a queue to the thread that owns the session. */
enum server_handoff {
	SERVER_HANDOFF_NONE,  /* the thread that receives serves */
	SERVER_HANDOFF_EACH,  /* a lock for each message: their owners are many */
	SERVER_HANDOFF_BATCH, /* a lock for all that one system call received: they happen to have one owner
			       */
};

struct server_params {
	enum server_kind kind;
	enum server_wait wait;
	bool echo;    /* else counts only */
	bool threads; /* xsr: all workers, each in a thread of its own, as `xsr run` has them */
	enum server_handoff handoff; /* udp */
	/* Filled in by who starts it. */
	unsigned int worker; /* xsr: which of the BENCH_WORKERS serves; the others do nothing */
	const char *device;  /* xsr */
	uint16_t port;       /* udp */
};

/* Mains of children; arg: struct server_params. report->n_messages counts what was served. */
int server_xsr_main(struct child_report *report, const void *arg);
int server_udp_main(struct child_report *report, const void *arg);

/* `xsr run`. arg: its configuration, a string. report->n_messages stays 0. */
int server_run_main(struct child_report *report, const void *arg);

#endif /* XSR_SERVER_H */
