/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The backend for TCP services, as those see it that ask it: over real connections to this host, a frame at a time. Its table of
 * sessions and what waits for its time, by themselves.
 */
#include <arpa/inet.h>
#include <endian.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <cmocka.h>

#include "chance.h"
#include "clock.h"
#include "exchange.h"
#include "exchange_sessions.h"
#include "exchange_waiting.h"
#include "stream_frame.h"

#define PATIENCE_NS (5 * NS_PER_S)
#define STAMP 0x1122334455667788ULL

static struct exchange_config CONFIG;
static struct exchange *EXCHANGE;

/* Who is connected to it. */
struct peer {
	int fd;
	bool has_ended;
	size_t len;
	uint8_t *in; /* what came */
};

static int setup(void **state)
{
	(void)state;
	CONFIG = (struct exchange_config){
		.backlog = 16,
		.n_sessions_max = 100,
		.n_kept = 4,
		.n_waiting_max = 64,
		.queue_max = 64 << 10,
		.memory_max = 16 << 20,
	};
	((struct sockaddr_in *)&CONFIG.address)->sin_family = AF_INET;
	((struct sockaddr_in *)&CONFIG.address)->sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	exchange_close(EXCHANGE);
	EXCHANGE = NULL;
	return 0;
}

static const struct exchange_counts *counts(void)
{
	if (!EXCHANGE) {
		char why[EXCHANGE_WHY_LEN];

		assert_int_equal(exchange_open(&EXCHANGE, &CONFIG, why), 0);
	}
	return exchange_counts(EXCHANGE);
}

static void turns(unsigned int n)
{
	while (n--)
		assert_int_equal(exchange_turn(EXCHANGE, NS_PER_MS, NULL), 0);
}

/* --- a peer --- */

static struct peer peer_open(void)
{
	struct sockaddr_in address = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	struct peer p = { .fd = socket(AF_INET, SOCK_STREAM, 0), .in = malloc(2 * STREAM_FRAME_MAX) };
	const int on = 1, rcvbuf = 64 << 10;

	counts();
	assert_int_equal(setsockopt(p.fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on)), 0);
	assert_int_equal(setsockopt(p.fd, SOL_SOCKET, SO_RCVBUF, &rcvbuf, sizeof(rcvbuf)), 0);
	address.sin_port = htons(exchange_port(EXCHANGE));
	assert_int_equal(connect(p.fd, (struct sockaddr *)&address, sizeof(address)), 0);
	return p;
}

static void peer_close(struct peer *p)
{
	close(p->fd);
	free(p->in);
	turns(3);
}

static void peer_send(struct peer *p, const void *data, size_t len)
{
	const uint8_t *at = data;
	ssize_t n;

	while (len) {
		n = send(p->fd, at, len, MSG_DONTWAIT | MSG_NOSIGNAL);
		assert_true(n > 0 || errno == EAGAIN);
		turns(1);
		at += n > 0 ? n : 0;
		len -= n > 0 ? n : 0;
	}
}

static void peer_receive(struct peer *p)
{
	ssize_t n = recv(p->fd, p->in + p->len, 2 * STREAM_FRAME_MAX - p->len, MSG_DONTWAIT);

	p->len += n > 0 ? n : 0;
	p->has_ended |= !n || (n < 0 && errno != EAGAIN);
}

static size_t first_len(const struct peer *p)
{
	return p->len < XSR_FRAME_HEADER_LEN ? SIZE_MAX : 4 + be32toh(((const struct xsr_frame *)p->in)->len);
}

/* The next frame into `to`, or NULL: none came in some turns. Returns its length. */
static size_t peer_next(struct peer *p, void *to, uint64_t patience_ns)
{
	uint64_t until_ns = clock_now_ns() + patience_ns;
	size_t len;

	do {
		turns(1);
		peer_receive(p);
		len = first_len(p);
	} while (len > p->len && !p->has_ended && clock_now_ns() < until_ns);
	if (len > p->len)
		return 0;
	memcpy(to, p->in, len);
	p->len -= len;
	memmove(p->in, p->in + len, p->len);
	return len;
}

static void expect_nothing(struct peer *p)
{
	uint8_t frame[256];

	assert_int_equal(peer_next(p, frame, 20 * NS_PER_MS), 0);
	assert_false(p->has_ended);
}

