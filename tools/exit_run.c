/* SPDX-License-Identifier: GPL-2.0-only OR BSD-3-Clause */
/*
 * Processes exit at once, each a thread of this program.
 *
 * An address space is a row of page tables. Each table's pages are swapped ones, whose compressed
 * copies lie in the store, and resident ones, which are anonymous memory. The processes fill the
 * store side by side, so that their pages share zspages. Each fills it in the order in which
 * reclaim finds pages: neighbours together, but the runs of neighbours by age, so in random order.
 * So the objects lie in the store as they do in a machine that swaps.
 *
 * An exit walks the address space in order, as the kernel's does. It hands the swapped slots of a
 * table to the store one by one. It gathers the resident pages, and releases them in batches.
 */
#include "exit.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "random.h"
#include "util.h"
#include "zsmalloc.h"

enum {
	RECLAIM_RUN = 32, /* neighbouring pages that are swapped out together */
	PROGRESS_STEP = 256, /* pages between two looks at the progress bar */
	TABLE_BYTES = 64, /* bytes that the store's tables take for a page, at most */
	SIZE_SLACK = 2 << 20, /* bytes that the kernel's count of memory may be off by */
	RELEASE_BATCH = 512, /* resident pages that are gathered before they are released */
};

/* How long the store may take to give its memory back before the wait for it is given up. */
static const uint64_t patience_ns = 30 * NS_PER_S;
static const struct timespec poll_interval = { .tv_nsec = 200000 };

/* One process, and what came of it. */
struct process {
	struct zram *zram;
	const struct source *source;
	pthread_barrier_t *barrier;
	size_t first; /* its swapped pages: the slots from first up to before end */
	size_t end;
	size_t table_swapped; /* swapped pages of a full page table */
	size_t table_resident; /* resident ones */
	unsigned char *resident;
	size_t resident_pages;
	size_t released; /* of the resident pages */
	uint64_t start; /* of its exit */
	uint64_t finish; /* with it, the last resident page was released */
	struct exit_times *times;
	size_t mismatches;
	int error;
};

/* Pages that one page table maps: an entry is eight bytes on every 64-bit machine. */
static size_t table_pages(const struct source *source)
{
	return source->page_size / 8;
}

static size_t table_resident_pages(const struct experiment_options *options,
				   const struct source *source)
{
	return table_pages(source) * options->resident / 100;
}

uint64_t experiment_footprint(const struct experiment_options *options, uint64_t pages)
{
	uint64_t resident = pages * options->resident / (100 - options->resident);

	/* What is loaded, and the store, which takes no more than that and a few per cent. */
	return pages + pages + pages / 16 + resident;
}

static void swap_out_run(struct process *process, size_t first)
{
	size_t end = first + RECLAIM_RUN < process->end ? first + RECLAIM_RUN : process->end;

	for (size_t i = first; i < end && !process->error; i++)
		process->error = zram_write_page(process->zram, i, source_page(process->source, i));
	progress_add(end - first);
}

static void *swap_out(void *arg)
{
	struct process *process = arg;
	size_t pages = process->end - process->first;
	size_t runs = (pages + RECLAIM_RUN - 1) / RECLAIM_RUN;
	size_t *order = zeroed(runs, sizeof(*order), "the order of the pages");

	for (size_t i = 0; i < runs; i++)
		order[i] = i;
	shuffle(order, runs, RANDOM_SEED + process->first); /* the same in every run */
	for (size_t i = 0; i < runs && !process->error; i++)
		swap_out_run(process, process->first + order[i] * RECLAIM_RUN);
	free(order);
	return NULL;
}

/* A page that cannot be read back is as lost as a changed one. */
static void *read_back(void *arg)
{
	struct process *process = arg;
	void *page = malloc(process->source->page_size);

	if (!page) {
		process->error = -ENOMEM;
		return NULL;
	}
	for (size_t i = process->first; i < process->end; i++) {
		if (zram_read_page(process->zram, i, page) != 0 ||
		    source_hash(process->source, page) != process->source->hashes[i])
			process->mismatches++;
		if (i % PROGRESS_STEP == 0)
			progress_add(PROGRESS_STEP);
	}
	free(page);
	return NULL;
}

