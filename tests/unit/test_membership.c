/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Workers that come and leave while sessions move, in schedules; some sessions have no route, but come by the default. Whatever the
 * set of workers, each message is served once, in order, by the state that was there before.
 */
#include "schedule.h"

#include <bpf/bpf.h>

#include "log.h"

#define SCHEDULES 400
#define CHANGES_MAX 3 /* wanted at a time */
#define DRAIN_NS (2000 * NS_PER_MS)
#define STEP_NS 10000

static unsigned int n_changes, n_changed, n_refused; /* of the run under way */

/* --- what membership.c has of the conductor, the router and the log --- */

uint64_t control_clock_ns(void)
{
	return now_ns;
}

void control_grace(struct control *control, void (*over)(void *arg), void *arg)
{
	(void)control;
	fake_grace(&under_way->control, over, arg);
}

void log_warning(const char *format, ...)
{
	if (under_way->world.ledger.strict)
		ledger_wrong(&under_way->world.ledger, "a warning: %s", format);
}

/* No table is known to the kernel here. */
int bpf_map_lookup_batch(int fd, void *in, void *out, void *keys, void *values, __u32 *count,
			 const struct bpf_map_batch_opts *opts)
{
	(void)fd, (void)in, (void)out, (void)keys, (void)values, (void)opts;
	*count = 0;
	errno = ENOENT;
	return -1;
}

static void worker_begins(struct world *w, unsigned int number)
{
	w->workers.running |= 1ULL << number;
	w->workers.serving |= 1ULL << number;
}

int router_worker_add(struct xsr_router *router, int cpu, char why[XSR_WHY_LEN])
{
	struct world *w = &under_way->world;
	unsigned int number = __builtin_ctzll(~w->workers.open);

	(void)router;
	(void)cpu;
	if (number >= w->p.n_workers) {
		snprintf(why, XSR_WHY_LEN, "there are enough");
		return -ENOSPC;
	}
	world_worker_add(w, number);
	worker_begins(w, number);
	return number;
}

/* What it counted is not to be lost when its number is used again. */
static void counters_keep(struct world *w, unsigned int number)
{
	unsigned int i;

	for (i = 0; i < XSR_WORKER_STAT_MAX; i++)
		w->past[i] += w->maps->workers[number].n[i];
	memset(w->maps->workers[number].n, 0, sizeof(w->maps->workers[number].n));
}

/* A grace period of its own: polls that had begun end. */
static void lanes_end_polls(struct run *r)
{
	struct net *net = &r->world.net;
	unsigned int i;

	for (i = 0; i < net->n_lanes; i++) {
		uint64_t n_polls = net->lanes[i].n_polls;

		while (net->lanes[i].n_polls == n_polls)
			lane_step(net, &net->lanes[i]);
	}
}

/* As worker_run() ends. */
int router_worker_end(struct xsr_router *router, unsigned int number)
{
	struct world *w = &under_way->world;
	struct xsr_worker *worker = w->workers.at[number];
	const uint64_t until_ns = now_ns + DRAIN_NS;

	(void)router;
	lanes_end_polls(under_way);
	fence_release_all(worker);
	while ((xsr_worker_poll(worker, 0) > 0 || fence_timeout_ms(worker, 1) == 0) && now_ns < until_ns)
		now_ns += STEP_NS;
	counters_keep(w, number);
	w->workers.running &= ~(1ULL << number);
	w->workers.serving &= ~(1ULL << number);
	return 0;
}

/* --- what is asked for --- */

static int control_more(struct fake_control *f)
{
	return membership_step(&f->c);
}

static void begin(struct run *r)
{
	unsigned int i;

	n_changes = n_changed = n_refused = 0;
	for (i = 0; i < r->world.p.n_owners; i++)
		worker_begins(&r->world, i);
	membership_init(&r->control.c);
	r->control.more = control_more;
}

static void end(struct run *r)
{
	membership_close(&r->control.c);
}

