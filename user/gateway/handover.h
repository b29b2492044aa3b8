/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * A client's connection goes to another worker, with all its sessions, while requests are under way:
 *
 *   it is not read any more; a barrier on each link that has something of its sessions tells when the backends have answered all before
 *   replies go on to the client meanwhile; when nothing is to be written, nothing of the connection is anywhere but in its socket
 *   it is packed (parcel.h), and goes by mail to the other worker, which introduces its sessions on its own links, and reads on
 *
 * Who cannot take it sends it back. The gateway's thread.
 */
#ifndef XSR_HANDOVER_H
#define XSR_HANDOVER_H

#include "barrier.h"
#include "gateway.h"

#define HANDOVER_MS 5000 /* that backends may take to answer, and the client to read the answers */

enum handover_result {
	HANDOVER_DONE,
	HANDOVER_AGAIN,	   /* it is not here, or something of it is on its way: nothing has changed, ask whoever has it by now */
	HANDOVER_NOBODY,   /* the session has no client */
	HANDOVER_KERNEL,   /* the kernel moves its bytes, by what this worker has in maps */
	HANDOVER_SILENT,   /* a backend did not answer in time what it was asked before: nothing has changed */
	HANDOVER_UNREAD,   /* the client did not read its answers in time: nothing has changed */
	HANDOVER_NO_ROOM,  /* the other worker has no room: it is where it was */
	HANDOVER_NO_LINK,  /* the other worker is not connected to a backend that it needs: it is where it was */
	HANDOVER_STOPPED,  /* the other worker, the service or the router is ending */
	HANDOVER_CLOSED,   /* neither worker had room: it is closed */
	HANDOVER_RESULTS
};

/* In the room of HANDED. */
struct mail_handed {
	uint32_t n_sessions; /* that went along */
};

struct handover {
	struct gateway *gateway;
	struct front *client;
	unsigned int to;
	uint64_t id, token;	 /* of the session that was asked for, and of the mail that did */
	bool is_any;		 /* it was not: the connection may have whichever sessions, or none */
	uint64_t due;		 /* backends that have yet to get their barrier, a bit each */
	unsigned int n_under_way; /* barriers */
	uint64_t until_ns;
	struct barrier barriers[XSR_BACKENDS_MAX];
	TAILQ_ENTRY(handover) of_gateway;
};

/* What became of one, to control; the ID is that which was asked for. */
void handover_answer(struct gateway *gateway, uint64_t token, uint64_t id, enum handover_result result, uint32_t n_sessions);

/* GATEWAY_MAIL_HAND and those behind it. */
void handover_mail(struct gateway *gateway, const struct mail *mail);

/* Its connection ends. */
void handover_abort(struct handover *handover);

/* Goes on with those that may. The end of every turn. */
void handovers_turn(struct gateway *gateway);

/* They all stay. */
void handovers_stop(struct gateway *gateway);

#endif /* XSR_HANDOVER_H */
