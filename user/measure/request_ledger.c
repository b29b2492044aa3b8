/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#include "request_ledger.h"

#include <assert.h>
#include <stddef.h>

void request_ledger_init(struct request_ledger *l, struct request *ring, uint32_t window)
{
	*l = (struct request_ledger){ .ring = ring, .window = window };
}

void request_ledger_start(struct request_ledger *l, uint64_t served)
{
	l->base = l->last = l->settled = l->cursor = served;
}

static struct request *request_at(const struct request_ledger *l, uint64_t seq)
{
	return &l->ring[seq % l->window];
}

/* --- sending --- */

/* Those that were answered, or covered, while it was not their turn need not be sent. */
static void cursor_pass(struct request_ledger *l)
{
	if (l->cursor < l->settled)
		l->cursor = l->settled;
	while (l->cursor < l->last && request_at(l, l->cursor + 1)->is_answered)
		l->cursor++;
}

bool request_ledger_resends(const struct request_ledger *l)
{
	return l->cursor < l->last;
}

bool request_ledger_has_room(const struct request_ledger *l)
{
	return l->cursor == l->last && l->last - l->settled < l->window;
}

uint64_t request_ledger_begin(struct request_ledger *l, struct request_counts *counts, struct request **request)
{
	assert(request_ledger_has_room(l));
	l->cursor = ++l->last;
	l->n_open++;
	counts->sent++;
	*request = request_at(l, l->last);
	**request = (struct request){};
	return l->last;
}

uint64_t request_ledger_resend(struct request_ledger *l, struct request_counts *counts, const struct request **request)
{
	uint64_t seq;

	if (!request_ledger_resends(l))
		return 0;
	seq = ++l->cursor;
	*request = request_at(l, seq);
	cursor_pass(l);
	counts->resent++;
	return seq;
}

void request_ledger_resume(struct request_ledger *l, uint64_t served)
{
	l->cursor = served < l->last ? served : l->last;
	cursor_pass(l);
}

/* --- answers --- */

static void settle(struct request_ledger *l)
{
	while (l->settled < l->last && request_at(l, l->settled + 1)->is_answered)
		l->settled++;
	cursor_pass(l);
}

static void answer_refuse(const struct request_ledger *l, struct request_counts *counts, uint64_t seq)
{
	if (!seq || seq > l->last)
		counts->unknown++;
	else if (seq <= l->base)
		counts->older++;
	else if (seq >= l->error_from && seq <= l->error_to)
		counts->after_error++;
	else
		counts->duplicated++;
}

const struct request *request_ledger_answer(struct request_ledger *l, struct request_counts *counts, uint64_t seq)
{
	struct request *request = request_at(l, seq);

	if (seq <= l->settled || seq > l->last || request->is_answered) {
		answer_refuse(l, counts, seq);
		return NULL;
	}
	request->is_answered = true;
	counts->answered++;
	counts->reordered += seq != l->settled + 1;
	l->n_open--;
	settle(l);
	return request;
}

uint32_t request_ledger_error(struct request_ledger *l, struct request_counts *counts, uint64_t seq, unsigned int code)
{
	uint64_t from = l->settled + 1;
	uint32_t n = 0;

	if (seq > l->last)
		seq = l->last;
	if (seq < from)
		return 0;
	for (; l->settled < seq; l->settled++)
		n += !request_at(l, l->settled + 1)->is_answered;
	l->error_from = from == l->error_to + 1 ? l->error_from : from;
	l->error_to = seq;
	l->n_open -= n;
	counts->errors[code < REQUEST_ERROR_CODES ? code : 0] += n;
	settle(l);
	return n;
}

/* --- sums --- */

uint64_t request_counts_errors(const struct request_counts *counts)
{
	uint64_t n = 0;
	unsigned int i;

	for (i = 0; i < REQUEST_ERROR_CODES; i++)
		n += counts->errors[i];
	return n;
}

void request_counts_add(struct request_counts *sum, const struct request_counts *counts)
{
	unsigned int i;

	sum->sent += counts->sent;
	sum->resent += counts->resent;
	sum->answered += counts->answered;
	for (i = 0; i < REQUEST_ERROR_CODES; i++)
		sum->errors[i] += counts->errors[i];
	sum->reordered += counts->reordered;
	sum->duplicated += counts->duplicated;
	sum->after_error += counts->after_error;
	sum->unknown += counts->unknown;
	sum->older += counts->older;
}
