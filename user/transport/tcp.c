/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * What is read goes into memory that all connections of a thread share, and is handed out from there: nothing is copied when whole
 * frames come. What is left, a frame that is not whole or one that nobody could take, is kept in the connection's own queue, and
 * then handed out from its chunks. So a connection has bytes at one of the two places only: `at` .. `stop`, or `in`.
 *
 * A frame too long for one piece is read straight into chunks, up to its end, and can be passed on with them.
 */
#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "tcp.h"

#define READ_LEN (256u << 10)
#define VECTORS_MAX 256
#define SPARE_PART 8 /* this part of the memory is not read into: what was read could not be passed on otherwise */
#define LEN_FIELD 4

/*
 * What is read or written at a time is best still in the processor's cache when it goes on, and fits one piece of the kernel's buffers: more at a
 * time costs more for each byte.
 */
#define PIECE_LEN (32u << 10)
#define THROUGH_MIN (16u << 10)

static size_t min_len(size_t a, size_t b)
{
	return a < b ? a : b;
}

/* --- what a thread's connections share --- */

int tcp_shared_open(struct tcp_shared *shared, size_t memory_max)
{
	int ret;

	*shared = (struct tcp_shared){ .read_len = READ_LEN };
	ret = chunk_pool_open(&shared->pool, memory_max);
	if (ret)
		return ret;
	shared->len = chunk_pool_room(shared->pool);
	shared->spare = shared->len / SPARE_PART;
	shared->once = shared->read_len;
	shared->read = malloc(READ_LEN);
	if (!shared->read) {
		tcp_shared_close(shared);
		return -ENOMEM;
	}
	return 0;
}

void tcp_shared_close(struct tcp_shared *shared)
{
	chunk_pool_close(shared->pool);
	free(shared->read);
	*shared = (struct tcp_shared){};
}

/* How much may be read now. */
static size_t shared_room(const struct tcp *t)
{
	size_t room = chunk_pool_room(t->shared->pool), spare = t->is_common ? 0 : t->shared->spare;

	return room > spare ? room - spare : 0;
}

/* --- connections --- */

int tcp_open(struct tcp **out, struct tcp_shared *shared, int fd, uint32_t frame_max, size_t queue_max)
{
	struct tcp *t = calloc(1, sizeof(*t));

	if (!t) {
		close(fd);
		return -ENOMEM;
	}
	t->shared = shared;
	t->fd = fd;
	t->frame_max = frame_max;
	t->queue_max = queue_max;
	*out = t;
	return 0;
}

/* Nothing of what was read last is left where it was read to. */
static void read_done(struct tcp *t)
{
	t->at = t->stop = NULL;
	t->shared->reader = NULL;
	chunk_pool_hold(t->shared->pool, 0);
}

static void finisher_done(struct tcp *t)
{
	if (t->shared->finisher == t)
		t->shared->finisher = NULL;
}

void tcp_close(struct tcp *t)
{
	if (!t)
		return;
	if (t->at)
		read_done(t);
	finisher_done(t);
	chunk_drop(t->shared->pool, &t->in, t->in.len);
	chunk_drop(t->shared->pool, &t->out, t->out.len);
	close(t->fd);
	free(t);
}

void tcp_keep(struct tcp *t)
{
	const uint8_t *at = t->at;
	size_t len = t->stop - t->at;
	bool kept;

	if (!at)
		return;
	read_done(t);
	kept = chunk_append(t->shared->pool, &t->in, at, len);
	assert(kept); /* into what was held for it */
}

/* --- frames --- */

static uint32_t len_field(const uint8_t *head)
{
	return (uint32_t)head[0] << 24 | head[1] << 16 | head[2] << 8 | head[3];
}

