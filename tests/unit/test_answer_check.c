/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The checking client's judgement: what `xsr load` calls lost, doubled, reordered, misrouted, or a lost state, and what
 * it must not call so. Answers are given to it in the order in which they arrive.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <cmocka.h>

#include "answer_check.h"
#include "move_watch.h"
#include "owner_check.h"
#include "source_order.h"
#include "window.h"

#define MS 1000000ULL
#define S (1000 * MS)

/* --- answers --- */

#define N_SESSIONS 3
#define N_MESSAGES 300

struct client {
	struct source_order *order;
	struct answer_check *check;
};

static struct client client_open(uint32_t n_sources, uint32_t n_sockets)
{
	struct client c;

	assert_int_equal(source_order_open(&c.order, N_SESSIONS, n_sources, n_sockets), 0);
	assert_int_equal(answer_check_open(&c.check, N_SESSIONS, N_MESSAGES, c.order), 0);
	return c;
}

static void client_close(struct client *c)
{
	answer_check_close(c->check);
	source_order_close(c->order);
}

static void client_roam(struct client *c, uint64_t index)
{
	assert_int_equal(source_order_reserve(c->order), 0);
	source_order_roamed(c->order, index);
}

/* An answer to a message of session 1, with the session's number for it. */
struct pong {
	uint64_t seq, served;
};

/* All sessions have sent n messages. */
static void sent(struct client *c, uint64_t n)
{
	answer_check_sent(c->check, n * N_SESSIONS);
}

static void answered(struct client *c, const struct pong *pongs, size_t n)
{
	size_t i;

	for (i = 0; i < n; i++)
		answer_check_note(c->check, 1, pongs[i].seq, pongs[i].served);
}

/* What session 1's answers come to, over n_sources of as many sockets, if it sent n messages before the first came. */
static struct answer_counts counts_of(uint32_t n_sources, uint64_t n, const struct pong *pongs, size_t n_pongs)
{
	struct client c = client_open(n_sources, n_sources);
	struct answer_counts counts;

	sent(&c, n);
	answered(&c, pongs, n_pongs);
	answer_check_finish(c.check);
	counts = *answer_check_counts(c.check);
	client_close(&c);
	return counts;
}

#define PONGS(...)                                                                                                     \
	(const struct pong[]){ __VA_ARGS__ }, sizeof((const struct pong[]){ __VA_ARGS__ }) / sizeof(struct pong)

static void assert_counts(struct answer_counts c, uint64_t received, uint64_t duplicated, uint64_t reordered,
			  uint64_t state_lost)
{
	assert_int_equal(c.received, received);
	assert_int_equal(c.duplicated, duplicated);
	assert_int_equal(c.reordered, reordered);
	assert_int_equal(c.state_lost, state_lost);
	assert_int_equal(c.unknown, 0);
}

static void answers_in_order_are_clean(void **state)
{
	(void)state;
	assert_counts(counts_of(1, 4, PONGS({ 1, 1 }, { 2, 2 }, { 3, 3 }, { 4, 4 })), 4, 0, 0, 0);
}

static void answers_that_crossed_on_their_way_back_are_clean(void **state)
{
	(void)state;
	assert_counts(counts_of(1, 5, PONGS({ 3, 3 }, { 5, 5 }, { 1, 1 }, { 4, 4 }, { 2, 2 })), 5, 0, 0, 0);
}

static void each_message_served_out_of_order_counts_once(void **state)
{
	(void)state;
	/* 2 and 3 were served after 4. */
	assert_counts(counts_of(1, 5, PONGS({ 1, 1 }, { 4, 2 }, { 2, 3 }, { 3, 4 }, { 5, 5 })), 5, 0, 2, 0);
	/* The same, and the answers crossed. */
	assert_counts(counts_of(1, 5, PONGS({ 5, 5 }, { 3, 4 }, { 2, 3 }, { 4, 2 }, { 1, 1 })), 5, 0, 2, 0);
	/* 1 is served last. */
	assert_counts(counts_of(1, 4, PONGS({ 2, 1 }, { 3, 2 }, { 4, 3 }, { 1, 4 })), 4, 0, 1, 0);
}

