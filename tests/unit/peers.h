/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Clients and backends of a gateway, played by the test itself: blocking sockets, frame by frame. Who waits too long fails. */
#ifndef XSR_TEST_PEERS_H
#define XSR_TEST_PEERS_H

#include <arpa/inet.h>
#include <endian.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "frame.h"

#define PEER_WAIT_S 10
#define PEER_PAYLOAD_MAX 256 /* what is more is compared, and thrown away */

/* --- sockets --- */

static inline struct sockaddr_in peer_address(uint16_t port)
{
	return (struct sockaddr_in){ .sin_family = AF_INET, .sin_port = htons(port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
}

static inline void peer_options(int fd)
{
	const struct timeval wait = { .tv_sec = PEER_WAIT_S };
	const int one = 1;

	assert_int_equal(setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &wait, sizeof(wait)), 0);
	assert_int_equal(setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &wait, sizeof(wait)), 0);
	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
}

/* At a port of this host, or at one that is free: *port = 0. It does not listen yet. */
static inline int peer_bind(uint16_t *port)
{
	struct sockaddr_in at = peer_address(*port);
	socklen_t len = sizeof(at);
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	const int one = 1;

	assert_true(fd >= 0);
	setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
	setsockopt(fd, SOL_SOCKET, SO_REUSEPORT, &one, sizeof(one));
	assert_int_equal(bind(fd, (struct sockaddr *)&at, sizeof(at)), 0);
	assert_int_equal(getsockname(fd, (struct sockaddr *)&at, &len), 0);
	*port = ntohs(at.sin_port);
	return fd;
}

static inline int peer_listen(uint16_t *port)
{
	int fd = peer_bind(port);

	assert_int_equal(listen(fd, 64), 0);
	peer_options(fd);
	return fd;
}

/* rcvbuf: 0 = as the system has it. */
static inline int peer_connect_small(uint16_t port, int rcvbuf)
{
	const struct sockaddr_in to = peer_address(port);
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	if (rcvbuf)
		setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &rcvbuf, sizeof(rcvbuf));
	assert_int_equal(connect(fd, (struct sockaddr *)&to, sizeof(to)), 0);
	peer_options(fd);
	return fd;
}

static inline int peer_connect(uint16_t port)
{
	return peer_connect_small(port, 0);
}

static inline int peer_accept(int listener)
{
	int fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC); /* within the listener's SO_RCVTIMEO */

	assert_true(fd >= 0);
	peer_options(fd);
	return fd;
}

static inline void peer_reset(int fd)
{
	const struct linger now = { .l_onoff = 1 };

	setsockopt(fd, SOL_SOCKET, SO_LINGER, &now, sizeof(now));
	close(fd);
}

/* --- bytes --- */

static inline void peer_write(int fd, const void *bytes, size_t len)
{
	const uint8_t *at = bytes;
	ssize_t n;

	for (; len; at += n, len -= n) {
		n = send(fd, at, len, MSG_NOSIGNAL);
		assert_true(n > 0);
	}
}

/* How many of len bytes came before the end; SIZE_MAX: it was reset. */
static inline size_t peer_read(int fd, void *to, size_t len)
{
	size_t done;
	ssize_t n;

	for (done = 0; done < len; done += n) {
		n = recv(fd, (uint8_t *)to + done, len - done, 0);
		if (n == 0)
			break;
		if (n < 0 && errno == ECONNRESET)
			return SIZE_MAX;
		assert_true(n > 0); /* or nothing came for too long */
	}
	return done;
}

/* Nothing comes for so long. */
static inline bool peer_is_silent(int fd, int ms)
{
	struct pollfd p = { .fd = fd, .events = POLLIN };

	return poll(&p, 1, ms) == 0;
}

/* The other side closes it, in whatever way; what came before is not looked at. */
static inline void peer_expect_end(int fd)
{
	char some[4096];
	ssize_t n;

	do {
		n = recv(fd, some, sizeof(some), 0);
	} while (n > 0);
	assert_true(n == 0 || errno == ECONNRESET);
}

/* --- frames --- */

struct peer_frame {
	struct xsr_frame header;
	uint8_t payload[PEER_PAYLOAD_MAX];
	size_t len; /* of the payload */
};

/* The payload is `len` bytes; NULL: of byte seq & 0xff, as an echo's filler. */
static inline void peer_send(int fd, uint8_t type, uint16_t flags, uint64_t id, uint64_t seq, const void *payload, size_t len)
{
	uint8_t *bytes = malloc(XSR_FRAME_HEADER_LEN + len);
	const struct xsr_frame header = {
		.len = htobe32(XSR_FRAME_LEN_MIN + len),
		.version = XSR_FRAME_VERSION,
		.type = type,
		.flags = htobe16(flags),
		.id = htobe64(id),
		.seq = htobe64(seq),
	};

	memcpy(bytes, &header, sizeof(header));
	if (payload)
		memcpy(bytes + sizeof(header), payload, len);
	else
		memset(bytes + sizeof(header), seq, len);
	peer_write(fd, bytes, sizeof(header) + len);
	free(bytes);
}

