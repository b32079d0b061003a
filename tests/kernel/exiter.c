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
#include <stdint.h>
#include <sys/wait.h>

#include "../../common/clock.h"
#include "swapped.h"

static void process(size_t size, size_t from, struct source source, int ready, int go)
{
	char *memory = memory_map(size);
	size_t resident;
	uint64_t start;
	char byte = 0;

	memory_swap_out(memory, size, from, source);
	resident = pages_resident(memory, size);
	if (write(ready, &byte, 1) != 1 || read(go, &byte, 1) != 1)
		die("exiter: pipe");
	start = now_ns();
	munmap(memory, size);
	printf("munmap %zu %llu\n", size / page_size - resident,
	       (unsigned long long)(now_ns() - start));
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
	int ready[2], go[2], status, failed = 0;
	size_t size, processes;
	struct source source;
	char byte = 0;

	if (argc != 4) {
		fprintf(stderr, "usage: exiter FILE MIB PROCESSES\n");
		return 2;
	}
	size = strtoul(argv[2], NULL, 10) << 20;
	processes = strtoul(argv[3], NULL, 10);
	source = source_open(argv[1]);
	if (pipe(ready) || pipe(go))
		die("exiter");
	for (size_t i = 0; i < processes; i++) {
		if (!fork()) {
			close(ready[0]);
			process(size, i * size, source, ready[1], go[0]);
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