static void the_order_is_told_while_it_runs(void **state)
{
	struct client c = client_open(1, 1);

	(void)state;
	sent(&c, 4);
	answered(&c, PONGS({ 1, 1 }, { 4, 4 }, { 3, 2 }));
	assert_int_equal(answer_check_counts(c.check)->reordered, 0);
	assert_int_equal(answer_check_settled(c.check, 1), 3);
	answered(&c, PONGS({ 2, 3 }));
	assert_int_equal(answer_check_counts(c.check)->reordered, 1);
	assert_int_equal(answer_check_settled(c.check, 1), 5);
	client_close(&c);
}

static void messages_of_two_sources_may_overtake_each_other(void **state)
{
	(void)state;
	/* Odd ones by one socket, even ones by the other. */
	assert_counts(counts_of(2, 6, PONGS({ 2, 1 }, { 4, 2 }, { 6, 3 }, { 1, 4 }, { 3, 5 }, { 5, 6 })), 6, 0, 0, 0);
	assert_counts(counts_of(2, 4, PONGS({ 3, 1 }, { 2, 2 }, { 1, 3 }, { 4, 4 })), 4, 0, 1, 0);
}

static void sessions_do_not_disturb_each_other(void **state)
{
	struct client c = client_open(1, 1);
	uint64_t seq;
	uint32_t session;

	(void)state;
	sent(&c, 20);
	for (seq = 20; seq > 0; seq--)
		for (session = 0; session < N_SESSIONS; session++)
			assert_true(answer_check_note(c.check, session, seq, 1000 * session + seq));
	answer_check_finish(c.check);
	assert_counts(*answer_check_counts(c.check), 60, 0, 0, 0);
	client_close(&c);
}

static void a_session_may_have_had_messages_before(void **state)
{
	(void)state;
	assert_counts(counts_of(1, 4, PONGS({ 1, 501 }, { 2, 502 }, { 3, 503 }, { 4, 504 })), 4, 0, 0, 0);
	assert_counts(counts_of(1, 4, PONGS({ 4, 504 }, { 2, 502 }, { 1, 501 }, { 3, 503 })), 4, 0, 0, 0);
	assert_counts(counts_of(1, 4, PONGS({ 4, 501 }, { 1, 502 }, { 2, 503 }, { 3, 504 })), 4, 0, 3, 0);
	assert_counts(counts_of(1, 2, PONGS({ 2, UINT64_MAX - 1 }, { 1, UINT64_MAX - 2 })), 2, 0, 0, 0);
}

/* The first answer does not have the lowest number: what was judged is judged again. */
static void a_lower_number_that_comes_late_is_judged_with_the_others(void **state)
{
	(void)state;
	assert_counts(counts_of(1, 4, PONGS({ 3, 12 }, { 2, 13 }, { 4, 11 }, { 1, 10 })), 4, 0, 2, 0);
	assert_counts(counts_of(1, 4, PONGS({ 3, 12 }, { 2, 13 }, { 1, 10 }, { 4, 11 })), 4, 0, 2, 0);
}

static void a_counter_that_begins_again_is_a_lost_state(void **state)
{
	struct client c = client_open(1, 1);

	(void)state;
	assert_counts(counts_of(1, 6, PONGS({ 1, 1 }, { 2, 2 }, { 3, 3 }, { 4, 1 }, { 5, 2 }, { 6, 3 })), 6, 0, 0, 1);

	/* It had messages before: no number is used twice. */
	sent(&c, 2);
	answered(&c, PONGS({ 1, 51 }, { 2, 52 }));
	sent(&c, 5);
	answered(&c, PONGS({ 3, 1 }, { 4, 2 }, { 5, 3 }));
	answer_check_finish(c.check);
	assert_counts(*answer_check_counts(c.check), 5, 0, 0, 1);
	client_close(&c);
}

static void a_counter_that_jumps_is_a_lost_state(void **state)
{
	(void)state;
	assert_counts(counts_of(1, 4, PONGS({ 1, 1 }, { 2, 2 }, { 3, 7 }, { 4, 8 })), 4, 0, 0, 1);
	assert_counts(counts_of(1, 4, PONGS({ 1, 1 }, { 2, 2 }, { 3, 70000 }, { 4, 70001 })), 4, 0, 0, 1);
}

static void a_number_that_was_used_twice_is_a_lost_state(void **state)
{
	(void)state;
	assert_counts(counts_of(1, 4, PONGS({ 1, 1 }, { 2, 2 }, { 3, 2 }, { 4, 3 })), 4, 0, 0, 1);
	assert_counts(counts_of(1, 4, PONGS({ 4, 3 }, { 3, 2 }, { 2, 2 }, { 1, 1 })), 4, 0, 0, 1);
}

