/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* post.h: mail between threads, and nobody sleeps while there is some; also built with the thread sanitizer. */
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <time.h>
#include <unistd.h>
#include <cmocka.h>

#include "post.h"

#define NS_PER_S 1000000000ULL
#define A 3
#define B POST_CONTROL

/* Two posts with a ring each way. */
struct pair {
	struct post a, b;
	struct ring *to_a, *to_b;
};

static void pair_open(struct pair *pair)
{
	struct mail_join a_sees_b, b_sees_a;

	assert_int_equal(post_open(&pair->a, A), 0);
	assert_int_equal(post_open(&pair->b, B), 0);
	pair->to_a = ring_open(POST_SLOTS, MAIL_LEN);
	pair->to_b = ring_open(POST_SLOTS, MAIL_LEN);
	a_sees_b = (struct mail_join){ .in = pair->to_a, .out = pair->to_b, .peer = &pair->b };
	b_sees_a = (struct mail_join){ .in = pair->to_b, .out = pair->to_a, .peer = &pair->a };
	post_join(&pair->a, B, &a_sees_b);
	post_join(&pair->b, A, &b_sees_a);
}

static void pair_close(struct pair *pair)
{
	ring_close(pair->to_a);
	ring_close(pair->to_b);
	post_close(&pair->a);
	post_close(&pair->b);
}

static bool fd_is_readable(int fd, int timeout_ms)
{
	struct pollfd pollfd = { .fd = fd, .events = POLLIN };

	return poll(&pollfd, 1, timeout_ms) == 1;
}

static bool mail_with_id(struct pair *pair, uint64_t id)
{
	const struct mail mail = { .type = MAIL_LIST, .id = id };

	return post_mail(&pair->a, B, &mail);
}

static void mail_expect(struct pair *pair, uint64_t id)
{
	const struct mail *mail = post_next(&pair->b, A);

	assert_non_null(mail);
	assert_int_equal(mail->id, id);
	assert_int_equal(mail->n_slots, 1);
	post_done(&pair->b, A);
}

/* --- who knows whom --- */

static void joined_posts_reach_each_other_and_nobody_else(void **state)
{
	struct pair pair;
	unsigned int i;

	(void)state;
	pair_open(&pair);
	assert_int_equal(pair.b.known, 1ULL << A);
	assert_int_equal(pair.a.known, 0); /* control is no worker */
	for (i = 0; i < POST_MAX; i++) {
		assert_int_equal(post_has_room(&pair.a, i, 1), i == B);
		assert_int_equal(post_has_room(&pair.b, i, POST_SLOTS), i == A);
		assert_null(post_next(&pair.a, i));
	}
	assert_null(post_begin(&pair.a, A, 1));
	pair_close(&pair);
}

static void parted_posts_have_neither_mail_nor_room(void **state)
{
	const struct mail mail = {};
	struct pair pair;

	(void)state;
	pair_open(&pair);
	assert_true(mail_with_id(&pair, 1));
	post_part(&pair.b, A);
	assert_int_equal(pair.b.known, 0);
	assert_null(post_next(&pair.b, A));
	assert_false(post_has_room(&pair.b, A, 1));
	assert_null(post_begin(&pair.b, A, 1));
	assert_false(post_mail(&pair.b, A, &mail));
	post_done(&pair.b, A);
	pair_close(&pair);
}

static void mail_that_says_part_can_be_done_with_after_parting(void **state)
{
	const struct mail part = { .type = MAIL_PART, .worker = A };
	struct pair pair;

	(void)state;
	pair_open(&pair);
	assert_true(post_mail(&pair.a, B, &part));
	assert_int_equal(post_next(&pair.b, A)->type, MAIL_PART);
	post_part(&pair.b, A);
	post_done(&pair.b, A);
	pair_close(&pair);
}

/* --- records --- */

static void mails_come_in_order_and_whole(void **state)
{
	const struct mail sent = { .type = MAIL_GIVE, .result = 1, .worker = 2, .generation = 3, .count = 4,
				   .service = 5, .n_slots = 99, .id = 6, .token = 7, .room = { 8, [MAIL_ROOM - 1] = 9 } };
	struct mail expected = sent;
	struct pair pair;

	(void)state;
	pair_open(&pair);
	assert_true(mail_with_id(&pair, 1));
	assert_true(post_mail(&pair.a, B, &sent));
	assert_true(mail_with_id(&pair, 2));
	mail_expect(&pair, 1);
	expected.n_slots = 1;
	assert_memory_equal(post_next(&pair.b, A), &expected, sizeof(expected));
	post_done(&pair.b, A);
	mail_expect(&pair, 2);
	assert_null(post_next(&pair.b, A));
	pair_close(&pair);
}

