/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * A load (udp_load.h) as a child on the traffic's core, on the client's side. What it measured counts only if
 * every message was answered as it should be: a figure of an inexact handoff is worth nothing.
 */
#ifndef XSR_LOAD_CHILD_H
#define XSR_LOAD_CHILD_H

#include "bench.h"
#include "child.h"
#include "udp_load.h"

struct load_shared;

struct load_child {
	struct child child;
	struct load_shared *shared; /* NULL = none */
};

/*
 * Starts it. The config is copied; its time is the limit if nobody ends it before, n_answered is set here. 0,
 * or -errno with a sentence and nothing running.
 */
int load_child_start(struct load_child *load, const struct bench *b, const struct udp_load_config *config,
		     char why[LAB_WHY_LEN]);

/* Messages answered so far. */
uint64_t load_child_answered(const struct load_child *load);

/*
 * Waits until the load has ended by itself, and the child is no more. 0 and *result if it was exact; -EBADMSG
 * and what was not; -EINTR; -errno with a sentence.
 */
int load_child_wait(struct load_child *load, struct bench *b, struct udp_load_result *result,
		    char why[LAB_WHY_LEN]);

/* The same, but ends the sending now; answers that are still to come are waited for. */
int load_child_end(struct load_child *load, struct bench *b, struct udp_load_result *result,
		   char why[LAB_WHY_LEN]);

/* Ends it at once, and frees. Does nothing if there is none. */
void load_child_stop(struct load_child *load);

/* 0; -EBADMSG with a sentence if a message, a session's state or a move went wrong. */
int load_exact(const struct udp_load_result *result, char why[LAB_WHY_LEN]);

#endif /* XSR_LOAD_CHILD_H */
