/* SPDX-License-Identifier: GPL-2.0-only OR BSD-3-Clause */
/*
 * What src/port.h asks of a process: memory for the core's own use, CPUs, fences, time, messages.
 */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/resource.h>
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
		/* In a huge page, all of it would be there; and come again after port_discard(). */
		madvise(memory, size, MADV_NOHUGEPAGE);
		return memory;
	}
	memory = aligned_alloc(2 * PORT_CACHELINE, ALIGN(size, 2 * PORT_CACHELINE));
	if (memory)
		memset(memory, 0, size);
	return memory;
}

/* However the system finds memory, it waits for no lock of ours. */
void *port_alloc_extra(size_t size)
{
	return port_alloc(size, GFP_KERNEL);
}

void port_free(void *memory, size_t size)
{
	if (size >= MAP_BYTES)
		munmap(memory, size);
	else
		free(memory);
}

/* What is locked in memory can't go: it stays as it is. */
void port_discard(void *memory, size_t size)
{
	madvise(memory, size, MADV_DONTNEED);
}

unsigned int port_cpus(void)
{
	long cpus = sysconf(_SC_NPROCESSORS_CONF);

	return cpus < 1 ? 1 : (unsigned int)cpus;
}

static u64 clock_read(clockid_t clock)
{
	struct timespec now;

	clock_gettime(clock, &now);
	return (u64)now.tv_sec * 1000000000ULL + (u64)now.tv_nsec;
}

u64 port_now(void)
{
	return clock_read(CLOCK_MONOTONIC);
}

/*
 * Whether somebody has had this thread's CPU instead of it since it was last asked, and for longer than it had it
 * itself: a thread of the system that runs for a moment need not be given way. If it has waited for something, too,
 * that can't be told apart, and the next time is to tell: who waits lets others have the CPU anyway.
 *
 * What getrusage() says of the time is as old as the last tick of a timer; the clock is exact.
 */
bool port_crowded(void)
{
	static _Thread_local struct {
		long preempted;
		long waited;
		u64 ran;
		u64 now;
	} last;
	struct rusage usage;
	u64 ran, now;
	bool crowded;

	if (getrusage(RUSAGE_THREAD, &usage))
		return false;
	ran = clock_read(CLOCK_THREAD_CPUTIME_ID);
	now = port_now();
	crowded = usage.ru_nivcsw != last.preempted && usage.ru_nvcsw == last.waited &&
		  now - last.now > 2 * (ran - last.ran);
	last.preempted = usage.ru_nivcsw;
	last.waited = usage.ru_nvcsw;
	last.ran = ran;
	last.now = now;
	return crowded;
}

/* One write, so that lines of several threads do not mix. */
void port_misuse(const char *pool, bool fatal, const char *what, unsigned long handle)
{
	char line[256];
	int length;

	if (pool && handle)
		length = snprintf(line, sizeof(line), "zsmalloc: pool '%s': %s: %#lx\n", pool, what,
				  handle);
	else if (pool)
		length = snprintf(line, sizeof(line), "zsmalloc: pool '%s': %s\n", pool, what);
	else
		length = snprintf(line, sizeof(line), "zsmalloc: %s\n", what);
	if (length > 0 && write(STDERR_FILENO, line, (size_t)length) < 0 && fatal)
		abort(); /* nobody to tell */
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
