/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#include "probe.h"

#include <linux/membarrier.h>
#include <stdbool.h>
#include <stdio.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/utsname.h>
#include <unistd.h>

struct probe {
	bool (*available)(void);
	const char *sentence;
};

static bool kernel_is_tested(void)
{
	struct utsname name;
	int major, minor;

	if (uname(&name) || sscanf(name.release, "%d.%d", &major, &minor) != 2)
		return false;
	return major > 6 || (major == 6 && minor >= 1);
}

static bool has_xsk(void)
{
	int fd = socket(AF_XDP, SOCK_RAW | SOCK_CLOEXEC, 0);

	if (fd >= 0)
		close(fd);
	return fd >= 0;
}

static bool has_membarrier(void)
{
	int commands = syscall(__NR_membarrier, MEMBARRIER_CMD_QUERY, 0, 0);

	return commands >= 0 && commands & MEMBARRIER_CMD_GLOBAL;
}

static bool has_jit(void)
{
	FILE *f = fopen("/proc/sys/net/core/bpf_jit_enable", "re");
	int on = 1;

	if (f && fscanf(f, "%d", &on) != 1)
		on = 1;
	if (f)
		fclose(f);
	return on != 0;
}

static const struct probe probes[] = {
	{ kernel_is_tested, "the kernel is older than 6.1, the oldest that xsr is tested on; it goes on, unsupported" },
	{ has_xsk, "the kernel has no AF_XDP sockets; routers use transport udp instead" },
	{ has_membarrier, "membarrier(GLOBAL) is not available; a pause of 50 ms is taken instead where programs must be waited for" },
	{ has_jit, "the BPF JIT is off; programs are interpreted, several times slower: sysctl net.core.bpf_jit_enable=1" },
};

int probe_kernel(void (*say)(const char *sentence, void *arg), void *arg)
{
	unsigned int i;
	int n = 0;

	for (i = 0; i < sizeof(probes) / sizeof(probes[0]); i++) {
		if (probes[i].available())
			continue;
		say(probes[i].sentence, arg);
		n++;
	}
	return n;
}
