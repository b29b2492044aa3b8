/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#include "source_order.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* The highest number served of one port; 0 = none. */
struct source {
	uint32_t seq;
	uint32_t port; /* how many its socket had before */
};

struct source_pair {
	struct source newest, older;
};

struct source_order {
	uint32_t n_sessions, n_sources, n_sockets;
	struct source_pair *pairs; /* by session * n_sources + source */
	uint64_t *roams; /* the n-th is of socket n % n_sockets: first index sent from the new port */
	uint64_t n_roams, roams_room;
};

int source_order_open(struct source_order **out, uint32_t n_sessions, uint32_t n_sources, uint32_t n_sockets)
{
	struct source_order *o = calloc(1, sizeof(*o));

	if (!o)
		return -ENOMEM;
	o->n_sessions = n_sessions;
	o->n_sources = n_sources;
	o->n_sockets = n_sockets;
	o->pairs = calloc((size_t)n_sessions * n_sources, sizeof(*o->pairs));
	if (!o->pairs) {
		source_order_close(o);
		return -ENOMEM;
	}
	*out = o;
	return 0;
}

void source_order_close(struct source_order *o)
{
	if (!o)
		return;
	free(o->pairs);
	free(o->roams);
	free(o);
}

uint32_t source_order_socket(const struct source_order *o, uint32_t session, uint32_t seq)
{
	return ((uint64_t)session + seq % o->n_sources) % o->n_sockets;
}

int source_order_reserve(struct source_order *o)
{
	uint64_t room = o->roams_room ? 2 * o->roams_room : 64, *roams;

	if (o->n_roams < o->roams_room)
		return 0;
	roams = reallocarray(o->roams, room, sizeof(*roams));
	if (!roams)
		return -ENOMEM;
	o->roams = roams;
	o->roams_room = room;
	return 0;
}

void source_order_roamed(struct source_order *o, uint64_t index)
{
	assert(o->n_roams < o->roams_room);
	o->roams[o->n_roams++] = index;
}

/* How many roams there were when the message was sent. */
static uint64_t roams_before(const struct source_order *o, uint64_t index)
{
	uint64_t low = 0, high = o->n_roams;

	if (high && o->roams[high - 1] <= index)
		return high;
	while (low < high) {
		uint64_t middle = (low + high) / 2;

		if (o->roams[middle] <= index)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

static uint32_t port_of(const struct source_order *o, uint32_t session, uint32_t seq)
{
	uint64_t n = roams_before(o, (seq - 1ULL) * o->n_sessions + session);

	return (n + o->n_sockets - 1 - source_order_socket(o, session, seq)) / o->n_sockets;
}

/* True if a later one was before it. */
static bool source_note(struct source *source, uint32_t seq)
{
	if (seq < source->seq)
		return true;
	source->seq = seq;
	return false;
}

bool source_order_note(struct source_order *o, uint32_t session, uint32_t seq)
{
	struct source_pair *pair = &o->pairs[(uint64_t)session * o->n_sources + seq % o->n_sources];
	struct source source = { seq, port_of(o, session, seq) };

	if (source.port == pair->newest.port)
		return source_note(&pair->newest, seq);
	if (source.port > pair->newest.port) {
		pair->older = pair->newest;
		pair->newest = source;
		return false;
	}
	if (source.port == pair->older.port)
		return source_note(&pair->older, seq);
	if (source.port > pair->older.port)
		pair->older = source;
	return false;
}

void source_order_forget(struct source_order *o, uint32_t session)
{
	memset(&o->pairs[(uint64_t)session * o->n_sources], 0, o->n_sources * sizeof(*o->pairs));
}
