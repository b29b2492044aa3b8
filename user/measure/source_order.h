/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * In which order a session served its messages. A network keeps the order of messages that went from one port to one
 * port; so only messages of one source are compared: of one socket, until it gets a new port.
 *
 * Messages are numbered over all sessions: the sessions send in turn, so message number `seq` of a session (from 1) has
 * index (seq - 1) * n_sessions + session. The sockets get new ports in turn, too, from socket 0.
 */
#ifndef XSR_SOURCE_ORDER_H
#define XSR_SOURCE_ORDER_H

#include <stdbool.h>
#include <stdint.h>

struct source_order;

/* Each session's messages go out by n_sources of n_sockets in turn. 16 bytes a session and source. 0 or -ENOMEM. */
int source_order_open(struct source_order **out, uint32_t n_sessions, uint32_t n_sources, uint32_t n_sockets);
void source_order_close(struct source_order *order); /* takes NULL */

/* The socket that a message goes out by. */
uint32_t source_order_socket(const struct source_order *order, uint32_t session, uint32_t seq);

/* The next socket in turn has a new port from the message `index` on. Needs source_order_reserve() before. */
void source_order_roamed(struct source_order *order, uint64_t index);

/* Room for one more new port: 8 bytes. 0 or -ENOMEM: the socket has to keep its port. */
int source_order_reserve(struct source_order *order);

/*
 * The session served this message after all that were noted before. True if one of those is a later one of the same
 * source. Exact while the messages of no more than two ports of a socket mix; what is older is not judged.
 */
bool source_order_note(struct source_order *order, uint32_t session, uint32_t seq);

/* Nothing was noted of the session yet. */
void source_order_forget(struct source_order *order, uint32_t session);

#endif /* XSR_SOURCE_ORDER_H */
