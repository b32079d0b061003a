/* SPDX-License-Identifier: GPL-2.0-only OR BSD-3-Clause */
/* Which machine this is, as /proc and uname tell it. */
#include "machine.h"

#include <sched.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/utsname.h>
#include <unistd.h>

#include "proc.h"

static unsigned int usable_cores(void)
{
	cpu_set_t set;

	if (sched_getaffinity(0, sizeof(set), &set) == 0)
		return (unsigned int)CPU_COUNT(&set);
	return (unsigned int)sysconf(_SC_NPROCESSORS_ONLN);
}

void machine_read(struct machine *machine)
{
	struct utsname name;

	uname(&name);
	if (!proc_field("/proc/cpuinfo", "model name", machine->cpu, sizeof(machine->cpu)))
		snprintf(machine->cpu, sizeof(machine->cpu), "%s", name.machine);
	snprintf(machine->kernel, sizeof(machine->kernel), "%.60s %.60s", name.sysname,
		 name.release);
	machine->cores = usable_cores();
	machine->page_size = (size_t)sysconf(_SC_PAGESIZE);
}

/* A field "KEY: N kB" in bytes. */
static bool read_kilobytes(const char *path, const char *key, uint64_t *bytes)
{
	char value[64];

	if (!proc_field(path, key, value, sizeof(value)))
		return false;
	*bytes = strtoull(value, NULL, 10) * 1024;
	return true;
}

uint64_t machine_own_memory(void)
{
	uint64_t resident = 0;
	uint64_t swapped = 0;

	read_kilobytes("/proc/self/status", "RssAnon", &resident);
	read_kilobytes("/proc/self/status", "VmSwap", &swapped);
	return resident + swapped;
}

uint64_t machine_available_memory(void)
{
	uint64_t available;

	if (!read_kilobytes("/proc/meminfo", "MemAvailable", &available))
		return UINT64_MAX;
	return available;
}
