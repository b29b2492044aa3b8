/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#include "buffer.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define CAPACITY_MIN 4096
#define READ_MAX 65536

static void buffer_to_front(struct buffer *buffer)
{
	memmove(buffer->data, buffer->data + buffer->start, buffer_len(buffer));
	buffer->end -= buffer->start;
	buffer->start = 0;
}

/* Makes room for n bytes at data[end]. */
static int buffer_reserve(struct buffer *buffer, size_t n)
{
	size_t capacity = buffer->capacity ? buffer->capacity : CAPACITY_MIN;
	char *data;

	if (n > buffer->max - buffer_len(buffer))
		return -ENOBUFS;
	if (buffer->start && n > buffer->capacity - buffer->end)
		buffer_to_front(buffer);
	if (n <= buffer->capacity - buffer->end)
		return 0;
	while (capacity < buffer->end + n)
		capacity *= 2;
	data = realloc(buffer->data, capacity);
	if (!data)
		return -ENOMEM;
	buffer->data = data;
	buffer->capacity = capacity;
	return 0;
}

static void buffer_take(struct buffer *buffer, size_t n)
{
	buffer->start += n;
	buffer->scanned = 0;
	if (buffer->start == buffer->end)
		buffer->start = buffer->end = 0;
}

int buffer_append(struct buffer *buffer, const void *data, size_t len)
{
	int ret = buffer_reserve(buffer, len);

	if (ret || !len)
		return ret;
	memcpy(buffer->data + buffer->end, data, len);
	buffer->end += len;
	return 0;
}

ssize_t buffer_read(struct buffer *buffer, int fd)
{
	size_t room = buffer->max - buffer_len(buffer);
	ssize_t n;
	int ret;

	if (!room)
		return -ENOBUFS;
	if (room > READ_MAX)
		room = READ_MAX;
	ret = buffer_reserve(buffer, room);
	if (ret)
		return ret;
	n = TEMP_FAILURE_RETRY(read(fd, buffer->data + buffer->end, room));
	if (n < 0)
		return -errno;
	buffer->end += n;
	return n;
}

int buffer_send(struct buffer *buffer, int fd)
{
	while (buffer_len(buffer)) {
		ssize_t n = TEMP_FAILURE_RETRY(send(fd, buffer->data + buffer->start, buffer_len(buffer),
						    MSG_NOSIGNAL | MSG_DONTWAIT));

		if (n < 0)
			return errno == EAGAIN ? 0 : -errno;
		buffer_take(buffer, n);
	}
	return 0;
}

char *buffer_line(struct buffer *buffer, size_t *len)
{
	char *line, *newline;

	if (buffer_len(buffer) == buffer->scanned)
		return NULL;
	line = buffer->data + buffer->start;
	newline = memchr(line + buffer->scanned, '\n', buffer_len(buffer) - buffer->scanned);
	if (!newline) {
		buffer->scanned = buffer_len(buffer);
		return NULL;
	}
	*newline = 0;
	*len = newline - line;
	buffer_take(buffer, *len + 1);
	return line;
}

void buffer_free(struct buffer *buffer)
{
	free(buffer->data);
	*buffer = (struct buffer){ .max = buffer->max };
}
