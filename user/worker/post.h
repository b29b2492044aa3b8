/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Mail between the threads of a router: each worker, and the control thread, has a post, and a ring to and from
 * every other one. Who sleeps is woken, who runs is not: a sender rings the receiver's bell, and writes its eventfd only if it
 * had announced that it sleeps.
 */
#ifndef XSR_POST_H
#define XSR_POST_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "ring.h"
#include "types.h"

#define POST_CONTROL XSR_WORKERS_MAX /* the control thread's number */
#define POST_MAX (XSR_WORKERS_MAX + 1)
#define POST_SLOTS 512
#define MAIL_LEN 256
#define MAIL_ROOM (MAIL_LEN - 32)

enum mail_type {
	/* From control to a worker. */
	MAIL_JOIN,    /* another post is there: see struct mail_join */
	MAIL_PART,    /* it is going: forget its rings; answered by PARTED */
	MAIL_EXPECT,  /* hold the session's messages until its fence; answered by READY or REFUSED */
	MAIL_CANCEL,  /* expect it no more: what is held is served by what there is */
	MAIL_GIVE,    /* work off what has arrived by now, then give the session up to `worker` */
	MAIL_GIVE_EARLY, /* the same, as soon as all that was ever sent here has arrived; GIVE follows if that takes too long */
	MAIL_ADOPT,   /* hold every session that is new from now on; answered by ADOPTING */
	MAIL_ADOPTED, /* no more of that: those without a fence under way are served */
	MAIL_SETTLE,  /* work off what has arrived by now; answered by SETTLED */
	MAIL_LIST,    /* say what sessions of `service` (0: any) there are: count 0: from place `id` on, 1: session `id` */

	/* From a worker to control. */
	MAIL_PARTED,
	MAIL_READY,
	MAIL_REFUSED, /* no room for the session */
	MAIL_TAKEN,   /* the session is served; result: enum mail_taken */
	MAIL_ADOPTING,
	MAIL_SETTLED,
	MAIL_LISTED,  /* `count` rows of struct session_row, the next one's place in `id`; result: enum mail_listed */

	/* From a worker to a worker. */
	MAIL_FENCE,   /* nothing of this session comes before it any more; its state: struct mail_fence, then bytes */
};

/* How a session was taken. */
enum mail_taken {
	TAKEN_WITH_STATE,
	TAKEN_EMPTY,	    /* the old owner had nothing of it */
	TAKEN_STATE_REFUSED, /* by the handler: served without */
	TAKEN_NO_FENCE,	    /* it did not come in time: served without */
};

struct mail {
	uint8_t type;	     /* enum mail_type */
	uint8_t result;
	uint16_t worker;     /* GIVE: to whom */
	uint16_t generation; /* of the route */
	uint16_t count;
	uint32_t service;
	uint32_t n_slots;    /* that the record takes, this one included */
	uint64_t id;
	uint64_t token;	     /* names the handoff; comes back in answers, and goes along in the fence */
	_Alignas(8) uint8_t room[MAIL_ROOM]; /* the rest of the record stands in the slots behind */
};
_Static_assert(sizeof(struct mail) == MAIL_LEN, "whole slots");

enum mail_listed {
	LISTED_SOME, /* more comes by itself */
	LISTED_PAGE, /* more, if it is asked for */
	LISTED_ALL,
};

/* One post; the arrays are its owner's. */
struct post {
	unsigned int number;	       /* worker's, or POST_CONTROL */
	int fd;			       /* an eventfd, written to wake the owner */
	struct ring_end in[POST_MAX], out[POST_MAX];
	struct post *peers[POST_MAX];
	uint64_t known;		       /* workers that have rings here, a bit each */
	_Alignas(RING_LINE) atomic_bool rung;   /* there may be mail */
	_Alignas(RING_LINE) atomic_bool sleeps; /* the owner announced it */
};

/* In the room of a JOIN. The pointers are valid until PARTED. */
struct mail_join {
	struct ring *in, *out; /* as the receiver sees them */
	struct post *peer;
};

int post_open(struct post *post, unsigned int number); /* 0 or -errno */
void post_close(struct post *post);

/* The owner's side of a connection that begins, and ends. */
void post_join(struct post *post, unsigned int peer, const struct mail_join *join);
void post_part(struct post *post, unsigned int peer);

/* Whether a record of n slots has room. Owner's thread. */
bool post_has_room(struct post *post, unsigned int to, uint32_t n);

/*
 * A record of n slots to `to`, to be filled; post_send() then delivers it. Its mail is zeroed but for n_slots; the slots behind it are as
 * they were. NULL if there is no room, or nobody. Owner's thread. post_slot() is its i-th slot, 0 being the mail itself.
 */
struct mail *post_begin(struct post *post, unsigned int to, uint32_t n);
void *post_slot(struct post *post, unsigned int to, uint32_t i);
void post_send(struct post *post, unsigned int to);

/* One mail without more; false if there is no room. */
bool post_mail(struct post *post, unsigned int to, const struct mail *mail);

/* True if there may be mail; the mark is cleared, so read all of it. One load if there is none. */
static inline bool post_rung(struct post *post)
{
	return atomic_load_explicit(&post->rung, memory_order_relaxed) && atomic_exchange(&post->rung, false);
}

/* The next mail from `from`, or NULL; borrowed until post_done(). A record's further slots: post_more(i). */
struct mail *post_next(struct post *post, unsigned int from);
const void *post_more(const struct post *post, unsigned int from, uint32_t i);
void post_done(struct post *post, unsigned int from);

/*
 * Before sleeping: true if it may sleep now, false if there is mail. Whoever sends from here on writes fd. After sleeping, or instead:
 * post_awake(), which also empties fd.
 */
bool post_sleep(struct post *post);
void post_awake(struct post *post);

/* Wakes the owner as if there were mail. Any thread. */
void post_wake(struct post *post);

#endif /* XSR_POST_H */
