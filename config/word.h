/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* The keys whose value is one word: what it may be, what it is if none is given, where it goes. */
#ifndef XSR_WORD_H
#define XSR_WORD_H

#include <stdbool.h>

#include "config.h"

/* The i-th such key; NULL past the last. */
const char *word_key(unsigned int i);

/*
 * Turns the word of the i-th key into its value in *config; NULL = not given, the default. Returns
 * NULL, or what was expected instead.
 */
const char *word_take(unsigned int i, const char *word, struct config *config);

/* What a key's word may be, for a sentence; NULL if it is not one of these keys. */
const char *word_expected(const char *key);

/* Whether two configurations have another value of the i-th key. */
bool word_differs(unsigned int i, const struct config *a, const struct config *b);

#endif /* XSR_WORD_H */
