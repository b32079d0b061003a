/* SPDX-License-Identifier: GPL-2.0-only OR BSD-3-Clause */
/*
 * Memory that is swapped out, for the programs here that measure.
 *
 * It is filled with a file's bytes, so that it compresses as real memory does.
 */
#ifndef TESTS_KERNEL_SWAPPED_H
#define TESTS_KERNEL_SWAPPED_H

#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <unistd.h>

#define SWAPPED_STEP (32UL << 20) /* is filled and swapped out at once, where memory is short */

static size_t page_size; /* source_open() asks for it */

/* The file whose bytes the memory gets. */
struct source {
	const char *bytes;
	size_t size;
};

static inline void die(const char *what)
{
	perror(what);
	exit(1);
}

/* Has the calling process killed once the one that made it is gone. */
static inline void die_with_parent(void)
{
	if (prctl(PR_SET_PDEATHSIG, SIGKILL))
		die("prctl");
}

static inline struct source source_open(const char *name)
{
	int fd = open(name, O_RDONLY);
	struct source source;
	struct stat stat;

	if (fd < 0 || fstat(fd, &stat))
		die(name);
	page_size = (size_t)sysconf(_SC_PAGESIZE);
	source.size = (size_t)stat.st_size;
	source.bytes = mmap(NULL, source.size, PROT_READ, MAP_SHARED, fd, 0);
	if (source.bytes == MAP_FAILED)
		die(name);
	close(fd);
	return source;
}

static inline char *memory_map(size_t size)
{
	char *memory = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (memory == MAP_FAILED)
		die("mmap");
	return memory;
}

/*
 * Fills memory with the file's bytes from @from on. Every time that the file has been used up, its
 * bytes move on by some: pages are not repeated.
 */
static inline void memory_fill(char *memory, size_t size, size_t from, struct source source)
{
	for (size_t done = 0; done < size; done += page_size) {
		size_t at = from + done;
		size_t turn = at / source.size;

		memcpy(memory + done, source.bytes + (at + turn * 1111) % (source.size - page_size),
		       page_size);
	}
}

static inline void memory_page_out(char *memory, size_t size)
{
	if (madvise(memory, size, MADV_PAGEOUT))
		die("madvise");
}

/* Fills memory and pages it out, step by step. */
static inline void memory_swap_out(char *memory, size_t size, size_t from, struct source source)
{
	for (size_t done = 0; done < size; done += SWAPPED_STEP) {
		size_t part = size - done < SWAPPED_STEP ? size - done : SWAPPED_STEP;

		memory_fill(memory + done, part, from + done, source);
		memory_page_out(memory + done, part);
	}
}

/* Returns the pages of memory that are not in the swap. Ends the program if they are many. */
static inline size_t pages_resident(char *memory, size_t size)
{
	unsigned char *resident = malloc(size / page_size);
	size_t pages = 0;

	if (!resident || mincore(memory, size, resident))
		die("mincore");
	for (size_t i = 0; i < size / page_size; i++)
		pages += resident[i] & 1;
	free(resident);
	if (pages > size / page_size / 20) {
		fprintf(stderr, "%zu of %zu pages are not in the swap\n", pages, size / page_size);
		exit(1);
	}
	return pages;
}

#endif /* TESTS_KERNEL_SWAPPED_H */
