/* SPDX-License-Identifier: GPL-2.0-only OR BSD-3-Clause */
/*
 * exiter FILE MIB PROCESSES: how long it takes to give up memory that is in the swap.
 *
 * Each process fills MIB megabytes with the file's bytes and has them swapped out. When all are
 * ready, they unmap at once. A line a process:
 *
 *   munmap PAGES NANOSECONDS
 *
 * and before them what zram says of the memory that it uses for all that:
 *
 *   zram ORIGINAL COMPRESSED USED, bytes of zram0, if there is one
 *
 * Pages that are still resident are not counted, and the exit status is 1 if they are many.
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "../../common/clock.h"

#define STEP (32UL << 20) /* is filled and swapped out at once */

static size_t page_size;

static void die(const char *what)
{
	perror(what);
	exit(1);
}

/* Every time that the file has been used up, its bytes move on by some: pages are not repeated. */
static void fill(char *memory, size_t size, size_t from, const char *file, size_t file_size)
{
	for (size_t done = 0; done < size; done += page_size) {
		size_t at = from + done;
		size_t turn = at / file_size;

		memcpy(memory + done, file + (at + turn * 1111) % (file_size - page_size),
		       page_size);
	}
}

static size_t pages_resident(char *memory, size_t size)
{
	unsigned char *resident = malloc(size / page_size);
	size_t pages = 0;

	if (!resident || mincore(memory, size, resident))
		die("exiter: mincore");
	for (size_t i = 0; i < size / page_size; i++)
		pages += resident[i] & 1;
	free(resident);
	return pages;
}

static void process(size_t size, size_t from, const char *file, size_t file_size, int ready, int go)
{
	char *memory = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	size_t resident;
	uint64_t start;
	char byte = 0;

	if (memory == MAP_FAILED)
		die("exiter: mmap");
	for (size_t done = 0; done < size; done += STEP) {
		size_t part = size - done < STEP ? size - done : STEP;

		fill(memory + done, part, from + done, file, file_size);
		if (madvise(memory + done, part, MADV_PAGEOUT))
			die("exiter: madvise");
	}
	resident = pages_resident(memory, size);
	if (write(ready, &byte, 1) != 1 || read(go, &byte, 1) != 1)
		die("exiter: pipe");
	start = now_ns();
	munmap(memory, size);
	printf("munmap %zu %llu\n", size / page_size - resident,
	       (unsigned long long)(now_ns() - start));
	if (resident > size / page_size / 20)
		exit(1);
}

static void zram_tell(void)
{
	unsigned long long original, compressed, used;
	FILE *stat = fopen("/sys/block/zram0/mm_stat", "r");

	if (!stat)
		return;
	if (fscanf(stat, "%llu %llu %llu", &original, &compressed, &used) != 3)
		die("exiter: mm_stat");
	fclose(stat);
	printf("zram %llu %llu %llu\n", original, compressed, used);
	fflush(stdout);
}

int main(int argc, char **argv)
{
	int ready[2], go[2], fd, status, failed = 0;
	size_t size, processes, file_size;
	struct stat stat;
	char *file, byte = 0;

	if (argc != 4) {
		fprintf(stderr, "usage: exiter FILE MIB PROCESSES\n");
		return 2;
	}
	page_size = (size_t)sysconf(_SC_PAGESIZE);
	size = strtoul(argv[2], NULL, 10) << 20;
	processes = strtoul(argv[3], NULL, 10);
	fd = open(argv[1], O_RDONLY);
	if (fd < 0 || fstat(fd, &stat) || pipe(ready) || pipe(go))
		die("exiter");
	file_size = (size_t)stat.st_size;
	file = mmap(NULL, file_size, PROT_READ, MAP_SHARED, fd, 0);
	if (file == MAP_FAILED)
		die("exiter: file");
	for (size_t i = 0; i < processes; i++) {
		if (!fork()) {
			process(size, i * size, file, file_size, ready[1], go[0]);
			exit(0);
		}
		if (read(ready[0], &byte, 1) != 1) /* one after the other: memory is short */
			die("exiter: pipe");
	}
	zram_tell();
	for (size_t i = 0; i < processes; i++)
		if (write(go[1], &byte, 1) != 1)
			die("exiter: pipe");
	while (wait(&status) > 0)
		failed |= status;
	return failed != 0;
}
