/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The sessions of one worker: a bounded hash table, all memory taken at open.
 * One thread owns it. Sessions do not move in memory while they live.
 */
#ifndef XSR_SESSION_H
#define XSR_SESSION_H

#include <stdint.h>

#include "xsr.h"

struct session_table;

/* Room for n_max sessions. 0 or -ENOMEM. */
int session_table_open(struct session_table **out, uint32_t n_max);
void session_table_close(struct session_table *table); /* takes NULL */

/* The session, or NULL. */
struct xsr_session *session_find(struct session_table *table, uint32_t service, uint64_t id);

/* The session, new and zeroed if it was not there; NULL if the table is full. */
struct xsr_session *session_get(struct session_table *table, uint32_t service, uint64_t id);

void session_delete(struct session_table *table, struct xsr_session *session);

uint32_t session_count(const struct session_table *table);

/*
 * Looks at up to n sessions, going round from call to call, and returns one
 * that was last heard before `before_ns`, or NULL. Call until NULL, n counting down.
 */
struct xsr_session *session_sweep(struct session_table *table, uint64_t before_ns, uint32_t *n);

#endif /* XSR_SESSION_H */