static void a_session_loses_its_state_once(void **state)
{
	(void)state;
	assert_counts(counts_of(1, 6, PONGS({ 1, 1 }, { 2, 1 }, { 3, 1 }, { 4, 1 }, { 5, 1 }, { 6, 1 })), 6, 0, 0, 1);
}

static void a_lost_answer_is_no_lost_state(void **state)
{
	(void)state;
	/* 3 was served, its answer did not arrive. */
	assert_counts(counts_of(1, 5, PONGS({ 1, 1 }, { 2, 2 }, { 4, 4 }, { 5, 5 })), 4, 0, 0, 0);
	/* 3 was not served. */
	assert_counts(counts_of(1, 5, PONGS({ 1, 1 }, { 2, 2 }, { 4, 3 }, { 5, 4 })), 4, 0, 0, 0);
	/* One is lost, two numbers are missing. */
	assert_counts(counts_of(1, 5, PONGS({ 1, 1 }, { 2, 2 }, { 4, 5 }, { 5, 6 })), 4, 0, 0, 1);
}

static void order_is_judged_behind_a_lost_answer(void **state)
{
	(void)state;
	assert_counts(counts_of(1, 6, PONGS({ 1, 1 }, { 2, 2 }, { 5, 4 }, { 4, 5 }, { 6, 6 })), 5, 0, 1, 0);
}

static void an_answer_that_came_twice_is_doubled_and_no_lost_state(void **state)
{
	(void)state;
	assert_counts(counts_of(1, 3, PONGS({ 1, 1 }, { 2, 2 }, { 2, 2 }, { 3, 3 }, { 1, 1 })), 3, 2, 0, 0);
}

static void a_message_that_was_served_twice_is_doubled_and_no_lost_state(void **state)
{
	(void)state;
	assert_counts(counts_of(1, 3, PONGS({ 1, 1 }, { 2, 2 }, { 2, 3 }, { 3, 4 })), 3, 1, 0, 0);
}

static void one_message_in_sixteen_may_be_served_twice(void **state)
{
	struct client c = client_open(1, 1);
	uint64_t seq, served = 500;

	(void)state;
	sent(&c, N_MESSAGES / N_SESSIONS);
	for (seq = 1; seq <= N_MESSAGES / N_SESSIONS; seq++) {
		answer_check_note(c.check, 1, seq, ++served);
		if (seq % 17 == 0)
			answer_check_note(c.check, 1, seq, ++served);
	}
	answer_check_finish(c.check);
	assert_counts(*answer_check_counts(c.check), N_MESSAGES / N_SESSIONS, 5, 0, 0);
	client_close(&c);
}

static void without_numbers_the_order_is_that_of_arrival(void **state)
{
	(void)state;
	assert_counts(counts_of(1, 4, PONGS({ 1, 0 }, { 3, 0 }, { 2, 0 }, { 4, 0 })), 4, 0, 1, 0);
	assert_counts(counts_of(1, 4, PONGS({ 1, 0 }, { 2, 0 }, { 2, 0 }, { 3, 0 }, { 4, 0 })), 4, 1, 0, 0);
	assert_counts(counts_of(2, 4, PONGS({ 2, 0 }, { 4, 0 }, { 1, 0 }, { 3, 0 })), 4, 0, 0, 0);
}

static void shuffle(struct pong *pongs, size_t n, size_t distance)
{
	size_t i;

	for (i = 0; i < n; i++) {
		size_t j = i + rand() % distance;
		struct pong p = pongs[i];

		if (j >= n)
			continue;
		pongs[i] = pongs[j];
		pongs[j] = p;
	}
}

/* As it is defined: every message against every other. */
static uint64_t reordered_of(const struct pong *pongs, size_t n, uint32_t n_sources)
{
	uint64_t count = 0;
	size_t i, j;

	for (i = 0; i < n; i++) {
		for (j = 0; j < n; j++)
			if (pongs[j].seq > pongs[i].seq && pongs[j].served < pongs[i].served &&
			    pongs[j].seq % n_sources == pongs[i].seq % n_sources)
				break;
		count += j < n;
	}
	return count;
}

