/* SPDX-License-Identifier: GPL-2.0-only OR BSD-3-Clause */
/* Which CPU a thread runs on, and when: see cpu.h. */
#include "cpu.h"

#include <dirent.h>
#include <err.h>
#include <sched.h>
#include <stdlib.h>
#include <unistd.h>

#include "clock.h"

static cpu_set_t given;

/* Runs before the main thread binds itself: other threads inherit its CPUs. */
__attribute__((constructor)) static void read_given(void)
{
	if (sched_getaffinity(0, sizeof(given), &given) != 0)
		err(2, "sched_getaffinity()");
}

unsigned int cpu_count(void)
{
	return (unsigned int)CPU_COUNT(&given);
}

void cpu_bind(unsigned int which)
{
	cpu_set_t one;
	size_t cpu = 0;

	which %= cpu_count();
	while (!CPU_ISSET(cpu, &given) || which--)
		cpu++;
	CPU_ZERO(&one);
	CPU_SET(cpu, &one);
	if (sched_setaffinity(0, sizeof(one), &one) != 0)
		err(2, "sched_setaffinity()");
}

/* The clock of a thread, as pthread_getcpuclockid() names it: that one wants a pthread_t. */
static clockid_t thread_clock(pid_t thread)
{
	return ~thread * 8 | 6;
}

uint64_t cpu_parked_ns(void)
{
	DIR *threads = opendir("/proc/self/task");
	uint64_t sum = 0;

	if (!threads)
		err(2, "/proc/self/task");
	for (const struct dirent *entry = readdir(threads); entry; entry = readdir(threads)) {
		pid_t thread = atoi(entry->d_name);

		if (thread && thread != gettid() && sched_getscheduler(thread) == SCHED_IDLE)
			sum += clock_ns(thread_clock(thread));
	}
	closedir(threads);
	return sum;
}
