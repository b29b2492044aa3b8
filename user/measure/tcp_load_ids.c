/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Chosen IDs follow from where the session is; only those that the server assigns have to be looked up. */
#include <errno.h>
#include <stdlib.h>

#include "tcp_load_parts.h"

int load_ids_open(struct load_shard *shard)
{
	uint32_t n = 64;

	if (!shard->c->assign)
		return 0;
	while (n < shard->n_sessions)
		n *= 2;
	shard->bucket_mask = n - 1;
	shard->buckets = calloc(n, sizeof(*shard->buckets));
	return shard->buckets ? 0 : -ENOMEM;
}

void load_ids_close(struct load_shard *shard)
{
	free(shard->buckets);
}

static struct load_session_bucket *bucket_of(struct load_shard *shard, uint64_t id)
{
	return &shard->buckets[(id * 0x9e3779b97f4a7c15ULL >> 32) & shard->bucket_mask];
}

static struct load_session *assigned_find(struct load_shard *shard, uint64_t id)
{
	struct load_session *s;

	LIST_FOREACH(s, bucket_of(shard, id), in_bucket)
		if (s->id == id)
			return s;
	return NULL;
}

/* Session i of all is on connection i modulo their number. */
struct load_session *load_ids_find(struct load_shard *shard, uint64_t id)
{
	const struct tcp_load_config *config = shard->c;
	uint64_t i = id - config->first_id, conn;

	if (config->assign)
		return assigned_find(shard, id);
	if (i >= config->n_sessions)
		return NULL;
	conn = i % config->n_connections;
	if (conn % shard->stride != shard->place)
		return NULL;
	return &shard->conns[conn / shard->stride].sessions[i / config->n_connections];
}

void load_ids_assign(struct load_shard *shard, struct load_session *s, uint64_t id)
{
	s->id = id;
	LIST_INSERT_HEAD(bucket_of(shard, id), s, in_bucket);
}
