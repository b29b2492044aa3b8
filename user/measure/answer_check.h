/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Every answer against what was sent: each message answered once, each session's messages served in the order in which
 * they were sent, each by the next of the session's numbers. The order is the one in which the session served them,
 * told by the number on the answer, not the one in which answers arrive: those may overtake each other on their way
 * back.
 */
#ifndef XSR_ANSWER_CHECK_H
#define XSR_ANSWER_CHECK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct answer_check;
struct source_order;

struct answer_counts {
	uint64_t received;   /* messages that were answered */
	uint64_t duplicated; /* answers to a message that was answered before */
	uint64_t unknown;    /* answers to nothing that was sent */
	/*
	 * Served after a later one of the same session and source. A number is judged as soon as all below it are
	 * known, at the latest by answer_check_finish(). A session that lost its state is judged up to there: its
	 * numbers tell no more.
	 */
	uint64_t reordered;
	/*
	 * Sessions whose numbers were not each used exactly once from the lowest that was seen to the highest. As many
	 * as messages of the session are lost may be missing: they may have been served. A session that served more
	 * than a sixteenth of its messages twice counts here, too: its numbers do not fit.
	 */
	uint64_t state_lost;
};

/* Bytes that are needed for so many messages, all sessions together. */
uint64_t answer_check_size(uint32_t n_sessions, uint64_t n_messages);

/*
 * Room for n_messages, all sessions together, sent by the sessions in turn. All memory is taken here, 5 bytes a message
 * and 60 a session at most. `order` is borrowed until answer_check_close(). 0, -ENOMEM, or -EFBIG: a session's messages
 * do not fit into 32 bits.
 */
int answer_check_open(struct answer_check **out, uint32_t n_sessions, uint64_t n_messages, struct source_order *order);
void answer_check_close(struct answer_check *check); /* takes NULL */

/* So many were sent so far, all sessions together; no more than there is room for. */
void answer_check_sent(struct answer_check *check, uint64_t n_sent);

/*
 * An answer came to message `seq` (from 1) of a session; served: the session's number for it, 0 = the server does not
 * tell, then the order is that of arrival. True if it is the first answer to that message.
 */
bool answer_check_note(struct answer_check *check, uint64_t session, uint64_t seq, uint64_t served);

/* Whether message `index`, counted over all sessions from 0, was answered. */
bool answer_check_answered(const struct answer_check *check, uint64_t index);

/* All numbers of the session below this one are known; 0 = none. */
uint64_t answer_check_settled(const struct answer_check *check, uint32_t session);

/* Nothing more will come: judges what waited for numbers that are missing. Once. */
void answer_check_finish(struct answer_check *check);

/* Borrowed until answer_check_close(). */
const struct answer_counts *answer_check_counts(const struct answer_check *check);

#endif /* XSR_ANSWER_CHECK_H */
