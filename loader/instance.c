/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#include "instance.h"

#include <ctype.h>
#include <errno.h>
#include <linux/magic.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

bool instance_name_valid(const char *name)
{
	size_t i, len = strlen(name);

	for (i = 0; i < len; i++)
		if (!isalnum((unsigned char)name[i]) && name[i] != '_' && name[i] != '-')
			return false;
	return len > 0 && len < XSR_NAME_LEN;
}

static bool maps_pinned_in(const char *dir)
{
	char path[INSTANCE_PATH_LEN + 32];

	snprintf(path, sizeof(path), "%s/%s", dir, maps_name(MAPS_SERVICES));
	return access(path, F_OK) == 0;
}

int instance_dir(const char *name, char dir[INSTANCE_PATH_LEN])
{
	snprintf(dir, INSTANCE_PATH_LEN, "%s/%s", INSTANCE_ROOT, name);
	if (maps_pinned_in(dir))
		return 0;
	if (strcmp(name, INSTANCE_DEFAULT) || !maps_pinned_in(INSTANCE_GLOBALS))
		return -ENOENT;
	snprintf(dir, INSTANCE_PATH_LEN, "%s", INSTANCE_GLOBALS);
	return 0;
}

static bool bpffs_mounted(void)
{
	struct statfs fs;

	return statfs(INSTANCE_BPFFS, &fs) == 0 && (unsigned long)fs.f_type == BPF_FS_MAGIC;
}

int instance_prepare(bool *mounted, char why[LOADER_WHY_LEN])
{
	*mounted = false;
	if (!bpffs_mounted()) {
		if (mount("bpf", INSTANCE_BPFFS, "bpf", 0, "mode=0700")) {
			snprintf(why, LOADER_WHY_LEN,
				 "no BPF file system on %s, and mounting it failed: %s; run as root, or: mount -t bpf bpf %s",
				 INSTANCE_BPFFS, strerror(errno), INSTANCE_BPFFS);
			return -errno;
		}
		*mounted = true;
	}
	if (mkdir(INSTANCE_ROOT, 0700) && errno != EEXIST) {
		snprintf(why, LOADER_WHY_LEN, "cannot make %s: %s", INSTANCE_ROOT, strerror(errno));
		return -errno;
	}
	return 0;
}

static int open_failed(const char *name, const char *dir, int ret, char why[LOADER_WHY_LEN])
{
	if (geteuid() != 0 && (ret == -EPERM || ret == -EACCES))
		snprintf(why, LOADER_WHY_LEN, "instance '%s': permission denied; run as root", name);
	else if (ret == -ENOENT)
		snprintf(why, LOADER_WHY_LEN, "instance '%s' is not loaded; load it with: xsr --name %s prog load", name,
			 name);
	else if (ret == -EPROTO)
		snprintf(why, LOADER_WHY_LEN,
			 "the maps in %s have the layout of another version of xsr; export the routes with that version, then: xsr --name %s prog unload",
			 dir, name);
	else
		snprintf(why, LOADER_WHY_LEN, "cannot open the maps in %s: %s", dir, strerror(-ret));
	return ret;
}

int instance_open(const char *name, struct maps **out, char why[LOADER_WHY_LEN])
{
	char dir[INSTANCE_PATH_LEN];
	bool mounted;
	int ret;

	if (access(INSTANCE_BPFFS, X_OK) && errno == EACCES)
		return open_failed(name, INSTANCE_BPFFS, -EACCES, why);
	ret = instance_dir(name, dir);
	if (ret)
		return open_failed(name, dir, ret, why);
	ret = instance_prepare(&mounted, why);
	if (ret)
		return ret;
	ret = maps_open(dir, INSTANCE_ROOT, out);
	return ret ? open_failed(name, dir, ret, why) : 0;
}
