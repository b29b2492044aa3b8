/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The one client of all round trip times: an AF_XDP socket on the client's end of the narrow wire, spinning,
 * one ping in flight. What it costs itself is in every row alike.
 */
#ifndef XSR_PINGER_H
#define XSR_PINGER_H

#include <stdint.h>

#include "child.h"
#include "datagram.h"

struct pinger_params {
	const char *device;
	int sockets_fd; /* the XSKMAP of the program on that device */
	uint64_t warmup_ns;
	uint64_t measure_ns;
	uint8_t frame[DATAGRAM_MAX]; /* the ping; its number counts up */
	uint32_t frame_len;
};

/*
 * A child's main; arg: struct pinger_params. Ends by itself. report->rtt_ns has the times from before the
 * send to the answer's arrival; report->n_lost those without an answer within 100 ms.
 */
int pinger_main(struct child_report *report, const void *arg);

#endif /* XSR_PINGER_H */