/* The first n bytes of a frame. Strict, and as early as can be: behind a wrong one nobody finds the next frame. */
static enum tcp_end head_check(const uint8_t *head, size_t n, uint32_t frame_max)
{
	if (n >= LEN_FIELD && (len_field(head) < XSR_FRAME_LEN_MIN || len_field(head) > frame_max))
		return TCP_END_BAD_LEN;
	if (n > offsetof(struct xsr_frame, version) && head[offsetof(struct xsr_frame, version)] != XSR_FRAME_VERSION)
		return TCP_END_BAD_VERSION;
	if (n > offsetof(struct xsr_frame, type) && !frame_type_known(head[offsetof(struct xsr_frame, type)]))
		return TCP_END_BAD_TYPE;
	return TCP_END_NONE;
}

/* How long the frame is that begins with these n bytes: 1 and *len, 0 = not known yet, -EPROTO. */
static int head_read(struct tcp *t, const uint8_t *head, size_t n, size_t *len)
{
	enum tcp_end end = head_check(head, n, t->frame_max);

	if (end) {
		t->end = end;
		return -EPROTO;
	}
	if (n < LEN_FIELD)
		return 0;
	*len = LEN_FIELD + (size_t)len_field(head);
	return 1;
}

static int kept_head_read(struct tcp *t, size_t *len)
{
	uint8_t head[XSR_FRAME_HEADER_LEN];
	size_t n = min_len(sizeof(head), t->in.len);

	chunk_copy(&t->in, 0, head, n);
	return head_read(t, head, n, len);
}

/* The first len bytes of what is kept, in one piece: in their chunk, or if there are several, in the memory that is read into. */
static const uint8_t *kept_piece(struct tcp *t, size_t len)
{
	struct iovec first;

	chunk_vectors(&t->in, &first, 1, len);
	if (first.iov_len == len)
		return first.iov_base;
	chunk_copy(&t->in, 0, t->shared->read, len);
	return t->shared->read;
}

static int kept_next(struct tcp *t, struct tcp_frame *frame)
{
	const uint8_t *piece;
	size_t len;
	int ret = kept_head_read(t, &len);

	if (ret <= 0)
		return ret;
	if (t->in.len < len)
		return 0;
	piece = kept_piece(t, len > TCP_CONTIGUOUS_MAX ? XSR_FRAME_HEADER_LEN : len);
	*frame = (struct tcp_frame){ (const struct xsr_frame *)piece, len > TCP_CONTIGUOUS_MAX ? NULL : piece, len };
	return 1;
}

static int read_next(struct tcp *t, struct tcp_frame *frame)
{
	size_t n = t->stop - t->at, len;
	int ret = head_read(t, t->at, n, &len);

	if (ret <= 0)
		return ret;
	if (len > TCP_CONTIGUOUS_MAX) {
		tcp_keep(t);
		return kept_next(t, frame);
	}
	if (n < len)
		return 0;
	*frame = (struct tcp_frame){ (const struct xsr_frame *)t->at, t->at, len };
	return 1;
}

/* Without frames: as much as is in one place, but no more than a target can be expected to take at once. */
static int piece_next(const struct tcp *t, struct tcp_frame *frame)
{
	struct iovec first = { (void *)t->at, t->stop - t->at };

	if (!t->at && !chunk_vectors(&t->in, &first, 1, t->in.len))
		return 0;
	*frame = (struct tcp_frame){ .data = first.iov_base, .len = min_len(first.iov_len, TCP_CONTIGUOUS_MAX) };
	return 1;
}

int tcp_next(struct tcp *t, struct tcp_frame *frame)
{
	assert(!t->shared->reader || t->shared->reader == t); /* tcp_keep() of another one is missing */
	if (!t->frame_max)
		return piece_next(t, frame);
	return t->at ? read_next(t, frame) : kept_next(t, frame);
}

void tcp_take(struct tcp *t, const struct tcp_frame *frame)
{
	if (!t->at) {
		chunk_drop(t->shared->pool, &t->in, frame->len);
		return;
	}
	t->at += frame->len;
	if (t->at == t->stop)
		read_done(t);
	else
		chunk_pool_hold(t->shared->pool, t->stop - t->at);
}

