/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Handoffs, in schedules: at the end of each everything has to add up, each message served once, in order, by the state that was
 * there before.
 */
#include "schedule.h"

#define SCHEDULES 1040

/* One session, some of them, one back and forth, all of them to one worker, all of them anywhere. */
static void mover_turn(struct run *r)
{
	const struct world_params *p = &r->world.p;
	struct chance *c = &r->chance;
	const struct moves *m = &r->control.moves;
	unsigned int kind = chance_below(c, 100), one = chance_below(c, p->n_workers);
	uint32_t session = chance_below(c, p->n_sessions);
	size_t i, n = kind < 40 ? 1 : kind < 65 ? chance_below(c, 8) : kind < 85 ? chance_from(c, 2, 4) : p->n_sessions;
	uint32_t *sessions = calloc(n ?: 1, sizeof(*sessions));
	uint16_t *workers = calloc(n ?: 1, sizeof(*workers));

	for (i = 0; i < n; i++) {
		sessions[i] = n == p->n_sessions ? i : kind < 65 ? chance_below(c, p->n_sessions) : session;
		workers[i] = kind >= 93 ? one : chance_below(c, p->n_workers);
		if (chance_below(c, 500) == 0)
			workers[i] = p->n_workers; /* there is none */
	}
	if (m->n_requests - m->n_ended < r->requests_max)
		moves_ask(&r->control.moves, sessions, workers, n);
	free(sessions);
	free(workers);
}

static uint64_t n_moved; /* by all schedules of a kind */

static void all_adds_up(struct run *r)
{
	const struct balance balance = {
		.world = &r->world,
		.moves = &r->control.moves,
		.overflows = r->kind->overflow,
		.refuses = r->kind->refuses,
		.crowded = r->kind->crowded,
	};

	balance_check(&balance);
	n_moved += r->control.moves.sum.n_moved;
}

#define KIND .move = mover_turn, .check = all_adds_up

static const struct kind kinds[] = {
	{ KIND, .name = "flow", .sessions_max = 24, .steps = 3000 },
	{ KIND, .name = "slow", .sessions_max = 12, .steps = 3000, .slow = true },
	{ KIND, .name = "overflow", .sessions_max = 12, .steps = 3000, .overflow = true },
	{ KIND, .name = "full", .sessions_max = 24, .steps = 3000, .crowded = true },
	{ KIND, .name = "refuse", .sessions_max = 12, .steps = 3000, .refuses = true },
	{ KIND, .name = "hang", .sessions_max = 12, .steps = 4000, .hang = 20 },
	{ KIND, .name = "hang long", .sessions_max = 12, .steps = 3000, .hang = 20, .hangs_long = true },
	{ KIND, .name = "many", .sessions_max = 1000, .steps = 3000 },
};

static void kind_run(unsigned int kind)
{
	n_moved = 0;
	schedules_run(kinds, sizeof(kinds) / sizeof(kinds[0]), kind, SCHEDULES);
	if (!getenv("XSR_SCHEDULES"))
		assert_in_range(n_moved, SCHEDULES, UINT32_MAX); /* else nothing was tested */
}

static void moved_sessions_lose_nothing(void **state)
{
	(void)state;
	kind_run(0);
}

static void slow_workers_keep_the_order(void **state)
{
	(void)state;
	kind_run(1);
}

static void holds_that_overflow_lose_what_is_counted_and_no_more(void **state)
{
	(void)state;
	kind_run(2);
}

static void full_table_refuses_a_session_and_leaves_it_where_it_was(void **state)
{
	(void)state;
	kind_run(3);
}

static void state_that_the_handler_refuses_is_counted(void **state)
{
	(void)state;
	kind_run(4);
}

static void workers_that_hang_for_less_than_the_fence_lose_nothing(void **state)
{
	(void)state;
	kind_run(5);
}

static void workers_that_hang_for_longer_lose_states_that_are_counted(void **state)
{
	(void)state;
	kind_run(6);
}

static void many_sessions_move_at_once(void **state)
{
	(void)state;
	kind_run(7);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(moved_sessions_lose_nothing),
		cmocka_unit_test(slow_workers_keep_the_order),
		cmocka_unit_test(holds_that_overflow_lose_what_is_counted_and_no_more),
		cmocka_unit_test(full_table_refuses_a_session_and_leaves_it_where_it_was),
		cmocka_unit_test(state_that_the_handler_refuses_is_counted),
		cmocka_unit_test(workers_that_hang_for_less_than_the_fence_lose_nothing),
		cmocka_unit_test(workers_that_hang_for_longer_lose_states_that_are_counted),
		cmocka_unit_test(many_sessions_move_at_once),
	};

	schedules_watch();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
