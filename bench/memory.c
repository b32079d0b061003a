/* SPDX-License-Identifier: GPL-2.0-only OR BSD-3-Clause */
/* Memory: see memory.h. */
#include "memory.h"

#include <err.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#define LINE 64
#define LEAST_SWEEP ((size_t)128 << 20)

/* The kilobytes that a file of /proc tells under a name, as bytes. */
static uint64_t told(const char *path, const char *name)
{
	FILE *file = fopen(path, "re");
	unsigned long long kilobytes = 0;
	char line[256];

	if (!file)
		err(2, "cannot read %s", path);
	while (fgets(line, sizeof(line), file))
		if (strncmp(line, name, strlen(name)) == 0)
			kilobytes = strtoull(line + strlen(name), NULL, 10);
	fclose(file);
	if (!kilobytes)
		errx(2, "%s does not tell %s", path, name);
	return kilobytes * 1024;
}

uint64_t memory_resident(void)
{
	return told("/proc/self/smaps_rollup", "Anonymous:");
}

uint64_t memory_available(void)
{
	return told("/proc/meminfo", "MemAvailable:");
}

void *memory_touched(size_t bytes)
{
	void *memory = mmap(NULL, bytes, PROT_READ | PROT_WRITE,
			    MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);

	if (memory == MAP_FAILED)
		err(2, "no memory: %zu bytes", bytes);
	return memory;
}

/* As far as the system knows the cache's size. */
static size_t sweep_bytes(void)
{
	long cache = sysconf(_SC_LEVEL3_CACHE_SIZE);
	size_t bytes = cache > 0 ? 4 * (size_t)cache : 0;

	return bytes > LEAST_SWEEP ? bytes : LEAST_SWEEP;
}

void memory_make_cold(const void *other, size_t bytes)
{
	const volatile char *sweep = other;
	size_t wanted = sweep_bytes();

	for (size_t i = 0; i < bytes && i < wanted; i += LINE)
		(void)sweep[i];
}