void tcp_frame_copy(const struct tcp *t, const struct tcp_frame *frame, size_t offset, void *to, size_t len)
{
	if (frame->data)
		memcpy(to, frame->data + offset, len);
	else
		chunk_copy(&t->in, offset, to, len);
}

/* --- reading --- */

static int end_error(const struct tcp *t)
{
	if (t->end >= TCP_END_BAD_LEN)
		return -EPROTO;
	return t->end == TCP_END_RESET ? -ECONNRESET : -ENODATA;
}

/* recvmsg() returned this, and it is not a number of bytes. */
static int read_none(struct tcp *t, ssize_t n)
{
	if (n < 0 && (errno == EAGAIN || errno == ENOBUFS || errno == ENOMEM))
		return 0;
	if (n < 0) {
		t->end = TCP_END_RESET;
		t->error = errno;
	} else {
		t->end = t->in.len ? TCP_END_HALF_FRAME : TCP_END_FIN;
	}
	return end_error(t);
}

static ssize_t vectors_read(int fd, struct iovec *iov, int n_iov)
{
	struct msghdr header = { .msg_iov = iov, .msg_iovlen = n_iov };
	ssize_t n;

	do {
		n = recvmsg(fd, &header, MSG_DONTWAIT);
	} while (n < 0 && errno == EINTR);
	return n;
}

/* Of those that have begun a long frame and find no memory, one gets it after all. */
static size_t finisher_room(struct tcp *t, size_t missing)
{
	struct tcp_shared *s = t->shared;

	if (shared_room(t) < missing && !s->finisher)
		s->finisher = t;
	return s->finisher == t ? chunk_pool_room(s->pool) : shared_room(t);
}

/* Into chunks, behind what is kept: `missing` bytes are, of a frame too long for one piece. */
static int chunks_read(struct tcp *t, size_t missing)
{
	struct iovec iov[VECTORS_MAX];
	size_t len = min_len(missing, finisher_room(t, missing));
	int n_iov = chunk_reserve(t->shared->pool, &t->in, iov, VECTORS_MAX, len);
	ssize_t n;

	if (!n_iov)
		return -ENOBUFS;
	n = vectors_read(t->fd, iov, n_iov);
	chunk_commit(t->shared->pool, &t->in, n > 0 ? n : 0);
	if (n <= 0)
		return read_none(t, n);
	t->n_read += n;
	if ((size_t)n == missing)
		finisher_done(t);
	return n;
}

/* Exact: one frame at a time, its header first. Without frames it goes on at once. */
static size_t read_max(const struct tcp *t, size_t pending)
{
	if (!t->frame_max)
		return PIECE_LEN;
	return (t->is_exact ? pending ?: XSR_FRAME_HEADER_LEN : t->shared->read_len) - t->in.len;
}

/*
 * Into the shared memory, behind the place for what is kept: that comes there only if the frame, `pending` bytes long (0 = not
 * known), has become whole. Else what was read joins it, so that a frame in many parts is not copied back and forth with each.
 */
static int shared_read(struct tcp *t, size_t pending)
{
	struct tcp_shared *s = t->shared;
	size_t kept = t->in.len, len = min_len(min_len(read_max(t, pending), s->once), shared_room(t));
	struct iovec iov = { s->read + kept, len };
	ssize_t n;

	assert(!s->reader); /* as in tcp_next() */
	if (!len)
		return -ENOBUFS;
	n = vectors_read(t->fd, &iov, 1);
	if (n <= 0)
		return read_none(t, n);
	t->n_read += n;
	t->at = kept + n < pending ? iov.iov_base : s->read;
	t->stop = s->read + kept + n;
	if (kept + n < pending) {
		tcp_keep(t);
		return n;
	}
	chunk_copy(&t->in, 0, s->read, kept);
	chunk_drop(s->pool, &t->in, kept);
	chunk_pool_hold(s->pool, kept + n);
	s->reader = t;
	return n;
}

