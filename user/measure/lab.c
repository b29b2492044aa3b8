/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#include "lab.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/if_link.h>
#include <net/if.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/socket.h>
#include <unistd.h>

#include <bpf/bpf.h>
#include <bpf/libbpf.h>

#include "device_stats.h"
#include "tool.h"

#define CLIENT "xsr-bench-client"
#define SERVER "xsr-bench-server"
#define LOCK_PATH "/run/xsr-bench.lock"
#define WORDS_MAX 40
#define LINE_MAX_LEN 256

static const char *const netns_names[LAB_SIDES] = { CLIENT, SERVER };

static const struct lab_device devices[LAB_WIRES][LAB_SIDES] = {
	[LAB_WIDE] = { { .name = "wide", .mac = { 2, 0, 0, 0, 1, 1 } },
		       { .name = "wide", .mac = { 2, 0, 0, 0, 1, 2 } } },
	[LAB_NARROW] = { { .name = "narrow", .mac = { 2, 0, 0, 0, 2, 1 } },
			 { .name = "narrow", .mac = { 2, 0, 0, 0, 2, 2 } } },
};

static const char *const addrs[LAB_WIRES][LAB_SIDES] = { { "10.99.1.1", "10.99.1.2" },
							 { "10.99.2.1", "10.99.2.2" } };

/*
 * No link-local addresses, so nothing but our traffic is on the wires; neighbours by hand, as XDP programs
 * answer no ARP.
 */
static const char *const setup[] = {
	"netns add " CLIENT,
	"netns add " SERVER,
	"-n " CLIENT " link add wide address 02:00:00:00:01:01 numrxqueues 2 numtxqueues 2 type veth peer "
	"name wide address 02:00:00:00:01:02 numrxqueues 2 numtxqueues 2 netns " SERVER,
	"-n " CLIENT " link add narrow address 02:00:00:00:02:01 numrxqueues 1 numtxqueues 1 type veth peer "
	"name narrow address 02:00:00:00:02:02 numrxqueues 1 numtxqueues 1 netns " SERVER,
	"-n " CLIENT " addr add 10.99.1.1/24 dev wide",
	"-n " SERVER " addr add 10.99.1.2/24 dev wide",
	"-n " CLIENT " addr add 10.99.2.1/24 dev narrow",
	"-n " SERVER " addr add 10.99.2.2/24 dev narrow",
	"-n " CLIENT " link set wide addrgenmode none up",
	"-n " SERVER " link set wide addrgenmode none up",
	"-n " CLIENT " link set narrow addrgenmode none up",
	"-n " SERVER " link set narrow addrgenmode none up",
	"-n " SERVER " link set lo up",
	"-n " SERVER " neigh add 10.99.1.1 lladdr 02:00:00:00:01:01 dev wide nud permanent",
	"-n " SERVER " neigh add 10.99.2.1 lladdr 02:00:00:00:02:01 dev narrow nud permanent",
};

static int fail(char why[LAB_WHY_LEN], int ret, const char *what)
{
	snprintf(why, LAB_WHY_LEN, "cannot %s: %s", what, strerror(-ret));
	return ret;
}

/* `ip` with the words of a line. */
static int ip(const char *line, char why[LAB_WHY_LEN])
{
	const char *argv[WORDS_MAX] = { "ip" };
	char words[LINE_MAX_LEN], *save = NULL, *word;
	int n = 1, ret;

	snprintf(words, sizeof(words), "%s", line);
	for (word = strtok_r(words, " ", &save); word && n < WORDS_MAX - 1; word = strtok_r(NULL, " ", &save))
		argv[n++] = word;
	ret = tool_run(argv, NULL, 0, 0);
	if (ret == 0)
		return 0;
	snprintf(why, LAB_WHY_LEN, "'ip %s' failed%s", line,
		 ret == 127 ? ": there is no 'ip'; install iproute2" : "; its own message stands above");
	return ret < 0 ? ret : -EIO;
}

static int netns_open(const char *name)
{
	char path[64];
	int fd;

	snprintf(path, sizeof(path), "/var/run/netns/%s", name);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	return fd < 0 ? -errno : fd;
}

/* With their namespace the devices go, and with those the programs on them. */
static int netns_delete(const char *name, char why[LAB_WHY_LEN])
{
	char line[64];
	int fd = netns_open(name);

	if (fd == -ENOENT)
		return 0;
	if (fd >= 0)
		close(fd);
	snprintf(line, sizeof(line), "netns del %s", name);
	return ip(line, why);
}

