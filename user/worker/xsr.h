/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * libxsr: what `xsr run` is made of, for programs that bring their own
 * handler. Open a router, let it run its own threads (xsr_router_start) or poll each
 * worker from yours (xsr_worker_poll), close it. The instance's maps must be
 * loaded (xsr prog load); services and routes are those of the instance.
 *
 * Errors are negative errno values; where there is a `why`, it gets one
 * sentence for the operator. Times are nanoseconds of CLOCK_MONOTONIC.
 */
#ifndef XSR_H
#define XSR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#define XSR_API __attribute__((visibility("default")))
#define XSR_WHY_LEN 384

/* Who is at the other end, and by which address and path of ours. */
struct xsr_peer {
	uint8_t addr[16];  /* IPv6, or IPv4 in the last 4 bytes */
	uint8_t local[16]; /* ours, likewise */
	uint16_t port;	   /* network order */
	uint16_t local_port;
	uint8_t family;	   /* 4 or 6 */
	uint8_t link_len;  /* bytes of `link` */
	uint16_t queue;	   /* that the message came from, numbered within the instance */
	uint8_t link[22];  /* link layer header as received: Ethernet, up to two VLAN tags */
	uint8_t pad[2];
};

/* A datagram. Received ones are borrowed: the handler's verdict ends the loan. */
struct xsr_message {
	uint8_t *data;	     /* the payload; may be changed in place */
	uint32_t len;	     /* bytes of it */
	uint32_t room;	     /* bytes that fit at data */
	uint64_t id;	     /* session ID, if has_id */
	uint64_t time_ns;    /* when the kernel's program saw it; 0 = not stamped */
	uint16_t generation; /* of the route that brought it here; 0 = not stamped, or by a default action */
	uint16_t service;    /* number of the service, 1..63 */
	bool has_id;
	uint64_t buffer;     /* the transport's own */
	struct xsr_peer peer;
};

/* A session that this worker owns. Valid until the handler's forget(). */
struct xsr_session {
	uint64_t id;
	uint32_t service;
	uint32_t index;	      /* dense, 0 .. sessions_max - 1: for the handler's own arrays */
	uint64_t n_messages;
	uint64_t last_ns;     /* of the newest message */
	uint64_t moved_ns;    /* when it came from another worker; 0 = never */
	uint32_t n_handoffs;  /* times that it moved */
	uint16_t generation;  /* of its route, as far as this worker was told; 0 = not told */
	uint16_t pad;
	void *state;	      /* the handler's */
	struct xsr_peer peer; /* follows the newest message: a client that roams keeps its session */
};

enum xsr_verdict {
	XSR_RELEASE, /* done with the message */
	XSR_REPLY,   /* send message->data[0..len) back to message->peer */
};

struct xsr_worker;

/*
 * What a service does with its messages. One worker's calls all come from one
 * thread; context is that worker's own. Functions but message() may be NULL.
 */
struct xsr_handler {
	const char *name;
	int (*open)(struct xsr_worker *worker, void **context);
	/* session is NULL if the message has no ID or the table is full. */
	enum xsr_verdict (*message)(void *context, struct xsr_session *session, struct xsr_message *message);
	void (*forget)(void *context, struct xsr_session *session); /* it was silent for too long */
	/*
	 * The session moves to another worker: writes its state, at most state_len_max bytes, and is done with it, as after
	 * forget(). Returns how many, or -errno: then it goes on without.
	 */
	int (*give_up)(void *context, struct xsr_session *session, void *state);
	/* It came from another worker with this state, written by give_up() of the given state_version. 0, or -errno. */
	int (*take_over)(void *context, struct xsr_session *session, uint16_t version, const void *state, size_t len);
	uint16_t state_version;
	uint32_t state_len_max; /* at most 65536 */
	void (*tick)(void *context, uint64_t now_ns);		    /* about once a second */
	void (*close)(void *context);
};

