/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * A client's connection between two workers: its descriptor, what was read of it and not looked at, and its sessions, of which nothing is
 * on its way to or from a backend. Whoever has it owns it; it goes by mail as a pointer.
 */
#ifndef XSR_PARCEL_H
#define XSR_PARCEL_H

#include "front.h"

struct parcel_session {
	uint64_t id;
	uint32_t backend;	 /* 0 = it was at none */
	bool was_up;		 /* that one; the next worker must have it, too */
	bool is_routed;
	uint16_t generation;
	uint32_t routes_version;
	uint32_t n_moves;
	struct stream_progress progress;
};

struct parcel {
	struct xsr_service service; /* of which it is a client */
	uint32_t index;		    /* of that */
	unsigned int from;
	uint64_t id, token;	    /* as of a handover */
	uint8_t result;		    /* enum handover_result: why it comes back */
	int fd;
	uint64_t accepted_ns, read_ns, active_ns, refused_id;
	unsigned int n_pings;
	uint8_t *kept;		    /* kept_len bytes, behind the sessions */
	size_t kept_len;
	uint32_t n_sessions;
	struct parcel_session sessions[];
};

/* By mail, which owns it then; without room for that it is dropped. */
void parcel_send(struct gateway *gateway, unsigned int to, struct parcel *parcel);
struct parcel *parcel_of(const struct mail *mail);

/* Nothing of it stays here: its sessions are the other worker's from now on. NULL: there is no memory, and nothing has changed. */
struct parcel *parcel_pack(struct front *client, unsigned int to);

/*
 * It is this worker's from here on, and is served; the parcel is freed. A session that has a later connection here stays with that one. False:
 * there is no memory, and it is closed.
 */
bool parcel_unpack(struct gateway *gateway, struct parcel *parcel);

/* This worker does not take it: its sessions are `to`'s, but for those that have come here by another connection meanwhile. */
void parcel_return(struct gateway *gateway, struct parcel *parcel, unsigned int to);

/* Closes the connection, whose sessions are nobody's then, and frees it. */
void parcel_drop(struct gateway *gateway, struct parcel *parcel, enum xsr_stream_stat why);

#endif /* XSR_PARCEL_H */
