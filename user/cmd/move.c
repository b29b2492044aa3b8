/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#include "move.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "instance.h"
#include "service_spec.h"

static int why_word(char why[TARGET_WHY_LEN], const char *format, const char *word)
{
	snprintf(why, TARGET_WHY_LEN, format, word);
	return -EINVAL;
}

/* Whether there is a backend of that name the router says. */
static int backend_parse(int argc, char **argv, const char *id, json_t **move, char why[TARGET_WHY_LEN])
{
	if (argc != 1 || !instance_name_valid(argv[0]))
		return why_word(why, "backend '%.40s': expected a name", argc ? argv[argc - 1] : "");
	*move = json_pack("[s,s]", id, argv[0]);
	return *move ? 0 : why_word(why, "out of %s", "memory");
}

int move_parse(int argc, char **argv, json_t **move, char why[TARGET_WHY_LEN])
{
	struct xsr_route route = {};
	char text[24];
	uint64_t id;

	if (number_parse(argv[0], UINT64_MAX, &id))
		return why_word(why, "ID '%.40s': expected a decimal or 0x number of at most 64 bits", argv[0]);
	snprintf(text, sizeof(text), "0x%llx", (unsigned long long)id);
	if (argc < 2)
		return why_word(why, "no target: expected %s", MOVE_USAGE);
	if (!strcmp(argv[1], "backend"))
		return backend_parse(argc - 2, argv + 2, text, move, why);
	if (strcmp(argv[1], "worker"))
		return why_word(why, "target '%.40s': expected " MOVE_USAGE, argv[1]);
	if (target_parse_words(argc - 1, argv + 1, NULL, &route, why))
		return -EINVAL;
	*move = json_pack("[s,i]", text, route.target);
	return *move ? 0 : why_word(why, "out of %s", "memory");
}
