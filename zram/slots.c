/* SPDX-License-Identifier: GPL-2.0-only OR BSD-3-Clause */
/*
 * A table of slots, or of a cache's records, in memory that comes as they are written.
 *
 * In a program that has called mlockall(MCL_FUTURE) the system brings a new mapping in, whole. So
 * the table begins without access, for which nothing comes in. Its first page shows whether there
 * is such a lock. If so, the table is locked as it is touched.
 */
#include <stddef.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "slot.h"

#ifndef MLOCK_ONFAULT
#define MLOCK_ONFAULT 1
#endif

/* Lets the table be read and written. Returns false if the system refuses. */
static bool slots_open(void *slots, size_t bytes)
{
	unsigned char is_there = 0;

	if (mprotect(slots, 1, PROT_READ | PROT_WRITE))
		return false;
	if (!mincore(slots, 1, &is_there) && is_there & 1)
		syscall(SYS_mlock2, slots, bytes, MLOCK_ONFAULT);
	return !mprotect(slots, bytes, PROT_READ | PROT_WRITE);
}

/* Makes a table of zeroed slots of @size bytes. Returns NULL if there is no memory. */
void *slots_create(uint64_t count, size_t size)
{
	size_t bytes = count * size;
	void *slots;

	if (count > SIZE_MAX / size)
		return NULL;
	slots = mmap(NULL, bytes, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (slots == MAP_FAILED)
		return NULL;
	if (slots_open(slots, bytes))
		return slots;
	munmap(slots, bytes);
	return NULL;
}

void slots_destroy(void *slots, uint64_t count, size_t size)
{
	munmap(slots, count * size);
}
