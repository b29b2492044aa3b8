/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * One form that a protocol's messages take: how it is told from others, and where
 * the ID is in it. Profiles are written as forms; `offset` and `suffix` let
 * the operator write one; each becomes one alternative of the contract.
 */
#ifndef XSR_FORM_H
#define XSR_FORM_H

#include <stddef.h>
#include <stdint.h>

#include "types.h"

/* The message is of this form if (bytes there, big endian) & mask == value. */
struct match {
	__u16 offset;
	__u8 width; /* 1, 2 or 4 bytes; 0 = every message */
	__u32 mask;
	__u32 value;
};

/* Where the ID is. */
struct place {
	__u16 offset; /* of its first byte; with FROM_END back from the payload's end */
	__u8 width;   /* bytes */
	__u8 flags;   /* XSR_ALT_* */
	__u8 shift;   /* bits to the right */
	__u64 mask;   /* after the shift; 0 = all that the width holds */
};

struct form {
	struct match match;
	struct place id;
};

/* The rule that is read, for the sentence if it is wrong. Borrowed. */
struct rule_text {
	const char *rule; /* the whole text */
	char *why;
	size_t why_len;
};

/* Writes "rule "...": " and the sentence; returns -EINVAL. */
int rule_refuse(const struct rule_text *t, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

/* A number from min to max, which the sentence calls `what`; text NULL = it is missing. 0 or -EINVAL. */
int rule_number_take(const struct rule_text *t, const char *what, const char *text, uint64_t min, uint64_t max,
		     uint64_t *out);

/* Reads OFF:WIDTH[:OPTION...] (cut up, NULL = missing) into *form, whose flag FROM_END says how OFF counts. */
int form_parse(const struct rule_text *t, struct form *form, char *text);

/* Fills the whole of *alt. */
void form_compile(const struct form *form, struct xsr_alternative *alt);

#endif /* XSR_FORM_H */
