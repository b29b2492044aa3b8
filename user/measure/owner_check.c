/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#include "owner_check.h"

#include <errno.h>
#include <stdlib.h>

struct owner {
	uint16_t generation; /* 0 = none */
	uint16_t worker;
};

struct owners {
	struct owner newest, older;
	bool heard;
};

struct owner_check {
	uint64_t first_id;
	uint32_t n_owners;
	struct owners *owners; /* by session */
	struct owner_counts counts;
};

int owner_check_open(struct owner_check **out, uint64_t first_id, uint32_t n_sessions, uint32_t n_owners)
{
	struct owner_check *c = calloc(1, sizeof(*c));

	if (!c)
		return -ENOMEM;
	c->first_id = first_id;
	c->n_owners = n_owners;
	c->owners = calloc(n_sessions, sizeof(*c->owners));
	if (!c->owners) {
		owner_check_close(c);
		return -ENOMEM;
	}
	*out = c;
	return 0;
}

void owner_check_close(struct owner_check *c)
{
	if (!c)
		return;
	free(c->owners);
	free(c);
}

/* True if `seen` is the owner at its generation, as far as that is known. */
static bool owner_note(struct owners *o, struct owner seen)
{
	if (seen.generation == o->newest.generation)
		return seen.worker == o->newest.worker;
	if (seen.generation == o->older.generation)
		return seen.worker == o->older.worker;
	if (!o->newest.generation || generation_distance(o->newest.generation, seen.generation) > 0) {
		o->older = o->newest;
		o->newest = seen;
	} else if (!o->older.generation || generation_distance(o->older.generation, seen.generation) > 0) {
		o->older = seen;
	}
	return true;
}

static void generation_count(struct owner_check *c, uint16_t before, uint16_t now)
{
	if (before && now != before)
		c->counts.n_generations += generation_distance(before, now);
}

void owner_check_note(struct owner_check *c, uint32_t session, uint16_t generation, uint16_t worker)
{
	struct owners *o = &c->owners[session];
	const struct owner seen = { generation, worker };
	uint16_t before = o->newest.generation;
	bool right = true;

	c->counts.n_heard += !o->heard;
	o->heard = true;
	if (generation)
		right = owner_note(o, seen);
	else if (!before)
		o->newest.worker = worker;
	generation_count(c, before, o->newest.generation);
	if (c->n_owners)
		right = generation && worker == (c->first_id + session + generation - 1) % c->n_owners;
	c->counts.misrouted += !right;
}

uint16_t owner_check_generation(const struct owner_check *c, uint32_t session)
{
	return c->owners[session].newest.generation;
}

int owner_check_worker(const struct owner_check *c, uint32_t session)
{
	const struct owners *o = &c->owners[session];

	return o->heard ? o->newest.worker : -1;
}

const struct owner_counts *owner_check_counts(const struct owner_check *c)
{
	return &c->counts;
}
