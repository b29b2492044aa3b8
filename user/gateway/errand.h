/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * What takes several steps, while the session is held: its requests wait in front of the gateway, and a barrier on its link
 * tells when the backend has read and answered all before. Then the session goes
 *
 *   to another backend	 whoever asked (the control thread) is told; the requests that waited follow
 *   to another worker	 because its client came back there: it is forgotten here, and the other one told
 *
 * The gateway's thread.
 */
#ifndef XSR_ERRAND_H
#define XSR_ERRAND_H

#include "barrier.h"
#include "gateway.h"

/* Mail of gateways, beside that of post.h. */
enum gateway_mail {
	GATEWAY_MAIL_WANT = 128, /* worker to worker: a client of mine, accepted at `token`, wants this session, which is yours */
	GATEWAY_MAIL_YOURS,	 /* the answer */
	GATEWAY_MAIL_MOVE,	 /* control: this session is to go to backend `count` */
	GATEWAY_MAIL_PASSED,	 /* the answer: all before was answered, the session is held; result: enum errand_result */
	GATEWAY_MAIL_GO,	 /* control: its route is stored, generation; or not: result is not ERRAND_DONE. It goes on */

	/* See handover.h. */
	GATEWAY_MAIL_HAND,	 /* control: the connection that carries this session is to go to worker `count` */
	GATEWAY_MAIL_SPREAD,	 /* control: `count` connections, whichever, are to go to worker `worker`; as many answers */
	GATEWAY_MAIL_SHUT,	 /* control: no more clients are accepted, and no more connections taken over; one HANDED */
	GATEWAY_MAIL_LEAVE,	 /* control: worker `worker` will end: no connection goes there any more; one HANDED */
	GATEWAY_MAIL_PARCEL,	 /* worker to worker: here it is, or here it is again */
	GATEWAY_MAIL_HANDED,	 /* the answer to control; result: enum handover_result */
};

enum errand_result {
	ERRAND_DONE,
	ERRAND_EMPTY,	/* there is no such session: nothing has to wait */
	ERRAND_LOST,	/* its old backend was lost meanwhile, and what was unanswered there with it */
	ERRAND_TIMEOUT, /* the old backend does not answer: nothing has changed */
	ERRAND_REFUSED, /* the service has no such backend, or the session is on its way elsewhere: nothing has changed */
};

struct errand {
	struct barrier barrier;
	struct gateway *gateway;
	struct stream_session *session;
	uint32_t service;
	uint64_t id;
	uint32_t to;		/* backend; without meaning if it goes to another worker */
	unsigned int worker;	/* who asked; POST_CONTROL: for another backend */
	uint64_t mail_token;	/* of what was asked */
	bool holds, is_drained;	/* the kernel holds its requests; and all before is written to the link */
	bool passed;
	uint64_t until_ns;
	TAILQ_ENTRY(errand) of_gateway;
};

void errand_mail(struct gateway *gateway, unsigned int from, const struct mail *mail);

/* Something that it may have waited for has come. */
void errand_resume(struct errand *errand);

/* The kernel has written all before to the link. */
void errand_drained(struct errand *errand);

/* The session ends, or its client: what was asked is answered. */
void errand_abort(struct stream_session *session);

/* Errands that could not begin, or have waited too long. */
void errands_tick(struct gateway *gateway);

#endif /* XSR_ERRAND_H */
