/* SPDX-License-Identifier: GPL-2.0-only OR BSD-3-Clause */
/*
 * holder SWAPPED RESIDENT: has some memory in the swap, and some that is resident, each in MiB.
 * Another program looks at it.
 *
 * It prints "ready" when they are there. At the end of its input it compares what it holds, byte by
 * byte: the exit status is 0 if every byte is right.
 */
#define _GNU_SOURCE
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#define PAGE 4096
#define TRIES 100 /* to get memory swapped out */

/* The byte of a page: every second half kilobyte looks random, the rest is one letter. */
static unsigned char byte_at(size_t i)
{
	return i / 512 % 2 ? (unsigned char)'z' : (unsigned char)(i * 2654435761U >> 13);
}

static unsigned char *memory_make(size_t bytes)
{
	unsigned char *memory =
		mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (memory == MAP_FAILED) {
		perror("holder: mmap");
		exit(1);
	}
	for (size_t i = 0; i < bytes; i++)
		memory[i] = byte_at(i);
	return memory;
}

static int memory_compare(const unsigned char *memory, size_t bytes)
{
	for (size_t i = 0; i < bytes; i++) {
		if (memory[i] != byte_at(i)) {
			fprintf(stderr, "holder: byte %zu of %zu is wrong\n", i, bytes);
			return 1;
		}
	}
	return 0;
}

static size_t pages_present(unsigned char *memory, size_t bytes)
{
	static unsigned char there[1 << 20];
	size_t present = 0;

	if (bytes / PAGE > sizeof(there) || mincore(memory, bytes, there)) {
		perror("holder: mincore");
		exit(1);
	}
	for (size_t i = 0; i < bytes / PAGE; i++)
		present += there[i] & 1;
	return present;
}

/* The kernel leaves a page that is in use at the moment: so this asks again. */
static int page_out(unsigned char *memory, size_t bytes)
{
	size_t present = bytes / PAGE;

	for (int tries = 0; tries < TRIES && present; tries++) {
		if (madvise(memory, bytes, MADV_PAGEOUT)) {
			perror("holder: madvise");
			return 1;
		}
		present = pages_present(memory, bytes);
		if (present)
			usleep(100000);
	}
	if (present)
		fprintf(stderr, "holder: %zu pages stay in memory\n", present);
	return present != 0;
}

int main(int argc, char **argv)
{
	size_t swapped_bytes, resident_bytes;
	unsigned char *swapped, *resident;

	if (argc != 3) {
		fprintf(stderr, "usage: holder SWAPPED RESIDENT\n");
		return 2;
	}
	swapped_bytes = strtoul(argv[1], NULL, 10) << 20;
	resident_bytes = strtoul(argv[2], NULL, 10) << 20;
	swapped = memory_make(swapped_bytes);
	resident = memory_make(resident_bytes);
	if (page_out(swapped, swapped_bytes))
		return 1;
	puts("ready");
	fflush(stdout);
	while (getchar() != EOF)
		;
	return memory_compare(swapped, swapped_bytes) | memory_compare(resident, resident_bytes);
}
