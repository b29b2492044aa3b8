/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The sessions of one worker: a bounded hash table, all memory taken at open.
 * One thread owns it. Sessions do not move in memory while they live.
 */
#ifndef XSR_SESSION_H
#define XSR_SESSION_H

#include <stdint.h>
#include <sys/queue.h>

#include "hold.h"
#include "xsr.h"

enum session_state {
	SESSION_ACTIVE,	   /* its messages are served */
	SESSION_HELD,	   /* they wait for its fence */
	SESSION_RELEASING, /* it has come: those that waited are worked off, new ones wait behind them */
	SESSION_GONE,	   /* it was given up; kept for a while, to refuse what comes late */
	SESSION_LEFT,	   /* only in a row, of a TCP service's: it has no client now */
};

/* What the handler sees of a session, and what is the worker's own. */
struct session {
	struct xsr_session s;
	enum session_state state;
	uint64_t token;		     /* of its last handoff, to here or GONE from here; HELD and 0: it is new, and workers change */
	uint8_t taken;		     /* RELEASING: enum mail_taken */
	uint16_t since;		     /* generation of the route that brought it here; 0 = it was new here */
	uint64_t until_ns;	     /* HELD: served without a fence then; GONE: forgotten then */
	struct hold hold;
	TAILQ_ENTRY(session) listed; /* among those of its state; ACTIVE: in no list */
};

TAILQ_HEAD(session_list, session);

/* What is told of a session outside its worker. */
struct session_row {
	uint64_t id;
	uint16_t service;
	uint16_t generation;
	uint16_t state; /* enum session_state */
	uint16_t backend; /* of a TCP service's: number; else 0 */
	uint32_t n_held;
	uint32_t n_handoffs;
	uint64_t n_messages;
	uint64_t last_ns, moved_ns; /* CLOCK_MONOTONIC; 0 = never */
};

struct session_table;

/* Room for n_max sessions. 0 or -ENOMEM. */
int session_table_open(struct session_table **out, uint32_t n_max);
void session_table_close(struct session_table *table); /* takes NULL */

/* The session, or NULL. */
struct session *session_find(struct session_table *table, uint32_t service, uint64_t id);

/* The session, new and zeroed if it was not there; NULL if the table is full. */
struct session *session_get(struct session_table *table, uint32_t service, uint64_t id);

void session_delete(struct session_table *table, struct session *session);

uint32_t session_count(const struct session_table *table);

/* The session at place `index`, or NULL; n_max places in all. For walks. */
struct session *session_at(struct session_table *table, uint32_t index);
uint32_t session_table_size(const struct session_table *table);

/*
 * Looks at up to n sessions, going round from call to call, and returns one
 * that is ACTIVE and was last heard before `before_ns`, or NULL. Call until NULL, n counting down.
 */
struct session *session_sweep(struct session_table *table, uint64_t before_ns, uint32_t *n);

#endif /* XSR_SESSION_H */
