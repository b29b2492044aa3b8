/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The TCP client's account: what `xsr load tcp` calls answered, erred, lost, doubled, reordered, and what it must not call so
 * when connections end in between.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

#include "chance.h"
#include "request_ledger.h"

#define WINDOW 8

static struct request RING[WINDOW];
static struct request_ledger LEDGER;
static struct request_counts COUNTS;

static int setup(void **state)
{
	(void)state;
	memset(&COUNTS, 0, sizeof(COUNTS));
	request_ledger_init(&LEDGER, RING, WINDOW);
	return 0;
}

/* Whatever happens, every request is in one place. */
static int teardown(void **state)
{
	(void)state;
	return COUNTS.sent == COUNTS.answered + request_counts_errors(&COUNTS) + LEDGER.n_open ? 0 : -1;
}

static void begin(unsigned int n)
{
	struct request *request;

	while (n--) {
		request_ledger_begin(&LEDGER, &COUNTS, &request);
		request->len = LEDGER.last;
	}
}

static void answered(uint64_t seq)
{
	const struct request *request = request_ledger_answer(&LEDGER, &COUNTS, seq);

	assert_non_null(request);
	assert_int_equal(request->len, seq);
}

static void refused(uint64_t seq)
{
	assert_null(request_ledger_answer(&LEDGER, &COUNTS, seq));
}

static uint32_t erred(uint64_t seq, unsigned int code)
{
	return request_ledger_error(&LEDGER, &COUNTS, seq, code);
}

static uint64_t resent(void)
{
	const struct request *request;

	return request_ledger_resend(&LEDGER, &COUNTS, &request);
}

/* --- answers --- */

static void requests_are_numbered_from_one(void **state)
{
	struct request *request;

	(void)state;
	assert_int_equal(request_ledger_begin(&LEDGER, &COUNTS, &request), 1);
	assert_int_equal(request_ledger_begin(&LEDGER, &COUNTS, &request), 2);
	assert_int_equal(COUNTS.sent, 2);
}

static void there_are_no_more_than_the_window_takes(void **state)
{
	(void)state;
	begin(WINDOW);
	assert_false(request_ledger_has_room(&LEDGER));
	answered(1);
	assert_true(request_ledger_has_room(&LEDGER));
}

static void an_answer_out_of_turn_makes_no_room_for_others(void **state)
{
	(void)state;
	begin(WINDOW);
	answered(2);
	assert_false(request_ledger_has_room(&LEDGER));
	answered(1);
	begin(2);
	assert_false(request_ledger_has_room(&LEDGER));
}

static void answers_in_order_are_just_answers(void **state)
{
	uint64_t seq;

	(void)state;
	for (seq = 1; seq <= 3 * WINDOW; seq++) {
		begin(1);
		answered(seq);
	}
	assert_int_equal(COUNTS.answered, 3 * WINDOW);
	assert_int_equal(COUNTS.reordered + COUNTS.duplicated + COUNTS.unknown, 0);
	assert_int_equal(LEDGER.n_open, 0);
}

static void an_answer_that_overtakes_is_reordered_and_the_overtaken_is_not(void **state)
{
	(void)state;
	begin(3);
	answered(3);
	answered(1);
	answered(2);
	assert_int_equal(COUNTS.reordered, 1);
	assert_int_equal(COUNTS.answered, 3);
	assert_int_equal(LEDGER.settled, 3);
}

static void a_second_answer_is_a_duplicate(void **state)
{
	(void)state;
	begin(3);
	answered(1);
	refused(1);
	answered(3);
	refused(3);
	assert_int_equal(COUNTS.duplicated, 2);
	assert_int_equal(COUNTS.answered, 2);
}

static void an_answer_to_nothing_is_unknown(void **state)
{
	(void)state;
	begin(1);
	refused(0);
	refused(2);
	refused(UINT64_MAX);
	assert_int_equal(COUNTS.unknown, 3);
	answered(1);
}

/* --- errors --- */

static void an_error_covers_all_before_it_that_have_no_answer(void **state)
{
	(void)state;
	begin(5);
	answered(1);
	answered(3);
	assert_int_equal(erred(4, 1), 2);
	assert_int_equal(COUNTS.errors[1], 2);
	assert_int_equal(LEDGER.n_open, 1);
	answered(5);
	assert_int_equal(COUNTS.reordered, 1); /* that of 3 */
}

