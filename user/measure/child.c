/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#include "child.h"

#include <errno.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "clock.h"
#include "cputime.h"

#define READY_NS (5 * NS_PER_S)
#define STOP_NS (3 * NS_PER_S)
#define STEP_US 1000
#define NICE (-20)

int cpu_pin(int cpu)
{
	cpu_set_t set;

	CPU_ZERO(&set);
	CPU_SET(cpu, &set);
	return sched_setaffinity(0, sizeof(set), &set) ? -errno : 0;
}

/* Where the kernel shares the cores between sessions first (autogroups), the session needs the weight. */
void priority_raise(void)
{
	FILE *autogroup;

	setpriority(PRIO_PROCESS, 0, NICE);
	setsid();
	autogroup = fopen("/proc/self/autogroup", "w");
	if (!autogroup)
		return;
	fprintf(autogroup, "%d", NICE);
	fclose(autogroup);
}

void child_ready(struct child_report *report, const char *mode)
{
	snprintf(report->mode, sizeof(report->mode), "%s", mode);
	atomic_store(&report->state, CHILD_READY);
}

static void on_stop(int signal_number)
{
	(void)signal_number;
}

/*
 * The terminal's signals are the parent's to answer: it ends its children. Theirs only gets them out of a
 * system call.
 */
static void signals_set(void)
{
	const struct sigaction stop = { .sa_handler = on_stop }, ignore = { .sa_handler = SIG_IGN };
	sigset_t none;

	sigemptyset(&none);
	sigaction(SIGINT, &ignore, NULL);
	sigaction(SIGTERM, &stop, NULL);
	sigprocmask(SIG_SETMASK, &none, NULL);
}

static int child_enter(const struct child_params *params, pid_t parent)
{
	int ret;

	signals_set();
	if (prctl(PR_SET_PDEATHSIG, SIGKILL))
		return -errno;
	if (getppid() != parent)
		return -ESRCH;
	if (params->is_ordinary)
		setsid();
	else
		priority_raise();
	ret = cpu_pin(params->cpu);
	return ret ? ret : lab_enter(params->lab, params->side);
}

static void child_live(struct child_report *report, const struct child_params *params, pid_t parent)
{
	int ret = child_enter(params, parent);

	if (!ret)
		ret = params->main(report, params->arg);
	if (ret && !report->why[0])
		snprintf(report->why, sizeof(report->why), "%s", strerror(-ret));
	if (ret)
		atomic_store(&report->state, CHILD_FAILED);
	_exit(ret ? 1 : 0);
}

bool child_alive(struct child *child, char why[LAB_WHY_LEN])
{
	int status;

	if (child->pid && waitpid(child->pid, &status, WNOHANG) == 0)
		return true;
	if (child->pid && why)
		snprintf(why, LAB_WHY_LEN, "%s",
			 child->report->why[0] ? child->report->why : "a part of it died");
	child->pid = 0;
	return false;
}

static int ready_wait(struct child *child, char why[LAB_WHY_LEN])
{
	uint64_t deadline_ns = clock_now_ns() + READY_NS;

	while (atomic_load(&child->report->state) != CHILD_READY) {
		if (!child_alive(child, why))
			return -EIO;
		if (clock_now_ns() > deadline_ns) {
			snprintf(why, LAB_WHY_LEN, "a part of it was not ready after 5 s");
			return -ETIMEDOUT;
		}
		usleep(STEP_US);
	}
	return 0;
}

int child_start(struct child *child, const struct child_params *params, char why[LAB_WHY_LEN])
{
	pid_t parent = getpid();
	int ret;

	*child = (struct child){};
	child->report =
		mmap(NULL, sizeof(*child->report), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (child->report == MAP_FAILED) {
		child->report = NULL;
		snprintf(why, LAB_WHY_LEN, "no memory");
		return -ENOMEM;
	}
	fflush(NULL); /* or it would be written twice */
	child->pid = fork();
	if (child->pid == 0)
		child_live(child->report, params, parent);
	ret = child->pid < 0 ? -errno : ready_wait(child, why);
	if (child->pid < 0) {
		snprintf(why, LAB_WHY_LEN, "cannot fork: %s", strerror(-ret));
		child->pid = 0;
	}
	if (ret)
		child_stop(child);
	return ret;
}

int child_cpu_ns(const struct child *child, uint64_t *ns)
{
	return cputime_of(child->pid, ns);
}

void child_stop(struct child *child)
{
	uint64_t deadline_ns = clock_now_ns() + STOP_NS;

	if (!child->report)
		return;
	atomic_store(&child->report->stopping, true);
	/* Again and again, as it may have come right before the system call that sleeps. */
	while (child_alive(child, NULL) && clock_now_ns() < deadline_ns) {
		kill(child->pid, SIGTERM);
		usleep(STEP_US);
	}
	if (child->pid) {
		kill(child->pid, SIGKILL);
		waitpid(child->pid, NULL, 0);
	}
	munmap(child->report, sizeof(*child->report));
	*child = (struct child){};
}
