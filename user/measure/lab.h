/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The place of the measurements: two network namespaces, xsr-bench-client and xsr-bench-server, and two
 * wires between them. WIDE has two queues at each end, NARROW one.
 *
 * On a wire frames sent by core N arrive on queue N modulo the number of queues, and the
 * receiving side's work (NAPI, the XDP program) runs on the sender's core: veth knows no other way.
 */
#ifndef XSR_LAB_H
#define XSR_LAB_H

#include <linux/types.h>
#include <stdint.h>

#define LAB_WHY_LEN 384
#define LAB_WIDE_QUEUES 2

enum lab_side { LAB_CLIENT, LAB_SERVER, LAB_SIDES };
enum lab_wire { LAB_WIDE, LAB_NARROW, LAB_WIRES };

/* One end of a wire; what the other end must know of it. */
struct lab_device {
	const char *name;
	uint8_t mac[6];
	__be32 addr;
	unsigned int ifindex; /* in its own namespace */
};

struct lab {
	int lock_fd; /* one bench at a time on this host */
	int home_fd; /* the namespace that we came from */
	int netns[LAB_SIDES];
	int sockets[LAB_SIDES]; /* any socket of that namespace, to ask its devices */
	struct lab_device devices[LAB_WIRES][LAB_SIDES];
};

/*
 * Builds it anew; what a killed bench left goes first. 0, or -errno with a sentence and nothing left behind;
 * -EBUSY if another bench runs. lab_close() tears it down.
 */
int lab_open(struct lab *lab, char why[LAB_WHY_LEN]);
void lab_close(struct lab *lab);

/* The calling thread enters that side's network namespace; lab_leave() goes back home. 0 or -errno. */
int lab_enter(const struct lab *lab, enum lab_side side);
int lab_leave(const struct lab *lab);

/*
 * Runs the XDP program on the device, natively, in place of what ran there; prog_fd -1 takes it off. 0 or
 * -errno.
 */
int lab_attach(const struct lab *lab, enum lab_wire wire, enum lab_side side, int prog_fd);

/* Frames that the device's XDP program has seen so far, on all queues; 0 if the driver does not tell. */
uint64_t lab_xdp_packets(const struct lab *lab, enum lab_wire wire, enum lab_side side);

#endif /* XSR_LAB_H */