/* Adds the time since *@now to a sum, and sets *@now. */
static void lap(uint64_t *now, uint64_t *sum)
{
	uint64_t before = *now;

	*now = now_ns();
	*sum += *now - before;
}

/*
 * By madvise(), not munmap(): the threads share what real processes have each for their own, the
 * lock that munmap() would take exclusively.
 */
static void release(struct process *process, size_t pages)
{
	size_t page_size = process->source->page_size;

	if (pages == 0)
		return;
	if (madvise(process->resident + process->released * page_size, pages * page_size,
		    MADV_DONTNEED) != 0)
		process->error = -errno;
	process->released += pages;
}

/* The thing that is measured. Clocks are read around a release, never in the inner loop. */
static void *exit_process(void *arg)
{
	struct process *process = arg;
	struct exit_times *times = process->times;
	size_t slot = process->first;
	size_t gathered = 0;
	uint64_t cpu;
	uint64_t now;

	pthread_barrier_wait(process->barrier); /* all are there */
	pthread_barrier_wait(process->barrier); /* go */

	cpu = clock_ns(CLOCK_THREAD_CPUTIME_ID);
	process->start = now_ns();
	now = process->start;
	while (slot < process->end) {
		size_t stop = slot + process->table_swapped;

		if (stop > process->end)
			stop = process->end;
		for (; slot < stop; slot++) {
			int error = zram_slot_free_notify(process->zram, slot);

			if (error)
				process->error = error;
		}
		gathered += process->table_resident;
		if (slot == process->end)
			gathered = process->resident_pages - process->released;
		else if (gathered < RELEASE_BATCH)
			continue;
		lap(&now, &times->slots);
		release(process, gathered);
		gathered = 0;
		lap(&now, &times->resident);
	}
	process->finish = now;
	times->wall = process->finish - process->start;
	times->cpu = clock_ns(CLOCK_THREAD_CPUTIME_ID) - cpu;
	return NULL;
}

static void start_thread(pthread_t *thread, void *(*body)(void *), struct process *process)
{
	int error = pthread_create(thread, NULL, body, process);

	if (error)
		fail("cannot start a thread for each process: %s; choose fewer --processes",
		     strerror(error));
}

static void check_errors(const struct process *processes, unsigned int count)
{
	for (unsigned int i = 0; i < count; i++)
		if (processes[i].error)
			fail("the store failed: %s; choose a smaller --size",
			     strerror(-processes[i].error));
}

/* Lets every process do @body, and waits for all. */
static void all_processes(struct process *processes, unsigned int count, void *(*body)(void *))
{
	pthread_t *threads = zeroed(count, sizeof(*threads), "the processes");

	for (unsigned int i = 0; i < count; i++)
		start_thread(&threads[i], body, &processes[i]);
	for (unsigned int i = 0; i < count; i++)
		pthread_join(threads[i], NULL);
	free(threads);
	check_errors(processes, count);
}

/* Anonymous pages, in memory; huge pages would be released for less than real ones of that size. */
static unsigned char *map_resident(size_t bytes, size_t page_size)
{
	unsigned char *memory;

	if (bytes == 0)
		return NULL;
	memory = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (memory == MAP_FAILED)
		fail("no memory for the resident pages: %s; choose a smaller --size",
		     strerror(errno));
	madvise(memory, bytes, MADV_NOHUGEPAGE);
	for (size_t i = 0; i < bytes; i += page_size)
		memory[i] = 1;
	return memory;
}

