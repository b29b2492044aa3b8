/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The program on network devices. A device runs our program if the program
 * there uses this instance's maps, however it was attached: by `xsr net attach`, by
 * `ip link ... xdp pinned` or by `ip link ... xdp obj`.
 */
#ifndef XSR_ATTACH_H
#define XSR_ATTACH_H

#include <stdbool.h>
#include <stdint.h>

#include "instance.h"

enum attach_mode { ATTACH_AUTO, ATTACH_NATIVE, ATTACH_GENERIC };

struct attach_info {
	uint32_t ifindex;
	char ifname[16];
	char driver[32];
	enum attach_mode mode; /* native or generic */
	bool offloaded;	       /* attached in hardware; not ours then */
	bool ours;
	uint32_t prog_id;      /* 0 = none */
	char prog_name[16];
	uint32_t n_rx_queues;
	uint32_t mtu;
};

const char *attach_mode_name(enum attach_mode mode);

/*
 * Attaches the instance's pinned program to the device; *mode is what was asked for
 * and then what is. With ATTACH_AUTO, generic is tried if native fails, and `why`
 * says so ("" otherwise). 0; -EBUSY if another program is there; -errno. On
 * error `why` has a sentence with the cure.
 */
int net_attach(const char *name, const char *ifname, enum attach_mode *mode, char why[LOADER_WHY_LEN]);

/* Detaches our program. -ENOENT if it is not there, -EBUSY if another one is. */
int net_detach(const char *name, const char *ifname, char why[LOADER_WHY_LEN]);

/* What runs on a device. `name` decides what is ours. */
int net_info(const char *name, const char *ifname, struct attach_info *info, char why[LOADER_WHY_LEN]);

/* Calls fn for every device of this network namespace on which the instance's program runs. */
int net_for_each(const char *name, int (*fn)(const struct attach_info *info, void *arg), void *arg);

/* Puts the program of `prog_fd` in the place of the one described by *info, atomically. */
int net_replace(const struct attach_info *info, int prog_fd);

#endif /* XSR_ATTACH_H */
