/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * What the kernel does where the router does not go: programs and maps of the test's own, and the damage; beside it the router's way, without.
 * Should a kernel do no damage any more, the rule may go.
 */
#include "streams.h"
#include "sk_skb.h"

#define FRAME_LEN 100 /* of the test's own parser: all are as long */
#define N_FRAMES 10
#define TARGET 7	/* a key */
#define BULK (20u << 20)

static int map_open(void)
{
	int fd = bpf_map_create(BPF_MAP_TYPE_SOCKHASH, "test", sizeof(uint32_t), sizeof(uint64_t), 8, NULL);

	assert_true(fd >= 0);
	return fd;
}

static void map_put(int map, uint32_t key, int socket)
{
	uint64_t value = socket;

	assert_int_equal(bpf_map_update_elem(map, &key, &value, BPF_NOEXIST), 0);
}

static void map_take(int map, uint32_t key)
{
	assert_int_equal(bpf_map_delete_elem(map, &key), 0);
}

/* Bytes that can be read within so many ms. */
static size_t arrives(int fd, size_t len, int ms)
{
	static char buf[1 << 18];
	uint64_t end = now_ms() + ms;
	size_t sum = 0;
	ssize_t n;

	while (sum < len && now_ms() < end) {
		struct pollfd p = { .fd = fd, .events = POLLIN };

		poll(&p, 1, 5);
		n = recv(fd, buf, sizeof(buf), MSG_DONTWAIT);
		sum += n > 0 ? n : 0;
	}
	return sum;
}

static void ends_close(struct ends *e)
{
	close(e->near);
	close(e->far);
}

static void a_socket_has_one_key_in_a_map_with_programs(void **state)
{
	struct ends e = ends_connect();
	int map = map_open();
	uint32_t key = TARGET + 1;
	uint64_t value = e.near;

	(void)state;
	skb_attach(skb_load_constant(BPF_SK_SKB_STREAM_VERDICT, SK_DROP), map, BPF_SK_SKB_STREAM_VERDICT);
	map_put(map, TARGET, e.near);
	assert_int_equal(bpf_map_update_elem(map, &key, &value, BPF_NOEXIST), -EBUSY);
	ends_close(&e);
	close(map);
}

/* --- SK_PASS where there is a parser --- */

static int passing_open(void)
{
	int map = map_open();

	skb_attach(skb_load_constant(BPF_SK_SKB_STREAM_PARSER, FRAME_LEN), map, BPF_SK_SKB_STREAM_PARSER);
	skb_attach(skb_load_constant(BPF_SK_SKB_STREAM_VERDICT, SK_PASS), map, BPF_SK_SKB_STREAM_VERDICT);
	return map;
}

static void frames_that_are_passed_are_lost_with_the_key(void **state)
{
	static const char frames[N_FRAMES * FRAME_LEN];
	struct ends e = ends_connect();
	int map = passing_open();

	(void)state;
	map_put(map, TARGET, e.near);
	assert_int_equal(write_all(e.far, frames, sizeof(frames)), 0);
	assert_int_equal(arrives(e.near, sizeof(frames), 1000), sizeof(frames));
	assert_int_equal(write_all(e.far, frames, sizeof(frames)), 0);
	usleep(20000);
	map_take(map, TARGET);
	assert_true(arrives(e.near, sizeof(frames), 100) < sizeof(frames));
	ends_close(&e);
	close(map);
}

/* --- a source whose key is deleted --- */

static void half_a_frame_is_lost_with_the_key(void **state)
{
	static const char frame[FRAME_LEN];
	struct ends e = ends_connect();
	int map = passing_open();

	(void)state;
	map_put(map, TARGET, e.near);
	assert_int_equal(write_all(e.far, frame, FRAME_LEN / 2), 0);
	usleep(20000);
	map_take(map, TARGET);
	assert_int_equal(write_all(e.far, frame, FRAME_LEN / 2), 0);
	assert_true(arrives(e.near, FRAME_LEN, 100) < FRAME_LEN); /* and nobody is told: see test_sockmap_rows for the router's way */
	assert_int_equal(arrives(e.far, 1, 20), 0);
	ends_close(&e);
	close(map);
}

/* --- a target whose key is deleted, and one that is redirected to for reading --- */

struct way {
	int targets, sources;
	struct ends from, to;
	struct sender sender;
};

static void way_open(struct way *w, int flags, uint64_t n_bytes)
{
	pattern_fill();
	*w = (struct way){ .targets = map_open(), .sources = map_open(), .from = ends_connect(), .to = ends_connect() };
	skb_attach(skb_load_redirect(w->targets, TARGET, flags, 0), w->sources, BPF_SK_SKB_STREAM_VERDICT);
	map_put(w->targets, TARGET, w->to.near);
	map_put(w->sources, 0, w->from.near);
	w->sender = (struct sender){ .fd = w->from.far, .seed = 1, .first_id = 1, .n_ids = 1, .n_bytes = n_bytes, .payload_max = 60000 };
	sender_start(&w->sender);
}

static void way_close(struct way *w)
{
	w->sender.stop = true;
	ends_close(&w->to);
	close(w->from.near);
	pthread_join(w->sender.thread, NULL);
	close(w->from.far);
	close(w->targets);
	close(w->sources);
}

static void sender_wait(struct sender *s)
{
	uint64_t end = now_ms() + 2000;

	while (!s->ended && now_ms() < end)
		usleep(1000);
	assert_true(s->ended);
	usleep(50000);
}

static size_t arrives_at_target(bool unmapped)
{
	struct way w;
	size_t sum;

	way_open(&w, 0, BULK);
	sender_wait(&w.sender);
	if (unmapped)
		map_take(w.targets, TARGET);
	sum = arrives(w.to.far, w.sender.sent_bytes, 2000);
	assert_int_equal(sum == w.sender.sent_bytes, !unmapped);
	way_close(&w);
	return sum;
}

/* frames_before_close() of test_sockmap_rows is the router's way. */
static void what_waits_for_a_target_is_lost_with_the_key(void **state)
{
	(void)state;
	print_message("%zu bytes with the key, %zu without\n", arrives_at_target(false), arrives_at_target(true));
}

/* Bytes in half a second, of which the reader sleeps through the first tenth. */
static size_t bytes_redirected(int flags)
{
	struct way w;
	size_t sum;

	way_open(&w, flags, 1ULL << 40);
	usleep(100000);
	sum = arrives(flags ? w.to.near : w.to.far, 1ULL << 40, 400);
	way_close(&w);
	return sum;
}

static void what_is_redirected_for_reading_collapses(void **state)
{
	size_t egress = 0, ingress = 0;
	int i;

	(void)state;
	for (i = 0; i < 5 && egress <= 2 * ingress; i++) { /* others on the machine may take all of the time */
		egress = bytes_redirected(0);
		ingress = bytes_redirected(BPF_F_INGRESS);
		print_message("%zu bytes to be sent, %zu to be read\n", egress, ingress);
	}
	assert_true(egress > 2 * ingress);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_socket_has_one_key_in_a_map_with_programs),
		cmocka_unit_test(frames_that_are_passed_are_lost_with_the_key),
		cmocka_unit_test(half_a_frame_is_lost_with_the_key),
		cmocka_unit_test(what_waits_for_a_target_is_lost_with_the_key),
		cmocka_unit_test(what_is_redirected_for_reading_collapses),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
