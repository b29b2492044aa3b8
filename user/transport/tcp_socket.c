/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#include "tcp_socket.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdbool.h>
#include <unistd.h>

static socklen_t address_len(const struct sockaddr *addr)
{
	return addr->sa_family == AF_INET6 ? sizeof(struct sockaddr_in6) : sizeof(struct sockaddr_in);
}

static int option_set(int fd, int level, int option, int value)
{
	return setsockopt(fd, level, option, &value, sizeof(value)) ? -errno : 0;
}

/* As large as was asked for if we may, else as large as the system lets everyone. */
static int buffer_set(int fd, int option_force, int option, uint32_t len)
{
	if (!len || !option_set(fd, SOL_SOCKET, option_force, len))
		return 0;
	return option_set(fd, SOL_SOCKET, option, len);
}

static int buffers_set(int fd, const struct tcp_options *options)
{
	int ret = buffer_set(fd, SO_SNDBUFFORCE, SO_SNDBUF, options->sndbuf);

	return ret ?: buffer_set(fd, SO_RCVBUFFORCE, SO_RCVBUF, options->rcvbuf);
}

/* Buffers come before listen() and connect(): the window's scale is fixed there. */
static int socket_open(const struct sockaddr *addr, const struct tcp_options *options)
{
	int fd, ret;

	if (addr->sa_family != AF_INET && addr->sa_family != AF_INET6)
		return -EAFNOSUPPORT;
	fd = socket(addr->sa_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return -errno;
	ret = buffers_set(fd, options);
	if (ret) {
		close(fd);
		return ret;
	}
	return fd;
}

/* [::] is IPv4 too. */
static int listener_prepare(int fd, const struct sockaddr *addr, const struct tcp_options *options)
{
	const struct sockaddr_in6 *in6 = (const struct sockaddr_in6 *)addr;
	int ret;

	ret = option_set(fd, SOL_SOCKET, SO_REUSEADDR, 1) ?: option_set(fd, SOL_SOCKET, SO_REUSEPORT, 1);
	if (!ret && addr->sa_family == AF_INET6 && IN6_IS_ADDR_UNSPECIFIED(&in6->sin6_addr))
		ret = option_set(fd, IPPROTO_IPV6, IPV6_V6ONLY, 0);
	if (!ret && options->fast_open)
		ret = option_set(fd, IPPROTO_TCP, TCP_FASTOPEN, options->fast_open);
	return ret;
}

int tcp_listen(const struct sockaddr *addr, const struct tcp_options *options, int backlog)
{
	int fd = socket_open(addr, options), ret;

	if (fd < 0)
		return fd;
	ret = listener_prepare(fd, addr, options);
	if (!ret && (bind(fd, addr, address_len(addr)) || listen(fd, backlog)))
		ret = -errno;
	if (ret) {
		close(fd);
		return ret;
	}
	return fd;
}

/* One that was lost before it was accepted is none: the next one, then. */
static bool accept_again(int error)
{
	return error == EINTR || error == ECONNABORTED || error == EPROTO;
}

/* It has the listener's buffers, but those that the kernel did not let grow so far may be set now. */
int tcp_accept(int listener, const struct tcp_options *options)
{
	int fd, ret;

	do {
		fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
	} while (fd < 0 && accept_again(errno));
	if (fd < 0)
		return -errno;
	ret = option_set(fd, IPPROTO_TCP, TCP_NODELAY, 1) ?: buffers_set(fd, options);
	if (ret) {
		close(fd);
		return ret;
	}
	return fd;
}

/*
 * Fast Open needs a cookie of an earlier connection. With one, this is made only with the first bytes that are sent, and until
 * then the socket says that it is writable.
 */
int tcp_connect(const struct sockaddr *addr, const struct tcp_options *options)
{
	int fd = socket_open(addr, options), ret;

	if (fd < 0)
		return fd;
	ret = option_set(fd, IPPROTO_TCP, TCP_NODELAY, 1);
	if (!ret && options->fast_open)
		ret = option_set(fd, IPPROTO_TCP, TCP_FASTOPEN_CONNECT, 1);
	if (!ret && connect(fd, addr, address_len(addr)) && errno != EINPROGRESS && errno != EINTR)
		ret = -errno;
	if (ret) {
		close(fd);
		return ret;
	}
	return fd;
}

int tcp_connected(int fd)
{
	struct pollfd p = { .fd = fd, .events = POLLOUT };
	struct sockaddr_storage peer;
	socklen_t len = sizeof(peer), error_len = sizeof(int);
	int error;

	if (getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &error_len))
		return -errno;
	if (error)
		return -error;
	if (!getpeername(fd, (struct sockaddr *)&peer, &len))
		return 0;
	if (poll(&p, 1, 0) <= 0)
		return -EINPROGRESS;
	return p.revents & (POLLERR | POLLHUP) ? -ENOTCONN : 0;
}
