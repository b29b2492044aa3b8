/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * leave ADDRESS PORT N: N clients, one after another, that greet, ask, and close their way at once; every second one does not even wait for the
 * answer to its HELLO. Each must get all its replies, in order. Exit status 1, and a sentence, if one does not.
 */
#include <arpa/inet.h>
#include <endian.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define FIRST_ID 900000
#define REQUESTS 20
#define LONG_LEN 100000 /* of the payload of one of them */

struct frame {
	uint32_t len;
	uint8_t version, type;
	uint16_t flags;
	uint64_t id, seq;
	uint8_t payload[LONG_LEN];
} __attribute__((packed));

#define HEADER_LEN offsetof(struct frame, payload)
enum { HELLO = 0x01, HELLO_ACK = 0x02, ECHO_REQ = 0x10, ECHO_REP = 0x11 };

static void fail(uint64_t id, const char *what)
{
	fprintf(stderr, "leave: session %llu: %s\n", (unsigned long long)id, what);
	exit(1);
}

static size_t payload_len(uint64_t seq)
{
	return seq == REQUESTS / 2 ? LONG_LEN : 8;
}

static void frame_send(int fd, uint8_t type, uint64_t id, uint64_t seq, const void *payload, size_t len)
{
	static struct frame f;

	f.len = htobe32(20 + len);
	f.version = 1;
	f.type = type;
	f.id = htobe64(id);
	f.seq = htobe64(seq);
	memcpy(f.payload, payload, len);
	if (send(fd, &f, HEADER_LEN + len, MSG_NOSIGNAL) != (ssize_t)(HEADER_LEN + len))
		fail(id, "cannot send");
}

static void hello_send(int fd, uint64_t id)
{
	struct {
		uint8_t role, transport;
		uint16_t caps;
		uint64_t id;
	} __attribute__((packed)) hello = { .role = 1, .id = htobe64(id) };

	frame_send(fd, HELLO, id, 0, &hello, sizeof(hello));
}

static void requests_send(int fd, uint64_t id)
{
	static uint8_t payload[LONG_LEN];
	uint64_t seq;

	for (seq = 1; seq <= REQUESTS; seq++) {
		memset(payload + 8, seq & 0xff, payload_len(seq) - 8);
		frame_send(fd, ECHO_REQ, id, seq, payload, payload_len(seq));
	}
}

static void frame_expect(int fd, uint64_t id, uint8_t type, uint64_t seq, size_t len)
{
	static struct frame f;

	if (recv(fd, &f, HEADER_LEN, MSG_WAITALL) != (ssize_t)HEADER_LEN)
		fail(id, "the connection ended before all replies had come");
	if (f.type != type || be64toh(f.id) != id || be64toh(f.seq) != seq || be32toh(f.len) != 20 + len)
		fail(id, "not the frame that was expected");
	if (recv(fd, f.payload, len, MSG_WAITALL) != (ssize_t)len)
		fail(id, "the connection ended in a frame");
	if (type == ECHO_REP && len > 8 && f.payload[len - 1] != (seq & 0xff))
		fail(id, "a reply is torn");
}

static void client_run(const struct sockaddr_in *to, uint64_t id)
{
	int on = 1, fd = socket(AF_INET, SOCK_STREAM, 0);
	uint64_t seq;

	if (fd < 0 || connect(fd, (const struct sockaddr *)to, sizeof(*to)))
		fail(id, "cannot connect");
	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
	hello_send(fd, id);
	if (id % 2)
		frame_expect(fd, id, HELLO_ACK, 0, 16);
	requests_send(fd, id);
	shutdown(fd, SHUT_WR);
	if (id % 2 == 0)
		frame_expect(fd, id, HELLO_ACK, 0, 16);
	for (seq = 1; seq <= REQUESTS; seq++)
		frame_expect(fd, id, ECHO_REP, seq, payload_len(seq));
	close(fd);
}

int main(int argc, char **argv)
{
	struct sockaddr_in to = { .sin_family = AF_INET };
	int i;

	if (argc != 4 || inet_pton(AF_INET, argv[1], &to.sin_addr) != 1)
		return 2;
	to.sin_port = htons(atoi(argv[2]));
	for (i = 0; i < atoi(argv[3]); i++)
		client_run(&to, FIRST_ID + i);
	return 0;
}