static void expect_end(struct peer *p)
{
	uint8_t frame[STREAM_SMALL_MAX];

	assert_int_equal(peer_next(p, frame, PATIENCE_NS), 0);
	assert_true(p->has_ended);
}

/* --- frames --- */

static void hello_as(struct peer *p, uint8_t role, uint64_t id, uint64_t received)
{
	uint8_t out[STREAM_SMALL_MAX];

	peer_send(p, out, stream_hello_write(out, role, id, received));
}

static void expect_ack(struct peer *p, uint8_t result, uint64_t id, uint64_t served)
{
	uint8_t in[128];
	const struct xsr_frame *header = (const struct xsr_frame *)in;
	const struct xsr_frame_hello_ack *ack = (const struct xsr_frame_hello_ack *)(header + 1);

	assert_int_equal(peer_next(p, in, PATIENCE_NS), XSR_FRAME_HEADER_LEN + sizeof(*ack));
	assert_int_equal(header->type, XSR_FRAME_HELLO_ACK);
	assert_int_equal(be64toh(header->id), id);
	assert_int_equal(be64toh(header->seq), served);
	assert_int_equal(ack->result, result);
	assert_int_equal(ack->role, XSR_ROLE_BACKEND);
	assert_int_equal(be64toh(ack->id), id);
}

static void greet(struct peer *p, uint64_t id, uint64_t received, uint64_t served)
{
	hello_as(p, XSR_ROLE_CLIENT, id, received);
	expect_ack(p, XSR_HELLO_OK, id, served);
}

/* All bytes of a request, as `xsr load` writes them. */
static uint8_t *request_make(uint8_t type, uint64_t id, uint64_t seq, size_t len)
{
	const __be64 stamp = htobe64(STAMP);
	size_t head_len = stream_head_len(type, len);
	uint8_t *frame = calloc(1, len);

	stream_header_write(frame, type, id, seq, len);
	if (head_len)
		memcpy(frame + XSR_FRAME_HEADER_LEN, &stamp, sizeof(stamp));
	memset(frame + XSR_FRAME_HEADER_LEN + head_len, seq & 0xff, len - XSR_FRAME_HEADER_LEN - head_len);
	return frame;
}

static void ask_long(struct peer *p, uint64_t id, uint64_t seq, size_t len)
{
	uint8_t *frame = request_make(XSR_FRAME_ECHO_REQ, id, seq, len);

	peer_send(p, frame, len);
	free(frame);
}

static void ask(struct peer *p, uint64_t id, uint64_t seq)
{
	ask_long(p, id, seq, 100);
}

static void expect_echo_long(struct peer *p, uint64_t id, uint64_t seq, size_t len)
{
	uint8_t *want = request_make(XSR_FRAME_ECHO_REP, id, seq, len), *in = malloc(STREAM_FRAME_MAX);

	((struct xsr_frame *)want)->flags = htobe16(XSR_FRAME_REPLY);
	assert_int_equal(peer_next(p, in, PATIENCE_NS), len);
	assert_memory_equal(in, want, len);
	free(want);
	free(in);
}

static void expect_echo(struct peer *p, uint64_t id, uint64_t seq)
{
	expect_echo_long(p, id, seq, 100);
}

static void expect_small(struct peer *p, uint8_t type, uint64_t id, uint64_t seq, uint16_t error)
{
	uint8_t in[128];
	const struct xsr_frame *header = (const struct xsr_frame *)in;

	assert_true(peer_next(p, in, PATIENCE_NS) > 0);
	assert_int_equal(header->type, type);
	assert_int_equal(be64toh(header->id), id);
	assert_int_equal(be64toh(header->seq), seq);
	if (error) {
		assert_int_equal(be16toh(((const struct xsr_frame_error *)(header + 1))->code), error);
		assert_int_equal(be16toh(header->flags), XSR_FRAME_ERR);
	}
}

static void ping(struct peer *p, uint64_t id, uint64_t seq)
{
	uint8_t out[XSR_FRAME_HEADER_LEN];

	stream_header_write(out, XSR_FRAME_HB_PING, id, seq, sizeof(out));
	peer_send(p, out, sizeof(out));
}

/* --- requests --- */

