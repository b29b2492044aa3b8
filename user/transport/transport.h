/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * A transport moves datagrams between the wire and one worker, in batches,
 * with the verbs of an AF_XDP ring. One thread owns an open transport. 0 of a batch means
 * "would block"; what was received is borrowed until it is released or submitted.
 */
#ifndef XSR_TRANSPORT_H
#define XSR_TRANSPORT_H

#include <stdbool.h>
#include <stdint.h>

#include "maps.h"
#include "xsr.h"

struct transport;
struct umem;

struct transport_params {
	const char *instance;	   /* its name */
	struct maps *maps;
	struct umem *umem;	   /* shared by all workers; xdp only */
	unsigned int worker;
	unsigned int ring_len;
	unsigned int batch;	   /* no call is for more messages than this */
	unsigned int frame_len;
	uint64_t *counters;	   /* indexed by enum xsr_worker_stat; written by the owning thread */
	int wake_fd;		   /* an eventfd: readable = stop sleeping */
	void (*log)(const char *sentence, void *arg); /* for operators; any thread */
	void *log_arg;
};

enum transport_mark {
	MARK_ARRIVED,	 /* what has arrived by now */
	MARK_REDIRECTED, /* what the kernel's program has sent here by now, arrived or not yet */
	MARK_MAX
};

struct transport_ops {
	const char *name;
	/* 0 and a new *t, or -errno with a sentence. */
	int (*open)(struct transport **t, const struct transport_params *params, char why[XSR_WHY_LEN]);
	void (*close)(struct transport *t); /* takes NULL */
	/* Lets the kernel deliver to it, and stops that. */
	int (*publish)(struct transport *t);
	void (*withdraw)(struct transport *t);
	/* Up to n messages; data, len, room, peer, service and stamp are set. */
	int (*recv)(struct transport *t, struct xsr_message *messages, int n);
	/* Gives back received or reserved messages that are not to be sent. */
	void (*release)(struct transport *t, struct xsr_message *messages, int n);
	/* Up to n empty messages to write to; the caller sets peer, len. */
	int (*reserve)(struct transport *t, struct xsr_message *messages, int n);
	/* Sends to each message's peer; what cannot be sent is counted, never kept. All are given up. */
	void (*submit)(struct transport *t, struct xsr_message *messages, int n);
	/* Sleeps until there is something to receive, wake_fd, or timeout_ms. */
	int (*wait)(struct transport *t, int timeout_ms);
	/* Notes how far what is on its way reaches. A new note of a kind replaces the one before. False if it cannot tell. */
	bool (*mark)(struct transport *t, enum transport_mark kind);
	/* Whether all up to the last note of this kind has been received. */
	bool (*passed)(struct transport *t, enum transport_mark kind);
	/* About once a second: kernel's counters, services that came or went. */
	void (*tick)(struct transport *t);
	/* The path that really runs, "xdp native copy". Borrowed. */
	const char *(*mode_active)(const struct transport *t);
};

extern const struct transport_ops transport_xdp;
extern const struct transport_ops transport_udp;

/* By name; NULL if there is none. */
const struct transport_ops *transport_find(const char *name);

#endif /* XSR_TRANSPORT_H */
