/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Waits for a grace period of the kernel twenty times a second, until SIGTERM; then says the longest, in milliseconds. */
#include <linux/membarrier.h>
#include <signal.h>
#include <stdio.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

static volatile sig_atomic_t ended;

static void on_signal(int signo)
{
	ended = signo;
}

static double now_ms(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return ts.tv_sec * 1e3 + ts.tv_nsec / 1e6;
}

int main(void)
{
	double start, took, longest = 0;

	signal(SIGTERM, on_signal);
	while (!ended) {
		start = now_ms();
		if (syscall(__NR_membarrier, MEMBARRIER_CMD_GLOBAL, 0, 0))
			return 1;
		took = now_ms() - start;
		longest = took > longest ? took : longest;
		usleep(50000);
	}
	printf("%.0f\n", longest);
	return 0;
}
