/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#include "noise.h"

#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "clock.h"

#define SECONDS_MIN 0.1 /* ticks are 10 ms */
#define KERNEL_THREAD 0x00200000 /* PF_KTHREAD */

bool noise_parse_process(const char *stat, pid_t self, uint64_t *ticks)
{
	/* A name may hold blanks and parentheses: what counts comes behind the last one. */
	const char *rest = strrchr(stat, ')');
	unsigned long long utime, stime;
	long long cutime, cstime;
	unsigned int flags;
	int ppid;

	if (!rest || sscanf(rest + 1, " %*c %d %*d %*d %*d %*d %u %*u %*u %*u %*u %llu %llu %lld %lld", &ppid,
			    &flags, &utime, &stime, &cutime, &cstime) != 6)
		return false;
	if (flags & KERNEL_THREAD || atoi(stat) == self || ppid == self)
		return false;
	*ticks = utime + stime + cutime + cstime;
	return true;
}

static ssize_t text_read(const char *path, char *buf, size_t size)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	ssize_t n;

	if (fd < 0)
		return -errno;
	n = read(fd, buf, size - 1);
	close(fd);
	if (n < 0)
		return -errno;
	buf[n] = 0;
	return n;
}

/* A process that ended meanwhile is no error: its parent has its ticks. */
static uint64_t process_ticks(const char *pid, pid_t self)
{
	char path[300], stat[1024];
	uint64_t ticks;

	snprintf(path, sizeof(path), "/proc/%s/stat", pid);
	if (text_read(path, stat, sizeof(stat)) <= 0 || !noise_parse_process(stat, self, &ticks))
		return 0;
	return ticks;
}

static int stolen_read(uint64_t *ticks)
{
	unsigned long long steal;
	char stat[512];
	ssize_t n = text_read("/proc/stat", stat, sizeof(stat));

	if (n < 0)
		return n;
	if (sscanf(stat, "cpu %*u %*u %*u %*u %*u %*u %*u %llu", &steal) != 1)
		return -EPROTO;
	*ticks = steal;
	return 0;
}

int noise_read(struct noise *noise)
{
	DIR *proc = opendir("/proc");
	struct dirent *entry;

	if (!proc)
		return -errno;
	memset(noise, 0, sizeof(*noise));
	while ((entry = readdir(proc)))
		if (isdigit((unsigned char)entry->d_name[0]))
			noise->foreign_ticks += process_ticks(entry->d_name, getpid());
	closedir(proc);
	noise->time_ns = clock_now_ns();
	return stolen_read(&noise->stolen_ticks);
}

/* A process that ended unnoticed takes its ticks along: then the sum may even have shrunk. */
static uint64_t grown(uint64_t before, uint64_t after)
{
	return after > before ? after - before : 0;
}

double noise_percent(const struct noise *before, const struct noise *after)
{
	uint64_t ticks = grown(before->foreign_ticks, after->foreign_ticks) +
			 grown(before->stolen_ticks, after->stolen_ticks);
	double seconds = (after->time_ns - before->time_ns) / (double)NS_PER_S;

	return seconds >= SECONDS_MIN ? 100.0 * ticks / sysconf(_SC_CLK_TCK) / seconds : 0;
}
