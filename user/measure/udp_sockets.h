/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * UDP sockets to one address, by number: frames go out in batches; one socket after another may get a new port.
 */
#ifndef XSR_UDP_SOCKETS_H
#define XSR_UDP_SOCKETS_H

#include <netinet/in.h>
#include <stdint.h>

#define UDP_FRAME_LEN_MAX 2048
#define UDP_BATCH 64

struct udp_sockets;

/* Their answers wake epoll_fd, which is borrowed, by data.fd. 0 or -errno. */
int udp_sockets_open(struct udp_sockets **out, const struct sockaddr_storage *to, uint32_t n, int epoll_fd);
void udp_sockets_close(struct udp_sockets *sockets); /* takes NULL */

/* Room for a frame of len bytes, up to UDP_FRAME_LEN_MAX, which goes out with the socket's batch: the caller fills it
 * at once. */
uint8_t *udp_sockets_reserve(struct udp_sockets *sockets, uint32_t number, uint32_t len);

/* Sends all batches. Returns how many messages the kernel refused for good since the last call. */
uint64_t udp_sockets_flush(struct udp_sockets *sockets);

/* The next socket in turn, from 0, gets a new port; all is flushed. The old one still takes answers, for two seconds. 0
 * or -errno. */
int udp_sockets_roam(struct udp_sockets *sockets, uint64_t now_ns);

/* Closes old sockets whose time is over. */
void udp_sockets_expire(struct udp_sockets *sockets, uint64_t now_ns);

/* Takes up to UDP_BATCH datagrams of a socket that epoll named. */
void udp_sockets_receive(struct udp_sockets *sockets, int fd,
			 void (*take)(const uint8_t *data, uint32_t len, void *arg), void *arg);

#endif /* XSR_UDP_SOCKETS_H */