static void an_error_covers_nothing_that_was_not_sent(void **state)
{
	(void)state;
	begin(2);
	assert_int_equal(erred(100, 3), 2);
	begin(1);
	answered(3);
	assert_int_equal(COUNTS.errors[3], 2);
}

static void a_second_error_covers_nothing_again(void **state)
{
	(void)state;
	begin(2);
	assert_int_equal(erred(2, 1), 2);
	assert_int_equal(erred(2, 1), 0);
	assert_int_equal(erred(1, 4), 0);
	assert_int_equal(request_counts_errors(&COUNTS), 2);
}

static void an_answer_behind_an_error_that_covers_it_is_no_duplicate_but_wrong(void **state)
{
	(void)state;
	begin(4);
	answered(1);
	erred(2, 1);
	erred(3, 1);
	refused(2);
	refused(3);
	assert_int_equal(COUNTS.after_error, 2);
	refused(1);
	assert_int_equal(COUNTS.duplicated, 1);
}

static void an_error_of_an_unknown_code_counts_too(void **state)
{
	(void)state;
	begin(1);
	assert_int_equal(erred(1, 77), 1);
	assert_int_equal(COUNTS.errors[0], 1);
}

/* --- other connections --- */

static void what_the_server_has_not_got_is_sent_again_in_order(void **state)
{
	(void)state;
	begin(5);
	answered(1);
	request_ledger_resume(&LEDGER, 3);
	assert_true(request_ledger_resends(&LEDGER));
	assert_false(request_ledger_has_room(&LEDGER));
	assert_int_equal(resent(), 4);
	assert_int_equal(resent(), 5);
	assert_int_equal(resent(), 0);
	assert_true(request_ledger_has_room(&LEDGER));
	assert_int_equal(COUNTS.sent, 5);
	assert_int_equal(COUNTS.resent, 2);
	answered(2);
	answered(3);
	answered(4);
	answered(5);
	assert_int_equal(COUNTS.reordered + COUNTS.duplicated, 0);
}

static void what_is_settled_is_not_sent_to_a_server_that_forgot_it(void **state)
{
	(void)state;
	begin(5);
	answered(1);
	answered(2);
	erred(3, 1);
	request_ledger_resume(&LEDGER, 0);
	assert_int_equal(resent(), 4);
	assert_int_equal(resent(), 5);
	assert_int_equal(resent(), 0);
}

static void what_was_answered_out_of_turn_is_not_sent_again(void **state)
{
	(void)state;
	begin(5);
	answered(2);
	answered(4);
	request_ledger_resume(&LEDGER, 0);
	assert_int_equal(resent(), 1);
	assert_int_equal(resent(), 3);
	assert_int_equal(resent(), 5);
	assert_int_equal(resent(), 0);
}

static void what_is_answered_before_it_is_sent_again_stays_unsent(void **state)
{
	(void)state;
	begin(3);
	request_ledger_resume(&LEDGER, 0);
	answered(1);
	erred(2, 4);
	assert_int_equal(resent(), 3);
	assert_int_equal(resent(), 0);
}

static void a_server_that_knows_more_than_was_sent_is_believed_no_more(void **state)
{
	(void)state;
	begin(2);
	request_ledger_resume(&LEDGER, 100);
	assert_int_equal(resent(), 0);
	begin(1);
	answered(1);
	answered(2);
	answered(3);
}

static void a_session_that_is_not_new_goes_on_behind_what_was_served(void **state)
{
	struct request *request;

	(void)state;
	request_ledger_start(&LEDGER, 1000);
	refused(999);
	refused(1000);
	assert_int_equal(erred(1000, 4), 0);
	assert_int_equal(COUNTS.older, 2);
	assert_int_equal(request_ledger_begin(&LEDGER, &COUNTS, &request), 1001);
	request->len = 1001;
	answered(1001);
	assert_int_equal(COUNTS.reordered + COUNTS.unknown, 0);
}

/* --- any order of events --- */

/* What the ledger must come to, kept in the simplest way. */
struct model {
	enum { OPEN, ANSWERED, ERRED } of[4096];
	uint64_t last, answered, erred, duplicated, after_error, reordered;
};

