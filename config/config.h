/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The router's configuration: a YAML file -> one struct, checked once, here.
 * No kernel call is made: whether a device or a core exists is asked later.
 */
#ifndef XSR_CONFIG_H
#define XSR_CONFIG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "service_spec.h"
#include "types.h"

#define CONFIG_WHY_LEN 512 /* all keys are named in one */
#define CONFIG_FILE_MAX (1024 * 1024) /* bytes */

/* In cpus[], besides the number of a core. */
#define CONFIG_CPU_NONE (-1) /* not pinned */
#define CONFIG_CPU_AUTO (-2) /* not said: worker N on the N-th core that the process may use, round and round */

enum config_mode { CONFIG_MODE_AUTO, CONFIG_MODE_NATIVE, CONFIG_MODE_GENERIC };
enum config_transport { CONFIG_TRANSPORT_AUTO, CONFIG_TRANSPORT_XDP, CONFIG_TRANSPORT_UDP };
enum config_wait { CONFIG_WAIT_SLEEP, CONFIG_WAIT_SPIN };

struct config {
	char instance[XSR_NAME_LEN];		  /* default "xsr" */
	char devices[XSR_DEVICES_MAX][16];	  /* interface names */
	unsigned int n_devices;			  /* 0: only transport udp can serve */
	enum config_mode mode;			  /* how to attach, if it is not attached yet */
	enum config_transport transport;	  /* auto: xdp, or udp with a warning */
	enum config_wait wait;
	char handler[XSR_NAME_LEN];		  /* default "echo" */
	int cpus[XSR_WORKERS_MAX];		  /* worker -> core it is pinned to, or CONFIG_CPU_* */
	unsigned int n_workers;			  /* 1..XSR_WORKERS_MAX */
	unsigned int n_frames;			  /* UMEM frames of each queue; a power of two */
	unsigned int frame_len;			  /* bytes, 2048 or 4096 */
	unsigned int ring_len;			  /* entries of each socket's rings; a power of two */
	unsigned int batch;			  /* messages taken at once, 1..256 */
	unsigned int sessions_max;		  /* in each worker's table */
	unsigned int idle_s;			  /* a session silent for longer is forgotten; 0 = never */
	unsigned int hold_max;			  /* messages that a session on its way to another worker may hold, */
	unsigned int hold_ms;			  /* or those of this time, whichever is more */
	unsigned int hold_mib;			  /* that all messages held by a worker may take */
	unsigned int fence_ms;			  /* the state of such a session is waited for so long */
	unsigned int connections_max;		  /* clients of TCP services that a worker serves at a time */
	unsigned int stream_mib;		  /* that all which a worker has of them in memory may take */
	unsigned int queue_kib;			  /* that one of their connections may have unsent */
	unsigned int kernel_queue_kib;		  /* the same, if the kernel moves its bytes */
	unsigned int deadline_ms;		  /* a request without a reply is answered by an error; 0 = never */
	unsigned int heartbeat_ms;		  /* of silence, until a peer is asked whether it is there */
	unsigned int connection_idle_s;		  /* a connection without a request or reply is closed */
	unsigned int sndbuf_kib, rcvbuf_kib;	  /* of each of their sockets; 0 = the kernel's own tuning */
	unsigned int fast_open;			  /* clients that may wait with their first bytes; 0 = off */
	unsigned int backlog;			  /* clients that may wait for accept() */
	unsigned int reconnect_max_ms;		  /* between two tries to reach a backend */
	struct xsr_backend backends[XSR_BACKENDS_MAX]; /* as backend_add() takes them */
	unsigned int n_backends;
	struct xsr_service services[XSR_SERVICES_MAX]; /* as service_add() takes them, see service_spec.h, but for: */
	unsigned int n_services;		  /* the bits in their `backends` are places in the list above */
	char cgroups[XSR_SERVICES_MAX][SERVICE_CGROUP_LEN]; /* of each of them; empty but for mode local */
};

/*
 * Reads `path` into a new *out; the caller frees it with config_free().
 * Returns 0, or -errno with one sentence in `why`: file, line, what is wrong,
 * what was expected. Nothing is returned half filled. Any thread.
 */
int config_load(const char *path, struct config **out, char why[CONFIG_WHY_LEN]);
void config_free(struct config *config); /* takes NULL */

/* The same from memory; `name` stands for the file in `why`. */
int config_parse(const char *name, const void *data, size_t len, struct config **out, char why[CONFIG_WHY_LEN]);

/*
 * Whether `b` differs from the running `a` in anything but services and backends, which
 * alone are changed live: then `why` names the first key that does.
 */
bool config_needs_restart(const struct config *a, const struct config *b, char why[CONFIG_WHY_LEN]);

#endif /* XSR_CONFIG_H */
