/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The programs of bpf/bench.bpf.c: the traffic, what xsr is compared with, lookups alone. The one file of
 * the command that sees a skeleton: it is the bench's own program, not the router's.
 */
#ifndef XSR_TRAFFIC_H
#define XSR_TRAFFIC_H

#include <stdint.h>

#include "child.h"
#include "datagram.h"
#include "maps.h"

enum traffic_program { TRAFFIC_DROP, TRAFFIC_PASS, TRAFFIC_RECEIVE };

/* Lookups may overlap, as those of a batch of packets do; of chained ones each waits for the one before. */
enum traffic_lookup {
	TRAFFIC_NOTHING, /* the loop and the random numbers alone */
	TRAFFIC_DENSE,
	TRAFFIC_DENSE_CHAINED,
	TRAFFIC_HASH,
	TRAFFIC_HASH_CHAINED,
};

/* The IDs of a run, each as likely as any other. */
struct traffic_ids {
	uint64_t first;
	uint32_t n;
	uint32_t service; /* of hashed lookups */
};

struct traffic;

/* Loads the programs onto the instance's maps. 0, or -errno with a sentence. traffic_close() takes NULL. */
int traffic_open(struct traffic **out, struct maps *maps, char why[LAB_WHY_LEN]);
void traffic_close(struct traffic *traffic);

/* The program's and the pinger's map's file descriptors, borrowed. */
int traffic_program_fd(const struct traffic *traffic, enum traffic_program program);
int traffic_sockets_fd(const struct traffic *traffic);

/* What a generator sends. */
struct traffic_params {
	struct traffic *traffic;
	unsigned int ifindex; /* out of this device */
	struct traffic_ids ids;
	uint8_t frame[DATAGRAM_MAX];
	uint32_t frame_len;
};

/* A child's main: sends as fast as the core can until it is stopped. arg: struct traffic_params. */
int traffic_main(struct child_report *report, const void *arg);

/*
 * Nanoseconds that a lookup of random IDs takes, with the loop around it: the best of several runs, each too
 * short to be interrupted often. Negative: -errno.
 */
double traffic_lookup_ns(struct traffic *traffic, enum traffic_lookup lookup, const struct traffic_ids *ids);

#endif /* XSR_TRAFFIC_H */