static void change_is_done(const struct change *change, bool failed, void *arg)
{
	struct run *r = arg;
	const struct handoff_report *report = &change->report;

	n_changed++;
	n_refused += failed;
	if (report->n != report->n_done || (r->world.ledger.strict && report->n_without_state))
		ledger_wrong(&r->world.ledger, "a change moved %zu of %zu sessions, %zu without state", report->n_done,
			     report->n, report->n_without_state);
	if (failed && change->kind == CHANGE_REBALANCE)
		ledger_wrong(&r->world.ledger, "sessions cannot be spread: %s", change->why);
}

static void change_ask(struct run *r)
{
	const struct change change = {
		.kind = chance_below(&r->chance, 4),
		.worker = chance_below(&r->chance, r->world.p.n_workers),
		.done = change_is_done,
		.arg = r,
	};

	if (n_changes - n_changed == CHANGES_MAX)
		return;
	n_changes++;
	if (membership_change(&r->control.c, &change))
		ledger_wrong(&r->world.ledger, "a change is not taken");
}

static void sessions_ask(struct run *r)
{
	const struct world_params *p = &r->world.p;
	const struct moves *m = &r->control.moves;
	uint32_t sessions[8], n = chance_from(&r->chance, 1, 8), i;
	uint16_t workers[8];

	if (m->n_requests - m->n_ended >= r->requests_max)
		return;
	for (i = 0; i < n; i++) {
		sessions[i] = chance_below(&r->chance, p->n_sessions);
		workers[i] = chance_below(&r->chance, p->n_workers);
	}
	moves_ask(&r->control.moves, sessions, workers, n);
}

static void ask(struct run *r)
{
	if (chance_of(&r->chance, 50))
		change_ask(r);
	else
		sessions_ask(r);
}

/* --- at the end --- */

static void all_adds_up(struct run *r)
{
	const struct balance balance = { .world = &r->world, .moves = &r->control.moves };
	struct world *w = &r->world;

	balance_messages(&balance);
	balance_states(&balance);
	balance_equal(w, "changes that were asked for, and those that ended", n_changes, n_changed);
	balance_equal(w, "moves that were asked for, and those that ended", r->control.moves.n_wishes,
		      r->control.moves.sum.n);
	if (!w->ledger.strict)
		return;
	balance_equal(w, "sessions taken over, and given up", world_count(w, XSR_WORKER_STAT_HANDOFFS_IN),
		      world_count(w, XSR_WORKER_STAT_HANDOFFS_OUT));
}

#define KIND .hashed = true, .begin = begin, .move = ask, .check = all_adds_up, .end = end

static const struct kind kinds[] = {
	{ KIND, .name = "flow", .sessions_max = 32, .steps = 5000 },
	{ KIND, .name = "slow", .sessions_max = 16, .steps = 5000, .slow = true },
	{ KIND, .name = "hang", .sessions_max = 16, .steps = 6000, .hang = 20 },
	{ KIND, .name = "hang long", .sessions_max = 16, .steps = 6000, .hang = 20, .hangs_long = true },
};

static void kind_run(unsigned int kind)
{
	schedules_run(kinds, sizeof(kinds) / sizeof(kinds[0]), kind, SCHEDULES);
}

static void workers_come_and_leave_and_nothing_is_lost(void **state)
{
	(void)state;
	kind_run(0);
}

static void slow_workers_come_and_leave_and_nothing_is_lost(void **state)
{
	(void)state;
	kind_run(1);
}

static void workers_that_hang_for_a_while_come_and_leave_and_nothing_is_lost(void **state)
{
	(void)state;
	kind_run(2);
}

static void workers_that_hang_for_longer_come_and_leave_and_what_is_lost_is_counted(void **state)
{
	(void)state;
	kind_run(3);
}

/* --- one change, step by step --- */

