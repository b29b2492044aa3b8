/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * A handler that enters what it serves in the ledger. Its state moves with the session: how many messages there were, the last of each
 * lane, and some bytes, of another length each time.
 */
#ifndef XSR_TEST_LEDGER_HANDLER_H
#define XSR_TEST_LEDGER_HANDLER_H

#include <errno.h>
#include <stddef.h>
#include <string.h>
#include <sys/queue.h>

#include "chance.h"
#include "ledger.h"
#include "payload.h"
#include "worker.h"

#define STATE_VERSION 3
#define STATE_BYTES_MAX 3000

/* For all workers of a run; it is their log_arg. */
struct app_common {
	struct ledger *ledger;
	struct chance chance;
	unsigned int give_failures, take_failures; /* percent */
	unsigned int bytes_max;			   /* of a state */
	unsigned int give_excess;		   /* bytes that give_up() says it wrote, and did not */
	atomic_uint n_give_failures, n_take_failures, n_logged;
};

struct app_state {
	LIST_ENTRY(app_state) link;
	uint64_t id;
	uint64_t counter;
	uint32_t last[LANES_MAX];
	uint32_t n_bytes;
	uint32_t sum;
	uint8_t bytes[STATE_BYTES_MAX];
};

/* On its way it is what follows the link. */
#define STATE_AT offsetof(struct app_state, id)

struct app {
	struct app_common *common;
	unsigned int worker;
	struct chance chance;
	LIST_HEAD(, app_state) states;
};

static inline void app_log(const char *sentence, void *arg)
{
	struct app_common *common = arg;

	(void)sentence;
	atomic_fetch_add(&common->n_logged, 1);
}

static inline int app_open(struct xsr_worker *worker, void **context)
{
	struct app_common *common = worker->p.log_arg;
	struct app *app = calloc(1, sizeof(*app));

	app->common = common;
	app->worker = worker->p.number;
	app->chance = chance_split(&common->chance);
	LIST_INIT(&app->states);
	*context = app;
	return 0;
}

static inline void state_free(struct xsr_session *session)
{
	struct app_state *state = session->state;

	LIST_REMOVE(state, link);
	free(state);
	session->state = NULL;
}

static inline void app_close(void *context)
{
	struct app *app = context;
	struct app_state *state;

	while ((state = LIST_FIRST(&app->states))) {
		LIST_REMOVE(state, link);
		free(state);
	}
	free(app);
}

static inline uint32_t bytes_sum(const struct app_state *state)
{
	uint32_t i, sum = state->n_bytes;

	for (i = 0; i < state->n_bytes; i++)
		sum = sum * 31 + state->bytes[i];
	return sum;
}

static inline uint32_t session_index(const struct xsr_session *session)
{
	return (uint32_t)session->id;
}

/* --- messages --- */

static inline struct app_state *state_begin(struct app *app, struct xsr_session *session)
{
	struct app_state *state = calloc(1, sizeof(*state));

	state->id = session->id;
	LIST_INSERT_HEAD(&app->states, state, link);
	session->state = state;
	ledger_begin(app->common->ledger, session_index(session));
	return state;
}

/* The session's, begun if it is new to us; NULL if what we are told of it is wrong. */
static inline struct app_state *app_state(struct app *app, struct xsr_session *session)
{
	struct ledger *ledger = app->common->ledger;
	struct app_state *state = session->state;

	if ((session->n_messages == 1) == !state)
		return state ? state : state_begin(app, session);
	ledger_wrong(ledger, "session %u comes to worker %u as its message %llu, %s state", session_index(session),
		     app->worker, (unsigned long long)session->n_messages, state ? "with a" : "without");
	return NULL;
}

static inline void state_serve(struct app *app, struct app_state *state, const struct payload *p)
{
	struct ledger *ledger = app->common->ledger;

	ledger_state(ledger, p->index, state->counter, app->worker);
	if (ledger->strict && state->last[p->lane] && payload_number(p) <= state->last[p->lane])
		ledger_wrong(ledger, "session %u: the state has seen message %u, now comes %u", p->index,
			     state->last[p->lane], payload_number(p));
	state->counter++;
	state->last[p->lane] = payload_number(p);
}

