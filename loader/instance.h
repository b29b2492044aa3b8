/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * An instance: one set of pinned maps and programs, by name. Its pins are in
 * /sys/fs/bpf/xsr/NAME. Those of the default instance also stand where
 * `ip link set dev DEV xdp obj FILE` looks for maps by name, so that a program
 * attached that way follows the same routes.
 */
#ifndef XSR_INSTANCE_H
#define XSR_INSTANCE_H

#include <stdbool.h>

#include "maps.h"

#define INSTANCE_DEFAULT "xsr"
#define INSTANCE_BPFFS "/sys/fs/bpf"
#define INSTANCE_ROOT INSTANCE_BPFFS "/xsr"
#define INSTANCE_GLOBALS INSTANCE_BPFFS "/tc/globals"
#define INSTANCE_STEER "steer"	 /* pins in the instance's directory: the program for devices */
#define INSTANCE_SELECT "select" /* and the one for sockets */
#define INSTANCE_PATH_LEN 128
#define LOADER_WHY_LEN 384

/* [A-Za-z0-9_-], 1 to XSR_NAME_LEN - 1 characters: a pin's name may hold no dot. */
bool instance_name_valid(const char *name);

/*
 * Opens the instance's maps. 0, or -errno and a sentence in `why` with the cure:
 * not loaded, no root, no bpffs, maps of another version. maps_close() frees.
 */
int instance_open(const char *name, struct maps **out, char why[LOADER_WHY_LEN]);

/* Where the instance's maps are pinned now: its own directory, or where ip put them. -ENOENT if nowhere. */
int instance_dir(const char *name, char dir[INSTANCE_PATH_LEN]);

/* Mounts bpffs if it is not mounted, makes the root directory. 0 or -errno with a sentence. */
int instance_prepare(bool *mounted, char why[LOADER_WHY_LEN]);

#endif /* XSR_INSTANCE_H */
