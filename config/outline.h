/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The outline of a configuration file: libyaml's events held against the schema.
 * It refuses whatever the schema does not have, and notes the line of what it
 * has. It is ours because libcyaml keeps no lines: for an unknown key it names
 * the line before it, and it passes over anchors, tags, second documents and
 * whatever follows a zero byte.
 */
#ifndef XSR_OUTLINE_H
#define XSR_OUTLINE_H

#include "schema.h"
#include "types.h"

#define OUTLINE_ENTRIES_MAX 64
_Static_assert(XSR_DEVICES_MAX <= OUTLINE_ENTRIES_MAX && XSR_WORKERS_MAX <= OUTLINE_ENTRIES_MAX &&
		       XSR_SERVICES_MAX <= OUTLINE_ENTRIES_MAX && XSR_BACKENDS_MAX <= OUTLINE_ENTRIES_MAX,
	       "every entry of a list has room for its line");

/* Where things stand, by the number of their key in schema_file; 0 = not in the file. */
struct outline {
	unsigned int key[SCHEMA_KEYS_MAX];
	unsigned int entry[SCHEMA_KEYS_MAX][OUTLINE_ENTRIES_MAX];
};

/*
 * Reads all of *src: keys are known and given once, values of the right kind, lists not too long. Fills
 * *outline, which the caller has zeroed. 0, or -errno and the sentence in src->why.
 */
int outline_read(const struct source *src, struct outline *outline);

/* The line of a key of the file, and that of the i-th entry of its list. 0 = not in the file. */
unsigned int outline_key_line(const struct outline *outline, const char *key);
unsigned int outline_entry_line(const struct outline *outline, const char *key, unsigned int i);

#endif /* XSR_OUTLINE_H */