int tcp_read(struct tcp *t)
{
	size_t pending = 0;

	if (t->end)
		return end_error(t);
	tcp_keep(t);
	if (!t->frame_max)
		return t->in.len ? 0 : shared_read(t, 0);
	if (kept_head_read(t, &pending) < 0)
		return end_error(t);
	if (pending && pending <= t->in.len)
		return 0;
	return pending > TCP_CONTIGUOUS_MAX ? chunks_read(t, pending - t->in.len) : shared_read(t, pending);
}

/* --- writing --- */

static bool queue_full(const struct tcp *t, size_t len)
{
	return t->out.len && (t->out.len > t->queue_max || len > t->queue_max - t->out.len);
}

bool tcp_has_room(const struct tcp *t, size_t len)
{
	return !queue_full(t, len) && len <= chunk_pool_room(t->shared->pool);
}

int tcp_send(struct tcp *t, const void *data, size_t len)
{
	if (queue_full(t, len))
		return -EAGAIN;
	return chunk_append(t->shared->pool, &t->out, data, len) ? 0 : -ENOBUFS;
}

/* If nothing is before it, what is long is written from where it lies, as far as it goes. Why it does not go, tcp_flush() tells. */
static size_t write_through(struct tcp *t, const void *data, size_t len)
{
	ssize_t n;

	if (len < THROUGH_MIN || t->out.len || t->is_blocked)
		return 0;
	n = send(t->fd, data, len, MSG_DONTWAIT | MSG_NOSIGNAL);
	if (n < 0)
		return 0;
	t->is_blocked = (size_t)n < len;
	t->n_written += n;
	return n;
}

/* What is kept of the others needs less memory than with this frame. */
static int read_forward(struct tcp *t, const struct tcp_frame *frame, struct tcp *to)
{
	struct chunk_pool *pool = t->shared->pool;
	size_t len = t->stop - t->at, written;
	bool queued;

	chunk_pool_hold(pool, len - frame->len);
	if (!chunk_has_room(pool, &to->out, frame->len)) {
		chunk_pool_hold(pool, len);
		return -ENOBUFS;
	}
	written = write_through(to, frame->data, frame->len);
	queued = chunk_append(pool, &to->out, frame->data + written, frame->len - written);
	assert(queued); /* there was room for all of it */
	tcp_take(t, frame);
	return 0;
}

/* What is in chunks is long. */
static int chunks_forward(struct tcp *t, const struct tcp_frame *frame, struct tcp *to)
{
	if (!chunk_move(t->shared->pool, &to->out, &t->in, frame->len))
		return -ENOBUFS;
	if (!to->is_blocked)
		tcp_flush(to);
	return 0;
}

int tcp_forward(struct tcp *t, const struct tcp_frame *frame, struct tcp *to)
{
	struct chunk_pool *pool = t->shared->pool;

	if (queue_full(to, frame->len))
		return -EAGAIN;
	if (t->at)
		return read_forward(t, frame, to);
	if (!frame->data)
		return chunks_forward(t, frame, to);
	if (!chunk_append(pool, &to->out, frame->data, frame->len))
		return -ENOBUFS;
	tcp_take(t, frame);
	return 0;
}

/* Less than all that was offered: the socket is full, and will say when it is not. */
int tcp_flush(struct tcp *t)
{
	struct iovec iov[VECTORS_MAX];
	struct msghdr header = { .msg_iov = iov };
	size_t len;
	ssize_t n;
	int i;

	t->is_blocked = true;
	while (t->out.len) {
		header.msg_iovlen = chunk_vectors(&t->out, iov, VECTORS_MAX, PIECE_LEN);
		for (len = 0, i = 0; i < (int)header.msg_iovlen; i++)
			len += iov[i].iov_len;
		n = sendmsg(t->fd, &header, MSG_DONTWAIT | MSG_NOSIGNAL);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0) /* EINPROGRESS: of a connection with Fast Open that is under way now */
			return errno == EAGAIN || errno == EINPROGRESS ? 0 : -errno;
		t->n_written += n;
		chunk_drop(t->shared->pool, &t->out, n);
		if ((size_t)n < len)
			return 0;
	}
	t->is_blocked = false;
	return 1;
}
