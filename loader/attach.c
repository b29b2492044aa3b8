/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#include "attach.h"

#include <errno.h>
#include <linux/ethtool.h>
#include <linux/if_link.h>
#include <linux/sockios.h>
#include <net/if.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include <bpf/bpf.h>
#include <bpf/libbpf.h>

#include "libbpf_log.h"
#include "program.h"

#define PROG_MAPS_MAX 64

const char *attach_mode_name(enum attach_mode mode)
{
	static const char *const names[] = { "auto", "native", "generic" };

	return names[mode];
}

static __u32 mode_flags(enum attach_mode mode)
{
	return mode == ATTACH_GENERIC ? XDP_FLAGS_SKB_MODE : XDP_FLAGS_DRV_MODE;
}

/* The id of the instance's map of services: whoever uses it is ours. 0 = not loaded. */
static __u32 services_map_id(const char *name)
{
	char dir[INSTANCE_PATH_LEN], path[INSTANCE_PATH_LEN + 32];
	struct bpf_map_info info = {};
	__u32 len = sizeof(info);
	int fd;

	if (instance_dir(name, dir))
		return 0;
	snprintf(path, sizeof(path), "%s/%s", dir, maps_name(MAPS_SERVICES));
	fd = bpf_obj_get(path);
	if (fd < 0)
		return 0;
	if (bpf_obj_get_info_by_fd(fd, &info, &len))
		info.id = 0;
	close(fd);
	return info.id;
}

static void prog_describe(__u32 prog_id, __u32 map_id, struct attach_info *info)
{
	__u32 map_ids[PROG_MAPS_MAX], i;
	struct bpf_prog_info prog = { .nr_map_ids = PROG_MAPS_MAX, .map_ids = (__u64)(uintptr_t)map_ids };
	__u32 len = sizeof(prog);
	int fd = bpf_prog_get_fd_by_id(prog_id);

	info->prog_id = prog_id;
	if (fd < 0)
		return;
	if (!bpf_obj_get_info_by_fd(fd, &prog, &len)) {
		snprintf(info->prog_name, sizeof(info->prog_name), "%s", prog.name);
		for (i = 0; i < prog.nr_map_ids && i < PROG_MAPS_MAX; i++)
			info->ours |= map_id && map_ids[i] == map_id;
	}
	close(fd);
}

static int ethtool_ask(const char *ifname, void *request)
{
	struct ifreq ifr = { .ifr_data = request };
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	int ret;

	if (fd < 0)
		return -errno;
	snprintf(ifr.ifr_name, sizeof(ifr.ifr_name), "%s", ifname);
	ret = ioctl(fd, SIOCETHTOOL, &ifr) ? -errno : 0;
	close(fd);
	return ret;
}

/* Drivers without channels have the one queue that sysfs shows. */
static __u32 rx_queues(const char *ifname)
{
	struct ethtool_channels channels = { .cmd = ETHTOOL_GCHANNELS };

	if (ethtool_ask(ifname, &channels) || channels.rx_count + channels.combined_count == 0)
		return 1;
	return channels.rx_count + channels.combined_count;
}

static __u32 device_mtu(const char *ifname)
{
	struct ifreq ifr = {};
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);

	if (fd < 0)
		return 0;
	snprintf(ifr.ifr_name, sizeof(ifr.ifr_name), "%s", ifname);
	if (ioctl(fd, SIOCGIFMTU, &ifr))
		ifr.ifr_mtu = 0;
	close(fd);
	return ifr.ifr_mtu;
}

