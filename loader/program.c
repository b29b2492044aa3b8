/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#include "program.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <bpf/bpf.h>
#include <bpf/libbpf.h>

#include "attach.h"
#include "libbpf_log.h"
#include "select.skel.h"
#include "steer.skel.h"

/* Both programs, on the same maps. */
struct programs {
	struct steer_bpf *steer;
	struct select_bpf *select;
};

static int fail(int ret, char why[LOADER_WHY_LEN], const char *what, const char *on)
{
	const char *kernel = libbpf_log_take();

	snprintf(why, LOADER_WHY_LEN, "cannot %s %s: %s%s%.160s%s", what, on, strerror(-ret), *kernel ? " (" : "", kernel,
		 *kernel ? ")" : "");
	return ret;
}

/* An instance's own directory, where pins go; its maps may still stand in ip's. */
static void own_dir(const char *name, const char *suffix, char dir[INSTANCE_PATH_LEN])
{
	snprintf(dir, INSTANCE_PATH_LEN, "%s/%s%s", INSTANCE_ROOT, name, suffix);
}

/* Removes a directory of pins and what is in it. */
static void dir_remove(const char *dir)
{
	DIR *d = opendir(dir);
	struct dirent *entry;

	if (!d)
		return;
	while ((entry = readdir(d)))
		if (entry->d_name[0] != '.')
			unlinkat(dirfd(d), entry->d_name, 0);
	closedir(d);
	rmdir(dir);
}

/* libbpf would take the size of the pinned values for that which the program was made for. */
static int layout_check(const struct bpf_map *map, int fd)
{
	struct bpf_map_info info = {};
	__u32 len = sizeof(info);

	if (bpf_obj_get_info_by_fd(fd, &info, &len))
		return -errno;
	return info.key_size == bpf_map__key_size(map) && info.value_size == bpf_map__value_size(map) ? 0 : -EPROTO;
}

static int map_reuse(struct bpf_map *map, const char *dir)
{
	char path[INSTANCE_PATH_LEN + 32];
	int fd, ret;

	snprintf(path, sizeof(path), "%s/%s", dir, bpf_map__name(map));
	fd = bpf_obj_get(path);
	if (fd < 0)
		return -errno;
	ret = layout_check(map, fd);
	if (!ret)
		ret = bpf_map__reuse_fd(map, fd);
	close(fd);
	return ret;
}

/* A map that is missing, or has values of another size, was pinned by another version. */
static int reuse_failed(int ret, const char *map, const char *dir, char why[LOADER_WHY_LEN])
{
	if (ret != -ENOENT && ret != -EPROTO)
		return fail(ret, why, "take over the map", map);
	snprintf(why, LOADER_WHY_LEN,
		 "%s/%s is not there, or has the layout of another version of xsr; export the routes with that version, then: prog unload",
		 dir, map);
	return ret;
}

/* The maps that are pinned stay: the new program is built around them. */
static int maps_reuse(struct bpf_object *obj, const char *dir, char why[LOADER_WHY_LEN])
{
	struct bpf_map *map;
	int ret;

	bpf_object__for_each_map(map, obj) {
		if (bpf_map__is_internal(map))
			continue;
		ret = map_reuse(map, dir);
		if (ret)
			return reuse_failed(ret, bpf_map__name(map), dir, why);
	}
	return 0;
}

static int size_set(struct bpf_map *map, uint32_t asked, bool kept, char why[LOADER_WHY_LEN])
{
	if (!asked || (kept && asked == bpf_map__max_entries(map)))
		return 0;
	if (kept) {
		snprintf(why, LOADER_WHY_LEN,
			 "%s has %u entries and keeps them across a reload; to change that: export the routes, prog unload, prog load",
			 bpf_map__name(map), bpf_map__max_entries(map));
		return -EINVAL;
	}
	return bpf_map__set_max_entries(map, asked);
}

/* The pins are made below by hand, all at once: libbpf must not make its own. */
static void autopin_off(struct bpf_object *obj)
{
	struct bpf_map *map;

	bpf_object__for_each_map(map, obj)
		bpf_map__set_pin_path(map, NULL);
}

static int load_failed(int ret, char why[LOADER_WHY_LEN])
{
	return fail(ret, why, "load",
		    ret == -EPERM ? "the programs; run as root, or with CAP_BPF and CAP_NET_ADMIN" :
				    "the programs into the kernel");
}

static int steer_open(struct programs *p, const char *old_dir, const struct program_options *options,
		      char why[LOADER_WHY_LEN])
{
	int ret;

	p->steer = steer_bpf__open();
	if (!p->steer)
		return fail(-errno, why, "open", "the built-in program");
	autopin_off(p->steer->obj);
	ret = old_dir ? maps_reuse(p->steer->obj, old_dir, why) : 0;
	if (!ret)
		ret = size_set(p->steer->maps.xsr_dense, options->dense_len, old_dir, why);
	if (!ret)
		ret = size_set(p->steer->maps.xsr_routes, options->routes_max, old_dir, why);
	if (ret)
		return ret;
	ret = steer_bpf__load(p->steer);
	return ret ? load_failed(ret, why) : 0;
}