static void requests_of_every_length_come_back(void **state)
{
	static const size_t lens[] = { 24, 25, 31, 32, 33, 1000, 65535, 65536, 65537, 300000, STREAM_FRAME_MAX };
	struct peer p = peer_open();
	unsigned int i;

	(void)state;
	greet(&p, 7, 0, 0);
	for (i = 0; i < sizeof(lens) / sizeof(lens[0]); i++) {
		ask_long(&p, 7, i + 1, lens[i]);
		expect_echo_long(&p, 7, i + 1, lens[i]);
	}
	assert_int_equal(counts()->frames, i);
	assert_true(exchange_clean(counts()));
	peer_close(&p);
}

static void flags_of_a_request_come_back(void **state)
{
	uint8_t *frame = request_make(XSR_FRAME_ECHO_REQ, 7, 1, 40), in[128];
	struct peer p = peer_open();

	(void)state;
	greet(&p, 7, 0, 0);
	((struct xsr_frame *)frame)->flags = htobe16(XSR_FRAME_MEASURE | XSR_FRAME_CROSSED);
	peer_send(&p, frame, 40);
	assert_int_equal(peer_next(&p, in, PATIENCE_NS), 40);
	assert_int_equal(be16toh(((struct xsr_frame *)in)->flags), XSR_FRAME_MEASURE | XSR_FRAME_CROSSED | XSR_FRAME_REPLY);
	free(frame);
	peer_close(&p);
}

static void perf_gets_stamps_and_its_number(void **state)
{
	uint8_t *frame = request_make(XSR_FRAME_PERF_PING, 7, 1, 200), in[256];
	struct xsr_frame_perf *perf = (struct xsr_frame_perf *)(frame + XSR_FRAME_HEADER_LEN);
	const struct xsr_frame_perf *got = (const struct xsr_frame_perf *)(in + XSR_FRAME_HEADER_LEN);
	struct peer p = peer_open();
	uint64_t before_ns = clock_now_ns();

	(void)state;
	greet(&p, 7, 0, 0);
	perf->t2_ns = htobe64(5);
	peer_send(&p, frame, 200);
	assert_int_equal(peer_next(&p, in, PATIENCE_NS), 200);
	assert_int_equal(((const struct xsr_frame *)in)->type, XSR_FRAME_PERF_PONG);
	assert_int_equal(be64toh(got->t1_ns), STAMP);
	assert_int_equal(be64toh(got->t2_ns), 5);
	assert_int_equal(be64toh(got->served), 1);
	assert_true(be64toh(got->t3_ns) >= before_ns && be64toh(got->t3s_ns) >= be64toh(got->t3_ns));
	assert_memory_equal(in + XSR_FRAME_HEADER_LEN + sizeof(*got), frame + XSR_FRAME_HEADER_LEN + sizeof(*got), 96);
	free(frame);
	peer_close(&p);
}

static void a_call_comes_back_whatever_it_says(void **state)
{
	uint8_t frame[3000], in[3000];
	struct peer p = peer_open();
	struct chance chance = { .state = 1 };
	unsigned int i;

	(void)state;
	for (i = 0; i < sizeof(frame); i++)
		frame[i] = chance_next(&chance);
	stream_header_write(frame, XSR_FRAME_CALL, 7, 1, sizeof(frame));
	greet(&p, 7, 0, 0);
	peer_send(&p, frame, sizeof(frame));
	assert_int_equal(peer_next(&p, in, PATIENCE_NS), sizeof(frame));
	assert_int_equal(((struct xsr_frame *)in)->type, XSR_FRAME_REPLY_TYPE);
	assert_memory_equal(in + XSR_FRAME_HEADER_LEN, frame + XSR_FRAME_HEADER_LEN, sizeof(frame) - XSR_FRAME_HEADER_LEN);
	peer_close(&p);
}

static void a_torn_request_is_counted_and_its_sender_can_tell(void **state)
{
	uint8_t *frame = request_make(XSR_FRAME_ECHO_REQ, 7, 1, 5000);
	struct peer p = peer_open();

	(void)state;
	greet(&p, 7, 0, 0);
	frame[4999] ^= 1;
	peer_send(&p, frame, 5000);
	expect_echo_long(&p, 7, 1, XSR_FRAME_HEADER_LEN);
	assert_int_equal(counts()->torn, 1);
	assert_false(exchange_clean(counts()));
	free(frame);
	peer_close(&p);
}

