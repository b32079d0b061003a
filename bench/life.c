/* SPDX-License-Identifier: GPL-2.0-only OR BSD-3-Clause */
/*
 * bench_life measures an object's whole life, phase by phase, in a process of its own. It stores
 * all objects fresh, reads them in random order, and replaces each in random order. It frees all
 * and stores all again at once. Then it frees all, calls nothing for half a second, and looks how
 * much memory is still there. It prints the raw figures as JSON.
 *
 * Sizes come from the corpus; the bytes come from one page that stays in the cache, as what a
 * compressor has just written does. A reader copies the object into another such page.
 *
 * usage: bench_life SUBJECT OBJECTS CORPUS, the number of the corpus's open file
 */
#include <err.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>

#include "corpus.h"
#include "memory.h"
#include "moment.h"
#include "random.h"
#include "subject.h"

#define IDLE_NS 500000000

/* Two arrays of one order: shuffle() treats both the same. */
struct life {
	const struct subject *subject;
	const struct corpus *corpus;
	unsigned long *objects;
	unsigned long *sizes;
	unsigned long *next_sizes; /* of what replaces the objects */
	size_t count;
	char *content;
	char *buffer;
};

struct phase {
	const char *name;
	void (*run)(struct life *life);
	void (*prepare)(struct life *life); /* not timed; NULL: nothing */
	struct moment took;
	uint64_t faults;
};

static void store_all(struct life *life)
{
	for (size_t i = 0; i < life->count; i++)
		life->objects[i] = life->subject->store(life->content, life->sizes[i]);
}

static void read_all(struct life *life)
{
	for (size_t i = 0; i < life->count; i++)
		life->subject->read(life->objects[i], life->buffer, life->sizes[i]);
}

static void replace_all(struct life *life)
{
	for (size_t i = 0; i < life->count; i++) {
		life->subject->free_all(&life->objects[i], 1);
		life->objects[i] = life->subject->store(life->content, life->next_sizes[i]);
	}
}

static void free_all(struct life *life)
{
	life->subject->free_all(life->objects, life->count);
}

/* The corpus's sizes, in its order. */
static void reset_sizes(struct life *life)
{
	for (size_t i = 0; i < life->count; i++)
		life->sizes[i] = life->corpus->size[i];
}

static void shuffle_all(struct life *life)
{
	shuffle(life->objects, life->count, RANDOM_SEED);
	shuffle(life->sizes, life->count, RANDOM_SEED);
}

/* The loop itself reads its arrays from front to back: a search is not the allocator's cost. */
static void prepare_replace(struct life *life)
{
	shuffle_all(life);
	memcpy(life->next_sizes, life->sizes, life->count * sizeof(*life->sizes));
	shuffle(life->next_sizes, life->count, RANDOM_SEED);
}

static uint64_t faults_now(void)
{
	struct rusage usage;

	if (getrusage(RUSAGE_SELF, &usage) != 0)
		err(2, "getrusage()");
	return (uint64_t)(usage.ru_minflt + usage.ru_majflt);
}

static void run_phase(struct life *life, struct phase *phase)
{
	struct moment start;
	uint64_t faults;

	if (phase->prepare)
		phase->prepare(life);
	faults = faults_now();
	start = moment_now();
	phase->run(life);
	phase->took = moment_since(start);
	phase->faults = faults_now() - faults;
}

static json_t *phase_json(const struct phase *phase)
{
	json_t *figures = json_object();

	figure_set(figures, "wall", phase->took.wall);
	figure_set(figures, "caller_cpu", phase->took.thread);
	figure_set(figures, "all_cpu", phase->took.process);
	figure_set(figures, "faults", phase->faults);
	return figures;
}

static uint64_t sum(const unsigned long *sizes, size_t count)
{
	uint64_t bytes = 0;

	for (size_t i = 0; i < count; i++)
		bytes += sizes[i];
	return bytes;
}

static json_t *run(struct life *life)
{
	static struct phase phases[] = {
		{ .name = "store", .run = store_all, .prepare = reset_sizes },
		{ .name = "read", .run = read_all, .prepare = shuffle_all },
		{ .name = "replace", .run = replace_all, .prepare = prepare_replace },
		{ .name = "free", .run = free_all },
		{ .name = "again", .run = store_all, .prepare = reset_sizes },
		{ .name = "free_again", .run = free_all },
	};
	enum {
		PHASES = sizeof(phases) / sizeof(phases[0]),
	};
	static const struct timespec idle = { .tv_nsec = IDLE_NS };
	json_t *figures = json_object(); /* now: later it lies behind the peer's objects */
	uint64_t began = memory_resident();
	uint64_t full, left;

	json_object_set_new(figures, "version", json_string(life->subject->open(life->subject)));
	for (size_t i = 0; i < PHASES - 1; i++)
		run_phase(life, &phases[i]);
	full = memory_resident();
	run_phase(life, &phases[PHASES - 1]);
	nanosleep(&idle, NULL);
	left = memory_resident();

	for (size_t i = 0; i < PHASES; i++)
		json_object_set_new(figures, phases[i].name, phase_json(&phases[i]));
	figure_set(figures, "objects", life->count);
	figure_set(figures, "stored_bytes", sum(life->sizes, life->count));
	figure_set(figures, "full_bytes", full - began);
	figure_set(figures, "left_bytes", left > began ? left - began : 0);
	return figures;
}

static void life_open(struct life *life, const char *subject, size_t objects, int corpus)
{
	life->subject = subject_find(subject);
	life->corpus = corpus_map(corpus);
	life->count = objects < life->corpus->objects ? objects : life->corpus->objects;
	life->objects = memory_touched(life->count * sizeof(*life->objects));
	life->sizes = memory_touched(life->count * sizeof(*life->sizes));
	life->next_sizes = memory_touched(life->count * sizeof(*life->next_sizes));
	life->content = memory_touched(life->corpus->page_size);
	life->buffer = memory_touched(life->corpus->page_size);
}

int main(int argc, char **argv)
{
	struct life life;

	if (argc != 4)
		errx(2, "usage: %s SUBJECT OBJECTS CORPUS", argv[0]);
	life_open(&life, argv[1], strtoul(argv[2], NULL, 10), atoi(argv[3]));
	return round_print(run(&life));
}
