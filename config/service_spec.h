/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * What an operator writes of a service, on the command line or in the
 * configuration, checked and turned into the contract's struct.
 */
#ifndef XSR_SERVICE_SPEC_H
#define XSR_SERVICE_SPEC_H

#include <stddef.h>
#include <stdint.h>

#include "types.h"

#define SERVICE_WHY_LEN 256
#define SERVICE_CGROUP_LEN 256

/*
 * Words as written; NULL = not given. The first four must be, and of a TCP service that has any, its backends. What
 * only the other protocol has is refused.
 */
struct service_spec {
	const char *name;	    /* [A-Za-z0-9_-], at most XSR_NAME_LEN - 1 */
	const char *protocol;	    /* udp, tcp */
	const char *address;	    /* ADDR:PORT or [ADDR6]:PORT, no names; 0.0.0.0 = any IPv4, [::] = any */
	const char *id;		    /* rule, see profile.h */
	const char *default_action; /* pass (UDP's default), drop, hash (TCP's) */
	const char *stamp;	    /* UDP: off (default), on, or N from 2 to 2^31: about one of N messages */
	const char *dense;	    /* how many dense routes, up to 2^28, default 0; if there is room: maps/ */
	const char *node;	    /* number in dense IDs, up to 65535, default 0 */
	const char *mode;	    /* TCP: epoll (default), frames; with rule none: splice, relay, local */
	const char *frame_max;	    /* TCP with frames: 20 (a header alone) to 2^20, default 2^16 */
	const char **backends;	    /* TCP but for local: names, which the caller looks up */
	unsigned int n_backends;
	const char *cgroup;	    /* TCP, local alone, which needs it: a directory of cgroup v2, from the root on; the caller keeps it */
};

/*
 * Fills *out but for `next`, `dense_base` and `backends`: those the tables give,
 * here they keep their values. Returns 0, or -EINVAL and one sentence in `why`:
 * what, where, what was expected. *out is untouched on error. Any thread.
 */
int service_spec_parse(const struct service_spec *spec, struct xsr_service *out, char why[SERVICE_WHY_LEN]);

/* The inverse, for `show`: text of the address ("10.0.0.1:5000", "[::]:53") into buf; returns buf. */
#define SERVICE_ADDRESS_LEN 64
const char *service_address(const struct xsr_service *service, char buf[SERVICE_ADDRESS_LEN]);

/*
 * A number the way the whole command line takes it: decimal or 0x hex, nothing
 * before or behind it. Returns 0, -EINVAL (not a number) or -ERANGE (above max);
 * *out is untouched on error.
 */
int number_parse(const char *text, uint64_t max, uint64_t *out);

/*
 * Copies the name of a service or backend, which the sentence calls `what`, if it is one; NULL = not
 * given. 0, or -EINVAL and the sentence.
 */
int name_parse(const char *what, const char *name, char out[XSR_NAME_LEN], char why[SERVICE_WHY_LEN]);

/* Writes the sentence; returns -EINVAL. */
int spec_refuse(char why[SERVICE_WHY_LEN], const char *fmt, ...) __attribute__((format(printf, 2, 3)));

#endif /* XSR_SERVICE_SPEC_H */