/* A payload that is longer than there is room is filler. False: the connection ended before. */
static inline bool peer_recv(int fd, struct peer_frame *f)
{
	uint8_t rest[4096];
	size_t left, n, i;

	n = peer_read(fd, &f->header, sizeof(f->header));
	if (n == 0 || n == SIZE_MAX)
		return false;
	assert_int_equal(n, sizeof(f->header));
	f->len = be32toh(f->header.len) - XSR_FRAME_LEN_MIN;
	n = f->len < sizeof(f->payload) ? f->len : sizeof(f->payload);
	assert_int_equal(peer_read(fd, f->payload, n), n);
	for (left = f->len - n; left; left -= n) {
		n = left < sizeof(rest) ? left : sizeof(rest);
		assert_int_equal(peer_read(fd, rest, n), n);
		for (i = 0; i < n; i++)
			assert_int_equal(rest[i], (uint8_t)be64toh(f->header.seq));
	}
	return true;
}

/* Heartbeats are answered, and are not what is waited for. */
static inline bool peer_recv_data(int fd, struct peer_frame *f)
{
	for (;;) {
		if (!peer_recv(fd, f))
			return false;
		if (f->header.type == XSR_FRAME_HB_PING)
			peer_send(fd, XSR_FRAME_HB_PONG, XSR_FRAME_REPLY, be64toh(f->header.id), be64toh(f->header.seq), NULL, 0);
		else
			return true;
	}
}

static inline struct peer_frame peer_expect(int fd, uint8_t type, uint64_t id, uint64_t seq)
{
	struct peer_frame f;

	assert_true(peer_recv_data(fd, &f));
	if (f.header.type != type || be64toh(f.header.id) != id || be64toh(f.header.seq) != seq)
		print_error("expected type 0x%x id 0x%llx seq %llu, found type 0x%x id 0x%llx seq %llu\n", type,
			    (unsigned long long)id, (unsigned long long)seq, f.header.type,
			    (unsigned long long)be64toh(f.header.id), (unsigned long long)be64toh(f.header.seq));
	assert_int_equal(f.header.type, type);
	assert_int_equal(be64toh(f.header.id), id);
	assert_int_equal(be64toh(f.header.seq), seq);
	return f;
}

static inline void peer_hello(int fd, uint64_t id, uint64_t seq)
{
	const struct xsr_frame_hello hello = { .role = XSR_ROLE_CLIENT, .id = htobe64(id) };

	peer_send(fd, XSR_FRAME_HELLO, 0, id, seq, &hello, sizeof(hello));
}

static inline void peer_ack(int fd, uint64_t id, uint64_t seq, uint8_t result)
{
	const struct xsr_frame_hello_ack ack = { .result = result, .role = XSR_ROLE_BACKEND, .id = htobe64(id) };

	peer_send(fd, XSR_FRAME_HELLO_ACK, XSR_FRAME_REPLY, id, seq, &ack, sizeof(ack));
}

static inline struct xsr_frame_hello_ack peer_expect_ack(int fd, uint64_t id, uint64_t seq, uint8_t result)
{
	struct peer_frame f = peer_expect(fd, XSR_FRAME_HELLO_ACK, id, seq);
	struct xsr_frame_hello_ack ack;

	assert_int_equal(f.len, sizeof(ack));
	memcpy(&ack, f.payload, sizeof(ack));
	assert_int_equal(ack.result, result);
	return ack;
}

static inline void peer_request(int fd, uint64_t id, uint64_t seq, size_t len)
{
	peer_send(fd, XSR_FRAME_ECHO_REQ, 0, id, seq, NULL, len);
}

static inline void peer_reply(int fd, uint64_t id, uint64_t seq, size_t len)
{
	peer_send(fd, XSR_FRAME_ECHO_REP, XSR_FRAME_REPLY, id, seq, NULL, len);
}

static inline void peer_expect_error(int fd, uint64_t id, uint64_t seq, uint16_t code)
{
	struct peer_frame f = peer_expect(fd, XSR_FRAME_ERROR, id, seq);

	assert_int_equal(f.len, sizeof(struct xsr_frame_error));
	assert_int_equal(f.payload[0] << 8 | f.payload[1], code);
	assert_int_equal(be16toh(f.header.flags), XSR_FRAME_ERR);
}

#endif /* XSR_TEST_PEERS_H */
