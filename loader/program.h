/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* The kernel's programs of an instance: load, pin, replace, unload, tell. */
#ifndef XSR_PROGRAM_H
#define XSR_PROGRAM_H

#include <stdbool.h>
#include <stdint.h>

#include "instance.h"

struct program_options {
	uint32_t dense_len;  /* 0 = default, or what is there */
	uint32_t routes_max; /* 0 = default, or what is there */
};

/* What loading did, for one line each. */
struct program_report {
	bool bpffs_mounted;
	bool maps_kept;		/* routes and services of before are in force */
	bool globals_linked;	/* `ip link ... xdp obj` follows the same maps */
	int n_replaced;		/* devices on which the running program was exchanged */
	int n_replace_failed;
	char dir[INSTANCE_PATH_LEN];
};

struct program_info {
	bool pinned;	 /* false: only attached by `ip link ... xdp obj` */
	uint32_t id;
	uint32_t len_jited;
	uint32_t len_xlated;
	char name[16];
	char pin[INSTANCE_PATH_LEN + 16];
	char dir[INSTANCE_PATH_LEN]; /* of the maps */
	char tag[17];
};

/*
 * Loads the programs and pins them with their maps, all at once or not at all. If
 * the instance is loaded, its maps stay as they are and the new program takes the
 * place of the old one on every device of this network namespace without a gap.
 * 0, or -errno and a sentence in `why`; *report is filled on success.
 */
int program_load(const char *name, const struct program_options *options, struct program_report *report,
		 char why[LOADER_WHY_LEN]);

/*
 * Removes the pins. The maps live on while a device runs the program, so this refuses
 * (-EBUSY) then; `force` detaches it from the devices of this network namespace first.
 */
int program_unload(const char *name, bool force, char why[LOADER_WHY_LEN]);

/* 0; -ENOENT if the instance is not loaded; -errno. */
int program_info(const char *name, struct program_info *info, char why[LOADER_WHY_LEN]);

/*
 * A file descriptor of one of the instance's pinned programs, INSTANCE_STEER or
 * INSTANCE_SELECT, which the caller closes; or -errno with a sentence.
 */
int program_open(const char *name, const char *program, char why[LOADER_WHY_LEN]);

#endif /* XSR_PROGRAM_H */