static inline enum xsr_verdict app_message(void *context, struct xsr_session *session, struct xsr_message *m)
{
	struct app *app = context;
	struct ledger *ledger = app->common->ledger;
	struct payload *p = (struct payload *)m->data;
	struct app_state *state;

	if (!payload_is_whole(p, m->len) || m->id != be64toh(p->frame.id) || m->peer.port != (uint16_t)p->index) {
		ledger_wrong(ledger, "worker %u is given a broken message", app->worker);
		return XSR_RELEASE;
	}
	state = session ? app_state(app, session) : NULL;
	if (!state) {
		ledger_wrong(ledger, "worker %u serves a message of session %u without it", app->worker, p->index);
		return XSR_RELEASE;
	}
	state_serve(app, state, p);
	ledger_serve(ledger, p->index, p->lane, payload_number(p), app->worker);
	if (chance_of(&app->chance, 30))
		return XSR_RELEASE;
	payload_reply(p);
	return XSR_REPLY;
}

static inline void app_forget(void *context, struct xsr_session *session)
{
	const struct app *app = context;

	if (session->state)
		state_free(session);
	else
		ledger_wrong(app->common->ledger, "worker %u is to forget what it does not know", app->worker);
}

/* --- handoffs --- */

static inline int app_give_up(void *context, struct xsr_session *session, void *out)
{
	struct app *app = context;
	struct app_state *state = session->state;
	uint32_t i, len;

	if (!state) {
		ledger_wrong(app->common->ledger, "worker %u is to give up what it does not know", app->worker);
		return -ENOENT;
	}
	if (chance_of(&app->chance, app->common->give_failures)) {
		atomic_fetch_add(&app->common->n_give_failures, 1);
		return -EIO;
	}
	state->n_bytes = chance_below(&app->chance, app->common->bytes_max + 1);
	for (i = 0; i < state->n_bytes; i++)
		state->bytes[i] = state->id + state->counter + i / 3;
	state->sum = bytes_sum(state);
	len = offsetof(struct app_state, bytes) + state->n_bytes - STATE_AT;
	memcpy(out, (uint8_t *)state + STATE_AT, len);
	state_free(session);
	return len + app->common->give_excess;
}

static inline bool state_is_whole(const struct app_state *state, const struct xsr_session *session, size_t len)
{
	return state->id == session->id && len == offsetof(struct app_state, bytes) + state->n_bytes - STATE_AT &&
	       state->sum == bytes_sum(state) && state->counter == session->n_messages;
}

static inline int app_take_over(void *context, struct xsr_session *session, uint16_t version, const void *in, size_t len)
{
	struct app *app = context;
	struct app_state *state;

	if (chance_of(&app->chance, app->common->take_failures)) {
		atomic_fetch_add(&app->common->n_take_failures, 1);
		return -EPROTO;
	}
	state = calloc(1, sizeof(*state));
	memcpy((uint8_t *)state + STATE_AT, in, len < sizeof(*state) - STATE_AT ? len : sizeof(*state) - STATE_AT);
	LIST_INSERT_HEAD(&app->states, state, link);
	if (session->state || version != STATE_VERSION || !state_is_whole(state, session, len))
		ledger_wrong(app->common->ledger, "the state of session %u that came to worker %u is broken",
			     session_index(session), app->worker);
	session->state = state;
	return 0;
}

static const struct xsr_handler handler_ledger = {
	.name = "ledger",
	.open = app_open,
	.message = app_message,
	.forget = app_forget,
	.give_up = app_give_up,
	.take_over = app_take_over,
	.state_version = STATE_VERSION,
	.state_len_max = sizeof(struct app_state) - STATE_AT,
	.close = app_close,
};

#endif /* XSR_TEST_LEDGER_HANDLER_H */