static void what_comes_out_of_order_is_counted(void **state)
{
	struct peer p = peer_open();

	(void)state;
	greet(&p, 7, 0, 0);
	ask(&p, 7, 1);
	ask(&p, 7, 4);
	ask(&p, 7, 3);
	ask(&p, 7, 4);
	turns(5);
	assert_int_equal(counts()->gaps, 1);
	assert_int_equal(counts()->inversions, 2);
	assert_int_equal(counts()->again, 0);
	peer_close(&p);
}

/* --- the handshake --- */

static void a_request_without_a_hello_gets_an_error(void **state)
{
	struct peer p = peer_open();

	(void)state;
	ask(&p, 7, 3);
	expect_small(&p, XSR_FRAME_ERROR, 7, 3, XSR_ERROR_NO_HANDSHAKE);
	assert_int_equal(counts()->no_handshake, 1);
	peer_close(&p);
}

static void a_router_and_its_sessions_are_greeted(void **state)
{
	struct peer p = peer_open();

	(void)state;
	hello_as(&p, XSR_ROLE_ROUTER, 0, 0);
	expect_ack(&p, XSR_HELLO_OK, 0, 0);
	greet(&p, 7, 0, 0);
	greet(&p, 8, 0, 0);
	ask(&p, 8, 1);
	ask(&p, 7, 1);
	expect_echo(&p, 8, 1);
	expect_echo(&p, 7, 1);
	assert_int_equal(counts()->links, 1);
	assert_int_equal(counts()->sessions, 2);
	peer_close(&p);
}

static void a_hello_that_contradicts_itself_is_rejected(void **state)
{
	struct peer p = peer_open();
	uint8_t out[STREAM_SMALL_MAX];
	size_t len;

	(void)state;
	len = stream_hello_write(out, XSR_ROLE_CLIENT, 7, 0);
	((struct xsr_frame_hello *)(out + XSR_FRAME_HEADER_LEN))->id = htobe64(8);
	peer_send(&p, out, len);
	expect_ack(&p, XSR_HELLO_REJECT, 7, 0);
	hello_as(&p, XSR_ROLE_RECORDER, 7, 0);
	expect_ack(&p, XSR_HELLO_REJECT, 7, 0);
	hello_as(&p, XSR_ROLE_ROUTER, 7, 0);
	expect_ack(&p, XSR_HELLO_REJECT, 7, 0);
	assert_int_equal(counts()->sessions, 0);
	peer_close(&p);
}

static void who_has_no_id_gets_one_that_nobody_has(void **state)
{
	struct peer p = peer_open();
	uint64_t ids[2];
	uint8_t in[128];
	int i;

	(void)state;
	for (i = 0; i < 2; i++) {
		hello_as(&p, XSR_ROLE_CLIENT, 0, 0);
		assert_true(peer_next(&p, in, PATIENCE_NS) > 0);
		ids[i] = be64toh(((struct xsr_frame *)in)->id);
		assert_int_equal(ids[i] >> 48, 1);
		ask(&p, ids[i], 1);
		expect_echo(&p, ids[i], 1);
	}
	assert_int_not_equal(ids[0], ids[1]);
	peer_close(&p);
}

static void a_full_table_makes_room_of_sessions_without_a_connection_only(void **state)
{
	struct peer gone, p;

	(void)state;
	CONFIG.n_sessions_max = 2;
	gone = peer_open();
	greet(&gone, 1, 0, 0);
	p = peer_open();
	greet(&p, 2, 0, 0);
	hello_as(&p, XSR_ROLE_CLIENT, 3, 0);
	expect_ack(&p, XSR_HELLO_BUSY, 3, 0);
	peer_close(&gone);
	greet(&p, 3, 0, 0);
	assert_int_equal(counts()->sessions_full, 1);
	assert_int_equal(counts()->evicted, 1);
	assert_int_equal(counts()->sessions_now, 2);
	peer_close(&p);
}

/* --- sessions that come back --- */

