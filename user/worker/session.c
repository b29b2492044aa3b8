/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#include "session.h"

#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include "mix.h"

/*
 * Open addressing over numbers of sessions, at most half full; deleting shifts
 * the cluster back, so there are no tombstones and a probe stays short.
 */
struct session_table {
	uint32_t *slots; /* number + 1; 0 = empty */
	uint32_t mask;
	struct session *sessions; /* service 0 = free */
	uint32_t *free;	 /* a stack of numbers */
	uint32_t n_free, n_max;
	uint32_t hand;	 /* of the sweep */
	uint64_t seed;	 /* clients choose IDs: without it they could choose ones that collide */
};

static uint32_t slot_home(const struct session_table *table, uint32_t service, uint64_t id)
{
	return mix64(mix64(id ^ table->seed) + service) & table->mask;
}

static uint32_t slots_needed(uint32_t n_max)
{
	uint32_t n = 16;

	while (n < n_max * 2)
		n *= 2;
	return n;
}

int session_table_open(struct session_table **out, uint32_t n_max)
{
	struct session_table *table = calloc(1, sizeof(*table));
	uint32_t i, n_slots = slots_needed(n_max);

	if (!table)
		return -ENOMEM;
	table->mask = n_slots - 1;
	table->n_max = n_max;
	if (getrandom(&table->seed, sizeof(table->seed), 0) < 0)
		table->seed = (uintptr_t)table;
	table->slots = calloc(n_slots, sizeof(*table->slots));
	table->sessions = calloc(n_max, sizeof(*table->sessions));
	table->free = calloc(n_max, sizeof(*table->free));
	if (!table->slots || !table->sessions || !table->free) {
		session_table_close(table);
		return -ENOMEM;
	}
	for (i = 0; i < n_max; i++)
		table->free[table->n_free++] = n_max - 1 - i;
	*out = table;
	return 0;
}

void session_table_close(struct session_table *table)
{
	if (!table)
		return;
	free(table->slots);
	free(table->sessions);
	free(table->free);
	free(table);
}

/* The slot that holds the session, or the empty one where it would stand. */
static uint32_t slot_find(const struct session_table *table, uint32_t service, uint64_t id)
{
	uint32_t slot = slot_home(table, service, id);

	for (; table->slots[slot]; slot = (slot + 1) & table->mask) {
		const struct xsr_session *s = &table->sessions[table->slots[slot] - 1].s;

		if (s->id == id && s->service == service)
			break;
	}
	return slot;
}

struct session *session_find(struct session_table *table, uint32_t service, uint64_t id)
{
	uint32_t number = table->slots[slot_find(table, service, id)];

	return number ? &table->sessions[number - 1] : NULL;
}

struct session *session_get(struct session_table *table, uint32_t service, uint64_t id)
{
	uint32_t slot = slot_find(table, service, id);
	struct session *session;

	if (table->slots[slot])
		return &table->sessions[table->slots[slot] - 1];
	if (!table->n_free)
		return NULL;
	table->slots[slot] = table->free[--table->n_free] + 1;
	session = &table->sessions[table->slots[slot] - 1];
	memset(session, 0, sizeof(*session));
	session->s.id = id;
	session->s.service = service;
	session->s.index = table->slots[slot] - 1;
	return session;
}

/* Moves later members of the cluster into the hole at `slot`, if their home allows it. */
static void cluster_close(struct session_table *table, uint32_t slot)
{
	uint32_t next = slot;

	for (;;) {
		const struct xsr_session *s;
		uint32_t home;

		next = (next + 1) & table->mask;
		if (!table->slots[next])
			break;
		s = &table->sessions[table->slots[next] - 1].s;
		home = slot_home(table, s->service, s->id);
		if (((next - home) & table->mask) < ((next - slot) & table->mask))
			continue;
		table->slots[slot] = table->slots[next];
		slot = next;
	}
	table->slots[slot] = 0;
}

void session_delete(struct session_table *table, struct session *session)
{
	cluster_close(table, slot_find(table, session->s.service, session->s.id));
	table->free[table->n_free++] = session->s.index;
	session->s.service = 0;
}

uint32_t session_count(const struct session_table *table)
{
	return table->n_max - table->n_free;
}

struct session *session_at(struct session_table *table, uint32_t index)
{
	struct session *session = &table->sessions[index];

	return session->s.service ? session : NULL;
}

uint32_t session_table_size(const struct session_table *table)
{
	return table->n_max;
}

struct session *session_sweep(struct session_table *table, uint64_t before_ns, uint32_t *n)
{
	while (*n) {
		struct session *session = &table->sessions[table->hand];

		--*n;
		table->hand = (table->hand + 1) % table->n_max;
		if (session->s.service && session->state == SESSION_ACTIVE && session->s.last_ns < before_ns)
			return session;
	}
	return NULL;
}
