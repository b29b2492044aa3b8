/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Where a session is: its client's connection, and the link that its requests go to. The gateway's thread. */
#ifndef XSR_PLACE_H
#define XSR_PLACE_H

#include "gateway.h"

/* Its client has come back, elsewhere, or by this connection: another one has it not any more. */
void session_leave(struct stream_session *session);
void session_come(struct front *front, struct stream_session *session);

/* It has this client from now on, and another one not any more; or none. */
void session_bind(struct front *front, struct stream_session *session);
void session_unbind(struct stream_session *session);

/* It is another worker's now, or nobody's any more: nothing of it stays. */
void session_drop(struct gateway *gateway, struct stream_session *session);

/* It is over: the backend is told, nobody owns it. */
void session_forget(struct gateway *gateway, struct stream_session *session);

/* Looks its route up, and gives it that link, which may be down. False: its requests go nowhere by the operator's will. */
bool session_route(struct gateway *gateway, struct stream_session *session);

/* Its link, if requests may go there now, else NULL. A session that has no route goes to a backend that is up. */
struct link *session_link(struct gateway *gateway, struct stream_session *session);

/* What it was looked up by; see xsr_switches. */
uint32_t routes_version(const struct gateway *gateway);

#endif /* XSR_PLACE_H */
