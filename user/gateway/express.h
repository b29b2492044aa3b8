/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Sessions whose frames the kernel passes on by itself. Both of their connections are the kernel's from the end of the handshake on; what the
 * kernel does not decide comes to the gateway as ever, frame by frame. So a session is in one of three conditions:
 *
 *   not express	its frames come here, and go on from here: no link, late replies to be thrown away
 *   settling		the kernel holds its frames, until those that are under way to here have come
 *   express		the kernel passes them on; what it counted is looked at now and then
 *
 * The gateway's thread.
 */
#ifndef XSR_EXPRESS_H
#define XSR_EXPRESS_H

#include "gateway.h"

#define EXPRESS_MS 10 /* while something waits it is looked at so often */

/* The gateway's share of the kernel's way. 0, or -errno with a sentence. */
int express_open(struct gateway *gateway, char why[XSR_WHY_LEN]);
void express_close(struct gateway *gateway);

/* Whether something waits that must be looked at within EXPRESS_MS. */
bool express_busy(const struct gateway *gateway);

/* Takes what came; sessions settle. Every turn. */
void express_turn(struct gateway *gateway);

/* Begins it, if both of the session's connections are the kernel's and nothing speaks against it. */
void express_begin(struct stream_session *session);

/* The session's frames come here again. What the kernel held of it is dropped: who asked it sends it again after the next HELLO. */
void express_end(struct stream_session *session);

/* Whether the kernel may hold something of it. */
static inline bool express_holds(const struct stream_session *session)
{
	return session->flow && (session->is_settling || session->n_releases || session->is_held);
}

/* Whether all its requests that the kernel passed on have been written to the link: what is sent there now comes behind them. */
bool express_is_clear(struct stream_session *session);

/* Requests stop; express_drained errands go on when all before is written to the link. -EAGAIN: not now. */
int express_hold(struct stream_session *session);

/* Requests go on, to this link. */
void express_release(struct stream_session *session, struct link *to);

/* What the kernel counted of it since it was looked at. */
void express_note(struct stream_session *session);

/* The link died: what its sessions had asked is known after this. */
void express_lose(struct link *link);

#endif /* XSR_EXPRESS_H */