static void model_answer(struct model *m, uint64_t seq)
{
	uint64_t i;

	if (m->of[seq] != OPEN) {
		m->duplicated += m->of[seq] == ANSWERED;
		m->after_error += m->of[seq] == ERRED;
		return;
	}
	for (i = 1; i < seq && m->of[i] != OPEN; i++)
		;
	m->reordered += i < seq;
	m->of[seq] = ANSWERED;
	m->answered++;
}

static void model_error(struct model *m, uint64_t seq)
{
	uint64_t i;

	for (i = 1; i <= seq && i <= m->last; i++)
		if (m->of[i] == OPEN) {
			m->of[i] = ERRED;
			m->erred++;
		}
}

static void model_compare(const struct model *m)
{
	assert_int_equal(COUNTS.sent, m->last);
	assert_int_equal(COUNTS.answered, m->answered);
	assert_int_equal(request_counts_errors(&COUNTS), m->erred);
	assert_int_equal(COUNTS.reordered, m->reordered);
	assert_int_equal(COUNTS.duplicated + COUNTS.after_error, m->duplicated + m->after_error);
	assert_int_equal(LEDGER.n_open, m->last - m->answered - m->erred);
}

/* All that is open and above the server's number, and nothing else, in order. */
static void resend_all(const struct model *m, uint64_t served)
{
	uint64_t seq;

	request_ledger_resume(&LEDGER, served);
	for (seq = served + 1; seq <= m->last; seq++)
		if (m->of[seq] == OPEN)
			assert_int_equal(resent(), seq);
	assert_int_equal(resent(), 0);
}

static void step(struct model *m, struct chance *chance)
{
	uint64_t low = m->last > WINDOW + 2 ? m->last - WINDOW - 2 : 1, seq;

	seq = m->last ? chance_from(chance, low, m->last) : 0;
	switch (chance_below(chance, 8)) {
	case 0:
		if (seq && chance_of(chance, 30)) {
			request_ledger_error(&LEDGER, &COUNTS, seq, chance_below(chance, 7));
			model_error(m, seq);
		}
		break;
	case 1:
		if (chance_of(chance, 30))
			resend_all(m, seq);
		break;
	case 2:
	case 3:
	case 4:
		if (request_ledger_has_room(&LEDGER) && m->last < 4000) {
			begin(1);
			m->last++;
		}
		break;
	default:
		if (seq) {
			request_ledger_answer(&LEDGER, &COUNTS, seq);
			model_answer(m, seq);
		}
	}
	model_compare(m);
}

static void any_order_of_events_is_counted_as_a_list_of_all_requests_would(void **state)
{
	static struct model model;
	struct chance chance;
	unsigned int i, k;

	for (i = 0; i < 50; i++) {
		setup(state);
		memset(&model, 0, sizeof(model));
		chance.state = i;
		for (k = 0; k < 2000; k++)
			step(&model, &chance);
		assert_int_equal(teardown(state), 0);
	}
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(requests_are_numbered_from_one),
		TEST(there_are_no_more_than_the_window_takes),
		TEST(an_answer_out_of_turn_makes_no_room_for_others),
		TEST(answers_in_order_are_just_answers),
		TEST(an_answer_that_overtakes_is_reordered_and_the_overtaken_is_not),
		TEST(a_second_answer_is_a_duplicate),
		TEST(an_answer_to_nothing_is_unknown),
		TEST(an_error_covers_all_before_it_that_have_no_answer),
		TEST(an_error_covers_nothing_that_was_not_sent),
		TEST(a_second_error_covers_nothing_again),
		TEST(an_answer_behind_an_error_that_covers_it_is_no_duplicate_but_wrong),
		TEST(an_error_of_an_unknown_code_counts_too),
		TEST(what_the_server_has_not_got_is_sent_again_in_order),
		TEST(what_is_settled_is_not_sent_to_a_server_that_forgot_it),
		TEST(what_was_answered_out_of_turn_is_not_sent_again),
		TEST(what_is_answered_before_it_is_sent_again_stays_unsent),
		TEST(a_server_that_knows_more_than_was_sent_is_believed_no_more),
		TEST(a_session_that_is_not_new_goes_on_behind_what_was_served),
		cmocka_unit_test(any_order_of_events_is_counted_as_a_list_of_all_requests_would),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