static void any_order_is_judged_as_it_is_defined(void **state)
{
	struct pong pongs[80];
	unsigned int round;
	size_t i;

	(void)state;
	srand(1);
	for (round = 0; round < 1000; round++) {
		uint32_t n_sources = 1 + rand() % 3;
		uint64_t reordered;

		for (i = 0; i < 80; i++)
			pongs[i] = (struct pong){ .seq = i + 1 };
		shuffle(pongs, 80, 1 + rand() % 5); /* as they are served */
		for (i = 0; i < 80; i++)
			pongs[i].served = 1000 + i;
		shuffle(pongs, 80, 1 + rand() % 10); /* as their answers arrive */
		reordered = reordered_of(pongs, 80, n_sources);
		assert_counts(counts_of(n_sources, 80, pongs, 80), 80, 0, reordered, 0);
	}
}

static void an_answer_to_what_was_not_sent_is_unknown(void **state)
{
	struct client c = client_open(1, 1);

	(void)state;
	answer_check_sent(c.check, 4); /* session 0 has sent two, the others one */
	assert_true(answer_check_note(c.check, 0, 2, 2));
	assert_false(answer_check_note(c.check, 1, 2, 2));
	assert_false(answer_check_note(c.check, 1, 0, 1));
	assert_false(answer_check_note(c.check, N_SESSIONS, 1, 1));
	assert_false(answer_check_note(c.check, UINT64_MAX, UINT64_MAX, UINT64_MAX));
	assert_int_equal(answer_check_counts(c.check)->unknown, 4);
	assert_int_equal(answer_check_counts(c.check)->received, 1);
	client_close(&c);
}

static void all_the_room_can_be_used(void **state)
{
	struct client c = client_open(1, 1);
	uint64_t i;

	(void)state;
	answer_check_sent(c.check, N_MESSAGES);
	for (i = N_MESSAGES; i-- > 0;)
		assert_true(answer_check_note(c.check, i % N_SESSIONS, i / N_SESSIONS + 1, 7000 + i / N_SESSIONS));
	answer_check_finish(c.check);
	assert_counts(*answer_check_counts(c.check), N_MESSAGES, 0, 0, 0);
	client_close(&c);
}

static void more_messages_than_32_bits_count_are_refused(void **state)
{
	struct answer_check *check;

	(void)state;
	assert_int_equal(answer_check_open(&check, 1, 1ULL << 32, NULL), -EFBIG);
	assert_true(answer_check_size(1, 1ULL << 32) > 4ULL << 32);
}

/* --- ports --- */

static void a_socket_with_a_new_port_is_another_source(void **state)
{
	struct client c = client_open(1, 1);

	(void)state;
	client_roam(&c, 2 * N_SESSIONS); /* message 3 is the first from the new port */
	sent(&c, 5);
	answered(&c, PONGS({ 1, 1 }, { 3, 2 }, { 2, 3 }, { 5, 4 }, { 4, 5 }));
	answer_check_finish(c.check);
	assert_counts(*answer_check_counts(c.check), 5, 0, 1, 0); /* 4, not 2 */
	client_close(&c);
}

static void order_within_the_old_port_is_still_judged(void **state)
{
	struct client c = client_open(1, 1);

	(void)state;
	client_roam(&c, 3 * N_SESSIONS);
	sent(&c, 5);
	answered(&c, PONGS({ 4, 1 }, { 1, 2 }, { 3, 3 }, { 2, 4 }, { 5, 5 }));
	answer_check_finish(c.check);
	assert_counts(*answer_check_counts(c.check), 5, 0, 1, 0);
	client_close(&c);
}

static void another_sockets_new_port_changes_nothing(void **state)
{
	struct client c = client_open(1, 4); /* session 1 sends by socket 1 */

	(void)state;
	client_roam(&c, 1 * N_SESSIONS); /* socket 0 */
	sent(&c, 3);
	answered(&c, PONGS({ 1, 1 }, { 3, 2 }, { 2, 3 }));
	answer_check_finish(c.check);
	assert_counts(*answer_check_counts(c.check), 3, 0, 1, 0);
	client_close(&c);
}

static void sockets_get_new_ports_in_turn(void **state)
{
	struct client c = client_open(1, 2); /* session 1 sends by socket 1 */

	(void)state;
	client_roam(&c, 1 * N_SESSIONS);
	client_roam(&c, 2 * N_SESSIONS);
	client_roam(&c, 3 * N_SESSIONS);
	sent(&c, 5);
	answered(&c, PONGS({ 3, 1 }, { 2, 2 }, { 1, 3 }, { 5, 4 }, { 4, 5 }));
	answer_check_finish(c.check);
	assert_counts(*answer_check_counts(c.check), 5, 0, 2, 0); /* 1 after 2, 4 after 5 */
	client_close(&c);
}

