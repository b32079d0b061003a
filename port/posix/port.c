/* SPDX-License-Identifier: GPL-2.0-only OR BSD-3-Clause */
/*
 * What src/port.h asks of a process: memory for the core's own use, CPUs, time, messages.
 */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#include "port.h"

unsigned int port_page_shift = 12;

__attribute__((constructor(101))) static void page_size_init(void)
{
	long size = sysconf(_SC_PAGESIZE);

	port_page_shift = (unsigned int)__builtin_ctzl((unsigned long)size);
}

/* From this size on memory is mapped: what is not touched costs nothing, what is freed goes. */
#define MAP_BYTES 32768

void *port_alloc(size_t size, gfp_t flags)
{
	void *memory;

	if (!port_may_sleep(flags)) /* both ways below may ask the system */
		return NULL;
	if (size >= MAP_BYTES) {
		memory = mmap(NULL, size, PROT_READ | PROT_WRITE,
			      MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
		if (memory == MAP_FAILED)
			return NULL;
		/* In a huge page, all of it would be there. */
		madvise(memory, size, MADV_NOHUGEPAGE);
		return memory;
	}
	memory = aligned_alloc(PORT_CACHELINE, ALIGN(size, PORT_CACHELINE));
	if (memory)
		memset(memory, 0, size);
	return memory;
}

void port_free(void *memory, size_t size)
{
	if (memory && size >= MAP_BYTES)
		munmap(memory, size);
	else
		free(memory);
}

unsigned int port_cpus(void)
{
	long cpus = sysconf(_SC_NPROCESSORS_CONF);

	return cpus < 1 ? 1 : (unsigned int)cpus;
}

u64 port_now(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (u64)now.tv_sec * 1000000000ULL + (u64)now.tv_nsec;
}

/* One write, so that lines of several threads do not mix. */
void port_misuse(const char *pool, bool fatal, const char *function, const char *what,
		 unsigned long handle)
{
	char line[256], of[80] = "", hex[24] = "";
	int length;

	if (pool)
		snprintf(of, sizeof(of), "pool \"%s\": ", pool);
	if (handle)
		snprintf(hex, sizeof(hex), " %#lx", handle);
	length = snprintf(line, sizeof(line), "zsmalloc: %s%s: %s%s\n", of, function, what, hex);
	if (length > 0 && write(STDERR_FILENO, line, (size_t)length) < 0 && fatal)
		abort(); /* there is no reader */
	if (fatal)
		abort();
}

bool port_misuse_is_fatal(void)
{
	const char *wish = secure_getenv("ZSMALLOC_MISUSE");

	return !wish || strcmp(wish, "count") != 0;
}

void port_print(struct port_out *out, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	vfprintf(out->file, format, args);
	va_end(args);
}
