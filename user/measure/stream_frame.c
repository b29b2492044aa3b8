/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#include "stream_frame.h"

#include <endian.h>
#include <string.h>

#define TRANSPORT_TCP 2 /* of HELLO: the second transport that the frame format names */

size_t stream_head_len(uint8_t type, size_t len)
{
	size_t payload_len = len - XSR_FRAME_HEADER_LEN, head_len = payload_len;

	if (type == XSR_FRAME_ECHO_REQ || type == XSR_FRAME_ECHO_REP)
		head_len = sizeof(struct xsr_frame_echo);
	else if (type == XSR_FRAME_PERF_PING || type == XSR_FRAME_PERF_PONG)
		head_len = sizeof(struct xsr_frame_perf);
	return head_len <= payload_len ? head_len : 0;
}

/* Each byte is as the one before it, and the first is right. */
bool stream_filler_check(const uint8_t *at, uint64_t seq, size_t len)
{
	return !len || (at[0] == (seq & 0xff) && !memcmp(at, at + 1, len - 1));
}

void stream_header_write(void *to, uint8_t type, uint64_t id, uint64_t seq, size_t len)
{
	const struct xsr_frame header = {
		.len = htobe32(len - 4),
		.version = XSR_FRAME_VERSION,
		.type = type,
		.id = htobe64(id),
		.seq = htobe64(seq),
	};

	memcpy(to, &header, sizeof(header));
}

static size_t small_write(void *to, uint8_t type, uint64_t id, uint64_t seq, const void *payload, size_t payload_len)
{
	size_t len = XSR_FRAME_HEADER_LEN + payload_len;

	_Static_assert(XSR_FRAME_HEADER_LEN + sizeof(struct xsr_frame_hello_ack) <= STREAM_SMALL_MAX, "the longest fits");
	stream_header_write(to, type, id, seq, len);
	memcpy((uint8_t *)to + XSR_FRAME_HEADER_LEN, payload, payload_len);
	return len;
}

size_t stream_hello_write(void *to, uint8_t role, uint64_t id, uint64_t seq)
{
	const struct xsr_frame_hello hello = { .role = role, .transport = TRANSPORT_TCP, .id = htobe64(id) };

	return small_write(to, XSR_FRAME_HELLO, id, seq, &hello, sizeof(hello));
}

size_t stream_hello_ack_write(void *to, uint8_t result, uint8_t role, uint64_t id, uint64_t seq)
{
	const struct xsr_frame_hello_ack ack = { .result = result, .role = role, .id = htobe64(id) };

	return small_write(to, XSR_FRAME_HELLO_ACK, id, seq, &ack, sizeof(ack));
}

size_t stream_pong_write(void *to, const struct xsr_frame *ping)
{
	stream_header_write(to, XSR_FRAME_HB_PONG, be64toh(ping->id), be64toh(ping->seq), XSR_FRAME_HEADER_LEN);
	return XSR_FRAME_HEADER_LEN;
}

size_t stream_bye_write(void *to, uint64_t id)
{
	const struct xsr_frame_bye bye = {};

	return small_write(to, XSR_FRAME_BYE, id, 0, &bye, sizeof(bye));
}

size_t stream_error_write(void *to, uint16_t code, uint64_t id, uint64_t seq)
{
	const struct xsr_frame_error error = { .code = htobe16(code) };
	size_t len = small_write(to, XSR_FRAME_ERROR, id, seq, &error, sizeof(error));

	((struct xsr_frame *)to)->flags = htobe16(XSR_FRAME_ERR);
	return len;
}

const uint8_t *stream_frame_bytes(const struct tcp *t, const struct tcp_frame *frame, uint8_t *scratch)
{
	if (frame->data)
		return frame->data;
	tcp_frame_copy(t, frame, 0, scratch, frame->len);
	return scratch;
}