static int device_describe(__u32 ifindex, __u32 map_id, struct attach_info *info)
{
	struct ethtool_drvinfo driver = { .cmd = ETHTOOL_GDRVINFO };
	LIBBPF_OPTS(bpf_xdp_query_opts, query);
	int ret;

	memset(info, 0, sizeof(*info));
	info->ifindex = ifindex;
	if (!if_indextoname(ifindex, info->ifname))
		return -errno;
	ret = bpf_xdp_query(ifindex, 0, &query);
	if (ret)
		return ret;
	if (!ethtool_ask(info->ifname, &driver))
		snprintf(info->driver, sizeof(info->driver), "%s", driver.driver);
	info->n_rx_queues = rx_queues(info->ifname);
	info->mtu = device_mtu(info->ifname);
	info->mode = query.drv_prog_id ? ATTACH_NATIVE : ATTACH_GENERIC;
	info->offloaded = query.hw_prog_id != 0;
	if (query.prog_id || query.drv_prog_id || query.skb_prog_id)
		prog_describe(query.drv_prog_id ?: query.skb_prog_id ?: query.prog_id, map_id, info);
	return 0;
}

static int device_index(const char *ifname, char why[LOADER_WHY_LEN])
{
	unsigned int ifindex = if_nametoindex(ifname);

	if (ifindex)
		return ifindex;
	snprintf(why, LOADER_WHY_LEN, "no device '%s' in this network namespace", ifname);
	return -ENODEV;
}

int net_info(const char *name, const char *ifname, struct attach_info *info, char why[LOADER_WHY_LEN])
{
	int ifindex = device_index(ifname, why), ret;

	if (ifindex < 0)
		return ifindex;
	ret = device_describe(ifindex, services_map_id(name), info);
	if (ret)
		snprintf(why, LOADER_WHY_LEN, "cannot ask what runs on '%s': %s", ifname, strerror(-ret));
	return ret;
}

int net_for_each(const char *name, int (*fn)(const struct attach_info *info, void *arg), void *arg)
{
	__u32 map_id = services_map_id(name);
	struct if_nameindex *all, *device;
	int ret = 0;

	all = if_nameindex();
	if (!all)
		return -errno;
	for (device = all; map_id && device->if_index && !ret; device++) {
		struct attach_info info;

		if (!device_describe(device->if_index, map_id, &info) && info.ours)
			ret = fn(&info, arg);
	}
	if_freenameindex(all);
	return ret;
}

/* The kernel's errno with the cure that goes with it. */
static void attach_why(const char *ifname, enum attach_mode mode, int ret, char why[LOADER_WHY_LEN])
{
	const char *kernel = libbpf_log_take(), *cure = "";

	if (ret == -EPERM)
		cure = "; run as root, or with CAP_BPF and CAP_NET_ADMIN";
	else if (ret == -ENOSPC)
		cure = "; give the device as many rx queues as its peer has tx queues (ethtool -L)";
	else if (ret == -EOPNOTSUPP && mode == ATTACH_NATIVE)
		cure = "; its driver has no native XDP: use mode generic";
	else if (ret == -EINVAL || ret == -ERANGE || ret == -E2BIG)
		cure = "; lower its MTU (below about 3500), or use mode generic";
	snprintf(why, LOADER_WHY_LEN, "cannot attach to '%s' in %s mode: %s%s%s%s%s", ifname, attach_mode_name(mode),
		 strerror(-ret), *kernel ? " (" : "", kernel, *kernel ? ")" : "", cure);
}

static int attach_try(int ifindex, const char *ifname, int prog_fd, enum attach_mode mode,
		      char why[LOADER_WHY_LEN])
{
	int ret;

	libbpf_log_take();
	ret = bpf_xdp_attach(ifindex, prog_fd, XDP_FLAGS_UPDATE_IF_NOEXIST | mode_flags(mode), NULL);
	if (ret)
		attach_why(ifname, mode, ret, why);
	return ret;
}

static int attach_new(const char *ifname, int ifindex, int prog_fd, enum attach_mode *mode,
		      char why[LOADER_WHY_LEN])
{
	enum attach_mode asked = *mode;
	char native_why[300];
	int ret;

	*mode = asked == ATTACH_GENERIC ? ATTACH_GENERIC : ATTACH_NATIVE;
	ret = attach_try(ifindex, ifname, prog_fd, *mode, why);
	if (!ret || asked != ATTACH_AUTO || ret == -EPERM)
		return ret;
	snprintf(native_why, sizeof(native_why), "%.299s", why);
	*mode = ATTACH_GENERIC;
	ret = attach_try(ifindex, ifname, prog_fd, *mode, why);
	if (!ret)
		snprintf(why, LOADER_WHY_LEN, "%s; attached in generic mode instead, which is slower", native_why);
	return ret;
}