static void messages_go_out_by_the_sources_in_turn(void **state)
{
	struct source_order *order;
	uint32_t seq;

	(void)state;
	assert_int_equal(source_order_open(&order, N_SESSIONS, 3, 8), 0);
	for (seq = 1; seq < 10; seq++)
		assert_int_equal(source_order_socket(order, 7, seq), (7 + seq % 3) % 8);
	source_order_close(order);
}

/* --- owners --- */

struct seen {
	uint16_t generation, worker;
};

/* Of session 1 (ID 11), seen so. */
static struct owner_counts owners_of(uint32_t n_owners, const struct seen *seen, size_t n)
{
	struct owner_check *check;
	struct owner_counts counts;
	size_t i;

	assert_int_equal(owner_check_open(&check, 10, N_SESSIONS, n_owners), 0);
	for (i = 0; i < n; i++)
		owner_check_note(check, 1, seen[i].generation, seen[i].worker);
	counts = *owner_check_counts(check);
	owner_check_close(check);
	return counts;
}

#define SEEN(...)                                                                                                      \
	(const struct seen[]){ __VA_ARGS__ }, sizeof((const struct seen[]){ __VA_ARGS__ }) / sizeof(struct seen)

static void one_generation_has_one_worker(void **state)
{
	(void)state;
	assert_int_equal(owners_of(0, SEEN({ 4, 1 }, { 4, 1 }, { 5, 0 }, { 4, 1 }, { 5, 0 }, { 6, 0 })).misrouted, 0);
	assert_int_equal(owners_of(0, SEEN({ 4, 1 }, { 4, 0 }, { 4, 1 })).misrouted, 1);
	assert_int_equal(owners_of(0, SEEN({ 4, 1 }, { 5, 0 }, { 4, 0 }, { 5, 1 })).misrouted, 2);
}

static void an_older_generation_that_comes_late_is_remembered(void **state)
{
	(void)state;
	assert_int_equal(owners_of(0, SEEN({ 5, 0 }, { 4, 1 }, { 4, 0 })).misrouted, 1);
	assert_int_equal(owners_of(0, SEEN({ 7, 0 }, { 4, 1 }, { 6, 1 }, { 6, 0 })).misrouted, 1);
}

static void what_has_no_generation_may_come_from_anyone(void **state)
{
	(void)state;
	assert_int_equal(owners_of(0, SEEN({ 0, 0 }, { 0, 1 }, { 4, 1 }, { 0, 0 }, { 4, 1 })).misrouted, 0);
}

static void the_third_last_generation_is_not_judged(void **state)
{
	(void)state;
	assert_int_equal(owners_of(0, SEEN({ 4, 1 }, { 5, 0 }, { 6, 1 }, { 4, 0 })).misrouted, 0);
}

static void expected_owners_follow_id_and_generation(void **state)
{
	(void)state;
	assert_int_equal(owners_of(2, SEEN({ 1, 1 }, { 2, 0 }, { 3, 1 }, { 1, 1 })).misrouted, 0);
	assert_int_equal(owners_of(2, SEEN({ 1, 0 }, { 2, 1 }, { 0, 1 })).misrouted, 3);
}

static void changes_of_a_route_are_counted(void **state)
{
	(void)state;
	assert_int_equal(owners_of(0, SEEN({ 4, 1 }, { 5, 0 }, { 4, 1 }, { 7, 0 })).n_generations, 3);
	assert_int_equal(owners_of(0, SEEN({ 65535, 1 }, { 1, 0 }, { 65535, 1 })).n_generations, 1);
	assert_int_equal(owners_of(0, SEEN({ 0, 1 }, { 3, 0 })).n_generations, 0);
}

static void the_newest_owner_is_known(void **state)
{
	struct owner_check *check;

	(void)state;
	assert_int_equal(owner_check_open(&check, 0, N_SESSIONS, 0), 0);
	assert_int_equal(owner_check_worker(check, 2), -1);
	owner_check_note(check, 2, 0, 3); /* not stamped */
	assert_int_equal(owner_check_worker(check, 2), 3);
	owner_check_note(check, 2, 8, 1);
	owner_check_note(check, 2, 7, 2);
	assert_int_equal(owner_check_worker(check, 2), 1);
	assert_int_equal(owner_check_generation(check, 2), 8);
	assert_int_equal(owner_check_counts(check)->n_heard, 1);
	owner_check_close(check);
}

