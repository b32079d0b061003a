/* SPDX-License-Identifier: GPL-2.0-only OR BSD-3-Clause */
/*
 * swapper MIB SEED: fills memory with contents that it can tell again, has it swapped out, and
 * looks.
 *
 * Three processes share the megabytes. Each writes pages that compress to anything between nothing
 * and a whole page, and pages them out. It reads them back in random order and compares every byte.
 * Then it forks: the child compares what it inherited while the parent overwrites and pages out
 * anew. Meanwhile short-lived processes swap out and exit, and the kernel's memory compaction
 * starts over and over. The exit status is 0 if every byte was right and the memory was in the
 * swap.
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#define WORKERS 3
#define PASSES 1
#define TRIES 100 /* to get memory swapped out */

static const size_t page_size = 4096;
static uint64_t seed;

static uint64_t mix(uint64_t x)
{
	x ^= x >> 33;
	x *= 0xff51afd7ed558ccdULL;
	x ^= x >> 33;
	x *= 0xc4ceb9fe1a85ec53ULL;
	return x ^ x >> 33;
}

/* The contents of a page: a random part, as long as chance wills, and a repeated word. */
static void page_make(uint64_t *page, uint64_t number)
{
	uint64_t word = mix(seed ^ number * 0x9e3779b97f4a7c15ULL);
	size_t random = word % 16 ? word % (page_size / 8 + 1) : 0;

	for (size_t i = 0; i < page_size / 8; i++)
		page[i] = i < random ? (word = mix(word + i)) : word;
}

static int memory_compare(const char *memory, size_t pages, uint64_t first)
{
	uint64_t expected[512];

	/* All pages, in an order far from that of their addresses: see main() for the step. */
	for (size_t i = 0, at = mix(first) % pages; i < pages; i++, at = (at + 7919) % pages) {
		page_make(expected, first + at);
		if (memcmp(memory + at * page_size, expected, page_size)) {
			fprintf(stderr, "swapper: page %zu of %zu is wrong, seed %llu\n", at, pages,
				(unsigned long long)seed);
			return 1;
		}
	}
	return 0;
}

static void memory_fill(char *memory, size_t pages, uint64_t first)
{
	for (size_t i = 0; i < pages; i++)
		page_make((uint64_t *)(memory + i * page_size), first + i);
}

/* kB of the process's memory that are in the swap. */
static long swapped_kb(void)
{
	char line[256];
	long kb = 0;
	FILE *file = fopen("/proc/self/status", "r");

	while (file && fgets(line, sizeof(line), file))
		if (sscanf(line, "VmSwap: %ld", &kb) == 1)
			break;
	if (file)
		fclose(file);
	return kb;
}

static char *memory_map(size_t pages)
{
	char *memory = mmap(NULL, pages * page_size, PROT_READ | PROT_WRITE,
			    MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (memory == MAP_FAILED) {
		perror("swapper: mmap");
		exit(1);
	}
	return memory;
}

/* Pages memory out; asks again, since the kernel leaves a page that is in use at the moment. */
static int page_out(char *memory, size_t pages)
{
	for (int tries = 0; tries < TRIES; tries++) {
		if (madvise(memory, pages * page_size, MADV_PAGEOUT)) {
			perror("swapper: madvise");
			return 1;
		}
		if (swapped_kb() * 1024 >= (long)(pages * page_size / 2))
			return 0;
		usleep(100000);
	}
	fprintf(stderr, "swapper: only %ld kB went to the swap\n", swapped_kb());
	return 1;
}

static int child_wait(pid_t pid)
{
	int status;

	return pid < 0 || waitpid(pid, &status, 0) != pid || status != 0;
}

static int worker(size_t pages, uint64_t first)
{
	char *memory = memory_map(pages);
	int wrong = 0;

	for (int pass = 0; pass < PASSES && !wrong; pass++, first += pages) {
		pid_t child;

		memory_fill(memory, pages, first);
		wrong |= page_out(memory, pages);
		child = fork();
		if (!child)
			_exit(memory_compare(memory, pages, first));
		wrong |= memory_compare(memory, pages / 2, first); /* shared with the child */
		memory_fill(memory, pages, first + pages);
		wrong |= page_out(memory, pages);
		wrong |= memory_compare(memory, pages, first + pages);
		wrong |= child_wait(child);
	}
	return wrong;
}

/* Processes that swap out and exit, until they are stopped. */
static int leavers(size_t pages)
{
	for (uint64_t first = 1ULL << 40;; first += pages) {
		pid_t child = fork();

		if (!child) {
			char *memory = memory_map(pages);

			memory_fill(memory, pages, first);
			madvise(memory, pages * page_size, MADV_PAGEOUT);
			_exit(0);
		}
		if (child_wait(child))
			return 1;
	}
}

static int compactor(void)
{
	for (;;) {
		int file = open("/proc/sys/vm/compact_memory", O_WRONLY);

		if (file < 0 || write(file, "1", 1) != 1)
			return 1;
		close(file);
		file = open("/sys/block/zram0/compact", O_WRONLY);
		if (file >= 0) {
			if (write(file, "1", 1) != 1)
				return 1;
			close(file);
		}
		usleep(20000);
	}
}

int main(int argc, char **argv)
{
	pid_t child[WORKERS], leaving, compacting;
	size_t pages;
	int wrong = 0;

	if (argc != 3) {
		fprintf(stderr, "usage: swapper MIB SEED\n");
		return 2;
	}
	pages = strtoul(argv[1], NULL, 10) * (1 << 20) / page_size / WORKERS;
	pages -= pages % 7919 == 0; /* a step that visits them all, and half of them, too */
	seed = strtoul(argv[2], NULL, 10);
	leaving = fork();
	if (!leaving)
		_exit(leavers(pages / 8));
	compacting = fork();
	if (!compacting)
		_exit(compactor());
	for (int i = 0; i < WORKERS; i++) {
		child[i] = fork();
		if (!child[i])
			_exit(worker(pages, (uint64_t)i << 32));
	}
	for (int i = 0; i < WORKERS; i++)
		wrong |= child_wait(child[i]);
	/* They end only if something is wrong with them. */
	if (waitpid(leaving, NULL, WNOHANG) || waitpid(compacting, NULL, WNOHANG)) {
		fprintf(stderr, "swapper: a process that should run on has ended\n");
		wrong = 1;
	}
	kill(leaving, 9);
	kill(compacting, 9);
	while (wait(NULL) > 0)
		;
	return wrong;
}
