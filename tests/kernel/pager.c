/* SPDX-License-Identifier: GPL-2.0-only OR BSD-3-Clause */
/*
 * pager FILE MIB TASKS: how long it takes to page out, to page in and to unmap.
 *
 * Each task has MIB megabytes with the file's bytes. All of them begin each phase at once. A line a
 * task and phase:
 *
 *   PHASE PAGES NANOSECONDS
 *
 *   pageout   has fresh memory paged out
 *   in_order  reads each page, in the order of addresses
 *   again     has all of it paged out once more, after each page was written to
 *   random    reads each page, in random order
 *   munmap    unmaps it, all swapped out
 *
 * Before and after each phase it is idle for a while, and says "PHASE.cpu". The host reads the
 * kernel's CPU time then: in between lies the phase, and all that comes of it.
 *
 * Pages that are resident before a phase are not counted, and the exit status is 1 if they are
 * many.
 */
#define _GNU_SOURCE
#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/wait.h>

#include "../../common/clock.h"
#include "swapped.h"

#define SETTLE_US 400000 /* what was freed is back with the system */
#define METER_US 100000 /* the host reads its meter */

static pthread_barrier_t *barrier; /* that all tasks share */

struct task {
	bool first;
	char *memory;
	size_t pages;
	uint32_t *order; /* in which pages are read */
};

static void meter(const struct task *task, const char *phase)
{
	usleep(SETTLE_US);
	pthread_barrier_wait(barrier);
	if (task->first) {
		printf("%s.cpu\n", phase);
		fflush(stdout);
	}
	usleep(METER_US);
}

/* Begins a phase in all tasks at once. */
static uint64_t phase_begin(const struct task *task, const char *phase)
{
	meter(task, phase);
	pthread_barrier_wait(barrier);
	return now_ns();
}

static void phase_end(const struct task *task, const char *phase, size_t pages, uint64_t start)
{
	uint64_t end = now_ns();

	printf("%s %zu %llu\n", phase, pages, (unsigned long long)(end - start));
	fflush(stdout);
	meter(task, phase);
}

static size_t pages_swapped(const struct task *task)
{
	return task->pages - pages_resident(task->memory, task->pages * page_size);
}

static void page_out(struct task *task, const char *phase)
{
	uint64_t start = phase_begin(task, phase);

	memory_page_out(task->memory, task->pages * page_size);
	phase_end(task, phase, task->pages, start);
}

/* Reads a byte of each page, then writes one: the page has to be paged out anew. */
static void page_in(struct task *task, const char *phase)
{
	volatile char *memory = task->memory;
	size_t swapped = pages_swapped(task);
	uint64_t start = phase_begin(task, phase);

	for (size_t i = 0; i < task->pages; i++)
		(void)memory[task->order[i] * page_size];
	phase_end(task, phase, swapped, start);
	for (size_t i = 0; i < task->pages; i++)
		memory[i * page_size] ^= 1;
}

static void order_shuffle(struct task *task)
{
	unsigned int noise = 1;

	for (size_t i = task->pages - 1; i > 0; i--) {
		size_t other = (size_t)rand_r(&noise) % (i + 1);
		uint32_t page = task->order[i];

		task->order[i] = task->order[other];
		task->order[other] = page;
	}
}

static void task_run(struct task *task, size_t from, struct source source)
{
	size_t size = task->pages * page_size, swapped;
	uint64_t start;

	task->memory = memory_map(size);
	/* Zswap stores no huge pages. A kernel that has none refuses this. */
	madvise(task->memory, size, MADV_NOHUGEPAGE);
	task->order = malloc(task->pages * sizeof(*task->order));
	if (!task->order)
		die("pager");
	for (size_t i = 0; i < task->pages; i++)
		task->order[i] = (uint32_t)i;
	memory_fill(task->memory, size, from, source);
	page_out(task, "pageout");
	page_in(task, "in_order");
	page_out(task, "again");
	order_shuffle(task);
	page_in(task, "random");
	memory_page_out(task->memory, size);
	swapped = pages_swapped(task);
	start = phase_begin(task, "munmap");
	munmap(task->memory, size);
	phase_end(task, "munmap", swapped, start);
}

int main(int argc, char **argv)
{
	pthread_barrierattr_t attributes;
	size_t pages, tasks;
	struct source source;
	int status, failed = 0;

	if (argc != 4) {
		fprintf(stderr, "usage: pager FILE MIB TASKS\n");
		return 2;
	}
	tasks = strtoul(argv[3], NULL, 10);
	source = source_open(argv[1]);
	pages = (strtoul(argv[2], NULL, 10) << 20) / page_size;
	barrier = mmap(NULL, page_size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (barrier == MAP_FAILED || pthread_barrierattr_init(&attributes) ||
	    pthread_barrierattr_setpshared(&attributes, PTHREAD_PROCESS_SHARED) ||
	    pthread_barrier_init(barrier, &attributes, (unsigned int)tasks))
		die("pager");
	for (size_t i = 0; i < tasks; i++) {
		struct task task = { .first = i == 0, .pages = pages };

		if (!fork()) {
			die_with_parent();
			task_run(&task, i * pages * page_size, source);
			exit(0);
		}
	}
	/* A task that fails leaves the others at the barrier, and they end with this process. */
	while (!failed && wait(&status) > 0)
		failed = status;
	return failed != 0;
}