/* --- window --- */

static void a_window_has_room_for_what_is_not_under_way(void **state)
{
	struct window w = {};

	(void)state;
	assert_int_equal(window_room(&w, 8), 8);
	window_sent(&w, 8);
	assert_int_equal(window_room(&w, 8), 0);
	window_answered(&w, 3);
	assert_int_equal(window_room(&w, 8), 1);
	assert_int_equal(window_room(&w, 4), 0);
}

static void a_lost_message_makes_room_after_two_seconds(void **state)
{
	struct client c = client_open(1, 1);
	struct window w = {};
	uint64_t t;

	(void)state;
	answer_check_sent(c.check, 4);
	window_sent(&w, 4);
	answer_check_note(c.check, 0, 1, 1);
	window_answered(&w, 0);
	for (t = 10 * S; t < 12 * S; t += 10 * MS)
		window_expire(&w, c.check, t);
	assert_int_equal(window_room(&w, 4), 1);
	window_expire(&w, c.check, 12 * S);
	assert_int_equal(w.n_given_up, 3);
	assert_int_equal(window_room(&w, 4), 4);
	client_close(&c);
}

static void what_was_sent_later_is_not_given_up_with_it(void **state)
{
	struct client c = client_open(1, 1);
	struct window w = {};

	(void)state;
	answer_check_sent(c.check, 6);
	window_sent(&w, 2);
	window_expire(&w, c.check, 10 * S);
	window_sent(&w, 6);
	window_expire(&w, c.check, 11 * S);
	window_expire(&w, c.check, 12 * S);
	assert_int_equal(w.n_given_up, 2);
	window_expire(&w, c.check, 13 * S);
	assert_int_equal(w.n_given_up, 6);
	client_close(&c);
}

static void a_late_answer_does_not_make_room_again(void **state)
{
	struct client c = client_open(1, 1);
	struct window w = {};

	(void)state;
	answer_check_sent(c.check, 2);
	window_sent(&w, 2);
	window_expire(&w, c.check, 10 * S);
	window_expire(&w, c.check, 12 * S);
	assert_int_equal(window_room(&w, 2), 2);
	window_answered(&w, 1);
	assert_int_equal(window_room(&w, 2), 2);
	assert_int_equal(w.n_missing, 1);
	assert_int_equal(w.n_given_up, 2);
	client_close(&c);
}

/* --- moves --- */

static struct move_watch *watch_open(void)
{
	struct move_watch *watch;

	assert_int_equal(move_watch_open(&watch, N_SESSIONS), 0);
	return watch;
}

static void watch_answer(struct move_watch *watch, uint64_t served_ns, uint64_t number, uint64_t settled,
			 uint16_t generation)
{
	const struct move_answer answer = { served_ns, served_ns, number, settled, generation };

	move_watch_answer(watch, 1, &answer);
}

static void a_handoff_lasts_until_the_first_message_of_the_new_generation(void **state)
{
	struct move_watch *watch = watch_open();
	const struct move_results *results = move_watch_results(watch);

	(void)state;
	watch_answer(watch, 90 * MS, 1, 2, 4);
	move_watch_begin(watch, 1, 4, 100 * MS);
	watch_answer(watch, 105 * MS, 2, 3, 4);
	watch_answer(watch, 117 * MS, 3, 4, 5);
	watch_answer(watch, 119 * MS, 4, 5, 5);
	assert_int_equal(results->handoffs_ns.n, 1);
	assert_int_equal(results->handoffs_ns.max, 17 * MS);
	assert_int_equal(move_watch_recent(watch), 17 * MS);
	assert_int_equal(move_watch_recent(watch), 0);
	move_watch_close(watch);
}

static void the_first_served_counts_not_the_first_that_arrived(void **state)
{
	struct move_watch *watch = watch_open();
	const struct move_results *results = move_watch_results(watch);

	(void)state;
	move_watch_begin(watch, 1, 4, 100 * MS);
	watch_answer(watch, 119 * MS, 4, 3, 5); /* 3 is not there yet */
	assert_int_equal(results->handoffs_ns.n, 0);
	watch_answer(watch, 117 * MS, 3, 5, 5);
	assert_int_equal(results->handoffs_ns.n, 1);
	assert_int_equal(results->handoffs_ns.max, 17 * MS);
	move_watch_close(watch);
}