static int netns_delete_all(char why[LAB_WHY_LEN])
{
	int ret = netns_delete(CLIENT, why), other = netns_delete(SERVER, why);

	return ret ? ret : other;
}

static int lock(struct lab *lab, char why[LAB_WHY_LEN])
{
	lab->lock_fd = open(LOCK_PATH, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	if (lab->lock_fd < 0)
		return fail(why, -errno, "open " LOCK_PATH);
	if (!flock(lab->lock_fd, LOCK_EX | LOCK_NB))
		return 0;
	snprintf(why, LAB_WHY_LEN, "another bench runs on this host (%s is locked)", LOCK_PATH);
	return -EBUSY;
}

int lab_enter(const struct lab *lab, enum lab_side side)
{
	return setns(lab->netns[side], CLONE_NEWNET) ? -errno : 0;
}

int lab_leave(const struct lab *lab)
{
	return setns(lab->home_fd, CLONE_NEWNET) ? -errno : 0;
}

/* Opens what is asked for later, from within the side's namespace. */
static int side_open(struct lab *lab, enum lab_side side, char why[LAB_WHY_LEN])
{
	int wire, ret;

	lab->netns[side] = netns_open(netns_names[side]);
	if (lab->netns[side] < 0)
		return fail(why, lab->netns[side], "open a network namespace");
	ret = lab_enter(lab, side);
	if (ret)
		return fail(why, ret, "enter a network namespace");
	lab->sockets[side] = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	for (wire = 0; wire < LAB_WIRES; wire++) {
		lab->devices[wire][side].ifindex = if_nametoindex(devices[wire][side].name);
		inet_pton(AF_INET, addrs[wire][side], &lab->devices[wire][side].addr);
	}
	ret = lab_leave(lab);
	return ret ? fail(why, ret, "leave a network namespace") : 0;
}

static int lab_build(struct lab *lab, char why[LAB_WHY_LEN])
{
	unsigned int i;
	int ret;

	lab->home_fd = open("/proc/self/ns/net", O_RDONLY | O_CLOEXEC);
	if (lab->home_fd < 0)
		return fail(why, -errno, "open this network namespace");
	ret = netns_delete_all(why);
	for (i = 0; i < sizeof(setup) / sizeof(setup[0]) && !ret; i++)
		ret = ip(setup[i], why);
	if (!ret)
		ret = side_open(lab, LAB_CLIENT, why);
	if (!ret)
		ret = side_open(lab, LAB_SERVER, why);
	return ret;
}

int lab_open(struct lab *lab, char why[LAB_WHY_LEN])
{
	int ret;

	*lab = (struct lab){ .lock_fd = -1, .home_fd = -1, .netns = { -1, -1 }, .sockets = { -1, -1 } };
	memcpy(lab->devices, devices, sizeof(devices));
	ret = lock(lab, why);
	if (!ret)
		ret = lab_build(lab, why);
	if (ret)
		lab_close(lab);
	return ret;
}

static void fd_close(int *fd)
{
	if (*fd >= 0)
		close(*fd);
	*fd = -1;
}

void lab_close(struct lab *lab)
{
	int side;

	for (side = 0; side < LAB_SIDES; side++) {
		fd_close(&lab->sockets[side]);
		fd_close(&lab->netns[side]);
	}
	if (lab->home_fd >= 0)
		netns_delete_all((char[LAB_WHY_LEN]){});
	fd_close(&lab->home_fd);
	fd_close(&lab->lock_fd);
}

int lab_attach(const struct lab *lab, enum lab_wire wire, enum lab_side side, int prog_fd)
{
	int ret = lab_enter(lab, side), left;

	if (ret)
		return ret;
	ret = bpf_xdp_attach(lab->devices[wire][side].ifindex, prog_fd, XDP_FLAGS_DRV_MODE, NULL);
	left = lab_leave(lab);
	return ret ? ret : left;
}

uint64_t lab_xdp_packets(const struct lab *lab, enum lab_wire wire, enum lab_side side)
{
	uint64_t sum;

	if (device_stats_sum(lab->sockets[side], lab->devices[wire][side].name, "_xdp_packets", &sum))
		return 0;
	return sum;
}
