/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * A client's account of one session's requests. They are numbered from 1 and answered in that order, each exactly once, or covered
 * by an error, which covers all up to its number that have no answer. On a new connection some are sent again; that changes
 * nothing in what is expected. No clock, no socket, no memory of its own.
 */
#ifndef XSR_REQUEST_LEDGER_H
#define XSR_REQUEST_LEDGER_H

#include <stdbool.h>
#include <stdint.h>

#define REQUEST_ERROR_CODES 8 /* 0 = one that has no name */

struct request {
	uint64_t sent_ns; /* the caller's: first sent, or to be sent */
	uint32_t len;	  /* the caller's: bytes of the frame */
	bool is_answered;
};

/* Sums over any number of sessions. */
struct request_counts {
	uint64_t sent;	   /* requests, however often each was */
	uint64_t resent;   /* times that one was sent again */
	uint64_t answered; /* requests */
	uint64_t errors[REQUEST_ERROR_CODES]; /* requests that have no answer but an error, by code */
	uint64_t reordered;   /* answers that came before that to an earlier request */
	uint64_t duplicated;  /* answers to what was answered before */
	uint64_t after_error; /* answers to what an error had covered */
	uint64_t unknown;     /* answers to what was not sent */
	uint64_t older;	      /* answers to what an earlier client of the session sent */
};

struct request_ledger {
	struct request *ring;
	uint32_t window;     /* requests in the ring: under way at most */
	uint64_t base;	     /* requests up to here are an earlier client's */
	uint64_t last;	     /* request that was begun */
	uint64_t settled;    /* all up to here are answered or covered by an error */
	uint64_t cursor;     /* all up to here were sent on this connection, or need not be */
	uint64_t error_from, error_to; /* the last range that was covered */
	uint32_t n_open;     /* begun, and not answered or covered */
};

/* `ring` has room for `window` requests and is borrowed. */
void request_ledger_init(struct request_ledger *l, struct request *ring, uint32_t window);

/* Nothing was begun yet: the session is not new, its numbers go on behind `served`. */
void request_ledger_start(struct request_ledger *l, uint64_t served);

/* A new request may be begun: there is room, and nothing has to be sent again first. */
bool request_ledger_has_room(const struct request_ledger *l);

/* Begins one, which is sent now. Returns its number; the caller fills *request. */
uint64_t request_ledger_begin(struct request_ledger *l, struct request_counts *counts, struct request **request);

/* The next one that has to be sent again, which it is now: its number, or 0 if there is none. */
uint64_t request_ledger_resend(struct request_ledger *l, struct request_counts *counts, const struct request **request);

/* Whether request_ledger_resend() has one. */
bool request_ledger_resends(const struct request_ledger *l);

/* The session goes on on another connection; requests up to `served` are answered without being sent again. */
void request_ledger_resume(struct request_ledger *l, uint64_t served);

/*
 * An answer came. The request if it is the first one, to compare it with, until the next request_ledger_begin(); else NULL, and
 * it was counted why.
 */
const struct request *request_ledger_answer(struct request_ledger *l, struct request_counts *counts, uint64_t seq);

/* An error came: requests up to seq that have no answer get none. Returns how many those are. */
uint32_t request_ledger_error(struct request_ledger *l, struct request_counts *counts, uint64_t seq, unsigned int code);

/* All errors, whatever the code. */
uint64_t request_counts_errors(const struct request_counts *counts);

void request_counts_add(struct request_counts *sum, const struct request_counts *counts);

#endif /* XSR_REQUEST_LEDGER_H */