static void a_handoff_behind_a_lost_answer_is_counted_in_the_end(void **state)
{
	struct move_watch *watch = watch_open();
	const struct move_results *results = move_watch_results(watch);

	(void)state;
	move_watch_begin(watch, 1, 4, 100 * MS);
	watch_answer(watch, 119 * MS, 4, 3, 5);
	move_watch_finish(watch);
	move_watch_finish(watch);
	assert_int_equal(results->handoffs_ns.n, 1);
	assert_int_equal(results->handoffs_ns.max, 19 * MS);
	move_watch_close(watch);
}

static void without_numbers_the_first_that_arrived_counts(void **state)
{
	struct move_watch *watch = watch_open();

	(void)state;
	move_watch_begin(watch, 1, 4, 100 * MS);
	watch_answer(watch, 119 * MS, 0, 0, 5);
	assert_int_equal(move_watch_results(watch)->handoffs_ns.n, 1);
	move_watch_close(watch);
}

static void a_message_served_before_the_command_is_weird(void **state)
{
	struct move_watch *watch = watch_open();

	(void)state;
	move_watch_begin(watch, 1, 4, 100 * MS);
	watch_answer(watch, 99 * MS, 3, 4, 5);
	assert_int_equal(move_watch_results(watch)->handoffs_ns.n, 0);
	assert_int_equal(move_watch_results(watch)->weird, 1);
	move_watch_close(watch);
}

static void a_session_is_free_when_it_is_told_and_seen_to_be_moved(void **state)
{
	struct move_watch *watch = watch_open();

	(void)state;
	assert_true(move_watch_free(watch, 1, 100 * MS));
	move_watch_begin(watch, 1, 4, 100 * MS);
	assert_false(move_watch_free(watch, 1, 110 * MS));
	watch_answer(watch, 117 * MS, 3, 4, 5);
	assert_false(move_watch_free(watch, 1, 118 * MS));
	move_watch_end(watch, 1, true, 118 * MS);
	assert_true(move_watch_free(watch, 1, 118 * MS));

	move_watch_begin(watch, 1, 5, 200 * MS);
	move_watch_end(watch, 1, true, 220 * MS);
	assert_false(move_watch_free(watch, 1, 221 * MS));
	watch_answer(watch, 222 * MS, 4, 5, 6);
	assert_true(move_watch_free(watch, 1, 222 * MS));
	move_watch_close(watch);
}

static void a_session_that_shows_nothing_is_free_after_two_seconds(void **state)
{
	struct move_watch *watch = watch_open();

	(void)state;
	move_watch_begin(watch, 1, 4, 100 * MS);
	assert_false(move_watch_free(watch, 1, 10 * S)); /* the router has not answered */
	move_watch_end(watch, 1, true, 10 * S);
	assert_false(move_watch_free(watch, 1, 11 * S));
	assert_true(move_watch_free(watch, 1, 12 * S));
	move_watch_close(watch);
}

static void a_move_that_failed_frees_its_session(void **state)
{
	struct move_watch *watch = watch_open();

	(void)state;
	move_watch_begin(watch, 1, 4, 100 * MS);
	move_watch_end(watch, 1, false, 110 * MS);
	assert_true(move_watch_free(watch, 1, 110 * MS));
	watch_answer(watch, 117 * MS, 3, 4, 5); /* somebody else's move */
	assert_int_equal(move_watch_results(watch)->handoffs_ns.n, 0);
	move_watch_close(watch);
}

static void gaps_of_moved_sessions_are_told_apart(void **state)
{
	struct move_watch *watch = watch_open();
	const struct move_results *results = move_watch_results(watch);

	(void)state;
	watch_answer(watch, 100 * MS, 1, 2, 4);
	watch_answer(watch, 103 * MS, 2, 3, 4);
	assert_int_equal(results->gap_ns_max, 3 * MS);
	assert_int_equal(results->gap_unmoved_ns_max, 3 * MS);
	move_watch_begin(watch, 1, 4, 104 * MS);
	move_watch_end(watch, 1, true, 120 * MS);
	watch_answer(watch, 123 * MS, 3, 4, 5);
	watch_answer(watch, 127 * MS, 4, 5, 5);
	assert_int_equal(results->gap_ns_max, 20 * MS);
	assert_int_equal(results->gap_unmoved_ns_max, 4 * MS);
	move_watch_close(watch);
}

