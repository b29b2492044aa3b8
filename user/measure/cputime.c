/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#include "cputime.h"

#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "clock.h"
#include "tool.h"

#define KTHREADD 2 /* the parent of all of the kernel's threads */

int cputime_of(pid_t pid, uint64_t *ns)
{
	struct timespec ts;
	clockid_t id;
	int ret = clock_getcpuclockid(pid, &id);

	if (ret)
		return -ret;
	if (clock_gettime(id, &ts))
		return -errno;
	*ns = ts.tv_sec * NS_PER_S + ts.tv_nsec;
	return 0;
}

/* A name may hold blanks and parentheses: what counts comes behind the last one. */
static bool is_kernel_thread(const char *pid, const char *name)
{
	char path[300], stat[256] = "";
	const char *rest, *called;
	int ppid = 0, fd;

	snprintf(path, sizeof(path), "/proc/%s/stat", pid);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return false;
	if (read(fd, stat, sizeof(stat) - 1) < 0)
		stat[0] = 0;
	close(fd);
	rest = strrchr(stat, ')');
	called = strchr(stat, '(');
	return rest && sscanf(rest + 1, " %*c %d", &ppid) == 1 && ppid == KTHREADD &&
	       !strncmp(called + 1, name, strlen(name));
}

static int thread_compare(const void *a, const void *b)
{
	const struct cputime_thread *one = a, *other = b;

	return (one->pid > other->pid) - (one->pid < other->pid);
}

bool cputime_interrupts_apart(void)
{
	static const char *const argv[] = {
		"sh", "-c", "cat /boot/config-$(uname -r) 2>/dev/null || zcat /proc/config.gz", NULL,
	};
	static int is_apart = -1;
	const size_t size = 1 << 20;
	char *text;

	if (is_apart >= 0)
		return is_apart;
	text = calloc(1, size);
	is_apart = text && !tool_run(argv, text, size, 1) && strstr(text, "\nCONFIG_IRQ_TIME_ACCOUNTING=y\n");
	free(text);
	return is_apart;
}

static int interrupts_read(uint64_t *ns)
{
	unsigned long long irq, softirq;
	FILE *stat = fopen("/proc/stat", "r");
	int n;

	if (!stat)
		return -errno;
	n = fscanf(stat, "cpu %*u %*u %*u %*u %*u %llu %llu", &irq, &softirq);
	fclose(stat);
	if (n != 2)
		return -EPROTO;
	*ns = (irq + softirq) * (NS_PER_S / sysconf(_SC_CLK_TCK));
	return 0;
}

int cputime_read(struct cputime *c, const char *name)
{
	DIR *proc;
	struct dirent *entry;
	int ret;

	c->interrupts_ns = 0;
	ret = cputime_interrupts_apart() ? interrupts_read(&c->interrupts_ns) : 0;
	if (ret)
		return ret;
	proc = opendir("/proc");
	if (!proc)
		return -errno;
	c->n = 0;
	while (c->n < CPUTIME_THREADS_MAX && (entry = readdir(proc))) {
		struct cputime_thread *t = &c->threads[c->n];

		if (!isdigit((unsigned char)entry->d_name[0]) || !is_kernel_thread(entry->d_name, name))
			continue;
		t->pid = atoi(entry->d_name);
		c->n += !cputime_of(t->pid, &t->ns);
	}
	closedir(proc);
	qsort(c->threads, c->n, sizeof(c->threads[0]), thread_compare);
	return 0;
}

/* One that is new began at 0; one of less time than before is another one of that number. */
uint64_t cputime_grown(const struct cputime *before, const struct cputime *after)
{
	uint64_t sum = after->interrupts_ns - before->interrupts_ns;
	uint32_t i, k = 0;

	for (i = 0; i < after->n; i++) {
		const struct cputime_thread *now = &after->threads[i];
		uint64_t ns = 0;

		while (k < before->n && before->threads[k].pid < now->pid)
			k++;
		if (k < before->n && before->threads[k].pid == now->pid && before->threads[k].ns <= now->ns)
			ns = before->threads[k].ns;
		sum += now->ns - ns;
	}
	return sum;
}