static void lanes_step(struct run *r)
{
	unsigned int i;

	for (i = 0; i < r->world.net.n_lanes; i++)
		lane_step(&r->world.net, &r->world.net.lanes[i]);
}

static bool worker_is_asked(const struct run *r, unsigned int worker, enum mail_type type)
{
	const struct mail *mail = post_next(&r->world.workers.at[worker]->post, POST_CONTROL);

	return mail && mail->type == type;
}

static void workers_poll(struct run *r)
{
	unsigned int i;

	for (i = 0; i < r->world.p.n_owners; i++)
		xsr_worker_poll(r->world.workers.at[i], 0);
}

/* A run with at least two workers. */
static void run_begin(struct run *r)
{
	uint64_t seed = 1;

	under_way = r;
	run_open(r, &kinds[0], seed);
	while (r->world.p.n_owners < 2) {
		run_close(r);
		run_open(r, &kinds[0], ++seed);
	}
}

/* Worker 0 is drained; the others hold new sessions, and are asked to settle. */
static void drain_until_settle(struct run *r)
{
	const struct change change = { .kind = CHANGE_DRAIN, .done = change_is_done, .arg = r };
	unsigned int i;

	run_begin(r);
	assert_int_equal(membership_change(&r->control.c, &change), 0);
	for (i = 0; i < 1000 && !worker_is_asked(r, 1, MAIL_SETTLE); i++) {
		workers_poll(r);
		lanes_step(r);
		fake_control_turn(&r->control, true);
	}
	assert_true(worker_is_asked(r, 1, MAIL_SETTLE));
}

static void settled_say(struct run *r, uint64_t token)
{
	const struct mail mail = { .type = MAIL_SETTLED, .token = token };
	unsigned int i;

	for (i = 0; i < r->world.p.n_owners; i++)
		membership_mail(&r->control.c, i, &mail);
	membership_step(&r->control.c);
}

static void late_answer_to_an_earlier_question_does_not_count(void **state)
{
	static struct run run;

	(void)state;
	drain_until_settle(&run);
	settled_say(&run, run.control.c.membership.n_asked - 1);
	assert_true(TAILQ_EMPTY(&run.control.c.rosters.all)); /* nobody looks for strays yet */
	assert_true(run_rest(&run));
	assert_int_equal(n_changed, 1);
	run_close(&run);
	under_way = NULL;
}

/* It hangs, and what it has not read fills its ring. */
static void worker_that_cannot_be_told_that_the_change_is_over_is_told_later(void **state)
{
	static struct run run;
	const struct mail any = { .type = MAIL_CANCEL, .service = FAKE_SERVICE };
	struct xsr_worker *worker;
	unsigned int i;

	(void)state;
	drain_until_settle(&run);
	worker = run.world.workers.at[1];
	run.world.ledger.strict = false;
	while (post_mail(&run.world.workers.control, 1, &any))
		;
	settled_say(&run, run.control.c.membership.n_asked);
	for (i = 0; i < 100 && !n_changed; i++) {
		xsr_worker_poll(run.world.workers.at[0], 0);
		fake_control_turn(&run.control, true);
		now_ns += 100 * NS_PER_MS;
	}
	assert_int_equal(n_changed, 1);
	assert_true(worker->fences.adopting);
	assert_true(run_rest(&run));
	assert_false(worker->fences.adopting);
	run_close(&run);
	under_way = NULL;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(late_answer_to_an_earlier_question_does_not_count),
		cmocka_unit_test(worker_that_cannot_be_told_that_the_change_is_over_is_told_later),
		cmocka_unit_test(workers_come_and_leave_and_nothing_is_lost),
		cmocka_unit_test(slow_workers_come_and_leave_and_nothing_is_lost),
		cmocka_unit_test(workers_that_hang_for_a_while_come_and_leave_and_nothing_is_lost),
		cmocka_unit_test(workers_that_hang_for_longer_come_and_leave_and_what_is_lost_is_counted),
	};

	schedules_watch();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
