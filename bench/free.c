/* SPDX-License-Identifier: GPL-2.0-only OR BSD-3-Clause */
/*
 * bench_free runs one round of the benchmarks free and cliff, in a process of its own. It stores
 * objects, makes memory cold, frees every object, and prints as JSON what that took.
 *
 * usage: bench_free SUBJECT 'in order'|random [OBJECTS] CORPUS, the number of the corpus's open
 * file. Without OBJECTS: those of the corpus.
 */
#include <err.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "cpu.h"
#include "memory.h"
#include "moment.h"
#include "objects.h"
#include "random.h"

/*
 * Free everything, and tell what the caller's loop, the flush and giving the memory back took. What
 * it takes to look at the queue in between does not count.
 */
static void free_and_measure(const struct subject *subject, const unsigned long *objects,
			     size_t count, json_t *figures)
{
	struct moment freeing, settling, giving;
	uint64_t parked; /* CPU time of a parked worker, which may begin to give memory back */

	freeing = moment_now();
	subject->free_all(objects, count);
	freeing = moment_since(freeing);
	if (subject->freed)
		subject->freed(figures);
	parked = cpu_parked_ns();
	settling = moment_now();
	if (subject->settle)
		subject->settle();
	settling = moment_since(settling);
	parked = cpu_parked_ns() - parked;
	giving = moment_now();
	if (subject->give_back)
		subject->give_back();
	giving = moment_since(giving);

	/* Nanoseconds, of all objects together. */
	figure_set(figures, "caller", freeing.wall);
	figure_set(figures, "caller_cpu", freeing.thread);
	figure_set(figures, "flush", settling.wall);
	figure_set(figures, "flush_cpu", settling.process - parked);
	figure_set(figures, "all_cpu", freeing.process + settling.process + giving.process);
	figure_set(figures, "back", freeing.wall + settling.wall + giving.wall);
}

static json_t *run(const struct subject *subject, bool random, const struct corpus *corpus,
		   size_t count)
{
	unsigned long *stored = memory_touched(count * sizeof(*stored));
	json_t *figures = json_object(); /* now: later it lies behind the peer's objects */
	struct objects objects = { .corpus = corpus };
	uint64_t before, bytes;
	const char *version;

	before = memory_resident();
	version = subject->open(subject);
	bytes = objects_store(&objects, subject, stored, count);
	figure_set(figures, "resident_bytes", memory_resident() - before);
	if (subject->stored)
		subject->stored(figures);
	if (random)
		shuffle(stored, count, RANDOM_SEED);
	memory_make_cold(corpus_data(corpus), corpus->bytes);
	free_and_measure(subject, stored, count, figures);

	json_object_set_new(figures, "version", json_string(version));
	figure_set(figures, "objects", count);
	figure_set(figures, "stored_bytes", bytes);
	return figures;
}

int main(int argc, char **argv)
{
	const struct corpus *corpus;
	const struct subject *subject;

	if (argc < 4 || argc > 5 ||
	    (strcmp(argv[2], "in order") != 0 && strcmp(argv[2], "random") != 0))
		errx(2, "usage: %s SUBJECT 'in order'|random [OBJECTS] CORPUS", argv[0]);
	subject = subject_find(argv[1]);
	corpus = corpus_map(atoi(argv[argc - 1]));
	return round_print(run(subject, strcmp(argv[2], "random") == 0, corpus,
			       argc == 5 ? strtoul(argv[3], NULL, 10) : corpus->objects));
}
