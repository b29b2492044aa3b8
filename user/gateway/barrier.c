/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#include "barrier.h"

#include "link.h"
#include "wire.h"

/* Who waits for room would wait for ever behind clients that use all of it at once. */
int barrier_send(struct barrier *b, struct link *l)
{
	struct wire_frame f;
	int ret = conn_send_over(&l->conn->conn, &f, wire_frame(&f, XSR_FRAME_HB_PING, 0, 0, l->token + 1, NULL, 0));

	if (ret)
		return ret;
	b->token = ++l->token;
	b->link = l;
	TAILQ_INSERT_TAIL(&l->barriers, b, of_link);
	return 0;
}

void barrier_drop(struct barrier *b)
{
	if (b->link)
		TAILQ_REMOVE(&b->link->barriers, b, of_link);
	b->link = NULL;
}

static void pass(struct barrier *b, bool lost)
{
	barrier_drop(b);
	b->passed(b->owner, lost);
}

void barriers_pass(struct link *l, uint64_t token)
{
	struct barrier *b;

	while ((b = TAILQ_FIRST(&l->barriers)) && b->token <= token)
		pass(b, false);
}

void barriers_lose(struct link *l)
{
	struct barrier *b;

	while ((b = TAILQ_FIRST(&l->barriers)))
		pass(b, true);
}
