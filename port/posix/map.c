/* SPDX-License-Identifier: GPL-2.0-only OR BSD-3-Clause */
/*
 * Address space that takes memory only where it is written.
 *
 * In a program that has called mlockall(MCL_FUTURE) the system brings a new mapping in, whole. So
 * ours begins without access, for which nothing comes in. Its first page shows whether there is
 * such a lock. If so, the mapping is locked as it is touched.
 */
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "map.h"
#include "port.h"

#ifndef MLOCK_ONFAULT
#define MLOCK_ONFAULT 1
#endif

#ifndef MADV_DONTNEED_LOCKED
#define MADV_DONTNEED_LOCKED 24 /* Linux 5.18 */
#endif

static bool page_is_there(void *page)
{
	unsigned char there = 0;

	return !mincore(page, 1, &there) && there & 1;
}

/* Lets a mapping be read and written. Returns false if the system refuses. */
static bool map_open(void *map, size_t bytes)
{
	if (mprotect(map, PORT_PAGE_SIZE, PROT_READ | PROT_WRITE))
		return false;
	if (page_is_there(map))
		syscall(SYS_mlock2, map, bytes, MLOCK_ONFAULT);
	return !mprotect(map, bytes, PROT_READ | PROT_WRITE);
}

/*
 * Maps some whole pages, which are zeros when they are first read. Returns NULL if the system
 * refuses.
 *
 * There are no huge pages: one is resident whole, whatever is stored in it, and what was given back
 * comes again.
 */
void *map_memory(size_t bytes)
{
	void *map =
		mmap(NULL, bytes, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	if (map == MAP_FAILED)
		return NULL;
	madvise(map, bytes, MADV_NOHUGEPAGE);
	if (map_open(map, bytes))
		return map;
	munmap(map, bytes);
	return NULL;
}

/* Gives pages back, locked ones too; they read as zeros then. Returns false if they stay. */
bool map_discard(void *memory, size_t bytes)
{
	return !madvise(memory, bytes, MADV_DONTNEED) ||
	       !madvise(memory, bytes, MADV_DONTNEED_LOCKED);
}
