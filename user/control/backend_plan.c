/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#include "backend_plan.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "address.h"
#include "backend.h"

static uint32_t number_of(const struct xsr_backend table[XSR_BACKENDS_MAX], const char *name)
{
	uint32_t i;

	for (i = 1; i < XSR_BACKENDS_MAX; i++)
		if (table[i].family && !strcmp(table[i].name, name))
			return i;
	return 0;
}

static uint32_t free_number(const struct xsr_backend table[XSR_BACKENDS_MAX])
{
	uint32_t i;

	for (i = 1; i < XSR_BACKENDS_MAX && table[i].family; i++)
		;
	return i < XSR_BACKENDS_MAX ? i : 0;
}

static bool is_wanted(const struct config *config, const char *name)
{
	unsigned int i;

	for (i = 0; i < config->n_backends; i++)
		if (!strcmp(config->backends[i].name, name))
			return true;
	return false;
}

static int table_read(struct maps *maps, struct xsr_backend table[XSR_BACKENDS_MAX])
{
	uint32_t i;
	int ret;

	for (i = 1; i < XSR_BACKENDS_MAX; i++) {
		ret = backend_at(maps, i, &table[i]);
		if (ret == -ENOENT)
			memset(&table[i], 0, sizeof(table[i]));
		else if (ret)
			return ret;
	}
	return 0;
}

static int entry_plan(struct backend_plan *plan, const struct xsr_backend *want, unsigned int place, char why[CONFIG_WHY_LEN])
{
	uint32_t number = number_of(plan->then, want->name);

	if (!number) {
		number = free_number(plan->then);
		plan->n_added++;
	} else if (!backend_same_address(&plan->then[number], want)) {
		plan->n_changed++;
	}
	if (!number) {
		snprintf(why, CONFIG_WHY_LEN, "backend '%s': the table of backends is full", want->name);
		return -ENOSPC;
	}
	plan->number[place] = number;
	plan->then[number] = *want;
	return 0;
}

/* Whether one that stays has the address of another. */
static int addresses_check(const struct backend_plan *plan, char why[CONFIG_WHY_LEN])
{
	uint32_t i, j;

	for (i = 1; i < XSR_BACKENDS_MAX; i++)
		for (j = 1; j < i; j++) {
			if (!plan->then[i].family || (plan->goes >> i | plan->goes >> j) & 1 ||
			    !backend_same_address(&plan->then[i], &plan->then[j]))
				continue;
			snprintf(why, CONFIG_WHY_LEN, "backends '%s' and '%s' have one address and port", plan->then[j].name,
				 plan->then[i].name);
			return -EADDRINUSE;
		}
	return 0;
}

int backend_plan_make(struct backend_plan *plan, struct maps *maps, const struct config *old, const struct config *new,
		      char why[CONFIG_WHY_LEN])
{
	unsigned int i;
	int ret;

	memset(plan, 0, sizeof(*plan));
	ret = table_read(maps, plan->now);
	if (ret) {
		snprintf(why, CONFIG_WHY_LEN, "cannot read the table of backends: %s", strerror(-ret));
		return ret;
	}
	memcpy(plan->then, plan->now, sizeof(plan->then));
	for (i = 0; old && i < old->n_backends; i++) {
		uint32_t number = number_of(plan->now, old->backends[i].name);

		if (number && !is_wanted(new, old->backends[i].name))
			plan->goes |= 1ULL << number;
	}
	plan->n_deleted = __builtin_popcountll(plan->goes);
	for (i = 0; i < new->n_backends && !ret; i++)
		ret = entry_plan(plan, &new->backends[i], i, why);
	return ret ? ret : addresses_check(plan, why);
}

static int going_check(const struct backend_plan *plan, struct maps *maps, uint32_t number, uint64_t renamed, uint64_t gone,
		       char why[CONFIG_WHY_LEN])
{
	const char *how = "names it";
	int user = backend_named_by(maps, number, renamed);

	if (!user) {
		how = "has routes to it";
		user = backend_routed_by(maps, number, gone);
	}
	if (user < 0)
		snprintf(why, CONFIG_WHY_LEN, "cannot read the routes: %s", strerror(-user));
	if (user <= 0)
		return user;
	snprintf(why, CONFIG_WHY_LEN, "backend '%s' cannot go: service '%s' %s", plan->now[number].name,
		 maps->services[user].name, how);
	return -EBUSY;
}

int backend_plan_check(const struct backend_plan *plan, struct maps *maps, uint64_t renamed, uint64_t gone,
		       char why[CONFIG_WHY_LEN])
{
	uint32_t i;
	int ret = 0;

	for (i = 1; i < XSR_BACKENDS_MAX && !ret; i++)
		if (plan->goes >> i & 1)
			ret = going_check(plan, maps, i, renamed, gone, why);
	return ret;
}

uint64_t backend_plan_mask(const struct backend_plan *plan, uint64_t places)
{
	uint64_t mask = 0;

	for (; places; places &= places - 1)
		mask |= 1ULL << plan->number[__builtin_ctzll(places)];
	return mask;
}

/* Those entries that `to` has otherwise than `from`. */
static int entries_put(struct maps *maps, const struct xsr_backend *from, const struct xsr_backend *to)
{
	uint32_t i;
	int ret = 0;

	for (i = 1; i < XSR_BACKENDS_MAX && !ret; i++)
		if (memcmp(&from[i], &to[i], sizeof(to[i])))
			ret = backend_put(maps, i, &to[i]);
	return ret;
}

int backend_plan_begin(const struct backend_plan *plan, struct maps *maps)
{
	return entries_put(maps, plan->now, plan->then);
}

int backend_plan_end(const struct backend_plan *plan, struct maps *maps)
{
	uint32_t i;
	int ret = 0;

	for (i = 1; i < XSR_BACKENDS_MAX && !ret; i++)
		if (plan->goes >> i & 1)
			ret = backend_put(maps, i, &(struct xsr_backend){});
	return ret;
}

void backend_plan_undo(const struct backend_plan *plan, struct maps *maps)
{
	entries_put(maps, plan->then, plan->now);
}