static void a_session_that_comes_back_gets_the_replies_it_missed(void **state)
{
	struct peer p = peer_open();
	uint64_t seq;

	(void)state;
	greet(&p, 7, 0, 0);
	for (seq = 1; seq <= 4; seq++)
		ask_long(&p, 7, seq, 1000 * seq);
	expect_echo_long(&p, 7, 1, 1000);
	peer_close(&p);
	p = peer_open();
	greet(&p, 7, 1, 4);
	for (seq = 2; seq <= 4; seq++)
		expect_echo_long(&p, 7, seq, 1000 * seq);
	ask(&p, 7, 5);
	expect_echo(&p, 7, 5);
	assert_int_equal(counts()->resent, 3);
	assert_int_equal(counts()->resumed, 1);
	assert_int_equal(counts()->gaps + counts()->inversions + counts()->again, 0);
	peer_close(&p);
}

static void replies_that_are_not_kept_are_covered_by_an_error(void **state)
{
	struct peer p = peer_open();
	uint64_t seq;

	(void)state;
	greet(&p, 7, 0, 0);
	for (seq = 1; seq <= 10; seq++)
		ask(&p, 7, seq);
	peer_close(&p);
	p = peer_open();
	greet(&p, 7, 3, 10);
	expect_small(&p, XSR_FRAME_ERROR, 7, 6, XSR_ERROR_OVERFLOW);
	for (seq = 7; seq <= 10; seq++)
		expect_echo(&p, 7, seq);
	expect_nothing(&p);
	peer_close(&p);
}

/* Its client waits for it, and would for ever. */
static void a_request_that_never_came_is_covered_too(void **state)
{
	struct peer p = peer_open();

	(void)state;
	greet(&p, 7, 0, 0);
	ask(&p, 7, 1);
	ask(&p, 7, 3);
	peer_close(&p);
	p = peer_open();
	greet(&p, 7, 0, 3);
	expect_echo(&p, 7, 1);
	expect_small(&p, XSR_FRAME_ERROR, 7, 2, XSR_ERROR_OVERFLOW);
	expect_echo(&p, 7, 3);
	peer_close(&p);
}

static void a_reply_to_a_call_is_not_kept(void **state)
{
	struct peer p = peer_open();
	uint8_t frame[100] = {}, in[128];

	(void)state;
	greet(&p, 7, 0, 0);
	stream_header_write(frame, XSR_FRAME_CALL, 7, 1, sizeof(frame));
	peer_send(&p, frame, sizeof(frame));
	assert_int_equal(peer_next(&p, in, PATIENCE_NS), sizeof(frame));
	greet(&p, 7, 0, 1);
	expect_small(&p, XSR_FRAME_ERROR, 7, 1, XSR_ERROR_OVERFLOW);
	peer_close(&p);
}

static void what_comes_by_the_connection_that_a_session_left_is_thrown_away(void **state)
{
	struct peer old = peer_open(), p = peer_open();

	(void)state;
	greet(&old, 7, 0, 0);
	ask(&old, 7, 1);
	expect_echo(&old, 7, 1);
	greet(&p, 7, 1, 1);
	ask(&old, 7, 2);
	expect_nothing(&old);
	ask(&p, 7, 2);
	expect_echo(&p, 7, 2);
	assert_int_equal(counts()->stale, 1);
	assert_int_equal(counts()->inversions, 0);
	peer_close(&old);
	ask(&p, 7, 3);
	expect_echo(&p, 7, 3);
	peer_close(&p);
}

static void a_client_that_asks_again_is_answered_again(void **state)
{
	struct peer p = peer_open();

	(void)state;
	greet(&p, 7, 0, 0);
	ask(&p, 7, 1);
	expect_echo(&p, 7, 1);
	greet(&p, 7, 1, 1);
	ask(&p, 7, 1);
	expect_echo(&p, 7, 1);
	assert_int_equal(counts()->again, 1);
	assert_int_equal(counts()->inversions, 0);
	peer_close(&p);
}

/* It was elsewhere in between. */
static void what_another_backend_has_answered_is_no_gap(void **state)
{
	struct peer p = peer_open();

	(void)state;
	greet(&p, 7, 0, 0);
	ask(&p, 7, 1);
	expect_echo(&p, 7, 1);
	greet(&p, 7, 50, 1);
	ask(&p, 7, 51);
	expect_echo(&p, 7, 51);
	assert_int_equal(counts()->gaps, 0);
	peer_close(&p);
}