int main(void)
{
	const struct CMUnitTest answers[] = {
		cmocka_unit_test(answers_in_order_are_clean),
		cmocka_unit_test(answers_that_crossed_on_their_way_back_are_clean),
		cmocka_unit_test(each_message_served_out_of_order_counts_once),
		cmocka_unit_test(the_order_is_told_while_it_runs),
		cmocka_unit_test(messages_of_two_sources_may_overtake_each_other),
		cmocka_unit_test(sessions_do_not_disturb_each_other),
		cmocka_unit_test(a_session_may_have_had_messages_before),
		cmocka_unit_test(a_lower_number_that_comes_late_is_judged_with_the_others),
		cmocka_unit_test(a_counter_that_begins_again_is_a_lost_state),
		cmocka_unit_test(a_counter_that_jumps_is_a_lost_state),
		cmocka_unit_test(a_number_that_was_used_twice_is_a_lost_state),
		cmocka_unit_test(a_session_loses_its_state_once),
		cmocka_unit_test(a_lost_answer_is_no_lost_state),
		cmocka_unit_test(order_is_judged_behind_a_lost_answer),
		cmocka_unit_test(an_answer_that_came_twice_is_doubled_and_no_lost_state),
		cmocka_unit_test(a_message_that_was_served_twice_is_doubled_and_no_lost_state),
		cmocka_unit_test(one_message_in_sixteen_may_be_served_twice),
		cmocka_unit_test(without_numbers_the_order_is_that_of_arrival),
		cmocka_unit_test(any_order_is_judged_as_it_is_defined),
		cmocka_unit_test(an_answer_to_what_was_not_sent_is_unknown),
		cmocka_unit_test(all_the_room_can_be_used),
		cmocka_unit_test(more_messages_than_32_bits_count_are_refused),
		cmocka_unit_test(a_socket_with_a_new_port_is_another_source),
		cmocka_unit_test(order_within_the_old_port_is_still_judged),
		cmocka_unit_test(another_sockets_new_port_changes_nothing),
		cmocka_unit_test(sockets_get_new_ports_in_turn),
		cmocka_unit_test(messages_go_out_by_the_sources_in_turn),
	};
	const struct CMUnitTest owners[] = {
		cmocka_unit_test(one_generation_has_one_worker),
		cmocka_unit_test(an_older_generation_that_comes_late_is_remembered),
		cmocka_unit_test(what_has_no_generation_may_come_from_anyone),
		cmocka_unit_test(the_third_last_generation_is_not_judged),
		cmocka_unit_test(expected_owners_follow_id_and_generation),
		cmocka_unit_test(changes_of_a_route_are_counted),
		cmocka_unit_test(the_newest_owner_is_known),
	};
	const struct CMUnitTest windows[] = {
		cmocka_unit_test(a_window_has_room_for_what_is_not_under_way),
		cmocka_unit_test(a_lost_message_makes_room_after_two_seconds),
		cmocka_unit_test(what_was_sent_later_is_not_given_up_with_it),
		cmocka_unit_test(a_late_answer_does_not_make_room_again),
	};
	const struct CMUnitTest moves[] = {
		cmocka_unit_test(a_handoff_lasts_until_the_first_message_of_the_new_generation),
		cmocka_unit_test(the_first_served_counts_not_the_first_that_arrived),
		cmocka_unit_test(a_handoff_behind_a_lost_answer_is_counted_in_the_end),
		cmocka_unit_test(without_numbers_the_first_that_arrived_counts),
		cmocka_unit_test(a_message_served_before_the_command_is_weird),
		cmocka_unit_test(a_session_is_free_when_it_is_told_and_seen_to_be_moved),
		cmocka_unit_test(a_session_that_shows_nothing_is_free_after_two_seconds),
		cmocka_unit_test(a_move_that_failed_frees_its_session),
		cmocka_unit_test(gaps_of_moved_sessions_are_told_apart),
	};

	return cmocka_run_group_tests_name("answers", answers, NULL, NULL) +
	       cmocka_run_group_tests_name("owners", owners, NULL, NULL) +
	       cmocka_run_group_tests_name("window", windows, NULL, NULL) +
	       cmocka_run_group_tests_name("moves", moves, NULL, NULL);
}
