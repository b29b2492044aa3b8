/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Frames of a stream as its two ends write and check them: the client (`xsr load tcp`) and the backend (`xsr exchange`).
 *
 * The payload of ECHO and PERF is a head (stamps) and filler, bytes of value seq & 0xff. One too short for its head is all
 * filler, so that a frame may be as short as its header.
 */
#ifndef XSR_STREAM_FRAME_H
#define XSR_STREAM_FRAME_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "frame.h"
#include "tcp.h"

#define STREAM_FRAME_MAX (TCP_FRAME_MAX + 4u) /* all bytes of a frame */
#define STREAM_SMALL_MAX 40		      /* all bytes of those that are written whole here */

/* Bytes before the filler in the payload of a frame of so many bytes in all; of a type without filler: the whole payload. */
size_t stream_head_len(uint8_t type, size_t len);

bool stream_filler_check(const uint8_t *at, uint64_t seq, size_t len);

/* `len` is that of the whole frame. */
void stream_header_write(void *to, uint8_t type, uint64_t id, uint64_t seq, size_t len);

/* A whole frame into STREAM_SMALL_MAX bytes. Returns its length. */
size_t stream_hello_write(void *to, uint8_t role, uint64_t id, uint64_t seq);
size_t stream_hello_ack_write(void *to, uint8_t result, uint8_t role, uint64_t id, uint64_t seq);
size_t stream_pong_write(void *to, const struct xsr_frame *ping);
size_t stream_bye_write(void *to, uint64_t id);
size_t stream_error_write(void *to, uint16_t code, uint64_t id, uint64_t seq);

/* The frame in one piece: where it lies, or copied to scratch, which has room for STREAM_FRAME_MAX. Borrowed as the frame is. */
const uint8_t *stream_frame_bytes(const struct tcp *t, const struct tcp_frame *frame, uint8_t *scratch);

#endif /* XSR_STREAM_FRAME_H */
