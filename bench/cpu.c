/* SPDX-License-Identifier: GPL-2.0-only OR BSD-3-Clause */
/* Which CPU a thread runs on: see cpu.h. */
#include "cpu.h"

#include <err.h>
#include <sched.h>

static cpu_set_t given;

/* Before anybody binds the main thread, whose CPUs other threads inherit. */
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