/* The maps of the other program where they are the same, those that are pinned for its own. */
static int select_open(struct programs *p, const char *old_dir, char why[LOADER_WHY_LEN])
{
	struct bpf_map *map, *shared;
	int ret = 0;

	p->select = select_bpf__open();
	if (!p->select)
		return fail(-errno, why, "open", "the built-in program");
	autopin_off(p->select->obj);
	bpf_object__for_each_map(map, p->select->obj) {
		shared = bpf_object__find_map_by_name(p->steer->obj, bpf_map__name(map));
		if (bpf_map__is_internal(map))
			continue;
		if (shared)
			ret = bpf_map__reuse_fd(map, bpf_map__fd(shared));
		else if (old_dir)
			ret = map_reuse(map, old_dir);
		if (ret && ret != -ENOENT)
			return reuse_failed(ret, bpf_map__name(map), old_dir, why);
	}
	ret = select_bpf__load(p->select);
	return ret ? load_failed(ret, why) : 0;
}

static void programs_close(struct programs *p)
{
	steer_bpf__destroy(p->steer);
	select_bpf__destroy(p->select);
}

static int program_pin(const struct bpf_program *program, const char *dir, const char *name,
		       char why[LOADER_WHY_LEN])
{
	char path[INSTANCE_PATH_LEN + 32];

	snprintf(path, sizeof(path), "%s/%s", dir, name);
	return bpf_obj_pin(bpf_program__fd(program), path) ? fail(-errno, why, "pin", path) : 0;
}

/* Maps that are pinned already are those of the other program. */
static int maps_pin(struct bpf_object *obj, const char *dir, char why[LOADER_WHY_LEN])
{
	char path[INSTANCE_PATH_LEN + 32];
	struct bpf_map *map;

	bpf_object__for_each_map(map, obj) {
		if (bpf_map__is_internal(map))
			continue;
		snprintf(path, sizeof(path), "%s/%s", dir, bpf_map__name(map));
		if (bpf_obj_pin(bpf_map__fd(map), path) && errno != EEXIST)
			return fail(-errno, why, "pin", path);
	}
	return 0;
}

static int pin_all(const struct programs *p, const char *dir, char why[LOADER_WHY_LEN])
{
	int ret;

	if (mkdir(dir, 0700))
		return fail(-errno, why, "make", dir);
	ret = program_pin(p->steer->progs.xsr_steer, dir, INSTANCE_STEER, why);
	if (!ret)
		ret = program_pin(p->select->progs.xsr_select, dir, INSTANCE_SELECT, why);
	if (!ret)
		ret = maps_pin(p->steer->obj, dir, why);
	if (!ret)
		ret = maps_pin(p->select->obj, dir, why);
	return ret;
}

/* One rename: whoever looks sees all of the old pins or all of the new. */
static int pins_publish(const char *tmp, const char *dir, char why[LOADER_WHY_LEN])
{
	bool exists = access(dir, F_OK) == 0;

	if (renameat2(AT_FDCWD, tmp, AT_FDCWD, dir, exists ? RENAME_EXCHANGE : RENAME_NOREPLACE))
		return fail(-errno, why, "rename the pins to", dir);
	if (exists)
		dir_remove(tmp);
	return 0;
}

/* Where `ip link ... xdp obj` finds maps by name. A link that is there is the same map, or we leave it. */
static bool globals_link(const struct programs *p)
{
	char path[INSTANCE_PATH_LEN];
	struct bpf_map *map;
	bool all = true;

	mkdir(INSTANCE_BPFFS "/tc", 0700);
	mkdir(INSTANCE_GLOBALS, 0700);
	bpf_object__for_each_map(map, p->steer->obj) {
		if (bpf_map__is_internal(map))
			continue;
		snprintf(path, sizeof(path), "%s/%s", INSTANCE_GLOBALS, bpf_map__name(map));
		if (access(path, F_OK) && bpf_obj_pin(bpf_map__fd(map), path))
			all = false;
	}
	return all;
}

static void globals_unlink(void)
{
	char path[INSTANCE_PATH_LEN];
	int i;

	for (i = 0; i < MAPS_MAX; i++) {
		snprintf(path, sizeof(path), "%s/%s", INSTANCE_GLOBALS, maps_name(i));
		unlink(path);
	}
}

struct replacement {
	int prog_fd;
	struct program_report *report;
};

static int replace_one(const struct attach_info *info, void *arg)
{
	struct replacement *r = arg;

	if (net_replace(info, r->prog_fd))
		r->report->n_replace_failed++;
	else
		r->report->n_replaced++;
	return 0;
}

