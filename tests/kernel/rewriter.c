/* SPDX-License-Identifier: GPL-2.0-only OR BSD-3-Clause */
/*
 * rewriter DIRECTORY MIB WRITERS PASSES: overwrites files in place, again and again.
 *
 * The writers share the megabytes; each has a file of its own. A writer fills its file with noise,
 * then overwrites it PASSES times, with O_DIRECT, in blocks of 1 MiB. Noise does not compress: a
 * zram below needs as much memory as the files have. Prints one line:
 *
 *   BLOCKS ERRORS PAGES
 *
 * ERRORS counts the blocks whose write failed. PAGES is the most that all zspages had, as
 * nr_zspages in /proc/vmstat says every 5 ms.
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "../../common/random.h"

#define BLOCK (1UL << 20)

/* The writers share it. */
struct counts {
	atomic_ulong blocks;
	atomic_ulong errors;
};

static void die(const char *what)
{
	perror(what);
	exit(1);
}

/* Writes each block of one file PASSES times over, each time with other noise. */
static void rewrite(const char *directory, unsigned long number, unsigned long blocks,
		    unsigned long passes, struct counts *counts)
{
	uint64_t *noise = aligned_alloc(4096, BLOCK);
	uint64_t state = RANDOM_SEED + number;
	char path[256];
	int file;

	snprintf(path, sizeof(path), "%s/%lu", directory, number);
	file = open(path, O_CREAT | O_WRONLY | O_DIRECT, 0600);
	if (file < 0 || !noise)
		die("rewriter: open");
	for (size_t i = 0; i < BLOCK / sizeof(*noise); i++)
		noise[i] = next_random(&state);
	for (unsigned long i = 0; i < blocks * (1 + passes); i++) {
		uint64_t change = next_random(&state);

		for (size_t j = 0; j < BLOCK / sizeof(*noise); j++)
			noise[j] ^= change;
		atomic_fetch_add(&counts->blocks, 1);
		if (pwrite(file, noise, BLOCK, (off_t)(i % blocks * BLOCK)) != (ssize_t)BLOCK)
			atomic_fetch_add(&counts->errors, 1);
	}
}

static unsigned long zspages_now(void)
{
	FILE *file = fopen("/proc/vmstat", "r");
	unsigned long pages = 0;
	char line[256];

	while (file && fgets(line, sizeof(line), file))
		if (sscanf(line, "nr_zspages %lu", &pages) == 1)
			break;
	if (file)
		fclose(file);
	return pages;
}

int main(int argc, char **argv)
{
	unsigned long blocks, writers, passes, most = 0;
	struct counts *counts;
	int status, failed = 0;
	pid_t ended;

	if (argc != 5) {
		fprintf(stderr, "usage: rewriter DIRECTORY MIB WRITERS PASSES\n");
		return 2;
	}
	writers = strtoul(argv[3], NULL, 10);
	blocks = strtoul(argv[2], NULL, 10) / writers;
	passes = strtoul(argv[4], NULL, 10);
	counts = mmap(NULL, sizeof(*counts), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1,
		      0);
	if (counts == MAP_FAILED)
		die("rewriter: mmap");
	for (unsigned long i = 0; i < writers; i++) {
		if (!fork()) {
			rewrite(argv[1], i, blocks, passes, counts);
			_exit(0);
		}
	}
	while ((ended = waitpid(-1, &status, WNOHANG)) >= 0) {
		unsigned long pages = zspages_now();

		if (ended)
			failed |= status;
		most = pages > most ? pages : most;
		usleep(5000);
	}
	printf("%lu %lu %lu\n", counts->blocks, counts->errors, most);
	return failed != 0;
}
