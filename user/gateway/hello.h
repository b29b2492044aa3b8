/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * A session's handshake: who owns it, which backend it has, and where client and backend stand. The HELLO goes on to the backend, whose answer is
 * the client's. The gateway's thread.
 */
#ifndef XSR_HELLO_H
#define XSR_HELLO_H

#include "front.h"

/* A HELLO that came on the connection: 0, -EAGAIN: it waits there, or -ECANCELED: the connection has ended. */
int hello_take(struct front *front, const struct tcp_frame *frame);

/* What the backend said of the session: seq = the last request that it has served. */
void hello_answered(struct stream_session *session, uint8_t result, uint64_t seq);

/*
 * Whether a client that came in at that time may have the session: what is left of an earlier connection does not take it away from a
 * later one.
 */
bool hello_may_have(const struct stream_session *session, uint64_t accepted_ns);

/* The other worker has parted with the session that a client here wants. */
void hello_granted(struct stream_session *session);

/* It does not, for now: the client is to try again. */
void hello_refused(struct gateway *gateway, struct stream_session *session);

#endif /* XSR_HELLO_H */