static int load_locked(const char *name, const struct program_options *options, struct program_report *report,
		       char why[LOADER_WHY_LEN])
{
	char tmp[INSTANCE_PATH_LEN], old[INSTANCE_PATH_LEN];
	struct replacement replacement = { .report = report };
	struct programs p = {};
	int ret;

	own_dir(name, "", report->dir);
	own_dir(name, "-loading", tmp);
	dir_remove(tmp); /* what a killed loader left */
	report->maps_kept = instance_dir(name, old) == 0;
	ret = steer_open(&p, report->maps_kept ? old : NULL, options, why);
	if (!ret)
		ret = select_open(&p, report->maps_kept ? old : NULL, why);
	if (!ret)
		ret = pin_all(&p, tmp, why);
	if (!ret)
		ret = pins_publish(tmp, report->dir, why);
	if (!ret) {
		report->globals_linked = !strcmp(name, INSTANCE_DEFAULT) && globals_link(&p);
		replacement.prog_fd = bpf_program__fd(p.steer->progs.xsr_steer);
		net_for_each(name, replace_one, &replacement);
	} else {
		dir_remove(tmp);
	}
	programs_close(&p);
	return ret;
}

/* One loader at a time; see maps_lock() for the same lock among writers. */
static int root_lock(void)
{
	int fd = open(INSTANCE_ROOT, O_RDONLY | O_CLOEXEC);

	int ret = fd < 0 ? -errno : 0;

	if (!ret && flock(fd, LOCK_EX))
		ret = -errno;
	if (ret && fd >= 0)
		close(fd);
	return ret ? ret : fd;
}

int program_load(const char *name, const struct program_options *options, struct program_report *report,
		 char why[LOADER_WHY_LEN])
{
	int lock, ret;

	memset(report, 0, sizeof(*report));
	libbpf_log_capture();
	ret = instance_prepare(&report->bpffs_mounted, why);
	if (ret)
		return ret;
	lock = root_lock();
	if (lock < 0)
		return fail(lock, why, "lock", INSTANCE_ROOT);
	ret = load_locked(name, options, report, why);
	close(lock);
	return ret;
}

static int detach_one(const struct attach_info *info, void *arg)
{
	return net_detach(arg, info->ifname, (char[LOADER_WHY_LEN]){});
}

static int first_device(const struct attach_info *info, void *arg)
{
	snprintf(arg, sizeof(info->ifname), "%s", info->ifname);
	return 1;
}

int program_unload(const char *name, bool force, char why[LOADER_WHY_LEN])
{
	char dir[INSTANCE_PATH_LEN], maps_dir[INSTANCE_PATH_LEN], ifname[16];
	int ret;

	libbpf_log_capture();
	own_dir(name, "", dir);
	ret = instance_dir(name, maps_dir);
	if (ret) {
		snprintf(why, LOADER_WHY_LEN, "instance '%s' is not loaded", name);
		return ret;
	}
	if (force)
		net_for_each(name, detach_one, (void *)name);
	if (net_for_each(name, first_device, ifname) > 0) {
		snprintf(why, LOADER_WHY_LEN,
			 "the program runs on '%s'; detach it first: xsr --name %s net detach %s (or: prog unload force)",
			 ifname, name, ifname);
		return -EBUSY;
	}
	dir_remove(dir);
	if (!strcmp(name, INSTANCE_DEFAULT))
		globals_unlink();
	return 0;
}

int program_open(const char *name, const char *program, char why[LOADER_WHY_LEN])
{
	char path[INSTANCE_PATH_LEN + 32];
	int fd;

	snprintf(path, sizeof(path), "%s/%s/%s", INSTANCE_ROOT, name, program);
	fd = bpf_obj_get(path);
	if (fd >= 0)
		return fd;
	fd = -errno;
	if (fd == -ENOENT)
		snprintf(why, LOADER_WHY_LEN, "no program of instance '%s' is pinned; load it with: xsr --name %s prog load",
			 name, name);
	else
		fail(fd, why, "open", path);
	return fd;
}

int program_info(const char *name, struct program_info *info, char why[LOADER_WHY_LEN])
{
	struct bpf_prog_info prog = {};
	__u32 len = sizeof(prog);
	int fd, ret, i;

	memset(info, 0, sizeof(*info));
	ret = instance_dir(name, info->dir);
	if (ret) {
		snprintf(why, LOADER_WHY_LEN, "instance '%s' is not loaded; load it with: xsr --name %s prog load", name,
			 name);
		return ret;
	}
	fd = program_open(name, INSTANCE_STEER, why);
	if (fd == -ENOENT)
		return 0; /* maps that `ip link ... xdp obj` pinned */
	if (fd < 0)
		return fd;
	ret = bpf_obj_get_info_by_fd(fd, &prog, &len) ? -errno : 0;
	close(fd);
	if (ret)
		return fail(ret, why, "ask the kernel about", INSTANCE_STEER);
	info->pinned = true;
	info->id = prog.id;
	info->len_jited = prog.jited_prog_len;
	info->len_xlated = prog.xlated_prog_len;
	snprintf(info->name, sizeof(info->name), "%s", prog.name);
	snprintf(info->pin, sizeof(info->pin), "%s/%s/%s", INSTANCE_ROOT, name, INSTANCE_STEER);
	for (i = 0; i < 8; i++)
		snprintf(info->tag + 2 * i, 3, "%02x", prog.tag[i]);
	return 0;
}
