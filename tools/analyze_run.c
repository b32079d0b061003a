/* SPDX-License-Identifier: GPL-2.0-only OR BSD-3-Clause */
/*
 * The store itself measures. A page that is written to the one slot of a store leaves its
 * compressed size in the store's statistics. Threads share the pages out; each has a store of its
 * own for every algorithm, and counts for itself. The zspages that the objects take then follow
 * from the allocator's classes, of which each fills one zspage after the other.
 */
#include "analyze.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "allowance.h"
#include "util.h"

enum {
	ALGORITHMS = 16, /* at most; libzram has fewer */
	RUN = 64, /* pages that a thread takes at once */
};

static const char analysis_memory[] = "the analysis; choose a smaller --size";

/* What a thread works with, and what it has counted. */
struct worker {
	pthread_t thread;
	struct analysis *analysis;
	atomic_size_t *next; /* page that no thread has taken */
	struct zram *store[ALGORITHMS];
	struct outcome outcome[ALGORITHMS];
	uint64_t same_filled;
	int error;
};

static void measure(struct worker *worker, unsigned int algorithm, const void *page)
{
	struct outcome *outcome = &worker->outcome[algorithm];
	struct zram_mm_stat stat;
	int error = zram_write_page(worker->store[algorithm], 0, page);

	if (error) {
		worker->error = error;
		return;
	}
	zram_get_mm_stat(worker->store[algorithm], &stat);
	if (stat.same_pages) {
		worker->same_filled += algorithm == 0;
		return;
	}
	outcome->objects++;
	outcome->compressed += stat.compr_data_size;
	outcome->incompressible += stat.huge_pages;
	outcome->sizes[stat.compr_data_size]++;
}

static void *work(void *arg)
{
	struct worker *worker = arg;
	const struct analysis *analysis = worker->analysis;
	size_t count = analysis->source->count;
	size_t first;

	while ((first = atomic_fetch_add(worker->next, RUN)) < count) {
		size_t end = first + RUN < count ? first + RUN : count;

		for (unsigned int i = 0; i < analysis->algorithms; i++)
			for (size_t page = first; page < end && !worker->error; page++)
				measure(worker, i, source_page(analysis->source, page));
		progress_add(end - first);
	}
	return NULL;
}

/* A count for each size that a page may have, compressed. */
static uint64_t *create_sizes(const struct analysis *analysis)
{
	return zeroed(analysis->source->page_size + 1, sizeof(uint64_t), analysis_memory);
}

static void start_worker(struct worker *worker, struct analysis *analysis, atomic_size_t *next)
{
	int error;

	worker->analysis = analysis;
	worker->next = next;
	for (unsigned int i = 0; i < analysis->algorithms; i++) {
		worker->store[i] = create_store((struct zram_options){
			.disksize = 1, /* a page */
			.algorithm = analysis->outcome[i].algorithm,
			.free_policy = ZRAM_FREE_NOW,
		});
		worker->outcome[i].sizes = create_sizes(analysis);
	}
	error = pthread_create(&worker->thread, NULL, work, worker);
	if (error)
		fail("cannot start a thread: %s", strerror(error));
}

/* Adds what a thread has counted to what all have. */
static void join_worker(struct worker *worker, struct analysis *analysis)
{
	pthread_join(worker->thread, NULL);
	if (worker->error)
		fail("the store failed: %s", strerror(-worker->error));
	analysis->same_filled += worker->same_filled;
	for (unsigned int i = 0; i < analysis->algorithms; i++) {
		struct outcome *sum = &analysis->outcome[i];
		const struct outcome *part = &worker->outcome[i];

		sum->objects += part->objects;
		sum->compressed += part->compressed;
		sum->incompressible += part->incompressible;
		for (size_t size = 0; size <= analysis->source->page_size; size++)
			sum->sizes[size] += part->sizes[size];
		free(part->sizes);
		zram_destroy(worker->store[i]);
	}
}

static void compress_all(struct analysis *analysis)
{
	unsigned int cores = allowance_find("").cpus;
	struct worker *workers = zeroed(cores, sizeof(*workers), analysis_memory);
	atomic_size_t next = 0;

	progress_begin("Compressing", analysis->source->count);
	for (unsigned int i = 0; i < cores; i++)
		start_worker(&workers[i], analysis, &next);
	for (unsigned int i = 0; i < cores; i++)
		join_worker(&workers[i], analysis);
	progress_end();
	free(workers);
}