static void full_ring_takes_no_mail_until_one_is_done(void **state)
{
	struct pair pair;
	uint64_t id;

	(void)state;
	pair_open(&pair);
	for (id = 0; id < POST_SLOTS; id++)
		assert_true(mail_with_id(&pair, id));
	assert_false(mail_with_id(&pair, id));
	assert_false(post_has_room(&pair.a, B, 1));
	mail_expect(&pair, 0);
	assert_true(post_has_room(&pair.a, B, 1));
	assert_false(post_has_room(&pair.a, B, 2));
	assert_true(mail_with_id(&pair, id));
	for (id = 1; id <= POST_SLOTS; id++)
		mail_expect(&pair, id);
	assert_null(post_next(&pair.b, A));
	pair_close(&pair);
}

static void record_send(struct pair *pair, uint32_t n, uint8_t fill)
{
	struct mail *mail = post_begin(&pair->a, B, n);
	uint32_t i;

	assert_non_null(mail);
	assert_ptr_equal(post_slot(&pair->a, B, 0), mail);
	assert_int_equal(mail->n_slots, n);
	assert_int_equal(mail->type | mail->id | mail->room[0] | mail->room[MAIL_ROOM - 1], 0);
	mail->id = fill;
	memset(mail->room, fill, sizeof(mail->room));
	for (i = 1; i < n; i++)
		memset(post_slot(&pair->a, B, i), fill + i, MAIL_LEN);
	assert_null(post_next(&pair->b, A));
	post_send(&pair->a, B);
}

static bool bytes_are(const void *bytes, size_t len, uint8_t value)
{
	const uint8_t *at = bytes;

	while (len && at[len - 1] == value)
		len--;
	return len == 0;
}

static void record_expect(struct pair *pair, uint32_t n, uint8_t fill)
{
	const struct mail *mail = post_next(&pair->b, A);
	uint32_t i;

	assert_non_null(mail);
	assert_int_equal(mail->n_slots, n);
	assert_int_equal(mail->id, fill);
	assert_true(bytes_are(mail->room, MAIL_ROOM, fill));
	for (i = 1; i < n; i++)
		assert_true(bytes_are(post_more(&pair->b, A, i), MAIL_LEN, fill + i));
	post_done(&pair->b, A);
}

static void record_of_several_slots_is_one_mail(void **state)
{
	struct pair pair;
	uint32_t n, round = 0;

	(void)state;
	pair_open(&pair);
	for (n = 1; n <= POST_SLOTS; n = n * 2 + 1) {
		record_send(&pair, n, ++round);
		record_expect(&pair, n, round);
		assert_null(post_next(&pair.b, A));
	}
	record_send(&pair, POST_SLOTS, 77);
	assert_false(mail_with_id(&pair, 1));
	record_expect(&pair, POST_SLOTS, 77);
	assert_true(mail_with_id(&pair, 1));
	mail_expect(&pair, 1);
	pair_close(&pair);
}

static void record_that_does_not_fit_is_not_begun(void **state)
{
	struct pair pair;

	(void)state;
	pair_open(&pair);
	record_send(&pair, POST_SLOTS - 3, 1);
	assert_false(post_has_room(&pair.a, B, 4));
	assert_null(post_begin(&pair.a, B, 4));
	assert_null(post_begin(&pair.a, B, POST_SLOTS + 1));
	record_expect(&pair, POST_SLOTS - 3, 1);
	record_send(&pair, 4, 2);
	record_expect(&pair, 4, 2);
	assert_null(post_next(&pair.b, A));
	pair_close(&pair);
}

/* --- the bell --- */

static void bell_is_heard_once(void **state)
{
	struct pair pair;

	(void)state;
	pair_open(&pair);
	assert_false(post_rung(&pair.b));
	mail_with_id(&pair, 1);
	mail_with_id(&pair, 2);
	assert_false(post_rung(&pair.a));
	assert_true(post_rung(&pair.b));
	assert_false(post_rung(&pair.b));
	post_wake(&pair.b);
	assert_true(post_rung(&pair.b));
	pair_close(&pair);
}

static void who_is_awake_is_not_woken(void **state)
{
	struct pair pair;

	(void)state;
	pair_open(&pair);
	mail_with_id(&pair, 1);
	post_wake(&pair.b);
	assert_false(fd_is_readable(pair.b.fd, 0));
	post_sleep(&pair.b);
	post_awake(&pair.b);
	mail_with_id(&pair, 2);
	assert_false(fd_is_readable(pair.b.fd, 0));
	pair_close(&pair);
}

static void who_sleeps_is_woken_once(void **state)
{
	struct pair pair;
	uint64_t events;

	(void)state;
	pair_open(&pair);
	assert_true(post_sleep(&pair.b));
	assert_false(fd_is_readable(pair.b.fd, 0));
	mail_with_id(&pair, 1);
	mail_with_id(&pair, 2);
	assert_true(fd_is_readable(pair.b.fd, 0));
	assert_int_equal(read(pair.b.fd, &events, sizeof(events)), sizeof(events));
	assert_int_equal(events, 1);
	pair_close(&pair);
}

