/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Gateways of two workers under the thread sanitizer: sessions roam with their clients, which come back to whichever worker the kernel chooses,
 * often before the old connection is closed. Whose a session is, is asked and passed on between the workers all the time.
 *   XSR_SECONDS  how long they roam
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <cmocka.h>

#include "gateway_world.h"
#include "join.h"

#define SECONDS 3
#define CLIENTS 4
#define SESSIONS 8 /* of each client, one after another */

struct roamer {
	pthread_t thread;
	uint64_t first_id, n_rounds;
	uint64_t seqs[SESSIONS];
	int fds[SESSIONS]; /* the connection that a session has now; -1 = none */
	time_t until;
};

/* The new connection greets before the old one is closed, or after it. */
static void roam(struct roamer *r, unsigned int i)
{
	uint64_t id = r->first_id + i, seq = r->seqs[i];
	int before = r->fds[i];

	if (seq % 3 == 0)
		fd_close(&before);
	r->fds[i] = peer_connect(W.port);
	peer_hello(r->fds[i], id, seq);
	peer_expect_ack(r->fds[i], id, seq, XSR_HELLO_OK);
	peer_request(r->fds[i], id, seq + 1, 100);
	peer_expect(r->fds[i], XSR_FRAME_ECHO_REP, id, seq + 1);
	r->seqs[i]++;
	fd_close(&before);
}

static void *roamer_main(void *arg)
{
	struct roamer *r = arg;
	unsigned int i;

	while (time(NULL) < r->until) {
		for (i = 0; i < SESSIONS; i++)
			roam(r, i);
		r->n_rounds++;
	}
	for (i = 0; i < SESSIONS; i++)
		fd_close(&r->fds[i]);
	return NULL;
}

static void sessions_roam_over_two_workers(void **state)
{
	static struct roamer roamers[CLIENTS];
	const char *seconds = getenv("XSR_SECONDS");
	uint64_t n_rounds = 0;
	unsigned int i, j;

	(void)state;
	W.n_workers = 2;
	W.n_backends = 2;
	world_start();
	echo_start();
	for (i = 0; i < CLIENTS; i++) {
		roamers[i] = (struct roamer){ .first_id = 1 + i * SESSIONS, .until = time(NULL) + (seconds ? atoi(seconds) : SECONDS) };
		for (j = 0; j < SESSIONS; j++)
			roamers[i].fds[j] = -1;
		assert_int_equal(pthread_create(&roamers[i].thread, NULL, roamer_main, &roamers[i]), 0);
	}
	for (i = 0; i < CLIENTS; i++) {
		pthread_join(roamers[i].thread, NULL);
		n_rounds += roamers[i].n_rounds;
	}
	print_message("%llu times that a session roamed\n", (unsigned long long)n_rounds * SESSIONS);
	assert_true(n_rounds > CLIENTS);
	world_wait_stat(XSR_STREAM_STAT_CONNECTIONS, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(sessions_roam_over_two_workers, world_open, world_close),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