static void find_algorithms(struct analysis *analysis)
{
	analysis->outcome = zeroed(ALGORITHMS, sizeof(*analysis->outcome), analysis_memory);
	for (unsigned int i = 0; i < ALGORITHMS && zram_algorithm(i); i++)
		analysis->outcome[analysis->algorithms++] = (struct outcome){
			.algorithm = zram_algorithm(i),
			.sizes = create_sizes(analysis),
		};
}

static struct class_use use_class(const struct class_table *table, const struct size_class *class,
				  const uint64_t *sizes)
{
	struct class_use use = { .objects = 0 };
	uint64_t full, rest, rest_pages;

	for (size_t size = class->least; size <= class->size; size++) {
		use.objects += sizes[size];
		use.rounding += sizes[size] * (class->size - size);
	}
	full = use.objects / class->slots;
	rest = use.objects % class->slots * class->size;
	rest_pages = (rest + table->page_size - 1) / table->page_size;
	use.zspages = full + (rest ? 1 : 0);
	use.pages = full * class->pages + rest_pages;
	use.tails = full * class_tail(table, class);
	use.free = rest_pages * table->page_size - rest;
	return use;
}

static uint64_t memory_of(const struct class_table *table, const uint64_t *sizes)
{
	uint64_t memory = 0;

	for (size_t i = 0; i < table->count; i++) {
		struct class_use use = use_class(table, &table->classes[i], sizes);

		memory += use.pages * table->page_size;
	}
	return memory;
}

/* What all algorithms' objects take with chains up to a length. */
static void pack_all(struct analysis *analysis, const struct class_table *table)
{
	unsigned int max_chain = table->max_chain;

	for (unsigned int i = 0; i < analysis->algorithms; i++) {
		struct outcome *outcome = &analysis->outcome[i];

		outcome->memory[max_chain] = memory_of(table, outcome->sizes);
		if (!outcome->best_chain ||
		    outcome->memory[max_chain] < outcome->memory[outcome->best_chain])
			outcome->best_chain = max_chain;
	}
}

static void use_classes(struct analysis *analysis)
{
	const struct class_table *table = &analysis->classes;

	for (unsigned int i = 0; i < analysis->algorithms; i++) {
		struct outcome *outcome = &analysis->outcome[i];

		outcome->use = zeroed(table->count, sizeof(*outcome->use), analysis_memory);
		for (size_t j = 0; j < table->count; j++)
			outcome->use[j] = use_class(table, &table->classes[j], outcome->sizes);
	}
}

void analysis_run(struct analysis *analysis, const struct source *source)
{
	*analysis = (struct analysis){ .source = source };
	find_algorithms(analysis);
	compress_all(analysis);
	for (unsigned int max_chain = 1; max_chain <= CHAIN_MAX; max_chain++) {
		struct class_table table;

		class_table_create(&table, max_chain);
		pack_all(analysis, &table);
		class_table_destroy(&table);
	}
	class_table_create(&analysis->classes, CHAIN_MAX);
	use_classes(analysis);
}

void analysis_destroy(struct analysis *analysis)
{
	for (unsigned int i = 0; i < analysis->algorithms; i++) {
		free(analysis->outcome[i].sizes);
		free(analysis->outcome[i].use);
	}
	free(analysis->outcome);
	class_table_destroy(&analysis->classes);
}

const struct outcome *analysis_find(const struct analysis *analysis, const char *algorithm)
{
	for (unsigned int i = 0; i < analysis->algorithms; i++)
		if (strcmp(analysis->outcome[i].algorithm, algorithm) == 0)
			return &analysis->outcome[i];
	return NULL;
}

double outcome_overhead(const struct outcome *outcome, unsigned int max_chain)
{
	double compressed = (double)outcome->compressed;

	return compressed > 0 ? 100 * ((double)outcome->memory[max_chain] / compressed - 1) : 0;
}

double outcome_ratio(const struct analysis *analysis, const struct outcome *outcome)
{
	double loaded = (double)(analysis->source->count * analysis->source->page_size);

	return outcome->compressed ? loaded / (double)outcome->compressed : 0;
}