static void waking_up_empties_the_descriptor(void **state)
{
	struct pair pair;

	(void)state;
	pair_open(&pair);
	assert_true(post_sleep(&pair.b));
	mail_with_id(&pair, 1);
	post_awake(&pair.b);
	assert_false(fd_is_readable(pair.b.fd, 0));
	assert_true(post_rung(&pair.b)); /* the bell is another thing */
	post_awake(&pair.b);
	assert_true(post_sleep(&pair.b));
	pair_close(&pair);
}

static void who_has_mail_may_not_sleep(void **state)
{
	struct pair pair;

	(void)state;
	pair_open(&pair);
	mail_with_id(&pair, 1);
	assert_false(post_sleep(&pair.b));
	post_awake(&pair.b);
	assert_true(post_rung(&pair.b));
	assert_true(post_sleep(&pair.b));
	pair_close(&pair);
}

/* --- two threads, one of which really sleeps --- */

#define N_MAILS 30000
#define SEEN_NS NS_PER_S

struct sleeper {
	struct pair pair;
	atomic_uint n_seen; /* mails */
	unsigned int n_sleeps;
	uint64_t late_ns_max;
};

static uint64_t clock_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return ts.tv_sec * NS_PER_S + ts.tv_nsec;
}

static void spin(unsigned int n)
{
	while (n--)
		atomic_signal_fence(memory_order_seq_cst);
}

static unsigned int random_below(uint64_t *seed, unsigned int n)
{
	*seed = *seed * 6364136223846793005ULL + 1442695040888963407ULL;
	return (*seed >> 33) % n;
}

/*
 * Two mails, then a wait until both were seen: another one would wake who sleeps in spite of them. The first wakes the receiver, the
 * second comes when it looks for more, or is about to sleep again.
 */
static void *sender_main(void *arg)
{
	struct sleeper *s = arg;
	struct mail mail = {};
	uint64_t seed = 42;
	unsigned int i;

	for (i = 1; i <= N_MAILS; i++) {
		mail.id = clock_ns();
		post_mail(&s->pair.a, B, &mail);
		while (atomic_load(&s->n_seen) < i)
			if (i % 2 == 0)
				sched_yield();
		spin(random_below(&seed, i % 2 ? 1024 : 16384));
	}
	return NULL;
}

static void sleeper_read(struct sleeper *s)
{
	const struct mail *mail;

	while ((mail = post_next(&s->pair.b, A))) {
		uint64_t late_ns = clock_ns() - mail->id;

		if (late_ns > s->late_ns_max)
			s->late_ns_max = late_ns;
		post_done(&s->pair.b, A);
		atomic_fetch_add(&s->n_seen, 1);
	}
}

/* As a worker does it. Returns early when it has slept although there was mail. */
static void sleeper_run(struct sleeper *s)
{
	uint64_t seed = 43;

	while (atomic_load(&s->n_seen) < N_MAILS && s->late_ns_max < SEEN_NS) {
		if (post_rung(&s->pair.b))
			sleeper_read(s);
		spin(random_below(&seed, 1024));
		if (post_sleep(&s->pair.b)) {
			s->n_sleeps++;
			if (atomic_load(&s->n_seen) < N_MAILS && !fd_is_readable(s->pair.b.fd, SEEN_NS / 1000000))
				sleeper_read(s);
		}
		post_awake(&s->pair.b);
	}
}

static void no_wake_up_is_lost(void **state)
{
	struct sleeper s = {};
	pthread_t sender;

	(void)state;
	pair_open(&s.pair);
	assert_int_equal(pthread_create(&sender, NULL, sender_main, &s), 0);
	sleeper_run(&s);
	atomic_fetch_add(&s.n_seen, N_MAILS); /* lets the sender go in any case */
	pthread_join(sender, NULL);
	assert_in_range(s.late_ns_max, 0, SEEN_NS - 1);
	assert_in_range(s.n_sleeps, N_MAILS / 10, UINT32_MAX); /* else nothing was tested */
	pair_close(&s.pair);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(joined_posts_reach_each_other_and_nobody_else),
		cmocka_unit_test(parted_posts_have_neither_mail_nor_room),
		cmocka_unit_test(mail_that_says_part_can_be_done_with_after_parting),
		cmocka_unit_test(mails_come_in_order_and_whole),
		cmocka_unit_test(full_ring_takes_no_mail_until_one_is_done),
		cmocka_unit_test(record_of_several_slots_is_one_mail),
		cmocka_unit_test(record_that_does_not_fit_is_not_begun),
		cmocka_unit_test(bell_is_heard_once),
		cmocka_unit_test(who_is_awake_is_not_woken),
		cmocka_unit_test(who_sleeps_is_woken_once),
		cmocka_unit_test(waking_up_empties_the_descriptor),
		cmocka_unit_test(who_has_mail_may_not_sleep),
		cmocka_unit_test(no_wake_up_is_lost),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
