/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#include "answer_check.h"

#include <errno.h>
#include <stdlib.h>

#include "source_order.h"

/* The numbers that a session gave to its messages as it served them. */
struct numbers {
	uint64_t lowest, highest; /* seen; 0 = none */
	uint64_t settled;         /* all from the lowest to below this one are known and judged */
	uint32_t n_known;         /* different ones */
	uint32_t n_answered;      /* different messages */
	uint32_t n_sent_before;   /* messages that were sent when the first answer came */
	uint32_t n_reordered;
	bool lost;
};

struct answer_check {
	struct source_order *order;
	uint32_t n_sessions;
	uint64_t n_sent;
	uint64_t stride;   /* numbers kept of a session: more than it has messages */
	uint8_t *answered; /* a bit for each message, by index */
	uint32_t *seqs;    /* which message got a number, by session * stride + number % stride; 0 = none */
	struct numbers *numbers; /* by session */
	struct answer_counts counts;
};

/* Messages that are served twice have two numbers: there is room for one in sixteen of them. */
static uint64_t stride_of(uint32_t n_sessions, uint64_t n_messages)
{
	uint64_t n = n_messages / n_sessions + 1;

	return n + n / 16 + 1;
}

uint64_t answer_check_size(uint32_t n_sessions, uint64_t n_messages)
{
	uint64_t n_seqs = stride_of(n_sessions, n_messages) * n_sessions;

	return n_messages / 8 + n_seqs * sizeof(uint32_t) + n_sessions * sizeof(struct numbers);
}

int answer_check_open(struct answer_check **out, uint32_t n_sessions, uint64_t n_messages,
		      struct source_order *order)
{
	struct answer_check *c;

	if (stride_of(n_sessions, n_messages) > UINT32_MAX)
		return -EFBIG;
	c = calloc(1, sizeof(*c));
	if (!c)
		return -ENOMEM;
	c->order = order;
	c->n_sessions = n_sessions;
	c->stride = stride_of(n_sessions, n_messages);
	c->answered = calloc(n_messages / 8 + 1, 1);
	c->seqs = calloc(c->stride * n_sessions, sizeof(*c->seqs));
	c->numbers = calloc(n_sessions, sizeof(*c->numbers));
	if (!c->answered || !c->seqs || !c->numbers) {
		answer_check_close(c);
		return -ENOMEM;
	}
	*out = c;
	return 0;
}

void answer_check_close(struct answer_check *c)
{
	if (!c)
		return;
	free(c->answered);
	free(c->seqs);
	free(c->numbers);
	free(c);
}

void answer_check_sent(struct answer_check *c, uint64_t n_sent)
{
	c->n_sent = n_sent;
}

bool answer_check_answered(const struct answer_check *c, uint64_t index)
{
	return c->answered[index / 8] >> (index % 8) & 1;
}

uint64_t answer_check_settled(const struct answer_check *c, uint32_t session)
{
	return c->numbers[session].settled;
}

const struct answer_counts *answer_check_counts(const struct answer_check *c)
{
	return &c->counts;
}

static uint32_t session_sent(const struct answer_check *c, uint32_t session)
{
	return (c->n_sent + c->n_sessions - 1 - session) / c->n_sessions;
}

static uint32_t *seq_of(struct answer_check *c, uint32_t session, uint64_t number)
{
	return &c->seqs[session * c->stride + number % c->stride];
}

static void state_is_lost(struct answer_check *c, struct numbers *n)
{
	n->lost = true;
	c->counts.state_lost++;
}

static void order_note(struct answer_check *c, uint32_t session, uint32_t seq)
{
	if (!source_order_note(c->order, session, seq))
		return;
	c->numbers[session].n_reordered++;
	c->counts.reordered++;
}

/* Judges what follows the settled numbers without a gap. */
static void settle(struct answer_check *c, uint32_t session)
{
	struct numbers *n = &c->numbers[session];

	for (; n->settled <= n->highest && *seq_of(c, session, n->settled); n->settled++)
		order_note(c, session, *seq_of(c, session, n->settled));
}

/* What began at a higher number begins here: judge again. */
static void unsettle(struct answer_check *c, uint32_t session, uint64_t lowest)
{
	struct numbers *n = &c->numbers[session];

	source_order_forget(c->order, session);
	c->counts.reordered -= n->n_reordered;
	n->n_reordered = 0;
	n->lowest = n->settled = lowest;
}

static void numbers_begin(struct answer_check *c, uint32_t session, uint64_t number)
{
	struct numbers *n = &c->numbers[session];

	n->lowest = n->highest = n->settled = number;
	n->n_sent_before = session_sent(c, session);
}

/* The number is the next, or near; one that was used for another message, or could not come any more, is none
 * of this state. */
static bool number_fits(struct answer_check *c, uint32_t session, uint32_t seq, uint64_t number)
{
	const struct numbers *n = &c->numbers[session];
	uint64_t lowest = number < n->lowest ? number : n->lowest;
	uint64_t highest = number > n->highest ? number : n->highest;
	uint32_t used = *seq_of(c, session, number);

	if (highest - lowest >= c->stride || (used && used != seq))
		return false;
	/* What was sent after the first answer came is served after that one. */
	return number >= n->lowest || seq <= n->n_sent_before;
}

static void number_note(struct answer_check *c, uint32_t session, uint32_t seq, uint64_t number)
{
	struct numbers *n = &c->numbers[session];

	if (n->lost)
		return;
	if (!n->lowest)
		numbers_begin(c, session, number);
	if (!number_fits(c, session, seq, number)) {
		state_is_lost(c, n);
		return;
	}
	if (number < n->lowest)
		unsettle(c, session, number);
	if (number > n->highest)
		n->highest = number;
	n->n_known += *seq_of(c, session, number) == 0;
	*seq_of(c, session, number) = seq;
	settle(c, session);
}

/* True if the message was not answered before. */
static bool answer_mark(struct answer_check *c, uint64_t index, uint32_t session)
{
	if (answer_check_answered(c, index)) {
		c->counts.duplicated++;
		return false;
	}
	c->answered[index / 8] |= 1 << (index % 8);
	c->numbers[session].n_answered++;
	c->counts.received++;
	return true;
}

bool answer_check_note(struct answer_check *c, uint64_t session, uint64_t seq, uint64_t served)
{
	bool first;

	if (session >= c->n_sessions || seq - 1 >= session_sent(c, session)) {
		c->counts.unknown++;
		return false;
	}
	first = answer_mark(c, (seq - 1) * c->n_sessions + session, session);
	if (served)
		number_note(c, session, seq, served);
	else if (first)
		order_note(c, session, seq);
	return first;
}

/* Numbers may be missing because their answers are: not more than answers are. */
static void session_finish(struct answer_check *c, uint32_t session)
{
	struct numbers *n = &c->numbers[session];

	if (!n->lowest || n->lost)
		return;
	if (n->highest - n->lowest + 1 - n->n_known > session_sent(c, session) - n->n_answered) {
		state_is_lost(c, n);
		return;
	}
	while (n->settled <= n->highest) {
		settle(c, session);
		n->settled++;
	}
}

void answer_check_finish(struct answer_check *c)
{
	uint32_t session;

	for (session = 0; session < c->n_sessions; session++)
		session_finish(c, session);
}
