/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Bytes on their way from or to a file or socket: added behind, taken from the front, never more than a limit. */
#ifndef XSR_BUFFER_H
#define XSR_BUFFER_H

#include <stddef.h>
#include <sys/types.h>

/* Zero but for `max` to begin with; what waits is data[start..end). */
struct buffer {
	char *data;
	size_t start, end, capacity;
	size_t scanned; /* of what waits: there is no newline in it */
	size_t max;	/* as much may wait */
};

static inline size_t buffer_len(const struct buffer *buffer)
{
	return buffer->end - buffer->start;
}

/* 0; -ENOBUFS, -ENOMEM and nothing is added. */
int buffer_append(struct buffer *buffer, const void *data, size_t len);

/* Reads what is there, once. The count, 0 at the end of the file; -ENOBUFS if the limit is reached, or -errno. */
ssize_t buffer_read(struct buffer *buffer, int fd);

/* Sends what waits, as far as the socket takes it now. 0, or -errno if the connection is broken. */
int buffer_send(struct buffer *buffer, int fd);

/*
 * Takes the first line, with a zero in place of its newline, or returns NULL if none is whole. Valid until the buffer is
 * added to.
 */
char *buffer_line(struct buffer *buffer, size_t *len);

/* Frees the memory; the buffer is empty and may be used again. */
void buffer_free(struct buffer *buffer);

#endif /* XSR_BUFFER_H */
