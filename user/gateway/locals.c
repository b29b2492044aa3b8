/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#include "locals.h"

#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "stream.h"

/* A service. */
struct entry {
	struct local *local;	    /* NULL = not loaded */
	struct xsr_service service; /* as it was then */
	char why[LOCAL_WHY_LEN];    /* it is not served; empty = it is */
};

struct locals {
	struct locals_params p;
	bool is_tested;
	int broken; /* what the self-test found, with a sentence */
	char broken_why[LOCAL_WHY_LEN];
	struct entry at[XSR_SERVICES_MAX];
};

static bool is_ours(const struct xsr_service *s)
{
	return s->name[0] && s->proto == IPPROTO_TCP && s->mode == XSR_STREAM_LOCAL;
}

static bool is_same(const struct xsr_service *a, const struct xsr_service *b)
{
	return is_ours(b) && !memcmp(a->addr, b->addr, sizeof(a->addr)) && a->port == b->port && a->flags == b->flags &&
	       !strcmp(a->name, b->name);
}

static const char *cgroup_find(const struct config *config, const char *name)
{
	unsigned int i;

	for (i = 0; i < config->n_services; i++)
		if (!strcmp(config->services[i].name, name) && config->cgroups[i][0])
			return config->cgroups[i];
	return NULL;
}

/* Once, when the first service asks for it. */
static int kernel_test(struct locals *ls, char why[LOCAL_WHY_LEN])
{
	if (!ls->is_tested)
		ls->broken = local_self_test(ls->broken_why);
	ls->is_tested = true;
	if (ls->broken)
		memcpy(why, ls->broken_why, LOCAL_WHY_LEN);
	return ls->broken;
}

static int entry_load(struct locals *ls, uint32_t index, char why[LOCAL_WHY_LEN])
{
	struct entry *e = &ls->at[index];
	const struct local_options options = { .service = &e->service, .index = index, .counters_fd = ls->p.maps->fds[MAPS_STREAMS] };
	int ret;

	if (e->local)
		return 0;
	e->service = ls->p.maps->services[index];
	ret = kernel_test(ls, why);
	return ret ?: local_open(&e->local, &options, why);
}

/* A directory that was made anew, as systemd does with a unit's, is another. */
static int entry_serve(struct locals *ls, uint32_t index, const char *cgroup, char why[LOCAL_WHY_LEN])
{
	int ret;

	if (!cgroup) {
		snprintf(why, LOCAL_WHY_LEN, "the configuration names no cgroup for it");
		return -ENOENT;
	}
	ret = entry_load(ls, index, why);
	if (!ret && !local_is_attached(ls->at[index].local, cgroup))
		ret = local_attach(ls->at[index].local, cgroup, why);
	return ret;
}

/* Said when it begins, and when it changes. */
static void entry_say(struct locals *ls, const struct entry *e, const char *why, char sentence[LOCALS_WHY_LEN])
{
	snprintf(sentence, LOCALS_WHY_LEN, "service '%s': mode local %s%s", e->service.name,
		 *why ? ls->p.require_mode ? "is required: " : "is not to be had, its sockets are not joined: " : "is to be had now", why);
}

static void entry_claim(struct locals *ls, uint32_t index, const char *why)
{
	const struct xsr_stream_state *state = &ls->p.maps->states[index];
	struct entry *e = &ls->at[index];
	char sentence[LOCALS_WHY_LEN];
	bool is_known = state->pid == (uint32_t)getpid() && !strcmp(e->why, why);

	if (is_known)
		return;
	if (strcmp(e->why, why)) {
		entry_say(ls, e, why, sentence);
		ls->p.log(sentence, ls->p.log_arg);
	}
	snprintf(e->why, sizeof(e->why), "%s", why);
	stream_claim(ls->p.maps, index, *why ? XSR_STREAM_NONE : XSR_STREAM_LOCAL, *why ? why : NULL);
}

/* Another router, or a gateway of this one, may have said by now that it serves it. */
static void entry_close(struct locals *ls, uint32_t index)
{
	const struct xsr_stream_state *state = &ls->p.maps->states[index];
	bool is_claimed = state->pid == (uint32_t)getpid() && (state->mode == XSR_STREAM_LOCAL || state->mode == XSR_STREAM_NONE);
	struct entry *e = &ls->at[index];

	local_close(e->local);
	if (e->service.name[0] && is_claimed)
		stream_leave(ls->p.maps, index);
	memset(e, 0, sizeof(*e));
}

static int entry_sync(struct locals *ls, uint32_t index, const struct config *config, char why[LOCAL_WHY_LEN])
{
	const struct xsr_service *s = &ls->p.maps->services[index];
	struct entry *e = &ls->at[index];
	int ret;

	if (e->service.name[0] && !is_same(&e->service, s))
		entry_close(ls, index);
	if (!is_ours(s))
		return 0;
	e->service = *s;
	*why = 0;
	ret = entry_serve(ls, index, cgroup_find(config, s->name), why);
	return ret;
}

void locals_sync(struct locals *ls, const struct config *config)
{
	char why[LOCAL_WHY_LEN];
	uint32_t index;

	for (index = 1; index < XSR_SERVICES_MAX; index++) {
		entry_sync(ls, index, config, why);
		if (ls->at[index].service.name[0])
			entry_claim(ls, index, why);
	}
}

int locals_open(struct locals **out, const struct locals_params *params, const struct config *config, char why[LOCALS_WHY_LEN])
{
	struct locals *ls = calloc(1, sizeof(*ls));
	char reason[LOCAL_WHY_LEN];
	uint32_t index;
	int ret = 0;

	snprintf(why, LOCALS_WHY_LEN, "out of memory");
	if (!ls)
		return -ENOMEM;
	ls->p = *params;
	for (index = 1; index < XSR_SERVICES_MAX && params->require_mode && !ret; index++) {
		ret = entry_sync(ls, index, config, reason);
		if (ret)
			entry_say(ls, &ls->at[index], reason, why);
	}
	ls->p.require_mode = false; /* later there is nothing to refuse */
	if (!ret)
		locals_sync(ls, config);
	if (ret)
		locals_close(ls);
	else
		*out = ls;
	return ret;
}

void locals_close(struct locals *ls)
{
	uint32_t index;

	if (!ls)
		return;
	for (index = 1; index < XSR_SERVICES_MAX; index++)
		entry_close(ls, index);
	free(ls);
}