int net_replace(const struct attach_info *info, int prog_fd)
{
	LIBBPF_OPTS(bpf_xdp_attach_opts, opts);
	int old_fd = bpf_prog_get_fd_by_id(info->prog_id), ret;

	if (old_fd < 0)
		return -errno;
	opts.old_prog_fd = old_fd;
	ret = bpf_xdp_attach(info->ifindex, prog_fd, XDP_FLAGS_REPLACE | mode_flags(info->mode), &opts);
	close(old_fd);
	return ret;
}

static int attached_already(const struct attach_info *info, enum attach_mode *mode, int prog_fd,
			    char why[LOADER_WHY_LEN])
{
	int ret;

	if (!info->ours) {
		snprintf(why, LOADER_WHY_LEN,
			 "another XDP program is attached to '%s': %s, id %u; take it off first: ip link set dev %s xdp%s off",
			 info->ifname, info->prog_name[0] ? info->prog_name : "unnamed", info->prog_id, info->ifname,
			 info->mode == ATTACH_GENERIC ? "generic" : "");
		return -EBUSY;
	}
	if (*mode != ATTACH_AUTO && *mode != info->mode) {
		snprintf(why, LOADER_WHY_LEN, "'%s' runs the program in %s mode already; detach it first", info->ifname,
			 attach_mode_name(info->mode));
		return -EBUSY;
	}
	*mode = info->mode;
	ret = net_replace(info, prog_fd);
	if (ret)
		snprintf(why, LOADER_WHY_LEN, "cannot replace the program on '%s': %s", info->ifname, strerror(-ret));
	return ret;
}

int net_attach(const char *name, const char *ifname, enum attach_mode *mode, char why[LOADER_WHY_LEN])
{
	struct attach_info info;
	int prog_fd, ret;

	why[0] = 0;
	ret = net_info(name, ifname, &info, why);
	if (ret)
		return ret;
	prog_fd = program_open(name, INSTANCE_STEER, why);
	if (prog_fd < 0)
		return prog_fd;
	if (info.prog_id)
		ret = attached_already(&info, mode, prog_fd, why);
	else
		ret = attach_new(ifname, info.ifindex, prog_fd, mode, why);
	close(prog_fd);
	return ret;
}

static int detach_our(const struct attach_info *info, char why[LOADER_WHY_LEN])
{
	LIBBPF_OPTS(bpf_xdp_attach_opts, opts);
	int old_fd = bpf_prog_get_fd_by_id(info->prog_id), ret;

	opts.old_prog_fd = old_fd;
	ret = old_fd < 0 ? -errno : bpf_xdp_attach(info->ifindex, -1, XDP_FLAGS_REPLACE | mode_flags(info->mode), &opts);
	if (ret)
		snprintf(why, LOADER_WHY_LEN, "cannot detach from '%s': %s", info->ifname, strerror(-ret));
	if (old_fd >= 0)
		close(old_fd);
	return ret;
}

int net_detach(const char *name, const char *ifname, char why[LOADER_WHY_LEN])
{
	struct attach_info info;
	int ret = net_info(name, ifname, &info, why);

	if (ret)
		return ret;
	if (!info.prog_id) {
		snprintf(why, LOADER_WHY_LEN, "no XDP program is attached to '%s'", ifname);
		return -ENOENT;
	}
	if (!info.ours) {
		snprintf(why, LOADER_WHY_LEN, "the XDP program on '%s' (%s, id %u) is not of instance '%s'; left alone",
			 ifname, info.prog_name[0] ? info.prog_name : "unnamed", info.prog_id, name);
		return -EBUSY;
	}
	return detach_our(&info, why);
}
