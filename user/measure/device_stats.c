/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#include "device_stats.h"

#include <errno.h>
#include <linux/ethtool.h>
#include <linux/sockios.h>
#include <net/if.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>

#define STATS_MAX 512

/* The three requests of the ethtool interface, with their arrays behind them. */
struct stats_count {
	struct ethtool_sset_info info;
	__u32 n;
};

struct stats_names {
	struct ethtool_gstrings header;
	char names[STATS_MAX][ETH_GSTRING_LEN];
};

struct stats_values {
	struct ethtool_stats header;
	__u64 values[STATS_MAX];
};

static int ask(int socket_fd, const char *ifname, void *request)
{
	struct ifreq ifr = { .ifr_data = request };

	snprintf(ifr.ifr_name, sizeof(ifr.ifr_name), "%s", ifname);
	return ioctl(socket_fd, SIOCETHTOOL, &ifr) ? -errno : 0;
}

static int stats_count(int socket_fd, const char *ifname)
{
	struct stats_count count = { .info = { .cmd = ETHTOOL_GSSET_INFO,
					       .sset_mask = 1ULL << ETH_SS_STATS } };
	int ret = ask(socket_fd, ifname, &count);

	if (ret)
		return ret;
	return !count.info.sset_mask ? -EOPNOTSUPP : count.n > STATS_MAX ? -E2BIG : (int)count.n;
}

static int ends_in(const char *name, const char *suffix)
{
	size_t len = strnlen(name, ETH_GSTRING_LEN), suffix_len = strlen(suffix);

	return len >= suffix_len && !memcmp(name + len - suffix_len, suffix, suffix_len);
}

int device_stats_sum(int socket_fd, const char *ifname, const char *suffix, uint64_t *sum)
{
	struct stats_names names = { .header = { .cmd = ETHTOOL_GSTRINGS, .string_set = ETH_SS_STATS } };
	struct stats_values values = { .header = { .cmd = ETHTOOL_GSTATS } };
	int n = stats_count(socket_fd, ifname), i, ret;

	if (n < 0)
		return n;
	names.header.len = values.header.n_stats = n;
	ret = ask(socket_fd, ifname, &names);
	if (!ret)
		ret = ask(socket_fd, ifname, &values);
	if (ret)
		return ret;
	*sum = 0;
	for (i = 0; i < n; i++)
		if (ends_in(names.names[i], suffix))
			*sum += values.values[i];
	return 0;
}