static void a_session_that_said_goodbye_is_forgotten(void **state)
{
	uint8_t out[STREAM_SMALL_MAX];
	struct peer p = peer_open();

	(void)state;
	greet(&p, 7, 0, 0);
	ask(&p, 7, 1);
	expect_echo(&p, 7, 1);
	peer_send(&p, out, stream_bye_write(out, 7));
	greet(&p, 7, 0, 0);
	peer_send(&p, out, stream_bye_write(out, 0));
	expect_end(&p);
	peer_close(&p);
}

/* --- service time --- */

static void replies_keep_their_order_and_a_heartbeat_stays_behind_them(void **state)
{
	struct peer p;
	uint64_t seq;

	(void)state;
	CONFIG.service_us = 1000;
	CONFIG.jitter_us = 20000;
	p = peer_open();
	greet(&p, 7, 0, 0);
	for (seq = 1; seq <= 20; seq++)
		ask(&p, 7, seq);
	ping(&p, 0, 99);
	for (seq = 1; seq <= 20; seq++)
		expect_echo(&p, 7, seq);
	expect_small(&p, XSR_FRAME_HB_PONG, 0, 99, 0);
	peer_close(&p);
}

static void a_heartbeat_waits_for_all_sessions_of_its_connection(void **state)
{
	uint8_t in[128];
	struct peer p;
	uint64_t id, n = 0;

	(void)state;
	CONFIG.jitter_us = 20000;
	p = peer_open();
	for (id = 1; id <= 20; id++)
		greet(&p, id, 0, 0);
	for (id = 1; id <= 20; id++)
		ask(&p, id, 1);
	ping(&p, 5, 6);
	while (peer_next(&p, in, PATIENCE_NS) && ((struct xsr_frame *)in)->type == XSR_FRAME_ECHO_REP)
		n++;
	assert_int_equal(n, 20);
	assert_int_equal(((struct xsr_frame *)in)->type, XSR_FRAME_HB_PONG);
	assert_int_equal(be64toh(((struct xsr_frame *)in)->id), 5);
	assert_int_equal(be64toh(((struct xsr_frame *)in)->seq), 6);
	peer_close(&p);
}

static void a_heartbeat_alone_is_answered_at_once(void **state)
{
	struct peer p = peer_open();

	(void)state;
	ping(&p, 3, 4);
	expect_small(&p, XSR_FRAME_HB_PONG, 3, 4, 0);
	peer_close(&p);
}

/* What was asked on the old connection is answered once, on the new one. */
static void replies_that_wait_follow_their_session(void **state)
{
	struct peer old, p;

	(void)state;
	CONFIG.service_us = 50000;
	old = peer_open();
	greet(&old, 7, 0, 0);
	ask(&old, 7, 1);
	ask(&old, 7, 2);
	turns(3);
	p = peer_open();
	greet(&p, 7, 0, 2);
	peer_close(&old);
	expect_echo(&p, 7, 1);
	expect_echo(&p, 7, 2);
	expect_nothing(&p);
	assert_int_equal(counts()->resent, 0);
	peer_close(&p);
}

static void a_call_that_waits_keeps_what_it_says(void **state)
{
	uint8_t frame[200], in[256];
	struct peer p;

	(void)state;
	CONFIG.service_us = 2000;
	p = peer_open();
	greet(&p, 7, 0, 0);
	memset(frame, 'x', sizeof(frame));
	stream_header_write(frame, XSR_FRAME_CALL, 7, 1, sizeof(frame));
	peer_send(&p, frame, sizeof(frame));
	assert_int_equal(peer_next(&p, in, PATIENCE_NS), sizeof(frame));
	assert_memory_equal(in + XSR_FRAME_HEADER_LEN, frame + XSR_FRAME_HEADER_LEN, sizeof(frame) - XSR_FRAME_HEADER_LEN);
	peer_close(&p);
}