/* Zero means the default, but for n_workers and handler. */
struct xsr_router_config {
	const char *instance;		 /* "xsr" */
	const char *const *devices;	 /* interface names */
	unsigned int n_devices;
	const char *transport;		 /* "xdp", "udp"; NULL: xdp if there is a device that can, else udp */
	unsigned int n_workers;
	const int *cpus;		 /* core of each worker, -1 = not pinned; NULL = worker i on the i-th core allowed */
	bool spin;			 /* poll without sleeping */
	unsigned int n_frames;		 /* of each queue, a power of two; 4096 */
	unsigned int frame_len;		 /* 2048 or 4096; 2048 */
	unsigned int ring_len;		 /* entries of each socket's rings, a power of two; 2048 */
	unsigned int batch;		 /* messages taken at once, at most 256; 64 */
	unsigned int sessions_max;	 /* of each worker; 65536 */
	unsigned int idle_s;		 /* silent sessions are forgotten after; 0 = never */
	unsigned int hold_max;		 /* messages that a session on its way may hold; 1024, or */
	unsigned int hold_ms;		 /* as many as come in this time, whichever is more; 64 */
	unsigned int hold_len;		 /* bytes of all messages that a worker holds; 16 MiB */
	unsigned int fence_ms;		 /* a session's state is waited for so long; 1000 */
	const struct xsr_handler *handler;
	/* What is worth telling an operator; NULL = nowhere. Workers' threads call it too. */
	void (*log)(const char *sentence, void *arg);
	void *log_arg;
};

struct xsr_router;

/*
 * Opens maps, memory and the sockets of all workers; nothing is delivered yet.
 * The config is borrowed until it returns, but for handler, log and what log_arg points to.
 */
XSR_API int xsr_router_open(struct xsr_router **router, const struct xsr_router_config *config, char why[XSR_WHY_LEN]);

/* Tells the kernel to deliver; what fails is logged. Idempotent. */
XSR_API int xsr_router_publish(struct xsr_router *router);

/* Publishes, and runs each worker in a pinned thread of its own. */
XSR_API int xsr_router_start(struct xsr_router *router);

/*
 * Stops delivery, lets the workers work off what they have (at most 2 s), ends the threads. 0, or -ETIMEDOUT if one does not end,
 * because its handler does not return: then xsr_router_close() waits for it.
 */
XSR_API int xsr_router_stop(struct xsr_router *router);

/* Stops if it runs, and frees. Takes NULL. */
XSR_API void xsr_router_close(struct xsr_router *router);

/* Borrowed from the router. NULL past the last. */
XSR_API struct xsr_worker *xsr_router_worker(struct xsr_router *router, unsigned int number);

/* "xdp native copy" and the like: the path that really runs. Borrowed. */
XSR_API const char *xsr_router_mode_active(const struct xsr_router *router);

/*
 * For programs with their own threads: takes and handles one batch; sleeps up to timeout_ms if there is
 * none (0 = does not sleep). Returns how many messages, or -errno. One thread a worker.
 */
XSR_API int xsr_worker_poll(struct xsr_worker *worker, int timeout_ms);

/*
 * The controller of a router that runs: moves sessions between workers, adds and removes workers, says what there is, by the commands
 * `xsr session` and `xsr worker` on the instance's control socket. Without one, give_up() and take_over() are never called.
 */
struct xsr_control;

/* After xsr_router_start(), or xsr_router_publish(). 0, or -errno with a sentence. The router is borrowed until xsr_control_close(). */
XSR_API int xsr_control_open(struct xsr_control **control, struct xsr_router *router, char why[XSR_WHY_LEN]);

/* Becomes readable when there is something to do, for programs with a loop of their own. Borrowed. */
XSR_API int xsr_control_fd(const struct xsr_control *control);

/* Does what there is to do; sleeps up to timeout_ms if there is nothing, -1 = without end. 0 or -errno. One thread, no worker's. */
XSR_API int xsr_control_poll(struct xsr_control *control, int timeout_ms);

/* What is under way ends unfinished: sessions that wait for their state go on without. Before the router is stopped. Takes NULL. */
XSR_API void xsr_control_close(struct xsr_control *control);

XSR_API unsigned int xsr_worker_number(const struct xsr_worker *worker);

/* The handlers that come with xsr: "echo". NULL if there is none of that name. */
XSR_API const struct xsr_handler *xsr_handler_find(const char *name);

#ifdef __cplusplus
}
#endif

#endif /* XSR_H */
