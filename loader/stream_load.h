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

struct stream;

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

#endif /* XSR_STREAM_LOAD_H */
