/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The programs that move bytes between TCP connections, and their maps. Nothing of them is pinned: they live as long as the process
 * that opened them, as do the connections. One for a process; its workers share it.
 */
#ifndef XSR_STREAM_LOAD_H
#define XSR_STREAM_LOAD_H

#include <stdbool.h>
#include <stdint.h>

#include "types.h"

#define STREAM_WHY_LEN 384

struct stream_bpf;
struct stream_told;

/* What the workers share. Its numbers of conns and of flows are dealt out by the callers: each worker's are its own. */
struct stream {
	struct stream_bpf *skeleton;
	struct xsr_conn *conns;		/* mapped: sockets_max */
	struct xsr_flow_counts *counts; /* mapped: flows_max * XSR_WAYS */
	uint32_t sockets_max, flows_max, n_workers;
	bool works[XSR_STREAM_MAX];
	char why[XSR_STREAM_MAX][STREAM_WHY_LEN];
};

struct stream_options {
	uint32_t sockets_max; /* connections of all workers; 0 = 32768 */
	uint32_t flows_max;   /* sessions of all workers; 0 = 65536 */
	uint32_t n_workers;   /* 1..XSR_WORKERS_MAX: they share both evenly; 0 = 1 */
};

/*
 * Loads them. 0 and *out if at least one mode works, or -errno and a sentence in `why`. stream_mode_works() says for each mode whether this
 * kernel can load what it needs; whether it then moves bytes rightly, sockmap_self_test() finds out.
 */
int stream_open(struct stream **out, const struct stream_options *options, char why[STREAM_WHY_LEN]);
void stream_close(struct stream *stream); /* takes NULL; its connections are closed */

/* True for XSR_STREAM_FRAMES and XSR_STREAM_SPLICE if their programs are loaded; else false, and a sentence in `why`. */
bool stream_mode_works(const struct stream *stream, enum xsr_stream_mode mode, char why[STREAM_WHY_LEN]);

/* The conn's socket: from now on it can be sent to. -EBUSY: it is another's. 0 or -errno. */
int stream_target_insert(struct stream *stream, uint32_t conn, int fd);
void stream_target_delete(struct stream *stream, uint32_t conn);
/* And from now on what it sends is moved, in this mode; what came before waits for a kick, SO_RCVLOWAT = 1. */
int stream_source_insert(struct stream *stream, enum xsr_stream_mode mode, uint32_t conn, int fd);

/* Which conn a socket is. It is forgotten before the socket is closed. 0 or -errno. */
int stream_cookie_set(struct stream *stream, uint64_t cookie, uint32_t conn);
void stream_cookie_delete(struct stream *stream, uint64_t cookie);

/* A session's entry. set: of a new one, or all but the lock of one that is there, at once for every program. 0 or -errno. */
int stream_flow_add(struct stream *stream, const struct xsr_flow_key *key, const struct xsr_flow *flow); /* -EEXIST, -E2BIG */
int stream_flow_set(struct stream *stream, const struct xsr_flow_key *key, const struct xsr_flow *flow);
int stream_flow_get(struct stream *stream, const struct xsr_flow_key *key, struct xsr_flow *flow);
void stream_flow_delete(struct stream *stream, const struct xsr_flow_key *key);

/* What the programs tell this worker: conns for which too much waits, or little again. Its descriptor is readable when there is something. */
int stream_told_open(struct stream_told **out, struct stream *stream, uint32_t worker, void (*fn)(uint32_t conn, void *arg), void *arg);
void stream_told_close(struct stream_told *told); /* takes NULL */
int stream_told_fd(const struct stream_told *told);
void stream_told_read(struct stream_told *told); /* calls fn for each */

#endif /* XSR_STREAM_LOAD_H */