/* Shares out the pages of the source, and gives each process its resident ones. */
static struct process *create_processes(const struct experiment *experiment, struct zram *zram,
					pthread_barrier_t *barrier, struct run *run)
{
	const struct experiment_options *options = &experiment->options;
	const struct source *source = experiment->source;
	struct process *processes = zeroed(options->processes, sizeof(*processes), "the processes");
	size_t first = 0;

	run->exits = zeroed(options->processes, sizeof(*run->exits), "the processes");
	for (unsigned int i = 0; i < options->processes; i++) {
		struct process *process = &processes[i];

		*process = (struct process){
			.zram = zram,
			.source = source,
			.barrier = barrier,
			.first = first,
			.end = source->count * (i + 1) / options->processes,
			.table_resident = table_resident_pages(options, source),
			.times = &run->exits[i],
		};
		process->table_swapped = table_pages(source) - process->table_resident;
		process->times->swapped_pages = process->end - first;
		process->resident_pages =
			(process->end - first) * process->table_resident / process->table_swapped;
		process->resident = map_resident(process->resident_pages * source->page_size,
						 source->page_size);
		first = process->end;
	}
	return processes;
}

static void destroy_processes(const struct experiment *experiment, struct process *processes)
{
	for (unsigned int i = 0; i < experiment->options.processes; i++)
		if (processes[i].resident)
			munmap(processes[i].resident,
			       processes[i].resident_pages * experiment->source->page_size);
	free(processes);
}

/* Bytes of anonymous memory that this program holds, in memory or in swap; 0 if unknown. */
static uint64_t own_memory(void)
{
	uint64_t resident = 0;
	uint64_t swapped = 0;

	proc_bytes("/proc/self/status", "RssAnon", &resident);
	proc_bytes("/proc/self/status", "VmSwap", &swapped);
	return resident + swapped;
}

/*
 * Returns the size that this program has after the exit, now with the resident pages but an empty
 * store. That has room for the tables of slots and handles, which the store keeps, and for the
 * inaccuracy of the kernel's count.
 */
static uint64_t size_after_exit(const struct process *processes, unsigned int count)
{
	const struct source *source = processes[0].source;
	uint64_t size = own_memory() + source->count * TABLE_BYTES + SIZE_SLACK;

	for (unsigned int i = 0; i < count; i++)
		size -= processes[i].resident_pages * source->page_size;
	return size;
}

/*
 * Waits until the compressed memory is back: the store holds none, and the system has it. It
 * flushes nothing: a program in production would not, and nothing may linger.
 */
static void wait_until_back(struct zram *zram, uint64_t size, struct run *run)
{
	uint64_t begin = now_ns();

	for (;;) {
		struct zram_mm_stat stat;
		uint64_t now;

		zram_get_mm_stat(zram, &stat);
		now = now_ns();
		if (stat.mem_used_total == 0 && !run->store_empty)
			run->store_empty = now;
		if (run->store_empty && own_memory() <= size)
			break;
		if (now - begin > patience_ns) {
			run->gave_up = true;
			break;
		}
		nanosleep(&poll_interval, NULL);
	}
	run->compressed_back = now_ns();
	if (!run->store_empty)
		run->store_empty = run->compressed_back;
}

/* CPU time of all threads but this one. */
static uint64_t cpu_of_others(void)
{
	return clock_ns(CLOCK_PROCESS_CPUTIME_ID) - clock_ns(CLOCK_THREAD_CPUTIME_ID);
}

static void all_exit(const struct experiment *experiment, struct process *processes,
		     struct zram *zram, pthread_barrier_t *barrier, uint64_t size, struct run *run)
{
	unsigned int count = experiment->options.processes;
	pthread_t *threads = zeroed(count, sizeof(*threads), "the processes");
	uint64_t start = UINT64_MAX;
	uint64_t finish = 0;
	uint64_t cpu;

	for (unsigned int i = 0; i < count; i++)
		start_thread(&threads[i], exit_process, &processes[i]);
	pthread_barrier_wait(barrier); /* all are there */
	cpu = cpu_of_others();
	pthread_barrier_wait(barrier); /* go */
	for (unsigned int i = 0; i < count; i++)
		pthread_join(threads[i], NULL);
	wait_until_back(zram, size, run);
	run->cpu = cpu_of_others() - cpu;
	free(threads);
	check_errors(processes, count);

