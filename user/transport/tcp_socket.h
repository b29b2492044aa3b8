/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* TCP sockets: how they come, and their options. Any thread. */
#ifndef XSR_TCP_SOCKET_H
#define XSR_TCP_SOCKET_H

#include <stdint.h>
#include <sys/socket.h>

struct tcp_options {
	uint32_t sndbuf, rcvbuf; /* bytes; 0 = the kernel's own tuning */
	int fast_open;		 /* listener: queue of so many; connection: not 0 = on */
};

/* A descriptor that does not block, or -errno. Connections have TCP_NODELAY. */
int tcp_listen(const struct sockaddr *addr, const struct tcp_options *options, int backlog); /* SO_REUSEPORT, SO_REUSEADDR */
int tcp_accept(int listener, const struct tcp_options *options);		/* -EAGAIN: there is none */
int tcp_connect(const struct sockaddr *addr, const struct tcp_options *options); /* may be under way: becomes writable */
int tcp_connected(int fd);							/* 0, -EINPROGRESS, or why it failed */

#endif /* XSR_TCP_SOCKET_H */
