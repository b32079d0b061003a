/* SPDX-License-Identifier: GPL-2.0-only OR BSD-3-Clause */
/*
 * pressure MIB TASKS: whether the kernel, when memory is short, gets back what a pool need not
 * have.
 *
 * The process writes MIB megabytes to /dev/zram0, which is no swap. It overwrites seven pages in
 * eight with zeros, which frees their objects. These wait in the queue then, and the others are far
 * apart. There is no other memory to be had: the more TASKS processes take, the more the kernel
 * asks its shrinkers, for each of them. In the end the pool has done its frees and moved its
 * objects together. If not, the memory runs out, and the kernel kills a process. The pages that are
 * left must still be right.
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#define STEP (1UL << 20)
#define KEPT 8 /* one page in KEPT is left */

static const size_t page_size = 4096;

static void die(const char *what)
{
	perror(what);
	exit(1);
}

/* Half of a page is noise, which does not compress. */
static void page_make(unsigned char *page, size_t number)
{
	unsigned int noise = (unsigned int)number * 2654435761U + 1;

	memset(page, 0, page_size);
	for (size_t i = 0; i < page_size / 2; i++) {
		noise = noise * 1103515245U + 12345;
		page[i] = (unsigned char)(noise >> 16);
	}
}

static void disk_write(int disk, const unsigned char *page, size_t number)
{
	if (pwrite(disk, page, page_size, (off_t)(number * page_size)) != (ssize_t)page_size)
		die("pressure: write");
}

/* Number @column, from 0, of the first line of a file that begins with @prefix. */
static unsigned long long read_number(const char *path, const char *prefix, int column)
{
	char line[512];
	FILE *file = fopen(path, "r");

	while (file && fgets(line, sizeof(line), file)) {
		char *at = line + strlen(prefix);
		unsigned long long number = 0;

		if (strncmp(line, prefix, strlen(prefix)) != 0)
			continue;
		for (int i = 0; i <= column; i++)
			number = strtoull(at, &at, 10);
		fclose(file);
		return number;
	}
	die(path);
	return 0;
}

static unsigned long long pending(void)
{
	return read_number("/sys/kernel/debug/zsmalloc/zram0/deferred_free", "pending: ", 0);
}

static unsigned long long compacted(void)
{
	return read_number("/sys/block/zram0/mm_stat", "", 6);
}

/* Returns the bytes that all zspages hold. What zram says leaves out what waits. */
static unsigned long long used(void)
{
	return read_number("/proc/vmstat", "nr_zspages ", 0) * page_size;
}

/* Takes memory till zspages hold at most @most bytes. Returns how many it took. */
static size_t take_memory(unsigned long long most)
{
	for (size_t taken = STEP;; taken += STEP) {
		char *memory = mmap(NULL, STEP, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS,
				    -1, 0);

		if (memory == MAP_FAILED)
			die("pressure: mmap");
		memset(memory, 1, STEP);
		if (compacted() && !pending() && used() <= most)
			return taken;
	}
}

int main(int argc, char **argv)
{
	size_t pages = argc == 3 ? strtoul(argv[1], NULL, 10) * (1 << 20) / page_size : 0;
	int disk = open("/dev/zram0", O_RDWR | O_DIRECT);
	unsigned char *page, *expected;
	unsigned long long waited, was;
	size_t taken;
	int status;

	if (!pages) {
		fprintf(stderr, "usage: pressure MIB TASKS\n");
		return 2;
	}
	page = aligned_alloc(page_size, page_size);
	expected = malloc(page_size);
	if (disk < 0 || !page || !expected)
		die("pressure");
	for (size_t i = 0; i < pages; i++) {
		page_make(page, i);
		disk_write(disk, page, i);
	}
	memset(page, 0, page_size);
	for (size_t i = 0; i < pages; i++)
		if (i % KEPT)
			disk_write(disk, page, i);
	waited = pending();
	was = used();
	for (int i = 1; i < atoi(argv[2]); i++)
		if (!fork()) {
			take_memory(was / 2);
			_exit(0);
		}
	taken = take_memory(was / 2);
	while (wait(&status) > 0)
		if (status) {
			fprintf(stderr, "pressure: a process was killed\n");
			return 1;
		}
	printf("pressure: %llu frees waited, %llu kB in the pool; after %zu kB more were taken, "
	       "%llu kB, %llu pages compacted\n",
	       waited, was >> 10, taken >> 10, used() >> 10, compacted());
	for (size_t i = 0; i < pages; i += KEPT) {
		page_make(expected, i);
		if (pread(disk, page, page_size, (off_t)(i * page_size)) != (ssize_t)page_size)
			die("pressure: read");
		if (memcmp(page, expected, page_size)) {
			fprintf(stderr, "pressure: page %zu is wrong\n", i);
			return 1;
		}
	}
	if (!waited) {
		fprintf(stderr, "pressure: nothing waited\n");
		return 1;
	}
	return 0;
}
