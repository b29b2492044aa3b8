/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#include "wishes.h"

#include <errno.h>
#include <stdlib.h>

#include "route.h"
#include "socket.h"

int wishes_add(struct wishes *w, uint32_t service, uint64_t id, uint16_t worker, uint16_t from)
{
	if (w->n == w->n_max) {
		size_t n_max = w->n_max * 2 ?: 256;
		struct handoff_wish *list = realloc(w->list, n_max * sizeof(*list));

		if (!list)
			return -ENOMEM;
		w->list = list;
		w->n_max = n_max;
	}
	w->list[w->n++] = (struct handoff_wish){ .id = id, .service = service, .worker = worker, .from = from };
	return 0;
}

void wishes_clear(struct wishes *w)
{
	free(w->list);
	*w = (struct wishes){};
}

struct gathering {
	struct wishes *wishes;
	struct maps *maps;
	uint32_t service;
	int worker;
};

static int routes_add(const struct route_entry *entries, size_t n, void *arg)
{
	struct gathering *g = arg;
	int ret = 0;
	size_t i;

	for (i = 0; i < n && !ret; i++) {
		const struct xsr_route *route = &entries[i].route;
		int to = g->worker < 0 ? route->target : bucket_owner(g->maps->buckets, entries[i].id);

		if (route->action != XSR_ACTION_WORKER || (g->worker >= 0 && route->target != g->worker) || to < 0)
			continue;
		ret = wishes_add(g->wishes, g->service, entries[i].id, to, HANDOFF_FROM_OWNER);
	}
	return ret;
}

int wishes_add_routes(struct wishes *w, struct maps *maps, int worker)
{
	struct gathering g = { .wishes = w, .maps = maps, .worker = worker };
	int ret = 0;

	for (g.service = 1; g.service < XSR_SERVICES_MAX && !ret; g.service++)
		if (maps->services[g.service].name[0])
			ret = route_for_each(maps, g.service, &maps->services[g.service], routes_add, &g);
	return ret;
}

/* How many each worker is to have: the remainder goes to those that have the most, so that fewer move. */
static void shares_give(size_t shares[XSR_WORKERS_MAX], const size_t counts[XSR_WORKERS_MAX], uint64_t spread, size_t n)
{
	size_t each = n / __builtin_popcountll(spread), rest = n % __builtin_popcountll(spread);
	uint64_t left = spread, i;

	for (; left; left &= left - 1)
		shares[__builtin_ctzll(left)] = each;
	for (left = spread; rest; rest--) {
		int most = __builtin_ctzll(left);

		for (i = left; i; i &= i - 1)
			if (counts[__builtin_ctzll(i)] > counts[most])
				most = __builtin_ctzll(i);
		shares[most]++;
		left &= ~(1ULL << most);
	}
}

/* The next worker from `at` on that has less than its share. */
static int taker_find(const size_t shares[], const size_t counts[], int at)
{
	while (at < XSR_WORKERS_MAX && counts[at] >= shares[at])
		at++;
	return at;
}

void wishes_even(struct wishes *w, uint64_t spread)
{
	size_t counts[XSR_WORKERS_MAX] = {}, shares[XSR_WORKERS_MAX] = {}, kept = 0, i;
	int taker = 0;

	for (i = 0; i < w->n; i++)
		counts[w->list[i].worker % XSR_WORKERS_MAX]++;
	shares_give(shares, counts, spread, w->n);
	for (i = 0; i < w->n; i++) {
		struct handoff_wish wish = w->list[i];

		if (counts[wish.worker % XSR_WORKERS_MAX] <= shares[wish.worker % XSR_WORKERS_MAX])
			continue;
		taker = taker_find(shares, counts, taker);
		if (taker == XSR_WORKERS_MAX)
			break;
		counts[wish.worker % XSR_WORKERS_MAX]--;
		counts[taker]++;
		wish.worker = taker;
		w->list[kept++] = wish;
	}
	w->n = kept;
}
