/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Frames through the kernel: every byte arrives, once, in order, at the session's connection. SOCKMAP_BYTES says how many, 1 GiB if not. */
#include "streams.h"

#define N_SOURCES 8
#define N_TARGETS 3
#define IDS_EACH 16

struct bulk {
	struct router router;
	struct sockmap_socket *clients[N_SOURCES], *links[N_TARGETS];
	int client_fds[N_SOURCES], link_fds[N_TARGETS];
	struct sender senders[N_SOURCES];
	struct receiver receivers[N_TARGETS];
	uint64_t seqs[SESSIONS_MAX];
};

static void bulk_open(struct bulk *b)
{
	int i, j;

	router_open(&b->router);
	for (i = 0; i < N_TARGETS; i++) {
		b->links[i] = router_join(&b->router, SOCKMAP_LINK, &b->link_fds[i]);
		receiver_start(&b->receivers[i], b->link_fds[i], b->seqs);
	}
	for (i = 0; i < N_SOURCES; i++) {
		b->clients[i] = router_join(&b->router, SOCKMAP_CLIENT, &b->client_fds[i]);
		for (j = 0; j < IDS_EACH; j++)
			router_flow(&b->router, i * IDS_EACH + j, b->clients[i], b->links[(i + j) % N_TARGETS]);
	}
}

static uint64_t bulk_received(const struct bulk *b)
{
	uint64_t sum = 0;
	int i;

	for (i = 0; i < N_TARGETS; i++)
		sum += b->receivers[i].bytes;
	return sum;
}

static uint64_t bulk_torn(const struct bulk *b)
{
	uint64_t sum = 0;
	int i;

	for (i = 0; i < N_TARGETS; i++)
		sum += b->receivers[i].torn + b->receivers[i].lost + b->receivers[i].again;
	return sum;
}

static void bulk_close(struct bulk *b)
{
	int i;

	router_close(&b->router);
	for (i = 0; i < N_TARGETS; i++) {
		pthread_join(b->receivers[i].thread, NULL);
		close(b->link_fds[i]);
	}
	for (i = 0; i < N_SOURCES; i++)
		close(b->client_fds[i]);
}

static void every_byte_arrives_once_and_in_order(void **state)
{
	static struct bulk b;
	const char *asked = getenv("SOCKMAP_BYTES");
	uint64_t n_bytes = asked ? strtoull(asked, NULL, 0) : getenv("XSR_VM") ? 50000000 : 1ULL << 30, sum = 0, quiet;
	struct sockmap_stats stats;
	uint64_t start, last = 0;
	int i;

	(void)state;
	bulk_open(&b);
	start = now_ms();
	for (i = 0; i < N_SOURCES; i++) {
		b.senders[i] = (struct sender){ .fd = b.client_fds[i], .seed = i + 1, .first_id = i * IDS_EACH, .n_ids = IDS_EACH,
						.n_bytes = n_bytes / N_SOURCES, .payload_max = FRAME_MAX - 20, .cut_max = 100000 };
		sender_start(&b.senders[i]);
	}
	for (quiet = now_ms(); now_ms() - quiet < 3000 && bulk_received(&b) < n_bytes;) {
		router_turn(&b.router, 10);
		if (bulk_received(&b) != last)
			quiet = now_ms();
		last = bulk_received(&b);
	}
	router_run(&b.router, 300);
	for (i = 0; i < N_SOURCES; i++)
		sum += b.senders[i].sent_bytes;
	sockmap_stats(b.router.sm, &stats);
	print_message("%llu bytes in %llu ms, slowed %llu times, backlog up to %llu, lane %llu frames\n", (unsigned long long)bulk_received(&b),
		      (unsigned long long)(now_ms() - start), (unsigned long long)stats.slowed, (unsigned long long)stats.backlog_max,
		      (unsigned long long)stats.lane_frames);
	assert_int_equal(bulk_received(&b), sum);
	assert_int_equal(bulk_torn(&b), 0);
	for (i = 0; i < N_SOURCES; i++) {
		pthread_join(b.senders[i].thread, NULL);
		assert_int_equal(b.senders[i].error, 0);
	}
	assert_int_equal(stats.lane_frames, 0);
	bulk_close(&b);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_byte_arrives_once_and_in_order),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