static void sessions_may_end_while_their_replies_wait(void **state)
{
	uint8_t out[STREAM_SMALL_MAX];
	struct peer p;

	(void)state;
	CONFIG.service_us = 100000;
	p = peer_open();
	greet(&p, 7, 0, 0);
	ask(&p, 7, 1);
	peer_send(&p, out, stream_bye_write(out, 7));
	turns(100);
	expect_nothing(&p);
	ask(&p, 7, 2);
	expect_small(&p, XSR_FRAME_ERROR, 7, 2, XSR_ERROR_NO_HANDSHAKE);
	greet(&p, 8, 0, 0);
	ask(&p, 8, 1);
	peer_close(&p); /* and so may the connection, and the exchange */
}

/* --- back-pressure --- */

/* So many requests of 8000 bytes as it takes while the peer reads nothing. */
static uint64_t ask_until_it_stands(struct peer *p)
{
	unsigned int n_idle = 0;
	bool stands = false;
	uint64_t seq = 0;
	uint8_t *frame;
	ssize_t n;
	size_t at;

	while (!stands) {
		frame = request_make(XSR_FRAME_ECHO_REQ, 7, ++seq, 8000);
		for (at = 0; at < 8000; at += n > 0 ? n : 0) {
			n = send(p->fd, frame + at, 8000 - at, MSG_DONTWAIT | MSG_NOSIGNAL);
			n_idle = n > 0 ? 0 : n_idle + 1;
			stands |= n_idle == 50;
			turns(1);
			if (stands)
				peer_receive(p);
		}
		free(frame);
	}
	return seq;
}

static void who_does_not_read_is_not_read_and_loses_nothing(void **state)
{
	uint64_t n, seq;
	struct peer p;

	(void)state;
	CONFIG.sndbuf = 32 << 10;
	CONFIG.rcvbuf = 32 << 10;
	p = peer_open();
	greet(&p, 7, 0, 0);
	n = ask_until_it_stands(&p);
	assert_true(counts()->stalls > 0);
	for (seq = 1; seq <= n; seq++)
		expect_echo_long(&p, 7, seq, 8000);
	assert_int_equal(counts()->frames, n);
	peer_close(&p);
}

static void it_stops_reading_where_it_is_told_to(void **state)
{
	struct peer p;

	(void)state;
	CONFIG.stall_after = 1000;
	p = peer_open();
	greet(&p, 7, 0, 0);
	ask_long(&p, 7, 1, 2000);
	expect_echo_long(&p, 7, 1, 2000);
	ask(&p, 7, 2);
	expect_nothing(&p);
	assert_int_equal(counts()->frames, 1);
	peer_close(&p);
}

/* --- ends --- */

static void what_is_no_frame_ends_the_connection_and_is_counted(void **state)
{
	static const uint8_t bad_len[] = { 0, 0, 0, 19 }, bad_version[] = { 0, 0, 0, 20, 2 }, bad_type[] = { 0, 0, 0, 20, 1, 0x0f };
	struct peer p;

	(void)state;
	p = peer_open();
	peer_send(&p, bad_len, sizeof(bad_len));
	expect_end(&p);
	peer_close(&p);
	p = peer_open();
	peer_send(&p, bad_version, sizeof(bad_version));
	expect_end(&p);
	peer_close(&p);
	p = peer_open();
	peer_send(&p, bad_type, sizeof(bad_type));
	expect_end(&p);
	peer_close(&p);
	assert_int_equal(counts()->closed_bad_len, 1);
	assert_int_equal(counts()->closed_bad_version, 1);
	assert_int_equal(counts()->closed_bad_type, 1);
	assert_int_equal(counts()->connections_now, 0);
	assert_false(exchange_clean(counts()));
}

static void who_writes_no_more_still_gets_its_replies(void **state)
{
	struct peer p;

	(void)state;
	CONFIG.service_us = 20000;
	p = peer_open();
	greet(&p, 7, 0, 0);
	ask(&p, 7, 1);
	shutdown(p.fd, SHUT_WR);
	expect_echo(&p, 7, 1);
	expect_end(&p);
	peer_close(&p);
}

static void half_a_frame_at_the_end_is_counted_and_no_fault(void **state)
{
	struct peer p = peer_open();
	uint8_t *frame = request_make(XSR_FRAME_ECHO_REQ, 7, 1, 100);

	(void)state;
	greet(&p, 7, 0, 0);
	peer_send(&p, frame, 99);
	peer_close(&p);
	turns(3);
	assert_int_equal(counts()->closed_half_frame, 1);
	assert_true(exchange_clean(counts()));
	free(frame);
}