	for (unsigned int i = 0; i < count; i++) {
		if (processes[i].start < start)
			start = processes[i].start;
		if (processes[i].finish > finish)
			finish = processes[i].finish;
	}
	run->resident_back = finish - start;
	run->store_empty -= start;
	run->compressed_back -= start;
}

/* The deferred frees that were done synchronously, for whatever reason. */
static uint64_t deferred_fallbacks(struct zs_pool *pool)
{
	static const char prefix[] = "fallback";
	uint64_t fallbacks = 0;
	char *text = NULL;
	size_t size = 0;
	FILE *out = open_memstream(&text, &size);
	char *rest = NULL;

	if (!out)
		fail("no memory for the queue's statistics");
	zs_stats_deferred(pool, out);
	if (fclose(out) != 0)
		fail("no memory for the queue's statistics");
	for (char *line = strtok_r(text, "\n", &rest); line; line = strtok_r(NULL, "\n", &rest)) {
		const char *colon = strchr(line, ':');

		if (colon && strncmp(line, prefix, strlen(prefix)) == 0)
			fallbacks += strtoull(colon + 1, NULL, 10);
	}
	free(text);
	return fallbacks;
}

/* Fills a store, reads every page back, and lets all processes exit. */
static void run_once(struct experiment *experiment, enum zram_free_policy policy, struct run *run)
{
	unsigned int count = experiment->options.processes;
	struct zram *zram = create_store((struct zram_options){
		.disksize = (uint64_t)experiment->source->count * experiment->source->page_size,
		.algorithm = experiment->options.algorithm,
		.free_policy = policy,
		.deferred_budget = experiment->options.budget,
	});
	struct process *processes;
	pthread_barrier_t barrier;
	uint64_t size;

	if (pthread_barrier_init(&barrier, NULL, count + 1) != 0)
		fail("no memory for the processes");
	processes = create_processes(experiment, zram, &barrier, run);

	size = size_after_exit(processes, count);
	all_processes(processes, count, swap_out);
	zram_get_mm_stat(zram, &run->stored);
	all_processes(processes, count, read_back);
	for (unsigned int i = 0; i < count; i++)
		experiment->mismatches += processes[i].mismatches;
	all_exit(experiment, processes, zram, &barrier, size, run);
	run->fallbacks = deferred_fallbacks(zram_get_pool(zram));

	experiment->resident_pages = 0;
	for (unsigned int i = 0; i < count; i++)
		experiment->resident_pages += processes[i].resident_pages;
	destroy_processes(experiment, processes);
	pthread_barrier_destroy(&barrier);
	zram_destroy(zram);
}

void experiment_run(struct experiment *experiment)
{
	unsigned int rounds = experiment->options.rounds;

	for (unsigned int policy = 0; policy < POLICIES; policy++)
		experiment->runs[policy] =
			zeroed(rounds, sizeof(*experiment->runs[policy]), "the rounds");
	progress_begin("Storing, reading back, exiting",
		       experiment->source->count * 2 * POLICIES * rounds);
	/* Every other round begins with the other policy, so that neither gains by its place. */
	for (unsigned int round = 0; round < rounds; round++)
		for (unsigned int turn = 0; turn < POLICIES; turn++) {
			unsigned int policy = (round + turn + 1) % POLICIES;

			run_once(experiment, policy, &experiment->runs[policy][round]);
		}
	progress_end();
}

void experiment_destroy(struct experiment *experiment)
{
	for (unsigned int policy = 0; policy < POLICIES; policy++) {
		for (unsigned int round = 0; round < experiment->options.rounds; round++)
			free(experiment->runs[policy][round].exits);
		free(experiment->runs[policy]);
	}
}