static void a_reset_is_counted(void **state)
{
	const struct linger linger = { .l_onoff = 1 };
	struct peer p = peer_open();

	(void)state;
	greet(&p, 7, 0, 0);
	setsockopt(p.fd, SOL_SOCKET, SO_LINGER, &linger, sizeof(linger));
	peer_close(&p);
	turns(3);
	assert_int_equal(counts()->closed_reset, 1);
	assert_int_equal(counts()->connections_now, 0);
	assert_int_equal(counts()->sessions_now, 1);
}

static void an_address_that_is_not_ours_is_refused_with_a_sentence(void **state)
{
	char why[EXCHANGE_WHY_LEN];

	(void)state;
	inet_pton(AF_INET, "192.0.2.1", &((struct sockaddr_in *)&CONFIG.address)->sin_addr);
	assert_int_equal(exchange_open(&EXCHANGE, &CONFIG, why), -EADDRNOTAVAIL);
	assert_non_null(strstr(why, "cannot listen"));
	EXCHANGE = NULL;
}

/* --- what waits --- */

static void what_waits_comes_by_time_then_as_it_came(void **state)
{
	struct exchange_waiting *waiting;
	struct chance chance = { .state = 3 };
	struct exchange_wait wait = {}, last = {};
	unsigned int i, k;

	(void)state;
	assert_int_equal(exchange_waiting_open(&waiting, 500), 0);
	for (k = 0; k < 20; k++) {
		while (!exchange_waiting_is_full(waiting)) {
			wait.due_ns = last.due_ns + chance_below(&chance, 40);
			exchange_waiting_add(waiting, &wait);
		}
		for (i = chance_from(&chance, 1, 500); i; i--) {
			wait = exchange_waiting_take(waiting);
			assert_true(wait.due_ns > last.due_ns || (wait.due_ns == last.due_ns && wait.order >= last.order));
			last = wait;
		}
	}
	while (exchange_waiting_first(waiting))
		exchange_waiting_take(waiting);
	exchange_waiting_close(waiting);
	exchange_waiting_close(NULL);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(requests_of_every_length_come_back),
		TEST(flags_of_a_request_come_back),
		TEST(perf_gets_stamps_and_its_number),
		TEST(a_call_comes_back_whatever_it_says),
		TEST(a_torn_request_is_counted_and_its_sender_can_tell),
		TEST(what_comes_out_of_order_is_counted),
		TEST(a_request_without_a_hello_gets_an_error),
		TEST(a_router_and_its_sessions_are_greeted),
		TEST(a_hello_that_contradicts_itself_is_rejected),
		TEST(who_has_no_id_gets_one_that_nobody_has),
		TEST(a_full_table_makes_room_of_sessions_without_a_connection_only),
		TEST(a_session_that_comes_back_gets_the_replies_it_missed),
		TEST(replies_that_are_not_kept_are_covered_by_an_error),
		TEST(a_request_that_never_came_is_covered_too),
		TEST(a_reply_to_a_call_is_not_kept),
		TEST(what_comes_by_the_connection_that_a_session_left_is_thrown_away),
		TEST(a_client_that_asks_again_is_answered_again),
		TEST(what_another_backend_has_answered_is_no_gap),
		TEST(a_session_that_said_goodbye_is_forgotten),
		TEST(replies_keep_their_order_and_a_heartbeat_stays_behind_them),
		TEST(a_heartbeat_waits_for_all_sessions_of_its_connection),
		TEST(a_heartbeat_alone_is_answered_at_once),
		TEST(replies_that_wait_follow_their_session),
		TEST(a_call_that_waits_keeps_what_it_says),
		TEST(sessions_may_end_while_their_replies_wait),
		TEST(who_does_not_read_is_not_read_and_loses_nothing),
		TEST(it_stops_reading_where_it_is_told_to),
		TEST(what_is_no_frame_ends_the_connection_and_is_counted),
		TEST(who_writes_no_more_still_gets_its_replies),
		TEST(half_a_frame_at_the_end_is_counted_and_no_fault),
		TEST(a_reset_is_counted),
		TEST(an_address_that_is_not_ours_is_refused_with_a_sentence),
		cmocka_unit_test(what_waits_comes_by_time_then_as_it_came),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
